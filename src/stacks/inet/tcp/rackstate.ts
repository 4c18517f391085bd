/** What loss recovery by SACK and RACK keeps of one connection: made with the first byte that is sent. */
import { seqGt, seqLt } from '../../../wire/seq.ts';
import { type RangePool, SackBoard } from './sackboard.ts';
import type { Tcb } from './tcb.ts';

/** What the timer T_RACK waits for. */
export const RACK_TIMER_REO = 1;
export const RACK_TIMER_PROBE = 2;

/** Phases of F-RTO (RFC 5682): none, the segment at sndUna went again, new data went behind the first ACK. */
export const FRTO_NONE = 0;
export const FRTO_SENT = 1;
export const FRTO_NEWDATA = 2;

/** Half of the window of the least round-trip time: it is the least of the last one or two. Milliseconds. */
const MINRTT_WINDOW_MS = 60_000;

export class RackState {
  readonly board: SackBoard;

  /** The segment sent last of those that arrived (RFC 8985 §5.2): when, its end, its round-trip time in microseconds. */
  valid = false;
  xmitUs = 0;
  end = 0;
  rttUs = 0;
  /** Highest byte that arrived, plus one. */
  fack = 0;
  /** Reordering was seen on the path, and by how many bytes at most. */
  reordSeen = false;
  reordBytes = 0;
  /** Reordering window: quarters of the least round-trip time, how many recoveries that holds, and the end of the DSACK round. */
  reoMult = 1;
  reoPersist = 0;
  dsackRound = 0;
  /** Where the last duplicate that was reported ended. */
  dsackEnd = 0;
  /** What T_RACK waits for. */
  timerMode = 0;

  /** PRR (RFC 6937 §3): in flight when recovery began, delivered and sent since. Bytes. */
  recoverFs = 0;
  prrDelivered = 0;
  prrOut = 0;

  /** Tail loss probe (RFC 8985 §7.2): one is out, its end, whether it was sent before; one is to go; the timer is to be set. */
  tlpOut = false;
  tlpEnd = 0;
  tlpRexmt = false;
  tlpNow = false;
  probeDue = false;
  /** The probe's bytes, where old ones are to go again. */
  tlpSeq = 0;
  tlpLen = 0;

  /** To take a reduction back: it can be, the windows before it, bytes sent again and not reported as duplicates, of how many. */
  undoOn = false;
  /** sndUna at the reduction: duplicates of what lies before it belong to an earlier one. */
  undoMark = 0;
  cwndPrev = 0;
  ssthreshPrev = 0;
  undoBytes = 0;
  undoSent = 0;
  /** Timestamp of the first retransmission, and that there is one (RFC 3522). */
  rexmtTs = 0;
  rexmtTsOn = false;
  frto = FRTO_NONE;

  /** Bytes that SACK reported outside of recovery and that congestion control has not been told of. */
  uncounted = 0;
  /** Last delivery rate, bytes a second. */
  rate = 0;
  rateAppLimited = false;
  /** Duplicates reported to us, reductions taken back, retransmissions found lost. */
  dsacks = 0;
  spurious = 0;
  lostRexmts = 0;
  /** Bytes taken for lost in all, modulo 2^32. */
  lostBytes = 0;

  /** Least round-trip time in microseconds (0: none yet), of this window and of the one before. */
  minRttUs = 0;
  #minNow = 0;
  #minBefore = 0;
  #minSinceMs = 0;

  constructor(pool: RangePool, tcb: Tcb) {
    this.board = new SackBoard(pool);
    this.fack = tcb.sndUna;
    this.dsackRound = tcb.sndUna;
  }

  rttSample(us: number, nowMs: number): void {
    if (this.#minNow === 0) this.#minSinceMs = nowMs;
    else if (((nowMs - this.#minSinceMs) | 0) > MINRTT_WINDOW_MS) {
      this.#minBefore = this.#minNow;
      this.#minNow = 0;
      this.#minSinceMs = nowMs;
    }
    if (this.#minNow === 0 || us < this.#minNow) this.#minNow = us;
    const { minRttUs } = this;
    const least = this.#minBefore !== 0 && this.#minBefore < this.#minNow ? this.#minBefore : this.#minNow;
    if (least !== minRttUs) this.minRttUs = least;
  }

  /** Bytes in flight. */
  pipe(tcb: Tcb): number {
    return this.board.pipe((tcb.sndMax - tcb.sndUna) | 0);
  }

  /** True if the transmission (xmitUs, end) is later than (us, seq): RFC 8985 §5.2. */
  static sentAfter(xmitUs: number, end: number, us: number, seq: number): boolean {
    const d = (xmitUs - us) | 0;
    return d > 0 || (d === 0 && seqGt(end, seq));
  }

  /** A byte below the highest that arrived, sent once, arrives only now. */
  noteReordering(low: number, nextFack: number): void {
    if (seqLt(low, this.fack)) {
      this.reordSeen = true;
      const by = (this.fack - low) | 0;
      if (by > this.reordBytes) this.reordBytes = by;
    }
    if (seqGt(nextFack, this.fack)) this.fack = nextFack;
  }
}
