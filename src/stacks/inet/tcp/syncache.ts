/**
 * Half-open connections of listeners (SYN-RECEIVED by a passive open): small records without a socket or control block, limited for
 * each listener and in all. When there is no room, SYN cookies answer; with those off, the oldest goes. RFC 4987 §3.3, §3.6.
 *
 * The SYN,ACK is sent again after 1, 2, 4 ... seconds. Records that wait for the same step stand in one list, which is in the order of time.
 */
import { Callout } from '../../../kern/callout.ts';
import { TCP_HDR_LEN, TCP_HDR_MAX, TH_ACK, TH_ECE, TH_SYN, putTcp, putUto } from '../../../wire/tcp.ts';
import { seqGt, seqLeq } from '../../../wire/seq.ts';
import { wantsScale, wantsTimestamps } from './config.ts';
import { CONN_SYN, Conn } from './conn.ts';
import { accPutSynOption, accSynAckFlags, accSynOptionLen } from './accecn.ts';
import { ECN_MODE_ACC, ECN_MODE_CLASSIC, ECN_MODE_NONE, IPTOS_ECN_MASK, ecnAsked } from './ecn.ts';
import { keepAddr } from './establish.ts';
import { FASTOPEN_COOKIE_LEN, putFastOpenCookie } from './fastopen.ts';
import type { Segment, TcpInst } from './inst.ts';
import { mssToOffer, mssOfPeer } from './mss.ts';
import { putSynOptions, synOptionsLen } from './options.ts';
import { bareRoute, bareSend } from './respond.ts';
import type { Route } from '../contract.ts';
import { SynCookies } from './syncookie.ts';
import type { Tcb } from './tcb.ts';
import type { TimeWaitConn } from './timewait.ts';
import { UTO_LEN, Uto } from './usertimeout.ts';
import { windowScaleFor } from './window.ts';

/** Steps of the retransmission: the sysctl's greatest value, plus one. */
const STEPS = 13;
/** A listener may have this many half-open connections for each place in its backlog, and never less than this. */
const PER_BACKLOG = 4;
const PER_LISTENER_MIN = 64;

export class SynConn extends Conn {
  listener: Tcb;
  iss = 0;
  irs = 0;
  /** The peer's: MSS, window scale (-1: none), SACK, timestamps; and the window of its SYN. */
  peerMss = 0;
  sndScale = -1;
  sack = false;
  ts = false;
  tsRecent = 0;
  tsOffset = 0;
  wnd = 0;
  /** The window we told it, in bytes, and the scale of those to come: the sysctl may change before its ACK. */
  adv = 0;
  rcvScale = 0;
  /** ECN's feedback mode that was agreed to (ECN_MODE_*), the mark on the last SYN; we may not mark. */
  ecn = ECN_MODE_NONE;
  mark = 0;
  mute = false;
  /** The peer's user timeout option, -1: none (RFC 5482). */
  uto = -1;
  /** A cookie for fast open was asked for. */
  fastopen = false;
  /** When the SYN,ACK was sent, if the ACK can measure that, and how often it was sent again. */
  timed = false;
  sentUs = 0;
  rexmts = 0;
  dueMs = 0;
  /** SYN,ACKs that went out in all. */
  synAcks = 0;
  /** The connection of this name in TIME-WAIT, until it is sure that this one takes its place. */
  old: TimeWaitConn | null = null;
  /** Neighbours among those that wait for the same step, and among those of the listener. */
  prev: SynConn | null = null;
  next: SynConn | null = null;
  lprev: SynConn | null = null;
  lnext: SynConn | null = null;

  constructor(listener: Tcb) {
    super(CONN_SYN);
    this.listener = listener;
  }
}

/** A listener's half-open connections, the oldest first. */
export class Embryos {
  count = 0;
  head: SynConn | null = null;
  tail: SynConn | null = null;
}

/** Flags of the SYN,ACK. Once AccECN was left out of one we may not mark any more (RFC 9768 §3.1.5). */
function ecnFlags(sc: SynConn): number {
  if (sc.ecn === ECN_MODE_CLASSIC) return sc.mute ? 0 : TH_ECE;
  if (sc.ecn !== ECN_MODE_ACC) return 0;
  const flags = accSynAckFlags(sc.mark, sc.rexmts);
  if (flags === 0) sc.mute = true;
  return flags;
}

class Step {
  head: SynConn | null = null;
  tail: SynConn | null = null;
}

export class SynCache {
  count = 0;
  readonly cookies: SynCookies;
  readonly #tcp: TcpInst;
  readonly #steps: readonly Step[] = Array.from({ length: STEPS }, () => new Step());
  readonly #callout: Callout<SynCache>;

  constructor(tcp: TcpInst) {
    this.#tcp = tcp;
    this.cookies = new SynCookies(tcp.kernel);
    this.#callout = new Callout<SynCache>(tcp.kernel.callouts, (self) => self.#expire(), this);
  }

  /** A SYN for a listener. `old`: a connection of this name in TIME-WAIT; it goes, and our sequence numbers begin above its own. */
  add(listener: Tcb, seg: Segment, lport: number, fport: number, old: TimeWaitConn | null): void {
    const tcp = this.#tcp;
    const { config, stats } = tcp;
    const embryos = (listener.embryos ??= new Embryos());
    const route = this.#route(listener, seg);
    if (route === null) return;
    const sc = this.#fill(listener, seg, lport, fport, old, route);
    if (this.#full(listener, embryos)) {
      stats.sc_overflow++;
      const cookie = this.cookies.make(sc);
      // A cookie has the number it has. Where it is not above what the old connection sent, room is made instead (RFC 1122 §4.2.2.13).
      if (config.syncookies && (old === null || seqGt(cookie, old.sndNxt))) {
        sc.iss = cookie;
        this.takeOver(sc);
        // A cookie says it of peers with SACK only; AccECN's is not said by it.
        if (sc.ecn === ECN_MODE_CLASSIC && !sc.sack) sc.ecn = ECN_MODE_NONE;
        stats.sc_sendcookie++;
        this.#sendSynAck(sc, route);
        return;
      }
      const oldest = embryos.count > 0 ? embryos.head : this.#oldest();
      if (oldest !== null) this.drop(oldest);
      stats.sc_dropped++;
    }
    this.takeOver(sc);
    this.#enter(sc, embryos);
    this.#sendSynAck(sc, route);
  }

  /** The new connection is sure: the one in TIME-WAIT makes room for it. */
  takeOver(sc: SynConn): void {
    if (sc.old === null) return;
    this.#tcp.stats.tw_reused++;
    this.#tcp.timewait.drop(sc.old);
    sc.old = null;
  }

  /** The record of a SYN that opens its connection at once (fast open): in no table. Null: no way back. */
  record(listener: Tcb, seg: Segment, lport: number, fport: number, old: TimeWaitConn | null): SynConn | null {
    const route = this.#route(listener, seg);
    return route === null ? null : this.#fill(listener, seg, lport, fport, old, route);
  }

  #route(listener: Tcb, seg: Segment): Route | null {
    const route = bareRoute(this.#tcp, seg.ip.src, listener.so.fib);
    if (route === null) this.#tcp.stats.sc_noroute++;
    return route;
  }

  /** What a SYN says, and our sequence numbers: above those of a connection in TIME-WAIT. */
  #fill(listener: Tcb, seg: Segment, lport: number, fport: number, old: TimeWaitConn | null, route: Route): SynConn {
    const tcp = this.#tcp;
    const { config, isn, time } = tcp;
    const sc = new SynConn(listener);
    sc.old = old;
    sc.laddr = keepAddr(seg.ip.dst, route.src);
    sc.faddr = keepAddr(seg.ip.src, route.dst);
    sc.lport = lport;
    sc.fport = fport;
    sc.irs = seg.seq;
    sc.wnd = seg.wnd;
    sc.adv = Math.min(listener.so.rcv.space(), 65_535);
    sc.peerMss = mssOfPeer(tcp, sc.faddr, seg.opts.mss);
    if (wantsScale(config)) sc.sndScale = seg.opts.wscale;
    if (wantsTimestamps(config)) {
      sc.ts = seg.opts.hasTs;
      sc.tsRecent = seg.opts.tsVal;
    }
    sc.sack = config.sackEnable && seg.opts.sackPermitted;
    sc.rcvScale = windowScaleFor(config.recvbufMax);
    sc.ecn = ecnAsked(tcp, seg.flags);
    sc.mark = seg.ip.tos & IPTOS_ECN_MASK;
    sc.uto = seg.opts.uto;
    sc.fastopen = seg.opts.fastopenLen >= 0 && config.fastopenServer && listener.tfo !== null && listener.tfo.enabled;
    sc.iss = isn.iss(sc.laddr, sc.faddr, lport, fport);
    sc.tsOffset = isn.issTsOffset();
    // RFC 1122 §4.2.2.13: above everything that the old connection sent.
    if (old !== null && seqLeq(sc.iss, old.sndNxt)) sc.iss = (old.sndNxt + 0x10000 + (tcp.kernel.random.u32() & 0xffff)) | 0;
    sc.sentUs = time.us;
    sc.timed = true;
    return sc;
  }

  /** Sends the SYN,ACK again because the peer asks (its SYN came once more). */
  again(sc: SynConn): void {
    this.#tcp.stats.sc_dupsyn++;
    // The ACK may now answer either: no measurement (Karn).
    sc.timed = false;
    this.#resend(sc);
  }

  /** Takes a record out of the lists; the table is the caller's. */
  unlink(sc: SynConn): void {
    const embryos = sc.listener.embryos as Embryos;
    embryos.count--;
    this.count--;
    if (sc.lprev === null) embryos.head = sc.lnext;
    else sc.lprev.lnext = sc.lnext;
    if (sc.lnext === null) embryos.tail = sc.lprev;
    else sc.lnext.lprev = sc.lprev;
    this.#leaveStep(sc);
    this.#tcp.remains.keep(sc);
  }

  /** Forgets a half-open connection. */
  drop(sc: SynConn): void {
    this.unlink(sc);
    this.#tcp.conns.remove(sc);
    this.#tcp.ports.leave(sc.lport);
  }

  /** The listener closes: its half-open connections go with it. */
  forgetListener(listener: Tcb): void {
    const { embryos } = listener;
    while (embryos !== null && embryos.head !== null) this.drop(embryos.head);
  }

  stop(): void {
    this.#callout.stop();
  }

  #full(listener: Tcb, embryos: Embryos): boolean {
    const backlog = listener.so.listen === null ? 0 : listener.so.listen.qlimit;
    const limit = Math.max(PER_LISTENER_MIN, PER_BACKLOG * backlog);
    return embryos.count >= limit || this.count >= this.#tcp.config.syncacheLimit;
  }

  #oldest(): SynConn | null {
    for (let i = STEPS - 1; i >= 0; i--) {
      const { head } = this.#steps[i] as Step;
      if (head !== null) return head;
    }
    return null;
  }

  #enter(sc: SynConn, embryos: Embryos): void {
    const tcp = this.#tcp;
    tcp.conns.insert(sc);
    tcp.ports.enter(sc.lport);
    this.count++;
    embryos.count++;
    sc.lprev = embryos.tail;
    if (embryos.tail === null) embryos.head = sc;
    else embryos.tail.lnext = sc;
    embryos.tail = sc;
    tcp.stats.sc_added++;
    this.#joinStep(sc);
  }

  #joinStep(sc: SynConn): void {
    const ms = Math.min(this.#tcp.config.rexmitInitialMs << sc.rexmts, this.#tcp.config.rexmitMaxMs);
    sc.dueMs = (this.#tcp.time.ms + ms) | 0;
    const step = this.#steps[sc.rexmts] as Step;
    sc.prev = step.tail;
    sc.next = null;
    if (step.tail === null) step.head = sc;
    else step.tail.next = sc;
    step.tail = sc;
    if (!this.#callout.pending || this.#callout.remainingMs() > ms) this.#callout.reset(ms);
  }

  #leaveStep(sc: SynConn): void {
    const step = this.#steps[sc.rexmts] as Step;
    if (sc.prev === null) step.head = sc.next;
    else sc.prev.next = sc.next;
    if (sc.next === null) step.tail = sc.prev;
    else sc.next.prev = sc.prev;
    sc.prev = sc.next = null;
  }

  #expire(): void {
    const { time, stats, config } = this.#tcp;
    let wait = 0;
    // From the last step down, so that what moves on is not looked at twice.
    for (let i = STEPS - 1; i >= 0; i--) {
      const step = this.#steps[i] as Step;
      for (let sc = step.head; sc !== null && ((sc.dueMs - time.ms) | 0) <= 0; sc = step.head) {
        if (sc.rexmts >= config.syncacheRexmtlimit) {
          stats.sc_stale++;
          this.drop(sc);
          continue;
        }
        this.#leaveStep(sc);
        sc.rexmts++;
        sc.timed = false;
        this.#joinStep(sc);
        stats.sc_retransmitted++;
        this.#resend(sc);
      }
    }
    for (const { head } of this.#steps) {
      if (head === null) continue;
      const left = Math.max(1, (head.dueMs - time.ms) | 0);
      if (wait === 0 || left < wait) wait = left;
    }
    if (wait > 0) this.#callout.reset(wait);
  }

  /** The administrator's. */
  #uto(): Uto | null {
    const { config } = this.#tcp;
    return config.utoEnable ? new Uto(config.utoAdvSec) : null;
  }

  #resend(sc: SynConn): void {
    const route = bareRoute(this.#tcp, sc.faddr, sc.listener.so.fib);
    if (route !== null) this.#sendSynAck(sc, route);
  }

  #sendSynAck(sc: SynConn, route: Route): void {
    const tcp = this.#tcp;
    const { listener } = sc;
    const pkt = route.ifp.txAlloc();
    if (pkt === null) {
      tcp.stats.sndnobufs++;
      return;
    }
    const scale = sc.sndScale >= 0 ? sc.rcvScale : -1;
    const plainLen = TCP_HDR_LEN + synOptionsLen(sc.ts, sc.sack, scale);
    const fastLen = sc.fastopen ? plainLen + FASTOPEN_COOKIE_LEN : plainLen;
    // AccECN's option only with the first: it may be what gets lost (RFC 9768 §3.2.3.2.2).
    const accLen = sc.ecn === ECN_MODE_ACC && sc.synAcks === 0 ? accSynOptionLen(TCP_HDR_MAX - fastLen) : 0;
    const accEnd = fastLen + accLen;
    const uto = listener.uto !== null ? listener.uto : this.#uto();
    const utoLen = uto !== null && uto.enabled && accEnd + UTO_LEN <= TCP_HDR_MAX ? UTO_LEN : 0;
    const hdrLen = accEnd + utoLen;
    const o = pkt.prepend(hdrLen);
    putTcp(pkt.bytes, o, sc.lport, sc.fport, sc.iss, (sc.irs + 1) | 0, hdrLen, TH_SYN | TH_ACK | ecnFlags(sc), sc.adv);
    sc.synAcks++;
    const mss = mssToOffer(route, sc.faddr, listener.options === null ? 0 : listener.options.maxseg);
    const tsVal = (tcp.time.ms + sc.tsOffset) | 0;
    putSynOptions(pkt.bytes, o + TCP_HDR_LEN, mss, sc.ts, sc.sack, scale, tsVal, sc.tsRecent);
    if (sc.fastopen) putFastOpenCookie(tcp, pkt.bytes, o + plainLen, sc.laddr, sc.faddr);
    if (accLen > 0) accPutSynOption(pkt.bytes, o + fastLen, accLen);
    if (utoLen > 0 && uto !== null) putUto(pkt.bytes, o + accEnd, uto.field());
    tcp.stats.sndctrl++;
    bareSend(tcp, pkt, route, sc.laddr, sc.faddr, hdrLen);
  }
}
