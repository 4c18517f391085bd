/**
 * What system calls take from their callers (copyin(9)): arguments come from anyone, so they are read once, checked, and copied where
 * the kernel keeps them. What cannot be read is EFAULT.
 */
import { copyAddr } from '../../wire/addr.ts';
import type { Result } from '../errno.ts';
import type { ControlMsg, SockAddr } from '../socket/protosw.ts';
import type { MsgHdr } from './proc.ts';

export function isInt(value: unknown): value is number {
  return Number.isInteger(value);
}

/** EFAULT for what is no address, EINVAL for one whose numbers are none. */
export function copyinAddr(from: unknown): Result<SockAddr> {
  if (typeof from !== 'object' || from === null) return 'EFAULT';
  try {
    const given = from as SockAddr;
    if (given.kind === 'local') {
      const path: unknown = given.path;
      return typeof path === 'string' ? { kind: 'local', path } : 'EFAULT';
    }
    if (given.kind !== 'inet') return 'EFAULT';
    const addr = copyAddr(given.addr);
    const port: unknown = given.port;
    if (!isInt(port) || port < 0 || port > 65535) return 'EINVAL';
    return isInt(addr.w0) && isInt(addr.w1) && isInt(addr.w2) && isInt(addr.w3) && isInt(addr.zone)
      ? { kind: 'inet', addr, port }
      : 'EINVAL';
  } catch {
    return 'EFAULT';
  }
}

/** Control data from outside: a copy, whose values are the protocol's to check. EFAULT, EINVAL. */
function copyinControl(from: unknown): Result<readonly ControlMsg[]> {
  if (!Array.isArray(from)) return 'EFAULT';
  const out: ControlMsg[] = [];
  try {
    for (const one of from as unknown[]) {
      if (typeof one !== 'object' || one === null) return 'EFAULT';
      const { level, type, value } = one as Partial<ControlMsg>;
      if (!isInt(level) || !isInt(type)) return 'EINVAL';
      out.push({ level, type, value: isPlain(value) ? { ...value } : value });
    }
    return out;
  } catch {
    return 'EFAULT';
  }
}

/** The fields of sendmsg(2)'s argument, each read once; unchecked but for the control data. EFAULT, EINVAL. */
export function copyinMsg(from: unknown): Result<MsgHdr> {
  if (typeof from !== 'object' || from === null) return 'EFAULT';
  try {
    const { name, bytes, control: given = [] } = from as MsgHdr;
    const control = copyinControl(given);
    return typeof control === 'string' ? control : { name, bytes, control };
  } catch {
    return 'EFAULT';
  }
}

/** A copy of a plain object, as an answer that is no string; other values as they are. */
export function copyin(from: unknown): Result<{ value: unknown }> {
  try {
    return { value: isPlain(from) ? { ...from } : from };
  } catch {
    return 'EFAULT';
  }
}

/** Gives the caller's object the fields of its copy. */
export function copyout(value: unknown, to: unknown): 'EFAULT' | null {
  if (!isPlain(to) || !isPlain(value)) return null;
  try {
    for (const [key, field] of Object.entries(value)) if (to[key] !== field) to[key] = field;
    return null;
  } catch {
    return 'EFAULT';
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}
