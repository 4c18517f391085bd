/**
 * Which frames a capture wants, read from the frame's own bytes: an expression in the terms of pcap-filter(7), as data. The length of each
 * header is checked, and a frame that ends in front of what is asked about is not wanted, whatever `not` stands around the question: as
 * in bpf(4), where a load beyond the end rejects the packet.
 */
import { type IpAddr, isV4 } from '../wire/addr.ts';
import { get16, get32, get8 } from '../wire/bytes.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHER_HDR_LEN } from '../wire/ethernet.ts';
import { IPPROTO_TCP, IPPROTO_UDP, IP_HDR_LEN, IP_OFF, IP_OFFMASK, IP_PROTO } from '../wire/ipv4.ts';

const ETHERTYPE_IPV6 = 0x86dd;
const IP6_HDR_LEN = 40;
/** Bytes of a header of each family in which its addresses are. */
const ADDRS_LEN = { arp: 28, ip: IP_HDR_LEN, ip6: IP6_HDR_LEN } as const;
const ADDR_LEN = 6;
/** Bytes that a filter looks at, but for those that an expression names by number. */
export const FILTER_BYTES = 160;
/** The longest headers in front of what `bytes` may look at: Ethernet, IP, TCP. */
export const HEADERS_MAX = ETHER_HDR_LEN + 60 + 60;

export const PROTO_NAMES = ['arp', 'ip', 'ip6', 'icmp', 'icmp6', 'igmp', 'tcp', 'udp'] as const;
export type ProtoName = (typeof PROTO_NAMES)[number];
export const WAYS = ['either', 'src', 'dst', 'both'] as const;
export type Way = (typeof WAYS)[number];
export const FAMILIES = ['any', 'ip', 'ip6', 'arp'] as const;
export const GROUPS = ['broadcast', 'multicast', 'ip multicast'] as const;
export const HEADERS = ['ether', 'ip', 'ip6', 'arp', 'icmp', 'tcp', 'udp'] as const;
export const COMPARISONS = ['=', '!=', '<', '>', '<=', '>='] as const;

/** What a frame must be. Of addresses and ports: which end. */
export type FrameExpr =
  | { readonly kind: 'and' | 'or'; readonly of: readonly FrameExpr[] }
  | { readonly kind: 'not'; readonly of: FrameExpr }
  | { readonly kind: 'proto'; readonly proto: ProtoName | number }
  | { readonly kind: 'ethertype'; readonly type: number }
  | {
      readonly kind: 'net';
      readonly addr: IpAddr;
      readonly bits: number;
      readonly way: Way;
      readonly family: (typeof FAMILIES)[number];
    }
  | {
      readonly kind: 'port';
      readonly from: number;
      readonly to: number;
      readonly way: Way;
      readonly proto: 'any' | 'tcp' | 'udp';
    }
  | { readonly kind: 'lladdr'; readonly lladdr: Uint8Array; readonly way: Way }
  | { readonly kind: 'group'; readonly group: (typeof GROUPS)[number] }
  | { readonly kind: 'len'; readonly min: number; readonly max: number }
  | { readonly kind: 'direction'; readonly dir: 'in' | 'out' }
  | {
      readonly kind: 'bytes';
      readonly of: (typeof HEADERS)[number];
      readonly at: number;
      readonly size: 1 | 2 | 4;
      readonly mask: number;
      readonly op: (typeof COMPARISONS)[number];
      readonly value: number;
    };

/** `len`: on the link; of which [0, caplen) of `bytes` is here. */
export type FrameFilter = (bytes: Uint8Array, caplen: number, len: number, dir: 'in' | 'out' | null) => boolean;

/** A frame, as far as filters ask. Filled in again for each. */
class Dissected {
  bytes: Uint8Array = new Uint8Array(0);
  caplen = 0;
  len = 0;
  dir: 'in' | 'out' | null = null;
  ethernet = true;
  /** Of Ethernet; -1: there is none. */
  type = -1;
  family: 'arp' | 'ip' | 'ip6' | '' = '';
  proto = -1;
  /** The network header, and where the transport's begins; -1: not in this frame (a later fragment, a strange header). */
  net = 0;
  transport = -1;
  /** It ends in front of something that was asked about. */
  short = false;
}

type Test = (d: Dissected) => boolean;

const PROTO_NUMBERS: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['igmp', 2],
  ['tcp', IPPROTO_TCP],
  ['udp', IPPROTO_UDP],
  ['icmp6', 58],
]);

/** A function that answers whether a frame is wanted. */
export function compileFilter(expr: FrameExpr, ethernet: boolean): FrameFilter {
  const d = new Dissected();
  d.ethernet = ethernet;
  const test = compile(expr);
  return (bytes, caplen, len, dir) => {
    d.bytes = bytes;
    d.caplen = caplen;
    d.len = len;
    d.dir = dir;
    dissect(d, bytes, caplen);
    return test(d) && !d.short;
  };
}

function compile(expr: FrameExpr): Test {
  switch (expr.kind) {
    case 'and': {
      const tests = expr.of.map(compile);
      return (d) => tests.every((test) => test(d));
    }
    case 'or': {
      const tests = expr.of.map(compile);
      return (d) => tests.some((test) => test(d));
    }
    case 'not': {
      const test = compile(expr.of);
      return (d) => !test(d);
    }
    case 'proto':
      return (d) => isProto(d, expr.proto);
    case 'ethertype':
      return ({ type }) => type === expr.type;
    case 'net':
      return (d) => isOfNet(d, expr);
    case 'port':
      return (d) => hasPort(d, expr);
    case 'lladdr':
      return (d) => hasLladdr(d, expr.lladdr, expr.way);
    case 'group':
      return (d) => isGroup(d, expr.group);
    case 'len':
      return ({ len }) => len >= expr.min && len <= expr.max;
    case 'direction':
      return ({ dir }) => dir === expr.dir;
    case 'bytes':
      return (d) => compare(d, expr);
  }
}

function dissect(d: Dissected, b: Uint8Array, len: number): void {
  d.family = '';
  d.short = false;
  d.type = d.proto = d.transport = -1;
  d.net = d.ethernet ? ETHER_HDR_LEN : 0;
  if (len < d.net + (d.ethernet ? 0 : 1)) return;
  if (d.ethernet) d.type = get16(b, 12);
  const type = d.ethernet ? d.type : get8(b, 0) >>> 4 === 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
  if (type === ETHERTYPE_ARP) d.family = 'arp';
  else if (type === ETHERTYPE_IPV4) {
    d.family = 'ip';
    if (len < d.net + IP_HDR_LEN) return;
    d.proto = get8(b, d.net + IP_PROTO);
    const hdrLen = (get8(b, d.net) & 0xf) << 2;
    if (hdrLen >= IP_HDR_LEN && (get16(b, d.net + IP_OFF) & IP_OFFMASK) === 0) d.transport = d.net + hdrLen;
  } else if (type === ETHERTYPE_IPV6) {
    d.family = 'ip6';
    if (len < d.net + IP6_HDR_LEN) return;
    d.proto = get8(b, d.net + 6);
    d.transport = d.net + IP6_HDR_LEN;
  }
}

function isProto(d: Dissected, proto: ProtoName | number): boolean {
  if (proto === 'arp' || proto === 'ip' || proto === 'ip6') return d.family === proto;
  return protoOf(d) === (typeof proto === 'number' ? proto : PROTO_NUMBERS.get(proto));
}

/** The protocol above IP; -1: there is none. */
function protoOf(d: Dissected): number {
  if (d.proto < 0 && (d.family === 'ip' || d.family === 'ip6')) d.short = true;
  return d.proto;
}

/** Does a frame reach so far? One that does not is not wanted. */
function reaches(d: Dissected, end: number): boolean {
  if (d.caplen < end) d.short = true;
  return d.caplen >= end;
}

function ends(way: Way, src: boolean, dst: boolean): boolean {
  if (way === 'src') return src;
  if (way === 'dst') return dst;
  return way === 'both' ? src && dst : src || dst;
}

function hasPort(d: Dissected, { from, to, way, proto }: Extract<FrameExpr, { kind: 'port' }>): boolean {
  const number = protoOf(d);
  if (number !== IPPROTO_TCP && number !== IPPROTO_UDP) return false;
  if (proto !== 'any' && PROTO_NUMBERS.get(proto) !== number) return false;
  if (d.transport < 0 || !reaches(d, d.transport + 4)) return false;
  const src = get16(d.bytes, d.transport);
  const dst = get16(d.bytes, d.transport + 2);
  return ends(way, src >= from && src <= to, dst >= from && dst <= to);
}

function isOfNet(d: Dissected, expr: Extract<FrameExpr, { kind: 'net' }>): boolean {
  const { family, bytes, net } = d;
  const { addr, bits, way } = expr;
  if (family === '' || (expr.family !== 'any' && expr.family !== family)) return false;
  if (isV4(addr) === (family === 'ip6') || !reaches(d, net + ADDRS_LEN[family])) return false;
  if (family === 'ip6') return ends(way, isIn6(bytes, net + 8, addr, bits), isIn6(bytes, net + 24, addr, bits));
  const mask = maskOf(bits);
  const [src, dst] = family === 'ip' ? [net + 12, net + 16] : [net + 14, net + 24];
  return ends(way, ((get32(bytes, src) ^ addr.w3) & mask) === 0, ((get32(bytes, dst) ^ addr.w3) & mask) === 0);
}

/** The upper `bits` of a word. */
function maskOf(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}

function isIn6(b: Uint8Array, o: number, { w0, w1, w2, w3 }: IpAddr, bits: number): boolean {
  return (
    ((get32(b, o) ^ w0) & maskOf(bits)) === 0 &&
    ((get32(b, o + 4) ^ w1) & maskOf(bits - 32)) === 0 &&
    ((get32(b, o + 8) ^ w2) & maskOf(bits - 64)) === 0 &&
    ((get32(b, o + 12) ^ w3) & maskOf(bits - 96)) === 0
  );
}

function hasLladdr({ ethernet, bytes, caplen }: Dissected, lladdr: Uint8Array, way: Way): boolean {
  if (!ethernet || caplen < ETHER_HDR_LEN) return false;
  const is = (at: number): boolean => lladdr.every((byte, i) => bytes[at + i] === byte);
  return ends(way, is(ADDR_LEN), is(0));
}

function isGroup(d: Dissected, group: (typeof GROUPS)[number]): boolean {
  const { ethernet, bytes, caplen, family, net } = d;
  if (group === 'ip multicast') return family === 'ip' && reaches(d, net + IP_HDR_LEN) && get8(bytes, net + 16) >>> 4 === 0xe;
  if (!ethernet || caplen < ETHER_HDR_LEN || (get8(bytes, 0) & 1) === 0) return false;
  // As in pcap-filter, all ones are for a group too.
  return group === 'multicast' || bytes.subarray(0, ADDR_LEN).every((byte) => byte === 0xff);
}

function compare(d: Dissected, { of, at, size, mask, op, value }: Extract<FrameExpr, { kind: 'bytes' }>): boolean {
  const from = baseOf(d, of);
  if (from < 0 || !reaches(d, from + at + size)) return false;
  const o = from + at;
  const raw = size === 1 ? get8(d.bytes, o) : size === 2 ? get16(d.bytes, o) : get32(d.bytes, o);
  const n = (raw & mask) >>> 0;
  switch (op) {
    case '=':
      return n === value;
    case '!=':
      return n !== value;
    case '<':
      return n < value;
    case '>':
      return n > value;
    case '<=':
      return n <= value;
    case '>=':
      return n >= value;
  }
}

/** Where a header begins; -1: this frame has none. */
function baseOf(d: Dissected, of: (typeof HEADERS)[number]): number {
  if (of === 'ether') return d.ethernet ? 0 : -1;
  if (of === 'ip' || of === 'ip6' || of === 'arp') return d.family === of ? d.net : -1;
  return PROTO_NUMBERS.get(of) === protoOf(d) ? d.transport : -1;
}
