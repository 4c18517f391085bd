/** The time of the present batch: read from the clock once, then plain integers for everything that happens in it. */
import type { Clock } from './effects.ts';

export class KernTime {
  /** Monotonic milliseconds and microseconds as 32-bit integers that wrap: compare by `(a - b) | 0`. */
  ms = 0;
  us = 0;
  /** Monotonic milliseconds as the clock has them. */
  exactMs = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.refresh();
  }

  refresh(): void {
    const now = this.#clock.monotonicMs();
    this.exactMs = now;
    this.ms = Math.floor(now) | 0;
    this.us = Math.floor(now * 1000) | 0;
  }
}
