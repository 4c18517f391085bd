/**
 * ICMP input (RFC 792, RFC 1122 §3.2.2): echo and timestamp are answered, errors go to the protocol whose packet they quote, redirects
 * and source quenches (RFC 6633) are counted and not obeyed. Raw sockets see everything but the requests.
 */
import type { Kernel } from '../../kern/kernel.ts';
import { PKT_CSUM_OK, type RxPacket } from '../../kern/packet.ts';
import { IpAddrBuf, addrEqual } from '../../wire/addr.ts';
import { get16, get8, put16, put32 } from '../../wire/bytes.ts';
import { adjust, sum16 } from '../../wire/checksum.ts';
import {
  ICMP_CODE,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_HDR_LEN,
  ICMP_PARAMPROB,
  ICMP_REDIRECT,
  ICMP_SOURCEQUENCH,
  ICMP_SUM,
  ICMP_TIMXCEED,
  ICMP_TSTAMP,
  ICMP_TSTAMPREPLY,
  ICMP_TYPE,
  ICMP_UNREACH,
  ICMP_UNREACH_NEEDFRAG,
  icmpNextMtu,
  putIcmpSum,
} from '../../wire/icmp.ts';
import {
  IPPROTO_ICMP,
  IP_HDR_LEN,
  IP_OFF,
  IP_OFFMASK,
  IP_PROTO,
  IP_TOS,
  IP_TTL,
  ipDst,
  ipHdrLen,
  ipSrc,
  ipVersion,
} from '../../wire/ipv4.ts';
import { type CtlKind, IpIn, type IpOut, type Transport } from './contract.ts';
import type { IfAddrs } from './ifaddr.ts';
import { IPOPTS_MAX, answerIpOptions } from './ipoptions.ts';
import type { IpOutput } from './ipoutput.ts';
import { PayloadWriter } from './payload.ts';
import type { RawIp } from './raw.ts';
import type { InetRoute, Routes } from './routes.ts';
import type { IcmpStat } from './stats.ts';

const TSTAMP_LEN = 20;
const DAY_MS = 86_400_000;
const UNREACH_KINDS: readonly CtlKind[] = [
  'unreach-net',
  'unreach-host',
  'unreach-protocol',
  'unreach-port',
  'needfrag',
  'unreach-host',
];
/** Codes 6 to 15: networks and hosts unknown, isolated, forbidden or not for this service (RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1). */
const UNREACH_CODE_MAX = 15;

export interface IcmpDeps {
  readonly kernel: Kernel;
  readonly stat: IcmpStat;
  readonly addrs: IfAddrs;
  readonly routes: Routes;
  readonly out: IpOutput;
  readonly raw: RawIp;
  readonly protos: readonly (Transport | null)[];
  /** How this stack's own packets go out by default. */
  readonly how: IpOut;
}

export class Icmp implements Transport {
  readonly protocol = IPPROTO_ICMP;
  /** Answer requests that were sent to a group; answer timestamp requests: sysctls. */
  groupEcho = false;
  timestamps = true;
  readonly #deps: IcmpDeps;
  readonly #stat: IcmpStat;
  readonly #quoted = new IpIn();
  readonly #payload: PayloadWriter;
  readonly #how: { tos: number; ttl: number; df: boolean };
  readonly #options = new Uint8Array(IPOPTS_MAX);
  readonly #asked = new IpAddrBuf();
  readonly #isOwn = (addr: number): boolean => this.#deps.addrs.isLocal(this.#asked.setV4(addr));
  /** The route of the last answer: pings come in rows. */
  #route: InetRoute | null = null;

  constructor(deps: IcmpDeps) {
    this.#deps = deps;
    this.#stat = deps.stat;
    this.#payload = new PayloadWriter(deps.kernel.bufpool);
    this.#how = { ...deps.how };
  }

  input(pkt: RxPacket, ip: IpIn): void {
    const stat = this.#stat;
    const b = pkt.bytes;
    const o = pkt.off;
    const len = pkt.end - o;
    if (len < ICMP_HDR_LEN) {
      stat.tooshort++;
      return;
    }
    if ((pkt.flags & PKT_CSUM_OK) === 0 && sum16(b, o, len, 0) !== 0xffff) {
      stat.checksum++;
      return;
    }
    switch (get8(b, o + ICMP_TYPE)) {
      case ICMP_ECHO:
        stat.inecho++;
        this.#echo(pkt, ip);
        return;
      case ICMP_TSTAMP:
        stat.intstamp++;
        this.#timestamp(pkt, ip);
        return;
      case ICMP_ECHOREPLY:
        stat.inechoreply++;
        break;
      case ICMP_TSTAMPREPLY:
        stat.intstampreply++;
        break;
      case ICMP_UNREACH:
        stat.inunreach++;
        this.#unreach(pkt, ip);
        break;
      case ICMP_TIMXCEED:
        stat.intimxceed++;
        this.#error('timxceed', pkt, ip, 0);
        break;
      case ICMP_PARAMPROB:
        stat.inparamprob++;
        this.#error('paramprob', pkt, ip, 0);
        break;
      case ICMP_SOURCEQUENCH:
        stat.quench++;
        break;
      case ICMP_REDIRECT:
        stat.redirect++;
        break;
      default:
        stat.inother++;
    }
    this.#deps.raw.input(pkt, ip);
  }

  #unreach(pkt: RxPacket, ip: IpIn): void {
    const code = get8(pkt.bytes, pkt.off + ICMP_CODE);
    if (code > UNREACH_CODE_MAX) {
      this.#stat.badcode++;
      return;
    }
    const mtu = code === ICMP_UNREACH_NEEDFRAG ? icmpNextMtu(pkt.bytes, pkt.off) : 0;
    this.#error(UNREACH_KINDS[code] ?? (code === 6 || code === 9 || code === 11 ? 'unreach-net' : 'unreach-host'), pkt, ip, mtu);
  }

  /** An error about one of our packets: to the protocol that sent it. */
  #error(kind: CtlKind, pkt: RxPacket, ip: IpIn, mtu: number): void {
    if (ip.group) this.#stat.badaddr++;
    else this.#quote(kind, pkt.bytes, pkt.off + ICMP_HDR_LEN, pkt.end, mtu);
  }

  /** A packet of our own that could not leave this host: its sender hears the same as from a router. */
  localUnreachable(bytes: Uint8Array, off: number, len: number): void {
    this.#quote('unreach-host', bytes, off, off + len, 0);
  }

  /** [o, end) begins with the IP header of a packet of ours; at least 8 bytes of its data must be there (RFC 792). */
  #quote(kind: CtlKind, b: Uint8Array, o: number, end: number, mtu: number): void {
    const stat = this.#stat;
    if (end - o < IP_HDR_LEN || ipVersion(b, o) !== 4) {
      stat.badlen++;
      return;
    }
    const hdrLen = ipHdrLen(b, o);
    if (hdrLen < IP_HDR_LEN || end - o < hdrLen + 8 || (get16(b, o + IP_OFF) & IP_OFFMASK) !== 0) {
      stat.badlen++;
      return;
    }
    const quoted = this.#quoted;
    quoted.src.setV4(ipSrc(b, o));
    quoted.dst.setV4(ipDst(b, o));
    if (!this.#deps.addrs.isLocal(quoted.src)) {
      stat.notours++;
      return;
    }
    quoted.protocol = get8(b, o + IP_PROTO);
    quoted.ttl = get8(b, o + IP_TTL);
    quoted.tos = get8(b, o + IP_TOS);
    quoted.hdrOff = o;
    quoted.hdrLen = hdrLen;
    quoted.group = false;
    const proto = this.#deps.protos[quoted.protocol] ?? null;
    if (proto === null) stat.noctl++;
    else proto.ctlinput(kind, quoted, b, o + hdrLen, end, mtu);
  }

  /** About our own echoes: the raw socket that sent one gets the message itself. */
  ctlinput(): void {}

  /** RFC 1122 §3.2.2.6: the data and the type of service come back as they came. */
  #echo(pkt: RxPacket, ip: IpIn): void {
    if (ip.group && !this.groupEcho) {
      this.#stat.bmcastecho++;
      return;
    }
    const b = pkt.bytes;
    const o = pkt.off;
    const sum = adjust(get16(b, o + ICMP_SUM), get16(b, o), get8(b, o + ICMP_CODE));
    // Both zeros of one's complement sum up right, but for a message of nothing but zeros only this one does.
    this.#answer(pkt, ip, ICMP_ECHOREPLY, sum === 0 ? 0xffff : sum, 0);
  }

  #timestamp(pkt: RxPacket, ip: IpIn): void {
    if (pkt.end - pkt.off < TSTAMP_LEN) {
      this.#stat.badlen++;
      return;
    }
    if (!this.timestamps || (ip.group && !this.groupEcho)) {
      this.#stat.bmcasttstamp++;
      return;
    }
    this.#answer(pkt, ip, ICMP_TSTAMPREPLY, 0, this.#sinceMidnight());
  }

  /** Sends the message back as `type`: with checksum `sum`, or for a timestamp with `stampMs` filled in and a fresh one. */
  #answer(pkt: RxPacket, ip: IpIn, type: number, sum: number, stampMs: number): void {
    const stat = this.#stat;
    const route = this.#routeTo(pkt, ip);
    if (route === null) return;
    const tx = route.ifp.txAlloc();
    if (tx === null) {
      stat.nobufs++;
      return;
    }
    const len = type === ICMP_TSTAMPREPLY ? TSTAMP_LEN : pkt.end - pkt.off;
    const at = tx.append(ICMP_HDR_LEN);
    for (let i = 0; i < ICMP_HDR_LEN; i++) tx.bytes[at + i] = pkt.bytes[pkt.off + i] as number;
    if (!this.#payload.append(tx, pkt.bytes, pkt.off + ICMP_HDR_LEN, len - ICMP_HDR_LEN)) {
      stat.nobufs++;
      route.ifp.txFree(tx);
      return;
    }
    tx.bytes[at + ICMP_TYPE] = type;
    put16(tx.bytes, at + ICMP_SUM, sum);
    if (type === ICMP_TSTAMPREPLY) {
      put32(tx.bytes, at + 12, stampMs);
      put32(tx.bytes, at + 16, stampMs);
      putIcmpSum(tx.bytes, at, TSTAMP_LEN);
    }
    this.#how.tos = ip.tos;
    this.#how.ttl = this.#deps.how.ttl;
    stat.reflect++;
    const { out } = this.#deps;
    const src = ip.group ? route.src : ip.dst;
    const optLen = ip.hdrLen > IP_HDR_LEN ? this.#answerOptions(pkt, ip, src.w3) : 0;
    if (optLen > 0 && tx.length() + IP_HDR_LEN + optLen <= route.mtu) {
      stat.outoptions++;
      out.outputOptions(tx, route, src, ip.src, IPPROTO_ICMP, this.#how, this.#options, optLen);
    } else out.output(tx, route, src, ip.src, IPPROTO_ICMP, this.#how);
    this.#payload.sent();
  }

  /**
   * RFC 1122 §3.2.2.6, §3.2.2.8: record route and timestamp come back, with this host in them. Deviation: not where the answer must be
   * cut, nor from a request that came in pieces, whose options are not kept.
   */
  #answerOptions(pkt: RxPacket, ip: IpIn, own: number): number {
    return answerIpOptions(pkt.bytes, ip.hdrOff, ip.hdrLen, this.#options, own, this.#isOwn, this.#sinceMidnight());
  }

  #sinceMidnight(): number {
    return Math.floor(this.#deps.kernel.clock.realtimeMs()) % DAY_MS;
  }

  #routeTo(pkt: RxPacket, ip: IpIn): InetRoute | null {
    const { routes } = this.#deps;
    const fib = pkt.ifp === null ? 0 : pkt.ifp.fib();
    const last = this.#route;
    if (last !== null && last.gen === routes.gen && last.fib === fib && addrEqual(last.dst, ip.src)) return last;
    const route = routes.route(ip.src, fib);
    if (typeof route === 'string') {
      this.#stat.noroute++;
      return null;
    }
    this.#route = route;
    return route;
  }
}
