/**
 * Contract between a socket and its protocol: the protocol switch (domain(9), protosw). A domain is an address family with its
 * protocols; each protocol fills `ProtoMethods`, and every method it leaves out answers EOPNOTSUPP as in FreeBSD.
 */
import type { InetSockAddr } from '../../wire/addr.ts';
import type { Errno, Result } from '../errno.ts';
import { defineInterface } from '../kobj.ts';
import type { Proc } from '../proc/proc.ts';
import type { Socket } from './socket.ts';

export const AF_LOCAL = 1;
export const AF_INET = 2;
export const AF_INET6 = 28;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;

/** The local domain's address: a name in the kernel's own space, `''` for an unnamed end. */
export interface LocalSockAddr {
  readonly kind: 'local';
  readonly path: string;
}

export type SockAddr = InetSockAddr | LocalSockAddr;

/** Messages are kept whole; each comes with its sender's address; a connection is needed; the protocol is told of reads. */
export const PR_ATOMIC = 0x1;
export const PR_ADDR = 0x2;
export const PR_CONNREQUIRED = 0x4;
export const PR_WANTRCVD = 0x8;
/** sendto(2) on a stream that is not connected connects it. */
export const PR_IMPLOPCL = 0x20;
/** `sendto` takes control data. */
export const PR_CONTROL = 0x40;

/**
 * One piece of control data (`struct cmsghdr` of recvmsg(2) and sendmsg(2)): what a socket asked to be told of a datagram, or says about
 * one. What `level` and `type` there are, and the value of each, is the protocol's.
 */
export interface ControlMsg {
  readonly level: number;
  readonly type: number;
  readonly value: unknown;
}

/** A request to get or set an option. `value` is the answer of a get. */
export interface SockOpt {
  readonly dir: 'get' | 'set';
  /** `SOL_SOCKET` or a protocol number. */
  readonly level: number;
  readonly name: number;
  value: unknown;
}

export interface ProtoMethods {
  /** A new socket; make its pcb. */
  attach(so: Socket, protocol: number, proc: Proc | null): Errno | null;
  /** The socket is going: forget it. A connection that is still closing keeps its pcb without it. */
  detach(so: Socket): void;
  bind(so: Socket, addr: SockAddr): Errno | null;
  listen(so: Socket, backlog: number): Errno | null;
  /** Begins to connect (`soisconnecting`, then `soisconnected` or an error), or sets a datagram socket's peer. */
  connect(so: Socket, addr: SockAddr): Errno | null;
  connect2(so: Socket, peer: Socket): Errno | null;
  /** Begins an orderly end; with `SO_LINGER` of 0, an abort. */
  disconnect(so: Socket): Errno | null;
  /** No more data will be sent. */
  shutdown(so: Socket): Errno | null;
  /** Bytes were appended to `so.snd`: send what may be sent. Output happens at the end of the batch. */
  send(so: Socket): void;
  /**
   * One message (PR_ATOMIC). `to` null: to the connected peer. The bytes are the caller's again on return. `control` only with PR_CONTROL:
   * EINVAL for what the protocol does not know.
   */
  sendto(
    so: Socket,
    bytes: Uint8Array,
    off: number,
    len: number,
    to: SockAddr | null,
    control: readonly ControlMsg[] | null,
  ): Errno | null;
  sendoob(so: Socket, bytes: Uint8Array, off: number, len: number): Errno | null;
  /** The application took bytes out of `so.rcv` (PR_WANTRCVD): the window may open. */
  rcvd(so: Socket): void;
  rcvoob(so: Socket, peek: boolean): Result<number>;
  /** Ends at once, with a reset where the protocol has one. */
  abort(so: Socket): void;
  sockaddr(so: Socket): Result<SockAddr>;
  peeraddr(so: Socket): Result<SockAddr>;
  /** ioctls of no registered group. */
  control(so: Socket, cmd: number, data: unknown): Errno | null;
  /** Options; default ENOPROTOOPT. */
  ctloutput(so: Socket, sopt: SockOpt): Errno | null;
}

const unsupported = (): Errno => 'EOPNOTSUPP';

export const protoInterface = defineInterface<ProtoMethods>('protosw', {
  attach: unsupported,
  detach: () => undefined,
  bind: unsupported,
  listen: unsupported,
  connect: unsupported,
  connect2: unsupported,
  disconnect: unsupported,
  shutdown: unsupported,
  send: () => undefined,
  sendto: unsupported,
  sendoob: unsupported,
  rcvd: () => undefined,
  rcvoob: unsupported,
  abort: () => undefined,
  sockaddr: unsupported,
  peeraddr: unsupported,
  control: unsupported,
  ctloutput: () => 'ENOPROTOOPT',
});

/** A protocol of a domain. `methods` is the bound object: the stack's state is in it. */
export interface Protosw {
  readonly name: string;
  readonly type: number;
  /** IANA's protocol number; 0 is the wildcard of a raw domain. */
  readonly protocol: number;
  /** `PR_*` bits. */
  readonly flags: number;
  readonly methods: ProtoMethods;
}

export interface Domain {
  readonly family: number;
  readonly name: string;
  readonly protosw: readonly Protosw[];
}
