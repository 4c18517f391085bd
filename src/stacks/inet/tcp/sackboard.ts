/**
 * The scoreboard of a sender (RFC 2018, RFC 6675 §3): what is in flight as a list of ranges of the sequence space without gaps, each with
 * when it was last sent and what became of it. A range begins as everything that one batch sent, so the loss-free path costs one record a
 * batch and none a segment; a SACK block that covers a part splits it, what was reported is joined again.
 *
 * Two orders: by sequence number (all ranges), and by the time of the last transmission (those in flight: not reported, not lost), which
 * is what RACK walks (RFC 8985 §6.2). Records come from a pool. `limit` bounds the list whatever the peer reports: a block that would
 * need one split too many counts only for the ranges that it covers whole.
 */
import { seqGeq, seqGt, seqLeq, seqLt } from '../../../wire/seq.ts';

/** Reported by SACK; taken for lost and not yet sent again; sent more than once. */
export const TX_SACKED = 0x1;
export const TX_LOST = 0x2;
export const TX_REXMT = 0x4;
/** The sender had nothing more to say when it was sent (delivery rate estimation). */
export const TX_APPLIMITED = 0x8;

/** Records kept for use again. */
const POOL_MAX = 4096;

export class TxRange {
  /** [start, end) */
  start = 0;
  end = 0;
  /** TX_* */
  flags = 0;
  /** Last transmission, microseconds. */
  xmitUs = 0;
  /** At that time: bytes delivered in all, when the last of them was, and the first transmission of the flight (rate estimation). */
  delivered = 0;
  deliveredUs = 0;
  firstSentUs = 0;
  prev: TxRange | null = null;
  next: TxRange | null = null;
  /** In the order of time; `timed`: it is in that list. */
  tPrev: TxRange | null = null;
  tNext: TxRange | null = null;
  timed = false;
}

/** Records of all connections of a stack that wait for use. */
export class RangePool {
  #free: TxRange | null = null;
  #count = 0;

  take(): TxRange {
    const r = this.#free;
    if (r === null) return new TxRange();
    this.#free = r.next;
    this.#count--;
    r.next = null;
    return r;
  }

  give(r: TxRange): void {
    r.prev = r.next = null;
    if (this.#count >= POOL_MAX) return;
    r.next = this.#free;
    this.#free = r;
    this.#count++;
  }
}

/** Who hears of each range (or part of one) that arrived for the first time. */
export interface DeliverySink {
  /** `r` as it was sent, with the flags it had; `len` bytes of it up to `end` are new. */
  deliver(board: SackBoard, r: TxRange, end: number, len: number): void;
}

export class SackBoard {
  head: TxRange | null = null;
  tail: TxRange | null = null;
  tHead: TxRange | null = null;
  tTail: TxRange | null = null;
  /** Ranges. */
  count = 0;
  /** Bytes reported by SACK; taken for lost and not sent again yet. */
  sacked = 0;
  lost = 0;
  /** Splits that the limit refused since somebody looked. */
  refused = 0;
  /** Bytes delivered in all (modulo 2^32), when the last were, and when the first of the present flight was sent. */
  delivered = 0;
  deliveredUs = 0;
  firstSentUs = 0;
  /** Until `delivered` passes this the sender's user is what limits it; 0: it is not. */
  appLimited = 0;
  readonly #pool: RangePool;
  /** Where the last SACK block ended: the next one is near. Nothing before `#lostHint` is lost. */
  #hint: TxRange | null = null;
  #lostHint: TxRange | null = null;

  constructor(pool: RangePool) {
    this.#pool = pool;
  }

  /** Bytes in flight (RFC 6675 §4's pipe): neither reported nor lost. */
  pipe(out: number): number {
    return out - this.sacked - this.lost;
  }

  /** [seq, end) was sent at `us`, for the first time or again. `limit`: records, beyond which what is new joins the last one. */
  sent(seq: number, end: number, us: number, limit: number): void {
    const { tail } = this;
    if (tail === null || seqGeq(seq, tail.end)) {
      this.#append(tail === null ? seq : tail.end, end, us, limit);
      return;
    }
    const from = seq;
    let r = this.#find(from);
    while (r !== null && seqLt(r.start, end)) {
      if (seqLt(r.start, from)) r = this.#split(r, from);
      if (seqGt(r.end, end)) this.#split(r, end);
      this.#again(r, us);
      r = r.next;
    }
    if (seqGt(end, tail.end)) {
      const last = this.tail;
      if (last !== null) this.#append(last.end, end, us, limit);
    }
  }

  #append(seq: number, end: number, us: number, limit: number): void {
    const { tail } = this;
    if (tail !== null && tail.timed && tail.tNext === null && (tail.flags & ~TX_APPLIMITED) === 0) {
      if (tail.xmitUs === us || this.count >= limit) {
        tail.end = end;
        tail.xmitUs = us;
        return;
      }
    }
    if (this.tHead === null) this.firstSentUs = this.deliveredUs = us;
    const r = this.#pool.take();
    r.start = seq;
    r.end = end;
    r.flags = 0;
    this.#stamp(r, us);
    r.prev = tail;
    if (tail === null) this.head = r;
    else tail.next = r;
    this.tail = r;
    this.count++;
    this.#timeAppend(r);
  }

  #stamp(r: TxRange, us: number): void {
    r.xmitUs = us;
    r.delivered = this.delivered;
    r.deliveredUs = this.deliveredUs;
    r.firstSentUs = this.firstSentUs;
    if (this.appLimited !== 0) r.flags |= TX_APPLIMITED;
    else r.flags &= ~TX_APPLIMITED;
  }

  #again(r: TxRange, us: number): void {
    if ((r.flags & TX_SACKED) !== 0) return;
    if ((r.flags & TX_LOST) !== 0) this.lost -= (r.end - r.start) | 0;
    if (r.timed) this.#timeRemove(r);
    r.flags = (r.flags & ~TX_LOST) | TX_REXMT;
    if (this.tHead === null) this.firstSentUs = this.deliveredUs = us;
    this.#stamp(r, us);
    this.#timeAppend(r);
  }

  /** Everything before `ack` has arrived. */
  ack(ack: number, sink: DeliverySink): void {
    let r = this.head;
    while (r !== null && seqLeq(r.end, ack)) {
      const { next } = r;
      const len = (r.end - r.start) | 0;
      this.#leave(r, len);
      if ((r.flags & TX_SACKED) === 0) sink.deliver(this, r, r.end, len);
      this.#remove(r);
      r = next;
    }
    if (r === null || seqGeq(r.start, ack)) return;
    const len = (ack - r.start) | 0;
    if ((r.flags & TX_SACKED) !== 0) this.sacked -= len;
    else {
      if ((r.flags & TX_LOST) !== 0) this.lost -= len;
      sink.deliver(this, r, ack, len);
    }
    r.start = ack;
  }

  /** The peer reports [start, end), which lies in what was sent. */
  sack(start: number, end: number, sink: DeliverySink, limit: number): void {
    let r = this.#find(start);
    while (r !== null && seqLt(r.start, end)) {
      if ((r.flags & TX_SACKED) === 0) {
        const fits = seqGeq(r.start, start) && seqLeq(r.end, end);
        if (!fits && this.count >= limit) {
          this.refused++;
          r = r.next;
          continue;
        }
        if (seqLt(r.start, start)) r = this.#split(r, start);
        if (seqGt(r.end, end)) this.#split(r, end);
        const len = (r.end - r.start) | 0;
        if ((r.flags & TX_LOST) !== 0) this.lost -= len;
        if (r.timed) this.#timeRemove(r);
        sink.deliver(this, r, r.end, len);
        r.flags = (r.flags | TX_SACKED) & ~TX_LOST;
        this.sacked += len;
      }
      r = this.#join(r);
      if (r.next !== null) this.#join(r.next);
      this.#hint = r;
      r = r.next;
    }
  }

  /** Takes a range in flight for lost. */
  markLost(r: TxRange): void {
    if ((r.flags & (TX_LOST | TX_SACKED)) !== 0) return;
    r.flags |= TX_LOST;
    this.lost += (r.end - r.start) | 0;
    if (r.timed) this.#timeRemove(r);
    const hint = this.#lostHint;
    if (hint === null || seqLt(r.start, hint.start)) this.#lostHint = r;
  }

  /** The first range that waits to be sent again. */
  firstLost(): TxRange | null {
    if (this.lost === 0) return null;
    let r = this.#lostHint ?? this.head;
    while (r !== null && (r.flags & TX_LOST) === 0) r = r.next;
    this.#lostHint = r;
    return r;
  }

  /** The peer may have thrown away what it reported (RFC 2018 §8): nothing is reported any more, and all of that is to go again. */
  renege(): void {
    for (let r = this.head; r !== null; r = r.next) {
      if ((r.flags & TX_SACKED) === 0) continue;
      r.flags &= ~TX_SACKED;
      this.sacked -= (r.end - r.start) | 0;
      this.markLost(r);
    }
  }

  /** Nothing was lost after all: what waits to be sent again is in flight. */
  unmark(): void {
    let r = this.tHead;
    // Older than what is timed, as a rule; put in order of time before it.
    const rest = r;
    this.tHead = this.tTail = null;
    for (let x = this.head; x !== null; x = x.next) {
      if ((x.flags & TX_LOST) === 0) continue;
      x.flags &= ~TX_LOST;
      this.#timeAppend(x);
    }
    this.lost = 0;
    for (r = rest; r !== null;) {
      const { tNext } = r;
      r.timed = false;
      r.tPrev = r.tNext = null;
      this.#timeAppend(r);
      r = tNext;
    }
  }

  /** First range that ends behind `seq`. */
  #find(seq: number): TxRange | null {
    let r = this.#hint;
    const { tail } = this;
    if (tail !== null && seqLeq(tail.start, seq)) r = tail;
    else if (r === null) r = this.head;
    while (r !== null && seqGt(r.start, seq) && r.prev !== null) r = r.prev;
    while (r !== null && seqLeq(r.end, seq)) r = r.next;
    return r;
  }

  /** Cuts a range at `at`; answers the part behind it. */
  #split(r: TxRange, at: number): TxRange {
    const b = this.#pool.take();
    b.start = at;
    b.end = r.end;
    b.flags = r.flags;
    b.xmitUs = r.xmitUs;
    b.delivered = r.delivered;
    b.deliveredUs = r.deliveredUs;
    b.firstSentUs = r.firstSentUs;
    r.end = at;
    b.prev = r;
    b.next = r.next;
    if (r.next === null) this.tail = b;
    else r.next.prev = b;
    r.next = b;
    this.count++;
    if (r.timed) {
      b.timed = true;
      b.tPrev = r;
      b.tNext = r.tNext;
      if (r.tNext === null) this.tTail = b;
      else r.tNext.tPrev = b;
      r.tNext = b;
    }
    return b;
  }

  /** Joins a reported range with a reported one in front of it. */
  #join(r: TxRange): TxRange {
    const { prev } = r;
    if (prev === null || (prev.flags & r.flags & TX_SACKED) === 0) return r;
    prev.end = r.end;
    this.#remove(r);
    return prev;
  }

  /** Takes a range's bytes out of the sums. */
  #leave(r: TxRange, len: number): void {
    if ((r.flags & TX_SACKED) !== 0) this.sacked -= len;
    else if ((r.flags & TX_LOST) !== 0) this.lost -= len;
  }

  #remove(r: TxRange): void {
    const { prev, next } = r;
    if (prev === null) this.head = next;
    else prev.next = next;
    if (next === null) this.tail = prev;
    else next.prev = prev;
    if (r.timed) this.#timeRemove(r);
    if (this.#hint === r) this.#hint = prev ?? next;
    if (this.#lostHint === r) this.#lostHint = next;
    this.count--;
    this.#pool.give(r);
  }

  #timeAppend(r: TxRange): void {
    r.timed = true;
    r.tPrev = this.tTail;
    r.tNext = null;
    if (this.tTail === null) this.tHead = r;
    else this.tTail.tNext = r;
    this.tTail = r;
  }

  #timeRemove(r: TxRange): void {
    const { tPrev, tNext } = r;
    if (tPrev === null) this.tHead = tNext;
    else tPrev.tNext = tNext;
    if (tNext === null) this.tTail = tPrev;
    else tNext.tPrev = tPrev;
    r.tPrev = r.tNext = null;
    r.timed = false;
  }
}
