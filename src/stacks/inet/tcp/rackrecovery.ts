/**
 * Loss recovery with selective acknowledgments: the scoreboard (RFC 2018, 6675), RACK-TLP (RFC 8985), proportional rate reduction (RFC
 * 6937), and finding out that nothing was lost (RFC 5682, 3522, 3708). A connection whose peer has no SACK has no scoreboard, and
 * goes by NewReno's rules (`renorecovery.ts`).
 */
import { seqGeq, seqGt, seqLt } from '../../../wire/seq.ts';
import { CC_NDUPACK, CC_RTO } from './cc.ts';
import { allDuplicates, eifel, frtoAck, frtoBegin, undo, undoBegin, undoSent } from './frto.ts';
import type { Segment } from './inst.ts';
import { plpmtudOnlyProbe } from './plpmtud.ts';
import { prrAck, prrStart } from './prr.ts';
import { rackDetect, rackDsack, rackMarkOnRto, rackRecovered, rackUpdate } from './rack.ts';
import { FRTO_NEWDATA, FRTO_NONE, RACK_TIMER_REO, RackState } from './rackstate.ts';
import { tlpAck, tlpFire, tlpSchedule, tlpSent } from './racktlp.ts';
import { RateSample } from './ratesample.ts';
import type { Hole, Recovery } from './recovery.ts';
import { renoRecovery } from './renorecovery.ts';
import { rttEcho, rttUpdate } from './rtt.ts';
import { RangePool, TX_LOST, TX_SACKED, type TxRange } from './sackboard.ts';
import { sackInput } from './sackinput.ts';
import { TF_CWNDLIMITED, TF_FASTRECOVERY, TF_RTOLOSS, TF_SACK, TF_TIMING, T_PERSIST, T_RACK, T_REXMT, type Tcb } from './tcb.ts';
import { timerArm, timerArmed, timerStop } from './timerset.ts';

const IN_RECOVERY = TF_FASTRECOVERY | TF_RTOLOSS;

export class RackRecovery implements Recovery {
  readonly name = 'rack';
  readonly #pool = new RangePool();
  readonly #rs = new RateSample();

  sent(tcb: Tcb, seq: number, end: number): void {
    let st = tcb.loss;
    const { time, config } = tcb.tcp;
    if (st === null) {
      if ((tcb.flags & TF_SACK) === 0) return;
      tcb.flags &= ~TF_TIMING;
      st = tcb.loss = new RackState(this.#pool, tcb);
      tcb.rttSeq = tcb.sndUna;
      // The handshake has measured the path.
      if (tcb.srtt > 0) st.rttSample(tcb.srtt >> 3, time.ms);
      // What another block sent, or a SYN carried, is in flight too.
      if (seqLt(tcb.sndUna, seq)) st.board.sent(tcb.sndUna, seq, time.us, config.sackMaxranges);
    }
    st.board.sent(seq, end, time.us, config.sackMaxranges);
    const again = seqLt(seq, tcb.sndMax);
    if (st.tlpNow) tlpSent(tcb, st, end);
    else if (again) undoSent(tcb, st, (end - seq) | 0);
    if (!again) st.probeDue = true;
    else if (seq === tcb.sndUna && !timerArmed(tcb, T_PERSIST)) timerArm(tcb, T_REXMT, tcb.rto);
    if ((tcb.flags & TF_FASTRECOVERY) !== 0) st.prrOut += (end - seq) | 0;
  }

  newAck(tcb: Tcb, seg: Segment, acked: number): number {
    const st = tcb.loss;
    if (st === null) return renoRecovery.newAck(tcb, seg, acked);
    const rs = this.#rs;
    const { board } = st;
    rs.reset(tcb.tcp.time.us);
    rs.priorPipe = st.pipe(tcb);
    const plain = (tcb.flags & IN_RECOVERY) === 0 && seg.opts.nsack === 0 && board.sacked + board.lost === 0 && !st.tlpOut;
    tcb.sndUna = seg.ack;
    st.probeDue = true;
    tcb.limXmit = 0;
    if (!plain) return this.#disordered(tcb, st, seg, acked, false);
    board.ack(seg.ack, rs);
    this.#measure(tcb, st, seg);
    st.fack = seg.ack;
    tcb.cc.sample(tcb, rs);
    if (seg.ack === tcb.sndMax) timerStop(tcb, T_RACK);
    return acked;
  }

  sackAck(tcb: Tcb, seg: Segment): void {
    const st = tcb.loss;
    if (st === null) return;
    // From before sndUna it can still tell of duplicates and of what lies above.
    const rs = this.#rs;
    rs.reset(tcb.tcp.time.us);
    rs.priorPipe = st.pipe(tcb);
    const counted = this.#disordered(tcb, st, seg, 0, seg.ack === tcb.sndUna);
    if (counted > 0) st.uncounted += counted;
    if (tcb.so.snd.cc > 0 || st.board.lost > 0) tcb.tcp.mark(tcb);
  }

  dupAck(tcb: Tcb, seg: Segment): void {
    const st = tcb.loss;
    if (st === null) {
      renoRecovery.dupAck(tcb, seg);
      return;
    }
    if (st.tlpOut) tlpAck(tcb, st, seg, 0, true);
    st.frto = FRTO_NONE;
  }

  /** Round-trip time and delivery rate, from what this ACK delivered. */
  #measure(tcb: Tcb, st: RackState, seg: Segment): void {
    const rs = this.#rs;
    const { tcp } = tcb;
    rs.finish(st.board, st.minRttUs);
    if (rs.rttUs > 0) {
      st.rttSample(rs.rttUs, tcp.time.ms);
      // RFC 6298 §3: one in a round trip.
      if (seqGt(rs.end, tcb.rttSeq) || tcb.rxtShift > 0) {
        tcb.rttSeq = tcb.sndMax;
        rttUpdate(tcp, tcb, rs.rttUs);
      }
    } else if (tcb.rxtShift > 0 && rs.any) {
      rttEcho(tcp, tcb, seg);
    }
    if (rs.rate > 0 && (!rs.appLimited || rs.rate > st.rate)) {
      st.rate = rs.rate;
      st.rateAppLimited = rs.appLimited;
    }
  }

  /** An ACK while something is reported, lost, or in doubt. Answers as `newAck`. */
  #disordered(tcb: Tcb, st: RackState, seg: Segment, acked: number, same: boolean): number {
    const rs = this.#rs;
    const { board } = st;
    const { tcp } = tcb;
    if (acked > 0) board.ack(seg.ack, rs);
    const duplicate = seg.opts.nsack > 0 ? sackInput(tcb, st, seg, rs) : 0;
    this.#measure(tcb, st, seg);
    rackUpdate(tcb, st, seg, rs);
    tcb.cc.sample(tcb, rs);
    if (duplicate > 0) this.#duplicate(tcb, st, duplicate);
    if (st.tlpOut) tlpAck(tcb, st, seg, duplicate, same && rs.delivered === 0);

    const wasFast = (tcb.flags & TF_FASTRECOVERY) !== 0;
    if ((acked > 0 && eifel(tcb, st, seg)) || allDuplicates(st) || frtoAck(tcb, st, acked, rs)) undo(tcb, st);
    if ((tcb.flags & IN_RECOVERY) !== 0 && seqGeq(tcb.sndUna, tcb.recover)) this.#leave(tcb, st);
    else if ((tcb.flags & IN_RECOVERY) !== 0 && acked > 0) tcp.stats.partialack++;

    this.#detect(tcb, st);
    if ((tcb.flags & TF_FASTRECOVERY) !== 0) {
      if (!tcb.cc.ownsRecovery(tcb)) prrAck(tcb, st, rs.delivered, acked > 0 && rs.lost === 0);
      tcp.mark(tcb);
      if (acked > 0) {
        if (seg.ack === tcb.sndMax) timerStop(tcb, T_REXMT | T_RACK);
        else if (!timerArmed(tcb, T_PERSIST)) timerArm(tcb, T_REXMT, tcb.rto);
      }
      return -1;
    }
    if (board.lost > 0) tcp.mark(tcb);
    if (acked > 0 && seg.ack === tcb.sndMax) timerStop(tcb, T_RACK);
    const counted = rs.delivered + (acked > 0 ? st.uncounted : 0);
    if (acked > 0) st.uncounted = 0;
    // What F-RTO lets go is two segments, whatever the ACK would add.
    return wasFast || st.frto === FRTO_NEWDATA ? 0 : counted;
  }

  /** The peer has had some bytes before. */
  #duplicate(tcb: Tcb, st: RackState, len: number): void {
    // The answer to a probe was to be expected.
    if (st.tlpOut && st.tlpRexmt) return;
    rackDsack(tcb, st);
    if (st.undoOn && seqGt(st.dsackEnd, st.undoMark)) st.undoBytes -= len;
  }

  /** Looks for losses, begins recovery if there are any, and sets the timer that looks again. */
  #detect(tcb: Tcb, st: RackState): void {
    const timeout = rackDetect(tcb, st, this.#rs);
    const { board } = st;
    if (board.lost > 0 && (tcb.flags & IN_RECOVERY) === 0) {
      const { plpmtud } = tcb;
      if (plpmtud === null || !plpmtudOnlyProbe(tcb, plpmtud, st, this.#rs)) this.#enter(tcb, st);
    }
    if (timeout > 0) {
      st.timerMode = RACK_TIMER_REO;
      timerArm(tcb, T_RACK, Math.ceil(timeout / 1000));
    } else if (st.timerMode === RACK_TIMER_REO || board.sacked + board.lost > 0) {
      timerStop(tcb, T_RACK);
    }
  }

  #enter(tcb: Tcb, st: RackState): void {
    const { tcp } = tcb;
    tcp.stats.fastrexmit++;
    tcp.stats.sack_recovery_episode++;
    undoBegin(tcb, st);
    st.uncounted = 0;
    st.tlpOut = false;
    tcb.limXmit = 0;
    const { priorPipe } = this.#rs;
    const owed = (tcb.flags & TF_CWNDLIMITED) !== 0 && tcb.cwnd > priorPipe ? tcb.cwnd - priorPipe : 0;
    tcb.cc.congSignal(tcb, CC_NDUPACK);
    tcb.recover = tcb.sndMax;
    tcb.flags |= TF_FASTRECOVERY;
    prrStart(st, priorPipe, owed);
  }

  #leave(tcb: Tcb, st: RackState): void {
    if ((tcb.flags & TF_FASTRECOVERY) !== 0 && !tcb.cc.ownsRecovery(tcb)) tcb.cwnd = tcb.ssthresh;
    rackRecovered(st);
    tcb.flags &= ~IN_RECOVERY;
    st.frto = FRTO_NONE;
  }

  rto(tcb: Tcb): void {
    const st = tcb.loss;
    const head = st === null ? null : st.board.head;
    if (st === null || head === null) {
      renoRecovery.rto(tcb);
      return;
    }
    const { board } = st;
    timerStop(tcb, T_RACK);
    st.tlpOut = st.tlpNow = false;
    tcb.limXmit = 0;
    st.uncounted = 0;
    if ((head.flags & TX_SACKED) !== 0) {
      tcb.tcp.stats.sack_renege++;
      board.renege();
    }
    const fresh = (tcb.flags & IN_RECOVERY) === 0;
    if (fresh) undoBegin(tcb, st);
    rackMarkOnRto(tcb, st);
    tcb.cc.congSignal(tcb, CC_RTO);
    tcb.cwnd = st.pipe(tcb) + tcb.mss;
    if (fresh || seqGt(tcb.sndUna, tcb.recover)) frtoBegin(st);
    else st.frto = FRTO_NONE;
    tcb.flags = (tcb.flags | TF_RTOLOSS) & ~TF_FASTRECOVERY;
    tcb.recover = tcb.sndMax;
  }

  timer(tcb: Tcb): void {
    const st = tcb.loss;
    if (st === null) return;
    const { tcp } = tcb;
    if (st.timerMode !== RACK_TIMER_REO) {
      tlpFire(tcb, st);
      return;
    }
    tcp.stats.rackreo++;
    const rs = this.#rs;
    rs.reset(tcp.time.us);
    rs.priorPipe = st.pipe(tcb);
    this.#detect(tcb, st);
    if (st.board.lost === 0) return;
    if ((tcb.flags & TF_FASTRECOVERY) !== 0 && !tcb.cc.ownsRecovery(tcb)) prrAck(tcb, st, 0, false);
    tcp.mark(tcb);
  }

  next(tcb: Tcb, hole: Hole, maxLen: number): boolean {
    const st = tcb.loss;
    if (st === null) return renoRecovery.next(tcb, hole, maxLen);
    // The timer took sndNxt back for a shut window: everything goes in order.
    if (tcb.sndNxt !== tcb.sndMax || st.frto === FRTO_NEWDATA) return false;
    if (st.tlpNow && st.tlpLen > 0) {
      hole.seq = st.tlpSeq;
      hole.len = st.tlpLen;
      return true;
    }
    const { board } = st;
    let r = board.firstLost();
    if (r === null) return false;
    const { mss } = tcb;
    const { start } = r;
    // What the peer took back of its window is not sent again; a probe asks (RFC 9293 §3.8.6).
    let room = (tcb.sndUna + tcb.sndWnd - start) | 0;
    if (room <= 0) return false;
    const budget = tcb.cwnd - st.pipe(tcb);
    if (maxLen < room) room = maxLen;
    let len = (r.end - start) | 0;
    while (len < room && r.next !== null && (r.next.flags & TX_LOST) !== 0) {
      r = r.next;
      len = (r.end - start) | 0;
    }
    if (len > room) len = room;
    if (len > budget) len = budget - (budget % mss);
    if (len <= 0) return false;
    tcb.tcp.stats.sack_rexmits++;
    tcb.tcp.stats.sack_rexmit_bytes += len;
    hole.seq = start;
    hole.len = len;
    return true;
  }

  afterOutput(tcb: Tcb, limited: boolean): void {
    const st = tcb.loss;
    if (st === null) return;
    st.tlpNow = false;
    tcb.limXmit = 0;
    if (limited && st.pipe(tcb) < tcb.cwnd && st.board.lost === 0) {
      const mark = (st.board.delivered + st.pipe(tcb)) | 0;
      st.board.appLimited = mark === 0 ? 1 : mark;
    }
    if (st.probeDue) tlpSchedule(tcb, st);
  }

  resend(tcb: Tcb): void {
    const st = tcb.loss;
    if (st === null || st.board.head === null) {
      renoRecovery.resend(tcb);
      return;
    }
    for (let r: TxRange | null = st.board.head; r !== null; r = r.next) st.board.markLost(r);
    tcb.flags = (tcb.flags | TF_RTOLOSS) & ~TF_FASTRECOVERY;
    tcb.recover = tcb.sndMax;
    st.frto = FRTO_NONE;
    tcb.tcp.mark(tcb);
  }

  detach(tcb: Tcb): void {
    tcb.loss = null;
    timerStop(tcb, T_RACK);
  }
}
