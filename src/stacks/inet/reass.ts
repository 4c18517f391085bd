/**
 * Reassembly (RFC 791 §3.2, RFC 815, RFC 1122 §3.3.2, RFC 3168 §5.3): pieces in any order into one pooled buffer per datagram, bounded
 * by number, by pieces and by bytes; the oldest datagram makes room. Pieces that overlap without being the same give the datagram up
 * (what RFC 5722 asks for IPv6 is the only safe rule for IPv4 too).
 */
import { Callout } from '../../kern/callout.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { PKT_CSUM_OK, RxPacket } from '../../kern/packet.ts';
import { BUF_MIN } from '../../kern/socket/bufpool.ts';
import { get16, get8, put16 } from '../../wire/bytes.ts';
import {
  IP_HDR_LEN,
  IP_ID,
  IP_LEN,
  IP_MAXPACKET,
  IP_MF,
  IP_OFF,
  IP_OFFMASK,
  IP_PROTO,
  IP_TOS,
  IP_VHL,
  ipDst,
  ipSrc,
  putIpSum,
} from '../../wire/ipv4.ts';
import { mix } from './hash.ts';
import type { InetIf } from './netif.ts';
import type { FragStat } from './stats.ts';

const BUCKETS = 256;
/** ECN codepoints (RFC 3168 §5). */
const ECN_MASK = 3;
const ECN_NOT_ECT = 0;
const ECN_CE = 3;

/** Limits: sysctls under net.inet.ip. */
export class FragConfig {
  /** Datagrams in pieces; pieces of one; bytes of buffers for all; seconds that one may take. */
  maxDatagrams = 256;
  maxPieces = 128;
  maxBytes = 4 << 20;
  timeoutSec = 30;
}

/** A datagram whose pieces are coming in. Its buffer holds a header of 20 bytes, then the data. */
class Partial {
  src = 0;
  dst = 0;
  /** Identification and protocol. */
  idProto = 0;
  bucket = 0;
  next: Partial | null = null;
  /** In the order of their first piece. */
  older: Partial | null = null;
  newer: Partial | null = null;
  buf: Uint8Array | null = null;
  /** Pieces by offset: first byte and one past the last. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  pieces = 0;
  /** Bytes of data that are here; of the whole, -1 until the last piece came. */
  have = 0;
  total = -1;
  /** Codepoints seen, one bit for each. */
  ecn = 0;
  /** Bytes of the first piece in the buffer, behind its header; 0 until it came. */
  first = 0;
  nif: InetIf | null = null;
  sinceMs = 0;

  constructor(maxPieces: number) {
    this.starts = new Int32Array(maxPieces);
    this.ends = new Int32Array(maxPieces);
  }
}

/** Told of a datagram that took too long: its first piece, as an IP packet that ends at `end`. */
export type ReassTimeout = (bytes: Uint8Array, end: number, nif: InetIf) => void;

export class Reassembler {
  readonly config: FragConfig;
  /** Datagrams, and bytes of buffers, that are held now. */
  count = 0;
  bytes = 0;
  readonly #kernel: Kernel;
  readonly #stat: FragStat;
  readonly #timedOut: ReassTimeout;
  readonly #buckets = new Array<Partial | null>(BUCKETS).fill(null);
  readonly #seed: number;
  readonly #timer: Callout<null>;
  readonly #rx = new RxPacket(new Uint8Array(0));
  #oldest: Partial | null = null;
  #newest: Partial | null = null;
  #spare: Partial | null = null;

  constructor(kernel: Kernel, stat: FragStat, config: FragConfig, timedOut: ReassTimeout) {
    this.#kernel = kernel;
    this.#stat = stat;
    this.config = config;
    this.#timedOut = timedOut;
    this.#seed = kernel.random.u32() | 0;
    this.#timer = new Callout<null>(kernel.callouts, () => this.#expire(), null);
  }

  /**
   * Takes a fragment: `pkt.off` at its checked header of `hdrLen` bytes, `pkt.end` behind its data. The whole datagram when this was
   * its last missing piece: valid until the caller gives it to `done`.
   */
  input(pkt: RxPacket, hdrLen: number, nif: InetIf): RxPacket | null {
    const stat = this.#stat;
    const b = pkt.bytes;
    const o = pkt.off;
    stat.fragments++;
    const word = get16(b, o + IP_OFF);
    const more = (word & IP_MF) !== 0;
    const start = (word & IP_OFFMASK) << 3;
    const len = pkt.end - o - hdrLen;
    const end = start + len;
    if (len === 0 || (more && (len & 7) !== 0)) {
      stat.badlen++;
      return null;
    }
    if (end + IP_HDR_LEN > IP_MAXPACKET) {
      stat.toolong++;
      return null;
    }
    const p = this.#find(b, o);
    if (p === null) return null;
    p.ecn |= 1 << (get8(b, o + IP_TOS) & ECN_MASK);
    if ((p.ecn & (1 << ECN_CE)) !== 0 && (p.ecn & (1 << ECN_NOT_ECT)) !== 0) return this.#giveUp(p, 'badecn');
    if (!this.#place(p, start, end, more)) return null;
    if (!this.#reserve(p, IP_HDR_LEN + end)) return null;
    const buf = p.buf as Uint8Array;
    buf.set(b.subarray(o + hdrLen, pkt.end), IP_HDR_LEN + start);
    p.have += len;
    if (start === 0) {
      // Deviation: the options of the header are not kept; nothing here acts on them.
      buf.set(b.subarray(o, o + IP_HDR_LEN), 0);
      buf[IP_VHL] = 0x45;
      put16(buf, IP_LEN, IP_HDR_LEN + len);
      putIpSum(buf, 0, IP_HDR_LEN);
      p.first = len;
      p.nif = nif;
    }
    return p.have === p.total ? this.#whole(p, pkt) : null;
  }

  /** The datagram was delivered: its buffer is free. */
  done(pkt: RxPacket): void {
    this.#kernel.bufpool.free(pkt.bytes);
  }

  #find(b: Uint8Array, o: number): Partial | null {
    const src = ipSrc(b, o);
    const dst = ipDst(b, o);
    const idProto = (get16(b, o + IP_ID) << 8) | get8(b, o + IP_PROTO);
    const bucket = mix(mix(mix(this.#seed, src), dst), idProto) & (BUCKETS - 1);
    let p = this.#buckets[bucket] as Partial | null;
    while (p !== null && (p.idProto !== idProto || p.src !== src || p.dst !== dst)) p = p.next;
    if (p !== null) return p;
    if (this.config.maxDatagrams <= 0) {
      this.#stat.fragdropped++;
      return null;
    }
    while (this.count >= this.config.maxDatagrams && this.#oldest !== null) this.#giveUp(this.#oldest, 'evicted');
    p = this.#take();
    p.src = src;
    p.dst = dst;
    p.idProto = idProto;
    p.bucket = bucket;
    p.next = this.#buckets[bucket] as Partial | null;
    this.#buckets[bucket] = p;
    p.older = this.#newest;
    if (this.#newest === null) this.#oldest = p;
    else this.#newest.newer = p;
    this.#newest = p;
    p.sinceMs = this.#kernel.time.ms;
    this.count++;
    if (!this.#timer.pending) this.#timer.reset(this.config.timeoutSec * 1000);
    return p;
  }

  /** Notes the piece [start, end). False: it is not to be kept. */
  #place(p: Partial, start: number, end: number, more: boolean): boolean {
    const last = p.pieces === 0 ? 0 : (p.ends[p.pieces - 1] as number);
    if ((p.total >= 0 && end > p.total) || (!more && (p.total >= 0 ? end !== p.total : end < last))) {
      this.#giveUp(p, 'overlap');
      return false;
    }
    let i = p.pieces;
    while (i > 0 && (p.starts[i - 1] as number) >= start) i--;
    // The neighbours: what begins at `start` or behind it, and what begins before it.
    if (i < p.pieces && p.starts[i] === start && p.ends[i] === end) {
      this.#stat.duplicate++;
      return false;
    }
    if ((i < p.pieces && (p.starts[i] as number) < end) || (i > 0 && (p.ends[i - 1] as number) > start)) {
      this.#giveUp(p, 'overlap');
      return false;
    }
    if (p.pieces >= Math.min(this.config.maxPieces, p.starts.length)) {
      this.#giveUp(p, 'toomany');
      return false;
    }
    p.starts.copyWithin(i + 1, i, p.pieces);
    p.ends.copyWithin(i + 1, i, p.pieces);
    p.starts[i] = start;
    p.ends[i] = end;
    p.pieces++;
    if (!more) p.total = end;
    return true;
  }

  /** Sees to a buffer of `need` bytes; without one the datagram is given up. */
  #reserve(p: Partial, need: number): boolean {
    const old = p.buf;
    if (old !== null && old.length >= need) return true;
    let size = BUF_MIN;
    while (size < need) size *= 2;
    const grow = size - (old === null ? 0 : old.length);
    while (this.bytes + grow > this.config.maxBytes && this.#oldest !== null && this.#oldest !== p)
      this.#giveUp(this.#oldest, 'evicted');
    const buf = this.bytes + grow > this.config.maxBytes ? null : this.#kernel.bufpool.alloc(size);
    if (buf === null) {
      this.#giveUp(p, 'evicted');
      return false;
    }
    if (old !== null) {
      buf.set(old);
      this.#kernel.bufpool.free(old);
    }
    this.bytes += grow;
    p.buf = buf;
    return true;
  }

  #whole(p: Partial, pkt: RxPacket): RxPacket {
    const buf = p.buf as Uint8Array;
    const len = IP_HDR_LEN + p.total;
    put16(buf, IP_LEN, len);
    put16(buf, IP_OFF, 0);
    if ((p.ecn & (1 << ECN_CE)) !== 0) buf[IP_TOS] = get8(buf, IP_TOS) | ECN_CE;
    putIpSum(buf, 0, IP_HDR_LEN);
    const rx = this.#rx;
    rx.bytes = buf;
    rx.off = 0;
    rx.end = len;
    // A checksum that a link found good was that of a piece, if anything.
    rx.flags = pkt.flags & ~PKT_CSUM_OK;
    rx.gsoSize = 0;
    rx.ifp = pkt.ifp;
    this.#stat.reassembled++;
    this.bytes -= buf.length;
    p.buf = null;
    this.#release(p);
    return rx;
  }

  #giveUp(p: Partial, why: 'overlap' | 'toomany' | 'evicted' | 'badecn'): null {
    this.#stat[why]++;
    this.#stat.fragdropped += p.pieces;
    this.#release(p);
    return null;
  }

  #take(): Partial {
    const p = this.#spare;
    if (p === null || p.starts.length < this.config.maxPieces) return new Partial(this.config.maxPieces);
    this.#spare = p.next;
    p.next = null;
    return p;
  }

  #release(p: Partial): void {
    let at = this.#buckets[p.bucket] as Partial | null;
    if (at === p) this.#buckets[p.bucket] = p.next;
    else {
      while (at !== null && at.next !== p) at = at.next;
      if (at !== null) at.next = p.next;
    }
    if (p.older === null) this.#oldest = p.newer;
    else p.older.newer = p.newer;
    if (p.newer === null) this.#newest = p.older;
    else p.newer.older = p.older;
    this.count--;
    if (p.buf !== null) {
      this.bytes -= p.buf.length;
      this.#kernel.bufpool.free(p.buf);
    }
    p.older = p.newer = p.buf = p.nif = null;
    p.pieces = p.have = p.ecn = p.first = 0;
    p.total = -1;
    p.next = this.#spare;
    this.#spare = p;
  }

  #expire(): void {
    const lifeMs = this.config.timeoutSec * 1000;
    for (let p = this.#oldest; p !== null; p = this.#oldest) {
      const leftMs = lifeMs - ((this.#kernel.time.ms - p.sinceMs) | 0);
      if (leftMs > 0) {
        this.#timer.reset(leftMs);
        return;
      }
      this.#stat.fragtimeout++;
      this.#stat.fragdropped += p.pieces;
      // RFC 792: nobody is told when the first piece is missing, because there is nothing to quote.
      if (p.first > 0 && p.nif !== null && p.buf !== null) this.#timedOut(p.buf, IP_HDR_LEN + p.first, p.nif);
      this.#release(p);
    }
  }

  stop(): void {
    this.#timer.stop();
    while (this.#oldest !== null) this.#release(this.#oldest);
  }
}
