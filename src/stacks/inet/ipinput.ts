/**
 * IPv4 input (RFC 791 §3.2, RFC 1122 §3.2.1, RFC 1812 §5.3.7): checks, addresses, reassembly, and the hand-over to a protocol. This
 * host does not forward.
 */
import { PKT_BCAST, PKT_LOOP, PKT_MCAST, type RxPacket } from '../../kern/packet.ts';
import { get16, get8 } from '../../wire/bytes.ts';
import {
  IP_HDR_LEN,
  IP_MF,
  IP_OFF,
  IP_OFFMASK,
  IP_PROTO,
  IP_TOS,
  IP_TTL,
  ipDst,
  ipLen,
  ipSrc,
  ipSumOk,
} from '../../wire/ipv4.ts';
import { IpIn, type Transport } from './contract.ts';
import { ALL_HOSTS, type IfAddrs } from './ifaddr.ts';
import type { IcmpErrors } from './icmperror.ts';
import { IPOPTS_OK, IPOPTS_SRCROUTE, checkIpOptions } from './ipoptions.ts';
import type { InetIf } from './netif.ts';
import type { RawIp } from './raw.ts';
import type { Reassembler } from './reass.ts';
import type { IpStat } from './stats.ts';

/** What a packet's destination is to this host. */
const DST_OURS = 0;
const DST_GROUP = 1;
const DST_OTHER = 2;

export class IpInput {
  /** Drop packets that come from a link with one of our own addresses as source: a sysctl. */
  checkSource = true;
  /** Protocols by number; null where there is none. */
  readonly protos = new Array<Transport | null>(256).fill(null);
  readonly #stat: IpStat;
  readonly #addrs: IfAddrs;
  readonly #reass: Reassembler;
  readonly #raw: RawIp;
  readonly #errors: IcmpErrors;
  readonly #ip = new IpIn();

  constructor(stat: IpStat, addrs: IfAddrs, reass: Reassembler, raw: RawIp, errors: IcmpErrors) {
    this.#stat = stat;
    this.#addrs = addrs;
    this.#reass = reass;
    this.#raw = raw;
    this.#errors = errors;
  }

  /** One packet; `pkt.off` at the IP header. */
  input(pkt: RxPacket, nif: InetIf): void {
    const stat = this.#stat;
    const b = pkt.bytes;
    const o = pkt.off;
    const avail = pkt.end - o;
    stat.total++;
    if (avail < IP_HDR_LEN) {
      stat.toosmall++;
      return;
    }
    const vhl = get8(b, o);
    if (vhl >>> 4 !== 4) {
      stat.badvers++;
      return;
    }
    const hdrLen = (vhl & 15) << 2;
    if (hdrLen < IP_HDR_LEN || hdrLen > avail) {
      stat.badhlen++;
      return;
    }
    if (!ipSumOk(b, o, hdrLen)) {
      stat.badsum++;
      return;
    }
    const len = ipLen(b, o);
    if (len < hdrLen) {
      stat.badlen++;
      return;
    }
    if (len > avail) {
      stat.tooshort++;
      return;
    }
    // What follows is the link's padding.
    pkt.end = o + len;
    const src = ipSrc(b, o);
    const dst = ipDst(b, o);
    const ip = this.#ip;
    ip.src.setV4(src);
    ip.dst.setV4(dst);
    const kind = this.#kindOf(dst, nif);
    ip.group = kind !== DST_OURS || (pkt.flags & (PKT_BCAST | PKT_MCAST)) !== 0;
    if (this.#martian(src, dst, pkt.flags, kind)) {
      stat.badaddr++;
      return;
    }
    if (kind === DST_OTHER) {
      if (dst >>> 28 === 14) stat.notmember++;
      else stat.cantforward++;
      return;
    }
    if (kind === DST_OURS && ip.group) {
      stat.linkbcast++;
      return;
    }
    if (hdrLen > IP_HDR_LEN && !this.#optionsOk(pkt, ip, hdrLen)) return;
    ip.protocol = get8(b, o + IP_PROTO);
    if ((get16(b, o + IP_OFF) & (IP_MF | IP_OFFMASK)) !== 0) {
      const whole = this.#reass.input(pkt, hdrLen, nif);
      if (whole === null) return;
      this.#deliver(whole, IP_HDR_LEN);
      this.#reass.done(whole);
      return;
    }
    this.#deliver(pkt, hdrLen);
  }

  #kindOf(dst: number, nif: InetIf): number {
    if (dst === nif.primary4 || this.#addrs.isLocal(this.#ip.dst)) return DST_OURS;
    const group = dst >>> 28 === 14 ? dst === ALL_HOSTS || nif.hears(dst) : this.#addrs.isBroadcast4(dst);
    return group ? DST_GROUP : DST_OTHER;
  }

  /**
   * Addresses that no packet may have here (RFC 1122 §3.2.1.3, RFC 1812 §5.3.7): sources that are groups, 0/8 or 240/4; 127/8 from a
   * link; our own as a source from a link. 0.0.0.0 as a source is for who has no address yet, and speaks to all.
   */
  #martian(src: number, dst: number, flags: number, kind: number): boolean {
    const top = src >>> 24;
    if (top >= 224 || (top === 0 && (src !== 0 || kind !== DST_GROUP)) || this.#addrs.isBroadcast4(src)) return true;
    if ((flags & PKT_LOOP) !== 0) return false;
    if (top === 127 || dst >>> 24 === 127 || dst === 0) return true;
    return this.checkSource && this.#addrs.isLocal(this.#ip.src);
  }

  #optionsOk(pkt: RxPacket, ip: IpIn, hdrLen: number): boolean {
    const o = pkt.off;
    const verdict = checkIpOptions(pkt.bytes, o, o + IP_HDR_LEN, o + hdrLen);
    if (verdict === IPOPTS_OK) return true;
    if (verdict === IPOPTS_SRCROUTE) {
      this.#stat.srcroute++;
      return false;
    }
    this.#stat.badoptions++;
    this.#fill(pkt, ip, hdrLen);
    this.#errors.paramProblem(pkt, ip, verdict);
    return false;
  }

  #fill(pkt: RxPacket, ip: IpIn, hdrLen: number): void {
    const b = pkt.bytes;
    const o = pkt.off;
    ip.hdrOff = o;
    ip.hdrLen = hdrLen;
    ip.tos = get8(b, o + IP_TOS);
    ip.ttl = get8(b, o + IP_TTL);
    pkt.off = o + hdrLen;
  }

  #deliver(pkt: RxPacket, hdrLen: number): void {
    const stat = this.#stat;
    const ip = this.#ip;
    this.#fill(pkt, ip, hdrLen);
    const proto = this.protos[ip.protocol] as Transport | null;
    if (proto !== null) {
      stat.delivered++;
      proto.input(pkt, ip);
      return;
    }
    if (this.#raw.input(pkt, ip)) {
      stat.delivered++;
      return;
    }
    stat.noproto++;
    this.#errors.unreachable(pkt, ip, 'protocol');
  }
}
