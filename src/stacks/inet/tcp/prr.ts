/**
 * Proportional rate reduction (RFC 6937, with the choice between its two bounds as in draft-ietf-tcpm-prr-rfc6937bis): while losses are
 * repaired, for each byte that arrives as much is sent as brings what is in flight down to `ssthresh` at the end of the round trip.
 */
import type { RackState } from './rackstate.ts';
import type { Tcb } from './tcb.ts';

/**
 * Recovery begins. `flight`: bytes that were in flight before the ACK that showed the loss. `owed`: bytes that ACKs of the same batch had
 * let go before, and that output, which runs at its end, has not sent: as if they had gone, and had been answered.
 */
export function prrStart(st: RackState, flight: number, owed: number): void {
  st.recoverFs = flight + owed > 1 ? flight + owed : 1;
  st.prrDelivered = owed;
  st.prrOut = 0;
}

/**
 * An ACK in recovery: `delivered` bytes arrived. `safe`: it advanced and showed no new loss, so that slow start may catch up. Sets
 * the congestion window to what is in flight and what may go now. Answers the latter.
 */
export function prrAck(tcb: Tcb, st: RackState, delivered: number, safe: boolean): number {
  const { mss, ssthresh } = tcb;
  st.prrDelivered += delivered;
  const pipe = st.pipe(tcb);
  let sndcnt: number;
  if (pipe > ssthresh) {
    sndcnt = Math.ceil((st.prrDelivered * ssthresh) / st.recoverFs) - st.prrOut;
  } else {
    let limit = st.prrDelivered - st.prrOut;
    if (delivered > limit) limit = delivered;
    if (safe) limit += mss;
    sndcnt = ssthresh - pipe < limit ? ssthresh - pipe : limit;
  }
  // The first retransmission goes at once.
  if (st.prrOut === 0 && sndcnt < mss) sndcnt = mss;
  if (sndcnt < 0) sndcnt = 0;
  tcb.cwnd = pipe + sndcnt > mss ? pipe + sndcnt : mss;
  return sndcnt;
}
