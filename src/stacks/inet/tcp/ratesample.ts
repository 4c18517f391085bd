/**
 * What one ACK tells (filled once per ACK, read by RACK, PRR and congestion control): bytes that arrived, the round-trip time of the
 * segment sent last among them, and the delivery rate (draft-cheng-iccrg-delivery-rate-estimation §3.3, as BBR needs it).
 */
import { seqGt } from '../../../wire/seq.ts';
import { type DeliverySink, type SackBoard, TX_APPLIMITED, TX_REXMT, type TxRange } from './sackboard.ts';

export class RateSample implements DeliverySink {
  /** Bytes that arrived for the first time, by ACK or SACK; of them sent only once. Bytes newly taken for lost. */
  delivered = 0;
  original = 0;
  lost = 0;
  /** In flight before this ACK. Bytes. */
  priorPipe = 0;
  /** The latest sent of what arrived: when, its end, whether it was sent more than once; `any`: there is one. */
  any = false;
  xmitUs = 0;
  end = 0;
  rexmt = false;
  /** Round-trip time of it; -1: not known (Karn). Microseconds. */
  rttUs = -1;
  /** Highest byte that arrived of what was sent once, and the lowest (to see reordering); valid if `original` is above 0. */
  originalEnd = 0;
  originalLow = 0;
  /** `board.delivered` when it was sent; over how long the rate is measured; bytes a second, 0: no sample. */
  priorDelivered = 0;
  intervalUs = 0;
  rate = 0;
  appLimited = false;
  #priorUs = 0;
  #sendUs = 0;
  #nowUs = 0;

  reset(nowUs: number): void {
    this.delivered = this.original = this.lost = this.priorPipe = 0;
    this.any = false;
    this.rexmt = false;
    this.rttUs = -1;
    this.intervalUs = 0;
    this.rate = 0;
    this.appLimited = false;
    this.#nowUs = nowUs;
  }

  /** From the scoreboard, once for each range. */
  deliver(board: SackBoard, r: TxRange, end: number, len: number): void {
    this.delivered += len;
    board.delivered = (board.delivered + len) | 0;
    board.deliveredUs = this.#nowUs;
    const rexmt = (r.flags & TX_REXMT) !== 0;
    if (!rexmt) {
      const start = (end - len) | 0;
      if (this.original === 0) {
        this.originalEnd = end;
        this.originalLow = start;
      } else {
        if (seqGt(end, this.originalEnd)) this.originalEnd = end;
        if (seqGt(this.originalLow, start)) this.originalLow = start;
      }
      this.original += len;
    }
    const later = (r.xmitUs - this.xmitUs) | 0;
    if (this.any && (later < 0 || (later === 0 && seqGt(this.end, end)))) return;
    this.any = true;
    this.xmitUs = r.xmitUs;
    this.end = end;
    this.rexmt = rexmt;
    this.appLimited = (r.flags & TX_APPLIMITED) !== 0;
    this.priorDelivered = r.delivered;
    this.#priorUs = r.deliveredUs;
    this.#sendUs = (r.xmitUs - r.firstSentUs) | 0;
  }

  /** The ACK has been gone through. `minRttUs`: a shorter interval is compression of ACKs and no rate. */
  finish(board: SackBoard, minRttUs: number): void {
    if (!this.any) return;
    board.firstSentUs = this.xmitUs;
    if (board.appLimited !== 0 && seqGt(board.delivered, board.appLimited)) board.appLimited = 0;
    const rtt = (this.#nowUs - this.xmitUs) | 0;
    if (!this.rexmt && rtt >= 0) this.rttUs = rtt < 1 ? 1 : rtt;
    const ackUs = (board.deliveredUs - this.#priorUs) | 0;
    const us = ackUs > this.#sendUs ? ackUs : this.#sendUs;
    if (us <= 0 || us < minRttUs) return;
    this.intervalUs = us;
    this.rate = (((board.delivered - this.priorDelivered) | 0) * 1e6) / us;
  }
}
