/**
 * What sockets of datagrams and raw ones have in common: the first words of their rows, what their users may ask, and how a datagram of
 * theirs goes out.
 */
import type { Errno, Result } from '../../kern/errno.ts';
import type { ControlMsg, SockAddr } from '../../kern/socket/protosw.ts';
import { SO_BROADCAST } from '../../kern/socket/soconst.ts';
import { SS_ISCONNECTED, type Socket } from '../../kern/socket/socket.ts';
import { soisdisconnected, soreserve } from '../../kern/socket/upcalls.ts';
import { ipv4, isV4, sockAddr } from '../../wire/addr.ts';
import type { Alt } from './alt.ts';
import { readSendControl } from './control.ts';
import { type Datagram, ipDatagram } from './ipout.ts';
import { Slab, at } from './slab.ts';

/** Addresses, 0: any; next row of a list, plus 1; ARP entry of the last datagram, plus 1; options (ipopt.ts), 0: defaults. */
export const D_LADDR = 0;
export const D_FADDR = 1;
export const D_NEXT = 2;
export const D_HINT = 3;
export const D_HOW = 4;
/** Words that every such row has. */
export const D_WORDS = 5;

export class DgramSlab extends Slab {
  readonly socketOf: (Socket | null)[];
  readonly #words: number;

  constructor(rows: number, words: number) {
    super(rows, words, D_NEXT);
    this.#words = words;
    this.socketOf = new Array<Socket | null>(rows).fill(null);
  }

  row(i: number): number {
    return i * this.#words;
  }

  /** A row for a new socket; its pcb is the number. False: there is none. */
  take(so: Socket): boolean {
    const i = this.alloc();
    if (i < 0) return false;
    so.pcb = i;
    this.socketOf[i] = so;
    return true;
  }

  /** The socket is going. */
  leave(so: Socket): void {
    const i = so.pcb as number;
    this.socketOf[i] = null;
    so.pcb = null;
    this.free(i);
    soisdisconnected(so);
  }

  addrOf(so: Socket, addr: number, port: number): Result<SockAddr> {
    const i = so.pcb as number | null;
    if (i === null) return 'EINVAL';
    const o = this.row(i);
    return sockAddr(ipv4(at(this.w, o + addr)), port < 0 ? 0 : at(this.w, o + port));
  }
}

/** Buffers of a new socket. */
export function reserve(s: Alt, so: Socket): Errno | null {
  return soreserve(so, s.cfg.udpSndSpace, s.cfg.udpRcvSpace);
}

/** The IPv4 address of a socket address as a word. EAFNOSUPPORT. */
export function inetWord(addr: SockAddr): Result<number> {
  return addr.kind === 'inet' && isV4(addr.addr) ? addr.addr.w3 : 'EAFNOSUPPORT';
}

/** An address that a socket may have: 0 for any, one of ours, or a group's to hear it. EADDRNOTAVAIL, EAFNOSUPPORT. */
export function bindWord(s: Alt, addr: SockAddr): Result<number> {
  const laddr = inetWord(addr);
  if (typeof laddr === 'string' || laddr === 0 || s.routes.isLocal(laddr) || s.routes.isGroup(laddr)) return laddr;
  return 'EADDRNOTAVAIL';
}

export function isMulticast(addr: number): boolean {
  return addr >>> 28 === 0xe;
}

/** The peer is forgotten. */
export function forgetPeer(so: Socket, slab: DgramSlab): void {
  slab.w[slab.row(so.pcb as number) + D_FADDR] = 0;
  so.state &= ~SS_ISCONNECTED;
}

/**
 * Sends the first `hdrLen` bytes of `out.hdr` and [off, off + len) from the socket at row `o` of `w`. EACCES for a broadcast without
 * SO_BROADCAST; EINVAL, EADDRNOTAVAIL for control data; else as `ipDatagram`.
 */
export function sendDgram(
  s: Alt,
  so: Socket,
  w: Int32Array,
  o: number,
  out: Datagram,
  hdrLen: number,
  faddr: number,
  bytes: Uint8Array,
  off: number,
  len: number,
  control: readonly ControlMsg[] | null,
): Errno | null {
  const { routes } = s;
  const { how } = out;
  const toGroup = isMulticast(faddr);
  if ((so.options & SO_BROADCAST) === 0 && !toGroup && routes.isGroup(faddr)) return 'EACCES';
  const opts = at(w, o + D_HOW);
  const laddr = at(w, o + D_LADDR);
  // A group's address can be bound to hear it, and is no source.
  how.src = laddr !== 0 && routes.isGroup(laddr) ? 0 : laddr;
  how.dst = faddr;
  how.ttl = (opts & 0xff) === 0 ? (toGroup ? 1 : s.cfg.ttl) : opts & 0xff;
  how.tos = (opts >>> 8) & 0xff;
  how.hint = at(w, o + D_HINT);
  if (control !== null) {
    const err = readSendControl(s, how, laddr, control);
    if (err !== null) return err;
  }
  // Outside a batch the clock's last reading is old, and ARP may set a timer.
  if (!s.kernel.netisr.active()) s.time.refresh();
  const err = ipDatagram(s, how, out.hdr, hdrLen, bytes, off, len);
  w[o + D_HINT] = how.hint;
  return err;
}
