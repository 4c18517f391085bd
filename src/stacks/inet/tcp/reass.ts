/**
 * Data out of order (RFC 9293 §3.10.7.4, SHLD-31). The bytes lie in the socket's receive buffer where they belong; here is only which
 * ranges of the sequence space they are: sorted, apart, limited in number. From them come the SACK blocks (RFC 2018, RFC 2883).
 */
import { seqGeq, seqGt, seqLeq, seqLt, seqMax } from '../../../wire/seq.ts';

export class Reass {
  /** Ranges [start, end), by rising sequence number; `when` rises with each change, so that the newest is known. */
  readonly start: number[] = [];
  readonly end: number[] = [];
  readonly #when: number[] = [];
  #clock = 0;
  /** A FIN that came early: its sequence number. */
  hasFin = false;
  finSeq = 0;
  /** A duplicate to report in the next ACK (RFC 2883); empty when both are equal. */
  dupStart = 0;
  dupEnd = 0;

  /** Ranges. */
  count(): number {
    return this.start.length;
  }

  /** Adds a range, joined with what it touches. False: it stands alone, and there are `limit` ranges already. */
  add(from: number, to: number, limit: number): boolean {
    const { start, end } = this;
    let i = 0;
    while (i < start.length && seqLt(end[i] as number, from)) i++;
    let j = i;
    let lo = from;
    let hi = to;
    for (; j < start.length && seqLeq(start[j] as number, to); j++) {
      if (seqLt(start[j] as number, lo)) lo = start[j] as number;
      hi = seqMax(hi, end[j] as number);
    }
    if (i === j && start.length >= limit) return false;
    start.splice(i, j - i, lo);
    end.splice(i, j - i, hi);
    this.#when.splice(i, j - i, ++this.#clock);
    return true;
  }

  /** Everything before `nxt` has come in order: where what is contiguous with it ends. Ranges up to there are forgotten. */
  advance(nxt: number): number {
    const { start, end } = this;
    let n = 0;
    while (n < start.length && seqLeq(start[n] as number, nxt)) nxt = seqMax(nxt, end[n++] as number);
    if (n > 0) {
      start.splice(0, n);
      end.splice(0, n);
      this.#when.splice(0, n);
    }
    return nxt;
  }

  /** True if [from, to) lies in one range. */
  has(from: number, to: number): boolean {
    for (let i = 0; i < this.start.length; i++) {
      if (seqGeq(from, this.start[i] as number) && seqLeq(to, this.end[i] as number)) return true;
      if (seqGt(this.start[i] as number, to)) return false;
    }
    return false;
  }

  /** Nothing left to remember. */
  empty(): boolean {
    return this.start.length === 0 && !this.hasFin && this.dupStart === this.dupEnd;
  }

  /** Blocks that `sackBlocks` has to report. */
  blocks(): number {
    return this.start.length + (this.dupStart !== this.dupEnd ? 1 : 0);
  }

  /**
   * Fills `edges` with at most `max` blocks and returns how many: first the duplicate, if there is one to report, then the ranges,
   * the newest first (RFC 2018 §4, RFC 2883 §4).
   */
  sackBlocks(edges: Int32Array, max: number): number {
    let n = 0;
    if (this.dupStart !== this.dupEnd && max > 0) {
      edges[0] = this.dupStart;
      edges[1] = this.dupEnd;
      n = 1;
      this.dupStart = this.dupEnd = 0;
    }
    for (let below = 0x7fffffff; n < max; n++) {
      let newest = -1;
      for (let i = 0; i < this.#when.length; i++) {
        const when = this.#when[i] as number;
        if (when < below && (newest < 0 || when > (this.#when[newest] as number))) newest = i;
      }
      if (newest < 0) break;
      below = this.#when[newest] as number;
      edges[2 * n] = this.start[newest] as number;
      edges[2 * n + 1] = this.end[newest] as number;
    }
    return n;
  }
}
