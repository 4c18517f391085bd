/**
 * ICMP errors that this host sends (RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3.2): never about an error, a group, a later fragment or a
 * source that is no host; as much of the packet as fits 576 bytes; no more than a bucket of tokens allows.
 */
import type { Kernel } from '../../kern/kernel.ts';
import { PKT_BCAST, PKT_LOOP, PKT_MCAST, type RxPacket } from '../../kern/packet.ts';
import { type IpAddr, IpAddrBuf } from '../../wire/addr.ts';
import { get16, get8, put32 } from '../../wire/bytes.ts';
import {
  ICMP_CODE,
  ICMP_HDR_LEN,
  ICMP_ID,
  ICMP_PARAMPROB,
  ICMP_TIMXCEED,
  ICMP_TIMXCEED_REASS,
  ICMP_TYPE,
  ICMP_UNREACH,
  ICMP_UNREACH_PORT,
  ICMP_UNREACH_PROTOCOL,
  icmpIsError,
  putIcmpSum,
} from '../../wire/icmp.ts';
import { IPPROTO_ICMP, IP_HDR_LEN, IP_OFF, IP_OFFMASK, IP_PROTO, ipDst, ipHdrLen, ipSrc } from '../../wire/ipv4.ts';
import type { IpIn, IpOut } from './contract.ts';
import type { IfAddrs } from './ifaddr.ts';
import type { IpOutput } from './ipoutput.ts';
import type { Routes } from './routes.ts';
import type { IcmpStat } from './stats.ts';

/** Longest error, IP header included: what every host takes. */
const ERROR_MAX = 576;
/** The bucket's size varies by up to this many tokens, so that nobody can count with it (CVE-2020-25705). */
const JITTER = 16;

/** Tokens that come back with time. */
export class TokenBucket {
  /** Tokens a second, and the most there are; 0: no limit. A sysctl. */
  rate = 200;
  readonly #kernel: Kernel;
  #tokens: number;
  #fullAt = 0;
  #lastMs: number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#lastMs = kernel.time.ms;
    this.#tokens = this.#fullAt = this.#size();
  }

  #size(): number {
    return Math.max(1, this.rate - (this.#kernel.random.u32() % JITTER));
  }

  take(): boolean {
    if (this.rate === 0) return true;
    const now = this.#kernel.time.ms;
    const passed = (now - this.#lastMs) >>> 0;
    if (passed > 0) {
      this.#lastMs = now;
      this.#tokens += (passed * this.rate) / 1000;
      if (this.#tokens >= this.#fullAt) this.#tokens = this.#fullAt = this.#size();
    }
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

export class IcmpErrors {
  readonly bucket: TokenBucket;
  readonly #stat: IcmpStat;
  readonly #routes: Routes;
  readonly #addrs: IfAddrs;
  readonly #out: IpOutput;
  readonly #how: IpOut;
  readonly #to = new IpAddrBuf();
  readonly #from = new IpAddrBuf();

  /** `how` is how this stack's own packets go out by default. */
  constructor(kernel: Kernel, stat: IcmpStat, routes: Routes, addrs: IfAddrs, out: IpOutput, how: IpOut) {
    this.bucket = new TokenBucket(kernel);
    this.#stat = stat;
    this.#routes = routes;
    this.#addrs = addrs;
    this.#out = out;
    this.#how = how;
  }

  /** The packet that is read has no taker. */
  unreachable(pkt: RxPacket, ip: IpIn, why: 'port' | 'protocol'): void {
    if (ip.group) {
      this.#stat.error_suppressed++;
      return;
    }
    const code = why === 'port' ? ICMP_UNREACH_PORT : ICMP_UNREACH_PROTOCOL;
    if (this.#send(ICMP_UNREACH, code, 0, pkt.bytes, ip.hdrOff, pkt.end, pkt.flags, pkt.ifp?.fib() ?? 0)) this.#stat.outunreach++;
  }

  /** An octet of the header at fault; `pointer` is its offset. */
  paramProblem(pkt: RxPacket, ip: IpIn, pointer: number): void {
    if (ip.group) {
      this.#stat.error_suppressed++;
      return;
    }
    const fib = pkt.ifp?.fib() ?? 0;
    if (this.#send(ICMP_PARAMPROB, 0, pointer << 24, pkt.bytes, ip.hdrOff, pkt.end, pkt.flags, fib)) this.#stat.outparamprob++;
  }

  /** Reassembly took too long; the first fragment stands in [0, end). */
  reassemblyTimeout(bytes: Uint8Array, end: number, fib: number): void {
    if (this.#send(ICMP_TIMXCEED, ICMP_TIMXCEED_REASS, 0, bytes, 0, end, 0, fib)) this.#stat.outtimxceed++;
  }

  /** False: the rules forbid it, the rate is used up, or it could not be sent. */
  #send(type: number, code: number, word: number, b: Uint8Array, o: number, end: number, flags: number, fib: number): boolean {
    const stat = this.#stat;
    const to = this.#to.setV4(ipSrc(b, o));
    const from = this.#from.setV4(ipDst(b, o));
    if (
      (flags & (PKT_BCAST | PKT_MCAST)) !== 0 ||
      !mayAnswer(b, o, end) ||
      !this.#isHost(to.w3, flags) ||
      !this.#addrs.isLocal(from)
    ) {
      stat.error_suppressed++;
      return false;
    }
    if (!this.bucket.take()) {
      stat.error_ratelimited++;
      return false;
    }
    return this.#emit(type, code, word, b, o, end, to, from, fib);
  }

  /** RFC 1122 §3.2.2: the source is one host: not 0/8, a group, a broadcast, nor the loopback from a link. */
  #isHost(src: number, flags: number): boolean {
    const top = src >>> 24;
    return top !== 0 && top < 224 && (top !== 127 || (flags & PKT_LOOP) !== 0) && !this.#addrs.isBroadcast4(src);
  }

  #emit(
    type: number,
    code: number,
    word: number,
    b: Uint8Array,
    o: number,
    end: number,
    to: IpAddr,
    from: IpAddr,
    fib: number,
  ): boolean {
    const route = this.#routes.route(to, fib);
    if (typeof route === 'string') {
      this.#stat.noroute++;
      return false;
    }
    const pkt = route.ifp.txAlloc();
    if (pkt === null) {
      this.#stat.nobufs++;
      return false;
    }
    const quote = Math.min(end - o, ERROR_MAX - IP_HDR_LEN - ICMP_HDR_LEN);
    const at = pkt.append(ICMP_HDR_LEN + quote);
    const out = pkt.bytes;
    out[at + ICMP_TYPE] = type;
    out[at + ICMP_CODE] = code;
    put32(out, at + ICMP_ID, word);
    out.set(b.subarray(o, o + quote), at + ICMP_HDR_LEN);
    putIcmpSum(out, at, ICMP_HDR_LEN + quote);
    return this.#out.output(pkt, route, from, to, IPPROTO_ICMP, this.#how) === null;
  }
}

/** Not a later fragment, and no ICMP error. An ICMP message too short to tell counts as one. */
function mayAnswer(b: Uint8Array, o: number, end: number): boolean {
  if ((get16(b, o + IP_OFF) & IP_OFFMASK) !== 0) return false;
  if (get8(b, o + IP_PROTO) !== IPPROTO_ICMP) return true;
  const icmp = o + ipHdrLen(b, o);
  return icmp < end && !icmpIsError(get8(b, icmp + ICMP_TYPE));
}
