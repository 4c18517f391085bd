/**
 * Lets virtual time pass while a program with promises and streams runs on the host: whenever the program has nothing left to do in the
 * present instant, the next event of the world happens. The host's own work that takes time (files, name look-ups, and whatever
 * was handed to `hold`) is waited for, and virtual time stands still meanwhile.
 */
import { scheduler, setTimeout as hostSleep } from 'node:timers/promises';
import type { SimWorld } from '../kern/effects/sim.ts';

/** Turns of the host's loop without anything new, until an instant counts as over; a stream's data takes a few from end to end. */
const QUIET_TURNS = 3;
/** Turns after which it is over all the same. */
const MAX_TURNS = 10_000;
/** Requests that the host's threads or system work on, as `process.getActiveResourcesInfo` names them. */
const HOST_WORK: ReadonlySet<string> = new Set([
  'FSReqCallback',
  'FSReqPromise',
  // A FileHandle that is being closed.
  'CloseReq',
  'GetAddrInfoReqWrap',
  'GetNameInfoReqWrap',
  'QueryReqWrap',
]);
/** The longest that the host's work is waited for at a time, and something outside when no event is left. Milliseconds. */
const HOST_WORK_MS = 5000;
const NOTHING_LEFT_MS = 500;

/** The program did not end within its virtual time, or waits for something that cannot happen. */
export class SimulationStuck extends Error {
  override readonly name = 'SimulationStuck';
}

interface Waiter {
  readonly pred: () => boolean;
  readonly untilMs: number;
  readonly resolve: (held: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class TimeDriver {
  readonly #world: SimWorld;
  readonly #waiters = new Set<Waiter>();
  #driving = false;
  #held = 0;
  /** What ends the drive, in a box: anything may be thrown. */
  #failure: { readonly error: unknown } | null = null;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  /** Ends `drive`, which rejects with this. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Virtual time stands still until `work` is settled. */
  async hold<T>(work: Promise<T>): Promise<T> {
    this.#held++;
    try {
      return await work;
    } finally {
      this.#held--;
    }
  }

  /** Answers whether `pred` has come true within `maxMs`; it is asked at the end of each instant. Time must be driven. */
  until(pred: () => boolean, maxMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiters.add({ pred, untilMs: this.#world.nowMs() + maxMs, resolve, reject });
      // So that there is an instant at the end of it.
      if (Number.isFinite(maxMs)) this.#world.after(maxMs, () => undefined);
    });
  }

  /**
   * Runs the world until `work` is settled, and answers as it does. SimulationStuck after `maxMs` of virtual time, or when nothing is
   * left that could happen. What an event throws (code under test, called from the network) ends it.
   */
  async drive<T>(work: Promise<T>, maxMs: number): Promise<T> {
    if (this.#driving) throw new Error('time is being driven already');
    this.#driving = true;
    const state = { done: false };
    const end = (): void => void (state.done = true);
    work.then(end, end);
    try {
      await this.#run(state, this.#world.nowMs() + maxMs, maxMs);
      return await work;
    } finally {
      this.#driving = false;
    }
  }

  async #run(state: { readonly done: boolean }, endMs: number, maxMs: number): Promise<void> {
    const world = this.#world;
    for (;;) {
      await this.#settle(state);
      if (this.#failure !== null) throw this.#failure.error;
      if (state.done) return;
      if (this.#answerWaiters()) continue;
      if (world.nowMs() > endMs) throw new SimulationStuck(`not done after ${maxMs} ms of virtual time`);
      if (!world.step() && !(await this.#outside(state))) {
        throw new SimulationStuck(
          'nothing is left that could happen, and it is not done: it waits for something outside the simulation, or for ever',
        );
      }
    }
  }

  /** The host's turn, until the program is quiet. */
  async #settle(state: { readonly done: boolean }): Promise<void> {
    let seen = this.#world.activity();
    let quiet = 0;
    for (let turn = 0; turn < MAX_TURNS && quiet < QUIET_TURNS && !state.done && this.#failure === null; turn++) {
      await scheduler.yield();
      this.#world.settle();
      const now = this.#world.activity();
      quiet = now === seen ? quiet + 1 : 0;
      seen = now;
      if (quiet === QUIET_TURNS && (await this.#hostWork(state))) quiet = 0;
    }
  }

  /** Waits while the host works on something; false when there was nothing. */
  async #hostWork(state: { readonly done: boolean }): Promise<boolean> {
    if (!this.#hostBusy()) return false;
    for (let ms = 0; ms < HOST_WORK_MS || this.#held > 0; ms++) {
      await hostSleep(1);
      if (state.done || !this.#hostBusy()) break;
    }
    return true;
  }

  #hostBusy(): boolean {
    return this.#held > 0 || process.getActiveResourcesInfo().some((name) => HOST_WORK.has(name));
  }

  /** The world has no event: something outside may still wake the program. False when it does not, for a while. */
  async #outside(state: { readonly done: boolean }): Promise<boolean> {
    const seen = this.#world.activity();
    for (let ms = 0; ms < NOTHING_LEFT_MS; ms++) {
      await hostSleep(1);
      if (state.done || this.#failure !== null || this.#world.activity() !== seen) return true;
    }
    return false;
  }

  #answerWaiters(): boolean {
    let answered = false;
    for (const waiter of this.#waiters) {
      try {
        const held = waiter.pred();
        if (!held && this.#world.nowMs() < waiter.untilMs) continue;
        waiter.resolve(held);
      } catch (error) {
        waiter.reject(error);
      }
      this.#waiters.delete(waiter);
      answered = true;
    }
    return answered;
  }
}
