/**
 * RACK (RFC 8985 §6.2): a segment is lost when one that was sent later has arrived and the reordering window has passed since. Time
 * decides and not the count of duplicates, so lost retransmissions and lost tails are found as everything else.
 */
import { seqGt } from '../../../wire/seq.ts';
import type { Segment } from './inst.ts';
import { RackState } from './rackstate.ts';
import type { RateSample } from './ratesample.ts';
import { TX_REXMT } from './sackboard.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, TF_TSTMP, type Tcb } from './tcb.ts';

/** RFC 8985 §6.2 step 4: so many reported segments mean loss while no reordering was ever seen. */
const DUP_THRESH = 3;
/** Recoveries that a wider reordering window outlives. */
const REO_PERSIST = 16;
/** Quarters of the least round-trip time, at most: the smoothed round-trip time limits it before. */
const REO_MULT_MAX = 255;

/** Steps 1 to 3: the latest transmission that arrived, and whether the path reorders. */
export function rackUpdate(tcb: Tcb, st: RackState, seg: Segment, rs: RateSample): void {
  if (rs.original > 0) st.noteReordering(rs.originalLow, rs.originalEnd);
  if (!rs.any) return;
  const rtt = (tcb.tcp.time.us - rs.xmitUs) | 0;
  // Sent again, and answered faster than any, or with a timestamp from before: it is the first transmission that arrived.
  if (rs.rexmt && (rtt < st.minRttUs || echoesBefore(tcb, seg, rtt))) return;
  if (st.valid && !RackState.sentAfter(rs.xmitUs, rs.end, st.xmitUs, st.end)) return;
  st.valid = true;
  st.xmitUs = rs.xmitUs;
  st.end = rs.end;
  st.rttUs = rtt > 0 ? rtt : 0;
}

/** True if the timestamp that `seg` echoes is older than `us`, by more than the rounding of its clock. */
function echoesBefore(tcb: Tcb, seg: Segment, us: number): boolean {
  const { opts } = seg;
  if ((tcb.flags & TF_TSTMP) === 0 || !opts.hasTs || opts.tsEcr === 0) return false;
  return ((((tcb.tcp.time.ms + tcb.tsOffset) | 0) - opts.tsEcr) | 0) > us / 1000 + 1;
}

/** Step 4, when the peer reports a duplicate: the window was too small; once in a round trip. */
export function rackDsack(tcb: Tcb, st: RackState): void {
  if (!seqGt(tcb.sndUna, st.dsackRound) && st.reoPersist > 0) return;
  st.dsackRound = tcb.sndMax;
  if (st.reoMult < REO_MULT_MAX) st.reoMult++;
  st.reoPersist = REO_PERSIST;
}

/** Step 4, when a recovery ends: the wider window is kept for a while. */
export function rackRecovered(st: RackState): void {
  if (st.reoPersist === 0 || --st.reoPersist > 0) return;
  st.reoMult = 1;
}

/** Step 4: the reordering window in microseconds. */
export function rackReoWnd(tcb: Tcb, st: RackState): number {
  if (!st.reordSeen && ((tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) !== 0 || st.board.sacked > (DUP_THRESH - 1) * tcb.mss)) {
    return 0;
  }
  const wnd = st.reoMult * (st.minRttUs >> 2);
  const srtt = tcb.srtt >> 3;
  return wnd < srtt ? wnd : srtt;
}

/** Step 5: marks what is lost. Answers in how many microseconds to look again, or 0. `rs` is told how many bytes. */
export function rackDetect(tcb: Tcb, st: RackState, rs: RateSample): number {
  if (!st.valid) return 0;
  const { board } = st;
  const now = tcb.tcp.time.us;
  const wait = (st.rttUs + rackReoWnd(tcb, st)) | 0;
  const before = board.lost;
  let timeout = 0;
  for (let r = board.tHead; r !== null;) {
    if (!RackState.sentAfter(st.xmitUs, st.end, r.xmitUs, r.end)) break;
    const { tNext } = r;
    const remaining = (r.xmitUs + wait - now) | 0;
    if (remaining <= 0) {
      if ((r.flags & TX_REXMT) !== 0) {
        st.lostRexmts++;
        tcb.tcp.stats.sack_lostrexmits++;
      }
      board.markLost(r);
    } else if (remaining > timeout) {
      timeout = remaining;
    }
    r = tNext;
  }
  rs.lost += board.lost - before;
  st.lostBytes = (st.lostBytes + board.lost - before) | 0;
  return timeout;
}

/** RFC 8985 §8: when the retransmission timer goes off, the first segment is lost, and what was sent long enough ago. */
export function rackMarkOnRto(tcb: Tcb, st: RackState): void {
  const { board } = st;
  const now = tcb.tcp.time.us;
  const wait = st.valid ? (st.rttUs + rackReoWnd(tcb, st)) | 0 : 0;
  for (let r = board.tHead; r !== null;) {
    const { tNext } = r;
    if (r === board.head || ((r.xmitUs + wait - now) | 0) <= 0) board.markLost(r);
    r = tNext;
  }
}
