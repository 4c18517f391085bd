/** A captured frame as a line of text, in tcpdump(1)'s words. Whatever a frame holds, this makes a line of it and never throws. */
import ipaddr from 'ipaddr.js';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, ARP_SHA, ARP_TPA, arpIsInet, arpOper, arpSpa } from '../wire/arp.ts';
import { get16, get32 } from '../wire/bytes.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHER_HDR_LEN, ETHER_SRC, etherType } from '../wire/ethernet.ts';
import { ICMP_ECHO, ICMP_ECHOREPLY, ICMP_HDR_LEN, ICMP_ID, ICMP_SEQ, icmpIsError } from '../wire/icmp.ts';
import {
  IPPROTO_ICMP,
  IPPROTO_IGMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IP_DF,
  IP_HDR_LEN,
  IP_ID,
  IP_MF,
  IP_OFF,
  IP_OFFMASK,
  IP_PROTO,
  IP_TTL,
  ipDst,
  ipHdrLen,
  ipLen,
  ipSrc,
  ipVersion,
} from '../wire/ipv4.ts';
import { TCP_HDR_LEN, tcpHdrLen } from '../wire/tcp.ts';
import { UDP_HDR_LEN, UDP_LEN } from '../wire/udp.ts';
import { icmpErrorText } from './icmptext.ts';
import { TcpDissector } from './dissecttcp.ts';
import { ipv4Text } from './v4.ts';

/** Offsets in the header of IPv6 (RFC 8200 §3). */
const IP6_PLEN = 4;
const IP6_NXT = 6;
const IP6_HLIM = 7;
const IP6_SRC = 8;
const IP6_DST = 24;
const IP6_HDR_LEN = 40;
const IPPROTO_ICMPV6 = 58;

const macText = (b: Uint8Array, o: number): string =>
  Array.from(b.subarray(o, o + 6), (byte) => byte.toString(16).padStart(2, '0')).join(':');

/** `02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, length 42`, as `-e` shows it. */
export function linkText(bytes: Uint8Array, len: number): string {
  if (bytes.length < ETHER_HDR_LEN) return `[|ether], length ${len}`;
  return `${macText(bytes, ETHER_SRC)} > ${macText(bytes, 0)}, length ${len}`;
}

export interface DissectOptions {
  /** Absolute sequence numbers. */
  readonly absolute?: boolean;
  /** Protocol and length only (`-q`). */
  readonly quiet?: boolean;
  /** The fields of the IP header too (`-v`). */
  readonly verbose?: boolean;
}

/** Keeps the first sequence numbers of connections, so that later ones are shown relative to them. */
export class Dissector {
  readonly #tcp: TcpDissector;
  readonly #quiet: boolean;
  readonly #verbose: boolean;

  constructor({ absolute = false, quiet = false, verbose = false }: DissectOptions = {}) {
    this.#tcp = new TcpDissector(absolute);
    this.#quiet = quiet;
    this.#verbose = verbose;
  }

  /** A frame of Ethernet. `len`: its length on the link, of which `bytes` may be the beginning. */
  ethernet(bytes: Uint8Array, len = bytes.length): string {
    if (bytes.length < ETHER_HDR_LEN) return `[|ether] ${len} bytes`;
    const type = etherType(bytes, 0);
    const rest = bytes.subarray(ETHER_HDR_LEN);
    if (type === ETHERTYPE_IPV4) return this.ip(rest);
    if (type === ETHERTYPE_ARP) return arp(rest, len - ETHER_HDR_LEN);
    if (type === ETHERTYPE_IPV6) return this.ip6(rest);
    const name = `ethertype 0x${type.toString(16).padStart(4, '0')}`;
    return `${macText(bytes, ETHER_SRC)} > ${macText(bytes, 0)}, ${name}, length ${len}`;
  }

  /** A packet of IPv6 (RFC 8200). What stands behind extension headers is named by its number only. */
  ip6(b: Uint8Array): string {
    if (b.length < IP6_HDR_LEN) return 'IP6 [|ip6]';
    const len = get16(b, IP6_PLEN);
    const body = b.subarray(IP6_HDR_LEN, IP6_HDR_LEN + len);
    const next = b[IP6_NXT] ?? 0;
    const header = this.#verbose
      ? `(hlim ${b[IP6_HLIM] ?? 0}, next-header ${protoName(next)} (${next}) payload length: ${len}) `
      : '';
    return `IP6 ${header}${this.#transport(ipv6Text(b, IP6_SRC), ipv6Text(b, IP6_DST), next, body, len)}`;
  }

  /** A packet of IP, of either version. */
  ip(b: Uint8Array): string {
    if (b.length > 0 && ipVersion(b, 0) === 6) return this.ip6(b);
    if (b.length < IP_HDR_LEN) return 'IP [|ip]';
    const hdrLen = ipHdrLen(b, 0);
    const total = ipLen(b, 0);
    if (ipVersion(b, 0) !== 4) return `IP${ipVersion(b, 0)} length ${b.length}`;
    if (hdrLen < IP_HDR_LEN || total < hdrLen) return `IP bad header: header length ${hdrLen}, total length ${total}`;
    const src = ipv4Text(ipSrc(b, 0));
    const dst = ipv4Text(ipDst(b, 0));
    const field = get16(b, IP_OFF);
    const offset = (field & IP_OFFMASK) << 3;
    const proto = b[IP_PROTO] ?? 0;
    const len = total - hdrLen;
    const body = b.subarray(hdrLen, total);
    const header = this.#verbose ? `${headerText(b)}\n    ` : '';
    if (offset !== 0)
      return `IP ${header}${src} > ${dst}: ${protoName(proto)} fragment, id ${get16(b, IP_ID)}, offset ${offset}, length ${len}`;
    const more = (field & IP_MF) !== 0 ? ` (fragment id ${get16(b, IP_ID)}, more follow)` : '';
    return `IP ${header}${this.#transport(src, dst, proto, body, len)}${more}`;
  }

  #transport(src: string, dst: string, proto: number, b: Uint8Array, len: number): string {
    if (proto === IPPROTO_TCP && !this.#quiet) return this.#tcp.line(src, dst, b, len);
    if (proto === IPPROTO_TCP) {
      if (b.length < TCP_HDR_LEN) return `${src} > ${dst}: [|tcp]`;
      return `${src}.${get16(b, 0)} > ${dst}.${get16(b, 2)}: tcp ${Math.max(0, len - tcpHdrLen(b, 0))}`;
    }
    if (proto === IPPROTO_UDP) {
      if (b.length < UDP_HDR_LEN) return `${src} > ${dst}: [|udp]`;
      return `${src}.${get16(b, 0)} > ${dst}.${get16(b, 2)}: UDP, length ${Math.max(0, get16(b, UDP_LEN) - UDP_HDR_LEN)}`;
    }
    if (proto === IPPROTO_ICMP) return `${src} > ${dst}: ICMP ${icmp(b)}, length ${len}`;
    if (proto === IPPROTO_ICMPV6) return `${src} > ${dst}: ICMP6, ${icmp6(b)}, length ${len}`;
    return `${src} > ${dst}: ${protoName(proto)}, length ${len}`;
  }
}

/** The fields of a header of IPv4, as `-v` shows them. */
function headerText(b: Uint8Array): string {
  const field = get16(b, IP_OFF);
  const flags = [...((field & IP_DF) !== 0 ? ['DF'] : []), ...((field & IP_MF) !== 0 ? ['+'] : [])].join(', ') || 'none';
  const proto = b[IP_PROTO] ?? 0;
  const tos = (b[1] ?? 0).toString(16);
  const where = `id ${get16(b, IP_ID)}, offset ${(field & IP_OFFMASK) << 3}, flags [${flags}]`;
  return `(tos 0x${tos}, ttl ${b[IP_TTL] ?? 0}, ${where}, proto ${protoName(proto).toUpperCase()} (${proto}), length ${ipLen(b, 0)})`;
}

/** Messages of ICMPv6 (RFC 4443, 4861, 2710, 3810) by type. */
const ICMP6_TYPES: Readonly<Record<number, string>> = {
  1: 'destination unreachable',
  2: 'packet too big',
  3: 'time exceeded',
  4: 'parameter problem',
  128: 'echo request',
  129: 'echo reply',
  130: 'multicast listener query',
  131: 'multicast listener report',
  132: 'multicast listener done',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbor solicitation, who has',
  136: 'neighbor advertisement, tgt is',
  137: 'redirect',
  143: 'multicast listener report v2',
};

function icmp6(b: Uint8Array): string {
  if (b.length < ICMP_HDR_LEN) return '[|icmp6]';
  const type = b[0] ?? 0;
  const name = ICMP6_TYPES[type] ?? `type ${type} code ${b[1] ?? 0}`;
  if (type === 128 || type === 129) return `${name}, id ${get16(b, ICMP_ID)}, seq ${get16(b, ICMP_SEQ)}`;
  if ((type === 135 || type === 136) && b.length >= 24) return `${name} ${ipv6Text(b, 8)}`;
  if (type === 2) return `${name}, mtu ${get32(b, 4) >>> 0}`;
  return name;
}

const ipv6Text = (b: Uint8Array, o: number): string => new ipaddr.IPv6([...b.subarray(o, o + 16)]).toString();

function protoName(proto: number): string {
  if (proto === IPPROTO_TCP) return 'tcp';
  if (proto === IPPROTO_UDP) return 'udp';
  if (proto === IPPROTO_ICMP) return 'icmp';
  return proto === IPPROTO_IGMP ? 'igmp' : `ip-proto-${proto}`;
}

function icmp(b: Uint8Array): string {
  if (b.length < ICMP_HDR_LEN) return '[|icmp]';
  const type = b[0] ?? 0;
  const code = b[1] ?? 0;
  if (type === ICMP_ECHO || type === ICMP_ECHOREPLY) {
    return `echo ${type === ICMP_ECHO ? 'request' : 'reply'}, id ${get16(b, ICMP_ID)}, seq ${get16(b, ICMP_SEQ)}`;
  }
  if (!icmpIsError(type) || b.length < ICMP_HDR_LEN + IP_HDR_LEN) return icmpErrorText(type, code);
  return `${icmpErrorText(type, code)} (to ${ipv4Text(ipDst(b, ICMP_HDR_LEN))})`;
}

function arp(b: Uint8Array, len: number): string {
  if (b.length < ARP_LEN || !arpIsInet(b, 0)) return `ARP, unknown, length ${len}`;
  const spa = ipv4Text(arpSpa(b, 0));
  const tpa = ipv4Text(get32(b, ARP_TPA));
  switch (arpOper(b, 0)) {
    case ARP_REQUEST:
      return spa === tpa ? `ARP, Announcement ${spa}, length ${len}` : `ARP, Request who-has ${tpa} tell ${spa}, length ${len}`;
    case ARP_REPLY:
      return `ARP, Reply ${spa} is-at ${macText(b, ARP_SHA)}, length ${len}`;
    default:
      return `ARP, op ${arpOper(b, 0)}, length ${len}`;
  }
}
