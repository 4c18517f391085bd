/** poll(2): waits until one of several descriptors is ready. Errors, hang-ups and bad descriptors are always told of. */
import { Callout } from '../callout.ts';
import type { Result } from '../errno.ts';
import { POLLERR, POLLHUP, POLLNVAL, sopoll } from '../socket/calls.ts';
import type { File } from './file.ts';
import type { Proc } from './proc.ts';

export interface PollFd {
  /** Below 0: skipped. */
  readonly fd: number;
  /** `POLL*` bits asked for. */
  readonly events: number;
  /** Filled by `poll`. */
  revents?: number;
}

/** Fills `revents`; returns how many descriptors have any. */
function scan(proc: Proc, fds: readonly PollFd[]): number {
  let ready = 0;
  for (const entry of fds) {
    entry.revents = 0;
    if (entry.fd < 0) continue;
    const file = proc.files.get(entry.fd);
    entry.revents = file === null ? POLLNVAL : sopoll(file.so) & (entry.events | POLLERR | POLLHUP);
    if (entry.revents !== 0) ready++;
  }
  return ready;
}

/** `timeoutMs` 0: at once; below 0: for ever. The answer is the number of ready descriptors; 0 after the time. */
export function syspoll(proc: Proc, fds: PollFd[], timeoutMs: number): Result<number> | Promise<Result<number>> {
  if (!Array.isArray(fds) || typeof timeoutMs !== 'number') return 'EINVAL';
  const ready = scan(proc, fds);
  if (timeoutMs === 0) return ready;
  if (ready > 0) return Promise.resolve(ready);
  return new Promise((resolve) => {
    const files = new Set<File>();
    for (const { fd } of fds) {
      const file = fd < 0 ? null : proc.files.get(fd);
      if (file !== null) files.add(file);
    }
    let timer: Callout<null> | null = null;
    const finish = (n: number): void => {
      timer?.stop();
      for (const file of files) file.pollers.delete(look);
      resolve(n);
    };
    const look = (): void => {
      const n = scan(proc, fds);
      if (n > 0) finish(n);
    };
    for (const file of files) file.pollers.add(look);
    if (timeoutMs < 0) return;
    timer = new Callout<null>(proc.kernel.callouts, () => finish(scan(proc, fds)), null);
    timer.reset(timeoutMs);
  });
}
