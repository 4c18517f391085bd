/**
 * Whose turn it is: all clients of a control socket share one slice of each turn of the event loop, so that a hundred busy clients take
 * no more of it than one, and the device and everybody else come in between. What counts is the time that was taken, not the number of
 * requests: after a slice that was used up all of them rest for twice as long as it took, and a millisecond at least, so that more than two
 * thirds of the time are left to the stack, and to the collector for what they leave behind. A rest is a timer: turns of the event loop
 * that only look at the clock would cost the processor, and garbage, as much as the requests do.
 */
import type { Effects, HostTimer } from '../kern/effects.ts';

/** Time for all clients in one turn, in milliseconds; a request that takes longer is finished all the same. */
const SLICE_MS = 0.15;
/** The rest after a slice, as a multiple of it. */
const REST = 2;
/** Shortest rest, in milliseconds: what the host's timers can do. They may be a part of one early. */
const REST_MIN_MS = 1;
const EARLY_MS = 0.5;
/** Longest rest, in milliseconds. */
const REST_MAX_MS = 100;

/** Who has work. */
export interface Worker {
  /** Does a little, and asks `isOver` in between; true: there is more. */
  work(): boolean;
}

export class Turns {
  readonly #effects: Pick<Effects, 'clock' | 'yield'>;
  readonly #resting: HostTimer;
  /** In the order in which they are served, each once. */
  readonly #queue = new Set<Worker>();
  #armed = false;
  /** When this turn's slice ends, and when the next one may begin. */
  #until = 0;
  #next = 0;
  readonly #run = (): void => {
    this.#armed = false;
    const { clock } = this.#effects;
    const start = clock.monotonicMs();
    if (start < this.#next - EARLY_MS) return this.#arm(this.#next - start);
    this.#until = start + SLICE_MS;
    for (const worker of this.#queue) {
      // Back to the end, unless it has nothing left.
      this.#queue.delete(worker);
      if (worker.work()) this.#queue.add(worker);
      if (this.isOver()) break;
    }
    const end = clock.monotonicMs();
    const restMs = end < this.#until ? 0 : Math.min(REST_MAX_MS, Math.max(REST_MIN_MS, REST * (end - start)));
    this.#next = end + restMs;
    this.#arm(restMs);
  };

  constructor(effects: Pick<Effects, 'clock' | 'yield' | 'newTimer'>) {
    this.#effects = effects;
    this.#resting = effects.newTimer();
  }

  /** Is the time of this turn used up? */
  isOver(): boolean {
    return this.#effects.clock.monotonicMs() >= this.#until;
  }

  add(worker: Worker): void {
    this.#queue.add(worker);
    this.#arm(0);
  }

  remove(worker: Worker): void {
    this.#queue.delete(worker);
  }

  #arm(restMs: number): void {
    if (this.#armed || this.#queue.size === 0) return;
    this.#armed = true;
    if (restMs > 0) this.#resting.arm(restMs, this.#run);
    else this.#effects.yield(this.#run);
  }
}
