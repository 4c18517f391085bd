/**
 * Transmission control block (RFC 9293 §3.3.1): everything TCP knows about one connection that stands, is being opened, or is closing.
 * Connections half open from a listener and those in TIME-WAIT are smaller records (`syncache.ts`, `timewait.ts`).
 *
 * Sequence numbers, windows and times are 32-bit integers, so that V8 keeps them in the object; what few connections need hangs on
 * it by a pointer that is null otherwise.
 */
import { Callout } from '../../../kern/callout.ts';
import type { Errno } from '../../../kern/errno.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import type { IpOut, Route } from '../contract.ts';
import type { CcMethods } from './cc.ts';
import { CONN_TCB, Conn } from './conn.ts';
import type { Ecn } from './ecn.ts';
import type { FastOpen } from './fastopen.ts';
import type { FunctionBlock } from './functions.ts';
import type { TcpInst } from './inst.ts';
import type { Plpmtud } from './plpmtud.ts';
import type { RackState } from './rackstate.ts';
import type { Recovery } from './recovery.ts';
import type { Reass } from './reass.ts';
import { TCPS_CLOSED } from './states.ts';
import type { Embryos } from './syncache.ts';
import type { Urgent } from './urgent.ts';
import type { Uto } from './usertimeout.ts';

/** An ACK is owed now; within the delayed-ACK time. */
export const TF_ACKNOW = 0x1;
export const TF_DELACK = 0x2;
/** TCP_NODELAY: no Nagle. TCP_NOPUSH: only full segments until it is taken off. */
export const TF_NODELAY = 0x4;
export const TF_NOPUSH = 0x8;
/** Our FIN is in [sndUna, sndMax). */
export const TF_SENTFIN = 0x10;
/** The user closed before the connection stood: a FIN follows as soon as it does. */
export const TF_NEEDFIN = 0x20;
/** Agreed with the peer: timestamps, selective acknowledgments. Before that: asked for in our SYN. */
export const TF_TSTMP = 0x40;
export const TF_SACK = 0x80;
/** Window scaling was asked for in our SYN. */
export const TF_REQ_SCALE = 0x100;
/** Loss recovery is under way (RFC 6582). */
export const TF_FASTRECOVERY = 0x200;
/** The segment at sndUna is to be sent again, whatever the windows say. */
export const TF_FASTREXMT = 0x400;
/** The last output stopped at the congestion window. */
export const TF_CWNDLIMITED = 0x800;
/** Out of every table; nothing may be done with it any more. */
export const TF_DEAD = 0x1000;
/** Its socket was closed by the user. */
export const TF_DETACHED = 0x2000;
/** In the list of connections with output to do. */
export const TF_QUEUED = 0x4000;
/** A segment is being timed. */
export const TF_TIMING = 0x8000;
/** The persist timer went off: send something whatever the window says. */
export const TF_FORCE = 0x10000;
/** Our SYN was sent more than once. */
export const TF_SYNREXMT = 0x20000;
/** Urgent data is to be announced at once. */
export const TF_URGNOW = 0x40000;
/** In the table of bound ports by the user's own bind. */
export const TF_BOUND = 0x80000;
/** In the table of connections. */
export const TF_INTABLE = 0x100000;
/** Timestamp in our SYN: PAWS may use tsRecent. */
export const TF_TSVALID = 0x200000;
/** A retransmission timeout happened and its loss is not yet repaired: RFC 3465's L is 1. */
export const TF_RTOLOSS = 0x400000;
/** The path lost or repeated something lately: every segment before `quickSeq` is acknowledged at once. */
export const TF_QUICKACK = 0x800000;
/** Loss recovery has seen a partial ACK. */
export const TF_PARTIALACK = 0x1000000;
/** The user set the size of the send buffer, of the receive buffer: they are left alone (`autotune.ts`). */
export const TF_SNDFIXED = 0x2000000;
export const TF_RCVFIXED = 0x4000000;
/** The callout is set. */
export const TF_CALLOUT = 0x8000000;

/** Timers, multiplexed on one callout: `timers` has a bit for each that is set. */
export const T_REXMT = 0x1;
export const T_PERSIST = 0x2;
export const T_KEEP = 0x4;
export const T_FINWAIT2 = 0x8;
export const T_DELACK = 0x10;
/** RACK's reordering window, or the tail loss probe; the next quantum of a paced sender. */
export const T_RACK = 0x20;
export const T_PACE = 0x40;

/** Options that few sockets set; never changed in place, so that accepted sockets share their listener's. 0: the sysctl's value. */
export interface TcbOptions {
  readonly maxseg: number;
  readonly keepInitMs: number;
  readonly keepIdleMs: number;
  readonly keepIntvlMs: number;
  readonly keepCnt: number;
  /** The user's own timeout: unacknowledged data ends the connection after this. */
  readonly userTimeoutMs: number;
  /** Segments that have come further than this allows are not taken (RFC 5082); 0: any. Where it is set, `kind` is CONN_NEAR. */
  readonly minTtl: number;
}

/**
 * The order of the fields is the order in memory (docs/performance/notes.md, "Cache lines of a connection"): first all that each segment
 * touches, so that it lies in as few lines as possible, then what few segments touch. A new field goes where it belongs by that.
 */
export class Tcb extends Conn {
  // Touched by every segment: who it is, and where the data of both ways stands.

  readonly tcp: TcpInst;
  so: Socket;
  /** One of TCPS_*; changed only by `setState`. */
  state = TCPS_CLOSED;
  /** TF_* bits. */
  flags = 0;
  /** Oldest byte sent and not acknowledged; the first byte of `so.snd` once our SYN is acknowledged. */
  sndUna = 0;
  /** Next to send; behind sndMax while what was sent before is sent again. */
  sndNxt = 0;
  /** Highest sent, plus one. */
  sndMax = 0;
  /** Next byte expected. */
  rcvNxt = 0;
  /** Right edge of the window the peer was told: everything before it is taken. */
  rcvAdv = 0;
  /** rcvNxt of our last ACK. */
  lastAckSent = 0;
  /** The peer's window in bytes, counted from sndUna; its shift, and that of ours. */
  sndWnd = 0;
  sndScale = 0;
  rcvScale = 0;
  /** Sequence number and ACK of the segment that last changed sndWnd. */
  sndWl1 = 0;
  sndWl2 = 0;
  /** Timestamp to echo (RFC 7323 §4.3), and when it was taken. */
  tsRecent = 0;
  tsRecentMs = 0;
  /** When a segment last came. */
  rcvTime = 0;

  // Touched by every segment: what few connections need; null and 0 in the others.

  /** Out-of-order data; null while there is none. */
  reass: Reass | null = null;
  urgent: Urgent | null = null;
  /** Explicit congestion notification, where it was agreed or asked for; TCP Fast Open; a path that swallows full segments. */
  ecn: Ecn | null = null;
  tfo: FastOpen | null = null;
  plpmtud: Plpmtud | null = null;
  /** User timeouts are exchanged with the peer (RFC 5482); the one that holds, in ms, 0: none but the count of retransmissions. */
  uto: Uto | null = null;
  userTimeoutMs = 0;
  /** Scoreboard and what RACK knows, once something was sent to a peer with SACK. */
  loss: RackState | null = null;
  /** Bytes a second at most, 0: as fast as the windows allow. */
  paceRate = 0;
  /** Duplicate ACKs in a row; owed, one for each segment out of order. */
  dupAcks = 0;
  dupAcksOwed = 0;
  /** Bytes beyond cwnd that limited transmit or a tail loss probe allows. */
  limXmit = 0;
  /** Backoffs of the present retransmission or probe. */
  rxtShift = 0;

  // Touched by every segment: recovery, congestion control, times.

  /** Loss recovery, and the highest byte sent when one began. */
  recovery: Recovery;
  recover = 0;
  /** Congestion control, what it keeps here, and its window in bytes. */
  cc: CcMethods;
  ccData: unknown = null;
  cwnd = 0;
  /** Smoothed round-trip time and its variation in microseconds, times 8 and 4; 0: not measured. */
  srtt = 0;
  rttvar = 0;
  /** Retransmission timeout in milliseconds, backed off. */
  rto = 0;
  /** The segment that is timed: its sequence number, and when it was sent. */
  rttSeq = 0;
  rttUs = 0;
  /** T_* bits of timers that are set; when T_REXMT or T_PERSIST, which exclude each other, goes off. */
  timers = 0;
  tRexmt = 0;
  /** When the callout goes off (valid while TF_CALLOUT is set): not after the earliest of them. */
  calloutAt = 0;
  /** Receive buffer tuning: when the measurement began. */
  tuneUs = 0;
  /** Bytes acknowledged and received, each in two parts (`byteCount`): a float would be an object of its own. */
  ackedLow = 0;
  receivedLow = 0;
  /** Largest segment the peer has sent, in bytes: what "a full segment" is for delayed ACKs. */
  rcvMss = 0;

  // Touched by every segment that goes out.

  /** Payload of a full segment in bytes: the least of the peer's MSS, the path's and the user's, less options of every segment. */
  mss = 0;
  /** Path MTU that `mss` was made from. */
  mtu = 0;
  /** The way to the peer; looked up again when the table changed. */
  route: Route | null = null;
  /** Time to live, type of service; shared unless the user set them. */
  how: IpOut;
  /** Sum of the pseudo-header without its length. */
  phSum = 0;
  /** Secret offset of our timestamps. */
  tsOffset = 0;
  /** When data was last sent. */
  sndTime = 0;
  /** Next in the list of connections with output to do. */
  outNext: Tcb | null = null;

  // Rare: beginning, and what is told to the user.

  /** Initial send and receive sequence numbers. */
  iss = 0;
  irs = 0;
  /** The peer's MSS option, or the default. */
  peerMss = 0;
  /** What ICMP said last; reported if the connection times out. */
  softError: Errno | null = null;
  options: TcbOptions | null = null;
  /** Of a listener: its half-open connections. */
  embryos: Embryos | null = null;
  /** What drives this connection: loss recovery and the congestion control that goes with it. */
  fb: FunctionBlock;
  ackedHigh = 0;
  receivedHigh = 0;
  retransmits = 0;

  // Rare: windows and loss.

  /** The largest window the peer ever had. */
  maxSndWnd = 0;
  /** Valid while TF_QUICKACK is set. */
  quickSeq = 0;
  /** Slow-start threshold in bytes. */
  ssthresh = 0x3fffffff;
  /** Bytes acknowledged since cwnd last grew, in congestion avoidance (RFC 3465). */
  abcBytes = 0;
  /** Of what is paced: what may go now, and when that was reckoned. */
  paceCredit = 0;
  paceUs = 0;
  /** Receive buffer tuning: the sequence number that the measurement began at. */
  tuneSeq = 0;

  // Rare: timers.

  /** When the first of `rxtShift` retransmissions or probes was. */
  rxtStartMs = 0;
  tKeep = 0;
  tFinWait2 = 0;
  tDelack = 0;
  tRack = 0;
  tPace = 0;
  readonly callout: Callout<Tcb>;
  keepProbes = 0;
  /** Challenge ACKs since `challengeMs`. */
  challenges = 0;
  challengeMs = 0;

  constructor(tcp: TcpInst, so: Socket) {
    super(CONN_TCB);
    this.tcp = tcp;
    this.so = so;
    this.fb = tcp.functions.defaultBlock;
    this.cc = tcp.defaultCc(this.fb);
    this.recovery = this.fb.recovery;
    this.how = tcp.how;
    this.rto = tcp.config.rexmitInitialMs;
    this.callout = new Callout(tcp.kernel.callouts, tcp.timer, this);
  }
}

/** Bits in the low part of a count of bytes. */
const LOW_BITS = 30;
const LOW_MASK = (1 << LOW_BITS) - 1;

/** `n` more bytes are acknowledged, have come. */
export function countAcked(tcb: Tcb, n: number): void {
  const low = tcb.ackedLow + n;
  if (low > LOW_MASK) tcb.ackedHigh++;
  tcb.ackedLow = low & LOW_MASK;
}

export function countReceived(tcb: Tcb, n: number): void {
  const low = tcb.receivedLow + n;
  if (low > LOW_MASK) tcb.receivedHigh++;
  tcb.receivedLow = low & LOW_MASK;
}

/** A count of bytes out of its two parts. */
export function byteCount(high: number, low: number): number {
  return high * (LOW_MASK + 1) + low;
}
