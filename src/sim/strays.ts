/**
 * Errors that nobody handles, while a simulation has the process to itself: a rejected promise of an async handler, an `error` event
 * without a listener. They are those of the program under test, so they end its simulation, with its seed, and not the process.
 */

const EVENTS = ['uncaughtException', 'unhandledRejection'] as const;
type Listener = (...args: unknown[]) => void;

/** `fail` is told of them in the place of the listeners that there are; answers how to give those back. */
export function catchStrays(fail: (error: unknown) => void): () => void {
  // Of their many signatures this is the one they share.
  const events = process as unknown as {
    rawListeners(event: string): Listener[];
    on(event: string, listener: Listener): void;
    off(event: string, listener: Listener): void;
  };
  const caught: Listener = (error) => fail(error);
  const before = EVENTS.map((event) => [event, events.rawListeners(event)] as const);
  for (const [event, listeners] of before) {
    for (const listener of listeners) events.off(event, listener);
    events.on(event, caught);
  }
  return () => {
    for (const [event, listeners] of before) {
      events.off(event, caught);
      for (const listener of listeners) events.on(event, listener);
    }
  };
}
