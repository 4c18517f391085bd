/**
 * Sending and receiving (uipc_socket.c: sosend, soreceive), for users; naming, connecting and closing are `calls.ts`. Nothing here waits:
 * what cannot be done now answers EAGAIN, and the socket's handler says when it is time.
 */
import { type Errno, type Result, isErrno } from '../errno.ts';
import { soconnect } from './calls.ts';
import { type ControlMsg, PR_ATOMIC, PR_CONNREQUIRED, PR_CONTROL, PR_IMPLOPCL, PR_WANTRCVD, type SockAddr } from './protosw.ts';
import { sorcvrest, sosndbuf, sosndrest } from './sobuf.ts';
import {
  SS_CANTRCVMORE,
  SS_CANTSENDMORE,
  SS_ISCONFIRMING,
  SS_ISCONNECTED,
  SS_ISCONNECTING,
  SS_RCVATMARK,
  SS_SNDWAIT,
  type Socket,
} from './socket.ts';
import { soisclosed } from './sofree.ts';
import { soreadable, sotakeerror } from './upcalls.ts';

/** Flags of send and receive (FreeBSD's sys/socket.h). */
export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_DONTROUTE = 0x4;
export const MSG_TRUNC = 0x10;
export const MSG_WAITALL = 0x40;
export const MSG_DONTWAIT = 0x80;
export const MSG_NOSIGNAL = 0x20000;

/**
 * Sends on a stream: how many bytes were taken, which may be fewer. EPIPE, the pending error, ENOTCONN, EAGAIN (no room up to
 * the low-water mark, or still connecting), ENOBUFS (the buffer pool is at its limit and nothing of this socket's is in flight).
 */
export function sosend(so: Socket, bytes: Uint8Array, off: number, len: number): Result<number> {
  return send(so, bytes, off, len, false);
}

/**
 * `sosend` without a copy: the bytes must stay as they are until the peer has acknowledged them or the connection is gone. For what is
 * constant, or large (sosend(9) with mbufs of external storage). How many were taken, and the errors of `sosend`.
 */
export function sosendref(so: Socket, bytes: Uint8Array, off: number, len: number): Result<number> {
  return send(so, bytes, off, len, true);
}

function send(so: Socket, bytes: Uint8Array, off: number, len: number, byRef: boolean): Result<number> {
  const { state } = so;
  if ((state & SS_CANTSENDMORE) !== 0) return sotakeerror(so) ?? 'EPIPE';
  if (so.error !== null) return sotakeerror(so) ?? 'EPIPE';
  if ((state & SS_ISCONNECTED) === 0) return (state & (SS_ISCONNECTING | SS_ISCONFIRMING)) !== 0 ? 'EAGAIN' : 'ENOTCONN';
  if ((so.proto.flags & PR_ATOMIC) !== 0) {
    const err = sosendto(so, bytes, off, len, null);
    return err === null ? len : err;
  }
  const space = so.snd.space();
  let n = len;
  if (n > space) {
    if (space < so.snd.lowat) return 'EAGAIN';
    n = space;
  }
  if (n === 0) return 0;
  const snd = sosndbuf(so);
  if (!(byRef ? snd.appendRef(bytes, off, n) : snd.append(bytes, off, n))) {
    so.kernel.domains.counters.nobufs++;
    n = Math.min(n, snd.slack());
    so.state |= SS_SNDWAIT;
    if (n === 0) {
      if (snd.cc > 0) return 'EAGAIN';
      sosndrest(so);
      return 'ENOBUFS';
    }
    snd.append(bytes, off, n);
  }
  so.methods.send(so);
  return n;
}

/**
 * Sends a message; `to` null: to the connected peer. EMSGSIZE, EDESTADDRREQ, ENOTCONN, EISCONN, EPIPE, the pending error; EINVAL for control
 * data that the protocol does not take.
 */
export function sosendto(
  so: Socket,
  bytes: Uint8Array,
  off: number,
  len: number,
  to: SockAddr | null,
  control: readonly ControlMsg[] | null = null,
): Errno | null {
  if ((so.state & SS_CANTSENDMORE) !== 0) return sotakeerror(so) ?? 'EPIPE';
  if (so.error !== null) return sotakeerror(so);
  const connected = (so.state & SS_ISCONNECTED) !== 0;
  if ((so.proto.flags & PR_CONNREQUIRED) !== 0) {
    if (!connected) return (so.state & SS_ISCONNECTING) !== 0 ? 'EAGAIN' : 'ENOTCONN';
    if (to !== null) return 'EISCONN';
  } else if (to === null && !connected) {
    return 'EDESTADDRREQ';
  }
  if (len > so.snd.hiwat) return 'EMSGSIZE';
  if (control !== null && (so.proto.flags & PR_CONTROL) === 0) return 'EINVAL';
  return so.methods.sendto(so, bytes, off, len, to, control);
}

/**
 * sendto(2) on a stream that is not connected: connects it with these as its first bytes, which may go with the SYN (RFC 7413). How many were
 * taken; EISCONN, EALREADY, EOPNOTSUPP (the protocol has no such thing), and the errors of connecting.
 */
export function sosendconnect(so: Socket, bytes: Uint8Array, off: number, len: number, to: SockAddr): Result<number> {
  if ((so.state & SS_ISCONNECTED) !== 0) return 'EISCONN';
  if ((so.proto.flags & PR_IMPLOPCL) === 0) return 'EOPNOTSUPP';
  if ((so.state & SS_ISCONNECTING) !== 0) return 'EALREADY';
  if ((so.state & SS_CANTSENDMORE) !== 0) return sotakeerror(so) ?? 'EPIPE';
  const n = Math.min(len, so.snd.space());
  if (n > 0 && !sosndbuf(so).append(bytes, off, n)) {
    sosndrest(so);
    return 'ENOBUFS';
  }
  const err = soconnect(so, to);
  if (err === null || err === 'EINPROGRESS') return n;
  so.snd.drop(n);
  sosndrest(so);
  return err;
}

/** Urgent data (MSG_OOB); EOPNOTSUPP where the protocol has none. */
export function sosendoob(so: Socket, bytes: Uint8Array, off: number, len: number): Errno | null {
  if ((so.state & SS_CANTSENDMORE) !== 0) return sotakeerror(so) ?? 'EPIPE';
  if (so.error !== null) return sotakeerror(so);
  if ((so.state & SS_ISCONNECTED) === 0) return 'ENOTCONN';
  return so.methods.sendoob(so, bytes, off, len);
}

/**
 * Reads what is there, up to `len` bytes; 0 at the end of the stream. Bytes come before a pending error, an error before the end.
 * EAGAIN, ENOTCONN. MSG_PEEK leaves them; MSG_OOB reads the urgent byte. Of a message the rest is lost (`soreceivefrom` tells).
 */
export function soreceive(so: Socket, dst: Uint8Array, off: number, len: number, flags: number): Result<number> {
  if ((flags & MSG_OOB) !== 0) return receiveoob(so, dst, off, len, (flags & MSG_PEEK) !== 0);
  const rcv = so.rcv;
  if ((so.proto.flags & PR_ATOMIC) !== 0) {
    const got = soreceivefrom(so, dst, off, len, flags);
    return isErrno(got) ? got : got.n;
  }
  let n = rcv.cc;
  if (n === 0) return nothing(so, len, (flags & MSG_PEEK) !== 0);
  if (n > len) n = len;
  if (n === 0) return 0;
  const { ext } = so;
  if (ext !== null && ext.oobMark > 0 && n > ext.oobMark) n = ext.oobMark;
  rcv.copyOut(0, n, dst, off);
  if ((flags & MSG_PEEK) !== 0) return n;
  rcv.drop(n);
  if (rcv.cc === 0) sorcvrest(so);
  so.state &= ~SS_RCVATMARK;
  if (ext !== null && ext.oobMark > 0) {
    ext.oobMark -= n;
    if (ext.oobMark === 0) so.state |= SS_RCVATMARK;
  }
  rcvd(so);
  return n;
}

export interface Received {
  readonly n: number;
  /** The message was longer than the buffer. */
  readonly truncated: boolean;
  readonly from: SockAddr | null;
  /** With SO_TIMESTAMP: when it came, milliseconds since the epoch; else 0. */
  readonly timestampMs: number;
  /** What the socket asked to be told of the message, if anything. */
  readonly control?: readonly ControlMsg[];
}

/** Reads a message and its sender. On a stream: bytes, and `from` is null. */
export function soreceivefrom(so: Socket, dst: Uint8Array, off: number, len: number, flags: number): Result<Received> {
  if ((so.proto.flags & PR_ATOMIC) === 0 || (flags & MSG_OOB) !== 0) {
    const n = soreceive(so, dst, off, len, flags);
    return isErrno(n) ? n : { n, truncated: false, from: null, timestampMs: 0 };
  }
  const record = so.rcv.record();
  if (record === null) {
    const none = nothing(so, len, (flags & MSG_PEEK) !== 0);
    return isErrno(none) ? none : { n: 0, truncated: false, from: null, timestampMs: 0 };
  }
  const n = record.len < len ? record.len : len;
  so.rcv.copyOut(0, n, dst, off);
  if ((flags & MSG_PEEK) === 0) {
    so.rcv.dropRecord();
    sorcvrest(so);
    rcvd(so);
  }
  // MSG_TRUNC asks for the message's own length.
  const told = (flags & MSG_TRUNC) !== 0 ? record.len : n;
  const { from, timestampMs, control } = record;
  const received: Received = { n: told, truncated: record.truncated || n < record.len, from, timestampMs };
  return control === null ? received : { ...received, control };
}

/** Tells a protocol that wants to know, and still has the socket, that bytes were read. */
function rcvd(so: Socket): void {
  if ((so.proto.flags & PR_WANTRCVD) !== 0 && so.pcb !== null) so.methods.rcvd(so);
}

/** Why there is nothing to read. Who wants none of it has it at once. */
function nothing(so: Socket, len: number, peek: boolean): Result<number> {
  if (so.listen !== null) return 'ENOTCONN';
  if (so.error !== null) return peek ? so.error : (sotakeerror(so) ?? 0);
  if ((so.state & SS_CANTRCVMORE) !== 0) return 0;
  const connection = SS_ISCONNECTED | SS_ISCONNECTING;
  if ((so.proto.flags & PR_CONNREQUIRED) !== 0 && (so.state & connection) === 0) return 'ENOTCONN';
  return len === 0 ? 0 : 'EAGAIN';
}

function receiveoob(so: Socket, dst: Uint8Array, off: number, len: number, peek: boolean): Result<number> {
  const byte = so.pcb === null ? 'EINVAL' : so.methods.rcvoob(so, peek);
  if (isErrno(byte)) return byte;
  if (len === 0) return 0;
  dst[off] = byte;
  return 1;
}

/**
 * Offers what waits in `so.rcv` to `handler.data` again, then calls `readable` if bytes, the end or an error are left to be read:
 * for a user that has just accepted, or that had stopped taking and goes on. The handler must not read by `soreceive` in `data`.
 */
export function sodeliver(so: Socket): void {
  let took = 0;
  while (so.rcv.cc > 0 && (so.proto.flags & PR_ATOMIC) === 0) {
    const { rcv } = so;
    const buf = rcv.buffer();
    if (buf === null) break;
    const len = rcv.contiguous(rcv.cc);
    const taken = so.handler.data(so, buf, rcv.front(), len);
    // Its user may have closed it meanwhile.
    if (!(taken > 0) || so.rcv !== rcv) break;
    rcv.drop(taken < len ? taken : len);
    sorcvrest(so);
    took += taken;
    if (taken < len) break;
  }
  if (soisclosed(so)) return;
  if (took > 0) rcvd(so);
  if (soreadable(so)) so.handler.readable(so);
}
