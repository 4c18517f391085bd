/**
 * Whose turn it is: all clients of a control socket share one slice of each turn of the event loop, so that a hundred busy clients take
 * no more of it than one, and the device and everybody else come in between.
 */
import type { Effects } from '../kern/effects.ts';

/** Time for all clients in one turn, in milliseconds; a request that takes longer is finished all the same. */
const SLICE_MS = 0.1;

/** Who has work. */
export interface Worker {
  /** Does a little; true: there is more. */
  work(): boolean;
}

export class Turns {
  readonly #effects: Pick<Effects, 'clock' | 'yield'>;
  /** In the order in which they are served, each once. */
  readonly #queue = new Set<Worker>();
  #armed = false;
  readonly #run = (): void => {
    this.#armed = false;
    const { clock } = this.#effects;
    const until = clock.monotonicMs() + SLICE_MS;
    for (const worker of this.#queue) {
      // Back to the end, unless it has nothing left.
      this.#queue.delete(worker);
      if (worker.work()) this.#queue.add(worker);
      if (clock.monotonicMs() >= until) break;
    }
    this.#arm();
  };

  constructor(effects: Pick<Effects, 'clock' | 'yield'>) {
    this.#effects = effects;
  }

  add(worker: Worker): void {
    this.#queue.add(worker);
    this.#arm();
  }

  remove(worker: Worker): void {
    this.#queue.delete(worker);
  }

  #arm(): void {
    if (this.#armed || this.#queue.size === 0) return;
    this.#armed = true;
    this.#effects.yield(this.#run);
  }
}
