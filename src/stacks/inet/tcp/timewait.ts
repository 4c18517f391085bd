/**
 * TIME-WAIT (RFC 9293 §3.6): a connection that is over, for twice the maximum segment lifetime, in a small record. The records are
 * limited; the oldest goes first. RFC 1337: a reset does not end it early. RFC 6191: a new SYN does, if its timestamp or sequence
 * number is above the old ones.
 */
import { Callout } from '../../../kern/callout.ts';
import { seqGt, seqLt } from '../../../wire/seq.ts';
import { TH_ACK, TH_FIN, TH_RST, TH_SYN } from '../../../wire/tcp.ts';
import { CONN_TIMEWAIT, Conn } from './conn.ts';
import { ecnBareFlags } from './ecn.ts';
import type { Segment, TcpInst } from './inst.ts';
import { challengeAllowed, sendBare } from './respond.ts';
import { TF_ACKNOW, TF_INTABLE, TF_TSTMP, type Tcb } from './tcb.ts';
import { rcvWindow } from './window.ts';

export class TimeWaitConn extends Conn {
  sndNxt = 0;
  rcvNxt = 0;
  /** Window field of our ACKs. */
  win = 0;
  hasTs = false;
  tsRecent = 0;
  tsOffset = 0;
  fib = 0;
  /** What comes further is not taken (IP_MINTTL). */
  minTtl = 0;
  /** AccECN's counter in its ACKs: it stays where it was. */
  ace = 0;
  /** When it may go; records are listed in this order. */
  expiresMs = 0;
  prev: TimeWaitConn | null = null;
  next: TimeWaitConn | null = null;

  constructor() {
    super(CONN_TIMEWAIT);
  }
}

export class TimeWait {
  count = 0;
  readonly #tcp: TcpInst;
  #head: TimeWaitConn | null = null;
  #tail: TimeWaitConn | null = null;
  readonly #callout: Callout<TimeWait>;

  constructor(tcp: TcpInst) {
    this.#tcp = tcp;
    this.#callout = new Callout<TimeWait>(tcp.kernel.callouts, (self) => self.#expire(), this);
  }

  /** Takes the place of a connection in the table, and sends the ACK that it still owed. */
  enter(tcb: Tcb): void {
    const tcp = this.#tcp;
    const tw = new TimeWaitConn();
    tw.lport = tcb.lport;
    tw.fport = tcb.fport;
    tw.laddr = tcb.laddr;
    tw.faddr = tcb.faddr;
    tw.sndNxt = tcb.sndMax;
    tw.rcvNxt = tcb.rcvNxt;
    tw.win = Math.min(rcvWindow(tcb) >> tcb.rcvScale, 65_535);
    tw.hasTs = (tcb.flags & TF_TSTMP) !== 0;
    tw.tsRecent = tcb.tsRecent;
    tw.tsOffset = tcb.tsOffset;
    tw.fib = tcb.so.fib;
    tw.minTtl = tcb.options === null ? 0 : tcb.options.minTtl;
    tw.ace = ecnBareFlags(tcb);
    tcp.conns.replace(tcb, tw);
    tcb.flags &= ~TF_INTABLE;
    tcp.ports.leave(tw.lport);
    if (this.count >= tcp.config.maxtcptw && this.#head !== null) {
      tcp.stats.tw_recycled++;
      this.drop(this.#head);
    }
    this.count++;
    tcp.stats.tw_added++;
    this.#append(tw);
    if (tcb.rcvNxt !== tcb.lastAckSent || (tcb.flags & TF_ACKNOW) !== 0) this.#ack(tw);
  }

  /** A segment for a connection in TIME-WAIT. True: it may begin a new connection, which then drops the record. */
  input(tw: TimeWaitConn, seg: Segment): boolean {
    const { stats } = this.#tcp;
    stats.tw_rcv++;
    if ((seg.flags & TH_RST) !== 0) {
      // RFC 1337 §3, fix F1.
      stats.tw_rstignored++;
      return false;
    }
    if ((seg.flags & (TH_SYN | TH_ACK)) === TH_SYN && this.#newer(tw, seg)) return true;
    if ((seg.flags & TH_FIN) !== 0 && ((seg.seq + seg.len + 1) | 0) === tw.rcvNxt) {
      // The peer's FIN once more: our ACK was lost. Time starts anew.
      this.#unlink(tw);
      this.#append(tw);
      this.#ack(tw);
      return false;
    }
    // RFC 9293 §3.10.7.4: what is not exactly the last ACK is answered with ours; the limit keeps two ends from doing so for ever.
    // Without the flag there is no acknowledgment, and its field may look like ours by chance.
    const isAck = (seg.flags & (TH_SYN | TH_ACK)) === TH_ACK;
    if ((!isAck || seg.len > 0 || seg.seq !== tw.rcvNxt || seg.ack !== tw.sndNxt) && challengeAllowed(this.#tcp, null))
      this.#ack(tw);
    return false;
  }

  /** Forgets a record. */
  drop(tw: TimeWaitConn): void {
    this.#unlink(tw);
    this.count--;
    this.#tcp.conns.remove(tw);
    this.#tcp.remains.keep(tw);
  }

  clear(): void {
    while (this.#head !== null) this.drop(this.#head);
    this.#callout.stop();
  }

  /** RFC 6191 §2; without timestamps the sequence number decides (RFC 1122 §4.2.2.13). */
  #newer(tw: TimeWaitConn, seg: Segment): boolean {
    const { opts } = seg;
    if (tw.hasTs && opts.hasTs) {
      if (seqGt(opts.tsVal, tw.tsRecent)) return true;
      if (seqLt(opts.tsVal, tw.tsRecent)) return false;
    }
    return seqGt(seg.seq, tw.rcvNxt);
  }

  #ack(tw: TimeWaitConn): void {
    const tcp = this.#tcp;
    tcp.stats.sndacks++;
    const tsVal = (tcp.time.ms + tw.tsOffset) | 0;
    sendBare(tcp, tw, tw.fib, tw.sndNxt, tw.rcvNxt, TH_ACK | tw.ace, tw.win, tw.hasTs, tsVal, tw.tsRecent);
  }

  #append(tw: TimeWaitConn): void {
    const ms = 2 * this.#tcp.config.mslMs;
    tw.expiresMs = (this.#tcp.time.ms + ms) | 0;
    tw.prev = this.#tail;
    tw.next = null;
    if (this.#tail === null) this.#head = tw;
    else this.#tail.next = tw;
    this.#tail = tw;
    if (!this.#callout.pending) this.#callout.reset(ms);
  }

  #unlink(tw: TimeWaitConn): void {
    if (tw.prev === null) this.#head = tw.next;
    else tw.prev.next = tw.next;
    if (tw.next === null) this.#tail = tw.prev;
    else tw.next.prev = tw.prev;
    tw.prev = tw.next = null;
  }

  #expire(): void {
    const now = this.#tcp.time.ms;
    while (this.#head !== null && ((this.#head.expiresMs - now) | 0) <= 0) this.drop(this.#head);
    if (this.#head !== null) this.#callout.reset((this.#head.expiresMs - now) | 0);
  }
}
