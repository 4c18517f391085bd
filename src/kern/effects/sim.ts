/**
 * Effects of a simulated run: one virtual clock and one queue of events, shared by any number of kernels. Time moves only from event
 * to event. With the same seed and the same calls a run is the same run.
 */
import { scheduler } from 'node:timers/promises';
import type { Clock, Effects, HostTimer, Log, LogLevel, RandomSource } from '../effects.ts';
import { LeveledLog, LogLevels, type LogThreshold, parseLogSpec } from '../logspec.ts';

/** The simulated wall clock at virtual time 0: 1 January 2025, 00:00 UTC. */
const EPOCH_MS = 1735689600000;
/** Events in one instant: more means that virtual time stands still. */
const MAX_PER_INSTANT = 1_000_000;
/** Lines of log that are kept. */
const MAX_LINES = 100_000;

export interface SimOptions {
  readonly seed?: number;
  /** Monotonic time at the start in milliseconds: to test what happens when 32-bit times wrap. */
  readonly startMs?: number;
  /** Collect the log at these levels (logspec.ts) in `SimWorld.lines`. Default: silent. */
  readonly log?: string;
}

export interface SimLine {
  readonly ms: number;
  readonly kernel: string;
  readonly subsystem: string;
  readonly level: LogLevel;
  readonly msg: string;
  readonly fields: object;
}

/** Something that will happen. Cancelled by forgetting what to do. */
interface SimEvent {
  readonly atMs: number;
  readonly seq: number;
  run: (() => void) | null;
}

/** Small fast counter generator, 32 bit (sfc32): passes PractRand, and its state is four numbers. */
export class SimRandom implements RandomSource {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  /** `seed` and `stream` together choose the sequence. */
  constructor(seed: number, stream = '') {
    this.#a = seed | 0;
    this.#b = (seed / 2 ** 32) | 0;
    this.#c = 0x811c9dc5 | 0;
    for (let i = 0; i < stream.length; i++) this.#c = Math.imul(this.#c ^ stream.charCodeAt(i), 0x01000193);
    for (let i = 0; i < 16; i++) this.u32();
  }

  u32(): number {
    const t = (this.#a + this.#b + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** Uniform in [0, 1). */
  float(): number {
    return this.u32() / 2 ** 32;
  }

  /** Uniform integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.float() * n);
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.u32() >>> 24;
  }
}

class SimTimer implements HostTimer {
  readonly #world: SimWorld;
  #cancel: (() => void) | null = null;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  arm(delayMs: number, fire: () => void): void {
    this.disarm();
    this.#cancel = this.#world.after(Math.max(0, delayMs), () => {
      this.#cancel = null;
      fire();
    });
  }

  disarm(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}

class SimLog extends LeveledLog implements Log {
  readonly #world: SimWorld;
  readonly #kernel: string;

  constructor(world: SimWorld, levels: LogLevels, kernel: string, subsystem: string) {
    super(subsystem, levels);
    this.#world = world;
    this.#kernel = kernel;
  }

  override write(level: LogLevel, fields: object, msg: string): void {
    const { lines } = this.#world;
    if (lines.length >= MAX_LINES) lines.shift();
    lines.push({ ms: this.#world.nowMs(), kernel: this.#kernel, subsystem: this.subsystem, level, msg, fields });
  }

  child(subsystem: string): Log {
    return new SimLog(this.#world, this.levels, this.#kernel, this.childName(subsystem));
  }
}

export class SimWorld {
  /** Lines of log, oldest first. */
  readonly lines: SimLine[] = [];
  /** For the test's own decisions; kernels have streams of their own. */
  readonly random: SimRandom;
  readonly #seed: number;
  readonly #startMs: number;
  readonly #levels = new LogLevels('silent' satisfies LogThreshold);
  /** Binary heap, earliest first. */
  readonly #heap: SimEvent[] = [];
  readonly #deferred: (() => void)[] = [];
  #nowMs = 0;
  #seq = 0;
  #sameInstant = 0;
  /** Cancelled events that are still in the heap. */
  #cancelled = 0;

  constructor(options: SimOptions | number = {}) {
    const { seed = 1, startMs = 0, log } = typeof options === 'number' ? { seed: options } : options;
    this.#seed = seed;
    this.#startMs = startMs;
    this.random = new SimRandom(seed, 'world');
    if (log !== undefined) this.setLog(log);
  }

  /** Virtual milliseconds since the start. */
  nowMs(): number {
    return this.#nowMs;
  }

  /** Grows with everything that is asked of this world: while it does, somebody is still at work in the present instant. */
  activity(): number {
    return this.#seq;
  }

  /** Events that are still to come. */
  pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  setLog(text: string): void {
    const spec = parseLogSpec(text);
    if ('error' in spec) throw new TypeError(spec.error);
    this.#levels.apply(spec);
  }

  /** The effects of one kernel. `name` chooses its stream of random numbers and is on its log's lines. */
  effects(name: string): Effects {
    const clock: Clock = {
      monotonicMs: () => this.#startMs + this.#nowMs,
      realtimeMs: () => EPOCH_MS + this.#nowMs,
    };
    return {
      clock,
      random: new SimRandom(this.#seed, name),
      log: new SimLog(this, this.#levels, name, ''),
      newTimer: () => new SimTimer(this),
      defer: (work) => {
        this.#seq++;
        this.#deferred.push(work);
      },
      yield: (work) => void this.after(0, work),
    };
  }

  /** Runs `fn` at a virtual time, at once if it has passed. The answer cancels it. */
  at(ms: number, fn: () => void): () => void {
    const event: SimEvent = { atMs: Math.max(ms, this.#nowMs), seq: this.#seq++, run: fn };
    this.#push(event);
    return () => {
      if (event.run === null) return;
      event.run = null;
      this.#forget();
    };
  }

  /** Runs `fn` in `ms` milliseconds. */
  after(ms: number, fn: () => void): () => void {
    return this.at(this.#nowMs + ms, fn);
  }

  /** Runs what was deferred, in order, until nothing is left of it. */
  settle(): void {
    let rounds = 0;
    for (let work = this.#deferred.shift(); work !== undefined; work = this.#deferred.shift()) {
      if (++rounds > MAX_PER_INSTANT) throw new Error('simulation: deferred work never ends');
      work();
    }
  }

  /** Runs the next event, and what it deferred. False when there is none. */
  step(): boolean {
    return this.#step(Infinity);
  }

  /** Runs for `ms` milliseconds of virtual time, including what is due at their end. */
  run(ms: number): void {
    const end = this.#nowMs + ms;
    while (this.#step(end));
    this.#advance(end);
  }

  /** Runs until `pred` holds, at most `maxMs`. Answers whether it holds. */
  runUntil(pred: () => boolean, maxMs: number): boolean {
    const end = this.#nowMs + maxMs;
    this.settle();
    while (!pred()) {
      if (this.#step(end)) continue;
      this.#advance(end);
      return pred();
    }
    return true;
  }

  /** As `run`, but lets promises, streams and other work of the host settle behind each event. */
  async runAsync(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    do await this.#settleHost();
    while (this.#step(end));
    this.#advance(end);
  }

  /** As `runUntil`, but lets promises, streams and other work of the host settle behind each event. */
  async runUntilAsync(pred: () => boolean, maxMs: number): Promise<boolean> {
    const end = this.#nowMs + maxMs;
    await this.#settleHost();
    while (!pred()) {
      if (!this.#step(end)) {
        this.#advance(end);
        return pred();
      }
      await this.#settleHost();
    }
    return true;
  }

  /** A stream's data takes a few turns of the host's loop from end to end. */
  async #settleHost(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) {
      await scheduler.yield();
      this.settle();
    }
  }

  #step(endMs: number): boolean {
    this.settle();
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.atMs > endMs) return false;
      this.#pop();
      const work = event.run;
      if (work === null) {
        this.#cancelled--;
        continue;
      }
      event.run = null;
      this.#advance(event.atMs);
      if (++this.#sameInstant > MAX_PER_INSTANT) throw new Error(`simulation: time stands still at ${this.#nowMs} ms`);
      work();
      this.settle();
      return true;
    }
  }

  #advance(ms: number): void {
    if (ms <= this.#nowMs) return;
    this.#nowMs = ms;
    this.#sameInstant = 0;
  }

  /** One more event was cancelled; when most of the heap is such, it is made anew. A sorted array is a heap. */
  #forget(): void {
    if (++this.#cancelled < 1024 || this.#cancelled * 2 < this.#heap.length) return;
    const live = this.#heap.filter((event) => event.run !== null).sort((a, b) => (before(a, b) ? -1 : 1));
    this.#heap.splice(0, this.#heap.length, ...live);
    this.#cancelled = 0;
  }

  #push(event: SimEvent): void {
    const heap = this.#heap;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(event, heap[up] as SimEvent)) break;
      heap[i] = heap[up] as SimEvent;
      i = up;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1] as SimEvent, heap[down] as SimEvent)) down++;
      if (!before(heap[down] as SimEvent, last)) break;
      heap[i] = heap[down] as SimEvent;
      i = down;
    }
    heap[i] = last;
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.seq < b.seq);
}
