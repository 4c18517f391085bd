/**
 * Explicit congestion notification (RFC 3168, as RFC 8311 leaves it): agreed in the SYNs; then data goes out as ECT(0), and what a router
 * marked CE is told back by ECE in every ACK until the sender says CWR. The sender answers as to a loss, once in a round trip.
 *
 * New data only is ECT: no SYN, no pure ACK, nothing sent again, no window probe (RFC 3168 §6.1.1, §6.1.4 to §6.1.6). A super-frame with
 * CWR is cut by links that put CWR on its first segment only, as Linux and virtio do; one that comes in stands for segments of
 * one marking, because large receive joins no others.
 */
import { seqGeq, seqGt } from '../../../wire/seq.ts';
import { TH_CWR, TH_ECE } from '../../../wire/tcp.ts';
import type { IpOut } from '../contract.ts';
import { CC_ECN } from './cc.ts';
import type { Segment, TcpInst } from './inst.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, type Tcb } from './tcb.ts';

/** The two low bits of the type of service. */
export const IPTOS_ECN_MASK = 3;
export const IPTOS_ECT1 = 1;
export const IPTOS_ECT0 = 2;
export const IPTOS_CE = 3;

/** Values of net.inet.tcp.ecn.enable: never; asked for and agreed to; agreed to where the peer asks. */
export const ECN_OFF = 0;
export const ECN_ACTIVE = 1;
export const ECN_PASSIVE = 2;

export class Ecn {
  /** Both ends agreed. Before that: asked for in our SYN. */
  on = false;
  /** ECE in every ACK; CWR with the next new data. */
  echo = false;
  cwr = false;
  /** Highest byte sent when the last congestion was answered: until it is acknowledged no other is. */
  recover = 0;
  /** Threshold and window at the last new data: when loss recovery lowers them, the peer is told by CWR too (RFC 3168 §6.1.2). */
  ssthresh: number;
  cwnd: number;
  /** How marked segments go, made from `plain`. */
  how: IpOut;
  plain: IpOut;

  constructor(tcb: Tcb) {
    this.ssthresh = tcb.ssthresh;
    this.cwnd = tcb.cwnd;
    this.plain = tcb.how;
    this.how = { ...tcb.how, tos: tcb.how.tos | IPTOS_ECT0 };
    this.recover = tcb.sndUna;
  }
}

/** Flags of our SYN (RFC 3168 §6.1.1). One sent again is without: something on the path may drop what has them (§6.1.1.1). */
export function ecnSynFlags(tcb: Tcb, again: boolean): number {
  if (tcb.tcp.config.ecn !== ECN_ACTIVE) return 0;
  if (again) {
    tcb.ecn = null;
    return 0;
  }
  tcb.ecn ??= new Ecn(tcb);
  return TH_ECE | TH_CWR;
}

/** The peer's SYN asks for it, and it may have it. */
export function ecnAsked(tcp: TcpInst, flags: number): boolean {
  return tcp.config.ecn !== ECN_OFF && (flags & (TH_ECE | TH_CWR)) === (TH_ECE | TH_CWR);
}

/** SYN-SENT: the peer's SYN, with our own acknowledged (`hasAck`) or not (simultaneous open). */
export function ecnAgree(tcp: TcpInst, tcb: Tcb, flags: number, hasAck: boolean): void {
  const bits = flags & (TH_ECE | TH_CWR);
  // CWR together with ECE in an answer is a host that reflects reserved bits.
  const agreed = tcb.ecn !== null && (hasAck ? bits === TH_ECE : bits === (TH_ECE | TH_CWR));
  if (!agreed) {
    tcb.ecn = null;
    return;
  }
  ecnStart(tcb);
  tcp.stats.ecn_client_setup++;
}

/** Marking begins. */
export function ecnStart(tcb: Tcb): void {
  const ecn = (tcb.ecn ??= new Ecn(tcb));
  ecn.on = true;
  ecn.recover = tcb.sndUna;
  ecn.ssthresh = tcb.ssthresh;
}

/** An acceptable segment of a connection with ECN came, its ACK not yet processed: what it says about both directions. */
export function ecnInput(tcp: TcpInst, tcb: Tcb, ecn: Ecn, seg: Segment): void {
  // RFC 5961 §5.2: an ACK of what was never sent is not to be believed in anything.
  if (!ecn.on || seqGt(seg.ack, tcb.sndMax)) return;
  const { stats } = tcp;
  // RFC 3168 §6.1.3: CWR ends the echo, a mark on the same segment begins it anew.
  if ((seg.flags & TH_CWR) !== 0) ecn.echo = false;
  const mark = seg.ip.tos & IPTOS_ECN_MASK;
  if (mark !== 0) {
    if (mark === IPTOS_CE) {
      ecn.echo = true;
      stats.ecn_rcvce++;
    } else if (mark === IPTOS_ECT0) stats.ecn_rcvect0++;
    else stats.ecn_rcvect1++;
  }
  if ((seg.flags & TH_ECE) === 0) {
    // `recover` follows, so that it never falls half the sequence space behind; what it says stays the same.
    if (seqGt(seg.ack, ecn.recover)) ecn.recover = (seg.ack - 1) | 0;
    return;
  }
  stats.ecn_rcvece++;
  if (!seqGt(seg.ack, ecn.recover) || tcb.sndMax === tcb.sndUna) return;
  ecn.recover = tcb.sndMax;
  ecn.cwr = true;
  // A loss in the same window was answered already (RFC 3168 §6.1.2).
  if ((tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) !== 0) return;
  stats.ecn_rcwnd++;
  tcb.cc.congSignal(tcb, CC_ECN);
  ecn.ssthresh = tcb.ssthresh;
}

/** Header flags of a segment that goes out, and in `ecn.marked` whether it may be marked. `fresh`: data never sent before. */
export function ecnOutput(tcb: Tcb, ecn: Ecn, seq: number, len: number, probe: boolean): number {
  if (!ecn.on) return 0;
  let flags = ecn.echo ? TH_ECE : 0;
  if (len === 0 || probe || !seqGeq(seq, tcb.sndMax)) return flags;
  // Slow start that ends by itself lowers the threshold to the window, and not the window.
  if (tcb.ssthresh < ecn.ssthresh && tcb.ssthresh < ecn.cwnd) ecn.cwr = true;
  ecn.ssthresh = tcb.ssthresh;
  ecn.cwnd = tcb.cwnd;
  if (ecn.cwr) {
    ecn.cwr = false;
    flags |= TH_CWR;
  }
  return flags;
}

/** How such a segment goes: new data as ECT(0), everything else as the user said. */
export function ecnHow(tcb: Tcb, ecn: Ecn, seq: number, len: number, probe: boolean): IpOut {
  if (!ecn.on || len === 0 || probe || !seqGeq(seq, tcb.sndMax)) return tcb.how;
  if (ecn.plain !== tcb.how) {
    ecn.plain = tcb.how;
    ecn.how = { ...tcb.how, tos: tcb.how.tos | IPTOS_ECT0 };
  } else if (ecn.how.ttl !== tcb.how.ttl || ecn.how.df !== tcb.how.df) {
    // The stack's own record, changed by a sysctl.
    ecn.how.ttl = tcb.how.ttl;
    ecn.how.df = tcb.how.df;
  }
  tcb.tcp.stats.ecn_sndect0++;
  return ecn.how;
}
