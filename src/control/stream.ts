/** A call that goes on answering: items until its end, which comes by itself, by `cancel`, or with its client. */

/** Where a streaming call puts what it has. */
export interface StreamSink {
  /** Sends an item. False: the client does not read, and the item is lost; the call counts it. */
  item(value: object): boolean;
  /** Is there room for an item? Where some items may not be lost, this is asked first. */
  hasRoom(): boolean;
  /** The last line of the stream. What comes after it goes nowhere. */
  end(value: object): void;
}

/** A running stream, as its client knows it: `stop` frees what it holds and answers what its `end` says. */
export interface RunningStream {
  stop(reason: string): object;
}

/** Streams of one client at a time. */
export const STREAMS_MAX = 64;
