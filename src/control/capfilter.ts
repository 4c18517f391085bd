/**
 * Which frames a capture wants: host, port and protocol, read from the frame's own bytes. The length of each header is checked, so a
 * frame that is cut short or malformed just does not match.
 */
import { type IpAddr, isV4 } from '../wire/addr.ts';
import { get16, get32, get8 } from '../wire/bytes.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHER_HDR_LEN } from '../wire/ethernet.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../wire/ipv4.ts';

const ETHERTYPE_IPV6 = 0x86dd;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const IP6_HDR_LEN = 40;
/** Bytes that a filter looks at. */
export const FILTER_BYTES = 160;

export const PROTO_NAMES = ['arp', 'ip', 'ip6', 'icmp', 'icmp6', 'tcp', 'udp'] as const;
export type ProtoName = (typeof PROTO_NAMES)[number];

export interface FrameFilter {
  readonly host: IpAddr | null;
  readonly port: number | null;
  /** A name, or a number of IP. */
  readonly proto: ProtoName | number | null;
}

/** What a frame is, as far as the filter asks. Filled in again for each frame. */
class Dissected {
  family: 'arp' | 'ip' | 'ip6' | '' = '';
  proto = -1;
  /** The network header, and where the transport's begins; -1: not in this frame (a later fragment, a strange header). */
  net = 0;
  transport = -1;
}

const PROTO_NUMBERS: ReadonlyMap<string, number> = new Map([
  ['icmp', IPPROTO_ICMP],
  ['icmp6', IPPROTO_ICMPV6],
  ['tcp', IPPROTO_TCP],
  ['udp', IPPROTO_UDP],
]);

/** A function that answers whether a frame in [0, len) of `bytes` is wanted; null where all are. */
export function compileFilter(filter: FrameFilter, ethernet: boolean): ((bytes: Uint8Array, len: number) => boolean) | null {
  const { host, port, proto } = filter;
  if (host === null && port === null && proto === null) return null;
  const d = new Dissected();
  return (bytes, len) => {
    dissect(d, bytes, len, ethernet);
    return (
      (proto === null || isProto(d, proto)) &&
      (port === null || hasPort(d, bytes, len, port)) &&
      (host === null || hasHost(d, bytes, host))
    );
  };
}

function dissect(d: Dissected, b: Uint8Array, len: number, ethernet: boolean): void {
  d.family = '';
  d.proto = d.transport = -1;
  d.net = ethernet ? ETHER_HDR_LEN : 0;
  if (len < d.net + 20) return;
  const type = ethernet ? get16(b, 12) : get8(b, 0) >>> 4 === 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
  if (type === ETHERTYPE_ARP) {
    if (len >= d.net + 28) d.family = 'arp';
  } else if (type === ETHERTYPE_IPV4) {
    d.family = 'ip';
    d.proto = get8(b, d.net + 9);
    const hdrLen = (get8(b, d.net) & 0xf) << 2;
    if (hdrLen >= 20 && (get16(b, d.net + 6) & 0x1fff) === 0) d.transport = d.net + hdrLen;
  } else if (type === ETHERTYPE_IPV6 && len >= d.net + IP6_HDR_LEN) {
    d.family = 'ip6';
    d.proto = get8(b, d.net + 6);
    d.transport = d.net + IP6_HDR_LEN;
  }
}

function isProto(d: Dissected, proto: ProtoName | number): boolean {
  if (typeof proto === 'number') return d.proto === proto;
  return proto === d.family || (d.proto >= 0 && PROTO_NUMBERS.get(proto) === d.proto);
}

function hasPort(d: Dissected, b: Uint8Array, len: number, port: number): boolean {
  if ((d.proto !== IPPROTO_TCP && d.proto !== IPPROTO_UDP) || d.transport < 0 || len < d.transport + 4) return false;
  return get16(b, d.transport) === port || get16(b, d.transport + 2) === port;
}

function hasHost(d: Dissected, b: Uint8Array, host: IpAddr): boolean {
  if (d.family === 'ip6') return !isV4(host) && (isAddr6(b, d.net + 8, host) || isAddr6(b, d.net + 24, host));
  if (!isV4(host)) return false;
  if (d.family === 'ip') return get32(b, d.net + 12) === host.w3 || get32(b, d.net + 16) === host.w3;
  return d.family === 'arp' && (get32(b, d.net + 14) === host.w3 || get32(b, d.net + 24) === host.w3);
}

function isAddr6(b: Uint8Array, o: number, { w0, w1, w2, w3 }: IpAddr): boolean {
  return get32(b, o) === w0 && get32(b, o + 4) === w1 && get32(b, o + 8) === w2 && get32(b, o + 12) === w3;
}
