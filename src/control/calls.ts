/**
 * The calls of the control protocol: the kernel's own system calls, with names for numbers and base64 for bytes. Each takes the
 * request's arguments and answers what goes into `ret`, or the name of an error.
 */
import { type Errno, type Result, isErrno } from '../kern/errno.ts';
import type { KernFailure } from '../kern/module.ts';
import type { PollFd } from '../kern/proc/poll.ts';
import type { Proc } from '../kern/proc/proc.ts';
import { F_GETFL, F_SETFL, O_NONBLOCK } from '../kern/proc/syscalls.ts';
import { tcpInfoRow } from '../kern/socket/pcblist.ts';
import type { ControlMsg } from '../kern/socket/protosw.ts';
import { SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET } from '../kern/socket/soconst.ts';
import type { SysctlLeaf, SysctlValue } from '../kern/sysctl.ts';
import { formatUuid } from '../kern/uuid.ts';
import {
  BadArgument,
  bitsArg,
  dataAnswer,
  dataArg,
  fdArg,
  intArg,
  ioctlAnswer,
  ioctlArg,
  lengthArg,
  nameArg,
  sockAddrAnswer,
  sockAddrArg,
  textArg,
} from './args.ts';
import { startCapture } from './capture.ts';
import { startEvents } from './events.ts';
import { POLL_MAX } from './limits.ts';
import { DOMAINS, IOCTLS, LEVELS, MSG_FLAGS, POLL_EVENTS, TYPES, namesOfBits } from './names.ts';
import { startCaptureRing } from './ringdump.ts';
import type { RunningStream, StreamSink } from './stream.ts';

/** What goes into `ret`. A text is wrapped, so that it is never taken for an error's name. */
export class Answer {
  readonly ret: unknown;
  constructor(ret: unknown) {
    this.ret = ret;
  }
}

/** What goes into `ret`, made when it is sent: data as text, and lists that may be long. */
export class LateAnswer {
  readonly make: () => unknown;
  constructor(make: () => unknown) {
    this.make = make;
  }
}

/** An error with a sentence of its own. */
export class Refusal {
  readonly err: Errno;
  readonly message: string;
  constructor({ err, message }: KernFailure) {
    this.err = err;
    this.message = message;
  }
}

export type Outcome = Answer | LateAnswer | Refusal | Errno;
export type ControlCall = (proc: Proc, args: readonly unknown[]) => Outcome | Promise<Outcome>;

/** An errno or nothing. */
async function done(result: Errno | null | Promise<Errno | null>): Promise<Outcome> {
  return (await result) ?? new Answer(null);
}

/** An errno or a value that is made into the answer. */
async function made<T>(result: Result<T> | Promise<Result<T>>, make: (value: T) => unknown = (value) => value): Promise<Outcome> {
  const value = await result;
  return isErrno(value) ? value : new Answer(make(value));
}

async function accept(proc: Proc, fd: number): Promise<Outcome> {
  const child = await proc.accept(fd);
  if (isErrno(child)) return child;
  proc.fcntl(child, F_SETFL, 0);
  const peer = proc.getpeername(child);
  return new Answer({ fd: child, ...(isErrno(peer) ? { addr: null, port: null } : sockAddrAnswer(peer)) });
}

async function recv(proc: Proc, fd: number, len: number, flags: number): Promise<Outcome> {
  const buf = new Uint8Array(len);
  const n = await proc.recv(fd, buf, flags);
  return isErrno(n) ? n : new LateAnswer(() => ({ data: dataAnswer(buf.subarray(0, n)) }));
}

async function recvfrom(proc: Proc, fd: number, len: number, flags: number): Promise<Outcome> {
  const buf = new Uint8Array(len);
  const received = await proc.recvfrom(fd, buf, flags);
  if (isErrno(received)) return received;
  const { n, from, truncated, control } = received;
  return new LateAnswer(() => ({
    data: dataAnswer(buf.subarray(0, Math.min(n, len))),
    ...(from === null ? { addr: null, port: null } : sockAddrAnswer(from)),
    ...(truncated ? { truncated } : {}),
    ...(control === undefined ? {} : { control: control.map(controlAnswer) }),
  }));
}

/** Control data of a datagram: level and type by the names that setsockopt takes. */
function controlAnswer({ level, type, value }: ControlMsg): object {
  for (const [levelName, found] of LEVELS) {
    if (found.level !== level) continue;
    for (const [name, number] of found.options)
      if (number === type) return { level: levelName, type: name, value: ioctlAnswer(value) };
  }
  return { level, type, value: ioctlAnswer(value) };
}

function option(args: readonly unknown[]): { level: number; name: number } {
  const levelName = textArg(args[1], 'the level');
  const found = LEVELS.get(levelName);
  if (found === undefined) throw new BadArgument(`unknown level; there are ${[...LEVELS.keys()].join(' ')}`);
  return { level: found.level, name: nameArg(args[2], found.options, `option of ${levelName}`, 'ENOPROTOOPT') };
}

const isTimeout = ({ level, name }: { level: number; name: number }): boolean =>
  level === SOL_SOCKET && (name === SO_RCVTIMEO || name === SO_SNDTIMEO);

function getsockopt(proc: Proc, args: readonly unknown[]): Promise<Outcome> {
  const opt = option(args);
  return made(proc.getsockopt(fdArg(args[0]), opt.level, opt.name), ({ value }) => {
    if (args[1] === 'IPPROTO_TCP' && args[2] === 'TCP_INFO') return ioctlAnswer(tcpInfoRow(value) ?? value);
    if (isTimeout(opt) && typeof value === 'number')
      return { sec: Math.floor(value / 1000), usec: Math.round((value % 1000) * 1000) };
    if (opt.level === SOL_SOCKET && opt.name === SO_LINGER) {
      const { onoff, linger } = value as { onoff: unknown; linger: number };
      return { onoff: Boolean(onoff), linger };
    }
    return ioctlAnswer(value);
  });
}

/** A struct timeval in milliseconds. EDOM where it is negative, or has a second or more in its microseconds (setsockopt(2)). */
function timeoutArg(value: unknown): number {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new BadArgument('a timeout is {sec, usec}');
  const { sec = 0, usec = 0 } = value as { sec?: unknown; usec?: unknown };
  const us = intArg(usec, 'usec');
  if (us < 0 || us >= 1_000_000) throw new BadArgument('usec must be from 0 to 999999', 'EDOM');
  return intArg(sec, 'sec') * 1000 + us / 1000;
}

function setsockopt(proc: Proc, args: readonly unknown[]): Promise<Outcome> {
  const opt = option(args);
  let value = args[3];
  if (isTimeout(opt)) {
    value = timeoutArg(value);
  }
  return done(proc.setsockopt(fdArg(args[0]), opt.level, opt.name, value));
}

function fcntl(proc: Proc, args: readonly unknown[]): Outcome {
  const fd = fdArg(args[0]);
  if (args[1] !== 'nonblock') throw new BadArgument("fcntl takes a descriptor, 'nonblock', and true or false");
  const flags = proc.fcntl(fd, F_GETFL);
  if (isErrno(flags)) return flags;
  if (args[2] === undefined) return new Answer((flags & O_NONBLOCK) !== 0);
  if (typeof args[2] !== 'boolean') throw new BadArgument('nonblock is true or false');
  const set = proc.fcntl(fd, F_SETFL, args[2] ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
  return isErrno(set) ? set : new Answer(null);
}

async function poll(proc: Proc, args: readonly unknown[]): Promise<Outcome> {
  const [list, timeoutMs = -1] = args;
  if (!Array.isArray(list)) throw new BadArgument('poll takes a list of {fd, events}');
  if (list.length > POLL_MAX) throw new BadArgument(`poll takes at most ${POLL_MAX} descriptors`);
  const fds = list.map((entry: unknown): PollFd & { revents: number } => {
    const { fd, events } = (entry ?? {}) as { fd?: unknown; events?: unknown };
    return { fd: intArg(fd, 'fd'), events: bitsArg(events, POLL_EVENTS, 'events'), revents: 0 };
  });
  const n = await proc.poll(fds, intArg(timeoutMs, 'the timeout'));
  if (isErrno(n)) return n;
  return new LateAnswer(() => fds.map(({ fd, revents }) => ({ fd, revents: namesOfBits(revents, POLL_EVENTS) })));
}

function ioctl(proc: Proc, args: readonly unknown[]): Outcome {
  const cmd = nameArg(args[1], IOCTLS, 'ioctl', 'ENOTTY');
  const data = ioctlArg(args[2]);
  return proc.ioctl(fdArg(args[0]), cmd, data) ?? new Answer(ioctlAnswer(data));
}

/** A value and what it is; of a table its rows. */
function leafAnswer(leaf: SysctlLeaf): object {
  const { name, descr, type, flags } = leaf;
  return { name, value: leaf.get(), descr, type, flags };
}

/** All values at and below a name; of everything for ''. Tables only where they are asked for. */
function sysctlwalk(proc: Proc, [prefix = '', options]: readonly unknown[]): Outcome {
  const { tables = false } = (options ?? {}) as { tables?: unknown };
  if (typeof tables !== 'boolean') throw new BadArgument('tables is true or false');
  const leaves = proc.kernel.sysctl.leaves(textArg(prefix, 'the name'));
  return new Answer(leaves.filter(({ type }) => tables || type !== 'table').map(leafAnswer));
}

async function sysctl(proc: Proc, args: readonly unknown[]): Promise<Outcome> {
  const name = textArg(args[0], 'the name');
  const value = args[1];
  const leaf = proc.kernel.sysctl.find(name);
  if (value === undefined && !isErrno(leaf) && leaf.type === 'table') return new Answer(leaf.get());
  if (value === undefined) return made(proc.kernel.sysctl.read(name), (reading) => reading.value);
  if (typeof value !== 'number' && typeof value !== 'boolean' && typeof value !== 'string') {
    throw new BadArgument('a value is a number, a boolean or a string');
  }
  // As in sysctl(3), a write answers the value before it.
  return made(proc.kernel.sysctl.write(name, value satisfies SysctlValue), (old) => old.value);
}

/** kldload(2), kldunload(2): what failed has a sentence. */
async function kld(result: unknown): Promise<Outcome> {
  const outcome = await result;
  if (isErrno(outcome)) return outcome;
  if (typeof outcome === 'object' && outcome !== null && 'err' in outcome) return new Refusal(outcome as KernFailure);
  return new Answer(outcome);
}

/** kenv(2). */
function kenv(proc: Proc, [action, name, value]: readonly unknown[]): Outcome {
  const KENV_ACTIONS = ['get', 'set', 'unset', 'dump'];
  if (!KENV_ACTIONS.includes(textArg(action, 'the action')))
    throw new BadArgument(`the action is one of ${KENV_ACTIONS.join(' ')}`);
  if (action !== 'dump') textArg(name, 'the name');
  if (action === 'set') textArg(value, 'the value');
  const result = proc.call('kenv', action, name, value) as Result<{ value: unknown }> | null;
  if (isErrno(result)) return result;
  return new Answer(result === null ? null : result.value);
}

const SHUTDOWNS = ['rd', 'wr', 'rdwr'] as const;

function shutdown(proc: Proc, args: readonly unknown[]): Promise<Outcome> {
  const how = SHUTDOWNS.find((name) => name === args[1]);
  if (how === undefined) throw new BadArgument(`the direction is one of ${SHUTDOWNS.join(' ')}`);
  return done(proc.shutdown(fdArg(args[0]), how));
}

const flagsOf = (value: unknown): number => bitsArg(value, MSG_FLAGS, 'flags');

export const CONTROL_CALLS: Readonly<Record<string, ControlCall>> = {
  socket: (proc, [domain, type, protocol = 0]) =>
    made(
      proc.socket(
        nameArg(domain, DOMAINS, 'domain', 'EAFNOSUPPORT'),
        nameArg(type, TYPES, 'type', 'EPROTOTYPE'),
        intArg(protocol, 'the protocol'),
      ),
    ),
  socketpair: (proc, [domain, type, protocol = 0]) =>
    made(
      proc.socketpair(
        nameArg(domain, DOMAINS, 'domain', 'EAFNOSUPPORT'),
        nameArg(type, TYPES, 'type', 'EPROTOTYPE'),
        intArg(protocol, 'the protocol'),
      ),
    ),
  bind: (proc, [fd, addr]) => done(proc.bind(fdArg(fd), sockAddrArg(addr))),
  listen: (proc, [fd, backlog = 128]) => done(proc.listen(fdArg(fd), intArg(backlog, 'the backlog'))),
  accept: (proc, [fd]) => accept(proc, fdArg(fd)),
  connect: (proc, [fd, addr]) => done(proc.connect(fdArg(fd), sockAddrArg(addr))),
  send: (proc, [fd, data, flags]) => made(proc.send(fdArg(fd), dataArg(data), flagsOf(flags))),
  recv: (proc, [fd, len, flags]) => recv(proc, fdArg(fd), lengthArg(len), flagsOf(flags)),
  sendto: (proc, [fd, data, addr, flags]) =>
    made(proc.sendto(fdArg(fd), dataArg(data), flagsOf(flags), addr === null ? null : sockAddrArg(addr))),
  recvfrom: (proc, [fd, len, flags]) => recvfrom(proc, fdArg(fd), lengthArg(len), flagsOf(flags)),
  shutdown,
  close: (proc, [fd]) => done(proc.close(fdArg(fd))),
  getsockname: (proc, [fd]) => made(proc.getsockname(fdArg(fd)), sockAddrAnswer),
  getpeername: (proc, [fd]) => made(proc.getpeername(fdArg(fd)), sockAddrAnswer),
  getsockopt,
  setsockopt,
  fcntl,
  poll,
  ioctl,
  sysctl,
  sysctlwalk,
  counters: (proc, [prefix = '']) => new Answer(proc.kernel.counters.describe(textArg(prefix, 'the group'))),
  kldstat: (proc) => new Answer(proc.call('kldstat')),
  kldload: (proc, [name]) => kld(proc.call('kldload', textArg(name, 'the module'))),
  kldunload: (proc, [which, force = false]) =>
    kld(proc.call('kldunload', typeof which === 'number' ? which : textArg(which, 'the module'), force)),
  kenv,
  reset: (proc) => new Answer(proc.call('reset')),
  getfib: (proc) => new Answer(proc.call('getfib')),
  setfib: (proc, [fib]) => done(proc.call('setfib', intArg(fib, 'the table')) as Errno | null | Promise<Errno | null>),
  uuidgen: (proc, [count = 1]) => made(proc.uuidgen(intArg(count, 'the count')), (uuids) => uuids.map(formatUuid)),
};

/** Calls that are not the kernel's own system calls, and so are always there. */
const OWN: ReadonlySet<string> = new Set(['sysctl', 'sysctlwalk', 'counters']);

/** Starts a call that goes on answering, or says why not. */
export type StreamCall = (proc: Proc, args: readonly unknown[], sink: StreamSink) => RunningStream | Errno;

export const STREAM_CALLS: Readonly<Record<string, StreamCall>> = {
  capture: startCapture,
  capturering: startCaptureRing,
  events: startEvents,
};

/** Answered by the client's own side of the socket. */
export const CANCEL = 'cancel';

/** A call that can be made now, or null: absent system calls are ENOSYS. */
export function findCall(proc: Proc, name: string): ControlCall | null {
  if (!Object.hasOwn(CONTROL_CALLS, name)) return null;
  return OWN.has(name) || proc.kernel.syscalls.has(name) ? (CONTROL_CALLS[name] ?? null) : null;
}

/** The names of all calls that can be made now. */
export function presentCalls(proc: Proc): string[] {
  const plain = Object.keys(CONTROL_CALLS).filter((name) => findCall(proc, name) !== null);
  return [...plain, ...Object.keys(STREAM_CALLS), CANCEL];
}
