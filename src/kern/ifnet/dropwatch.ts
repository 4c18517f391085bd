/** Tells which drop counters moved between two moments: how a tap knows why a frame was dropped. */
import type { Counters } from '../counters.ts';

export class DropWatch {
  readonly #counters: Counters;
  #version = -1;
  #watched: ReturnType<Counters['drops']> = [];
  #before = new Float64Array(0);

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** Remembers all of them. */
  begin(): void {
    if (this.#version !== this.#counters.version) this.#rebuild();
    const before = this.#before;
    let i = 0;
    for (const { source, key } of this.#watched) before[i++] = source[key] as number;
  }

  #rebuild(): void {
    this.#version = this.#counters.version;
    this.#watched = this.#counters.drops();
    this.#before = new Float64Array(this.#watched.length);
  }

  /** Names of those that moved since `begin`, comma between them; null if none did. */
  moved(): string | null {
    let names: string | null = null;
    let i = 0;
    for (const { name, source, key } of this.#watched) {
      if (source[key] !== this.#before[i++]) names = names === null ? name : `${names},${name}`;
    }
    return names;
  }
}
