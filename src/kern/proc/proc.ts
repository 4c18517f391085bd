/**
 * A process: what system calls are made for. It has descriptors and a routing table, and no memory or threads of its own. A call on
 * a descriptor that blocks (neither O_NONBLOCK nor MSG_DONTWAIT) is a promise; one that does not is its result at once.
 *
 * All calls go through the kernel's table of system calls, so one that is absent answers ENOSYS.
 */
import type { Errno, Result } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { Received } from '../socket/sendrecv.ts';
import type { ControlMsg, SockAddr } from '../socket/protosw.ts';
import { FdTable } from './filedesc.ts';
import type { PollFd } from './poll.ts';
import { closeFile } from './close.ts';

/** The result, or a promise of it where the call blocks. */
export type MaybePromise<T> = T | Promise<T>;

/** What sendmsg(2) takes: one buffer in place of a list of them. */
export interface MsgHdr {
  /** Null: to the connected peer. */
  readonly name: SockAddr | null;
  readonly bytes: Uint8Array;
  readonly control?: readonly ControlMsg[];
}

export class Proc {
  readonly kernel: Kernel;
  readonly name: string;
  /** Routing table of new sockets (setfib(2)). */
  fib = 0;
  readonly files = new FdTable();
  /** Most descriptors; further held by kern.maxfilesperproc. */
  maxFiles = 65536;
  #exited = false;

  constructor(kernel: Kernel, name = 'proc') {
    this.kernel = kernel;
    this.name = name;
    kernel.procs.add(this);
  }

  /** A system call by name; the table's answer for an unknown one is ENOSYS. */
  call(name: string, ...args: unknown[]): unknown {
    return this.kernel.syscalls.call(this, name, ...args);
  }

  fileLimit(): number {
    return this.#exited ? 0 : Math.min(this.maxFiles, this.kernel.domains.limits.maxfilesperproc);
  }

  /** Closes all descriptors; what is blocked on them gets EBADF. Nobody waits for lingering connections. */
  exit(): void {
    this.#exited = true;
    this.kernel.procs.delete(this);
    this.closeAll();
  }

  /** `exit` in parts, for who has not the time for all descriptors at once: closes at most `max`. True: it has exited. */
  exitSome(max: number): boolean {
    this.#exited = true;
    for (let closed = 0; closed < max; closed++) {
      const file = this.files.pop();
      if (file === null) break;
      void closeFile(file, false);
    }
    if (this.files.count() > 0) return false;
    this.kernel.procs.delete(this);
    return true;
  }

  /** Closes all descriptors, as `exit` does; the process lives on. Returns how many there were. */
  closeAll(): number {
    const files = this.files.entries();
    for (const [fd, file] of files) {
      this.files.remove(fd);
      void closeFile(file, false);
    }
    return files.length;
  }

  socket(family: number, type: number, protocol = 0): Result<number> {
    return this.call('socket', family, type, protocol) as Result<number>;
  }
  socketpair(family: number, type: number, protocol = 0): Result<[number, number]> {
    return this.call('socketpair', family, type, protocol) as Result<[number, number]>;
  }
  bind(fd: number, addr: SockAddr): Errno | null {
    return this.call('bind', fd, addr) as Errno | null;
  }
  listen(fd: number, backlog: number): Errno | null {
    return this.call('listen', fd, backlog) as Errno | null;
  }
  /** The new descriptor. */
  accept(fd: number): MaybePromise<Result<number>> {
    return this.call('accept', fd) as MaybePromise<Result<number>>;
  }
  /** EINPROGRESS where it does not block. */
  connect(fd: number, addr: SockAddr): MaybePromise<Errno | null> {
    return this.call('connect', fd, addr) as MaybePromise<Errno | null>;
  }
  /** Bytes sent; a blocking send of a stream takes all of them. The bytes must stay as they are until then. */
  send(fd: number, bytes: Uint8Array, flags = 0): MaybePromise<Result<number>> {
    return this.call('send', fd, bytes, flags) as MaybePromise<Result<number>>;
  }
  sendto(fd: number, bytes: Uint8Array, flags: number, to: SockAddr | null): MaybePromise<Result<number>> {
    return this.call('sendto', fd, bytes, flags, to) as MaybePromise<Result<number>>;
  }
  /** sendto with control data. EINVAL where the protocol takes none. */
  sendmsg(fd: number, msg: MsgHdr, flags = 0): MaybePromise<Result<number>> {
    return this.call('sendmsg', fd, msg, flags) as MaybePromise<Result<number>>;
  }
  /** Bytes received into `buf`; 0 at the end of the stream. */
  recv(fd: number, buf: Uint8Array, flags = 0): MaybePromise<Result<number>> {
    return this.call('recv', fd, buf, flags) as MaybePromise<Result<number>>;
  }
  recvfrom(fd: number, buf: Uint8Array, flags = 0): MaybePromise<Result<Received>> {
    return this.call('recvfrom', fd, buf, flags) as MaybePromise<Result<Received>>;
  }
  shutdown(fd: number, how: 'rd' | 'wr' | 'rdwr'): Errno | null {
    return this.call('shutdown', fd, how) as Errno | null;
  }
  /** A promise only where SO_LINGER has a time; EAGAIN when that is over. The descriptor is free at once. */
  close(fd: number): MaybePromise<Errno | null> {
    return this.call('close', fd) as MaybePromise<Errno | null>;
  }
  getsockopt(fd: number, level: number, name: number): Result<{ value: unknown }> {
    return this.call('getsockopt', fd, level, name) as Result<{ value: unknown }>;
  }
  setsockopt(fd: number, level: number, name: number, value: unknown): Errno | null {
    return this.call('setsockopt', fd, level, name, value) as Errno | null;
  }
  ioctl(fd: number, cmd: number, data: unknown): Errno | null {
    return this.call('ioctl', fd, cmd, data) as Errno | null;
  }
  poll(fds: PollFd[], timeoutMs: number): MaybePromise<Result<number>> {
    return this.call('poll', fds, timeoutMs) as MaybePromise<Result<number>>;
  }
  fcntl(fd: number, cmd: number, arg = 0): Result<number> {
    return this.call('fcntl', fd, cmd, arg) as Result<number>;
  }
  getsockname(fd: number): Result<SockAddr> {
    return this.call('getsockname', fd) as Result<SockAddr>;
  }
  getpeername(fd: number): Result<SockAddr> {
    return this.call('getpeername', fd) as Result<SockAddr>;
  }
  uuidgen(n: number): Result<Uint8Array[]> {
    return this.call('uuidgen', n) as Result<Uint8Array[]>;
  }
}
