/**
 * Reassembly of IPv4 datagrams (RFC 791 §3.2, RFC 815, RFC 1122 §3.3.2) in a pool of eight buffers of 64 KiB, whose pages exist only once
 * they have been used. What has come is a bitmap of units of 8 bytes. A fragment that repeats what is there is ignored; one that
 * overlaps in part, or does not agree about the length, ends its datagram (RFC 5722 says why). When all buffers are taken the oldest
 * datagram is given up. A datagram has 30 seconds.
 */
import type { PacketIn } from './alt.ts';
import type { IpCounters } from './counters.ts';
import { at } from './slab.ts';

const POOL = 8;
/** Room for the first fragment's IP header in front of the data. */
const HEAD = 64;
const SIZE = HEAD + 65536;
const UNITS = 65536 >> 3;
const WORDS = UNITS >> 5;
const LIFE_MS = 30_000;
/** Fragments of one datagram: as many as a link of the smallest MTU needs, and no flood. */
const MAX_FRAGMENTS = 1400;

export class Reass {
  readonly #buf = new Uint8Array(POOL * SIZE);
  readonly #bits = new Int32Array(POOL * WORDS);
  readonly #src = new Int32Array(POOL);
  readonly #dst = new Int32Array(POOL);
  /** ID and protocol, plus 1; 0: the buffer is free. */
  readonly #tag = new Int32Array(POOL);
  readonly #until = new Int32Array(POOL);
  /** Units that have come, fragments, and the datagram's length in bytes, -1 while the last fragment has not. */
  readonly #units = new Int32Array(POOL);
  readonly #frags = new Int32Array(POOL);
  readonly #total = new Int32Array(POOL);
  /** Length of the first fragment's header; 0 while it has not come. */
  readonly #hdrLen = new Int32Array(POOL);
  readonly #ct: IpCounters;
  inUse = 0;

  constructor(counters: IpCounters) {
    this.#ct = counters;
  }

  /**
   * Takes a fragment: payload [p.off, p.end), at `start` bytes into the datagram. True: the datagram is whole, and `p` is now all of it,
   * in a buffer that stays as it is until the next fragment.
   */
  add(p: PacketIn, id: number, proto: number, start: number, more: boolean, now: number): boolean {
    const ct = this.#ct;
    ct.fragments++;
    const len = p.end - p.off;
    const tag = ((id << 8) | proto) + 1;
    // Every piece but the last is a multiple of 8 bytes; nothing may end beyond the longest datagram.
    if (len === 0 || (more && (len & 7) !== 0) || start + len > 65535 - (p.off - p.ip)) {
      ct.fragdropped++;
      return false;
    }
    let k = this.#find(p.src, p.dst, tag);
    if (k < 0) k = this.#open(p.src, p.dst, tag, now);
    const total = at(this.#total, k);
    const frags = at(this.#frags, k) + 1;
    this.#frags[k] = frags;
    const end = start + len;
    if (frags > MAX_FRAGMENTS || (total >= 0 && (end > total || (!more && end !== total)))) return this.#give(k, frags);
    const from = start >> 3;
    const to = (end + 7) >> 3;
    const have = this.#count(k, from, to);
    if (have === to - from) {
      ct.fragdropped++;
      this.#frags[k] = frags - 1;
      return false;
    }
    if (have > 0 || (!more && this.#count(k, to, UNITS) > 0)) return this.#give(k, frags);
    const base = k * SIZE + HEAD;
    this.#buf.set(p.bytes.subarray(p.off, p.end), base + start);
    this.#mark(k, from, to);
    if (!more) this.#total[k] = end;
    if (start === 0) {
      const hdrLen = p.off - p.ip;
      this.#hdrLen[k] = hdrLen;
      this.#buf.set(p.bytes.subarray(p.ip, p.off), base - hdrLen);
    }
    const units = (this.#units[k] = at(this.#units, k) + to - from);
    const whole = at(this.#total, k);
    if (whole < 0 || units !== (whole + 7) >> 3) return false;
    ct.reassembled++;
    p.bytes = this.#buf;
    p.ip = base - at(this.#hdrLen, k);
    p.off = base;
    p.end = base + whole;
    p.gso = 0;
    this.#close(k);
    return true;
  }

  /** Ends a datagram: all of its fragments are dropped. */
  #give(k: number, frags: number): false {
    this.#ct.fragdropped += frags;
    this.#close(k);
    return false;
  }

  #find(src: number, dst: number, tag: number): number {
    for (let k = 0; k < POOL; k++) if (at(this.#tag, k) === tag && at(this.#src, k) === src && at(this.#dst, k) === dst) return k;
    return -1;
  }

  #open(src: number, dst: number, tag: number, now: number): number {
    let k = 0;
    for (let j = 0; j < POOL; j++) {
      if (at(this.#tag, j) === 0) {
        k = j;
        break;
      }
      if (((at(this.#until, j) - at(this.#until, k)) | 0) < 0) k = j;
    }
    if (at(this.#tag, k) !== 0) this.#give(k, at(this.#frags, k));
    this.#src[k] = src;
    this.#dst[k] = dst;
    this.#tag[k] = tag;
    this.#until[k] = (now + LIFE_MS) | 0;
    this.#units[k] = 0;
    this.#frags[k] = 0;
    this.#total[k] = -1;
    this.#hdrLen[k] = 0;
    this.#bits.fill(0, k * WORDS, (k + 1) * WORDS);
    this.inUse++;
    return k;
  }

  /** Forgets all datagrams under way; their fragments count as dropped. */
  clear(): void {
    for (let k = 0; k < POOL; k++) if (at(this.#tag, k) !== 0) this.#give(k, at(this.#frags, k));
  }

  #close(k: number): void {
    this.#tag[k] = 0;
    this.inUse--;
  }

  #count(k: number, from: number, to: number): number {
    let n = 0;
    for (let u = from; u < to; u++) {
      const word = at(this.#bits, k * WORDS + (u >> 5));
      // Whole words at once where nothing is set.
      if (word === 0) u |= 31;
      else n += (word >>> (u & 31)) & 1;
    }
    return n;
  }

  #mark(k: number, from: number, to: number): void {
    for (let u = from; u < to; u++) {
      const word = k * WORDS + (u >> 5);
      this.#bits[word] = at(this.#bits, word) | (1 << (u & 31));
    }
  }

  /**
   * Lets go of what has waited too long. `expired` is told where the first fragment's header lies, if it came, with eight bytes and more of
   * its data behind it. Answers the milliseconds to the next, 0 for none.
   */
  tick(now: number, expired: (bytes: Uint8Array, ip: number, end: number) => void): number {
    let next = 0;
    for (let k = 0; k < POOL; k++) {
      if (at(this.#tag, k) === 0) continue;
      const left = (at(this.#until, k) - now) | 0;
      if (left > 0) {
        next = next === 0 ? left : Math.min(next, left);
        continue;
      }
      const hdrLen = at(this.#hdrLen, k);
      const base = k * SIZE + HEAD;
      this.#ct.fragtimeout++;
      this.#ct.fragdropped += at(this.#frags, k);
      this.#close(k);
      if (hdrLen > 0) expired(this.#buf, base - hdrLen, base + 8);
    }
    return next;
  }
}
