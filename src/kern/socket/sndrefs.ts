/**
 * Bytes of a send buffer that lie where their owner keeps them (what mbufs with external storage are to sosend(9) and sendfile(2)): a queue
 * of slices. It is kept such that a super-frame always finds its payload in `MAX_FRAGS` of them.
 */
import type { TxPacket } from '../packet.ts';

/** A slice between two others has at least this many bytes, so that 64 KiB touch two of them at most, the first and the last. */
const SLICE_MIN = 32_768;
/** Slices that there is room for as soon as a second has come; a power of two. */
const SLICES = 8;

export class SndRefs {
  /** Bytes in all slices. */
  cc = 0;
  // The first slice lies here, because most queues never have a second: among thousands of connections each object is a line of the cache.
  #bytes: Uint8Array | null = null;
  #off = 0;
  #len = 0;
  #others: Slices | null = null;

  /** Adds a slice to the end. False: there would be a short one in the middle. */
  append(bytes: Uint8Array, off: number, len: number): boolean {
    if (this.#bytes === null) {
      this.#bytes = bytes;
      this.#off = off;
      this.#len = len;
    } else if (this.#bytes === bytes && this.#off + this.#len === off && this.#len === this.cc) {
      this.#len += len;
    } else if (!(this.#others ??= new Slices()).append(bytes, off, len)) {
      return false;
    }
    this.cc += len;
    return true;
  }

  /** Takes `n` bytes off the front; there are as many. */
  drop(n: number): void {
    this.cc -= n;
    while (n > 0) {
      if (n < this.#len) {
        this.#off += n;
        this.#len -= n;
        return;
      }
      n -= this.#len;
      this.#next();
    }
  }

  /** The second slice becomes the first. */
  #next(): void {
    const others = this.#others;
    if (others === null || others.count === 0) {
      this.#bytes = null;
      this.#len = 0;
      return;
    }
    this.#bytes = others.bytes(0);
    this.#off = others.off(0);
    this.#len = others.len(0);
    others.shift();
  }

  /** Adds the `n` bytes from `at` behind the front to a frame. */
  addFrags(at: number, n: number, pkt: TxPacket): void {
    let k = 0;
    for (; at >= this.#lenOf(k); k++) at -= this.#lenOf(k);
    for (; n > 0; k++) {
      const left = this.#lenOf(k) - at;
      const take = n < left ? n : left;
      pkt.addFrag(this.#bytesOf(k), this.#offOf(k) + at, take);
      at = 0;
      n -= take;
    }
  }

  /** Copies the `n` bytes from `at` behind the front. */
  copyOut(at: number, n: number, dst: Uint8Array, dstOff: number): void {
    let k = 0;
    for (; at >= this.#lenOf(k); k++) at -= this.#lenOf(k);
    for (; n > 0; k++) {
      const bytes = this.#bytesOf(k);
      const left = this.#lenOf(k) - at;
      const take = n < left ? n : left;
      const from = this.#offOf(k) + at;
      // A constant that fits into a frame goes whole, and needs no view.
      dst.set(take === bytes.length ? bytes : bytes.subarray(from, from + take), dstOff);
      dstOff += take;
      at = 0;
      n -= take;
    }
  }

  /** The byte at `at` behind the front; there is one. */
  byteAt(at: number): number {
    let k = 0;
    for (; at >= this.#lenOf(k); k++) at -= this.#lenOf(k);
    return this.#bytesOf(k)[this.#offOf(k) + at] as number;
  }

  /** The first slice: what it lies in, where it begins there, and its length. There is one. */
  firstBytes(): Uint8Array {
    return this.#bytes as Uint8Array;
  }
  firstOff(): number {
    return this.#off;
  }
  firstLen(): number {
    return this.#len;
  }

  /** Forgets all. */
  clear(): void {
    this.#bytes = null;
    this.#len = this.cc = 0;
    this.#others?.clear();
  }

  #bytesOf(k: number): Uint8Array {
    return k === 0 ? (this.#bytes as Uint8Array) : (this.#others as Slices).bytes(k - 1);
  }
  #offOf(k: number): number {
    return k === 0 ? this.#off : (this.#others as Slices).off(k - 1);
  }
  #lenOf(k: number): number {
    return k === 0 ? this.#len : (this.#others as Slices).len(k - 1);
  }
}

/** The slices behind the first: a ring that grows. */
class Slices {
  count = 0;
  // Room for none: each grows when its first slice comes, so that growing is nothing that compiled code has not seen.
  #bytes: (Uint8Array | null)[] = [];
  #off = new Int32Array(0);
  #len = new Int32Array(0);
  #first = 0;

  bytes(k: number): Uint8Array {
    return this.#bytes[this.#at(k)] as Uint8Array;
  }
  off(k: number): number {
    return this.#off[this.#at(k)] as number;
  }
  len(k: number): number {
    return this.#len[this.#at(k)] as number;
  }

  /** Adds one to the end, or to the last one where it goes on there. False: the last would be a short one in the middle. */
  append(bytes: Uint8Array, off: number, len: number): boolean {
    if (this.count > 0) {
      const last = this.#at(this.count - 1);
      const lastLen = this.#len[last] as number;
      if (this.#bytes[last] === bytes && (this.#off[last] as number) + lastLen === off) {
        this.#len[last] = lastLen + len;
        return true;
      }
      if (lastLen < SLICE_MIN) return false;
    }
    if (this.count === this.#len.length) this.#grow();
    const i = this.#at(this.count++);
    this.#bytes[i] = bytes;
    this.#off[i] = off;
    this.#len[i] = len;
    return true;
  }

  shift(): void {
    this.#bytes[this.#first] = null;
    this.#first = this.#at(1);
    this.count--;
  }

  clear(): void {
    while (this.count > 0) this.shift();
  }

  /** Place of the slice that `k` others stand before. */
  #at(k: number): number {
    return (this.#first + k) & (this.#len.length - 1);
  }

  #grow(): void {
    const size = this.#len.length;
    const larger = size === 0 ? SLICES : 2 * size;
    const bytes = new Array<Uint8Array | null>(larger).fill(null);
    const off = new Int32Array(larger);
    const len = new Int32Array(larger);
    for (let k = 0; k < size; k++) {
      bytes[k] = this.#bytes[this.#at(k)] as Uint8Array | null;
      off[k] = this.off(k);
      len[k] = this.len(k);
    }
    this.#bytes = bytes;
    this.#off = off;
    this.#len = len;
    this.#first = 0;
  }
}
