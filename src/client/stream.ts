/** A call that goes on answering, as an iteration: `break` ends it, and it ends by itself when the boot does. */
import type { ControlError } from './errors.ts';

/** Items that may wait for the iteration; while there are more, the socket is not read. */
const WAITING_MAX = 1024;

/** Where the lines of a stream come in. */
export interface StreamEntry {
  item(value: Record<string, unknown>): void;
  end(value: Record<string, unknown>): void;
  fail(error: ControlError): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  start(entry: StreamEntry): void;
  cancel(): void;
  /** The iteration is behind, or has caught up. */
  hold(held: boolean): void;
}

export class ItemStream<T, E extends object = Record<string, unknown>> implements AsyncIterable<T>, StreamEntry {
  /** Items that the boot could not send because this side did not read. */
  lost = 0;
  /** What the stream's last line said; null before it has come. */
  result: E | null = null;
  readonly #host: StreamHost;
  readonly #make: (item: Record<string, unknown>) => T;
  readonly #items: T[] = [];
  #error: ControlError | null = null;
  #started = false;
  #over = false;
  #held = false;
  #wake: (() => void) | null = null;

  constructor(host: StreamHost, make: (item: Record<string, unknown>) => T) {
    this.#host = host;
    this.#make = make;
  }

  item(value: Record<string, unknown>): void {
    const { lost } = value;
    if (typeof lost === 'number') {
      this.lost += lost;
      return;
    }
    if (this.#over) return;
    this.#items.push(this.#make(value));
    this.#hold(this.#items.length >= WAITING_MAX);
    this.#notify();
  }

  end(value: Record<string, unknown>): void {
    this.result = value as E;
    this.#over = true;
    this.#notify();
  }

  fail(error: ControlError): void {
    this.#error = error;
    this.#over = true;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #hold(held: boolean): void {
    if (this.#held === held) return;
    this.#held = held;
    this.#host.hold(held);
  }

  /** Begins at once, so that nothing is missed before the first item is asked for. A second call does nothing. */
  start(): this {
    if (!this.#started) {
      this.#started = true;
      this.#host.start(this);
    }
    return this;
  }

  /** Ends the stream; the iteration gets what is there, and then its end. */
  cancel(): void {
    this.#hold(false);
    if (!this.#over) this.#host.cancel();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    this.start();
    try {
      for (;;) {
        const item = this.#items.shift();
        if (item !== undefined) {
          this.#hold(this.#items.length >= WAITING_MAX);
          yield item;
        } else if (this.#error !== null) throw this.#error;
        else if (this.#over) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.#items.length = 0;
      this.cancel();
    }
  }
}
