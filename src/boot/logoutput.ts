/** Where the log of a boot goes: standard error, but held back until it is known whether the boot succeeds. */
import { type DestinationStream, destination } from 'pino';

/** Lines that are held; with more, something is going on that should be seen. */
const HELD_MAX = 1000;

export class LogOutput implements DestinationStream {
  // Written at once: a line that explains an exit must not be lost in it.
  readonly #out = destination({ dest: 2, sync: true });
  #held: string[] | null;

  constructor(hold: boolean) {
    this.#held = hold ? [] : null;
  }

  write(line: string): void {
    if (this.#held === null) this.#out.write(line);
    else if (this.#held.push(line) >= HELD_MAX) this.release();
  }

  /** Writes what was held, and from now on everything at once. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const line of held) this.#out.write(line);
  }
}
