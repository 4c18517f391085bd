/**
 * The text and the FIN of a segment (RFC 9293 §3.10.7.4, seventh and eighth step). What is in order goes straight to the socket, from
 * the link's own buffer; what is early is put where it belongs in the socket's buffer and remembered (`reass.ts`).
 */
import { PKT_BACKLOG } from '../../../kern/packet.ts';
import { sorcvbuf, sorcvrest } from '../../../kern/socket/sobuf.ts';
import { SS_CANTRCVMORE } from '../../../kern/socket/socket.ts';
import { socantrcvmore, sorcv, sorcvcommit } from '../../../kern/socket/upcalls.ts';
import { seqLeq, seqLt } from '../../../wire/seq.ts';
import { TH_FIN } from '../../../wire/tcp.ts';
import { tuneReceiveBuffer } from './autotune.ts';
import type { Segment, TcpInst } from './inst.ts';
import { Reass } from './reass.ts';
import { sendReset } from './respond.ts';
import {
  TCPS_CLOSE_WAIT,
  TCPS_CLOSING,
  TCPS_ESTABLISHED,
  TCPS_FIN_WAIT_1,
  TCPS_FIN_WAIT_2,
  finReceived,
  setState,
} from './states.ts';
import {
  TF_ACKNOW,
  TF_DEAD,
  TF_DELACK,
  TF_DETACHED,
  TF_QUICKACK,
  TF_SACK,
  TF_SENTFIN,
  T_DELACK,
  type Tcb,
  countReceived,
} from './tcb.ts';
import { tcpFail, tcpTimeWait } from './teardown.ts';
import { timerArm, timerArmed } from './timerset.ts';
import { urgentOf, urgentOffset } from './urgent.ts';

/** So many segments are acknowledged one by one after a loss. */
const QUICK_SEGMENTS = 16;
/**
 * While the link is behind, an ACK waits for a quarter of the buffer, but only so many milliseconds, and not for the first bytes of a
 * connection, whose sender has a small congestion window.
 */
const BACKLOG_SHARE = 2;
const BACKLOG_DELAY_MS = 5;
const BACKLOG_AFTER = 131_072;

/** Data and FIN of a segment that was trimmed to the window. */
export function dataInput(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  const { stats } = tcp;
  const fin = (seg.flags & TH_FIN) !== 0;
  if (finReceived(tcb.state)) {
    // Behind the peer's FIN there is nothing: RFC 9293 says to ignore it.
    stats.rcvpackafterwin++;
    tcb.flags |= TF_ACKNOW;
    tcp.mark(tcb);
    return;
  }
  if (seg.len > 0 && (tcb.flags & TF_DETACHED) !== 0) {
    dropAfterClose(tcp, tcb, seg);
    return;
  }
  const finSeq = (seg.seq + seg.len) | 0;
  if (seg.seq !== tcb.rcvNxt) {
    early(tcp, tcb, seg, fin);
    return;
  }
  if (seg.len > 0) {
    deliver(tcp, tcb, seg);
    if ((tcb.flags & TF_DEAD) !== 0) return;
  }
  if (finHeld(tcb) || (fin && finSeq === tcb.rcvNxt)) finInput(tcp, tcb);
}

/** The peer's FIN came early, and nothing is missing in front of it. */
function finHeld({ reass, rcvNxt }: Tcb): boolean {
  return reass !== null && reass.hasFin && reass.finSeq === rcvNxt;
}

/**
 * In-order data, `seg.seq` being rcvNxt; with it goes what came early and is now in order. Decides about the ACK: at once for every
 * second full segment (SHLD-19, counted in bytes) and when a gap closes, later otherwise. The user may do anything before this returns.
 */
export function deliver(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  const { stats } = tcp;
  const { len, bytes, data, seq } = seg;
  const so = tcb.so;
  stats.rcvpack++;
  stats.rcvbyte += len;
  countReceived(tcb, len);
  const size = seg.gsoSize > 0 && seg.gsoSize < len ? seg.gsoSize : len;
  // A super-frame without a segment size says nothing about segments.
  if (size > tcb.rcvMss && (seg.gsoSize > 0 || size <= tcb.mtu || tcb.rcvMss === 0)) tcb.rcvMss = size;
  tcb.rcvNxt = (seq + len) | 0;
  let merged = 0;
  const { reass } = tcb;
  if (reass !== null && reass.count() > 0) {
    const nxt = reass.advance(tcb.rcvNxt);
    merged = (nxt - tcb.rcvNxt) | 0;
    tcb.rcvNxt = nxt;
    tcb.dupAcksOwed = 0;
    // RFC 5681 §4.2: at once when a gap is filled, all or in part.
    tcb.flags |= TF_ACKNOW;
    quickAcks(tcb);
  }
  if (reass !== null && reass.empty()) tcb.reass = null;
  const backlog = (seg.pkt.flags & PKT_BACKLOG) !== 0;
  tuneReceiveBuffer(tcp, tcb, seg.pkt);
  const unacked = (tcb.rcvNxt - tcb.lastAckSent) | 0;
  let quickly = false;
  if (backlog && ackMayWait(tcp, tcb, unacked)) {
    if (!timerArmed(tcb, T_DELACK)) timerArm(tcb, T_DELACK, BACKLOG_DELAY_MS);
  } else {
    quickly = (tcb.flags & TF_QUICKACK) !== 0 && quick(tcb);
    tcb.flags |= quickly || unacked >= 2 * tcb.rcvMss || !tcp.config.delayedAck ? TF_ACKNOW : TF_DELACK;
    tcp.mark(tcb);
  }

  const urg = tcb.urgent === null ? -1 : urgentOffset(tcb, seq, len);
  // A mark that is passed is pulled along, so that it never lies ahead again when the numbers come round.
  if (tcb.urgent !== null && seqLt(tcb.urgent.rcvUp, tcb.rcvNxt)) tcb.urgent.rcvUp = tcb.rcvNxt;
  if (urg >= 0) urgentOf(tcb).oob = bytes[data + urg] as number;
  if (urg < 0 || so.rcv.placed > 0) {
    // With early data behind it an urgent byte stays in the stream too: taking it out would move what lies there.
    sorcv(so, bytes, data, len);
  } else {
    if (urg > 0) sorcv(so, bytes, data, urg);
    if (urg + 1 < len && (tcb.flags & (TF_DEAD | TF_DETACHED)) === 0) sorcv(so, bytes, data + urg + 1, len - urg - 1);
  }
  if (merged > 0 && (tcb.flags & (TF_DEAD | TF_DETACHED)) === 0) sorcvcommit(so, merged);
  // One for the whole batch may be lost too, and then the peer waits for its timer: while it repairs, each segment has its own.
  if (quickly && (seg.flags & TH_FIN) === 0 && !finHeld(tcb)) tcp.flush(tcb);
}

/** The link is behind, and the peer has most of its window left: one ACK can cover what still waits on the link too. */
function ackMayWait(tcp: TcpInst, tcb: Tcb, unacked: number): boolean {
  if (!tcp.config.delayedAck || (tcb.receivedHigh === 0 && tcb.receivedLow < BACKLOG_AFTER)) return false;
  if ((tcb.flags & TF_ACKNOW) !== 0 || unacked >= tcb.so.rcv.hiwat >> BACKLOG_SHARE) return false;
  return (tcb.flags & TF_QUICKACK) === 0 || !quick(tcb);
}

/** The peer is repairing a loss, with a small window: an ACK that waits for a second segment may be what it waits for. */
export function quickAcks(tcb: Tcb): void {
  tcb.quickSeq = (tcb.rcvNxt + QUICK_SEGMENTS * tcb.rcvMss) | 0;
  tcb.flags |= TF_QUICKACK;
}

/** Still so? */
function quick(tcb: Tcb): boolean {
  if (seqLeq(tcb.rcvNxt, tcb.quickSeq)) return true;
  tcb.flags &= ~TF_QUICKACK;
  return false;
}

/** A segment out of order: kept if there is room, and answered at once with a duplicate ACK (RFC 5681 §4.2, SHLD-31). */
function early(tcp: TcpInst, tcb: Tcb, seg: Segment, fin: boolean): void {
  const { stats, config } = tcp;
  const { so } = tcb;
  const { len, seq } = seg;
  // One for each segment of a super-frame, as a peer without SACK counts them; one for the frame where SACK says it all.
  const count = (tcb.flags & TF_SACK) === 0 && seg.gsoSize > 0 && len > seg.gsoSize ? Math.ceil(len / seg.gsoSize) : 1;
  tcb.dupAcksOwed += count;
  tcb.flags |= TF_ACKNOW;
  tcp.mark(tcb);
  // What nobody will read is not kept: it comes again, and is then passed over in order.
  if ((so.state & SS_CANTRCVMORE) !== 0) return;
  const reass = (tcb.reass ??= new Reass());
  if (len > 0) {
    stats.rcvoopack++;
    stats.rcvoobyte += len;
    const end = (seq + len) | 0;
    if (reass.has(seq, end)) {
      // The data was here before; that it is the last may be new.
      if (fin) {
        reass.hasFin = true;
        reass.finSeq = end;
      }
      stats.rcvduppack++;
      stats.rcvdupbyte += len;
      if ((tcb.flags & TF_SACK) !== 0) {
        reass.dupStart = seq;
        reass.dupEnd = end;
      }
      return;
    }
    if (!sorcvbuf(so).place((seq - tcb.rcvNxt) | 0, seg.bytes, seg.data, len)) {
      sorcvrest(so);
      stats.rcvmemdrop++;
      return;
    }
    if (!reass.add(seq, end, config.reassMaxqueuelen)) {
      stats.rcvreassfull++;
      return;
    }
  }
  if (fin) {
    reass.hasFin = true;
    reass.finSeq = (seq + len) | 0;
  }
}

/** The peer has nothing more to send. */
function finInput(tcp: TcpInst, tcb: Tcb): void {
  tcb.rcvNxt = (tcb.rcvNxt + 1) | 0;
  tcb.reass = null;
  tcb.dupAcksOwed = 0;
  tcb.flags |= TF_ACKNOW;
  const { so } = tcb;
  switch (tcb.state) {
    case TCPS_ESTABLISHED:
      setState(tcb, TCPS_CLOSE_WAIT);
      tcp.mark(tcb);
      socantrcvmore(so);
      return;
    case TCPS_FIN_WAIT_1:
      // Had our FIN been acknowledged by this segment, the state would be FIN_WAIT_2 by now.
      setState(tcb, TCPS_CLOSING);
      tcp.mark(tcb);
      socantrcvmore(so);
      return;
    case TCPS_FIN_WAIT_2:
      tcb.flags &= ~TF_SENTFIN;
      tcpTimeWait(tcb);
      return;
    default:
      return;
  }
}

/** Data for a socket that its user has closed: nobody will ever read it, and the peer should know (RFC 1122 §4.2.2.13). */
export function dropAfterClose(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  tcp.stats.rcvafterclose++;
  sendReset(tcp, seg);
  tcpFail(tcb, null);
}
