/**
 * Segments for listeners and their half-open connections (RFC 9293 §3.10.7.2, and §3.10.7.4 for SYN-RECEIVED by a passive open): from SYN
 * to a socket in the listener's queue.
 */
import { soisconnected, solistenfull, sonewconn } from '../../../kern/socket/upcalls.ts';
import { addrEqual } from '../../../wire/addr.ts';
import { seqGt, seqLt } from '../../../wire/seq.ts';
import { TH_ACK, TH_AE, TH_CWR, TH_FIN, TH_RST, TH_SYN, TH_URG } from '../../../wire/tcp.ts';
import { ACC_INIT_FLAGS } from './accecn.ts';
import { wantsTimestamps } from './config.ts';
import { dataInput } from './datain.ts';
import {
  ECN_ACC_ACTIVE,
  ECN_MODE_ACC,
  ECN_MODE_CLASSIC,
  ECN_MODE_NONE,
  ECN_MUTE,
  ECN_OFF,
  ECN_RESET,
  IPTOS_ECN_MASK,
  ecnMuted,
  ecnStart,
  ecnSynAgain,
} from './ecn.ts';
import { enterTables, nameConnection, receiveSequences, sendSequences, startConnection } from './establish.ts';
import { type FastOpen, fastOpenAllowed, fastOpenPending } from './fastopen.ts';
import { takeBlock } from './functions.ts';
import type { Segment, TcpInst } from './inst.ts';
import { bareRoute, challengeAllowed, sendBare, sendReset } from './respond.ts';
import { TCPS_ESTABLISHED, setState } from './states.ts';
import { SynConn } from './syncache.ts';
import {
  TF_DEAD,
  TF_INTABLE,
  TF_NODELAY,
  TF_NOPUSH,
  TF_RCVFIXED,
  TF_REQ_SCALE,
  TF_SACK,
  TF_SNDFIXED,
  TF_SYNREXMT,
  TF_TSTMP,
  TF_TSVALID,
  type Tcb,
} from './tcb.ts';
import type { TimeWaitConn } from './timewait.ts';
import { Uto, utoAdopt, utoBegin, utoInput } from './usertimeout.ts';
import { rcvWindow, windowScaleFor } from './window.ts';

/**
 * A segment for a listener. `old`: a connection of this name in TIME-WAIT, whose place a SYN may take, once it is sure to be answered.
 * Returns a connection that a SYN cookie brought about: the segment is then its first.
 */
export function listenInput(
  tcp: TcpInst,
  listener: Tcb,
  seg: Segment,
  lport: number,
  fport: number,
  old: TimeWaitConn | null,
): Tcb | null {
  const { stats } = tcp;
  if ((seg.flags & TH_RST) !== 0) {
    stats.rcvrst++;
    return null;
  }
  if ((seg.flags & TH_ACK) !== 0) {
    const sc = (seg.flags & TH_SYN) === 0 ? cookieInput(tcp, listener, seg, lport, fport) : null;
    if (sc !== null) return complete(tcp, sc, seg, false);
    stats.noport++;
    sendReset(tcp, seg);
    return null;
  }
  if ((seg.flags & TH_SYN) === 0) {
    stats.rcvnoack++;
    return null;
  }
  // From a group, from port 0, or from itself (the "land" attack): nobody there could answer.
  if (fport === 0 || tcp.ip.isGroup(seg.ip.src) || (fport === lport && addrEqual(seg.ip.src, seg.ip.dst))) {
    stats.badsyn++;
    return null;
  }
  if (solistenfull(listener.so)) {
    stats.listendrop++;
    return null;
  }
  const cookie = listener.tfo === null ? null : fastOpenAllowed(tcp, listener, seg);
  if (cookie !== null && fastOpen(tcp, listener, seg, lport, fport, old, cookie === 'old')) return null;
  tcp.syncache.add(listener, seg, lport, fport, old);
  return null;
}

/** A SYN whose cookie is good (RFC 7413 §4.2.2): a connection now, and its data delivered. False: there is no room for it. */
function fastOpen(
  tcp: TcpInst,
  listener: Tcb,
  seg: Segment,
  lport: number,
  fport: number,
  old: TimeWaitConn | null,
  renew: boolean,
): boolean {
  const sc = tcp.syncache.record(listener, seg, lport, fport, old);
  if (sc === null || listener.tfo === null) return false;
  const tfo = fastOpenPending(tcp, listener.tfo, renew);
  const tcb = complete(tcp, sc, seg, false, tfo);
  if (tcb === null) {
    tfo.release(tcp.time.ms);
    return false;
  }
  // What came with the SYN counts from behind it.
  seg.flags &= ~(TH_SYN | TH_URG);
  seg.seq = (seg.seq + 1) | 0;
  if ((tcb.flags & TF_DEAD) !== 0) return true;
  tcp.mark(tcb);
  const over = (seg.len - rcvWindow(tcb)) | 0;
  if (over > 0) {
    seg.len -= over;
    seg.flags &= ~TH_FIN;
  }
  if (seg.len > 0 || (seg.flags & TH_FIN) !== 0) dataInput(tcp, tcb, seg);
  return true;
}

/** A segment for a half-open connection. Returns the connection if this completes it: the segment is then its first. */
export function synConnInput(tcp: TcpInst, sc: SynConn, seg: Segment): Tcb | null {
  const { stats } = tcp;
  const { flags } = seg;
  const rcvNxt = (sc.irs + 1) | 0;
  if ((flags & TH_RST) !== 0) {
    // RFC 5961 §3.2, as for a connection that stands.
    if (seg.seq === rcvNxt) {
      stats.rcvrst++;
      stats.sc_reset++;
      tcp.syncache.drop(sc);
    } else if (inWindow(sc, seg.seq) && seg.seq !== ((rcvNxt + sc.adv) | 0)) {
      stats.rstchallenge++;
      ackOdd(tcp, sc);
    } else {
      stats.rstoutwin++;
    }
    return null;
  }
  if ((flags & TH_SYN) !== 0) {
    if ((flags & TH_ACK) === 0 && seg.seq === sc.irs) {
      if (sc.ts && seg.opts.hasTs && seqGt(seg.opts.tsVal, sc.tsRecent)) sc.tsRecent = seg.opts.tsVal;
      const asked = ecnSynAgain(tcp, sc.ecn, flags);
      if (asked === ECN_RESET) {
        stats.sc_reset++;
        stats.sndrst++;
        tcp.syncache.drop(sc);
        sendBare(tcp, sc, sc.listener.so.fib, (sc.iss + 1) | 0, rcvNxt, TH_RST | TH_ACK, 0, false, 0, 0);
        return null;
      }
      if (asked === ECN_MUTE) {
        sc.mute = true;
        sc.ecn = ecnMuted(tcp, sc.ecn);
      }
      sc.mark = seg.ip.tos & IPTOS_ECN_MASK;
      tcp.syncache.again(sc);
    } else {
      stats.synchallenge++;
      ackOdd(tcp, sc);
    }
    return null;
  }
  if ((flags & TH_ACK) === 0) {
    stats.rcvnoack++;
    return null;
  }
  if (sc.ts && !seg.opts.hasTs) {
    stats.rcvnotstamp++;
    return null;
  }
  if (sc.ts && seqLt(seg.opts.tsVal, sc.tsRecent)) {
    stats.pawsdrop++;
    ackOdd(tcp, sc);
    return null;
  }
  if (!inWindow(sc, seg.seq)) {
    stats.rcvpackafterwin++;
    ackOdd(tcp, sc);
    return null;
  }
  if (seg.ack !== ((sc.iss + 1) | 0)) {
    stats.sc_badack++;
    sendReset(tcp, seg);
    return null;
  }
  return complete(tcp, sc, seg, true);
}

function inWindow(sc: SynConn, seq: number): boolean {
  const ahead = (seq - sc.irs - 1) | 0;
  return ahead >= 0 && ahead <= sc.adv;
}

/** Answers something odd with where we are. */
function ackOdd(tcp: TcpInst, sc: SynConn): void {
  if (!challengeAllowed(tcp, null)) return;
  const tsVal = (tcp.time.ms + sc.tsOffset) | 0;
  sendBare(
    tcp,
    sc,
    sc.listener.so.fib,
    (sc.iss + 1) | 0,
    (sc.irs + 1) | 0,
    TH_ACK | (sc.ecn === ECN_MODE_ACC ? ACC_INIT_FLAGS : 0),
    sc.adv >> shiftOf(sc),
    sc.ts,
    tsVal,
    sc.tsRecent,
  );
}

function shiftOf(sc: SynConn): number {
  return sc.sndScale >= 0 ? sc.rcvScale : 0;
}

/** What the ACK of a cookie says of a half-open connection of which nothing was kept; null: it is none. */
function cookieInput(tcp: TcpInst, listener: Tcb, seg: Segment, lport: number, fport: number): SynConn | null {
  if (!tcp.config.syncookies || fport === 0) return null;
  const { ip } = seg;
  const irs = (seg.seq - 1) | 0;
  const iss = (seg.ack - 1) | 0;
  const rcvScale = windowScaleFor(tcp.config.recvbufMax);
  const cookie = tcp.syncache.cookies.check(ip.dst, ip.src, (lport << 16) | fport, irs, iss, rcvScale);
  if (cookie === null) {
    tcp.stats.sc_badcookie++;
    return null;
  }
  tcp.stats.sc_recvcookie++;
  const sc = new SynConn(listener);
  sc.laddr = ip.dst;
  sc.faddr = ip.src;
  sc.lport = lport;
  sc.fport = fport;
  sc.iss = iss;
  sc.irs = irs;
  sc.peerMss = cookie.mss;
  sc.sndScale = cookie.scale;
  sc.sack = cookie.sack;
  // RFC 9768 §5.1: what the ACK says of our SYN,ACK is never less than 2 where AccECN was agreed.
  if (cookie.ecn) sc.ecn = tcp.config.ecn === ECN_OFF ? ECN_MODE_NONE : ECN_MODE_CLASSIC;
  else if (tcp.config.ecn >= ECN_ACC_ACTIVE && (seg.flags & (TH_AE | TH_CWR)) !== 0) sc.ecn = ECN_MODE_ACC;
  sc.rcvScale = rcvScale;
  sc.adv = Math.min(listener.so.rcv.space(), 65_535);
  if (wantsTimestamps(tcp.config) && seg.opts.hasTs) {
    sc.ts = true;
    sc.tsRecent = seg.opts.tsVal;
    sc.tsOffset = tcp.isn.tsOffset(ip.dst, ip.src, lport, fport);
  }
  return sc;
}

/**
 * Makes a socket and a control block of a half-open connection. `cached`: it is in the table and the lists. `tfo`: its SYN opens it, and is
 * still to be answered.
 */
function complete(tcp: TcpInst, sc: SynConn, seg: Segment, cached: boolean, tfo: FastOpen | null = null): Tcb | null {
  const { stats } = tcp;
  const { listener } = sc;
  const route = bareRoute(tcp, sc.faddr, listener.so.fib);
  if (route === null) return null;
  const so = sonewconn(listener.so);
  if (so === null) {
    // No room to be accepted: the ACK is as good as lost, and what is half open stays so.
    stats.listendrop++;
    stats.sc_aborted++;
    return null;
  }
  const tcb = so.pcb as Tcb;
  nameConnection(tcb, sc.laddr, sc.faddr, sc.fport, route);
  tcb.lport = sc.lport;
  if (cached) {
    tcp.syncache.unlink(sc);
    // The count of connections on the port stays as it is.
    tcp.conns.replace(sc, tcb);
  } else {
    tcp.syncache.takeOver(sc);
    enterTables(tcb);
  }
  tcb.flags |= TF_INTABLE | (listener.flags & (TF_NODELAY | TF_NOPUSH | TF_SNDFIXED | TF_RCVFIXED));
  takeBlock(tcb, listener);
  tcb.options = listener.options;
  tcb.kind = listener.kind;
  if (listener.uto !== null) {
    tcb.uto = new Uto(listener.uto.advSec);
    tcb.uto.enabled = listener.uto.enabled;
  }
  utoBegin(tcp, tcb);
  utoAdopt(tcb);
  if (tcb.uto !== null && sc.uto >= 0) utoInput(tcb, tcb.uto, sc.uto);
  tcb.how = listener.how;
  sendSequences(tcb, sc.iss);
  tcb.sndUna = tcb.sndNxt = tcb.sndMax = (sc.iss + 1) | 0;
  receiveSequences(tcb, sc.irs, sc.adv);
  tcb.peerMss = sc.peerMss;
  if (sc.sndScale >= 0) {
    tcb.sndScale = sc.sndScale;
    tcb.rcvScale = sc.rcvScale;
    tcb.flags |= TF_REQ_SCALE;
  }
  if (sc.ts) {
    tcb.flags |= TF_TSTMP | TF_TSVALID;
    tcb.tsRecent = sc.tsRecent;
    tcb.tsRecentMs = tcp.time.ms;
    tcb.tsOffset = sc.tsOffset;
  }
  if (sc.sack) tcb.flags |= TF_SACK;
  if (sc.rexmts > 0) tcb.flags |= TF_SYNREXMT;
  tcb.tfo = tfo;
  // The window of a SYN is not scaled, and it acknowledges nothing.
  tcb.sndWnd = tcb.maxSndWnd = tfo === null ? seg.wnd << tcb.sndScale : seg.wnd;
  tcb.sndWl1 = seg.seq;
  tcb.sndWl2 = tfo === null ? seg.ack : tcb.sndUna;
  ecnStart(tcb, sc.ecn, sc.mark, sc.mute);
  setState(tcb, TCPS_ESTABLISHED);
  startConnection(tcb, route, tfo === null ? handshakeUs(tcp, sc, seg) : -1);
  stats.sc_completed++;
  stats.accepts++;
  stats.connects++;
  soisconnected(so);
  return tcb;
}

/** Round-trip time of the handshake in microseconds; below 0 where it cannot be told (Karn). */
function handshakeUs(tcp: TcpInst, sc: SynConn, seg: Segment): number {
  if (sc.timed) return (tcp.time.us - sc.sentUs) | 0;
  if (!sc.ts || seg.opts.tsEcr === 0) return -1;
  const ms = (tcp.time.ms + sc.tsOffset - seg.opts.tsEcr) | 0;
  return ms >= 0 && ms < tcp.config.keepinitMs ? ms * 1000 : -1;
}
