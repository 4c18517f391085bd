/**
 * Ethernets of more than two hosts: a switch, a cable from it to each host, and further switches behind trunks. All of them are one
 * subnet, because hosts do not forward. A trunk is the place for a bottleneck.
 */
import { type Cable, type CableOptions, type Place } from './cable.ts';
import type { SimHost } from './host.ts';
import type { Subnet } from './subnet.ts';
import { Switch, type SwitchCounters } from './switch.ts';

/** What a network takes from its simulation. */
export interface Wiring {
  /** A cable between two places, with new hardware addresses. */
  cable(a: Place, b: Place, options: CableOptions): Cable;
  /** A host gets an interface by `attach`. */
  plug(host: SimHost, attach: () => void): void;
}

export interface JoinOptions extends CableOptions {
  /** With the length of its prefix: `10.0.0.7/24`. Default: the next one of the network. */
  readonly address?: string;
}

export class Network implements Place {
  readonly name: string;
  /** The cable to the switch that this one extends; null for the first. */
  readonly trunk: Cable | null;
  readonly #wiring: Wiring;
  readonly #subnet: Subnet;
  readonly #switch = new Switch();
  #extensions = 0;

  constructor(wiring: Wiring, name: string, subnet: Subnet, behind: { network: Network; options: CableOptions } | null = null) {
    this.name = name;
    this.#wiring = wiring;
    this.#subnet = subnet;
    this.trunk = null;
    if (behind === null) return;
    this.trunk = wiring.cable(behind.network, this, behind.options);
    const [theirs, ours] = this.trunk.links();
    behind.network.#switch.plug(theirs);
    this.#switch.plug(ours);
  }

  /** What the switch did with frames. */
  get counters(): Readonly<SwitchCounters> {
    return this.#switch.counters;
  }

  /** Gives a host an interface here, and an address. The conditions are those of its cable, both ways. */
  join(host: SimHost, options: JoinOptions = {}): Cable {
    const { address = this.#subnet.next(), ...rest } = options;
    const cable = this.#wiring.cable(host, this, rest);
    const [hosts, ours] = cable.links();
    this.#switch.plug(ours);
    this.#wiring.plug(host, () => host.attach(hosts, address));
    return cable;
  }

  /** A further switch of this network behind a trunk with these conditions. */
  extend(options: CableOptions = {}): Network {
    return new Network(this.#wiring, `${this.name}.${++this.#extensions}`, this.#subnet, { network: this, options });
  }
}
