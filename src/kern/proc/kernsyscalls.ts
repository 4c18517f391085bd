/**
 * System calls about the kernel itself: kldload(2), kldunload(2), kldstat(2), kenv(2), getfib, and reset. What can fail with a
 * sentence for people answers `KernFailure` (an object with `err`) instead of an errno.
 */
import type { Errno, Result } from '../errno.ts';
import type { KernFailure, ModuleStat } from '../module.ts';
import type { Syscall } from '../syscall.ts';
import { isInt } from './copyin.ts';
import type { Proc } from './proc.ts';

export interface ResetStat {
  /** Descriptors that were closed, counters that were not 0, sysctls that were set back. */
  readonly sockets: number;
  readonly counters: number;
  readonly sysctls: number;
}

/** Longest name of a module or path, in characters. */
const NAME_MAX = 4096;

function syskldload(proc: Proc, name: unknown): Promise<ModuleStat | KernFailure> | Errno {
  if (typeof name !== 'string' || name === '') return 'EINVAL';
  if (name.length > NAME_MAX) return 'ENAMETOOLONG';
  return proc.kernel.modules.loadByName(name);
}

/** By name or number. */
function syskldunload(proc: Proc, which: unknown, force: unknown = false): Promise<KernFailure | null> | Errno {
  const { modules } = proc.kernel;
  const name = isInt(which) ? modules.nameOf(which) : which;
  if (name === null) return 'ENOENT';
  if (typeof name !== 'string' || typeof force !== 'boolean') return 'EINVAL';
  return modules.unload(name, force);
}

function syskldstat(proc: Proc): readonly ModuleStat[] {
  return proc.kernel.modules.describe();
}

/**
 * `get` a name, `set` a name to a value, `unset` a name, `dump`. ENOENT for a name that is not there, EINVAL for another action. What is
 * read from the environment at the start does not change any more.
 */
function syskenv(proc: Proc, action: unknown, name: unknown = '', value: unknown = ''): Result<{ value: unknown }> | null {
  const { kenv } = proc.kernel;
  if (action === 'dump') return { value: kenv.dump() };
  if (typeof name !== 'string') return 'EINVAL';
  if (action === 'get') {
    const found = kenv.get(name);
    return found === null ? 'ENOENT' : { value: found };
  }
  if (action === 'unset') return kenv.unset(name);
  return action === 'set' && typeof value === 'string' ? kenv.set(name, value) : 'EINVAL';
}

function sysgetfib(proc: Proc): number {
  return proc.fib;
}

/** The kernel as just booted; see `Kernel.reset`. */
function sysreset(proc: Proc): ResetStat {
  return proc.kernel.reset();
}

/** For `kernel.syscalls.register`. */
export const KERN_SYSCALLS: Readonly<Record<string, Syscall>> = {
  kldload: syskldload,
  kldunload: syskldunload,
  kldstat: syskldstat,
  kenv: syskenv,
  getfib: sysgetfib,
  reset: sysreset,
};
