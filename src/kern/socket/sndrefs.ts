/**
 * Bytes of a send buffer that lie where their owner keeps them (what mbufs with external storage are to sosend(9) and sendfile(2)): a queue
 * of slices. It is kept such that a super-frame always finds its payload in `MAX_FRAGS` of them.
 */
import type { TxPacket } from '../packet.ts';

/** A slice between two others has at least this many bytes, so that 64 KiB touch two of them at most, the first and the last. */
const SLICE_MIN = 32_768;
/** Slices that there is room for as soon as one has come; a power of two. */
const SLICES = 8;

export class SndRefs {
  /** Bytes in all slices. */
  cc = 0;
  // Room for none: each queue grows when its first slice comes, so that growing is nothing that compiled code has not seen.
  #bytes: (Uint8Array | null)[] = [];
  #off = new Int32Array(0);
  #len = new Int32Array(0);
  #first = 0;
  #count = 0;

  /** Adds a slice to the end. False: there would be a short one in the middle. */
  append(bytes: Uint8Array, off: number, len: number): boolean {
    if (this.#count > 0) {
      const last = this.#at(this.#count - 1);
      const lastLen = this.#len[last] as number;
      if (this.#bytes[last] === bytes && (this.#off[last] as number) + lastLen === off) {
        this.#len[last] = lastLen + len;
        this.cc += len;
        return true;
      }
      if (lastLen < SLICE_MIN && this.#count > 1) return false;
    }
    if (this.#count === this.#len.length) this.#grow();
    const i = this.#at(this.#count++);
    this.#bytes[i] = bytes;
    this.#off[i] = off;
    this.#len[i] = len;
    this.cc += len;
    return true;
  }

  /** Takes `n` bytes off the front; there are as many. */
  drop(n: number): void {
    this.cc -= n;
    while (n > 0) {
      const i = this.#first;
      const len = this.#len[i] as number;
      if (n < len) {
        this.#off[i] = (this.#off[i] as number) + n;
        this.#len[i] = len - n;
        return;
      }
      n -= len;
      this.#bytes[i] = null;
      this.#first = this.#at(1);
      this.#count--;
    }
  }

  /** Adds the `n` bytes from `at` behind the front to a frame. */
  addFrags(at: number, n: number, pkt: TxPacket): void {
    let k = 0;
    for (; at >= this.#lenOf(k); k++) at -= this.#lenOf(k);
    for (; n > 0; k++) {
      const i = this.#at(k);
      const left = (this.#len[i] as number) - at;
      const take = n < left ? n : left;
      pkt.addFrag(this.#bytes[i] as Uint8Array, (this.#off[i] as number) + at, take);
      at = 0;
      n -= take;
    }
  }

  /** Copies the `n` bytes from `at` behind the front. */
  copyOut(at: number, n: number, dst: Uint8Array, dstOff: number): void {
    let k = 0;
    for (; at >= this.#lenOf(k); k++) at -= this.#lenOf(k);
    for (; n > 0; k++) {
      const i = this.#at(k);
      const left = (this.#len[i] as number) - at;
      const take = n < left ? n : left;
      const from = (this.#off[i] as number) + at;
      const bytes = this.#bytes[i] as Uint8Array;
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
    const i = this.#at(k);
    return (this.#bytes[i] as Uint8Array)[(this.#off[i] as number) + at] as number;
  }

  /** The first slice: what it lies in, where it begins there, and its length. There is one. */
  firstBytes(): Uint8Array {
    return this.#bytes[this.#first] as Uint8Array;
  }
  firstOff(): number {
    return this.#off[this.#first] as number;
  }
  firstLen(): number {
    return this.#len[this.#first] as number;
  }

  /** Forgets all. */
  clear(): void {
    this.#bytes.fill(null);
    this.#first = this.#count = this.cc = 0;
  }

  /** Place of the slice that `k` others stand before. */
  #at(k: number): number {
    return (this.#first + k) & (this.#len.length - 1);
  }

  #lenOf(k: number): number {
    return this.#len[this.#at(k)] as number;
  }

  #grow(): void {
    const size = this.#len.length;
    const larger = size === 0 ? SLICES : 2 * size;
    const bytes = new Array<Uint8Array | null>(larger).fill(null);
    const off = new Int32Array(larger);
    const len = new Int32Array(larger);
    for (let k = 0; k < size; k++) {
      const i = this.#at(k);
      bytes[k] = this.#bytes[i] as Uint8Array | null;
      off[k] = this.#off[i] as number;
      len[k] = this.#len[i] as number;
    }
    this.#bytes = bytes;
    this.#off = off;
    this.#len = len;
    this.#first = 0;
  }
}
