/**
 * Output (RFC 9293 §3.8, §3.7.4, §3.8.6): called once for each connection that was marked in a batch, it sends everything that may go:
 * duplicate ACKs, what loss recovery wants again, new data as far as the windows reach, a FIN, or just the ACK that is owed.
 */
import { isErrno } from '../../../kern/errno.ts';
import { IFCAP_TSO4, IFCAP_TSO6 } from '../../../kern/ifnet/link.ts';
import { isV4 } from '../../../wire/addr.ts';
import { seqGt } from '../../../wire/seq.ts';
import { TCPOLEN_TSTAMP_APPA, TH_ACK, TH_FIN, TH_PUSH, TH_SYN } from '../../../wire/tcp.ts';
import type { Route } from '../contract.ts';
import { ecnHandshakeDue, ecnNoTso } from './ecn.ts';
import { type FastOpen, fastOpenSent } from './fastopen.ts';
import type { TcpInst } from './inst.ts';
import { headersLen, mssUpdate } from './mss.ts';
import { paceAllow, paceSpent } from './pacing.ts';
import { type Plpmtud, plpmtudDue, plpmtudSent } from './plpmtud.ts';
import type { Hole } from './recovery.ts';
import { SegmentMaker } from './segout.ts';
import { TCPS_ESTABLISHED, TCPS_LISTEN, TCPS_SYN_RECEIVED, TCPS_SYN_SENT, TCPS_TIME_WAIT, finQueued } from './states.ts';
import {
  TF_ACKNOW,
  TF_CWNDLIMITED,
  TF_DELACK,
  TF_FORCE,
  TF_NODELAY,
  TF_NOPUSH,
  TF_SENTFIN,
  TF_TIMING,
  TF_TSTMP,
  TF_URGNOW,
  T_DELACK,
  T_PERSIST,
  T_REXMT,
  type Tcb,
} from './tcb.ts';
import { timerArm, timerArmed, timerStop } from './timerset.ts';
import { bareSeq } from './window.ts';

/** When there was no slot for an ACK it is tried again after this. */
const RETRY_MS = 10;

export class Output {
  readonly #tcp: TcpInst;
  readonly #maker: SegmentMaker;
  readonly #hole: Hole = { seq: 0, len: 0 };

  constructor(tcp: TcpInst) {
    this.#tcp = tcp;
    this.#maker = new SegmentMaker(tcp);
  }

  run(tcb: Tcb): void {
    const { state } = tcb;
    if (state <= TCPS_LISTEN || state === TCPS_TIME_WAIT) return;
    const route = this.#route(tcb);
    if (route === null) {
      // The timers keep it alive; the way may come back.
      if (tcb.sndMax !== tcb.sndUna || state === TCPS_SYN_SENT || tcb.so.snd.cc > 0) this.#ensureTimer(tcb);
      return;
    }
    if (state < TCPS_ESTABLISHED) {
      this.#syn(tcb, route);
      return;
    }
    if (tcb.tfo !== null && tcb.tfo.listener !== null && !this.#fastOpenSyn(tcb, route, tcb.tfo)) return;
    // RFC 9768 §3.2.2.1: an ACK without anything says how the SYN,ACK came.
    if (tcb.ecn !== null && ecnHandshakeDue(tcb.ecn) && !this.#ack(tcb, route, false)) return;
    if (tcb.dupAcksOwed > 0 || (tcb.reass !== null && (tcb.flags & TF_ACKNOW) !== 0)) this.#pureAcks(tcb, route);
    this.#data(tcb, route);
  }

  /** A route that holds, with the connection's MSS made for it; null without one. */
  #route(tcb: Tcb): Route | null {
    const before = tcb.route;
    const route = before === null ? this.#tcp.ip.route(tcb.faddr, tcb.so.fib) : this.#tcp.ip.revalidate(before);
    if (isErrno(route)) {
      tcb.softError = route;
      this.#tcp.stats.snderror++;
      return null;
    }
    if (route !== before) tcb.route = route;
    if (route.mtu !== tcb.mtu && tcb.state >= TCPS_ESTABLISHED) mssUpdate(tcb, route);
    return route;
  }

  #syn(tcb: Tcb, route: Route): void {
    const passive = tcb.state === TCPS_SYN_RECEIVED;
    if (tcb.sndNxt === tcb.iss) {
      const data = this.#maker.syn(tcb, route, passive ? TH_SYN | TH_ACK : TH_SYN);
      if (data < 0) {
        this.#ensureTimer(tcb);
        return;
      }
      tcb.sndNxt = (tcb.iss + 1 + data) | 0;
      if (tcb.sndMax === tcb.iss) {
        tcb.sndMax = tcb.sndNxt;
        this.#time(tcb, tcb.iss);
      }
      if (!timerArmed(tcb, T_REXMT)) timerArm(tcb, T_REXMT, tcb.rto);
    } else if (passive && (tcb.flags & TF_ACKNOW) !== 0) {
      this.#ack(tcb, route, true);
    }
  }

  /** The SYN,ACK of a connection that a SYN with data opened (RFC 7413 §4.2.2). False: nothing else may go now. */
  #fastOpenSyn(tcb: Tcb, route: Route, tfo: FastOpen): boolean {
    if (!tfo.synDue) return tcb.rxtShift === 0;
    const gone = this.#maker.syn(tcb, route, TH_SYN | TH_ACK) >= 0;
    this.#ensureTimer(tcb);
    return gone && !fastOpenSent(tcb, tfo);
  }

  /** Duplicate ACKs, one for each segment out of order, so that the peer can count them; in front of any data. */
  #pureAcks(tcb: Tcb, route: Route): void {
    // The first ACK of a new rcvNxt is no duplicate.
    let n = tcb.dupAcksOwed + (tcb.rcvNxt !== tcb.lastAckSent ? 1 : 0);
    if (n === 0) n = 1;
    tcb.dupAcksOwed = 0;
    while (n-- > 0) if (!this.#ack(tcb, route, true)) return;
  }

  #ack(tcb: Tcb, route: Route, sack: boolean): boolean {
    if (this.#maker.data(tcb, route, bareSeq(tcb), 0, 0, TH_ACK, sack)) {
      this.#tcp.stats.sndacks++;
      return true;
    }
    timerArm(tcb, T_DELACK, RETRY_MS);
    return false;
  }

  #data(tcb: Tcb, route: Route): void {
    const tcp = this.#tcp;
    const { snd } = tcb.so;
    const idle = tcb.sndMax === tcb.sndUna;
    if (idle && snd.cc > 0 && (tcp.time.ms - tcb.sndTime) >>> 0 >= tcb.rto) tcb.cc.afterIdle(tcb);
    const { mss } = tcb;
    const maxLen = this.#maxPayload(tcb, route);
    this.#retransmitHoles(tcb, route, maxLen);
    const { loss, plpmtud } = tcb;
    if (plpmtud !== null && plpmtud.due && !this.#probe(tcb, route, plpmtud)) return;
    const wantFin = finQueued(tcb.state);
    let cwndLimited = false;
    let appLimited = false;
    for (;;) {
      const { cc } = snd;
      const { sndWnd } = tcb;
      const off = (tcb.sndNxt - tcb.sndUna) | 0;
      // What was reported or is lost is not in flight (RFC 6675 §5's pipe).
      const cwnd = tcb.cwnd + tcb.limXmit + (loss === null ? 0 : loss.board.sacked + loss.board.lost);
      let win = sndWnd < cwnd ? sndWnd : cwnd;
      const force = (tcb.flags & TF_FORCE) !== 0;
      if (force) {
        if (sndWnd === 0) win = 1;
        else this.#leavePersist(tcb);
      }
      let len = (cc < win ? cc : win) - off;
      if (len < 0) {
        len = 0;
        // The peer took back the window that we had sent into (SHLD-15, MUST-34): what is out is probed for, not timed out.
        if (sndWnd === 0 && off > 0 && cc > 0) {
          timerStop(tcb, T_REXMT);
          tcb.sndNxt = tcb.sndUna;
          break;
        }
      }
      if (tcb.paceRate > 0 && len > mss && !force) len = paceAllow(tcb, len);
      let tail = off + len === cc;
      if (len > mss) {
        if (len > maxLen) {
          len = maxLen;
          tail = false;
        } else if (len % mss !== 0 && (!tail || !this.#tailMayGo(tcb, idle, wantFin))) {
          // Only full segments now; what is left over waits for the window, or for Nagle.
          len -= len % mss;
          tail = false;
        }
      }
      const fin = wantFin && tail;
      if (!this.#worthSending(tcb, len, tail, fin, idle, force)) {
        cwndLimited = off + len < cc && cwnd < sndWnd;
        appLimited = off + len === cc;
        break;
      }
      if (!this.#send(tcb, route, len, off, tail, fin, force)) return;
      if (len === 0) break;
    }
    if (loss !== null && loss.board.lost > 0) cwndLimited = true;
    tcb.flags = cwndLimited ? tcb.flags | TF_CWNDLIMITED : tcb.flags & ~TF_CWNDLIMITED;
    tcb.recovery.afterOutput(tcb, appLimited);
    this.#afterwards(tcb);
  }

  /** A probe of the full size, alone and with DF (RFC 4821 §7.3), if it may go. False: there was no slot. */
  #probe(tcb: Tcb, route: Route, pl: Plpmtud): boolean {
    const off = (tcb.sndNxt - tcb.sndUna) | 0;
    const size = plpmtudDue(tcb, pl, route, Math.min(tcb.so.snd.cc, tcb.sndWnd, tcb.cwnd) - off);
    if (size === 0 || (tcb.paceRate > 0 && paceAllow(tcb, tcb.mss) === 0)) return true;
    const { mss, how, sndNxt } = tcb;
    tcb.mss = size;
    if (!how.df) tcb.how = { ...how, df: true };
    const gone = this.#send(tcb, route, size, off, false, false, false);
    // Unless the path's MTU was found to be another meanwhile.
    if (tcb.mss === size) tcb.mss = mss;
    tcb.how = how;
    if (gone) plpmtudSent(tcb, pl, sndNxt, tcb.sndNxt);
    return gone;
  }

  /** Payload of the largest frame: many segments where the interface cuts them, one otherwise. */
  #maxPayload(tcb: Tcb, route: Route): number {
    const { mss } = tcb;
    const { ifp } = route;
    if ((ifp.capEnable() & (isV4(tcb.faddr) ? IFCAP_TSO4 : IFCAP_TSO6)) === 0 || !this.#tcp.config.tso) return mss;
    // Cut by the link, each piece would have the same urgent pointer, and point elsewhere.
    if (tcb.urgent !== null && tcb.urgent.hasSnd) return mss;
    if (tcb.ecn !== null && ecnNoTso(tcb.ecn)) return mss;
    const headers = headersLen(tcb.faddr) + ((tcb.flags & TF_TSTMP) !== 0 ? TCPOLEN_TSTAMP_APPA : 0);
    const room = ifp.tsoMax() - headers;
    return room < 2 * mss ? mss : room - (room % mss);
  }

  /** Nagle (RFC 9293 §3.7.4): may a last piece that is less than a segment go? `idle`: nothing was in flight when output began. */
  #tailMayGo(tcb: Tcb, idle: boolean, fin: boolean): boolean {
    if (fin) return true;
    return (idle || (tcb.flags & TF_NODELAY) !== 0) && (tcb.flags & TF_NOPUSH) === 0;
  }

  /** Silly window avoidance on the sender's side: RFC 9293 §3.8.6.2.1. */
  #worthSending(tcb: Tcb, len: number, tail: boolean, fin: boolean, idle: boolean, force: boolean): boolean {
    if (len > 0) {
      if (len >= tcb.mss || force) return true;
      if (tail && this.#tailMayGo(tcb, idle, false)) return true;
      if (len >= tcb.maxSndWnd >> 1 && tcb.maxSndWnd > 0) return true;
      if (tcb.sndNxt !== tcb.sndMax) return true;
    }
    if ((tcb.flags & (TF_ACKNOW | TF_URGNOW)) !== 0) return true;
    // A FIN that was sent already goes again only when the timer took sndNxt back.
    return fin && ((tcb.flags & TF_SENTFIN) === 0 || tcb.sndNxt !== tcb.sndMax);
  }

  #send(tcb: Tcb, route: Route, len: number, off: number, tail: boolean, fin: boolean, force: boolean): boolean {
    const tcp = this.#tcp;
    const { stats } = tcp;
    const seq = len > 0 || fin ? tcb.sndNxt : bareSeq(tcb);
    let flags = TH_ACK;
    if (fin) flags |= TH_FIN;
    if (tail && len > 0) flags |= TH_PUSH;
    if (!this.#maker.data(tcb, route, seq, off, len, flags, len === 0)) {
      this.#ensureTimer(tcb);
      if ((tcb.flags & (TF_ACKNOW | TF_DELACK)) !== 0) timerArm(tcb, T_DELACK, RETRY_MS);
      return false;
    }
    tcb.flags &= ~(TF_URGNOW | TF_FORCE);
    if (len === 0) {
      if (fin) stats.sndctrl++;
      else stats.sndacks++;
    } else if (force) {
      stats.sndprobe++;
    } else if (seqGt(tcb.sndMax, seq)) {
      stats.sndrexmitpack++;
      stats.sndrexmitbyte += len;
      tcb.retransmits++;
    } else {
      stats.sndpack++;
      stats.sndbyte += len;
    }
    if (len === 0 && !fin) return true;
    tcb.sndTime = tcp.time.ms;
    const next = (seq + len + (fin ? 1 : 0)) | 0;
    tcb.recovery.sent(tcb, seq, next);
    if (tcb.paceRate > 0) paceSpent(tcb, len);
    if (fin) tcb.flags |= TF_SENTFIN;
    if (force && timerArmed(tcb, T_PERSIST)) {
      // A probe beyond the window: sent, but what comes after it still begins there.
      if (seqGt(next, tcb.sndMax)) tcb.sndMax = next;
      return true;
    }
    tcb.sndNxt = next;
    if (seqGt(next, tcb.sndMax)) {
      // Karn: what begins with bytes that went before is not timed.
      if (tcb.loss === null && (tcb.flags & TF_TIMING) === 0 && seq === tcb.sndMax) this.#time(tcb, seq);
      tcb.sndMax = next;
    }
    if (!timerArmed(tcb, T_REXMT)) {
      if (timerArmed(tcb, T_PERSIST)) tcb.rxtShift = 0;
      timerArm(tcb, T_REXMT, tcb.rto);
    }
    return true;
  }

  /** What loss recovery wants sent again, as much as it says may go; never beyond what was sent before. */
  #retransmitHoles(tcb: Tcb, route: Route, maxLen: number): void {
    const hole = this.#hole;
    while (tcb.recovery.next(tcb, hole, tcb.paceRate > 0 ? paceAllow(tcb, maxLen) : maxLen)) {
      const off = (hole.seq - tcb.sndUna) | 0;
      const { cc } = tcb.so.snd;
      const out = (tcb.sndMax - hole.seq) | 0;
      let len = Math.min(hole.len, cc - off, out);
      if (len < 0) len = 0;
      const fin = (tcb.flags & TF_SENTFIN) !== 0 && off + len === cc && out > len;
      if (len === 0 && !fin) return;
      const flags = TH_ACK | (fin ? TH_FIN : 0) | (off + len === cc && len > 0 ? TH_PUSH : 0);
      if (!this.#maker.data(tcb, route, hole.seq, off, len, flags, false)) {
        this.#ensureTimer(tcb);
        return;
      }
      tcb.recovery.sent(tcb, hole.seq, (hole.seq + len + (fin ? 1 : 0)) | 0);
      if (tcb.paceRate > 0) paceSpent(tcb, len);
      this.#tcp.stats.sndrexmitpack++;
      this.#tcp.stats.sndrexmitbyte += len;
      tcb.retransmits++;
      tcb.sndTime = this.#tcp.time.ms;
      if (!timerArmed(tcb, T_REXMT)) timerArm(tcb, T_REXMT, tcb.rto);
    }
  }

  #leavePersist(tcb: Tcb): void {
    if (!timerArmed(tcb, T_PERSIST)) return;
    timerStop(tcb, T_PERSIST);
    tcb.rxtShift = 0;
  }

  /** Begins to time the segment at `seq` (RFC 6298 §3: one in a round trip). */
  #time(tcb: Tcb, seq: number): void {
    tcb.flags |= TF_TIMING;
    tcb.rttSeq = seq;
    tcb.rttUs = this.#tcp.time.us;
    this.#tcp.stats.segstimed++;
  }

  #ensureTimer(tcb: Tcb): void {
    if (!timerArmed(tcb, T_REXMT | T_PERSIST)) timerArm(tcb, T_REXMT, tcb.rto);
  }

  /** What could not go needs a timer: the persist timer for data with nothing in flight, the delayed ACK's for an ACK. */
  #afterwards(tcb: Tcb): void {
    const { config } = this.#tcp;
    tcb.flags &= ~TF_FORCE;
    if (tcb.so.snd.cc > ((tcb.sndNxt - tcb.sndUna) | 0) && !timerArmed(tcb, T_REXMT | T_PERSIST)) {
      tcb.rxtShift = 0;
      timerArm(tcb, T_PERSIST, Math.max(tcb.rto, config.persminMs));
    }
    if ((tcb.flags & TF_DELACK) !== 0 && !timerArmed(tcb, T_DELACK)) timerArm(tcb, T_DELACK, config.delacktimeMs);
  }
}
