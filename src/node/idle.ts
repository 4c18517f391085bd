/** The idle time of a socket ('timeout' of Node's sockets) on a callout of the kernel. Traffic moves a number, not the callout. */
import { Callout } from '../kern/callout.ts';
import type { Kernel } from '../kern/kernel.ts';
import { ApiRangeError } from './errors.ts';
import { streamHandler } from './handler.ts';

export class IdleTimer {
  readonly #kernel: Kernel;
  readonly #callout: Callout<null>;
  readonly #fire: () => void;
  #limitMs = 0;
  #activeMs = 0;

  /** `fire` is user code: what it throws is an uncaught exception. */
  constructor(kernel: Kernel, fire: () => void) {
    this.#kernel = kernel;
    this.#fire = fire;
    this.#callout = new Callout(kernel.callouts, () => this.#due(), null);
  }

  /** Milliseconds; 0 for never. Counts from now. */
  set(ms: number): void {
    this.#limitMs = ms;
    this.#activeMs = this.#kernel.clock.monotonicMs();
    if (ms === 0) this.#callout.stop();
    else this.#callout.reset(ms);
  }

  /** There was traffic. */
  touch(): void {
    if (this.#limitMs === 0) return;
    const { clock, netisr, time } = this.#kernel;
    this.#activeMs = netisr.active() ? time.exactMs : clock.monotonicMs();
    if (!this.#callout.pending) this.#callout.reset(this.#limitMs);
  }

  #due(): void {
    const left = this.#activeMs + this.#limitMs - this.#kernel.clock.monotonicMs();
    if (left > 0) this.#callout.reset(Math.ceil(left));
    else streamHandler.guard(this.#kernel, this.#fire);
  }

  stop(): void {
    this.#limitMs = 0;
    this.#callout.stop();
  }
}

/** Checks what a user gave as a time, as Node does. */
export function checkTimeout(ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && Number.isFinite(ms)) return ms;
  throw new ApiRangeError(
    'ERR_OUT_OF_RANGE',
    `The value of "msecs" is out of range. It must be a non-negative finite number. Received ${String(ms)}`,
  );
}
