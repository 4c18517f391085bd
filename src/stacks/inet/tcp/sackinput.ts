/** SACK blocks of an ACK (RFC 2018 §5, RFC 2883 §4): checked, duplicates told apart, the rest entered on the scoreboard. */
import { seqGeq, seqGt, seqLeq, seqLt } from '../../../wire/seq.ts';
import type { Segment } from './inst.ts';
import type { RackState } from './rackstate.ts';
import type { RateSample } from './ratesample.ts';
import type { Tcb } from './tcb.ts';

/**
 * Enters the blocks; `tcb.sndUna` is what the ACK says. Answers the bytes that the peer reports as duplicates. A block that names
 * what was never sent, or is older than any window, is counted and passed over.
 */
export function sackInput(tcb: Tcb, st: RackState, seg: Segment, rs: RateSample): number {
  const { opts } = seg;
  const { stats, config } = tcb.tcp;
  const { sack } = opts;
  const n = opts.nsack;
  let duplicate = 0;
  for (let i = 0; i < n; i++) {
    let start = sack[2 * i] as number;
    const end = sack[2 * i + 1] as number;
    stats.sack_rcv_blocks++;
    if (!seqLt(start, end) || seqGt(end, tcb.sndMax) || seqLt(start, (tcb.sndUna - tcb.maxSndWnd) | 0)) {
      stats.sack_badblock++;
      continue;
    }
    // RFC 2883 §4: the first block tells of a duplicate if it is below the ACK or inside the second block.
    if (i === 0 && (seqLeq(end, seg.ack) || (n > 1 && seqGeq(start, sack[2] as number) && seqLeq(end, sack[3] as number)))) {
      duplicate = (end - start) | 0;
      st.dsackEnd = end;
      stats.rcvdsack++;
      st.dsacks++;
      continue;
    }
    if (seqLeq(end, tcb.sndUna)) continue;
    if (seqLt(start, tcb.sndUna)) start = tcb.sndUna;
    st.board.sack(start, end, rs, config.sackMaxranges);
  }
  if (st.board.refused > 0) {
    stats.sack_limited += st.board.refused;
    st.board.refused = 0;
  }
  return duplicate;
}
