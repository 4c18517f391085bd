/** SYN-SENT (RFC 9293 §3.10.7.3): the answer to our SYN, or the peer's own SYN at the same time. */
import { soisconnected, sosnddrop } from '../../../kern/socket/upcalls.ts';
import { seqGt, seqLeq } from '../../../wire/seq.ts';
import { TH_ACK, TH_FIN, TH_RST, TH_SYN } from '../../../wire/tcp.ts';
import { ecnAgree, ecnReduce } from './ecn.ts';
import { keepInitMs, receiveSequences, startConnection } from './establish.ts';
import { fastOpenAnswer, synDataAcked } from './fastopen.ts';
import type { Segment, TcpInst } from './inst.ts';
import { mssOfPeer } from './mss.ts';
import { sendReset } from './respond.ts';
import { TCPS_ESTABLISHED, TCPS_FIN_WAIT_1, TCPS_SYN_RECEIVED, setState } from './states.ts';
import {
  TF_ACKNOW,
  TF_DEAD,
  TF_NEEDFIN,
  TF_REQ_SCALE,
  TF_SACK,
  TF_TIMING,
  TF_TSTMP,
  TF_TSVALID,
  T_KEEP,
  type Tcb,
  countAcked,
} from './tcb.ts';
import { tcpFail } from './teardown.ts';
import { timerStop } from './timerset.ts';
import { utoInput } from './usertimeout.ts';

/** True: the connection stands, and what else the segment carries is to be processed; its SYN has been taken off. */
export function synSentInput(tcp: TcpInst, tcb: Tcb, seg: Segment): boolean {
  const { stats } = tcp;
  const hasAck = (seg.flags & TH_ACK) !== 0;
  // First, the ACK: only our SYN can be acknowledged.
  if (hasAck && (seqLeq(seg.ack, tcb.iss) || seqGt(seg.ack, tcb.sndMax))) {
    stats.rcvacktoomuch++;
    sendReset(tcp, seg);
    return false;
  }
  if ((seg.flags & TH_RST) !== 0) {
    stats.rcvrst++;
    // RFC 5961 §3.2: without an acceptable ACK it is a guess.
    if (hasAck) tcpFail(tcb, 'ECONNREFUSED');
    return false;
  }
  if ((seg.flags & TH_SYN) === 0) {
    stats.rcvnosyn++;
    return false;
  }
  agreeOptions(tcp, tcb, seg);
  if (tcb.uto !== null && seg.opts.uto >= 0) utoInput(tcb, tcb.uto, seg.opts.uto);
  ecnAgree(tcp, tcb, seg, hasAck);
  // We promised that window in our SYN.
  receiveSequences(tcb, seg.seq, Math.min(tcb.so.rcv.space(), 65_535));
  // The window of a SYN is not scaled.
  tcb.sndWnd = tcb.maxSndWnd = seg.wnd;
  tcb.sndWl1 = seg.seq;
  tcb.sndWl2 = hasAck ? seg.ack : tcb.iss;
  seg.flags &= ~TH_SYN;
  seg.seq = (seg.seq + 1) | 0;
  if (!hasAck) {
    // Simultaneous open (MUST-10): our SYN again, now with an ACK. What else came with theirs will come again.
    setState(tcb, TCPS_SYN_RECEIVED);
    tcb.sndNxt = tcb.iss;
    // Data of our SYN is none to a peer that is no server.
    tcb.sndMax = (tcb.iss + 1) | 0;
    tcb.tfo = null;
    // Karn: what is sent twice is not timed.
    tcb.flags &= ~TF_TIMING;
    tcp.mark(tcb);
    return false;
  }
  const { tfo } = tcb;
  const took = tfo === null ? 0 : synDataAcked(tcb, seg.ack);
  if (tfo !== null) {
    fastOpenAnswer(tcp, tcb, tfo, seg, took);
    tcb.tfo = null;
    if (took > 0) tcp.stats.tfo_accepted++;
  }
  // Data of the SYN that was not taken is as if it had not been sent.
  tcb.sndUna = tcb.sndNxt = tcb.sndMax = tcb.recover = seg.ack;
  tcb.flags |= TF_ACKNOW;
  tcp.mark(tcb);
  if (took > 0) {
    countAcked(tcb, took);
    sosnddrop(tcb.so, took);
  }
  becomeEstablished(tcp, tcb, seg);
  return (tcb.flags & TF_DEAD) === 0 && (seg.len > 0 || (seg.flags & TH_FIN) !== 0);
}

/** An option holds when both sides sent it (RFC 7323 §2.2, §3.2; RFC 2018 §2). */
function agreeOptions(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  const { opts } = seg;
  tcb.peerMss = mssOfPeer(tcp, tcb.faddr, opts.mss);
  if ((tcb.flags & TF_REQ_SCALE) !== 0 && opts.wscale >= 0) {
    tcb.sndScale = opts.wscale;
  } else {
    tcb.flags &= ~TF_REQ_SCALE;
    tcb.rcvScale = 0;
  }
  if (!opts.sackPermitted) tcb.flags &= ~TF_SACK;
  if ((tcb.flags & TF_TSTMP) !== 0 && opts.hasTs) {
    tcb.flags |= TF_TSVALID;
    tcb.tsRecent = opts.tsVal;
    tcb.tsRecentMs = tcp.time.ms;
  } else {
    tcb.flags &= ~TF_TSTMP;
  }
}

/** Our SYN is acknowledged: from SYN_SENT or, after a simultaneous open, from SYN_RECEIVED. */
export function becomeEstablished(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  timerStop(tcb, T_KEEP);
  setState(tcb, TCPS_ESTABLISHED);
  let us = -1;
  if ((tcb.flags & TF_TIMING) !== 0) {
    tcb.flags &= ~TF_TIMING;
    us = (tcp.time.us - tcb.rttUs) | 0;
  } else if ((tcb.flags & TF_TSTMP) !== 0 && seg.opts.tsEcr !== 0) {
    // Sent more than once: the echo tells which one was answered.
    const ms = (tcp.time.ms + tcb.tsOffset - seg.opts.tsEcr) | 0;
    if (ms >= 0 && ms < keepInitMs(tcb)) us = ms * 1000;
  }
  startConnection(tcb, tcb.route, us);
  // RFC 5482 §3.2: once more behind the SYN.
  if (tcb.uto !== null) tcb.uto.due = true;
  // RFC 9768 §3.2.2.2: our SYN met congestion.
  if (tcb.ecn !== null && tcb.ecn.acc !== null && tcb.ecn.acc.synCe) ecnReduce(tcp, tcb, tcb.ecn);
  tcp.stats.connects++;
  if (tcb.so.snd.cc > 0) tcp.mark(tcb);
  if ((tcb.flags & TF_NEEDFIN) !== 0) {
    tcb.flags &= ~TF_NEEDFIN;
    setState(tcb, TCPS_FIN_WAIT_1);
    tcp.mark(tcb);
  }
  soisconnected(tcb.so);
}
