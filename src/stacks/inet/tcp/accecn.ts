/**
 * AccECN (RFC 9768): feedback of congestion marks that counts. The receiver of data counts packets marked CE (`rCep`), and bytes by mark; three
 * header flags carry the low bits of the first in every segment, an option the others. The sender of data keeps its own copies (`sCep`
 * and so on) in step with them, and finds out whether something on the path tampers with marks or feedback.
 *
 * Sending is as in `ecn.ts`: new data is ECT(0), SYNs and pure ACKs are not, so whatever mark the peer saw on ours is tampering.
 * Deviation: an initiator does not remember servers towards which SYNs with AccECN vanish (§3.1.4.1); it asks each of them twice.
 */
import { seqGt } from '../../../wire/seq.ts';
import { accEcnLen, putAccEcn } from '../../../wire/tcp.ts';
import type { Ecn } from './ecn.ts';
import type { Segment, TcpInst } from './inst.ts';
import { TF_ACKNOW, TF_NODELAY, TF_TSTMP, type Tcb } from './tcb.ts';

const ECT1 = 1;
const CE = 3;
/** First values of the counters (§3.2.1): not 0, which is what a box makes of what it clears. */
const CEP_INIT = 5;
const E0B_INIT = 1;
const E1B_INIT = 1;
/** ACE is three bits, from ECE up. */
const ACE_SHIFT = 6;
const ACE_MASK = 7;
const FIELD_MASK = 0xffffff;
/** Marks after which an ACK goes at once: with and without data that waits for one (§3.2.2.5.1). */
const CE_ACK = 2;
const CE_ACK_IDLE = 3;
/** SYN,ACKs with AccECN's flags; later ones are without, as if it were not known (§3.2.3.2.2). */
const ACC_SYNACKS = 2;
/** ACKs that stand for more segments than this as a rule: a jump of ACE is then no sign of a wrap. In 16ths of a segment. */
const STRETCH = 4 << 4;
/** So many round trips in a row, and packets in them, with every packet marked are no congestion (§3.2.2.3). */
const ALL_CE_ROUNDS = 4;
const ALL_CE_PACKETS = 10;
/** So many whole duplicates in a row mean that ACKs with the option get lost (§3.2.3.2.2). */
const LOST_OPTIONS = 3;

/** Counters of bytes by mark, as bits. */
const E0B = 1;
const CEB = 2;
const E1B = 4;

/** What the next segment is for the sender of data: an ACK of our SYN,ACK; the first feedback; one of many. */
const AWAIT_ACK = 2;
const AWAIT_FIRST = 1;
const GOING = 0;

/** What the feedback of a segment asks for. */
export const ACC_QUIET = 0;
export const ACC_CONGESTION = 1;
/** The SYN,ACK was marked, with nothing else in flight. */
export const ACC_CONGESTION_NOW = 2;

export class AccEcn {
  /** SYNs and SYN,ACKs sent with a thought to it, and the mark on the peer's last SYN. */
  syns = 0;
  synAcks = 0;
  synMark = 0;
  /** The peer says that our SYN came marked CE. */
  synCe = false;
  /** The next pure ACK says how the peer's SYN,ACK was marked (§3.2.2.1); that mark. */
  hsDue = false;
  hsMark = 0;

  /** Received: packets with CE, and bytes by mark. */
  rCep = CEP_INIT;
  rCeb = 0;
  rE0b = E0B_INIT;
  rE1b = E1B_INIT;
  /** Packets with CE since the last segment that told of them; the last packet had CE. */
  owed = 0;
  lastCe = false;
  /** Byte counters that changed since the last option; that ever changed. */
  dirty = 0;
  used = 0;
  /** The option goes with the next pure ACK; with the first data. */
  announceAck = false;
  announceData = false;
  /** The option seems to be what gets our ACKs lost; whole duplicates in a row. */
  optOff = false;
  duplicates = 0;

  /** Sent: the same as the peer tells. */
  sCep = CEP_INIT;
  sCeb = 0;
  sE0b = E0B_INIT;
  sE1b = E1B_INIT;
  stage = AWAIT_FIRST;
  /** Feedback is answered. */
  respond = true;
  /** The peer's options come through; they are not to be believed. */
  optSeen = false;
  optIgnore = false;
  /** Where `sCep` and `sndUna` were at the last option. */
  cepAtOpt = CEP_INIT;
  unaAtOpt = 0;
  /** Segments that one ACK stands for, smoothed, times 16. */
  run = 0;
  /** Timestamp of the last feedback that counted. */
  tsSeen = 0;
  /** The round trip at hand: its end, segments acknowledged and marked; rounds and packets in a row with marks only, -1: one was without. */
  roundEnd = 0;
  roundPkts = 0;
  roundCe = 0;
  allCeRounds = 0;
  allCePkts = 0;
}

/** SYN,ACK and handshake encoding of a mark: tables 2 and 3. As ACE has the bits. */
function encoded(mark: number): number {
  return mark === CE ? 6 : mark === 0 ? 2 : mark === ECT1 ? 3 : 4;
}

/** The mark in such an encoding; what is reserved counts as unmarked (§3.1.3, table 4). */
function decoded(ace: number): number {
  return ace === 6 ? CE : ace === 4 ? 2 : ace === 3 ? ECT1 : 0;
}

/** Flags of the SYN,ACK that answers a SYN with `mark`, when `sent` have gone before. */
export function accSynAckFlags(mark: number, sent: number): number {
  return sent < ACC_SYNACKS ? encoded(mark) << ACE_SHIFT : 0;
}

/** We answer a SYN with `mark` that asked for it. */
export function accServe(tcb: Tcb, acc: AccEcn, mark: number): void {
  acc.synMark = mark;
  acc.stage = AWAIT_ACK;
  acc.tsSeen = tcb.tsRecent;
}

/** The SYN,ACK agrees to it: what it says of our SYN, and how it came itself. */
export function accAgree(tcp: TcpInst, ecn: Ecn, acc: AccEcn, seg: Segment): void {
  const mark = decoded((seg.flags >>> ACE_SHIFT) & ACE_MASK);
  fedBack(tcp, ecn, mark);
  acc.synCe = mark === CE;
  acc.tsSeen = seg.opts.tsVal;
  accSynAckSeen(acc, seg.ip.tos & CE);
  acc.announceAck = acc.announceData = true;
  firstOption(acc, seg);
}

/** A SYN,ACK came, the first or again: the next pure ACK tells of its mark; the counter goes up once at most (§3.2.2.2). */
export function accSynAckSeen(acc: AccEcn, mark: number): void {
  acc.hsMark = mark;
  acc.hsDue = true;
  if (mark === CE && acc.rCep === CEP_INIT) acc.rCep = CEP_INIT + 1;
}

/** How our SYN or SYN,ACK, which was not marked, came to the peer: any mark is tampering, and more of it might hide congestion (§3.2.2.3). */
function fedBack(tcp: TcpInst, ecn: Ecn, mark: number): void {
  const { stats } = tcp;
  if (mark === 0) stats.ace_nect++;
  else if (mark === CE) stats.ace_ce++;
  else if (mark === ECT1) stats.ace_ect1++;
  else stats.ace_ect0++;
  if (mark !== 0) mangled(tcp, ecn);
}

/** We do not mark any more. */
function mangled(tcp: TcpInst, ecn: Ecn): void {
  if (ecn.ect) tcp.stats.ace_mangled++;
  ecn.ect = false;
}

/** Nor do we believe the feedback. */
function distrust(tcp: TcpInst, ecn: Ecn, acc: AccEcn): void {
  ecn.ect = false;
  acc.respond = false;
  tcp.stats.ace_ignored++;
}

/** The first option of a half-connection: there or not (§3.2.3.2.3), cleared on the way or not (§3.2.3.2.4). */
function firstOption(acc: AccEcn, seg: Segment): void {
  const { opts } = seg;
  acc.optIgnore = opts.accecn && (opts.ee0b === 0 || opts.ee1b === 0);
  acc.optSeen = opts.accecn && !acc.optIgnore;
}

/** An acceptable segment: counts its mark and reads its feedback. */
export function accInput(tcp: TcpInst, tcb: Tcb, ecn: Ecn, acc: AccEcn, seg: Segment, len: number, mark: number): number {
  if (mark !== 0) countMark(tcp, tcb, acc, seg, len, mark);
  acc.lastCe = mark === CE;
  if (len > 0 && acc.used !== 0) {
    // What we had acknowledged comes again and again; nothing new is in a probe of our closed window either.
    if (seg.len > 0) acc.duplicates = 0;
    else if (seg.seq !== tcb.rcvNxt && ++acc.duplicates === LOST_OPTIONS) acc.optOff = true;
  }
  // In a segment with SYN the flags mean something else (§3.2.2).
  if (seg.syn) return ACC_QUIET;
  if (acc.stage !== GOING) {
    const first = accFirst(tcp, ecn, acc, seg, len);
    if (first >= 0) return first;
  }
  const acked = (seg.ack - tcb.sndUna) | 0;
  if (acked < 0) return ACC_QUIET;
  const { opts } = seg;
  const ts = (tcb.flags & TF_TSTMP) !== 0 && opts.hasTs;
  // Without progress only a timestamp tells which of two ACKs is the later one (appendix A.1).
  if (acked === 0 && !(ts && seqGt(opts.tsVal, acc.tsSeen))) return ACC_QUIET;
  if (ts) acc.tsSeen = opts.tsVal;
  return feedback(tcp, tcb, ecn, acc, seg, acked);
}

/** §3.2, and when an ACK is due for it: §3.2.2.5.1. */
function countMark(tcp: TcpInst, tcb: Tcb, acc: AccEcn, seg: Segment, len: number, mark: number): void {
  if (mark !== CE) {
    if (len === 0) return;
    if (mark === ECT1) acc.rE1b = (acc.rE1b + len) | 0;
    else acc.rE0b = (acc.rE0b + len) | 0;
    acc.dirty |= mark === ECT1 ? E1B : E0B;
    acc.used |= acc.dirty;
    return;
  }
  if (len > 0) {
    acc.rCeb = (acc.rCeb + len) | 0;
    acc.dirty |= CEB;
    acc.used |= CEB;
  }
  // A SYN,ACK was counted when it was answered.
  if (seg.syn) return;
  const n = seg.gsoSize > 0 && len > seg.gsoSize ? Math.ceil(len / seg.gsoSize) : 1;
  acc.rCep = (acc.rCep + n) | 0;
  acc.owed += n;
  const limit = len > 0 || tcb.rcvNxt !== tcb.lastAckSent ? CE_ACK : CE_ACK_IDLE;
  if (acc.owed < limit && !(len > 0 && !acc.lastCe)) return;
  tcb.flags |= TF_ACKNOW;
  tcp.mark(tcb);
}

/** The first segment behind the handshake. Answers what it asks for, or -1: it is a counter like any other. */
function accFirst(tcp: TcpInst, ecn: Ecn, acc: AccEcn, seg: Segment, len: number): number {
  const ace = (seg.flags >>> ACE_SHIFT) & ACE_MASK;
  const { stage } = acc;
  acc.stage = GOING;
  if (stage === AWAIT_ACK) firstOption(acc, seg);
  // §3.2.2.4, and note 1 of table 4.
  if (ace === 0) {
    distrust(tcp, ecn, acc);
    return ACC_QUIET;
  }
  if (stage !== AWAIT_ACK || len > 0 || seg.carries || seg.opts.nsack > 0) return -1;
  const mark = decoded(ace);
  fedBack(tcp, ecn, mark);
  if (mark !== CE) return ACC_QUIET;
  acc.sCep = (CEP_INIT + 1) | 0;
  return ACC_CONGESTION_NOW;
}

/** Brings our copies of the peer's counters up to date (§3.2.2.2, §3.2.3.1, appendix A). */
function feedback(tcp: TcpInst, tcb: Tcb, ecn: Ecn, acc: AccEcn, seg: Segment, acked: number): number {
  const pkts = acked > tcb.mss && tcb.mss > 0 ? Math.ceil(acked / tcb.mss) : 1;
  let d = (((seg.flags >>> ACE_SHIFT) & ACE_MASK) - acc.sCep) & ACE_MASK;
  const ceb = seg.opts.accecn && !acc.optIgnore ? takeOption(acc, seg) : -1;
  if (pkts > ACE_MASK && ceb !== 0) d = unwrapped(acc, d, pkts, ceb, tcb.mss);
  if (acked > 0) acc.run += ((pkts << 4) - acc.run) >> 2;
  if (ceb > 0 && d === 0 && acc.sCep === acc.cepAtOpt && acc.unaAtOpt !== 0) {
    // Marked bytes without marked packets: ACE went round once, or where it cannot have the feedback is forged (§3.2.3.2.5).
    if (certain(tcb, acc, seg.ack)) mangled(tcp, ecn);
    else d = ACE_MASK + 1;
  }
  acc.sCep = (acc.sCep + d) | 0;
  if (ceb >= 0) {
    acc.cepAtOpt = acc.sCep;
    acc.unaAtOpt = seg.ack;
  }
  if (acked > 0 && acc.allCeRounds >= 0 && acc.respond) everyPacket(tcp, tcb, ecn, acc, seg.ack, pkts, d);
  if (d === 0) return ACC_QUIET;
  tcp.stats.ace_rcvcep += d;
  return acc.respond ? ACC_CONGESTION : ACC_QUIET;
}

/** Takes the fields of an option; answers by how much the counter of bytes with CE rose, 0 also where it is left out. */
function takeOption(acc: AccEcn, seg: Segment): number {
  const { ee0b, eceb, ee1b } = seg.opts;
  acc.optSeen = true;
  if (ee0b >= 0) acc.sE0b = (acc.sE0b + ((ee0b - acc.sE0b) & FIELD_MASK)) | 0;
  if (ee1b >= 0) acc.sE1b = (acc.sE1b + ((ee1b - acc.sE1b) & FIELD_MASK)) | 0;
  if (eceb < 0) return 0;
  const rise = (eceb - acc.sCeb) & FIELD_MASK;
  acc.sCeb = (acc.sCeb + rise) | 0;
  return rise;
}

/**
 * So many segments were acknowledged that ACE may have gone round. With the option the bytes tell; without, the most that fits is the safe
 * guess (appendix A.2), unless this peer's ACKs always stand for so many.
 */
function unwrapped(acc: AccEcn, d: number, pkts: number, ceb: number, mss: number): number {
  const most = pkts - ((pkts - d) & ACE_MASK);
  if (ceb > 0) return ceb > d * mss ? most : d;
  return acc.optSeen || acc.run > STRETCH ? d : most;
}

/** Nagle leaves one small segment in a round trip: then so few bytes are too few segments for ACE to go round. */
function certain(tcb: Tcb, acc: AccEcn, ack: number): boolean {
  return (tcb.flags & TF_NODELAY) === 0 && ((ack - acc.unaAtOpt) | 0) < ACE_MASK * tcb.mss;
}

/** Looks, from the start on, whether every packet of a round trip is told of as marked. */
function everyPacket(tcp: TcpInst, tcb: Tcb, ecn: Ecn, acc: AccEcn, ack: number, pkts: number, d: number): void {
  acc.roundPkts += pkts;
  acc.roundCe += d;
  if (acc.roundEnd !== 0 && !seqGt(ack, acc.roundEnd)) return;
  if (acc.roundCe < acc.roundPkts) acc.allCeRounds = -1;
  else {
    acc.allCePkts += acc.roundPkts;
    if (++acc.allCeRounds >= ALL_CE_ROUNDS && acc.allCePkts >= ALL_CE_PACKETS) {
      distrust(tcp, ecn, acc);
      acc.allCeRounds = -1;
    }
  }
  acc.roundEnd = tcb.sndMax;
  acc.roundPkts = acc.roundCe = 0;
}

/** Flags of a segment that goes out. `pure`: nothing but an ACK. */
export function accOutput(acc: AccEcn, pure: boolean): number {
  acc.owed = 0;
  if (acc.hsDue && pure) {
    acc.hsDue = false;
    return encoded(acc.hsMark) << ACE_SHIFT;
  }
  return (acc.rCep & ACE_MASK) << ACE_SHIFT;
}

/** Is an option to go with the next segment, if it fits? Bytes of data that were sent before go without (§3.2.3.2.2). */
export function accOptionDue(acc: AccEcn, len: number, fresh: boolean): boolean {
  if (acc.optOff || (len > 0 && !fresh)) return false;
  return acc.dirty !== 0 || (len > 0 ? acc.announceData : acc.announceAck);
}

/**
 * How many fields the option has that fits into `room` bytes: of every counter that ever changed, or at least of those that did since
 * the last one (§3.2.3.3). -1: none does.
 */
export function accFields(acc: AccEcn, room: number): number {
  const all = fieldsFor(acc, acc.used);
  if (accEcnLen(all) <= room) return all;
  const least = fieldsFor(acc, acc.dirty);
  return accEcnLen(least) <= room ? least : -1;
}

/** Bytes of ECT(1) come first where there never were any of ECT(0). */
function orderOf(acc: AccEcn): number {
  return (acc.used & (E0B | E1B)) === E1B ? 1 : 0;
}

function fieldsFor(acc: AccEcn, counters: number): number {
  const order = orderOf(acc);
  if ((counters & (order === 0 ? E1B : E0B)) !== 0) return 3;
  return (counters & CEB) !== 0 ? 2 : 1;
}

/** Writes it. `len`: bytes of data in the segment. */
export function accPutOption(acc: AccEcn, b: Uint8Array, o: number, fields: number, len: number): void {
  putAccEcn(b, o, orderOf(acc), fields, acc.rE0b, acc.rCeb, acc.rE1b);
  acc.dirty = 0;
  if (len > 0) acc.announceData = false;
  else acc.announceAck = false;
}

/** The option of a SYN,ACK, whose counters are at their beginning: bytes, and the writing. 0: there is no room (§3.2.3.2.1). */
export function accSynOptionLen(room: number): number {
  return room >= accEcnLen(3) ? accEcnLen(3) : room >= accEcnLen(0) ? accEcnLen(0) : 0;
}

export function accPutSynOption(b: Uint8Array, o: number, len: number): void {
  putAccEcn(b, o, 0, len === accEcnLen(0) ? 0 : 3, E0B_INIT, 0, E1B_INIT);
}

/** ACE of a half-open connection: nothing was counted yet. */
export const ACC_INIT_FLAGS = CEP_INIT << ACE_SHIFT;

/** The counters for TCP_INFO, as FreeBSD names them, from 0 up. */
export function accInfo(acc: AccEcn | null) {
  return {
    delivered_ce: acc === null ? 0 : (acc.sCep - CEP_INIT) >>> 0,
    delivered_ce_bytes: acc === null ? 0 : acc.sCeb >>> 0,
    delivered_e0_bytes: acc === null ? 0 : (acc.sE0b - E0B_INIT) >>> 0,
    delivered_e1_bytes: acc === null ? 0 : (acc.sE1b - E1B_INIT) >>> 0,
    received_ce: acc === null ? 0 : (acc.rCep - CEP_INIT) >>> 0,
    received_ce_bytes: acc === null ? 0 : acc.rCeb >>> 0,
    received_e0_bytes: acc === null ? 0 : (acc.rE0b - E0B_INIT) >>> 0,
    received_e1_bytes: acc === null ? 0 : (acc.rE1b - E1B_INIT) >>> 0,
  };
}
