/**
 * Was it a loss at all? F-RTO (RFC 5682 §3, with SACK), Eifel detection by timestamps (RFC 3522) and detection by duplicates reported
 * (RFC 3708), and the response: the windows as they were before (RFC 4015's answer, without its change of the timer).
 */
import { seqGeq, seqLt } from '../../../wire/seq.ts';
import { CC_RTO_ERR } from './cc.ts';
import type { Segment } from './inst.ts';
import { FRTO_NEWDATA, FRTO_NONE, FRTO_SENT, type RackState } from './rackstate.ts';
import type { RateSample } from './ratesample.ts';
import { rttBase } from './rtt.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, TF_TSTMP, type Tcb } from './tcb.ts';

/** The windows are about to be reduced: keeps what is needed to take that back. */
export function undoBegin(tcb: Tcb, st: RackState): void {
  st.undoOn = true;
  st.undoMark = tcb.sndUna;
  st.cwndPrev = tcb.cwnd;
  st.ssthreshPrev = tcb.ssthresh;
  st.undoBytes = st.undoSent = 0;
  st.rexmtTsOn = false;
}

/** `len` bytes were sent again. */
export function undoSent(tcb: Tcb, st: RackState, len: number): void {
  if (!st.undoOn) return;
  st.undoBytes += len;
  st.undoSent += len;
  if (st.rexmtTsOn) return;
  st.rexmtTsOn = true;
  st.rexmtTs = (tcb.tcp.time.ms + tcb.tsOffset) | 0;
}

/** True if the ACK answers, while the loss is being repaired, what was sent before the first retransmission (RFC 3522 §3.2 step 5). */
export function eifel(tcb: Tcb, st: RackState, seg: Segment): boolean {
  if (!st.undoOn || !st.rexmtTsOn || (tcb.flags & TF_TSTMP) === 0) return false;
  if ((tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) === 0) return false;
  const { opts } = seg;
  return opts.hasTs && opts.tsEcr !== 0 && seqLt(opts.tsEcr, st.rexmtTs);
}

/** True if every byte that was sent again has been reported as a duplicate (RFC 3708 §2). */
export function allDuplicates(st: RackState): boolean {
  return st.undoOn && st.undoSent > 0 && st.undoBytes <= 0;
}

/** The reduction was for nothing: takes it back. What waits to be sent again is in flight. */
export function undo(tcb: Tcb, st: RackState): void {
  const { tcp } = tcb;
  st.undoOn = false;
  st.frto = FRTO_NONE;
  st.spurious++;
  tcp.stats.spuriousrexmit++;
  if (tcb.cwnd < st.cwndPrev) tcb.cwnd = st.cwndPrev;
  if (tcb.ssthresh < st.ssthreshPrev) tcb.ssthresh = st.ssthreshPrev;
  tcb.cc.congSignal(tcb, CC_RTO_ERR);
  tcb.flags &= ~(TF_FASTRECOVERY | TF_RTOLOSS);
  st.board.unmark();
  tcb.rto = rttBase(tcp, tcb);
  tcp.mark(tcb);
}

/** The retransmission timer went off for the first time: the segment at sndUna goes, and nothing else before an answer. */
export function frtoBegin(st: RackState): void {
  st.frto = FRTO_SENT;
}

/**
 * An ACK after the timeout; `acked` new bytes. True: the timeout was spurious. RFC 5682 §3.1: the first ACK that advances lets new data
 * go instead of old; if the next one answers something that went before the timeout and never again, that was only late.
 */
export function frtoAck(tcb: Tcb, st: RackState, acked: number, rs: RateSample): boolean {
  const { frto } = st;
  if (frto === FRTO_NONE) return false;
  if (seqGeq(tcb.sndUna, tcb.recover)) {
    st.frto = FRTO_NONE;
    return false;
  }
  if (frto === FRTO_NEWDATA) {
    st.frto = FRTO_NONE;
    return rs.original > 0 && seqLt(rs.originalLow, tcb.recover);
  }
  // Step 2: only an ACK that advances and leaves the question open; and there must be new data that the window lets go.
  const unsent = tcb.so.snd.cc - ((tcb.sndMax - tcb.sndUna) | 0);
  const room = tcb.sndWnd - ((tcb.sndMax - tcb.sndUna) | 0);
  st.frto = acked > 0 && unsent >= tcb.mss && room >= tcb.mss ? FRTO_NEWDATA : FRTO_NONE;
  if (st.frto === FRTO_NEWDATA) tcb.cwnd = st.pipe(tcb) + 2 * tcb.mss;
  return false;
}
