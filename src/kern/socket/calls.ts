/**
 * What users do with sockets (uipc_socket.c), from making one to closing it; sending and receiving are `sendrecv.ts`. Nothing here waits:
 * what cannot be done now answers EAGAIN, or EINPROGRESS for a connection that has begun, and the socket's handler says when it is
 * time. Waiting is the process's business (`proc/`).
 */
import { type Errno, type Result, isErrno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { Proc } from '../proc/proc.ts';
import { NO_HANDLER } from './handler.ts';
import { ListenQueue } from './listen.ts';
import { PR_ATOMIC, PR_CONNREQUIRED, PR_WANTRCVD, type SockAddr } from './protosw.ts';
import { SO_ACCEPTCONN } from './soconst.ts';
import {
  SS_CANTRCVMORE,
  SS_CANTSENDMORE,
  SS_ISCONFIRMING,
  SS_ISCONNECTED,
  SS_ISCONNECTING,
  SS_ISDISCONNECTED,
  SS_ISDISCONNECTING,
  SS_NOFDREF,
  SS_RCVATMARK,
  Socket,
  SocketKind,
} from './socket.ts';
import { sorcvrest } from './sobuf.ts';
import { soabort, sodetach, soisclosed } from './sofree.ts';
import { socantrcvmore, soisdisconnected, soreadable, sotakeerror, sowriteable } from './upcalls.ts';

export { sogetopt, sosetopt } from './sockopt.ts';
export { soioctl } from './soioctl.ts';
export { soabort } from './sofree.ts';
export { sotakeerror } from './upcalls.ts';

/** Events of poll(2). */
export const POLLIN = 0x1;
export const POLLPRI = 0x2;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
export const POLLRDHUP = 0x4000;

/** Buffers of a socket whose protocol says nothing else, in bytes. */
const SOCKBUF_DEFAULT = 65536;
/** Low-water marks of a new socket, bytes. */
const RCV_LOWAT = 1;
const SND_LOWAT = 2048;

/** EAFNOSUPPORT, EPROTOTYPE, EPROTONOSUPPORT, or the protocol's own. */
export function socreate(kernel: Kernel, family: number, type: number, protocol: number, proc: Proc | null): Result<Socket> {
  const found = kernel.domains.find(family, type, protocol);
  if (isErrno(found)) return found;
  const rcv = kernel.sockbufs.empty(SOCKBUF_DEFAULT, RCV_LOWAT);
  const kind = new SocketKind(kernel, found.domain, found.proto, proc === null ? 'kernel' : proc.name);
  const so = new Socket(kind, rcv, kernel.sockbufs.empty(SOCKBUF_DEFAULT, SND_LOWAT));
  kernel.netstack.current.socreate(so, proc);
  const err = so.methods.attach(so, protocol, proc);
  if (err !== null) return err;
  kernel.domains.counters.created++;
  kernel.domains.sockets.add(so);
  return so;
}

/** EINVAL on a connection that is over. */
export function sobind(so: Socket, addr: SockAddr): Errno | null {
  return so.pcb === null ? 'EINVAL' : so.methods.bind(so, addr);
}

/** Begins to listen, or changes the backlog of one that does. EINVAL on a socket with a connection. */
export function solisten(so: Socket, backlog: number): Errno | null {
  const connection = SS_ISCONNECTED | SS_ISCONNECTING | SS_ISDISCONNECTING | SS_ISDISCONNECTED;
  if (so.pcb === null || (so.state & connection) !== 0) return 'EINVAL';
  const max = so.kernel.domains.limits.soacceptqueue;
  const qlimit = backlog >= 0 && backlog <= max ? backlog | 0 : max;
  const before = so.listen;
  so.listen ??= new ListenQueue(qlimit);
  so.options |= SO_ACCEPTCONN;
  const err = so.methods.listen(so, qlimit);
  if (err !== null) {
    so.listen = before;
    if (before === null) so.options &= ~SO_ACCEPTCONN;
    return err;
  }
  so.listen.qlimit = qlimit;
  return null;
}

/**
 * The connection that waits longest; it has its listener's handler and no `data` of its own yet. What came before it was accepted
 * is in its buffer: `soreceive`, or `sodeliver` for a handler that reads by `data`. EAGAIN, EINVAL (not listening).
 *
 * Deviation: FreeBSD answers ECONNABORTED for one that died while it waited. Here it is skipped and counted, so that a loop
 * until EAGAIN takes all.
 */
export function soaccept(head: Socket): Result<Socket> {
  const queue = head.listen;
  if (queue === null) return 'EINVAL';
  const err = sotakeerror(head);
  if (err !== null) return err;
  for (let so = queue.shift(); so !== null; so = queue.shift()) {
    so.head = null;
    if ((so.state & SS_ISDISCONNECTED) !== 0 && so.rcv.cc === 0 && so.rcv.record() === null) {
      so.handler = NO_HANDLER;
      sodetach(so);
      head.kernel.domains.counters.acceptaborted++;
      continue;
    }
    so.state &= ~SS_NOFDREF;
    return so;
  }
  return 'EAGAIN';
}

/** Null: connected (a datagram socket, the local domain); EINPROGRESS: `handler.connected` or `handler.closed` will say. A connection is for once. */
export function soconnect(so: Socket, addr: SockAddr): Errno | null {
  if (so.listen !== null) return 'EOPNOTSUPP';
  if ((so.state & SS_ISCONNECTING) !== 0) return 'EALREADY';
  const connection = (so.proto.flags & PR_CONNREQUIRED) !== 0;
  if (connection && (so.state & SS_ISDISCONNECTED) !== 0) return 'EINVAL';
  if ((so.state & SS_ISCONNECTED) !== 0) {
    if (connection) return 'EISCONN';
    const err = sodisconnect(so);
    if (err !== null) return err;
  }
  so.error = null;
  const err = so.methods.connect(so, addr);
  if (err !== null) return err;
  return (so.state & SS_ISCONNECTING) !== 0 ? 'EINPROGRESS' : null;
}

export function soconnect2(a: Socket, b: Socket): Errno | null {
  return a.methods.connect2(a, b);
}

/** ENOTCONN; EALREADY while it is under way. */
export function sodisconnect(so: Socket): Errno | null {
  if ((so.state & SS_ISCONNECTED) === 0) return 'ENOTCONN';
  if ((so.state & SS_ISDISCONNECTING) !== 0) return 'EALREADY';
  return so.methods.disconnect(so);
}

/**
 * `rd`: what is unread is thrown away, and what comes is too. `wr`: no more is sent; the peer reads to the end. ENOTCONN
 * without a connection (a datagram socket is shut all the same); a listening socket's waiters get ECONNABORTED.
 */
export function soshutdown(so: Socket, how: 'rd' | 'wr' | 'rdwr'): Errno | null {
  let result: Errno | null = null;
  if ((so.state & (SS_ISCONNECTED | SS_ISCONNECTING | SS_ISDISCONNECTING)) === 0) {
    result = 'ENOTCONN';
    if (so.listen !== null && how !== 'wr') {
      so.error = 'ECONNABORTED';
      so.handler.readable(so);
    }
    if ((so.proto.flags & PR_ATOMIC) === 0 || so.listen !== null) return result;
  }
  if (how !== 'wr') {
    const unread = so.rcv.cc;
    while (so.rcv.record() !== null) so.rcv.dropRecord();
    so.rcv.drop(so.rcv.cc);
    sorcvrest(so);
    socantrcvmore(so);
    if (unread > 0 && (so.proto.flags & PR_WANTRCVD) !== 0 && so.pcb !== null) so.methods.rcvd(so);
  }
  if (how !== 'rd' && (so.state & SS_CANTSENDMORE) === 0) {
    so.state |= SS_CANTSENDMORE;
    const err = so.methods.shutdown(so);
    if (err !== null) {
      so.state &= ~SS_CANTSENDMORE;
      return err;
    }
  }
  return result;
}

/**
 * Closes. An orderly end goes on without the socket: what is unsent is sent, unless SO_LINGER is 0. The handler is taken off first, so
 * no callback comes after this. A listening socket resets what it had not accepted.
 */
export function soclose(so: Socket): Errno | null {
  if (soisclosed(so)) return null;
  // At once, because others hear of the end before it is over, and may close this one again.
  so.state |= SS_NOFDREF;
  so.handler = NO_HANDLER;
  const queue = so.listen;
  if (queue !== null) {
    so.listen = null;
    for (const child of queue.incomplete()) {
      child.head = null;
      child.state &= ~SS_NOFDREF;
      soabort(child);
    }
    for (let child = queue.shift(); child !== null; child = queue.shift()) {
      child.head = null;
      child.state &= ~SS_NOFDREF;
      soabort(child);
    }
    sodetach(so);
    return null;
  }
  const err = sodisconnect(so);
  sodetach(so);
  const going = (so.state & (SS_ISCONNECTED | SS_ISDISCONNECTING)) !== 0 && (so.proto.flags & PR_CONNREQUIRED) !== 0;
  if (!going || (err !== null && err !== 'EALREADY')) soisdisconnected(so);
  return err === 'ENOTCONN' || err === 'EALREADY' ? null : err;
}

/** `POLL*` bits that hold now. */
export function sopoll(so: Socket): number {
  const { state } = so;
  let events = soreadable(so) ? POLLIN : 0;
  if (so.error !== null) events |= POLLERR;
  if ((state & SS_RCVATMARK) !== 0 || (so.ext !== null && so.ext.oobMark > 0)) events |= POLLPRI;
  if ((state & SS_CANTRCVMORE) !== 0) events |= POLLRDHUP;
  if ((state & (SS_CANTRCVMORE | SS_CANTSENDMORE)) === (SS_CANTRCVMORE | SS_CANTSENDMORE)) return events | POLLHUP;
  return sowriteable(so) ? events | POLLOUT : events;
}

/** EINVAL once the protocol has forgotten a connection that is over. */
export function sosockaddr(so: Socket): Result<SockAddr> {
  return so.pcb === null ? 'EINVAL' : so.methods.sockaddr(so);
}

/** ENOTCONN without a peer. */
export function sopeeraddr(so: Socket): Result<SockAddr> {
  if ((so.state & (SS_ISCONNECTED | SS_ISCONFIRMING)) === 0 || so.pcb === null) return 'ENOTCONN';
  return so.methods.peeraddr(so);
}
