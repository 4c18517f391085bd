/**
 * Loss recovery without selective acknowledgments: fast retransmit and fast recovery (RFC 5681 §3.2, RFC 6582), limited transmit
 * (RFC 3042).
 */
import { seqGeq, seqGt } from '../../../wire/seq.ts';
import { CC_NDUPACK, CC_RTO } from './cc.ts';
import { plpmtudDupAcks, plpmtudNext } from './plpmtud.ts';
import type { Hole, Recovery } from './recovery.ts';
import { rttOnAck } from './rtt.ts';
import { TF_FASTRECOVERY, TF_FASTREXMT, TF_PARTIALACK, TF_RTOLOSS, TF_TIMING, T_REXMT, type Tcb } from './tcb.ts';
import { timerArm } from './timerset.ts';

/** Duplicate ACKs that mean a loss. */
const DUP_THRESH = 3;

export const renoRecovery: Recovery = {
  name: 'newreno',

  sent: () => undefined,
  sackAck: () => undefined,
  timer: () => undefined,
  afterOutput: () => undefined,
  detach: () => undefined,

  dupAck(tcb) {
    const { tcp, mss } = tcb;
    if ((tcb.flags & TF_FASTRECOVERY) !== 0) {
      // RFC 6582 §3.2 step 4: one more segment has left the network.
      tcb.cwnd += mss;
      tcp.mark(tcb);
      return;
    }
    tcb.dupAcks++;
    if (tcb.dupAcks < DUP_THRESH) {
      // RFC 3042: a new segment for each of the first two, unless old ones are being sent again anyway.
      if (tcp.config.rfc3042 && tcb.sndNxt === tcb.sndMax) {
        tcb.limXmit = tcb.dupAcks * mss;
        tcp.stats.limitedtransmit++;
        tcp.mark(tcb);
      }
      return;
    }
    if (tcb.dupAcks !== DUP_THRESH) return;
    // RFC 6582 §3.2 step 2: duplicates of what a timeout sent again are no new loss.
    if (!seqGt(tcb.sndUna, tcb.recover)) return;
    if (tcb.plpmtud !== null && plpmtudDupAcks(tcb, tcb.plpmtud)) {
      tcp.mark(tcb);
      return;
    }
    tcp.stats.fastrexmit++;
    tcb.limXmit = 0;
    tcb.cc.congSignal(tcb, CC_NDUPACK);
    tcb.recover = tcb.sndMax;
    tcb.cwnd = tcb.ssthresh + DUP_THRESH * mss;
    tcb.flags = (tcb.flags | TF_FASTRECOVERY | TF_FASTREXMT) & ~TF_TIMING;
    tcp.mark(tcb);
  },

  newAck(tcb, seg, acked) {
    const { tcp, mss } = tcb;
    const { ack } = seg;
    rttOnAck(tcp, tcb, seg);
    tcb.dupAcks = 0;
    tcb.limXmit = 0;
    if ((tcb.flags & TF_FASTRECOVERY) === 0) {
      if (seqGeq(ack, tcb.recover)) tcb.flags &= ~TF_RTOLOSS;
      // `recover` follows, so that it never falls half the sequence space behind; what it says stays the same.
      if (seqGt(ack, tcb.recover)) tcb.recover = (ack - 1) | 0;
      return acked;
    }
    if (seqGeq(ack, tcb.recover)) {
      tcb.flags &= ~(TF_FASTRECOVERY | TF_FASTREXMT | TF_PARTIALACK);
      // RFC 6582 §3.2 step 3, option 1: no burst when little is left in flight.
      const flight = (tcb.sndMax - ack) | 0;
      tcb.cwnd = Math.min(tcb.ssthresh, Math.max(flight, mss) + mss);
      return acked;
    }
    // RFC 6582 §3.2 step 3: a partial ACK shows the next hole.
    tcp.stats.partialack++;
    tcb.cwnd -= acked;
    if (acked >= mss) tcb.cwnd += mss;
    if (tcb.cwnd < mss) tcb.cwnd = mss;
    // Only the first one restarts the timer: when very many segments were lost, the timeout is faster than one a round trip.
    if ((tcb.flags & TF_PARTIALACK) === 0) timerArm(tcb, T_REXMT, tcb.rto);
    tcb.flags = (tcb.flags | TF_FASTREXMT | TF_PARTIALACK) & ~TF_TIMING;
    tcp.mark(tcb);
    return -1;
  },

  rto(tcb) {
    tcb.sndNxt = tcb.sndUna;
    tcb.dupAcks = 0;
    tcb.limXmit = 0;
    tcb.cc.congSignal(tcb, CC_RTO);
    tcb.flags = (tcb.flags | TF_RTOLOSS) & ~(TF_FASTRECOVERY | TF_FASTREXMT | TF_PARTIALACK);
    tcb.recover = tcb.sndMax;
  },

  next(tcb: Tcb, hole: Hole) {
    if ((tcb.flags & TF_FASTREXMT) === 0) return false;
    const { plpmtud } = tcb;
    if (plpmtud !== null && plpmtud.resend && seqGeq(plpmtud.resendSeq, tcb.sndUna)) {
      plpmtudNext(tcb, plpmtud, hole);
      return true;
    }
    tcb.flags &= ~TF_FASTREXMT;
    hole.seq = tcb.sndUna;
    hole.len = tcb.mss;
    return true;
  },

  resend(tcb) {
    tcb.sndNxt = tcb.sndUna;
    tcb.flags &= ~TF_TIMING;
    tcb.tcp.mark(tcb);
  },
};
