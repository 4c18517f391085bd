/**
 * Ends the processes of clients that are gone. One may have left tens of thousands of sockets, each of which takes its time to close, so
 * they are closed in turns too, behind the requests of those that live.
 */
import type { Proc } from '../kern/proc/proc.ts';
import type { Turns, Worker } from './turns.ts';

/** Descriptors closed before it is asked whether the turn is over. */
const AT_ONCE = 4;

export class Reaper implements Worker {
  readonly #turns: Turns;
  readonly #procs = new Set<Proc>();

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  add(proc: Proc): void {
    if (proc.exitSome(AT_ONCE)) return;
    this.#procs.add(proc);
    this.#turns.add(this);
  }

  work(): boolean {
    for (const proc of this.#procs) {
      while (!proc.exitSome(AT_ONCE)) if (this.#turns.isOver()) return true;
      this.#procs.delete(proc);
      if (this.#turns.isOver()) break;
    }
    return this.#procs.size > 0;
  }

  /** The boot is going: nothing waits. */
  finish(): void {
    for (const proc of this.#procs) proc.exit();
    this.#procs.clear();
    this.#turns.remove(this);
  }
}
