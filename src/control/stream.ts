/** A call that goes on answering: items until its end, which comes by itself, by `cancel`, or with its client. */
import type { Turns } from './turns.ts';

/** Where a streaming call puts what it has. */
export interface StreamSink {
  /** Sends an item. False: the client does not read, and the item is lost; the call counts it. */
  item(value: object): boolean;
  /** Is there room for an item? */
  hasRoom(): boolean;
  /** Sends an item whether there is room or not: who calls has asked, and sends no more than one thing that belongs together. */
  put(value: object): void;
  /** For streams that have work of their own to do. */
  readonly turns: Turns;
  /** The last line of the stream. What comes after it goes nowhere. */
  end(value: object): void;
}

/** A running stream, as its client knows it: `stop` frees what it holds and answers what its `end` says. */
export interface RunningStream {
  stop(reason: string): object;
}

/** Streams of one client at a time, and of all: each frame or event is made into an item of each. */
export const STREAMS_MAX = 64;
export const ALL_STREAMS_MAX = 128;
