/**
 * A simulation: hosts with stacks, cables and networks between them, and one virtual time for all. One seed decides everything that is
 * random: the same seed and the same calls are the same run, frame by frame.
 */
import type { Lookup } from '../node/connect.ts';
import { type SimRandom, SimWorld } from '../kern/effects/sim.ts';
import { isIP } from '../node/address.ts';
import { Cable, type CableOptions, type Place } from './cable.ts';
import { Fingerprint } from './capture.ts';
import { TimeDriver } from './drive.ts';
import { type HostOptions, SimHost } from './host.ts';
import { leftovers } from './leftovers.ts';
import { Network } from './network.ts';
import type { Observer } from './observer.ts';
import { Subnet } from './subnet.ts';
import { type TimerCallback, type VirtualTimer, VirtualTimers } from './timers.ts';

export interface SimulationOptions {
  /** Default 1. */
  readonly seed?: number;
  /** The kernels' monotonic clocks at the start, milliseconds: to see 32-bit times wrap. */
  readonly startMs?: number;
  /** Collect the kernels' logs at these levels (`info`, or `SUBSYSTEM=LEVEL,...`) in `lines`. */
  readonly log?: string;
  /** Hash all frames, for `fingerprint()`. */
  readonly fingerprint?: boolean;
  /** Called with each new host, when it has its first interface. */
  readonly onHost?: (host: SimHost) => void;
}

export interface LinkOptions extends CableOptions {
  /** The addresses of the two hosts, with the length of their prefix. Default: a subnet of 10.0.0.0/8 for each link. */
  readonly addresses?: readonly [string, string];
}

export interface NetworkOptions {
  readonly name?: string;
  /** Where its hosts get their addresses from, `10.1.0.0/16`. Default: a subnet of 10.0.0.0/8 for each network. */
  readonly prefix?: string;
}

/** The longest that `drive` lets a program run unless told otherwise: an hour of virtual time. */
export const DRIVE_MAX_MS = 3_600_000;

export class Simulation {
  readonly seed: number;
  readonly world: SimWorld;
  /** For the test's own decisions. What it draws changes nothing else. */
  readonly random: SimRandom;
  readonly #hosts = new Map<string, SimHost>();
  readonly #cables: Cable[] = [];
  readonly #driver: TimeDriver;
  readonly #timers: VirtualTimers;
  readonly #fingerprint: Fingerprint | null;
  readonly #onHost: ((host: SimHost) => void) | null;
  #subnets = 0;
  #networks = 0;
  #stations = 0;
  #interfaces = 0;

  constructor(options: SimulationOptions = {}) {
    const { seed = 1, startMs, log, fingerprint = false, onHost = null } = options;
    this.seed = seed;
    this.world = new SimWorld({ seed, ...(startMs === undefined ? {} : { startMs }), ...(log === undefined ? {} : { log }) });
    this.random = this.world.random;
    this.#driver = new TimeDriver(this.world);
    this.#timers = new VirtualTimers(this.world);
    this.#fingerprint = fingerprint ? new Fingerprint(() => this.world.nowMs()) : null;
    this.#onHost = onHost;
  }

  // What there is.

  /** A new host. Its name is also what others find it by: `http://name/`. */
  host(name: string, options: HostOptions = {}): SimHost {
    if (this.#hosts.has(name)) throw new Error(`there is a host ${name} already`);
    if (isIP(name) !== 0 || name === '' || name === 'localhost')
      throw new TypeError(`not a name for a host: ${JSON.stringify(name)}`);
    const lookup: Lookup = (hostname, { all }, done) => {
      const address = hostname === 'localhost' ? '127.0.0.1' : this.#hosts.get(hostname)?.addresses[0];
      if (address !== undefined) return done(null, all === true ? [{ address, family: 4 }] : address, 4);
      const err = new Error(`getaddrinfo ENOTFOUND ${hostname}`);
      done(Object.assign(err, { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname }), '');
    };
    const host = new SimHost({ world: this.world, lookup, newInterface: () => this.#newInterface() }, name, options);
    this.#hosts.set(name, host);
    return host;
  }

  *#newInterface(): Iterable<Observer> {
    const index = this.#interfaces++;
    if (this.#fingerprint !== null) yield this.#fingerprint.observer(index);
  }

  hosts(): readonly SimHost[] {
    return [...this.#hosts.values()];
  }

  /** All of them, those of networks included. */
  cables(): readonly Cable[] {
    return this.#cables;
  }

  /** A cable between two hosts. The conditions are for both directions; `configure` of the cable tells them apart. */
  link(a: SimHost, b: SimHost, options: LinkOptions = {}): Cable {
    const { addresses, ...rest } = options;
    const subnet = Subnet.auto(this.#subnets++);
    const [addressA, addressB] = addresses ?? [subnet.next(), subnet.next()];
    const cable = this.#cable(a, b, rest);
    const [linkA, linkB] = cable.links();
    this.#plug(a, () => a.attach(linkA, addressA));
    this.#plug(b, () => b.attach(linkB, addressB));
    return cable;
  }

  /** An Ethernet that any number of hosts can `join`. */
  network(options: NetworkOptions = {}): Network {
    const { name = `net${this.#networks++}`, prefix } = options;
    const subnet = prefix === undefined ? Subnet.auto(this.#subnets++) : new Subnet(prefix);
    const wiring = {
      cable: (a: Place, b: Place, rest: CableOptions) => this.#cable(a, b, rest),
      plug: (host: SimHost, attach: () => void) => this.#plug(host, attach),
    };
    return new Network(wiring, name, subnet);
  }

  #plug(host: SimHost, attach: () => void): void {
    attach();
    if (host.interfaces().length === 1) this.#onHost?.(host);
  }

  #cable(a: Place, b: Place, options: CableOptions): Cable {
    const cable = new Cable(this.world, [a, b], [this.#lladdr(), this.#lladdr()], options);
    this.#cables.push(cable);
    return cable;
  }

  /** 02:00 and a number: locally administered. */
  #lladdr(): Uint8Array {
    const n = ++this.#stations;
    return Uint8Array.of(2, 0, n >>> 24, n >>> 16, n >>> 8, n);
  }

  // Time.

  /** Virtual milliseconds since the start. */
  nowMs(): number {
    return this.world.nowMs();
  }

  /** For code without promises: lets `ms` milliseconds pass at once. */
  run(ms: number): void {
    this.world.run(ms);
  }

  /** For code without promises: runs until `pred` holds, at most `maxMs`; answers whether it does. */
  runUntil(pred: () => boolean, maxMs: number): boolean {
    return this.world.runUntil(pred, maxMs);
  }

  /** Lets time pass until the promise is settled, whenever the program is idle; answers as it does. */
  drive<T>(work: Promise<T>, maxMs = DRIVE_MAX_MS): Promise<T> {
    return this.#driver.drive(work, maxMs);
  }

  /** Ends `drive`, which rejects with this error. */
  fail(error: unknown): void {
    this.#driver.fail(error);
  }

  /** While time is driven: waits for a condition, at most `maxMs`; answers whether it holds. */
  until(pred: () => boolean, maxMs = Infinity): Promise<boolean> {
    return this.#driver.until(pred, maxMs);
  }

  /** While time is driven: waits. */
  sleep(ms: number): Promise<void> {
    return this.#timers.sleep(ms);
  }

  setTimeout<A extends unknown[]>(fn: TimerCallback<A>, delayMs?: number, ...args: A): VirtualTimer {
    return this.#timers.setTimeout(fn, delayMs, ...args);
  }

  setInterval<A extends unknown[]>(fn: TimerCallback<A>, delayMs?: number, ...args: A): VirtualTimer {
    return this.#timers.setInterval(fn, delayMs, ...args);
  }

  /** Takes a timer of this simulation back. */
  clearTimeout(timer: VirtualTimer | undefined): void {
    timer?.close();
  }

  /**
   * Virtual time stands still until this work of the host is done. For what the driver cannot see: the threads of `zlib` and `crypto`,
   * child processes, sockets of the real network. Files and name look-ups need no hold.
   */
  hold<T>(work: Promise<T>): Promise<T> {
    return this.#driver.hold(work);
  }

  // What happened.

  /** A hash over all frames so far, with time, interface and direction: equal for equal runs. */
  fingerprint(): string {
    if (this.#fingerprint === null) throw new Error('made without { fingerprint: true }');
    return this.#fingerprint.digest();
  }

  /** What programs and connections have left on the hosts: sockets, buffers, work in flight, timers. Nothing, if all is over. */
  leftovers(): string[] {
    return this.hosts().flatMap(leftovers);
  }
}
