/**
 * Explicit congestion notification (RFC 3168, as RFC 8311 leaves it): agreed in the SYNs; then data goes out as ECT(0), and what a router
 * marked CE is told back by ECE in every ACK until the sender says CWR. The sender answers as to a loss, once in a round trip. Where both
 * ends have it, feedback is AccECN's instead (RFC 9768, `accecn.ts`): how many packets and bytes were marked, in every ACK.
 *
 * New data only is ECT: no SYN, no pure ACK, nothing sent again, no window probe (RFC 3168 §6.1.1, §6.1.4 to §6.1.6). A super-frame with
 * CWR is cut by links that put CWR on its first segment only, as Linux and virtio do; one that comes in stands for segments of
 * one marking, because large receive joins no others.
 */
import { seqGeq, seqGt } from '../../../wire/seq.ts';
import { TH_AE, TH_CWR, TH_ECE } from '../../../wire/tcp.ts';
import type { IpOut } from '../contract.ts';
import { ACC_CONGESTION, ACC_CONGESTION_NOW, AccEcn, accAgree, accInput, accOutput, accServe, accSynAckFlags } from './accecn.ts';
import { CC_ECN } from './cc.ts';
import type { Segment, TcpInst } from './inst.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, type Tcb } from './tcb.ts';

/** The two low bits of the type of service. */
export const IPTOS_ECN_MASK = 3;
export const IPTOS_ECT1 = 1;
export const IPTOS_ECT0 = 2;
export const IPTOS_CE = 3;

/**
 * Values of net.inet.tcp.ecn.enable, as FreeBSD has them: never; classic ECN asked for and agreed to; agreed to where the peer asks; AccECN
 * asked for and agreed to, classic where the peer knows no more; agreed to where the peer asks.
 */
export const ECN_OFF = 0;
export const ECN_ACTIVE = 1;
export const ECN_PASSIVE = 2;
export const ECN_ACC_ACTIVE = 3;
export const ECN_ACC_PASSIVE = 4;

/** Feedback modes of a connection (RFC 9768 §3.1). */
export const ECN_MODE_NONE = 0;
export const ECN_MODE_CLASSIC = 1;
export const ECN_MODE_ACC = 2;

/** What a SYN that came once more means for what was agreed: nothing; we may not mark any more; the peer contradicts itself. */
export const ECN_KEEP = 0;
export const ECN_MUTE = 1;
export const ECN_RESET = 2;

const FLAGS = TH_AE | TH_CWR | TH_ECE;
const CLASSIC_SYN = TH_CWR | TH_ECE;
/** How many SYNs ask for AccECN: the first, and once more (RFC 9768 §3.1.4.1). */
const ACC_SYNS = 2;

export class Ecn {
  /** Both ends agreed. Before that: asked for in our SYN. */
  on = false;
  /** Our data may be marked ECT. */
  ect = true;
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
  /** AccECN's feedback, agreed or asked for; null: classic. */
  acc: AccEcn | null = null;

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
  const { ecn } = tcb.tcp.config;
  if (tcb.ecn === null) {
    if (again || (ecn !== ECN_ACTIVE && ecn !== ECN_ACC_ACTIVE)) return 0;
    tcb.ecn = new Ecn(tcb);
    if (ecn === ECN_ACC_ACTIVE) tcb.ecn.acc = new AccEcn();
  }
  const { acc } = tcb.ecn;
  // An answer to any of our SYNs still decides (RFC 9768 §3.1.4.1).
  if (acc !== null) return acc.syns++ < ACC_SYNS ? FLAGS : 0;
  if (!again) return CLASSIC_SYN;
  tcb.ecn = null;
  return 0;
}

/** The feedback mode that the peer's SYN asks for and may have: RFC 9768 table 2 and §3.1.3. */
export function ecnAsked(tcp: TcpInst, flags: number): number {
  const { ecn } = tcp.config;
  const bits = flags & FLAGS;
  if (ecn === ECN_OFF || bits === 0) return ECN_MODE_NONE;
  if (ecn >= ECN_ACC_ACTIVE) return bits === CLASSIC_SYN ? ECN_MODE_CLASSIC : ECN_MODE_ACC;
  return (bits & CLASSIC_SYN) === CLASSIC_SYN ? ECN_MODE_CLASSIC : ECN_MODE_NONE;
}

/**
 * The peer's SYN came once more, after `mode` was agreed on. A client that does not ask any more has given it up, and will not answer
 * marks (RFC 3168 §6.1.1, RFC 9768 §3.1.5); one that asks for the other kind cannot be told apart from two (§3.1.5: a reset).
 */
export function ecnSynAgain(tcp: TcpInst, mode: number, flags: number): number {
  const asked = ecnAsked(tcp, flags);
  if (mode === ECN_MODE_NONE || asked === mode) return ECN_KEEP;
  return asked === ECN_MODE_NONE ? ECN_MUTE : ECN_RESET;
}

/** The mode of a connection whose client has given it up: AccECN's stays (RFC 9768 §3.1.5). */
export function ecnMuted(tcp: TcpInst, mode: number): number {
  return mode === ECN_MODE_CLASSIC && tcp.config.ecn < ECN_ACC_ACTIVE ? ECN_MODE_NONE : mode;
}

/** The mode that the SYN,ACK answers our SYN with; reserved combinations are AccECN's (RFC 9768 §3.1.2, §3.1.3). */
function answered(acc: boolean, bits: number): number {
  if (!acc) return (bits & CLASSIC_SYN) === TH_ECE ? ECN_MODE_CLASSIC : ECN_MODE_NONE;
  // All three is a host that reflects reserved bits.
  if (bits === 0 || bits === FLAGS) return ECN_MODE_NONE;
  return bits === TH_ECE ? ECN_MODE_CLASSIC : ECN_MODE_ACC;
}

/** SYN-SENT: the peer's SYN, with our own acknowledged (`hasAck`) or not (simultaneous open: as a listener would take it). */
export function ecnAgree(tcp: TcpInst, tcb: Tcb, seg: Segment, hasAck: boolean): void {
  const { ecn } = tcb;
  if (ecn === null) return;
  const mode = hasAck ? answered(ecn.acc !== null, seg.flags & FLAGS) : ecnAsked(tcp, seg.flags);
  if (mode === ECN_MODE_NONE || (mode === ECN_MODE_ACC && ecn.acc === null)) {
    tcb.ecn = null;
    return;
  }
  begin(tcb, ecn);
  if (mode === ECN_MODE_CLASSIC) ecn.acc = null;
  else if (ecn.acc !== null) {
    if (hasAck) accAgree(tcp, ecn, ecn.acc, seg);
    else accServe(tcb, ecn.acc, seg.ip.tos & IPTOS_ECN_MASK);
  }
  tcp.stats.ecn_client_setup++;
}

/** Marking begins, after a SYN with `mark` that asked for `mode`. `mute`: the client may not know that it was agreed to. */
export function ecnStart(tcb: Tcb, mode: number, mark: number, mute: boolean): void {
  if (mode === ECN_MODE_NONE) return;
  const ecn = (tcb.ecn ??= new Ecn(tcb));
  begin(tcb, ecn);
  ecn.ect = !mute;
  if (mode === ECN_MODE_ACC) accServe(tcb, (ecn.acc = new AccEcn()), mark);
  tcb.tcp.stats.ecn_server_setup++;
}

function begin(tcb: Tcb, ecn: Ecn): void {
  ecn.on = true;
  ecn.recover = tcb.sndUna;
  ecn.ssthresh = tcb.ssthresh;
}

/** The mode of a connection. */
export function ecnMode(tcb: Tcb): number {
  if (tcb.ecn === null || !tcb.ecn.on) return ECN_MODE_NONE;
  return tcb.ecn.acc === null ? ECN_MODE_CLASSIC : ECN_MODE_ACC;
}

/** Flags of the SYN,ACK of a connection with a control block (fast open, simultaneous open). */
export function ecnSynAckFlags(tcb: Tcb): number {
  const { ecn } = tcb;
  if (ecn === null || !ecn.on) return 0;
  if (ecn.acc === null) return ecn.ect ? TH_ECE : 0;
  const flags = accSynAckFlags(ecn.acc.synMark, ecn.acc.synAcks++);
  // RFC 9768 §3.1.5: who answered without may not mark any more.
  if (flags === 0) ecn.ect = false;
  return flags;
}

/**
 * An acceptable segment of a connection with ECN came, its ACK not yet processed: what it says about both directions. `len`: bytes of
 * data, before any were cut off.
 */
export function ecnInput(tcp: TcpInst, tcb: Tcb, ecn: Ecn, seg: Segment, len: number): void {
  // RFC 5961 §5.2: an ACK of what was never sent is not to be believed in anything.
  if (!ecn.on || seqGt(seg.ack, tcb.sndMax)) return;
  const { stats } = tcp;
  const mark = seg.ip.tos & IPTOS_ECN_MASK;
  if (mark !== 0) {
    if (mark === IPTOS_CE) stats.ecn_rcvce++;
    else if (mark === IPTOS_ECT0) stats.ecn_rcvect0++;
    else stats.ecn_rcvect1++;
  }
  if (ecn.acc !== null) {
    const told = accInput(tcp, tcb, ecn, ecn.acc, seg, len, mark);
    if (told === ACC_CONGESTION) congestion(tcp, tcb, ecn, seg.ack);
    else trail(ecn, seg.ack);
    if (told === ACC_CONGESTION_NOW) ecnReduce(tcp, tcb, ecn);
    return;
  }
  // RFC 3168 §6.1.3: CWR ends the echo, a mark on the same segment begins it anew.
  if ((seg.flags & TH_CWR) !== 0) ecn.echo = false;
  if (mark === IPTOS_CE) ecn.echo = true;
  if ((seg.flags & TH_ECE) === 0) {
    trail(ecn, seg.ack);
    return;
  }
  stats.ecn_rcvece++;
  congestion(tcp, tcb, ecn, seg.ack);
}

/** `recover` follows, so that it never falls half the sequence space behind; what it says stays the same. */
function trail(ecn: Ecn, ack: number): void {
  if (seqGt(ack, ecn.recover)) ecn.recover = (ack - 1) | 0;
}

/** The peer tells of marks on what we sent: answered once in a round trip. */
function congestion(tcp: TcpInst, tcb: Tcb, ecn: Ecn, ack: number): void {
  if (!seqGt(ack, ecn.recover) || tcb.sndMax === tcb.sndUna) return;
  ecn.recover = tcb.sndMax;
  ecn.cwr = true;
  // A loss in the same window was answered already (RFC 3168 §6.1.2).
  if ((tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) === 0) ecnReduce(tcp, tcb, ecn);
}

/** Congestion control hears of it. */
export function ecnReduce(tcp: TcpInst, tcb: Tcb, ecn: Ecn): void {
  tcp.stats.ecn_rcwnd++;
  tcb.cc.congSignal(tcb, CC_ECN);
  ecn.ssthresh = tcb.ssthresh;
}

/**
 * Header flags of a segment that goes out. `fresh`: it carries data never sent before, and is no window probe. `pure`: an ACK and nothing
 * else, without SACK blocks too.
 */
export function ecnOutput(tcb: Tcb, ecn: Ecn, fresh: boolean, pure: boolean): number {
  if (!ecn.on) return 0;
  if (ecn.acc !== null) return accOutput(ecn.acc, pure);
  let flags = ecn.echo ? TH_ECE : 0;
  if (!fresh) return flags;
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

/** May a segment be marked: new data, and no window probe? */
export function ecnFresh(tcb: Tcb, seq: number, len: number, probe: boolean): boolean {
  return len > 0 && !probe && seqGeq(seq, tcb.sndMax);
}

/** How a segment goes: new data as ECT(0), everything else as the user said. */
export function ecnHow(tcb: Tcb, ecn: Ecn, fresh: boolean): IpOut {
  if (!fresh || !ecn.on || !ecn.ect) return tcb.how;
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

/** AccECN's counter in segments that are made without the connection's output: TIME-WAIT, keep-alive probes. */
export function ecnBareFlags(tcb: Tcb): number {
  const { ecn } = tcb;
  return ecn === null || ecn.acc === null || !ecn.on ? 0 : accOutput(ecn.acc, false);
}

/** An AccECN connection must not give the link super-frames while its counter has the bit of CWR set: only their first piece would keep it. */
export function ecnNoTso(ecn: Ecn): boolean {
  return ecn.acc !== null && (ecn.acc.rCep & 2) !== 0;
}

/** A pure ACK is owed to a SYN,ACK, which data must not stand for. */
export function ecnHandshakeDue(ecn: Ecn): boolean {
  return ecn.acc !== null && ecn.acc.hsDue;
}
