/**
 * TCP Fast Open (RFC 7413): data in the SYN. A server gives a client a cookie, a keyed hash of both addresses; a SYN that brings it back
 * with data is a connection at once, and its answer may leave with the SYN,ACK. A client keeps the cookies it was given.
 *
 * A connection opened so is ESTABLISHED for its user while its SYN,ACK waits to be acknowledged: `FastOpen.listener` is then its listener's
 * record, whose places it takes until the handshake is done (§5.1).
 */
import type { IpAddr } from '../../../wire/addr.ts';
import { get32, put16, put32 } from '../../../wire/bytes.ts';
import { seqGeq, seqGt } from '../../../wire/seq.ts';
import { TCPOPT_FASTOPEN, TCPOPT_NOP, TH_ACK, TH_RST, TH_SYN } from '../../../wire/tcp.ts';
import type { RandomSource } from '../../../kern/effects.ts';
import { AddrEntry, AddrTable } from '../addrtable.ts';
import { HalfSip } from '../hash.ts';
import { ECN_MODE_NONE, ECN_MUTE, ECN_RESET, IPTOS_ECN_MASK, ecnMode, ecnMuted, ecnSynAgain } from './ecn.ts';
import type { Segment, TcpInst } from './inst.ts';
import { sendReset } from './respond.ts';
import { rttBackoff, rttUpdate } from './rtt.ts';
import { TF_ACKNOW, TF_SYNREXMT, TF_TIMING, TF_TSTMP, T_REXMT, type Tcb } from './tcb.ts';
import { tcpDrop } from './teardown.ts';
import { timerStop } from './timerset.ts';
import { rcvWindow } from './window.ts';

/** Length of the cookies that we give, and of those that we take, in bytes (RFC 7413 §4.1.1). */
const COOKIE_LEN = 8;
const COOKIE_MIN = 4;
const COOKIE_MAX = 16;
/** A place stays taken so long after a reset, or resets from a forged address would free it at once (RFC 7413 §5.1). */
const RESET_HOLD_MS = 60_000;

/** What a socket that uses it keeps. */
export class FastOpen {
  /** TCP_FASTOPEN is set. */
  enabled = false;
  /** Of a listener: connections of its whose SYN,ACK is not acknowledged, and until when reset ones still count. */
  pending = 0;
  readonly held: number[] = [];
  /** Of such a connection: its listener's record; null once the handshake is done. */
  listener: FastOpen | null = null;
  /** The SYN,ACK is to be sent, with a cookie if the client's was made with an older key; when it first was. */
  synDue = false;
  renew = false;
  synUs = 0;
  reset = false;
  /** Of a client: data bytes in our first SYN; a SYN with the option went out. */
  synData = 0;
  asked = false;

  /** The connection's place at its listener is free again, at once or after a while. */
  release(nowMs: number): void {
    const { listener } = this;
    if (listener === null) return;
    this.listener = null;
    listener.pending--;
    if (this.reset) listener.held.push((nowMs + RESET_HOLD_MS) | 0);
  }
}

/** Server's keys, and the client's cache of cookies. */
export class FastOpenState {
  readonly #random: RandomSource;
  /** High and low half of a cookie, by the present key and by the one before it. */
  #keys: readonly [HalfSip, HalfSip];
  #old: readonly [HalfSip, HalfSip];
  #keyMs = 0;
  readonly #cache: AddrTable<CacheEntry>;

  constructor(random: RandomSource, nowMs: number) {
    this.#random = random;
    this.#keys = [new HalfSip(random), new HalfSip(random)];
    this.#old = this.#keys;
    this.#keyMs = nowMs;
    this.#cache = new AddrTable<CacheEntry>(random.u32() | 0);
  }

  /** Makes new keys when the present ones have served their time; the last ones are good for as long again. */
  rotate(nowMs: number, lifeMs: number): void {
    const age = (nowMs - this.#keyMs) >>> 0;
    if (age < lifeMs) return;
    const fresh: readonly [HalfSip, HalfSip] = [new HalfSip(this.#random), new HalfSip(this.#random)];
    this.#old = age < 2 * lifeMs ? this.#keys : fresh;
    this.#keys = fresh;
    this.#keyMs = nowMs;
  }

  /** Writes a cookie of 8 bytes. */
  put(b: Uint8Array, o: number, laddr: IpAddr, faddr: IpAddr): void {
    put32(b, o, half(this.#keys[0], laddr, faddr));
    put32(b, o + 4, half(this.#keys[1], laddr, faddr));
  }

  /** Is the cookie in the segment ours? `old`: by the key before the present one. */
  check(seg: Segment): 'good' | 'old' | null {
    const { opts, ip, bytes } = seg;
    if (opts.fastopenLen !== COOKIE_LEN) return null;
    const hi = get32(bytes, opts.fastopenOff);
    const lo = get32(bytes, opts.fastopenOff + 4);
    if (half(this.#keys[0], ip.dst, ip.src) === hi && half(this.#keys[1], ip.dst, ip.src) === lo) return 'good';
    return half(this.#old[0], ip.dst, ip.src) === hi && half(this.#old[1], ip.dst, ip.src) === lo ? 'old' : null;
  }

  /** What is known about a server; null: nothing. */
  entry(faddr: IpAddr): CacheEntry | null {
    return this.#cache.get(faddr);
  }

  /** The same, made if it is not there; the one not used for longest makes room. */
  remember(faddr: IpAddr, limit: number): CacheEntry {
    let entry = this.#cache.get(faddr);
    if (entry !== null) {
      this.#cache.touch(entry);
      return entry;
    }
    for (let old = this.#cache.oldest(); old !== null && this.#cache.size >= limit; old = this.#cache.oldest()) {
      this.#cache.remove(old);
    }
    entry = new CacheEntry();
    entry.dst.set(faddr);
    this.#cache.insert(entry);
    return entry;
  }

  get cached(): number {
    return this.#cache.size;
  }
}

class CacheEntry extends AddrEntry {
  cookie: Uint8Array | null = null;
  /** The server's MSS option. */
  mss = 0;
  /** Its SYNs with the option got lost: not used before then. */
  disabled = false;
  untilMs = 0;
}

function half(hash: HalfSip, laddr: IpAddr, faddr: IpAddr): number {
  return hash.begin().addr(laddr).addr(faddr).end() | 0;
}

/** Bytes of the option with its padding. `cookieLen` 0: a request. */
export function fastOpenLen(cookieLen: number): number {
  return (2 + cookieLen + 3) & ~3;
}

function putHead(b: Uint8Array, o: number, cookieLen: number): number {
  const pad = fastOpenLen(cookieLen) - 2 - cookieLen;
  for (let i = 0; i < pad; i++) b[o + i] = TCPOPT_NOP;
  put16(b, o + pad, (TCPOPT_FASTOPEN << 8) | (2 + cookieLen));
  return o + pad + 2;
}

/** Writes the server's option at `o`: 12 bytes. */
export function putFastOpenCookie(tcp: TcpInst, b: Uint8Array, o: number, laddr: IpAddr, faddr: IpAddr): void {
  tcp.fastopen.put(b, putHead(b, o, COOKIE_LEN), laddr, faddr);
}

/** Bytes of a server's option. */
export const FASTOPEN_COOKIE_LEN = fastOpenLen(COOKIE_LEN);

/** Writes the client's option: its cookie, or a request for one. */
export function putFastOpenClient(b: Uint8Array, o: number, cookie: Uint8Array | null): void {
  const at = putHead(b, o, cookie === null ? 0 : cookie.length);
  if (cookie !== null) b.set(cookie, at);
}

/** What our first SYN to a server may carry; null: no option. */
export function fastOpenOffer(tcp: TcpInst, tcb: Tcb): { cookie: Uint8Array | null; mss: number } | null {
  const { tfo } = tcb;
  if (tfo === null || !tfo.enabled || !tcp.config.fastopenClient || (tcb.flags & TF_SYNREXMT) !== 0) return null;
  const entry = tcp.fastopen.entry(tcb.faddr);
  if (entry === null) return { cookie: null, mss: 0 };
  if (entry.disabled) {
    if (((tcp.time.ms - entry.untilMs) | 0) < 0) return null;
    entry.disabled = false;
  }
  return entry;
}

/**
 * SYN-SENT: the SYN,ACK came, which covers `took` bytes of data. Keeps the cookie in it, and finds out whether our SYNs with the option get
 * lost (RFC 7413 §4.1.3).
 */
export function fastOpenAnswer(tcp: TcpInst, tcb: Tcb, tfo: FastOpen, seg: Segment, took: number): void {
  if (!tfo.asked) return;
  const { config, stats, fastopen } = tcp;
  const { fastopenLen: len, fastopenOff: off } = seg.opts;
  if (len >= COOKIE_MIN && len <= COOKIE_MAX && (len & 1) === 0) {
    const entry = fastopen.remember(tcb.faddr, config.fastopenCache);
    entry.cookie = seg.bytes.slice(off, off + len);
    entry.mss = seg.opts.mss;
    stats.tfo_cookie++;
  } else if ((tcb.flags & TF_SYNREXMT) !== 0 && took === 0) {
    // Only the SYN without it was answered.
    const entry = fastopen.remember(tcb.faddr, config.fastopenCache);
    entry.cookie = null;
    entry.disabled = true;
    entry.untilMs = (tcp.time.ms + 1000 * config.fastopenDisableSec) | 0;
    stats.tfo_blackhole++;
  }
}

/** May this SYN open a connection at once? Counts why not. */
export function fastOpenAllowed(tcp: TcpInst, listener: Tcb, seg: Segment): 'good' | 'old' | null {
  const { tfo } = listener;
  const { config, stats, time } = tcp;
  if (tfo === null || !tfo.enabled || !config.fastopenServer || seg.opts.fastopenLen < 0) return null;
  tcp.fastopen.rotate(time.ms, 1000 * config.fastopenAutokeySec);
  if (seg.opts.fastopenLen === 0) {
    stats.tfo_request++;
    return null;
  }
  const kind = tcp.fastopen.check(seg);
  if (kind === null) {
    stats.tfo_badcookie++;
    return null;
  }
  while (tfo.held.length > 0 && (((tfo.held[0] as number) - time.ms) | 0) <= 0) tfo.held.shift();
  // FreeBSD's limit: half of the backlog.
  const limit = (listener.so.listen?.qlimit ?? 0) >> 1;
  if (tfo.pending + tfo.held.length >= Math.max(limit, 1)) {
    stats.tfo_full++;
    return null;
  }
  return kind;
}

/** The record of a connection that a SYN with a good cookie opens. */
export function fastOpenPending(tcp: TcpInst, listener: FastOpen, renew: boolean): FastOpen {
  const tfo = new FastOpen();
  tfo.listener = listener;
  listener.pending++;
  tfo.synDue = true;
  tfo.renew = renew;
  tfo.synUs = tcp.time.us;
  tcp.stats.tfo_passive++;
  return tfo;
}

/** A segment for a connection whose SYN,ACK is not acknowledged. False: it is dealt with. */
export function fastOpenInput(tcp: TcpInst, tcb: Tcb, tfo: FastOpen, seg: Segment): boolean {
  if (tfo.listener === null) return true;
  const { flags } = seg;
  if ((flags & TH_RST) !== 0) {
    tfo.reset = true;
    return true;
  }
  if ((flags & TH_SYN) !== 0) {
    if ((flags & TH_ACK) !== 0 || seg.seq !== tcb.irs) return true;
    // The client's SYN once more: our answer was lost.
    const asked = ecnSynAgain(tcp, ecnMode(tcb), flags);
    if (asked === ECN_RESET) {
      tcpDrop(tcb, 'ECONNRESET');
      return false;
    }
    if (asked === ECN_MUTE && ecnMuted(tcp, ecnMode(tcb)) === ECN_MODE_NONE) tcb.ecn = null;
    if (tcb.ecn !== null) {
      if (asked === ECN_MUTE) tcb.ecn.ect = false;
      if (tcb.ecn.acc !== null) tcb.ecn.acc.synMark = seg.ip.tos & IPTOS_ECN_MASK;
    }
    tcb.flags |= TF_SYNREXMT;
    tfo.synDue = true;
    tcp.mark(tcb);
    return false;
  }
  if ((flags & TH_ACK) === 0 || !seqGt(seg.seq, tcb.irs) || ((seg.seq - tcb.rcvNxt) | 0) > rcvWindow(tcb)) return true;
  if ((tcb.flags & TF_TSTMP) !== 0 && !seg.opts.hasTs) return true;
  if (!seqGt(seg.ack, tcb.iss) || seqGt(seg.ack, tcb.sndMax)) {
    tcp.stats.sc_badack++;
    sendReset(tcp, seg);
    return false;
  }
  tfo.release(tcp.time.ms);
  tcb.tfo = null;
  if ((tcb.flags & TF_SYNREXMT) === 0) rttUpdate(tcp, tcb, (tcp.time.us - tfo.synUs) | 0);
  tcb.rxtShift = 0;
  if (tcb.sndMax === tcb.sndUna) timerStop(tcb, T_REXMT);
  tcp.mark(tcb);
  return true;
}

/**
 * The retransmission timer went off while the SYN,ACK waits: it alone goes again (RFC 7413 §4.2.2). `no`: it does not wait; `expired`: it
 * was sent often enough, and the connection is the caller's to end.
 */
export function fastOpenTimeout(tcp: TcpInst, tcb: Tcb, tfo: FastOpen): 'no' | 'again' | 'expired' {
  if (tfo.listener === null) return 'no';
  if (++tcb.rxtShift > tcp.config.syncacheRexmtlimit) {
    tcp.stats.sc_stale++;
    return 'expired';
  }
  tcp.stats.sc_retransmitted++;
  rttBackoff(tcp, tcb);
  tcb.sndNxt = tcb.sndUna;
  tcb.flags = (tcb.flags | TF_SYNREXMT) & ~TF_TIMING;
  tfo.synDue = true;
  tcp.mark(tcb);
  return 'again';
}

/** Our SYN,ACK has gone out; true: only it may go for now, because the last one got no answer. */
export function fastOpenSent(tcb: Tcb, tfo: FastOpen): boolean {
  tfo.synDue = false;
  tcb.flags &= ~TF_ACKNOW;
  return tcb.rxtShift > 0;
}

/** The peer whose SYN was answered acknowledged `seq`, or more. */
export function synDataAcked(tcb: Tcb, ack: number): number {
  const n = (ack - tcb.iss - 1) | 0;
  return n > 0 && seqGeq(tcb.sndMax, ack) ? Math.min(n, tcb.so.snd.cc) : 0;
}
