/**
 * Socket buffer (uipc_sockbuf.c): a byte ring over one pooled power-of-two buffer that exists only while there are bytes in it, so an
 * idle socket holds none. It grows by doubling. Behind the bytes in order there may be bytes that came early (`place`); they
 * lie where they belong and are never copied again. What is sent may be a queue of references instead (`appendRef`), never both at a time.
 * Datagrams lie in the same ring, with their senders in a queue beside it.
 * An idle socket has not even a `Sockbuf` of its own: sobuf.ts says how.
 */
import type { TxPacket } from '../packet.ts';
import type { BufPool } from './bufpool.ts';
import type { ControlMsg, SockAddr } from './protosw.ts';
import { SndRefs } from './sndrefs.ts';
import { copySockAddr } from './sockaddr.ts';

/** What a queued datagram is charged beyond its bytes, so that empty ones cannot pile up. */
export const RECORD_OVERHEAD = 128;

/** Bytes that are copied one by one at most: small requests and answers. */
const BY_HAND = 256;

/** A queued datagram. */
export interface SockRecord {
  readonly from: SockAddr | null;
  readonly len: number;
  /** The end of it was cut off. */
  readonly truncated: boolean;
  /** When it came, in milliseconds since the epoch; 0 unless `SO_TIMESTAMP` is on. */
  readonly timestampMs: number;
  /** What the socket asked to be told of it. */
  readonly control: readonly ControlMsg[] | null;
}

/** Where a ring gets its buffers: `BufPool`, or nowhere. */
export type RingPool = Pick<BufPool, 'alloc' | 'allocReserve' | 'free'>;

/** Pool of a buffer that is shared and stays empty. */
export const NO_POOL: RingPool = { alloc: () => null, allocReserve: () => null, free: () => undefined };

export class Sockbuf {
  /** Bytes in order, ready to read. */
  cc = 0;
  /** Limits in bytes: of what it holds, and of what wakes its user. `limit` changes them. */
  readonly hiwat: number;
  readonly lowat: number;
  /** End of the bytes that were placed, counted from the end of those in order. */
  placed = 0;
  /** The shared empty buffer with the same limits, which the socket points at while this one holds nothing. */
  readonly home: Sockbuf = this;
  readonly #pool: RingPool;
  #buf: Uint8Array | null = null;
  #head = 0;
  #records: RecordQueue | null = null;
  /** Instead of the ring: bytes that lie elsewhere. Kept when it is empty, for the next ones. */
  #refs: SndRefs | null = null;

  constructor(pool: RingPool, hiwat: number, lowat: number) {
    this.#pool = pool;
    this.hiwat = hiwat;
    this.lowat = lowat < hiwat ? lowat : hiwat;
  }

  /** Takes the limits of a shared buffer, and goes back to it. */
  limit(home: Sockbuf): void {
    if (this.home !== home) takeLimits(this, home);
  }

  /** Nothing in it, not even what came early. */
  idle(): boolean {
    return this.#buf === null && !this.#referring() && (this.#records === null || this.#records.count === 0);
  }

  /** Bytes that may still be added; never below 0. */
  space(): number {
    const records = this.#records;
    const left = this.hiwat - this.cc - (records === null ? 0 : records.count * RECORD_OVERHEAD);
    return left > 0 ? left : 0;
  }

  /** Copies to the end. The caller has looked at `space()`. False, and nothing taken: the pool has no buffer. */
  append(bytes: Uint8Array, off: number, len: number): boolean {
    return this.#append(bytes, off, len, false);
  }

  /** `append` for bytes that can no longer be refused: the pool's reserve may be used. */
  appendReserve(bytes: Uint8Array, off: number, len: number): boolean {
    return this.#append(bytes, off, len, true);
  }

  /**
   * Takes a reference to bytes that stay as they are until they are dropped. Where there are copied bytes already, or a slice in
   * the middle would be short, they are copied after all. False: there the pool has no buffer.
   */
  appendRef(bytes: Uint8Array, off: number, len: number): boolean {
    const refs = (this.#refs ??= new SndRefs());
    if (len === 0 || this.#buf !== null || this.placed > 0 || !refs.append(bytes, off, len))
      return this.#append(bytes, off, len, false);
    this.cc += len;
    return true;
  }

  /** Are the bytes in `refs`, and not in the ring? */
  #referring(): boolean {
    return this.#refs !== null && this.#refs.cc > 0;
  }

  /** Copies to `at` bytes behind the end, for data out of order. False: does not fit into `hiwat`, or the pool has no buffer. */
  place(at: number, bytes: Uint8Array, off: number, len: number): boolean {
    const end = at + len;
    if (this.cc + end > this.hiwat) return false;
    if (len === 0) return true;
    const buf = this.#reserve(this.cc + (end > this.placed ? end : this.placed), false);
    if (buf === null) return false;
    this.#write(buf, this.cc + at, bytes, off, len);
    if (end > this.placed) this.placed = end;
    return true;
  }

  /** The first `n` placed bytes are now in order. */
  commit(n: number): void {
    const moved = n < this.placed ? n : this.placed;
    this.cc += moved;
    this.placed -= moved;
  }

  /** Takes `n` bytes off the front; never more than there are in order. */
  drop(n: number): void {
    if (n > this.cc) n = this.cc;
    this.cc -= n;
    if (this.#referring()) (this.#refs as SndRefs).drop(n);
    else this.#advance(n);
  }

  /** The first `n` bytes behind an empty front were read elsewhere (or placed and read): what is placed moves nearer. */
  skip(n: number): void {
    if (this.placed === 0) return;
    this.placed -= n < this.placed ? n : this.placed;
    this.#advance(n);
  }

  /** Copies `n` bytes from `at` behind the front. The caller knows that they are there. */
  copyOut(at: number, n: number, dst: Uint8Array, dstOff: number): void {
    const buf = this.#buf;
    if (n === 0) return;
    if (buf === null) {
      if (this.#referring()) (this.#refs as SndRefs).copyOut(at, n, dst, dstOff);
      return;
    }
    const pos = (this.#head + at) & (buf.length - 1);
    const first = buf.length - pos;
    if (n <= first) {
      copyBytes(buf, pos, n, dst, dstOff);
    } else {
      copyBytes(buf, pos, first, dst, dstOff);
      copyBytes(buf, 0, n - first, dst, dstOff + first);
    }
  }

  /** The same bytes as one or two slices of a frame. They stay valid while the frame waits for its link, even if dropped meanwhile. */
  addFrags(at: number, n: number, pkt: TxPacket): void {
    const buf = this.#buf;
    if (n === 0) return;
    if (buf === null) {
      if (this.#referring()) (this.#refs as SndRefs).addFrags(at, n, pkt);
      return;
    }
    const pos = (this.#head + at) & (buf.length - 1);
    const first = buf.length - pos;
    if (n <= first) {
      pkt.addFrag(buf, pos, n);
    } else {
      pkt.addFrag(buf, pos, first);
      pkt.addFrag(buf, 0, n - first);
    }
  }

  /** The byte at `at` behind the front; -1 where there is none. */
  byteAt(at: number): number {
    const buf = this.#buf;
    if (at < 0 || at >= this.cc + this.placed) return -1;
    if (buf === null) return this.#referring() ? (this.#refs as SndRefs).byteAt(at) : -1;
    return buf[(this.#head + at) & (buf.length - 1)] ?? -1;
  }

  /** The buffer that the front lies in and where in it, for readers in place; null while there is nothing. */
  buffer(): Uint8Array | null {
    return this.#referring() ? (this.#refs as SndRefs).firstBytes() : this.#buf;
  }
  front(): number {
    return this.#referring() ? (this.#refs as SndRefs).firstOff() : this.#head;
  }

  /** How many of the first `n` bytes lie in one piece. */
  contiguous(n: number): number {
    const buf = this.#buf;
    const first = buf !== null ? buf.length - this.#head : this.#referring() ? (this.#refs as SndRefs).firstLen() : 0;
    return n < first ? n : first;
  }

  /** Bytes the present buffer could take without another. */
  slack(): number {
    return this.#buf === null ? 0 : this.#buf.length - this.cc;
  }

  /**
   * Queues a datagram with a copy of its sender's address. False when it does not fit; with `truncOk` its end is cut off
   * instead, unless there is no room for any of it.
   */
  appendRecord(
    from: SockAddr | null,
    bytes: Uint8Array,
    off: number,
    len: number,
    truncOk: boolean,
    timestampMs = 0,
    control: readonly ControlMsg[] | null = null,
  ): boolean {
    const room = this.space() - RECORD_OVERHEAD;
    const kept = len <= room ? len : room;
    if (room < 0 || (kept < len && (!truncOk || kept === 0)) || this.#pool === NO_POOL) return false;
    if (kept > 0 && !this.#append(bytes, off, kept, false)) return false;
    const records = (this.#records ??= new RecordQueue());
    const name = from === null ? null : copySockAddr(from);
    records.push({ from: name, len: kept, truncated: kept < len, timestampMs, control });
    return true;
  }

  /** The first datagram, or null. */
  record(): SockRecord | null {
    return this.#records === null ? null : this.#records.first();
  }

  /** Takes the first datagram off. */
  dropRecord(): void {
    const record = this.#records?.shift();
    if (record !== undefined) this.drop(record.len);
  }

  /** Nothing in it any more. */
  clear(): void {
    this.cc = 0;
    this.placed = 0;
    this.#records = null;
    if (this.#refs !== null) this.#refs.clear();
    this.#advance(0);
  }

  /** Forgets what came early. */
  clearPlaced(): void {
    this.placed = 0;
    if (this.cc === 0) this.#advance(0);
  }

  #append(bytes: Uint8Array, off: number, len: number, reserve: boolean): boolean {
    if (len === 0) return true;
    const { cc, placed } = this;
    const buf = this.#reserve(cc + (len > placed ? len : placed), reserve);
    if (buf === null) return false;
    this.#write(buf, cc, bytes, off, len);
    this.cc = cc + len;
    this.placed = placed > len ? placed - len : 0;
    return true;
  }

  #write(buf: Uint8Array, at: number, bytes: Uint8Array, off: number, len: number): void {
    const pos = (this.#head + at) & (buf.length - 1);
    const first = buf.length - pos;
    if (len <= first) {
      copyBytes(bytes, off, len, buf, pos);
    } else {
      copyBytes(bytes, off, first, buf, pos);
      copyBytes(bytes, off + first, len - first, buf, 0);
    }
  }

  /** Makes the ring hold `need` bytes: the present buffer where it does, a larger one with the bytes moved to its start. */
  #reserve(need: number, reserve: boolean): Uint8Array | null {
    const old = this.#buf;
    if (old !== null && old.length >= need) return old;
    const buf = reserve ? this.#pool.allocReserve(need) : this.#pool.alloc(need);
    if (buf === null) return null;
    this.copyOut(0, this.cc + this.placed, buf, 0);
    if (old !== null) this.#pool.free(old);
    else if (this.#refs !== null) this.#refs.clear();
    this.#head = 0;
    this.#buf = buf;
    return buf;
  }

  #advance(n: number): void {
    const buf = this.#buf;
    if (buf === null) return;
    if (this.cc === 0 && this.placed === 0) {
      this.#buf = null;
      this.#head = 0;
      this.#pool.free(buf);
      return;
    }
    this.#head = (this.#head + n) & (buf.length - 1);
  }
}

/** A few bytes by hand, eight at a time: a view of the source would cost more than they do, and be garbage. */
function copyBytes(src: Uint8Array, off: number, len: number, dst: Uint8Array, at: number): void {
  if (off === 0 && len === src.length) {
    dst.set(src, at);
    return;
  }
  const end = off + len;
  if (len > BY_HAND) {
    dst.set(src.subarray(off, end), at);
    return;
  }
  let k = off;
  for (; k < end - 7; k += 8, at += 8) {
    dst[at] = src[k] as number;
    dst[at + 1] = src[k + 1] as number;
    dst[at + 2] = src[k + 2] as number;
    dst[at + 3] = src[k + 3] as number;
    dst[at + 4] = src[k + 4] as number;
    dst[at + 5] = src[k + 5] as number;
    dst[at + 6] = src[k + 6] as number;
    dst[at + 7] = src[k + 7] as number;
  }
  for (; k < end; k++, at++) dst[at] = src[k] as number;
}

/** The one place that may write what everybody else only reads. */
function takeLimits(sb: { hiwat: number; lowat: number; home: Sockbuf }, home: Sockbuf): void {
  sb.hiwat = home.hiwat;
  sb.lowat = home.lowat;
  sb.home = home;
}

/** A socket's buffer as everyone sees it. What adds to it may need another one first: `sosndbuf`, `sorcvbuf`. */
export type SockbufView = Omit<Sockbuf, 'append' | 'appendReserve' | 'place' | 'appendRecord'>;

/** A queue whose front moves; made on a socket's first datagram. */
class RecordQueue {
  readonly #items: (SockRecord | undefined)[] = [];
  #front = 0;
  count = 0;

  push(record: SockRecord): void {
    this.#items.push(record);
    this.count++;
  }

  first(): SockRecord | null {
    return this.#items[this.#front] ?? null;
  }

  shift(): SockRecord | undefined {
    const record = this.#items[this.#front];
    if (record === undefined) return undefined;
    this.#items[this.#front++] = undefined;
    this.count--;
    if (this.count === 0) {
      this.#items.length = 0;
      this.#front = 0;
    } else if (this.#front > 64 && this.#front * 2 > this.#items.length) {
      this.#items.splice(0, this.#front);
      this.#front = 0;
    }
    return record;
  }
}
