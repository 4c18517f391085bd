/**
 * The flow slab: one row of 64 words (256 bytes, four cache lines) for each TCP socket and connection. Row `i` begins at word
 * `i << ROW_SHIFT`; the names below are the words' places in it, the busiest first. Rows and not columns, because a segment
 * wants most fields of one flow and none of the next: it costs four cache lines however many flows there are.
 *
 * IPv6 needs six more words for the upper parts of the two addresses; 50 to 63 are kept free for them.
 */
import type { Socket } from '../../kern/socket/socket.ts';
import { Slab, at } from './slab.ts';

export const ROW_SHIFT = 6;
export const ROW_WORDS = 1 << ROW_SHIFT;

/** Addresses and ports, as in the demultiplexer: local, foreign, local port << 16 | foreign port. */
export const LADDR = 0;
export const FADDR = 1;
export const PORTS = 2;
/** `TS_*` state, `F_*` flags. */
export const STATE = 3;
export const FLAGS = 4;
/** Next byte expected; right edge of the window that was advertised; what the last segment sent acknowledged. */
export const RCV_NXT = 5;
export const RCV_ADV = 6;
export const LAST_ACK = 7;
/** Oldest unacknowledged, next to send, highest ever sent plus 1. `so.snd` begins at `SND_UNA`. */
export const SND_UNA = 8;
export const SND_NXT = 9;
export const SND_MAX = 10;
/** Peer's window in bytes, and the segment that set it (RFC 9293 §3.10.7.4). */
export const SND_WND = 11;
export const SND_WL1 = 12;
export const SND_WL2 = 13;
/** Congestion window and slow start threshold in bytes; payload of a full segment. */
export const SND_CWND = 14;
export const SND_SSTHRESH = 15;
export const MSS = 16;
/** Peer's latest timestamp, when it came, and what is added to our clock to make ours (RFC 7323). */
export const TS_RECENT = 17;
export const TS_RECENT_AT = 18;
export const TS_OFF = 19;
/** Deadlines in ms, 0 for none, never 0 otherwise: retransmission, persist or probe; acknowledgment; by state: see timer.ts. */
export const REXMT_AT = 20;
export const DELACK_AT = 21;
export const LIFE_AT = 22;
/** When the last segment came, ms. */
export const RCV_TIME = 23;
/** Largest payload of a segment received: what counts as full-sized for acknowledging. */
export const RCV_MSS = 24;
/** Window shifts: peer's, and ours << 8. */
export const SCALE = 25;
/** Duplicate acknowledgments in a row; end of the last small segment sent (Nagle). */
export const DUPACKS = 26;
export const SND_SML = 27;
/** Smoothed round trip in 1/8 ms, its variation in 1/4 ms; backoff of the timer. */
export const SRTT = 28;
export const RTTVAR = 29;
export const RXT_SHIFT = 30;
/** Row of the range slab plus 1: data out of order, and what the peer has out of order. 0: none. */
export const RANGES = 31;
/** Cached way out: generation of the routes, interface, neighbour, its ARP entry plus 1. */
export const ROUTE_GEN = 32;
export const IFX = 33;
export const NEXTHOP = 34;
export const NEIGHBOUR = 35;
/** Next in the list of flows with output, or of free rows, plus 1. */
export const NEXT = 36;
/** Recovery: it ends when this is acknowledged; next byte to retransmit; SND_MAX at the last retransmission. */
export const RECOVER = 37;
export const HIGH_RXT = 38;
export const RXT_MARK = 39;
/** Largest window the peer ever offered, bytes. */
export const MAX_WND = 40;
/** Initial sequence numbers. */
export const ISS = 41;
export const IRS = 42;
/** A segment being timed, for peers without timestamps: its end, and when it left (0: none). */
export const RTT_SEQ = 43;
export const RTT_AT = 44;
/** Sequence number of the peer's FIN, with F_FIN. */
export const FIN_SEQ = 45;
/** When the last challenge ACK left; retransmissions; keep-alive or window probes unanswered. */
export const CHALLENGED = 46;
export const REXMITS = 47;
export const PROBES = 48;
/** SYN-RECEIVED: the listener's row. LISTEN and bound: next flow of the same port plus 1. */
export const HEAD = 49;
/** Options of the socket: idle, interval and count of keep-alive (0: the sysctl's), TCP_MAXSEG, TTL | TOS << 8 | count << 16. */
export const KEEP_IDLE = 56;
export const KEEP_INTVL = 57;
export const KEEP_CNT = 58;
export const MAXSEG = 59;
export const TTL_TOS = 60;
/** RFC 1191: largest packet the path takes, bytes; 0: the interface's. */
export const PMTU = 61;

/** States; a free row is 0. The order is that of RFC 9293 §3.3.2, so that ranges of states can be compared. */
export const TS_FREE = 0;
export const TS_CLOSED = 1;
export const TS_LISTEN = 2;
export const TS_SYN_SENT = 3;
export const TS_SYN_RCVD = 4;
export const TS_ESTABLISHED = 5;
export const TS_CLOSE_WAIT = 6;
export const TS_FIN_WAIT_1 = 7;
export const TS_CLOSING = 8;
export const TS_LAST_ACK = 9;
export const TS_FIN_WAIT_2 = 10;

export const STATE_NAMES = [
  'FREE', 'CLOSED', 'LISTEN', 'SYN_SENT', 'SYN_RCVD', 'ESTABLISHED', 'CLOSE_WAIT', 'FIN_WAIT_1', 'CLOSING', 'LAST_ACK', 'FIN_WAIT_2',
] as const; // prettier-ignore

/** Agreed with the peer: timestamps, SACK, window scaling. */
export const F_TS = 0x1;
export const F_SACK = 0x2;
export const F_WSCALE = 0x4;
/** TCP_NODELAY, TCP_NOPUSH. */
export const F_NODELAY = 0x8;
export const F_NOPUSH = 0x10;
/** An acknowledgment is owed now; the flow is in the list of those with output. */
export const F_ACKNOW = 0x20;
export const F_QUEUED = 0x40;
/** Loss recovery is on; a retransmission is due whatever the window. */
export const F_RECOVERY = 0x80;
export const F_RXT = 0x100;
/** What REXMT_AT is: a window probe, a tail loss probe; by default a retransmission. */
export const F_PERSIST = 0x200;
export const F_PROBE = 0x400;
/** Send a segment however small it is (probes). */
export const F_FORCE = 0x800;
/** A tail loss probe is out. */
export const F_PROBED = 0x1000;
/** The peer's FIN is known, at FIN_SEQ. */
export const F_FIN = 0x2000;
/** The user has closed: nobody reads any more. */
export const F_DETACHED = 0x4000;
/** Shut down before the connection stood: FIN as soon as it does. */
export const F_NEEDFIN = 0x8000;
/** Opened by a peer; bound to a port; in the demultiplexer. */
export const F_PASSIVE = 0x10000;
export const F_BOUND = 0x20000;
export const F_HASHED = 0x40000;
/** Output stopped because of the congestion window. */
export const F_CWNDLIM = 0x80000;

export class Flows extends Slab {
  /** The kernel's socket of each flow. */
  readonly socketOf: (Socket | null)[];
  /** Head of the flows bound to a port and not connected, plus 1; flows and records of all kinds that use it. */
  readonly boundTo = new Int32Array(65536);
  readonly portUse = new Int32Array(65536);
  /** Half-open connections without a socket. */
  embryonic = 0;

  constructor(rows: number) {
    super(rows, ROW_WORDS, NEXT);
    this.socketOf = new Array<Socket | null>(rows).fill(null);
  }

  /** Takes a flow into the list of its local port. */
  bindPort(i: number, laddr: number, lport: number): void {
    const o = i << ROW_SHIFT;
    const { w } = this;
    w[o + LADDR] = laddr;
    w[o + PORTS] = lport << 16;
    w[o + FLAGS] = at(w, o + FLAGS) | F_BOUND;
    w[o + HEAD] = at(this.boundTo, lport);
    this.boundTo[lport] = i + 1;
    this.portUse[lport] = at(this.portUse, lport) + 1;
  }

  unbindPort(i: number): void {
    const { w } = this;
    const o = i << ROW_SHIFT;
    const lport = at(w, o + PORTS) >>> 16;
    const rest = at(w, o + HEAD);
    w[o + FLAGS] = at(w, o + FLAGS) & ~F_BOUND;
    w[o + HEAD] = 0;
    this.portUse[lport] = at(this.portUse, lport) - 1;
    if (at(this.boundTo, lport) === i + 1) {
      this.boundTo[lport] = rest;
      return;
    }
    let p = at(this.boundTo, lport);
    while (at(w, ((p - 1) << ROW_SHIFT) + HEAD) !== i + 1) p = at(w, ((p - 1) << ROW_SHIFT) + HEAD);
    w[((p - 1) << ROW_SHIFT) + HEAD] = rest;
  }

  /** The flow that listens there: on the address itself before on any. -1: none. */
  listener(laddr: number, lport: number): number {
    const { w } = this;
    let any = -1;
    for (let p = at(this.boundTo, lport); p !== 0; p = at(w, ((p - 1) << ROW_SHIFT) + HEAD)) {
      const o = (p - 1) << ROW_SHIFT;
      if (at(w, o + STATE) !== TS_LISTEN) continue;
      if (at(w, o + LADDR) === laddr) return p - 1;
      if (at(w, o + LADDR) === 0) any = p - 1;
    }
    return any;
  }
}
