/**
 * Sets of sequence ranges, in a slab of their own, because few flows have any at a time: data that came out of order, and data of
 * ours that the peer has out of order (RFC 2018). A set is a count and up to 32 pairs [from, to), sorted and apart.
 * A row is two sets and a word:
 *
 *     received: count, 32 pairs | acknowledged selectively: count, 32 pairs | start of the newest range received
 */
import { Slab, at } from './slab.ts';

export const MAX_RANGES = 32;
const SET_WORDS = 1 + 2 * MAX_RANGES;
/** Places in a row. */
export const RCVD = 0;
export const SACKED = SET_WORDS;
export const NEWEST = 2 * SET_WORDS;
export const RANGE_WORDS = 2 * SET_WORDS + 2;

export class Ranges extends Slab {
  constructor(rows: number) {
    super(rows, RANGE_WORDS, 0);
  }
}

/** Results of `rangeAdd`. */
export const ADD_FULL = -1;
export const ADD_KNOWN = 0;
export const ADD_NEW = 1;

/** Adds [from, to) to the set at `c`. ADD_KNOWN: nothing of it was new; ADD_FULL: there is no pair left for it. */
export function rangeAdd(w: Int32Array, c: number, from: number, to: number): number {
  const n = at(w, c);
  const end = c + 1 + 2 * n;
  // First pair that ends at or behind `from`: all before it stay as they are.
  let p = c + 1;
  while (p < end && ((at(w, p + 1) - from) | 0) < 0) p += 2;
  if (p === end || ((at(w, p) - to) | 0) > 0) {
    if (n === MAX_RANGES) return ADD_FULL;
    w.copyWithin(p + 2, p, end);
    w[p] = from;
    w[p + 1] = to;
    w[c] = n + 1;
    return ADD_NEW;
  }
  if (((at(w, p) - from) | 0) <= 0 && ((at(w, p + 1) - to) | 0) >= 0) return ADD_KNOWN;
  if (((at(w, p) - from) | 0) > 0) w[p] = from;
  // Pairs that it reaches melt into it.
  let q = p + 2;
  let last = at(w, p + 1);
  while (q < end && ((at(w, q) - to) | 0) <= 0) {
    last = at(w, q + 1);
    q += 2;
  }
  w[p + 1] = ((last - to) | 0) > 0 ? last : to;
  w.copyWithin(p + 2, q, end);
  w[c] = n - ((q - p - 2) >> 1);
  return ADD_NEW;
}

/** Removes everything below `seq`. */
export function rangeTrim(w: Int32Array, c: number, seq: number): void {
  const n = at(w, c);
  const end = c + 1 + 2 * n;
  let p = c + 1;
  while (p < end && ((at(w, p + 1) - seq) | 0) <= 0) p += 2;
  if (p < end && ((at(w, p) - seq) | 0) < 0) w[p] = seq;
  if (p === c + 1) return;
  w.copyWithin(c + 1, p, end);
  w[c] = (end - p) >> 1;
}

/** Bytes in the set. */
export function rangeBytes(w: Int32Array, c: number): number {
  let sum = 0;
  for (let p = c + 1, end = p + 2 * at(w, c); p < end; p += 2) sum += (at(w, p + 1) - at(w, p)) | 0;
  return sum;
}

/** One past the last byte of the set, or `none` if it is empty. */
export function rangeEnd(w: Int32Array, c: number, none: number): number {
  const n = at(w, c);
  return n === 0 ? none : at(w, c + 2 * n);
}

/** The first byte at or behind `seq` that is not in the set. */
export function rangeSkip(w: Int32Array, c: number, seq: number): number {
  for (let p = c + 1, end = p + 2 * at(w, c); p < end; p += 2) {
    if (((at(w, p) - seq) | 0) > 0) return seq;
    if (((at(w, p + 1) - seq) | 0) > 0) return at(w, p + 1);
  }
  return seq;
}

/** Start of the first range behind `seq`, or `none`. */
export function rangeAfter(w: Int32Array, c: number, seq: number, none: number): number {
  for (let p = c + 1, end = p + 2 * at(w, c); p < end; p += 2) if (((at(w, p) - seq) | 0) > 0) return at(w, p);
  return none;
}

/** Bytes of [from, to) that are not in the set. */
export function rangeHoles(w: Int32Array, c: number, from: number, to: number): number {
  let holes = 0;
  let seq = from;
  for (let p = c + 1, end = p + 2 * at(w, c); p < end && ((at(w, p) - to) | 0) < 0; p += 2) {
    if (((at(w, p) - seq) | 0) > 0) holes += (at(w, p) - seq) | 0;
    if (((at(w, p + 1) - seq) | 0) > 0) seq = at(w, p + 1);
  }
  return ((to - seq) | 0) > 0 ? holes + ((to - seq) | 0) : holes;
}
