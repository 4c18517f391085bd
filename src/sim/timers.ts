/**
 * Timers and clocks of the host in virtual time, for the code under test: objects with the shape of Node's, and a way to put them in the
 * place of the global ones for as long as a simulation runs.
 */
import { promisify } from 'node:util';
import type { SimWorld } from '../kern/effects/sim.ts';

/** What runs when a timer goes off; what it throws ends the simulation. */
export type TimerCallback<A extends unknown[] = unknown[]> = (...args: A) => void;

/** As Node's `Timeout`. A simulation is never kept alive by a timer, so `ref` and `unref` only answer. */
export class VirtualTimer {
  readonly #world: SimWorld;
  readonly #fire: () => void;
  readonly #delayMs: number;
  readonly #repeat: boolean;
  #cancel: (() => void) | null = null;
  #closed = false;
  #ref = true;
  #id: number | null = null;
  readonly #ids: TimerIds | null;

  constructor(world: SimWorld, fire: () => void, delayMs: number, repeat: boolean, ids: TimerIds | null = null) {
    this.#world = world;
    this.#ids = ids;
    this.#fire = fire;
    this.#repeat = repeat;
    // As Node: a text counts as its number, and what is no delay is 1 ms.
    const ms = Number(delayMs);
    this.#delayMs = ms >= 1 && ms <= 0x7fffffff ? ms : 1;
    this.#set();
  }

  #set(): void {
    this.#cancel = this.#world.after(this.#delayMs, () => {
      this.#cancel = null;
      if (this.#repeat) this.#set();
      else this.#forget();
      this.#fire();
    });
  }

  /** Counts anew from now. */
  refresh(): this {
    if (this.#closed) return this;
    this.#cancel?.();
    this.#set();
    return this;
  }

  close(): this {
    this.#closed = true;
    this.#cancel?.();
    this.#cancel = null;
    this.#forget();
    return this;
  }

  #forget(): void {
    if (this.#id !== null) this.#ids?.delete(this.#id);
  }

  ref(): this {
    this.#ref = true;
    return this;
  }

  unref(): this {
    this.#ref = false;
    return this;
  }

  hasRef(): boolean {
    return this.#ref;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A number that `clearTimeout` takes too, from `globalThis`; only timers that were asked for it have one. */
  [Symbol.toPrimitive](): number {
    if (this.#id === null) {
      this.#id = (this.#ids?.next ?? 0) + 1;
      if (this.#ids !== null) {
        this.#ids.next = this.#id;
        this.#ids.set(this.#id, this);
      }
    }
    return this.#id;
  }
}

/** Timers by their numbers. */
class TimerIds extends Map<number, VirtualTimer> {
  /** The number given last: far from those of Node's own timers. */
  next = 2 ** 40;
}

export class VirtualTimers {
  readonly #world: SimWorld;
  readonly #ids = new TimerIds();

  constructor(world: SimWorld) {
    this.#world = world;
  }

  setTimeout<A extends unknown[]>(fn: TimerCallback<A>, delayMs = 1, ...args: A): VirtualTimer {
    return new VirtualTimer(this.#world, () => fn(...args), delayMs, false, this.#ids);
  }

  setInterval<A extends unknown[]>(fn: TimerCallback<A>, delayMs = 1, ...args: A): VirtualTimer {
    return new VirtualTimer(this.#world, () => fn(...args), delayMs, true, this.#ids);
  }

  /** A timer, or its number; anything else is none of these timers. */
  find(timer: unknown): VirtualTimer | undefined {
    return timer instanceof VirtualTimer ? timer : this.#ids.get(Number(timer));
  }

  /** As `AbortSignal.timeout`. */
  abortAfter(ms: number): AbortSignal {
    const controller = new AbortController();
    this.setTimeout(() => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), ms);
    return controller.signal;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.after(ms, resolve));
  }
}

/** On a `setTimeout` that is ours. */
const VIRTUAL: unique symbol = Symbol('netmod virtual timer');
type Marked = { [VIRTUAL]?: true };

/**
 * Puts virtual `setTimeout`, `setInterval`, `Date`, `performance.now` and `AbortSignal.timeout` in the place of the global ones; answers how to take them back.
 * Throws while another simulation of the process has done the same. What Node keeps inside (`node:timers`, its `http`) is not
 * touched.
 */
export function installGlobals(world: SimWorld): () => void {
  const real = globalThis as unknown as Record<string, unknown>;
  if ((globalThis.setTimeout as Marked)[VIRTUAL] === true) {
    throw new Error('another simulation has the global timers: run one after the other, or with { globals: false }');
  }
  const timers = new VirtualTimers(world);
  const clock = world.effects('globals').clock;
  const { clearTimeout, clearInterval } = globalThis;
  const clear =
    (otherwise: (timer: never) => void) =>
    (timer: unknown): void => {
      const ours = timer === undefined || timer === null ? undefined : timers.find(timer);
      if (ours === undefined) otherwise(timer as never);
      else ours.close();
    };
  const ours: Record<string, unknown> = {
    setTimeout: Object.assign((fn: TimerCallback, ms?: number, ...args: unknown[]) => timers.setTimeout(fn, ms, ...args), {
      [VIRTUAL]: true,
      [promisify.custom]: async (ms: number, value?: unknown) => {
        await timers.sleep(ms);
        return value;
      },
    }),
    setInterval: (fn: TimerCallback, ms?: number, ...args: unknown[]) => timers.setInterval(fn, ms, ...args),
    clearTimeout: clear(clearTimeout),
    clearInterval: clear(clearInterval),
    Date: virtualDate(() => Math.floor(clock.realtimeMs())),
  };
  const before = new Map(Object.keys(ours).map((name) => [name, real[name]]));
  Object.assign(real, ours);
  Object.defineProperty(performance, 'now', { configurable: true, value: () => world.nowMs() });
  const { timeout } = AbortSignal;
  AbortSignal.timeout = (ms) => timers.abortAfter(ms);
  return () => {
    AbortSignal.timeout = timeout;
    for (const [name, value] of before) real[name] = value;
    delete (performance as { now?: unknown }).now;
  };
}

function virtualDate(nowMs: () => number): DateConstructor {
  return new Proxy(Date, {
    construct: (target, args, made) => Reflect.construct(target, args.length === 0 ? [nowMs()] : args, made) as object,
    apply: () => new Date(nowMs()).toString(),
    get: (target, key, receiver) => (key === 'now' ? nowMs : (Reflect.get(target, key, receiver) as unknown)),
  });
}
