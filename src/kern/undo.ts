/**
 * Registrations that can be taken back. A registry answers a registration with an `Undo`; who registers many things keeps the
 * undos in a list and runs it from the back, so that what was built last goes first.
 */

/** Takes one registration back. A second call does nothing. */
export type Undo = () => void;

/** Undos of one owner. */
export class UndoList {
  readonly #undos: Undo[] = [];

  readonly own = (undo: Undo): void => {
    this.#undos.push(undo);
  };

  get length(): number {
    return this.#undos.length;
  }

  /** Runs all of them, last first. What they register meanwhile goes too. */
  run(): void {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) undo();
  }
}

/** A function that runs `fn` at its first call only. */
export function once(fn: () => void): Undo {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    fn();
  };
}
