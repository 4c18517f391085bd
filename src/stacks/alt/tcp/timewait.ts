/**
 * Connections in TIME-WAIT: records of twelve words in a slab of their own, in the order of their end, so that one deadline serves
 * all. The flow and the socket are free as soon as a connection gets here. When all records are taken the oldest is given up.
 */
import { Slab, at } from '../slab.ts';

export const TIMEWAIT_WORDS = 12;
/** Addresses and ports come first: the demultiplexer looks here. */
export const W_LADDR = 0;
export const W_FADDR = 1;
export const W_PORTS = 2;
export const W_RCV_NXT = 3;
export const W_SND_NXT = 4;
/** Peer's last timestamp and our offset; whether there are timestamps at all | IP_MINTTL << 1. */
export const W_TS_RECENT = 5;
export const W_TS_OFF = 6;
export const W_HOW = 7;
export const W_UNTIL = 8;
/** Neighbours in the order of their end, plus 1. */
const W_NEXT = 9;
const W_PREV = 10;
export const W_WIN = 11;

export class TimeWait extends Slab {
  #first = 0;
  #last = 0;

  constructor(rows: number) {
    super(rows, TIMEWAIT_WORDS, W_NEXT);
  }

  row(k: number): number {
    return k * TIMEWAIT_WORDS;
  }

  /** The record that ends first, or -1. */
  oldest(): number {
    return this.#first - 1;
  }

  /** The record that ends next after `k`, or -1. */
  after(k: number): number {
    return at(this.w, k * TIMEWAIT_WORDS + W_NEXT) - 1;
  }

  /** Puts a record at the end of the order. */
  append(k: number, until: number): void {
    const { w } = this;
    const o = k * TIMEWAIT_WORDS;
    w[o + W_UNTIL] = until;
    w[o + W_NEXT] = 0;
    w[o + W_PREV] = this.#last;
    if (this.#last !== 0) w[(this.#last - 1) * TIMEWAIT_WORDS + W_NEXT] = k + 1;
    else this.#first = k + 1;
    this.#last = k + 1;
  }

  /** Takes it out of the order. */
  unlink(k: number): void {
    const { w } = this;
    const next = at(w, k * TIMEWAIT_WORDS + W_NEXT);
    const prev = at(w, k * TIMEWAIT_WORDS + W_PREV);
    if (next !== 0) w[(next - 1) * TIMEWAIT_WORDS + W_PREV] = prev;
    else this.#last = prev;
    if (prev !== 0) w[(prev - 1) * TIMEWAIT_WORDS + W_NEXT] = next;
    else this.#first = next;
  }
}
