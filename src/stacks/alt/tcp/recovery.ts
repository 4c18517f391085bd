/**
 * Loss recovery: fast retransmit and NewReno (RFC 5681, RFC 6582), and with SACK a scoreboard of up to 32 ranges per flow (RFC 2018,
 * RFC 6675 in spirit): what lies below the highest range and is not in one is lost. Each hole is sent again once, in order
 * (HIGH_RXT); if data that left after the last retransmission is acknowledged while the first hole still stands, the
 * retransmissions were lost too and begin anew (RXT_MARK), so that no timeout is needed for them.
 */
import { TH_ACK } from '../../../wire/tcp.ts';
import type { TcpOptions } from '../../../wire/tcp.ts';
import type { Alt } from '../alt.ts';
import {
  DUPACKS, FLAGS, F_PROBE, F_PROBED, F_RECOVER, F_RECOVERY, F_RXT, F_SACK, HIGH_RXT, MSS, RANGES, RECOVER, REXMITS, REXMT_AT,
  ROW_SHIFT, RTT_AT, RXT_MARK, SND_CWND, SND_MAX, SND_NXT, SND_SSTHRESH, SND_UNA, SRTT, field, setField
} from '../flows.ts'; // prettier-ignore
import {
  ADD_NEW,
  RANGE_WORDS,
  RCVD,
  SACKED,
  rangeAdd,
  rangeAfter,
  rangeBytes,
  rangeEnd,
  rangeHoles,
  rangeSkip,
  rangeTrim,
} from '../ranges.ts';
import { at } from '../slab.ts';
import { ccReduce } from './cc.ts';
import { emit } from './emit.ts';
import { armRexmt } from './rexmt.ts';
import { initialWindow } from './rtt.ts';

/** Duplicate acknowledgments, or full segments acknowledged selectively, that mean a loss. */
export const DUPTHRESH = 3;

/** Offset of the flow's set `which` in the range slab, or -1 without a row. */
export function rangeSet(s: Alt, i: number, which: number): number {
  const row = at(s.flows.w, (i << ROW_SHIFT) + RANGES);
  return row === 0 ? -1 : (row - 1) * RANGE_WORDS + which;
}

/** The same, taking a row if there is none. -1, counted: none is free. */
export function takeRangeSet(s: Alt, i: number, which: number): number {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (at(w, o + RANGES) === 0) {
    const row = s.ranges.alloc();
    if (row < 0) {
      s.ct.alt.norange++;
      return -1;
    }
    w[o + RANGES] = row + 1;
  }
  return (at(w, o + RANGES) - 1) * RANGE_WORDS + which;
}

/** Gives the row back once both of its sets are empty. */
export function dropRangeRow(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const row = at(w, o + RANGES);
  if (row === 0) return;
  const r = (row - 1) * RANGE_WORDS;
  if (at(s.ranges.w, r + RCVD) !== 0 || at(s.ranges.w, r + SACKED) !== 0) return;
  s.ranges.free(row - 1);
  w[o + RANGES] = 0;
}

/** Bytes on their way, as far as we know (RFC 6675 §4 SetPipe; without SACK each duplicate acknowledgment is a segment that left). */
export function pipe(s: Alt, i: number): number {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const una = at(w, o + SND_UNA);
  const flight = (at(w, o + SND_NXT) - una) | 0;
  if (field(w, o, DUPACKS) === 0 && at(w, o + RANGES) === 0) return flight;
  const c = rangeSet(s, i, SACKED);
  if (c >= 0 && at(s.ranges.w, c) > 0) {
    if ((at(w, o + FLAGS) & F_RECOVERY) === 0) return rangeHoles(s.ranges.w, c, una, at(w, o + SND_NXT));
    const fack = rangeEnd(s.ranges.w, c, una);
    const high = s.flows.side(o, HIGH_RXT);
    const rexmitted = rangeHoles(s.ranges.w, c, una, ((high - fack) | 0) < 0 ? high : fack);
    return Math.max(0, ((at(w, o + SND_NXT) - fack) | 0) + rexmitted);
  }
  return Math.max(0, flight - field(w, o, DUPACKS) * field(w, o, MSS));
}

/** Takes the SACK blocks of an acknowledgment of `ack`. True if they say something new. */
export function takeSack(s: Alt, i: number, opt: TcpOptions, ack: number): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const max = at(w, o + SND_MAX);
  let fresh = false;
  for (let k = 0; k < opt.nsack; k++) {
    const from = at(opt.sack, 2 * k);
    const to = at(opt.sack, 2 * k + 1);
    // Only what we have sent and the cumulative acknowledgment does not cover; anything else is old, a D-SACK, or a lie.
    if (((to - from) | 0) <= 0 || ((from - ack) | 0) < 0 || ((to - max) | 0) > 0) continue;
    const c = takeRangeSet(s, i, SACKED);
    // News that cannot be kept: the acknowledgment counts as a duplicate without SACK does.
    if (c < 0) return true;
    s.ct.tcp.sack_rcv_blocks++;
    if (rangeAdd(s.ranges.w, c, from, to) === ADD_NEW) fresh = true;
  }
  if (!fresh || (at(w, o + FLAGS) & F_RECOVERY) === 0) return fresh;
  const c = rangeSet(s, i, SACKED);
  const mark = s.flows.side(o, RXT_MARK);
  if (((s.flows.side(o, HIGH_RXT) - ack) | 0) > 0 && ((rangeEnd(s.ranges.w, c, ack) - mark) | 0) > field(w, o, MSS)) {
    s.ct.tcp.sack_lostrexmt++;
    s.flows.setSide(o, HIGH_RXT, ack);
    s.flows.setSide(o, RXT_MARK, max);
    w[o + FLAGS] = at(w, o + FLAGS) | F_RXT;
  }
  return fresh;
}

/** A duplicate acknowledgment came, or SACK blocks with news: is it time to retransmit? */
export function onDupAck(s: Alt, i: number, unsent: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const una = at(w, o + SND_UNA);
  if ((at(w, o + FLAGS) & F_RECOVERY) !== 0) return;
  // RFC 6582 §3.2: a window that timed out is not recovered again.
  if ((at(w, o + FLAGS) & F_RECOVER) !== 0 && ((una - s.flows.side(o, RECOVER)) | 0) < 0) return;
  const mss = field(w, o, MSS);
  const flight = (at(w, o + SND_MAX) - una) | 0;
  // RFC 5827: with little in flight and nothing to send, fewer will ever come.
  let threshold = DUPTHRESH;
  if (unsent <= 0 && flight < (DUPTHRESH + 1) * mss) threshold = Math.max(1, Math.ceil(flight / mss) - 1);
  const c = rangeSet(s, i, SACKED);
  const sacked = c < 0 ? 0 : rangeBytes(s.ranges.w, c);
  // RFC 8985 §7: what a probe brought back left last, so that all before it had its time.
  if (sacked > 0 && (at(w, o + FLAGS) & F_PROBED) !== 0) threshold = 0;
  if (field(w, o, DUPACKS) < threshold && sacked <= (threshold - 1) * mss) {
    if (sacked > 0) armReorder(s, i);
    return;
  }
  startRecovery(s, i);
}

/** RFC 8985 §6.2: what is missing below what has arrived may be late by a quarter of a round trip; then it is lost, however few came. */
function armReorder(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  // Eighths of a millisecond, and twice it in all, because the wheel's step is coarse.
  const wait = at(w, o + SRTT) >> 5;
  const due = at(w, o + REXMT_AT);
  if (at(w, o + SRTT) === 0 || (due !== 0 && ((due - s.time.ms - wait) | 0) <= 0)) return;
  w[o + FLAGS] = at(w, o + FLAGS) | F_PROBE;
  s.setTimer(i, REXMT_AT, wait);
}

/** The timer set by `armReorder`, or a probe's: is anything missing below what has arrived? True: it is sent again now. */
export function reorderTimeout(s: Alt, i: number): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const c = rangeSet(s, i, SACKED);
  if (c < 0 || at(s.ranges.w, c) === 0) return false;
  if ((at(w, o + FLAGS) & F_RECOVERY) === 0) {
    startRecovery(s, i);
    return true;
  }
  // Silence for two round trips in recovery: the retransmissions were lost too.
  s.ct.tcp.sack_lostrexmt++;
  s.flows.setSide(o, HIGH_RXT, at(w, o + SND_UNA));
  s.flows.setSide(o, RXT_MARK, at(w, o + SND_MAX));
  w[o + FLAGS] = at(w, o + FLAGS) | F_RXT;
  s.mark(i);
  return true;
}

function startRecovery(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const una = at(w, o + SND_UNA);
  const c = rangeSet(s, i, SACKED);
  const sacked = c < 0 ? 0 : at(s.ranges.w, c);
  s.ct.tcp.newreno_episode++;
  if (sacked > 0) s.ct.tcp.sack_recovery_episode++;
  s.flows.setSide(o, RECOVER, at(w, o + SND_MAX));
  s.flows.setSide(o, HIGH_RXT, una);
  s.flows.setSide(o, RXT_MARK, at(w, o + SND_MAX));
  s.flows.setSide(o, RTT_AT, 0);
  ccReduce(s, i);
  w[o + SND_CWND] = at(w, o + SND_SSTHRESH);
  w[o + FLAGS] = (at(w, o + FLAGS) & ~(F_PROBE | F_PROBED)) | F_RECOVERY | F_RECOVER | F_RXT;
  armRexmt(s, i);
  s.mark(i);
}

/** `SND_UNA` has moved to `ack` by `acked` bytes during recovery. True when recovery is over. */
export function onRecoveryAck(s: Alt, i: number, ack: number, acked: number): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const mss = field(w, o, MSS);
  if (((ack - s.flows.side(o, RECOVER)) | 0) >= 0) {
    w[o + FLAGS] = at(w, o + FLAGS) & ~(F_RECOVERY | F_RXT);
    setField(w, o, DUPACKS, 0);
    // RFC 6582 §3.2 step 3: no burst at the end. With SACK new data left all the while, and what now leaves is what this batch let go.
    const flight = (at(w, o + SND_MAX) - ack) | 0;
    const most = (at(w, o + FLAGS) & F_SACK) !== 0 ? at(w, o + SND_SSTHRESH) : Math.max(flight, mss) + initialWindow(mss);
    w[o + SND_CWND] = Math.min(at(w, o + SND_SSTHRESH), most);
    return true;
  }
  if (((s.flows.side(o, HIGH_RXT) - ack) | 0) < 0) s.flows.setSide(o, HIGH_RXT, ack);
  const c = rangeSet(s, i, SACKED);
  if (c < 0 || at(s.ranges.w, c) === 0) {
    // Partial acknowledgment: the next segment is lost too (RFC 6582 §3.2 step 3).
    setField(w, o, DUPACKS, Math.max(0, field(w, o, DUPACKS) - Math.ceil(acked / mss)));
    s.flows.setSide(o, HIGH_RXT, ack);
    w[o + FLAGS] = at(w, o + FLAGS) | F_RXT;
  }
  s.mark(i);
  return false;
}

/** What is acknowledged leaves the scoreboard. */
export function trimSacked(s: Alt, i: number, ack: number): void {
  const c = rangeSet(s, i, SACKED);
  if (c < 0) return;
  rangeTrim(s.ranges.w, c, ack);
  dropRangeRow(s, i);
}

/** A timeout: the scoreboard may be of a peer that reneged (RFC 2018 §8). */
export function clearSacked(s: Alt, i: number): void {
  const c = rangeSet(s, i, SACKED);
  if (c < 0) return;
  s.ranges.w[c] = 0;
  dropRangeRow(s, i);
}

/**
 * Sends what is lost, as far as the congestion window lets it; the first of it in any case. `cc`: bytes in the send buffer. False: the
 * link has no slot.
 */
export function sendLost(s: Alt, i: number, cc: number): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const mss = field(w, o, MSS);
  const una = at(w, o + SND_UNA);
  const { w: r } = s.ranges;
  for (;;) {
    const forced = (at(w, o + FLAGS) & F_RXT) !== 0;
    if (!forced && pipe(s, i) + mss > at(w, o + SND_CWND)) return true;
    const c = (at(w, o + FLAGS) & F_SACK) !== 0 ? rangeSet(s, i, SACKED) : -1;
    const sacked = c >= 0 && at(r, c) > 0;
    if (!sacked && !forced) return true;
    const seq = sacked ? rangeSkip(r, c, s.flows.side(o, HIGH_RXT)) : una;
    const limit = sacked ? rangeAfter(r, c, seq, seq) : at(w, o + SND_MAX);
    let len = (limit - seq) | 0;
    if (len > mss) len = mss;
    // The FIN is the last unit of a window and not a byte of the buffer.
    const data = (una + cc - seq) | 0;
    if (len > data) len = data;
    w[o + FLAGS] = at(w, o + FLAGS) & ~F_RXT;
    if (len <= 0) return true;
    if (!emit(s, i, seq, len, TH_ACK)) {
      w[o + FLAGS] = at(w, o + FLAGS) | F_RXT;
      return false;
    }
    s.ct.tcp.sack_rexmits += sacked ? 1 : 0;
    s.ct.tcp.sack_rexmit_bytes += sacked ? len : 0;
    s.flows.setSide(o, REXMITS, s.flows.side(o, REXMITS) + 1);
    s.flows.setSide(o, HIGH_RXT, (seq + len) | 0);
    s.flows.setSide(o, RXT_MARK, at(w, o + SND_MAX));
  }
}
