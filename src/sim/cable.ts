/**
 * A cable between two places of a simulation: two ends of an Ethernet in memory, with a bad network around each. What happens to a frame
 * is decided as it enters the cable, per direction, by random numbers of that direction alone.
 */
import { type ImpairConfig, type ImpairCounters, type ImpairedLink, impair } from '../driver/impair.ts';
import { createPair } from '../driver/pair.ts';
import type { SimWorld } from '../kern/effects/sim.ts';
import type { Link } from '../kern/ifnet/link.ts';

/** What a cable does to the frames of one direction; as `ImpairConfig` has it. All may change while the simulation runs. */
export type Conditions = Partial<ImpairConfig>;

/** What stays as it is for a cable's life, and how it begins, the same in both directions. */
export interface CableOptions extends Conditions {
  /** MTU of the interfaces at its ends, bytes. Default 1500. `mtu` is the path's own: longer packets vanish. */
  readonly ifMtu?: number;
  /**
   * Checksum, TSO and large receive, as a good card has them. Default false: the stacks do all of it, and what a capture shows is
   * what is on the wire.
   */
  readonly offload?: boolean;
}

/** What a cable is plugged into: its name is what errors and random streams go by. */
export interface Place {
  readonly name: string;
}

/** Frames that may be on their way through a cable without a rate: a bound on memory, not on traffic. */
const ON_THE_WAY = 65536;
const DEFAULT_QUEUE = 1000;
/** Between the bad network and the far end nothing waits for longer than an instant. */
const PIPE_FRAMES = 8192;
const SLOTS = 64;

const CUT: Conditions = { lossPercent: 100, lossBurst: 1 };

class Direction {
  readonly link: ImpairedLink;
  #conditions: Conditions;
  #cut = false;

  constructor(world: SimWorld, name: string, inner: Link, conditions: Conditions) {
    this.#conditions = conditions;
    this.link = impair(inner, world.effects(`cable ${name}`), { tx: this.#effective() });
  }

  change(conditions: Conditions): void {
    this.#conditions = { ...this.#conditions, ...conditions };
    this.#apply();
  }

  cut(cut: boolean): void {
    this.#cut = cut;
    this.#apply();
  }

  #apply(): void {
    this.link.configure('tx', this.#effective());
  }

  #effective(): Conditions {
    const c = this.#conditions;
    const queueFrames = c.queueFrames ?? ((c.rateBps ?? 0) > 0 ? DEFAULT_QUEUE : ON_THE_WAY);
    const { lossPercent = 0, lossBurst = 1 } = c;
    return { ...c, queueFrames, lossPercent, lossBurst, ...(this.#cut ? CUT : {}) };
  }
}

export class Cable {
  readonly name: string;
  readonly #places: readonly [Place, Place];
  readonly #directions: readonly [Direction, Direction];

  /** `lladdrs` are the hardware addresses of the two ends. */
  constructor(
    world: SimWorld,
    places: readonly [Place, Place],
    lladdrs: readonly [Uint8Array, Uint8Array],
    options: CableOptions,
  ) {
    const { ifMtu = 1500, offload = false, ...conditions } = options;
    const [a, b] = places;
    this.name = `${a.name}-${b.name}`;
    this.#places = places;
    const ends = createPair(world.effects(`cable ${this.name}`), {
      mtu: ifMtu,
      offload,
      queueFrames: PIPE_FRAMES,
      slots: SLOTS,
      lladdrs,
    });
    this.#directions = [
      new Direction(world, `${a.name}>${b.name}`, ends[0], conditions),
      new Direction(world, `${b.name}>${a.name}`, ends[1], conditions),
    ];
  }

  /** The ends, as the two places are to use them. */
  links(): [Link, Link] {
    const [a, b] = this.#directions;
    return [a.link.link, b.link.link];
  }

  /** Changes conditions from now on, of what comes from one place or of both directions; what is not named stays. */
  configure(conditions: Conditions, from?: Place): this {
    for (const direction of this.#of(from)) direction.change(conditions);
    return this;
  }

  /** Nothing passes any more, of what comes from one place or at all. What is on its way arrives. */
  cut(from?: Place): this {
    for (const direction of this.#of(from)) direction.cut(true);
    return this;
  }

  /** Takes `cut` back: conditions are what they were, with the changes that came meanwhile. */
  heal(from?: Place): this {
    for (const direction of this.#of(from)) direction.cut(false);
    return this;
  }

  /** What was done to the frames that came from a place. */
  counters(from: Place): Readonly<ImpairCounters> {
    return (this.#of(from)[0] as Direction).link.tx;
  }

  #of(from?: Place): readonly Direction[] {
    if (from === undefined) return this.#directions;
    const i = this.#places.indexOf(from);
    if (i < 0) throw new TypeError(`${from.name} is not at an end of the cable ${this.name}`);
    return [this.#directions[i] as Direction];
  }
}
