/**
 * A way for frames from one end in memory to another: a bounded queue that delivers in batches, at once or after a delay. Delivery is
 * never inside the call that sent: it waits for the end of the host's present call, and after a budget of frames for its next
 * turn, so that two ends which answer each other can neither recurse nor keep the host from its other events.
 */
import type { Effects, HostTimer } from '../kern/effects.ts';
import type { Frame, FramePool } from './frame.ts';

export type PipeEffects = Pick<Effects, 'clock' | 'defer' | 'yield' | 'newTimer'>;

export interface PipeOptions {
  /** Frames that may wait. */
  readonly limit: number;
  /** Time on the way, in milliseconds; 0: none. */
  readonly delayMs: number;
}

/** Who gets the frames. `frame` is the pipe's again on return. */
export interface PipeSink {
  begin(): void;
  deliver(frame: Frame): void;
  end(): void;
}

/** Frames in one batch, and frames after which the host gets a turn. */
const BATCH = 64;
const BUDGET = 512;

export class FramePipe {
  readonly #effects: PipeEffects;
  readonly #pool: FramePool;
  readonly #options: PipeOptions;
  readonly #sink: PipeSink;
  readonly #timer: HostTimer;
  /** A ring of the frames that wait. */
  readonly #frames: (Frame | null)[];
  #head = 0;
  #count = 0;
  #armed = false;
  #closed = false;
  #sinceTurn = 0;

  constructor(effects: PipeEffects, pool: FramePool, options: PipeOptions, sink: PipeSink) {
    this.#effects = effects;
    this.#pool = pool;
    this.#options = options;
    this.#sink = sink;
    this.#timer = effects.newTimer();
    this.#frames = new Array<Frame | null>(options.limit).fill(null);
  }

  /** True when no further frame fits. */
  full(): boolean {
    return this.#count === this.#options.limit;
  }

  /** Takes a frame; the caller knows that it fits. It is delivered after the next `kick`. */
  put(frame: Frame): void {
    if (this.#options.delayMs > 0) frame.dueMs = this.#effects.clock.monotonicMs() + this.#options.delayMs;
    this.#frames[(this.#head + this.#count++) % this.#options.limit] = frame;
  }

  /** Has delivery begin, if there is anything to deliver. */
  kick(): void {
    if (this.#armed || this.#closed || this.#count === 0) return;
    this.#armed = true;
    if (this.#options.delayMs > 0) {
      const due = (this.#frames[this.#head] as Frame).dueMs;
      this.#timer.arm(Math.max(0, due - this.#effects.clock.monotonicMs()), this.#run);
    } else if (this.#sinceTurn < BUDGET) this.#effects.defer(this.#run);
    else this.#effects.yield(this.#turn);
  }

  /** Forgets what waits; nothing is delivered any more. Returns the number of frames that were lost. */
  close(): number {
    const lost = this.#count;
    this.#closed = true;
    this.#timer.disarm();
    while (this.#count > 0) this.#pool.put(this.#take());
    return lost;
  }

  #take(): Frame {
    const frame = this.#frames[this.#head] as Frame;
    this.#frames[this.#head] = null;
    this.#head = (this.#head + 1) % this.#options.limit;
    this.#count--;
    return frame;
  }

  readonly #turn = (): void => {
    this.#sinceTurn = 0;
    this.#run();
  };

  readonly #run = (): void => {
    this.#armed = false;
    if (this.#closed) return;
    const until = this.#options.delayMs > 0 ? this.#effects.clock.monotonicMs() : 0;
    this.#sink.begin();
    for (let n = 0; n < BATCH && this.#count > 0 && (this.#frames[this.#head] as Frame).dueMs <= until; n++) {
      const frame = this.#take();
      this.#sinceTurn++;
      this.#sink.deliver(frame);
      this.#pool.put(frame);
    }
    this.#sink.end();
    this.kick();
  };
}
