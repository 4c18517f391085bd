/** poll(2): waits until one of several descriptors is ready. Errors, hang-ups and bad descriptors are always told of. */
import { Callout } from '../callout.ts';
import { type Result, isErrno } from '../errno.ts';
import { POLLERR, POLLHUP, POLLNVAL, sopoll } from '../socket/calls.ts';
import { isInt } from './copyin.ts';
import type { File } from './file.ts';
import type { Proc } from './proc.ts';

/** Entries that every process may ask about (FD_SETSIZE). */
const POLL_MIN_LIMIT = 1024;

export interface PollFd {
  /** Below 0: skipped. */
  readonly fd: number;
  /** `POLL*` bits asked for. */
  readonly events: number;
  /** Filled by `poll`. */
  revents?: number;
}

/** What the call keeps of an entry. */
interface Polled {
  readonly fd: number;
  readonly events: number;
  revents: number;
}

/** Looks at all; returns how many descriptors have any event. */
function scan(proc: Proc, polled: readonly Polled[]): number {
  let ready = 0;
  for (const entry of polled) {
    entry.revents = 0;
    if (entry.fd < 0) continue;
    const file = proc.files.get(entry.fd);
    entry.revents = file === null ? POLLNVAL : sopoll(file.so) & (entry.events | POLLERR | POLLHUP);
    if (entry.revents !== 0) ready++;
  }
  return ready;
}

/** The entries as they are now; EINVAL for one without numbers, EFAULT for one that cannot be read. */
function copyinFds(fds: readonly PollFd[]): Result<Polled[]> {
  const polled: Polled[] = [];
  try {
    for (const { fd, events } of fds) {
      if (!isInt(fd) || !isInt(events)) return 'EINVAL';
      polled.push({ fd, events, revents: 0 });
    }
  } catch {
    return 'EFAULT';
  }
  return polled;
}

/** Fills the caller's `revents`; the call's answer. */
function copyoutFds(fds: readonly PollFd[], polled: readonly Polled[], ready: number): Result<number> {
  try {
    for (const [i, entry] of fds.entries()) entry.revents = polled[i]?.revents ?? 0;
  } catch {
    return 'EFAULT';
  }
  return ready;
}

/**
 * `timeoutMs` 0: at once; below 0: for ever. The answer is the number of ready descriptors; 0 after the time. EINVAL for more entries
 * than a process may have descriptors.
 */
export function syspoll(proc: Proc, fds: PollFd[], timeoutMs: number): Result<number> | Promise<Result<number>> {
  if (!Array.isArray(fds) || typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) return 'EINVAL';
  if (fds.length > Math.max(POLL_MIN_LIMIT, proc.kernel.domains.limits.maxfilesperproc)) return 'EINVAL';
  const polled = copyinFds(fds);
  if (isErrno(polled)) return polled;
  const ready = scan(proc, polled);
  if (timeoutMs === 0) return copyoutFds(fds, polled, ready);
  if (ready > 0) return Promise.resolve(copyoutFds(fds, polled, ready));
  return new Promise((resolve) => {
    const wanted = new Map<File, number>();
    for (const { fd, events } of polled) {
      const file = fd < 0 ? null : proc.files.get(fd);
      if (file !== null) wanted.set(file, (wanted.get(file) ?? 0) | events | POLLERR | POLLHUP);
    }
    const watches: { readonly file: File; readonly look: () => void }[] = [];
    let timer: Callout<null> | null = null;
    const finish = (n: number): void => {
      timer?.stop();
      for (const { file, look } of watches) file.pollers.delete(look);
      resolve(copyoutFds(fds, polled, n));
    };
    for (const [file, events] of wanted) {
      // Only its own socket, until that has something: there may be thousands of others.
      const look = (): void => {
        if (file.closed || (sopoll(file.so) & events) !== 0) finish(scan(proc, polled));
      };
      watches.push({ file, look });
      file.pollers.add(look);
    }
    if (timeoutMs < 0) return;
    timer = new Callout<null>(proc.kernel.callouts, () => finish(scan(proc, polled)), null);
    timer.reset(timeoutMs);
  });
}
