/**
 * The flow slab: one row of 32 words (128 bytes, two cache lines) for each TCP socket and connection. Row `i` begins at word
 * `i << ROW_SHIFT`; the names below are the words' places in it. Rows and not columns, because a segment wants most fields of one
 * flow and none of the next. Numbers that fit into 8 or 16 bits share a word (`field`, `setField`). What few flows ever need, and none
 * while all goes well, lies beside the row in a second array (`side`, `setSide`), whose pages the system does not even provide until
 * a flow writes there, and what only bulk transfer and trouble need in a third. So an idle connection costs its row.
 *
 * IPv6 needs six more words for the upper parts of the two addresses: they go there too.
 */
import type { Socket } from '../../kern/socket/socket.ts';
import { Slab, at } from './slab.ts';

export const ROW_SHIFT = 5;
const ROW_WORDS = 1 << ROW_SHIFT;

/** Addresses and ports: local, foreign, local port << 16 | foreign port. The demultiplexer looks here. */
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
/**
 * Peer's window in bytes, and the sequence number of the segment that set it (RFC 9293 §3.10.7.4). What that segment acknowledged
 * (SND.WL2) need not be kept: no segment that is looked at acknowledges less.
 */
export const SND_WND = 11;
export const SND_WL1 = 12;
/** Initial sequence numbers. */
export const ISS = 13;
export const IRS = 14;
/** Congestion window and slow start threshold in bytes. */
export const SND_CWND = 15;
export const SND_SSTHRESH = 16;
/** Peer's latest timestamp, and what is added to our clock to make ours (RFC 7323). */
export const TS_RECENT = 17;
export const TS_OFF = 18;
/** Deadlines in ms, 0 for none, never 0 otherwise: retransmission, persist or probe; acknowledgment; by state: see timer.ts. */
export const REXMT_AT = 19;
export const DELACK_AT = 20;
export const LIFE_AT = 21;
/** When the last segment came that the peer may have sent, ms. */
export const RCV_TIME = 22;
/** Smoothed round trip in 1/8 ms. */
export const SRTT = 23;
/** End of the last small segment sent (Nagle). */
export const SND_SML = 24;
/** The same word before a connection stands. SYN-RECEIVED: the listener's row. LISTEN and bound: next flow of the same port plus 1. */
export const HEAD = SND_SML;
/** Row of the range slab plus 1: data out of order, and what the peer has out of order. 0: none. */
export const RANGES = 25;
/** Cached way out: generation of the routes << 4 | interface. */
export const ROUTE = 26;
export const ROUTE_IX_BITS = 4;
export const ROUTE_GEN_MASK = 0xfffffff;
/** Next in the list of flows with output, or of free rows, plus 1. */
export const NEXT = 27;

/** What makes a field of a word: shift << 8 | bits << 16. */
const LOW_HALF = 16 << 16;
const HIGH_HALF = (16 << 8) | (16 << 16);
const BYTE_0 = 8 << 16;
const BYTE_1 = (8 << 8) | (8 << 16);
const BYTE_2 = (16 << 8) | (8 << 16);
const BYTE_3 = (24 << 8) | (8 << 16);
/** Payload of a full segment; largest payload of a segment received: what counts as full-sized for acknowledging. */
export const MSS = 28 | LOW_HALF;
export const RCV_MSS = 28 | HIGH_HALF;
/** Variation of the round trip in 1/4 ms, that is four times it in ms: more than the largest timeout says nothing. */
export const RTTVAR = 29 | LOW_HALF;
/** Duplicate acknowledgments in a row. */
export const DUPACKS = 29 | HIGH_HALF;
/** Largest window the peer ever offered, in its own units. */
export const MAX_WND = 30 | LOW_HALF;
/** ARP entry of the next hop plus 1; 0: not known. */
export const NEIGHBOUR = 30 | HIGH_HALF;
/** Window shifts: peer's | ours << 4. */
export const SCALE = 31 | BYTE_0;
/** Backoff of the timer; keep-alive or window probes unanswered. */
export const RXT_SHIFT = 31 | BYTE_1;
export const PROBES = 31 | BYTE_2;
/** Something lies beside the row: 1 in the second array, 2 in the third. */
const HAS_SIDE = 31 | BYTE_3;

/** Beside the row. Next hop, if it is not the peer itself. */
export const NEXTHOP = 0;
/** Recovery: it ends when this is acknowledged (with F_RECOVER); next byte to retransmit; SND_MAX at the last retransmission. */
export const RECOVER = 1;
export const HIGH_RXT = 2;
export const RXT_MARK = 3;
/** A segment being timed, for peers without timestamps: its end, and when it left (0: none). */
export const RTT_SEQ = 4;
export const RTT_AT = 5;
/** Sequence number of the peer's FIN, with F_FIN. */
export const FIN_SEQ = 6;
/** When the last challenge ACK left; retransmissions. */
export const CHALLENGED = 7;
export const REXMITS = 8;
/** Options of the socket: idle, interval and count of keep-alive (0: the sysctl's) | seconds to establish << 8, TCP_MAXSEG, ip(4)'s (ipopt.ts). */
export const KEEP_IDLE = 9;
export const KEEP_INTVL = 10;
export const KEEP_CNT = 11;
export const MAXSEG = 12;
export const TTL_TOS = 13;
/** RFC 1191: largest packet the path takes, bytes; 0: the interface's. */
export const PMTU = 14;
/** TCP_USER_TIMEOUT, ms; 0: none. */
export const USER_TIMEOUT = 15;
const SIDE_SHIFT = 4;
const SIDE_WORDS = 1 << SIDE_SHIFT;

/** In the third array, from here on. CUBIC (cubic.ts): windows in bytes, times in ms. */
const FAR = 16;
export const CC_WMAX = FAR;
export const CC_PRIOR = FAR + 1;
export const CC_EPOCH = FAR + 2;
export const CC_K = FAR + 3;
export const CC_ORIGIN = FAR + 4;
export const CC_WEST = FAR + 5;
/** HyStart++ (hystart.ts): end of the round; least round trips of this and the last; samples and rounds; what the detour is measured by. */
export const HY_END = FAR + 6;
export const HY_MIN = FAR + 7;
export const HY_LAST = FAR + 8;
export const HY_COUNT = FAR + 9;
export const HY_BASE = FAR + 10;
/** Path MTU without ICMP (plpmtud.ts): MSS as agreed; when a larger one is tried and how long the wait was; the trial. */
export const PL_FULL = FAR + 11;
export const PL_AT = FAR + 12;
export const PL_WAIT = FAR + 13;
export const PL_SEQ = FAR + 14;
/** Since when the timer has run out in vain, ms | 1 (TCP_USER_TIMEOUT). */
export const RXT_SINCE = FAR + 15;

/** A field of the row at `o`. The numbers are constants where it is called, and the compiler makes a load, a shift and a mask of it. */
export function field(w: Int32Array, o: number, f: number): number {
  return (at(w, o + (f & 0xff)) >>> ((f >>> 8) & 0xff)) & ((1 << (f >>> 16)) - 1);
}

/** Sets it; more than it can hold is the most that it can. */
export function setField(w: Int32Array, o: number, f: number, value: number): void {
  const max = (1 << (f >>> 16)) - 1;
  const shift = (f >>> 8) & 0xff;
  const k = o + (f & 0xff);
  w[k] = (at(w, k) & ~(max << shift)) | ((value < max ? value : max) << shift);
}

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
/** When output stopped last the congestion window was full. */
export const F_CWNDLIM = 0x80000;
/** RECOVER says something: there was a loss, and what was sent before is not yet all acknowledged. */
export const F_RECOVER = 0x100000;
/** The next hop is not the peer: see NEXTHOP. */
export const F_VIA = 0x200000;
/** The user set the size of the receive buffer: it is left alone. */
export const F_RCVFIXED = 0x400000;
/** The user set the size of the send buffer. */
export const F_SNDFIXED = 0x800000;
/** Congestion control is newreno; by default cubic. */
export const F_NEWRENO = 0x1000000;
/** What is sent may be cut on its way: no DF. A larger size is being tried (plpmtud.ts). */
export const F_CUT = 0x2000000;
export const F_TRIAL = 0x4000000;
/** IP_MINTTL is set (RFC 5082): the sign, so that one comparison tells. */
export const F_MINTTL = -0x80000000;
/** Segments in order that are still acknowledged at once, after some that were not (four bits of FLAGS). */
export const QUICKACK = FLAGS | (27 << 8) | (4 << 16);

export class Flows extends Slab {
  /** The kernel's socket of each flow. */
  readonly socketOf: (Socket | null)[];
  /** Head of the flows bound to a port and not connected, plus 1; flows and records of all kinds that use it. */
  readonly boundTo = new Int32Array(65536);
  readonly portUse = new Int32Array(65536);
  /** Half-open connections without a socket. */
  embryonic = 0;
  readonly #side: Int32Array;
  readonly #far: Int32Array;

  constructor(rows: number) {
    super(rows, ROW_WORDS, NEXT);
    this.#side = new Int32Array(rows << SIDE_SHIFT);
    this.#far = new Int32Array(rows << SIDE_SHIFT);
    this.socketOf = new Array<Socket | null>(rows).fill(null);
  }

  /** A word beside the row that begins at `o`. */
  side(o: number, word: number): number {
    const has = field(this.w, o, HAS_SIDE);
    const k = o >> (ROW_SHIFT - SIDE_SHIFT);
    if (word < FAR) return (has & 1) === 0 ? 0 : at(this.#side, k + word);
    return (has & 2) === 0 ? 0 : at(this.#far, k + word - FAR);
  }

  setSide(o: number, word: number, value: number): void {
    const has = field(this.w, o, HAS_SIDE);
    const bit = word < FAR ? 1 : 2;
    if ((has & bit) === 0) {
      if (value === 0) return;
      setField(this.w, o, HAS_SIDE, has | bit);
    }
    const k = o >> (ROW_SHIFT - SIDE_SHIFT);
    if (word < FAR) this.#side[k + word] = value;
    else this.#far[k + word - FAR] = value;
  }

  override free(row: number): void {
    const has = field(this.w, row << ROW_SHIFT, HAS_SIDE);
    const k = row << SIDE_SHIFT;
    if ((has & 1) !== 0) this.#side.fill(0, k, k + SIDE_WORDS);
    if ((has & 2) !== 0) this.#far.fill(0, k, k + SIDE_WORDS);
    super.free(row);
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
