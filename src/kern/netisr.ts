/**
 * Work that waits for the end of the present batch: a stack's output of all connections that have something to say, then the
 * links' flush. Answers to a batch of frames so leave in one system call. Outside a batch the work runs when the host's current
 * call has returned (`Effects.defer`).
 */
import type { Effects } from './effects.ts';

/** Order within one run: stacks fill the links' rings, the links write them, and what the frames referred to is free again. */
export const NETISR_STACK = 0;
export const NETISR_LINK = 1;
export const NETISR_LAST = 2;

export interface NetisrWork {
  readonly level: typeof NETISR_STACK | typeof NETISR_LINK | typeof NETISR_LAST;
  run(): void;
  /** Kept by `Netisr`; false at first. */
  queued: boolean;
}

/** Rounds of work in one run; what is left waits for the host's next turn, so that a loop of answers cannot hold it. */
const BUDGET = 512;

export class Netisr {
  readonly counters = { overbudget: 0 };
  /** By level, first come first served. */
  readonly #queues: readonly [NetisrWork[], NetisrWork[], NetisrWork[]] = [[], [], []];
  #depth = 0;
  #armed = false;
  readonly #effects: Pick<Effects, 'defer' | 'yield'>;
  readonly #refreshTime: () => void;
  readonly #deferred = (): void => {
    this.#armed = false;
    this.begin();
    this.end();
  };

  constructor(effects: Pick<Effects, 'defer' | 'yield'>, refreshTime: () => void) {
    this.#effects = effects;
    this.#refreshTime = refreshTime;
  }

  /** Opens a batch. Batches nest; only the outermost runs the work. */
  begin(): void {
    if (this.#depth++ === 0) this.#refreshTime();
  }

  /** Closes a batch and runs what was scheduled in it. */
  end(): void {
    try {
      if (this.#depth === 1) this.#drain();
    } finally {
      this.#depth--;
    }
  }

  /** True inside a batch: `KernTime` is then the batch's time. */
  active(): boolean {
    return this.#depth > 0;
  }

  schedule(work: NetisrWork): void {
    if (work.queued) return;
    work.queued = true;
    this.#queues[work.level].push(work);
    if (this.#depth === 0 && !this.#armed) {
      this.#armed = true;
      this.#effects.defer(this.#deferred);
    }
  }

  /** Runs until all queues are empty: a link's flush may deliver (loopback) and so wake the stack again. */
  #drain(): void {
    const [stack, link, last] = this.#queues;
    let round = 0;
    try {
      for (; round < BUDGET; round++) {
        const work = stack.shift() ?? link.shift() ?? last.shift();
        if (work === undefined) return;
        work.queued = false;
        work.run();
      }
    } finally {
      // Over the budget, or work has thrown: the rest has its turn all the same.
      if (stack.length + link.length + last.length > 0) {
        if (round === BUDGET) this.counters.overbudget++;
        this.#again();
      }
    }
  }

  #again(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#effects.yield(this.#deferred);
  }
}
