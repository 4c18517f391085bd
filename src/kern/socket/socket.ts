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
import { Sockbuf } from './sockbuf.ts';
import type { SocketExt } from './soconst.ts';

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

export class Socket {
  readonly kernel: Kernel;
  readonly domain: Domain;
  readonly proto: Protosw;
  /** `proto.methods`, one step nearer. */
  readonly methods: ProtoMethods;
  /** The protocol's control block: an object or an index, as the stack likes. */
  pcb: unknown = null;
  /** `SS_*` bits. */
  state = 0;
  /** `SO_*` bits. */
  options = 0;
  /** SO_LINGER's time in seconds. */
  linger = 0;
  /** Routing table (SO_SETFIB). */
  fib = 0;
  /** Pending error; taken by the next call that reports it, once. */
  error: Errno | null = null;
  readonly rcv: Sockbuf;
  readonly snd: Sockbuf;
  handler: SocketHandler = NO_HANDLER;
  /** The handler's own. */
  data: unknown = null;
  /** The listening socket whose queue this one is in. */
  head: Socket | null = null;
  /** Queues of a listening socket. */
  listen: ListenQueue | null = null;
  /** An accept filter at work on a connection that is not yet complete. */
  filter: AcceptFilterState | null = null;
  /** What few sockets have: timeouts, the urgent mark, a cookie. */
  ext: SocketExt | null = null;

  constructor(kernel: Kernel, domain: Domain, proto: Protosw, rcvHiwat: number, sndHiwat: number) {
    this.kernel = kernel;
    this.domain = domain;
    this.proto = proto;
    this.methods = proto.methods;
    this.rcv = new Sockbuf(kernel.bufpool, rcvHiwat, 1);
    this.snd = new Sockbuf(kernel.bufpool, sndHiwat, 2048);
  }
}
