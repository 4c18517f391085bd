/**
 * The ACK field (RFC 9293 §3.10.7.4, fifth step; RFC 5961 §5): what it says about our data, about the peer's window, and about our FIN.
 */
import { soisdisconnected, sosnddrop } from '../../../kern/socket/upcalls.ts';
import { seqGeq, seqGt, seqLeq, seqLt } from '../../../wire/seq.ts';
import { growSendBuffer } from './autotune.ts';
import type { Segment, TcpInst } from './inst.ts';
import { plpmtudAcked } from './plpmtud.ts';
import { challengeAllowed, sendReset } from './respond.ts';
import {
  TCPS_CLOSING,
  TCPS_ESTABLISHED,
  TCPS_FIN_WAIT_1,
  TCPS_FIN_WAIT_2,
  TCPS_LAST_ACK,
  TCPS_SYN_RECEIVED,
  setState,
} from './states.ts';
import { becomeEstablished } from './synsent.ts';
import { TF_ACKNOW, TF_DEAD, TF_DETACHED, TF_FASTRECOVERY, TF_SENTFIN, T_PERSIST, T_REXMT, type Tcb, countAcked } from './tcb.ts';
import { tcpClose, tcpTimeWait } from './teardown.ts';
import { armFinWait2 } from './timers.ts';
import { timerArm, timerArmed, timerStop } from './timerset.ts';

/** True: the segment's data and FIN are to be processed. */
export function ackInput(tcp: TcpInst, tcb: Tcb, seg: Segment): boolean {
  const { stats } = tcp;
  const { ack } = seg;
  if (tcb.state === TCPS_SYN_RECEIVED) {
    if (!seqGt(ack, tcb.sndUna) || seqGt(ack, tcb.sndMax)) {
      stats.rcvacktoomuch++;
      sendReset(tcp, seg);
      return false;
    }
    tcb.sndUna = tcb.sndNxt = ack;
    tcb.sndWnd = tcb.maxSndWnd = windowOf(tcb, seg);
    tcb.sndWl1 = seg.seq;
    tcb.sndWl2 = ack;
    becomeEstablished(tcp, tcb, seg);
    return (tcb.flags & TF_DEAD) === 0;
  }
  if (seqGt(ack, tcb.sndMax)) {
    stats.rcvacktoomuch++;
    oweAck(tcp, tcb);
    return false;
  }
  // RFC 5961 §5.2
  if (seqLt(ack, (tcb.sndUna - tcb.maxSndWnd) | 0)) {
    stats.rcvacktooold++;
    oweAck(tcp, tcb);
    return false;
  }
  if (seqLeq(ack, tcb.sndUna)) {
    if (seg.opts.nsack > 0 && tcb.loss !== null) tcb.recovery.sackAck(tcb, seg);
    else if (ack === tcb.sndUna) sameAck(tcp, tcb, seg);
  } else {
    updateWindow(tcp, tcb, seg);
    const finAcked = (tcb.flags & TF_SENTFIN) !== 0 && ack === tcb.sndMax;
    ackNew(tcp, tcb, seg, (ack - tcb.sndUna) | 0);
    if ((tcb.flags & TF_DEAD) !== 0) return false;
    if (finAcked) return ourFinAcked(tcb);
    return true;
  }
  updateWindow(tcp, tcb, seg);
  return true;
}

/** The peer's window in bytes. That of a SYN is not scaled: RFC 7323 §2.2. */
function windowOf(tcb: Tcb, seg: Segment): number {
  return seg.syn ? seg.wnd : seg.wnd << tcb.sndScale;
}

/** An ACK that only answers something odd: within the limits of RFC 5961 §7. */
function oweAck(tcp: TcpInst, tcb: Tcb): void {
  if (!challengeAllowed(tcp, tcb)) return;
  tcb.flags |= TF_ACKNOW;
  tcp.mark(tcb);
}

/** The same ACK again. RFC 5681 §2 says when it is a duplicate: data in flight, no data, no FIN, the window as it was. */
function sameAck(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  if (seg.carries || windowOf(tcb, seg) !== tcb.sndWnd) return;
  if (tcb.sndMax === tcb.sndUna || !timerArmed(tcb, T_REXMT)) {
    tcb.dupAcks = 0;
    return;
  }
  tcp.stats.rcvdupack++;
  tcb.recovery.dupAck(tcb, seg);
}

/** RFC 9293 §3.10.7.4: only a segment that is not older than the last one tells the window. */
function updateWindow(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  if (!(seqLt(tcb.sndWl1, seg.seq) || (tcb.sndWl1 === seg.seq && seqLeq(tcb.sndWl2, seg.ack)))) return;
  const wnd = windowOf(tcb, seg);
  const before = tcb.sndWnd;
  if (wnd > before && seg.len === 0 && tcb.sndWl2 === seg.ack) tcp.stats.rcvwinupd++;
  tcb.sndWnd = wnd;
  tcb.sndWl1 = seg.seq;
  tcb.sndWl2 = seg.ack;
  if (wnd > tcb.maxSndWnd) tcb.maxSndWnd = wnd;
  // A window that opens ends the probing; output finds out what may go. One that was open a little leaves the timer alone, which
  // sends what fits when nothing else does (RFC 9293 §3.8.6.2.1).
  if (tcb.so.snd.cc > 0) {
    if (wnd > 0 && before === 0) windowOpened(tcb);
    tcp.mark(tcb);
  }
}

/** The window was shut and is not any more: the probing is over. */
export function windowOpened(tcb: Tcb): void {
  if (!timerArmed(tcb, T_PERSIST)) return;
  timerStop(tcb, T_PERSIST);
  tcb.rxtShift = 0;
}

/** `acked` bytes (a FIN among them, perhaps) are acknowledged for the first time. The user may do anything before this returns. */
export function ackNew(tcp: TcpInst, tcb: Tcb, seg: Segment, acked: number): void {
  const { stats } = tcp;
  const { ack } = seg;
  const { snd } = tcb.so;
  stats.rcvackpack++;
  if (acked >= snd.cc && timerArmed(tcb, T_PERSIST)) {
    // Nothing left to probe with; a FIN needs no window.
    timerStop(tcb, T_PERSIST);
    tcp.mark(tcb);
  }
  const inRecovery = (tcb.flags & TF_FASTRECOVERY) !== 0;
  const counted = tcb.recovery.newAck(tcb, seg, acked);
  tcb.sndUna = ack;
  if (seqLt(tcb.sndNxt, ack)) tcb.sndNxt = ack;
  if (tcb.rxtShift > 0) {
    tcb.rxtShift = 0;
    tcb.softError = null;
  }
  if (counted >= 0) {
    if (inRecovery) tcb.cc.postRecovery(tcb);
    else if (counted > 0) tcb.cc.ackReceived(tcb, counted);
    // RFC 6298 §5.2, §5.3
    if (ack === tcb.sndMax) timerStop(tcb, T_REXMT);
    else if (!timerArmed(tcb, T_PERSIST)) timerArm(tcb, T_REXMT, tcb.rto);
  }
  const { urgent, plpmtud } = tcb;
  if (plpmtud !== null) plpmtudAcked(tcp, tcb, plpmtud, ack);
  if (tcb.cwnd > snd.hiwat >> 1) growSendBuffer(tcp, tcb);
  if (urgent !== null && urgent.hasSnd && seqGeq(ack, urgent.sndUp)) urgent.hasSnd = false;
  const bytes = acked < snd.cc ? acked : snd.cc;
  if (bytes === 0) return;
  stats.rcvackbyte += bytes;
  countAcked(tcb, bytes);
  if (snd.cc > bytes) tcp.mark(tcb);
  sosnddrop(tcb.so, bytes);
}

/** Our FIN has arrived. True: the peer's data and FIN may still come in this segment. */
function ourFinAcked(tcb: Tcb): boolean {
  switch (tcb.state) {
    case TCPS_FIN_WAIT_1:
      tcb.flags &= ~TF_SENTFIN;
      setState(tcb, TCPS_FIN_WAIT_2);
      armFinWait2(tcb);
      // All that the user sent has arrived: who lingers in close need wait no longer.
      if ((tcb.flags & TF_DETACHED) !== 0) soisdisconnected(tcb.so);
      return (tcb.flags & TF_DEAD) === 0;
    case TCPS_CLOSING:
      tcpTimeWait(tcb);
      return false;
    case TCPS_LAST_ACK:
      tcpClose(tcb);
      return false;
    default:
      return tcb.state >= TCPS_ESTABLISHED;
  }
}
