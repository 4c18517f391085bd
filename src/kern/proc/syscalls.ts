/**
 * The system calls on descriptors (uipc_syscalls.c, sys_generic.c): socket, bind, listen, accept, connect, send, sendto, sendmsg, recv,
 * recvfrom, shutdown, close, getsockopt, setsockopt, ioctl, poll, fcntl, getsockname, getpeername, socketpair, and uuidgen. Arguments
 * come from anyone by name, so each call checks what it was given: EBADF, EFAULT (not bytes, no address), EINVAL (no integer).
 */
import { type Errno, type Result, isErrno } from '../errno.ts';
import {
  soaccept,
  sobind,
  soconnect,
  soconnect2,
  socreate,
  sogetopt,
  soioctl,
  solisten,
  sopeeraddr,
  sosetopt,
  soshutdown,
  sosockaddr,
  sotakeerror,
} from '../socket/calls.ts';
import {
  MSG_DONTWAIT,
  MSG_OOB,
  MSG_PEEK,
  MSG_WAITALL,
  type Received,
  soreceive,
  soreceivefrom,
  sosend,
  sosendoob,
  sosendconnect,
  sosendto,
} from '../socket/sendrecv.ts';
import { type ControlMsg, PR_ATOMIC, type SockAddr, type SockOpt } from '../socket/protosw.ts';
import { SS_CANTRCVMORE, SS_ISCONNECTED, SS_ISCONNECTING, SS_NBIO, SS_RCVWAIT, type Socket } from '../socket/socket.ts';
import type { Syscall } from '../syscall.ts';
import { closeFile } from './close.ts';
import { copyin, copyinAddr, copyinMsg, copyout, isInt } from './copyin.ts';
import { File } from './file.ts';
import { syspoll } from './poll.ts';
import type { MaybePromise, MsgHdr, Proc } from './proc.ts';
import { block } from './wait.ts';

/** Flags in the type of a new socket; descriptors are never inherited, so CLOEXEC changes nothing. */
export const SOCK_CLOEXEC = 0x10000000;
export const SOCK_NONBLOCK = 0x20000000;

/** fcntl(2). */
export const F_GETFL = 3;
export const F_SETFL = 4;
export const O_RDWR = 0x2;
export const O_NONBLOCK = 0x4;

function blocks(so: Socket, flags: number): boolean {
  return (so.state & SS_NBIO) === 0 && (flags & MSG_DONTWAIT) === 0;
}

function isBytes(bytes: unknown): bytes is Uint8Array {
  return bytes instanceof Uint8Array;
}

function syssocket(proc: Proc, family: number, type: number, protocol = 0): Result<number> {
  if (!isInt(family) || !isInt(type) || !isInt(protocol)) return 'EINVAL';
  if (!proc.files.canAlloc(proc.fileLimit())) return 'EMFILE';
  const so = socreate(proc.kernel, family, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol, proc);
  if (isErrno(so)) return so;
  if ((type & SOCK_NONBLOCK) !== 0) so.state |= SS_NBIO;
  return proc.files.alloc(new File(so), proc.fileLimit());
}

function syssocketpair(proc: Proc, family: number, type: number, protocol = 0): Result<[number, number]> {
  const a = syssocket(proc, family, type, protocol);
  if (isErrno(a)) return a;
  const b = syssocket(proc, family, type, protocol);
  if (isErrno(b)) {
    void sysclose(proc, a);
    return b;
  }
  const err = soconnect2((proc.files.get(a) as File).so, (proc.files.get(b) as File).so);
  if (err === null) return [a, b];
  void sysclose(proc, a);
  void sysclose(proc, b);
  return err;
}

function sysbind(proc: Proc, fd: number, addr: SockAddr): Errno | null {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  const name = copyinAddr(addr);
  return isErrno(name) ? name : sobind(file.so, name);
}

function syslisten(proc: Proc, fd: number, backlog: number): Errno | null {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  return isInt(backlog) ? solisten(file.so, backlog) : 'EINVAL';
}

/** The new descriptor is as blocking as the listening one. */
function sysaccept(proc: Proc, fd: number): MaybePromise<Result<number>> {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  const attempt = (): Result<number> => {
    // The descriptor first: without one the connection stays in the queue.
    if (!proc.files.canAlloc(proc.fileLimit())) return 'EMFILE';
    const so = soaccept(file.so);
    if (isErrno(so)) return so;
    so.state = (so.state & ~SS_NBIO) | (file.so.state & SS_NBIO);
    so.owner = proc.name;
    return proc.files.alloc(new File(so), proc.fileLimit());
  };
  if (!blocks(file.so, 0)) return attempt();
  return block(proc.kernel.callouts, file.readers, attempt, rcvTimeo(file.so));
}

function sysconnect(proc: Proc, fd: number, addr: SockAddr): MaybePromise<Errno | null> {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  const name = copyinAddr(addr);
  if (isErrno(name)) return name;
  const { so } = file;
  const err = soconnect(so, name);
  if (!blocks(so, 0)) return err;
  if (err !== 'EINPROGRESS') return Promise.resolve(err);
  const attempt = (): Result<null> => {
    const failed = sotakeerror(so);
    if (failed !== null) return failed;
    if ((so.state & SS_ISCONNECTING) !== 0) return 'EAGAIN';
    return (so.state & SS_ISCONNECTED) !== 0 ? null : 'ECONNABORTED';
  };
  return block(proc.kernel.callouts, file.writers, attempt, 0);
}

function syssend(proc: Proc, fd: number, bytes: Uint8Array, flags = 0): MaybePromise<Result<number>> {
  return syssendto(proc, fd, bytes, flags, null);
}

function syssendto(
  proc: Proc,
  fd: number,
  bytes: Uint8Array,
  flags = 0,
  to: SockAddr | null = null,
): MaybePromise<Result<number>> {
  return sendmessage(proc, fd, bytes, flags, to, null);
}

function syssendmsg(proc: Proc, fd: number, msg: MsgHdr, flags = 0): MaybePromise<Result<number>> {
  if (proc.files.get(fd) === null) return 'EBADF';
  const given = copyinMsg(msg);
  if (isErrno(given)) return given;
  const { name, bytes, control = [] } = given;
  return sendmessage(proc, fd, bytes, flags, name ?? null, control.length === 0 ? null : control);
}

function sendmessage(
  proc: Proc,
  fd: number,
  bytes: Uint8Array,
  flags: number,
  to: SockAddr | null,
  control: readonly ControlMsg[] | null,
): MaybePromise<Result<number>> {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  if (!isBytes(bytes)) return 'EFAULT';
  if (!isInt(flags)) return 'EINVAL';
  const dest = to === null ? null : copyinAddr(to);
  if (isErrno(dest)) return dest;
  const { so } = file;
  const len = bytes.length;
  const stream = (so.proto.flags & PR_ATOMIC) === 0;
  if (stream && control !== null) return 'EINVAL';
  if (stream && dest !== null) return sosendconnect(so, bytes, 0, len, dest);
  let sent = 0;
  const attempt = (): Result<number> => {
    // The caller's buffer may have been taken away meanwhile.
    if (bytes.length < len) return 'EFAULT';
    if ((flags & MSG_OOB) !== 0) return sosendoob(so, bytes, 0, len) ?? len;
    if (!stream) return sosendto(so, bytes, 0, len, dest, control) ?? len;
    do {
      const n = sosend(so, bytes, sent, len - sent);
      if (isErrno(n)) return n;
      sent += n;
    } while (sent < len && blocks(so, flags));
    return sent;
  };
  if (!blocks(so, flags)) return attempt();
  return block(proc.kernel.callouts, file.writers, attempt, so.ext?.sndTimeoMs ?? 0, () => (sent > 0 ? sent : 'EAGAIN'));
}

function rcvTimeo(so: Socket): number {
  return so.ext?.rcvTimeoMs ?? 0;
}

/** A blocking reader of a stream waits for the low-water mark, or for less if it asked for less. */
function belowLowat(so: Socket, wanted: number): boolean {
  const { cc, lowat } = so.rcv;
  if (cc === 0 || cc >= lowat || cc >= wanted || (so.proto.flags & PR_ATOMIC) !== 0) return false;
  return so.error === null && (so.state & SS_CANTRCVMORE) === 0;
}

function sysrecv(proc: Proc, fd: number, buf: Uint8Array, flags = 0): MaybePromise<Result<number>> {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  if (!isBytes(buf)) return 'EFAULT';
  if (!isInt(flags)) return 'EINVAL';
  const { so } = file;
  const len = buf.length;
  if (!blocks(so, flags) || (flags & MSG_OOB) !== 0) return soreceive(so, buf, 0, len, flags);
  const all = (flags & MSG_WAITALL) !== 0 && (flags & MSG_PEEK) === 0 && (so.proto.flags & PR_ATOMIC) === 0;
  let got = 0;
  const attempt = (): Result<number> => {
    if (buf.length < len) return 'EFAULT';
    do {
      const n = belowLowat(so, len - got) ? 'EAGAIN' : soreceive(so, buf, got, len - got, flags);
      if (isErrno(n)) {
        if (n === 'EAGAIN' && len - got < so.rcv.lowat) so.state |= SS_RCVWAIT;
        if (n === 'EAGAIN' || got === 0) return n;
        // What was read comes first; the error is for the next call.
        so.error = n;
        return got;
      }
      if (n === 0) return got;
      got += n;
    } while (all && got < len);
    return got;
  };
  return block(proc.kernel.callouts, file.readers, attempt, rcvTimeo(so), () => (got > 0 ? got : 'EAGAIN'));
}

function sysrecvfrom(proc: Proc, fd: number, buf: Uint8Array, flags = 0): MaybePromise<Result<Received>> {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  if (!isBytes(buf)) return 'EFAULT';
  if (!isInt(flags)) return 'EINVAL';
  const { so } = file;
  const len = buf.length;
  const attempt = (): Result<Received> => (buf.length < len ? 'EFAULT' : soreceivefrom(so, buf, 0, len, flags));
  if (!blocks(so, flags) || (flags & MSG_OOB) !== 0) return attempt();
  if ((so.proto.flags & PR_ATOMIC) !== 0) return block(proc.kernel.callouts, file.readers, attempt, rcvTimeo(so));
  const bytes = sysrecv(proc, fd, buf, flags);
  const received = (n: Result<number>): Result<Received> =>
    isErrno(n) ? n : { n, truncated: false, from: null, timestampMs: 0 };
  return bytes instanceof Promise ? bytes.then(received) : received(bytes);
}

/** By name, or by number: 0 rd, 1 wr, 2 rdwr. */
const SHUT: ReadonlyMap<unknown, 'rd' | 'wr' | 'rdwr'> = new Map<unknown, 'rd' | 'wr' | 'rdwr'>([
  [0, 'rd'],
  [1, 'wr'],
  [2, 'rdwr'],
  ['rd', 'rd'],
  ['wr', 'wr'],
  ['rdwr', 'rdwr'],
]);

function sysshutdown(proc: Proc, fd: number, how: unknown): Errno | null {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  const what = SHUT.get(how);
  if (what === undefined) return 'EINVAL';
  const err = soshutdown(file.so, what);
  file.wakeAll();
  return err;
}

function sysclose(proc: Proc, fd: number): MaybePromise<Errno | null> {
  const file = proc.files.remove(fd);
  return file === null ? 'EBADF' : closeFile(file, true);
}

function sysgetsockopt(proc: Proc, fd: number, level: number, name: number): Result<{ value: unknown }> {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  if (!isInt(level) || !isInt(name)) return 'EINVAL';
  const sopt: SockOpt = { dir: 'get', level, name, value: undefined };
  const err = sogetopt(file.so, sopt);
  return err ?? { value: sopt.value };
}

function syssetsockopt(proc: Proc, fd: number, level: number, name: number, value: unknown): Errno | null {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  if (!isInt(level) || !isInt(name)) return 'EINVAL';
  const copy = copyin(value);
  return isErrno(copy) ? copy : sosetopt(file.so, { dir: 'set', level, name, value: copy.value });
}

function sysioctl(proc: Proc, fd: number, cmd: number, data: unknown): Errno | null {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  if (!isInt(cmd)) return 'EINVAL';
  const copy = copyin(data);
  if (isErrno(copy)) return copy;
  return soioctl(file.so, cmd, copy.value) ?? copyout(copy.value, data);
}

function sysfcntl(proc: Proc, fd: number, cmd: number, arg = 0): Result<number> {
  const file = proc.files.get(fd);
  if (file === null) return 'EBADF';
  if (!isInt(arg)) return 'EINVAL';
  const { so } = file;
  if (cmd === F_GETFL) return O_RDWR | ((so.state & SS_NBIO) !== 0 ? O_NONBLOCK : 0);
  if (cmd !== F_SETFL) return 'EINVAL';
  so.state = (arg & O_NONBLOCK) !== 0 ? so.state | SS_NBIO : so.state & ~SS_NBIO;
  return 0;
}

function sysgetsockname(proc: Proc, fd: number): Result<SockAddr> {
  const file = proc.files.get(fd);
  return file === null ? 'EBADF' : sosockaddr(file.so);
}

function sysgetpeername(proc: Proc, fd: number): Result<SockAddr> {
  const file = proc.files.get(fd);
  return file === null ? 'EBADF' : sopeeraddr(file.so);
}

function sysuuidgen(proc: Proc, n: number): Result<Uint8Array[]> {
  return proc.kernel.uuid.uuidgen(n);
}

/** For `kernel.syscalls.register`. */
export const PROC_SYSCALLS: Readonly<Record<string, Syscall>> = {
  socket: syssocket,
  socketpair: syssocketpair,
  bind: sysbind,
  listen: syslisten,
  accept: sysaccept,
  connect: sysconnect,
  send: syssend,
  sendto: syssendto,
  sendmsg: syssendmsg,
  recv: sysrecv,
  recvfrom: sysrecvfrom,
  shutdown: sysshutdown,
  close: sysclose,
  getsockopt: sysgetsockopt,
  setsockopt: syssetsockopt,
  ioctl: sysioctl,
  poll: syspoll,
  fcntl: sysfcntl,
  getsockname: sysgetsockname,
  getpeername: sysgetpeername,
  uuidgen: sysuuidgen,
};
