/**
 * A segment for a connection (RFC 9293 §3.10.7.4), in the order of the RFC: sequence number, RST, SYN, ACK, URG, text, FIN. In front of
 * that is header prediction (Van Jacobson): the next segment of an established connection that says nothing unusual.
 */
import { seqGeq, seqGt, seqLeq, seqLt } from '../../../wire/seq.ts';
import { TH_ACK, TH_FIN, TH_PUSH, TH_RST, TH_SYN, TH_URG } from '../../../wire/tcp.ts';
import { accSynAckSeen } from './accecn.ts';
import { ackInput, ackNew, windowOpened } from './ackin.ts';
import { dataInput, deliver, dropAfterClose, quickAcks } from './datain.ts';
import { IPTOS_ECN_MASK, ecnInput } from './ecn.ts';
import { fastOpenInput } from './fastopen.ts';
import type { Segment, TcpInst } from './inst.ts';
import { Reass } from './reass.ts';
import { challengeAllowed } from './respond.ts';
import { TCPS_CLOSING, TCPS_ESTABLISHED, TCPS_LAST_ACK, TCPS_SYN_RECEIVED, TCPS_SYN_SENT, finReceived } from './states.ts';
import { synSentInput } from './synsent.ts';
import { TF_ACKNOW, TF_DEAD, TF_DETACHED, TF_FASTRECOVERY, TF_SACK, TF_TSTMP, TF_TSVALID, type Tcb } from './tcb.ts';
import { tcpFail } from './teardown.ts';
import { urgentInput } from './urgent.ts';
import { utoInput } from './usertimeout.ts';
import { rcvWindow } from './window.ts';

/** A timestamp older than this is no longer compared (RFC 7323 §5.5): 24 days. */
const PAWS_IDLE_MS = 24 * 24 * 3600 * 1000;

export function segmentInput(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  const { opts } = seg;
  if (tcb.tfo !== null && !fastOpenInput(tcp, tcb, tcb.tfo, seg)) return;
  if (
    tcb.state === TCPS_ESTABLISHED &&
    (seg.flags & (TH_SYN | TH_FIN | TH_RST | TH_URG | TH_ACK)) === TH_ACK &&
    seg.seq === tcb.rcvNxt &&
    tcb.sndNxt === tcb.sndMax &&
    tcb.reass === null &&
    tcb.urgent === null &&
    tcb.dupAcks === 0 &&
    opts.nsack === 0 &&
    (tcb.flags & (TF_FASTRECOVERY | TF_DETACHED)) === 0 &&
    ((tcb.flags & TF_TSTMP) === 0 || (opts.hasTs && seqGeq(opts.tsVal, tcb.tsRecent)))
  ) {
    const acked = (seg.ack - tcb.sndUna) | 0;
    if (acked >= 0 && seqLeq(seg.ack, tcb.sndMax) && seg.len <= rcvWindow(tcb) && acked + seg.len > 0) {
      predicted(tcp, tcb, seg, acked);
      return;
    }
  }
  slowInput(tcp, tcb, seg);
}

/** The next segment in order, with a good ACK: RFC 9293's steps with all questions answered. */
function predicted(tcp: TcpInst, tcb: Tcb, seg: Segment, acked: number): void {
  tcb.rcvTime = tcp.time.ms;
  if (tcb.ecn !== null) ecnInput(tcp, tcb, tcb.ecn, seg, seg.len);
  if (tcb.uto !== null && seg.opts.uto >= 0) utoInput(tcb, tcb.uto, seg.opts.uto);
  if ((tcb.flags & TF_TSTMP) !== 0 && seqLeq(seg.seq, tcb.lastAckSent)) {
    tcb.tsRecent = seg.opts.tsVal;
    tcb.tsRecentMs = tcp.time.ms;
  }
  const wnd = seg.wnd << tcb.sndScale;
  tcb.sndWl1 = seg.seq;
  tcb.sndWl2 = seg.ack;
  if (wnd !== tcb.sndWnd) {
    // Wider or narrower, it may let something go.
    if (tcb.sndWnd === 0) windowOpened(tcb);
    tcb.sndWnd = wnd;
    if (wnd > tcb.maxSndWnd) tcb.maxSndWnd = wnd;
    if (tcb.so.snd.cc > 0) tcp.mark(tcb);
  }
  if (acked > 0) {
    if (seg.len === 0) tcp.stats.predack++;
    ackNew(tcp, tcb, seg, acked);
    if (seg.len === 0 || (tcb.flags & TF_DEAD) !== 0) return;
    if ((tcb.flags & TF_DETACHED) !== 0) {
      dropAfterClose(tcp, tcb, seg);
      return;
    }
  }
  tcp.stats.preddat++;
  deliver(tcp, tcb, seg);
}

function slowInput(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  const { stats } = tcp;
  if (tcb.state === TCPS_SYN_SENT) {
    if (!synSentInput(tcp, tcb, seg)) return;
  }
  if ((seg.flags & TH_RST) !== 0) {
    reset(tcp, tcb, seg);
    return;
  }
  if ((seg.flags & TH_SYN) !== 0 && !synInput(tcp, tcb, seg)) return;
  if (!timestampOk(tcp, tcb, seg)) return;
  const { seq, len } = seg;
  if (!trim(tcp, tcb, seg)) return;
  // A sign of life, which puts keep-alive off: not from anywhere in the numbers, or strangers could keep a dead connection.
  if (((tcb.rcvNxt - seq) | 0) <= len + 1) tcb.rcvTime = tcp.time.ms;
  // RFC 7323 §4.3: from the segment as it came, and only if it spans our last ACK.
  if ((tcb.flags & TF_TSTMP) !== 0 && seg.opts.hasTs && seqLeq(seq, tcb.lastAckSent) && seqGeq(seg.opts.tsVal, tcb.tsRecent)) {
    tcb.tsRecent = seg.opts.tsVal;
    tcb.tsRecentMs = tcp.time.ms;
    tcb.flags |= TF_TSVALID;
  }
  if ((seg.flags & TH_ACK) === 0) {
    stats.rcvnoack++;
    return;
  }
  if (tcb.ecn !== null) ecnInput(tcp, tcb, tcb.ecn, seg, len);
  if (tcb.uto !== null && seg.opts.uto >= 0) utoInput(tcb, tcb.uto, seg.opts.uto);
  if (!ackInput(tcp, tcb, seg)) return;
  if ((seg.flags & TH_URG) !== 0 && seg.urp !== 0 && !finReceived(tcb.state)) {
    urgentInput(tcb, seg);
    if ((tcb.flags & TF_DEAD) !== 0) return;
  }
  if (seg.len > 0 || (seg.flags & TH_FIN) !== 0) dataInput(tcp, tcb, seg);
}

/** RFC 5961 §3.2: exactly the next byte resets; in the window it is asked again; elsewhere it is a stranger's. */
function reset(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  const { stats } = tcp;
  const ahead = (seg.seq - tcb.rcvNxt) | 0;
  // Our last ACK may not have gone out yet: what it would say is as good as rcvNxt.
  if (ahead !== 0 && seg.seq !== tcb.lastAckSent) {
    if (ahead > 0 && ahead < Math.max(rcvWindow(tcb), 1)) {
      stats.rstchallenge++;
      challenge(tcp, tcb);
    } else {
      stats.rstoutwin++;
    }
    return;
  }
  stats.rcvrst++;
  const { state } = tcb;
  if (state === TCPS_SYN_RECEIVED) tcpFail(tcb, 'ECONNREFUSED');
  // Both sides have closed: nobody needs to hear of it.
  else tcpFail(tcb, state === TCPS_CLOSING || state === TCPS_LAST_ACK ? null : 'ECONNRESET');
}

/** A SYN on a connection that has one. True: go on. */
function synInput(tcp: TcpInst, tcb: Tcb, seg: Segment): boolean {
  if (tcb.state === TCPS_SYN_RECEIVED && seg.seq === tcb.irs) {
    // Simultaneous open: the peer's SYN once more, with an ACK when ours has reached it (RFC 9293 figure 8).
    seg.flags &= ~TH_SYN;
    seg.seq = (seg.seq + 1) | 0;
    if ((seg.flags & TH_ACK) !== 0) return true;
    tcb.sndNxt = tcb.iss;
    tcp.mark(tcb);
    return false;
  }
  const acc = tcb.ecn === null ? null : tcb.ecn.acc;
  // The peer's SYN,ACK once more: the ACK that answers says how this one came (RFC 9768 §3.2.2.1).
  if (acc !== null && seg.seq === tcb.irs && (seg.flags & TH_ACK) !== 0) accSynAckSeen(acc, seg.ip.tos & IPTOS_ECN_MASK);
  // RFC 5961 §4.2
  tcp.stats.synchallenge++;
  challenge(tcp, tcb);
  return false;
}

/** PAWS (RFC 7323 §5.3), and §3.2: once agreed, every segment has a timestamp. */
function timestampOk(tcp: TcpInst, tcb: Tcb, seg: Segment): boolean {
  if ((tcb.flags & TF_TSTMP) === 0) return true;
  const { stats } = tcp;
  if (!seg.opts.hasTs) {
    stats.rcvnotstamp++;
    return false;
  }
  if ((tcb.flags & TF_TSVALID) === 0 || !seqLt(seg.opts.tsVal, tcb.tsRecent)) return true;
  if ((tcp.time.ms - tcb.tsRecentMs) >>> 0 > PAWS_IDLE_MS) {
    // RFC 7323 §5.5: too old to compare with.
    tcb.flags &= ~TF_TSVALID;
    tcb.tsRecent = seg.opts.tsVal;
    return true;
  }
  stats.pawsdrop++;
  if (seg.len > 0) stats.rcvduppack++;
  oddAck(tcp, tcb, seg);
  return false;
}

/** Cuts off what is before and behind the window (RFC 9293 §3.10.7.4, first step). False: nothing is left of it. */
function trim(tcp: TcpInst, tcb: Tcb, seg: Segment): boolean {
  const { stats } = tcp;
  const old = (tcb.rcvNxt - seg.seq) | 0;
  if (old > 0 && !trimFront(tcp, tcb, seg, old)) return true;
  const wnd = rcvWindow(tcb);
  const over = (seg.seq + seg.len - tcb.rcvNxt - wnd) | 0;
  if (over <= 0) return true;
  stats.rcvpackafterwin++;
  if (over >= seg.len) {
    stats.rcvbyteafterwin += seg.len;
    if (wnd === 0 && seg.seq === tcb.rcvNxt) {
      // A probe of our closed window: its ACK, URG and RST count (MUST-66); the answer says where we are.
      stats.rcvwinprobe++;
      oweAck(tcp, tcb);
      seg.len = 0;
      seg.flags &= ~(TH_FIN | TH_PUSH);
      return true;
    }
    oddAck(tcp, tcb, seg);
    return false;
  }
  stats.rcvbyteafterwin += over;
  seg.len -= over;
  seg.flags &= ~(TH_FIN | TH_PUSH);
  return true;
}

/**
 * `old` bytes of the segment came before. Of a whole duplicate only the ACK is left (false), with the sequence number as it came: an old
 * segment must not tell the window.
 */
function trimFront(tcp: TcpInst, tcb: Tcb, seg: Segment, old: number): boolean {
  const { stats } = tcp;
  const fin = (seg.flags & TH_FIN) !== 0;
  if (old > seg.len || (old === seg.len && !fin)) {
    stats.rcvduppack++;
    stats.rcvdupbyte += seg.len;
    if (seg.len > 0) {
      noteDuplicate(tcb, seg.seq, (seg.seq + seg.len) | 0);
      quickAcks(tcb);
    }
    // A keep-alive probe is one byte before; an ACK from further back may just be late, and is answered only so often.
    if (seg.len > 0 || fin || old === 1) oweAck(tcp, tcb);
    else challenge(tcp, tcb);
    seg.flags &= ~(TH_FIN | TH_PUSH | TH_URG);
    seg.len = 0;
    return false;
  }
  stats.rcvpartduppack++;
  stats.rcvpartdupbyte += old;
  noteDuplicate(tcb, seg.seq, tcb.rcvNxt);
  seg.seq = tcb.rcvNxt;
  seg.data += old;
  seg.len -= old;
  seg.urp -= old;
  if (seg.urp <= 0) {
    seg.urp = 0;
    seg.flags &= ~TH_URG;
  }
  return true;
}

/** The next ACK reports it (RFC 2883). */
function noteDuplicate(tcb: Tcb, from: number, to: number): void {
  if ((tcb.flags & TF_SACK) === 0 || !seqGt(to, from)) return;
  const reass = (tcb.reass ??= new Reass());
  reass.dupStart = from;
  reass.dupEnd = to;
}

/** Owes an ACK to something odd, within the limits (RFC 5961 §7). */
export function challenge(tcp: TcpInst, tcb: Tcb): void {
  if (!challengeAllowed(tcp, tcb)) return;
  tcb.flags |= TF_ACKNOW;
  tcp.mark(tcb);
}

/** An unacceptable segment is answered; one without data only so often, or two confused ends would never stop. */
function oddAck(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  if (seg.len === 0 && (seg.flags & TH_FIN) === 0) {
    challenge(tcp, tcb);
    return;
  }
  oweAck(tcp, tcb);
}

function oweAck(tcp: TcpInst, tcb: Tcb): void {
  tcb.flags |= TF_ACKNOW;
  tcp.mark(tcb);
}
