/**
 * A socket: state shared by its user above and its protocol below. What users call is in `calls.ts`, what protocols call in
 * `upcalls.ts`.
 */
import type { Errno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { AcceptFilterState } from './accf.ts';
import { NO_HANDLER, type SocketHandler } from './handler.ts';
import type { ListenQueue } from './listen.ts';
import type { Domain, ProtoMethods, Protosw } from './protosw.ts';
import type { SockbufView } from './sockbuf.ts';

/** States (sys/socketvar.h). */
export const SS_NOFDREF = 0x1;
export const SS_ISCONNECTED = 0x2;
export const SS_ISCONNECTING = 0x4;
export const SS_ISDISCONNECTING = 0x8;
export const SS_NBIO = 0x100;
export const SS_ISCONFIRMING = 0x400;
export const SS_ISDISCONNECTED = 0x2000;
/** No more can be sent; no more can be received (FreeBSD keeps these on the socket buffers). */
export const SS_CANTSENDMORE = 0x10000;
export const SS_CANTRCVMORE = 0x20000;
/** The next byte to read is the urgent mark. */
export const SS_RCVATMARK = 0x40000;
/** A writer was refused for another reason than the low-water mark: it is to be told of the next bytes that go. */
export const SS_SNDWAIT = 0x80000;
/** A blocked reader wants fewer bytes than the low-water mark: it is to be told of the next that come. */
export const SS_RCVWAIT = 0x100000;
/** In its listener's queue of those that are not complete (`ListenQueue`'s own). */
export const SS_INCOMP = 0x200000;

/** What a socket has in common with those that its listener accepts. */
export class SocketKind {
  readonly kernel: Kernel;
  readonly domain: Domain;
  readonly proto: Protosw;
  /** `proto.methods`, one step nearer. */
  readonly methods: ProtoMethods;
  /** Who has it: a process's name, a service's; for the operator's eyes. */
  readonly owner: string;

  constructor(kernel: Kernel, domain: Domain, proto: Protosw, owner: string) {
    this.kernel = kernel;
    this.domain = domain;
    this.proto = proto;
    this.methods = proto.methods;
    this.owner = owner;
  }
}

/** There may be very many of them, idle: what is shared lies in `kind`, what is rare in `ext`, and is read and written through here. */
export class Socket {
  kind: SocketKind;
  /** The protocol's control block: an object or an index, as the stack likes. */
  pcb: unknown = null;
  /** `SS_*` bits. */
  state = 0;
  /** `SO_*` bits. */
  options = 0;
  /** Pending error; taken by the next call that reports it, once. */
  error: Errno | null = null;
  /** To read from; whoever writes asks `sorcvbuf` and `sosndbuf` (sobuf.ts), because an empty one is shared. */
  rcv: SockbufView;
  snd: SockbufView;
  handler: SocketHandler = NO_HANDLER;
  /** The handler's own. */
  data: unknown = null;
  /** The listening socket whose queue this one is in. */
  head: Socket | null = null;
  /** What few sockets have: queues, timeouts, the urgent mark, a cookie. */
  ext: SocketExt | null = null;
  /** Neighbours in the list of all sockets (`SocketList`). */
  prevSocket: Socket | null = null;
  nextSocket: Socket | null = null;

  constructor(kind: SocketKind, rcv: SockbufView, snd: SockbufView) {
    this.kind = kind;
    this.rcv = rcv;
    this.snd = snd;
  }

  get kernel(): Kernel {
    return this.kind.kernel;
  }
  get domain(): Domain {
    return this.kind.domain;
  }
  get proto(): Protosw {
    return this.kind.proto;
  }
  get methods(): ProtoMethods {
    return this.kind.methods;
  }

  get owner(): string {
    return this.kind.owner;
  }
  set owner(owner: string) {
    const { kernel, domain, proto } = this.kind;
    this.kind = new SocketKind(kernel, domain, proto, owner);
  }

  /** SO_LINGER's time in seconds. */
  get linger(): number {
    return this.ext === null ? 0 : this.ext.linger;
  }
  set linger(seconds: number) {
    if (seconds !== this.linger) (this.ext ??= new SocketExt()).linger = seconds;
  }

  /** Routing table (SO_SETFIB). */
  get fib(): number {
    return this.ext === null ? 0 : this.ext.fib;
  }
  set fib(fib: number) {
    if (fib !== this.fib) (this.ext ??= new SocketExt()).fib = fib;
  }

  /** Queues of a listening socket. */
  get listen(): ListenQueue | null {
    return this.ext === null ? null : this.ext.listen;
  }
  set listen(queue: ListenQueue | null) {
    if (queue !== this.listen) (this.ext ??= new SocketExt()).listen = queue;
  }

  /** An accept filter at work on a connection that is not yet complete. */
  get filter(): AcceptFilterState | null {
    return this.ext === null ? null : this.ext.filter;
  }
  set filter(filter: AcceptFilterState | null) {
    if (filter !== this.filter) (this.ext ??= new SocketExt()).filter = filter;
  }
}

/** Rarely used state of a socket. */
export class SocketExt {
  linger = 0;
  fib = 0;
  listen: ListenQueue | null = null;
  filter: AcceptFilterState | null = null;
  /** Milliseconds; 0: no limit. */
  rcvTimeoMs = 0;
  sndTimeoMs = 0;
  userCookie = 0;
  /** Distance of the urgent mark from the front of `so.rcv`; 0: none. */
  oobMark = 0;
}

/** A connection has its listener's options, the rare ones too. */
export function soinherit(so: Socket, head: Socket): void {
  const from = head.ext;
  if (from === null) return;
  const timeo = from.rcvTimeoMs !== 0 || from.sndTimeoMs !== 0;
  if (!timeo && from.linger === 0 && from.fib === 0 && from.userCookie === 0) return;
  const to = (so.ext ??= new SocketExt());
  to.linger = from.linger;
  to.fib = from.fib;
  to.rcvTimeoMs = from.rcvTimeoMs;
  to.sndTimeoMs = from.sndTimeoMs;
  to.userCookie = from.userCookie;
}
