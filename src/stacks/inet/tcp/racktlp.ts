/**
 * Tail loss probe (RFC 8985 §7): when no ACK comes for two round trips, one segment goes (new data if there is any, else the last one
 * again), so that the answer shows what was lost long before the retransmission timer would.
 */
import { seqGt } from '../../../wire/seq.ts';
import { CC_NDUPACK } from './cc.ts';
import type { Segment } from './inst.ts';
import { RACK_TIMER_PROBE, type RackState } from './rackstate.ts';
import { TX_SACKED, type TxRange } from './sackboard.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, T_RACK, T_REXMT, type Tcb } from './tcb.ts';
import { timerArm, timerArmed } from './timerset.ts';

/** Least time of the probe's timer, so that fast paths do not keep the wheel busy; the peer's delay of an ACK at most. */
const PTO_MIN_MS = 10;
const DELACK_MAX_MS = 200;
const PTO_DEFAULT_MS = 1000;

/** Sets the timer if a probe may be needed: something in flight, nothing reported, no probe out, no recovery. */
export function tlpSchedule(tcb: Tcb, st: RackState): void {
  if (!st.probeDue) return;
  st.probeDue = false;
  if ((tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) !== 0 || tcb.rxtShift > 0) return;
  const flight = (tcb.sndMax - tcb.sndUna) | 0;
  if (flight <= 0 || st.tlpOut || st.board.sacked > 0 || !timerArmed(tcb, T_REXMT)) return;
  let pto = PTO_DEFAULT_MS;
  if (tcb.srtt > 0) {
    pto = Math.ceil((tcb.srtt >> 2) / 1000);
    // A single segment may wait for the peer's delayed ACK.
    if (flight <= tcb.mss) pto += DELACK_MAX_MS;
  }
  if (pto < PTO_MIN_MS) pto = PTO_MIN_MS;
  // The retransmission timer comes first: it does as well.
  if (((tcb.tRexmt - tcb.tcp.time.ms) | 0) <= pto) return;
  st.timerMode = RACK_TIMER_PROBE;
  timerArm(tcb, T_RACK, pto);
}

/** The timer went off: a probe is to go. */
export function tlpFire(tcb: Tcb, st: RackState): void {
  const { tcp, mss } = tcb;
  const { board } = st;
  const flight = (tcb.sndMax - tcb.sndUna) | 0;
  if (flight <= 0 || board.tail === null || tcb.sndNxt !== tcb.sndMax) return;
  const unsent = tcb.so.snd.cc - flight;
  if (unsent >= mss && tcb.sndWnd - flight >= mss) {
    tcb.limXmit = mss + Math.max(0, st.pipe(tcb) - tcb.cwnd);
    st.tlpLen = 0;
  } else {
    let tail: TxRange | null = board.tail;
    while (tail !== null && (tail.flags & TX_SACKED) !== 0) tail = tail.prev;
    if (tail === null) return;
    const len = (tail.end - tail.start) | 0;
    st.tlpLen = len < mss ? len : mss;
    st.tlpSeq = (tail.end - st.tlpLen) | 0;
  }
  st.tlpNow = true;
  tcp.stats.tlpprobe++;
  timerArm(tcb, T_REXMT, tcb.rto);
  tcp.mark(tcb);
}

/** RFC 8985 §7.4.2. `duplicate`: bytes that the ACK reports as received twice; `isDup`: it says nothing else. */
export function tlpAck(tcb: Tcb, st: RackState, seg: Segment, duplicate: number, isDup: boolean): void {
  const past = (seg.ack - st.tlpEnd) | 0;
  if (past < 0) return;
  if (!st.tlpRexmt || duplicate > 0) {
    st.tlpOut = false;
    return;
  }
  if (past > 0) {
    // What the probe sent again was lost, and is repaired by it: that is congestion all the same (§7.4.1).
    st.tlpOut = false;
    if ((tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) !== 0) return;
    tcb.tcp.stats.tlprecovered++;
    // A reduction of its own: what is known of an earlier one cannot take it back.
    st.undoOn = false;
    tcb.cc.congSignal(tcb, CC_NDUPACK);
    if (tcb.cwnd > tcb.ssthresh) tcb.cwnd = tcb.ssthresh;
    tcb.cc.postRecovery(tcb);
    return;
  }
  if (isDup) st.tlpOut = false;
}

/** A segment went out while a probe was to go: that is it. */
export function tlpSent(tcb: Tcb, st: RackState, end: number): void {
  st.tlpNow = false;
  st.tlpLen = 0;
  st.tlpOut = true;
  st.tlpRexmt = !seqGt(end, tcb.sndMax);
  st.tlpEnd = end;
}
