/**
 * Wait queues: blocked calls of processes. A blocked call is an attempt that is made again at each wake-up until it answers something
 * other than EAGAIN. The first in the queue goes first, and those behind it wait until it is done, as sblock(9) has it.
 */
import { Callout, type CalloutWheel } from '../callout.ts';
import type { Errno, Result } from '../errno.ts';

interface Waiter {
  /** True when the call has its answer. */
  attempt(): boolean;
  fail(err: Errno): void;
}

export class WaitQueue {
  #waiters: Waiter[] = [];
  #waking = false;

  empty(): boolean {
    return this.#waiters.length === 0;
  }

  /** Lets the waiters try, in order, until one has to go on waiting. An attempt that causes another wake-up is not disturbed. */
  wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    for (let first = this.#waiters[0]; first !== undefined && first.attempt(); first = this.#waiters[0]) this.remove(first);
    this.#waking = false;
  }

  /** Ends all waiting with an error. */
  flush(err: Errno): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.fail(err);
  }

  push(waiter: Waiter): void {
    this.#waiters.push(waiter);
  }

  remove(waiter: Waiter): void {
    const i = this.#waiters.indexOf(waiter);
    if (i >= 0) this.#waiters.splice(i, 1);
  }
}

/**
 * Blocks until `attempt` answers something other than EAGAIN. `timeoutMs` 0: for ever; else `late` gives the answer when the time is
 * over. The queue's `flush` answers with its error.
 */
export function block<T>(
  wheel: CalloutWheel,
  queue: WaitQueue,
  attempt: () => Result<T>,
  timeoutMs: number,
  late: () => Result<T> = () => 'EAGAIN',
): Promise<Result<T>> {
  if (queue.empty()) {
    const now = attempt();
    if (now !== 'EAGAIN') return Promise.resolve(now);
  }
  return new Promise((resolve) => {
    let timer: Callout<null> | null = null;
    const done = (result: Result<T>): void => {
      timer?.stop();
      resolve(result);
    };
    const waiter: Waiter = {
      attempt: () => {
        const result = attempt();
        if (result === 'EAGAIN') return false;
        done(result);
        return true;
      },
      fail: done,
    };
    queue.push(waiter);
    if (timeoutMs <= 0) return;
    timer = new Callout<null>(
      wheel,
      () => {
        queue.remove(waiter);
        done(late());
        queue.wake();
      },
      null,
    );
    timer.reset(timeoutMs);
  });
}
