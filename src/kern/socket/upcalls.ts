/**
 * What protocols tell their sockets (uipc_socket.c, uipc_sockbuf.c). Each may end in the user's handler, which may call anything on the
 * socket: so nothing is read from before such a call that the call could have changed. On a closed socket all of this is harmless.
 */
import type { Errno } from '../errno.ts';
import { accfHold, accfReady } from './accf.ts';
import { type ControlMsg, PR_CONNREQUIRED, type SockAddr } from './protosw.ts';
import { reportAccept, reportConnect } from './report.ts';
import { sorcvbuf, sorcvlimits, sorcvrest, sosndlimits, sosndrest } from './sobuf.ts';
import {
  SS_CANTRCVMORE,
  SS_CANTSENDMORE,
  SS_ISCONFIRMING,
  SS_ISCONNECTED,
  SS_ISCONNECTING,
  SS_ISDISCONNECTED,
  SS_ISDISCONNECTING,
  SS_NBIO,
  SS_NOFDREF,
  SS_RCVATMARK,
  SS_RCVWAIT,
  SS_SNDWAIT,
  Socket,
  soinherit,
} from './socket.ts';
import { soabort, sodetach, soisclosed, sounqueue } from './sofree.ts';
import { SO_ACCEPTCONN, SO_TIMESTAMP, soext } from './soconst.ts';

/** Sets the buffers' limits: a protocol's `attach` does, if its defaults differ. ENOBUFS over kern.ipc.maxsockbuf. */
export function soreserve(so: Socket, sndBytes: number, rcvBytes: number): Errno | null {
  const max = so.kernel.domains.limits.maxsockbuf;
  if (sndBytes > max || rcvBytes > max) return 'ENOBUFS';
  sosndlimits(so, sndBytes, so.snd.lowat);
  sorcvlimits(so, rcvBytes, so.rcv.lowat);
  return null;
}

/** The queue of complete connections is over 3/2 of its limit. */
export function solistenfull(head: Socket): boolean {
  return head.listen !== null && head.listen.full();
}

/** A connection for a listening socket; null when its queue is full. It is incomplete until `soisconnected`. */
export function sonewconn(head: Socket): Socket | null {
  const queue = head.listen;
  if (queue === null) return null;
  const { kernel } = head;
  const { counters } = kernel.domains;
  if (queue.full()) {
    counters.listenoverflow++;
    const refused = queue.overflow(kernel.time.ms);
    if (refused > 0) {
      kernel.log.warn({ proto: head.proto.name, queued: queue.qlen(), backlog: queue.qlimit, refused }, 'listen queue is full');
    }
    return null;
  }
  // Before the new one is there: so a backlog of 0 still takes one, and nobody who hears of an end can close it.
  for (let old = queue.surplus(); old !== null; old = queue.surplus()) {
    counters.incompdropped++;
    soabort(old);
  }
  if (head.listen !== queue) return null;
  const so = new Socket(head.kind, head.rcv.home, head.snd.home);
  so.state = SS_NOFDREF | (head.state & SS_NBIO);
  so.options = head.options & ~SO_ACCEPTCONN;
  soinherit(so, head);
  so.handler = head.handler;
  so.head = head;
  if (so.methods.attach(so, head.proto.protocol, null) !== null) {
    so.head = null;
    return null;
  }
  so.rcv = head.rcv.home;
  so.snd = head.snd.home;
  counters.created++;
  kernel.domains.sockets.add(so);
  queue.addIncomp(so);
  return so;
}

export function soisconnecting(so: Socket): void {
  so.state = (so.state & ~(SS_ISCONNECTED | SS_ISDISCONNECTING)) | SS_ISCONNECTING;
}

/** The connection stands. One of a listener goes to its accept filter, or to the queue of complete ones. */
export function soisconnected(so: Socket): void {
  const opening = (so.state & SS_ISCONNECTING) !== 0;
  so.state = (so.state & ~(SS_ISCONNECTING | SS_ISDISCONNECTING | SS_ISCONFIRMING)) | SS_ISCONNECTED;
  const { head } = so;
  if (head === null) {
    if (opening && so.kernel.diag.connect.hasSubscribers) reportConnect(so, null);
    so.handler.connected(so);
    return;
  }
  const queue = head.listen;
  if (queue === null || !queue.isIncomp(so)) return;
  if (queue.filter === null) {
    promote(so, head);
  } else if (so.filter === null) {
    accfHold(so, queue.filter);
    runFilter(so);
  }
}

function promote(so: Socket, head: Socket): void {
  so.filter = null;
  if (so.kernel.diag.accept.hasSubscribers) reportAccept(so);
  head.listen?.complete(so);
  head.handler.accept(head);
}

function runFilter(so: Socket): void {
  const { filter, head } = so;
  if (filter !== null && head !== null && accfReady(so, filter)) promote(so, head);
}

/** Takes a listener's accept filter away: what it held back is accepted now. */
export function accfClear(head: Socket): null {
  const queue = head.listen;
  if (queue === null) return null;
  queue.filter = null;
  for (const so of queue.incomplete()) {
    if (so.filter !== null && so.head === head) promote(so, head);
  }
  return null;
}

export function soisdisconnecting(so: Socket): void {
  if ((so.state & SS_ISDISCONNECTED) !== 0) return;
  so.state = (so.state & ~SS_ISCONNECTING) | SS_ISDISCONNECTING | SS_CANTRCVMORE | SS_CANTSENDMORE;
  sorwakeup(so);
  sowwakeup(so);
}

/**
 * The connection is over. Unsent bytes are gone, and with them the send buffer; what came in order can still be read. A closed
 * socket's protocol must end with this.
 */
export function soisdisconnected(so: Socket): void {
  so.snd.clear();
  sosndrest(so);
  so.rcv.clearPlaced();
  sorcvrest(so);
  if ((so.state & SS_ISDISCONNECTED) !== 0) return;
  if ((so.state & SS_ISCONNECTING) !== 0 && so.kernel.diag.connect.hasSubscribers) reportConnect(so, so.error);
  so.state &= ~(SS_ISCONNECTING | SS_ISCONNECTED | SS_ISDISCONNECTING);
  so.state |= SS_ISDISCONNECTED | SS_CANTRCVMORE | SS_CANTSENDMORE;
  const { head } = so;
  if (head === null) {
    so.handler.closed(so);
  } else if (head.listen !== null && head.listen.isIncomp(so)) {
    // Nobody has seen it yet, so nobody else will let go of it.
    sounqueue(so);
    sodetach(so);
  }
}

/** Writing is over: the next call that writes gets EPIPE. */
export function socantsendmore(so: Socket): void {
  if ((so.state & SS_CANTSENDMORE) !== 0) return;
  so.state |= SS_CANTSENDMORE;
  if (so.head === null) so.handler.writable(so);
}

/** No more will come: the peer's FIN. What is in order can still be read; then the reader gets the end of the stream. */
export function socantrcvmore(so: Socket): void {
  if ((so.state & SS_CANTRCVMORE) !== 0) return;
  so.state |= SS_CANTRCVMORE;
  sorwakeup(so);
}

/** Keeps an error for the next call and wakes everyone. */
export function soseterror(so: Socket, err: Errno): void {
  if (soisclosed(so)) return;
  so.error = err;
  sorwakeup(so);
  if (so.error !== null && so.head === null) so.handler.writable(so);
}

/** The pending error, which is then no longer pending. */
export function sotakeerror(so: Socket): Errno | null {
  const err = so.error;
  so.error = null;
  return err;
}

/** Something to read, or an end of reading. */
export function sorwakeup(so: Socket): void {
  if (so.head === null) so.handler.readable(so);
  else runFilter(so);
}

/** Tells the writer if there is something to tell. */
export function sowwakeup(so: Socket): void {
  if (so.head === null && sowriteable(so)) so.handler.writable(so);
}

/** A read has something to report: bytes up to the low-water mark, a datagram, the end, an error, a connection to accept. */
export function soreadable(so: Socket): boolean {
  const { listen, rcv } = so;
  if (listen !== null) return listen.qlen() > 0 || so.error !== null;
  return rcv.cc >= rcv.lowat || (so.state & SS_CANTRCVMORE) !== 0 || so.error !== null || rcv.record() !== null;
}

/** A write has something to report: room up to the low-water mark on a connection, EPIPE, an error. */
export function sowriteable(so: Socket): boolean {
  if (so.error !== null || (so.state & SS_CANTSENDMORE) !== 0) return true;
  if (so.listen !== null || so.snd.space() < so.snd.lowat) return false;
  return (so.state & SS_ISCONNECTED) !== 0 || (so.proto.flags & PR_CONNREQUIRED) === 0;
}

/**
 * Stream data in order. The handler gets the link's own bytes while nothing waits in front of them; what it leaves is kept. The
 * caller has looked at `sorcvspace`.
 */
export function sorcv(so: Socket, bytes: Uint8Array, off: number, len: number): void {
  if ((so.state & SS_CANTRCVMORE) !== 0) {
    discard(so, len);
    return;
  }
  let taken = 0;
  if (so.rcv.cc === 0 && so.head === null) {
    taken = clampTaken(so.handler.data(so, bytes, off, len), len);
    if (taken > 0 && so.rcv.placed > 0) skip(so, taken);
    if (taken === len) return;
    if ((so.state & SS_CANTRCVMORE) !== 0) {
      discard(so, len - taken);
      return;
    }
  }
  if (!sorcvbuf(so).appendReserve(bytes, off + taken, len - taken)) {
    nobufs(so);
    return;
  }
  arrived(so);
}

/** `n` bytes that `so.rcv.place` put behind the end are now in order. */
export function sorcvcommit(so: Socket, n: number): void {
  if ((so.state & SS_CANTRCVMORE) !== 0) {
    discard(so, n);
    return;
  }
  let left = n;
  while (left > 0 && so.rcv.cc === 0 && so.head === null) {
    const { rcv } = so;
    const buf = rcv.buffer();
    if (buf === null) return;
    const len = rcv.contiguous(left);
    const taken = clampTaken(so.handler.data(so, buf, rcv.front(), len), len);
    skip(so, taken);
    left -= taken;
    if ((so.state & SS_CANTRCVMORE) !== 0) {
      discard(so, left);
      return;
    }
    if (taken < len) break;
  }
  if (left === 0) return;
  so.rcv.commit(left);
  arrived(so);
}

/** Bytes were added: tells the reader if they are enough for it. */
function arrived(so: Socket): void {
  if (so.rcv.cc < so.rcv.lowat && (so.state & SS_RCVWAIT) === 0) return;
  so.state &= ~SS_RCVWAIT;
  sorwakeup(so);
}

/** A handler is the user's code: what it says is held within what it was given. */
function clampTaken(taken: number, len: number): number {
  return taken > 0 ? (taken < len ? taken : len) : 0;
}

/** Bytes at the front of what came early were read where they lie, or are not wanted. */
function skip(so: Socket, n: number): void {
  so.rcv.skip(n);
  sorcvrest(so);
}

/** The user does not read any more. */
function discard(so: Socket, n: number): void {
  skip(so, n);
  so.kernel.domains.counters.rcvshutbytes += n;
}

/** Bytes that were acknowledged have no room, not even in the reserve: the connection cannot go on. */
function nobufs(so: Socket): void {
  const { counters } = so.kernel.domains;
  counters.nobufs++;
  counters.nobufsaborted++;
  so.methods.abort(so);
  soseterror(so, 'ENOBUFS');
  soisdisconnected(so);
}

/**
 * A datagram, to the handler or into the buffer; its address and bytes are copied. False: no room, counted. `control` is what the socket
 * asked for, made for it; null where it asked for nothing.
 */
export function sorcvdgram(
  so: Socket,
  from: SockAddr | null,
  bytes: Uint8Array,
  off: number,
  len: number,
  control: readonly ControlMsg[] | null = null,
): boolean {
  if (from !== null && so.head === null && so.rcv.record() === null && (so.state & SS_CANTRCVMORE) === 0) {
    if (so.handler.datagram(so, from, bytes, off, len, control)) return true;
  }
  if (!soappenddgram(so, from, bytes, off, len, control)) return false;
  if ((so.state & SS_CANTRCVMORE) === 0) sorwakeup(so);
  return true;
}

/** The half of `sorcvdgram` that calls nobody. */
export function soappenddgram(
  so: Socket,
  from: SockAddr | null,
  bytes: Uint8Array,
  off: number,
  len: number,
  control: readonly ControlMsg[] | null = null,
): boolean {
  const { counters } = so.kernel.domains;
  if ((so.state & SS_CANTRCVMORE) !== 0) {
    counters.rcvshutbytes += len;
    return true;
  }
  const now = (so.options & SO_TIMESTAMP) !== 0 ? so.kernel.clock.realtimeMs() : 0;
  if (sorcvbuf(so).appendRecord(from, bytes, off, len, false, now, control)) return true;
  sorcvrest(so);
  counters.dgramdropped++;
  return false;
}

/** `n` bytes of `so.snd` are acknowledged. Wakes the writer as the space passes the low-water mark. */
export function sosnddrop(so: Socket, n: number): void {
  const { snd } = so;
  const waited = snd.space() < snd.lowat || (so.state & SS_SNDWAIT) !== 0;
  snd.drop(n);
  if (snd.cc === 0) sosndrest(so);
  if (!waited || so.snd.space() < so.snd.lowat || so.head !== null) return;
  so.state &= ~SS_SNDWAIT;
  so.handler.writable(so);
}

/** Bytes the peer may still send. While the pool is short this is what the present buffer still takes. */
export function sorcvspace(so: Socket): number {
  const rcv = so.rcv;
  const space = rcv.space();
  if (so.kernel.bufpool.hasRoom()) return space;
  const slack = rcv.slack();
  return slack < space ? slack : space;
}

/** The urgent mark lies `at` bytes behind the front of `so.rcv`: reads stop there, and SIOCATMARK then says so. */
export function sooobmark(so: Socket, at: number): void {
  if (at === 0) so.state |= SS_RCVATMARK;
  else soext(so).oobMark = at;
  if (so.head === null) so.handler.readable(so);
}
