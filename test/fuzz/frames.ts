/** Valid frames of every kind a stack can meet, and the classic hostile ones, from a host to the stack under test. */
import { ipv4 } from '../../src/wire/addr.ts';
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, putArp } from '../../src/wire/arp.ts';
import { complement, pseudoSum, sum16 } from '../../src/wire/checksum.ts';
import { put16, put32 } from '../../src/wire/bytes.ts';
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHER_BROADCAST,
  ETHER_HDR_LEN,
  putEther,
} from '../../src/wire/ethernet.ts';
import { putIcmpSum } from '../../src/wire/icmp.ts';
import { IPPROTO_ICMP, IPPROTO_IGMP, IPPROTO_TCP, IPPROTO_UDP, IP_DF, IP_MF, putIpSum, putIpv4 } from '../../src/wire/ipv4.ts';
import { TH_ACK, TH_FIN, TH_PUSH, TH_RST, TH_SYN, TH_URG, putTcp } from '../../src/wire/tcp.ts';
import { putUdp } from '../../src/wire/udp.ts';

export const STACK_IP = 0x0a000002;
export const HOST_IP = 0x0a000001;
export const STACK_MAC: Readonly<Uint8Array> = Uint8Array.of(2, 0, 0, 0, 0, 2);
export const HOST_MAC: Readonly<Uint8Array> = Uint8Array.of(2, 0, 0, 0, 0, 1);
const NO_MAC: Readonly<Uint8Array> = new Uint8Array(6);

export interface IpFields {
  src?: number;
  dst?: number;
  id?: number;
  /** Flags and fragment offset. */
  off?: number;
  ttl?: number;
  /** Options, a multiple of four bytes. */
  options?: readonly number[];
  dstMac?: Readonly<Uint8Array>;
}

export function ether(type: number, payload: Uint8Array, dst: Readonly<Uint8Array> = STACK_MAC): Uint8Array {
  const frame = new Uint8Array(ETHER_HDR_LEN + payload.length);
  putEther(frame, 0, dst, HOST_MAC, type);
  frame.set(payload, ETHER_HDR_LEN);
  return frame;
}

export function ip(proto: number, payload: Uint8Array, f: IpFields = {}): Uint8Array {
  const options = f.options ?? [];
  const hdr = 20 + options.length;
  const packet = new Uint8Array(hdr + payload.length);
  putIpv4(packet, 0, packet.length, f.id ?? 1, f.off ?? 0, 0, f.ttl ?? 64, proto, f.src ?? HOST_IP, f.dst ?? STACK_IP);
  packet[0] = 0x40 | (hdr >> 2);
  packet.set(options, 20);
  putIpSum(packet, 0, hdr);
  packet.set(payload, hdr);
  return ether(ETHERTYPE_IPV4, packet, f.dstMac ?? STACK_MAC);
}

export function arp(
  oper: number,
  spa: number,
  tpa: number,
  dst: Readonly<Uint8Array> = ETHER_BROADCAST,
  sha = HOST_MAC,
): Uint8Array {
  const packet = new Uint8Array(ARP_LEN + 18);
  putArp(packet, 0, oper, sha, spa, oper === ARP_REQUEST ? NO_MAC : STACK_MAC, tpa);
  return ether(ETHERTYPE_ARP, packet, dst);
}

export function icmp(type: number, code: number, rest: Uint8Array): Uint8Array {
  const message = new Uint8Array(4 + rest.length);
  message[0] = type;
  message[1] = code;
  message.set(rest, 4);
  putIcmpSum(message, 0, message.length);
  return message;
}

export function echo(id: number, seq: number, n: number): Uint8Array {
  const rest = new Uint8Array(4 + n).fill(0x5a);
  put16(rest, 0, id);
  put16(rest, 2, seq);
  return icmp(8, 0, rest);
}

export function udp(sport: number, dport: number, data: Uint8Array, f: IpFields & { nosum?: boolean } = {}): Uint8Array {
  const d = new Uint8Array(8 + data.length);
  putUdp(d, 0, sport, dport, d.length, 0);
  d.set(data, 8);
  const sum = sum16(d, 0, d.length, pseudoSum(ipv4(f.src ?? HOST_IP), ipv4(f.dst ?? STACK_IP), IPPROTO_UDP, d.length));
  if (f.nosum !== true) put16(d, 6, complement(sum) || 0xffff);
  return ip(IPPROTO_UDP, d, f);
}

export interface TcpFields extends IpFields {
  seq?: number;
  ack?: number;
  win?: number;
  urp?: number;
  opts?: readonly number[];
  data?: Uint8Array;
}

export function tcp(sport: number, dport: number, flags: number, f: TcpFields = {}): Uint8Array {
  const opts = f.opts ?? [];
  const data = f.data ?? new Uint8Array(0);
  const hdr = 20 + opts.length;
  const seg = new Uint8Array(hdr + data.length);
  putTcp(seg, 0, sport, dport, f.seq ?? 1000, f.ack ?? 0, hdr, flags, f.win ?? 65535);
  put16(seg, 18, f.urp ?? 0);
  seg.set(opts, 20);
  seg.set(data, hdr);
  put16(
    seg,
    16,
    complement(sum16(seg, 0, seg.length, pseudoSum(ipv4(f.src ?? HOST_IP), ipv4(f.dst ?? STACK_IP), IPPROTO_TCP, seg.length))),
  );
  return ip(IPPROTO_TCP, seg, f);
}

const SYN_OPTIONS = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
const TSTAMP = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 1];
const SACK = [1, 1, 5, 10, 0, 0, 4, 0, 0, 0, 8, 0];

/** An IGMP query about `group`, to all hosts; `rest` is what version 3 has behind it. */
function igmpQuery(rest: readonly number[], group: number): Uint8Array {
  const message = new Uint8Array(8 + rest.length);
  message.set([0x11, 100]);
  put32(message, 4, group);
  message.set(rest, 8);
  put16(message, 2, complement(sum16(message, 0, message.length, 0)));
  const dst = 0xe0000001 | 0;
  return ip(IPPROTO_IGMP, message, { dst, dstMac: Uint8Array.of(1, 0, 0x5e, 0, 0, 1), ttl: 1, options: [0x94, 4, 0, 0] });
}

/** The quotation in an ICMP error: a packet that the stack might have sent. */
function quoted(proto: number, sport: number, dport: number): Uint8Array {
  const q = new Uint8Array(4 + 28);
  putIpv4(q, 4, 60, 7, IP_DF, 0, 64, proto, STACK_IP, HOST_IP);
  put16(q, 24, sport);
  put16(q, 26, dport);
  put32(q, 28, 1000);
  return q;
}

/** One of each. `open` is a listening TCP port and a bound UDP port of the stack; 9 is closed. */
export function validFrames(open: number): Uint8Array[] {
  const data = new Uint8Array(100).fill(0x41);
  const frames = [
    arp(ARP_REQUEST, HOST_IP, STACK_IP),
    arp(ARP_REQUEST, HOST_IP, 0x0a000063),
    arp(ARP_REPLY, HOST_IP, STACK_IP, STACK_MAC),
    // Gratuitous, and one that claims the stack's own address.
    arp(ARP_REQUEST, HOST_IP, HOST_IP),
    arp(ARP_REPLY, STACK_IP, STACK_IP),
    // A probe (RFC 5227).
    arp(ARP_REQUEST, 0, STACK_IP),
    ip(IPPROTO_ICMP, echo(1, 1, 0)),
    ip(IPPROTO_ICMP, echo(1, 2, 56)),
    ip(IPPROTO_ICMP, echo(1, 3, 1400)),
    ip(IPPROTO_ICMP, echo(1, 4, 56), { dst: 0x0a0000ff, dstMac: ETHER_BROADCAST }),
    ip(IPPROTO_ICMP, icmp(0, 0, new Uint8Array(12))),
    ip(IPPROTO_ICMP, icmp(13, 0, new Uint8Array(16))),
    ip(IPPROTO_ICMP, icmp(5, 1, quoted(IPPROTO_UDP, open, 9))),
    ip(IPPROTO_ICMP, icmp(11, 1, quoted(IPPROTO_UDP, open, 9))),
    ip(IPPROTO_ICMP, icmp(12, 0, quoted(IPPROTO_TCP, open, 9))),
    udp(4000, open, data),
    udp(4000, 9, data),
    udp(4000, open, data, { nosum: true }),
    udp(4000, open, new Uint8Array(0)),
    udp(4000, open, data, { dst: -1, dstMac: ETHER_BROADCAST }),
    udp(4000, open, data, { options: [0x94, 4, 0, 0] }),
    udp(4000, open, data, { options: [0x44, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0] }),
    udp(4000, open, data, { options: [0x83, 7, 4, 10, 0, 0, 9, 0] }),
    udp(4000, open, data, { src: -1 }),
    udp(4000, open, data, { src: 0x7f000001 }),
    udp(4000, open, data, { src: 0xe0000001 | 0 }),
    udp(4000, open, data, { ttl: 0 }),
    udp(4000, open, data, { dst: 0xe0000001 | 0, dstMac: Uint8Array.of(1, 0, 0x5e, 0, 0, 1) }),
    tcp(5000, open, TH_SYN),
    tcp(5001, open, TH_SYN, { opts: SYN_OPTIONS }),
    tcp(5002, 9, TH_SYN, { opts: SYN_OPTIONS }),
    tcp(5000, open, TH_ACK, { seq: 1001, ack: 1 }),
    tcp(5000, open, TH_ACK | TH_PUSH, { seq: 1001, ack: 1, data, opts: TSTAMP }),
    tcp(5000, open, TH_ACK, { seq: 1001, ack: 1, opts: SACK }),
    tcp(5000, open, TH_ACK | TH_FIN, { seq: 1101, ack: 1 }),
    tcp(5000, open, TH_RST, { seq: 1001 }),
    tcp(5000, open, TH_RST | TH_ACK, { seq: 1001, ack: 1 }),
    // Land: from itself to itself. Xmas: all flags. Null: none. SYN with FIN, with RST, with data.
    tcp(open, open, TH_SYN, { src: STACK_IP }),
    tcp(5003, open, 0xff, { urp: 7, data }),
    tcp(5003, open, 0),
    tcp(5003, open, TH_SYN | TH_FIN),
    tcp(5003, open, TH_SYN | TH_RST),
    tcp(5003, open, TH_SYN, { data }),
    tcp(5003, open, TH_ACK | TH_URG, { seq: 1001, ack: 1, urp: 65535, data }),
    tcp(5003, open, TH_SYN, { src: 0x0a0000ff, opts: SYN_OPTIONS }),
    tcp(0, open, TH_SYN),
    tcp(5003, 0, TH_SYN),
    tcp(5003, open, TH_SYN, { dst: 0x0a0000ff, dstMac: ETHER_BROADCAST }),
    tcp(5003, open, TH_SYN, { opts: [2, 4, 0, 0] }),
    tcp(5003, open, TH_SYN, { opts: [2, 0, 0, 0] }),
    tcp(5003, open, TH_SYN, { opts: [3, 3, 255, 1] }),
    tcp(5003, open, TH_SYN, { opts: [8, 40, 1, 1] }),
    ip(IPPROTO_IGMP, new Uint8Array(8)),
    igmpQuery([], 0),
    igmpQuery([2, 0, 0, 0], 0),
    igmpQuery([2, 0, 0, 1, 10, 0, 0, 1], 0xef010203 | 0),
    ip(IPPROTO_ICMP, echo(1, 5, 8), { options: [7, 11, 8, 192, 0, 2, 1, 0, 0, 0, 0, 0] }),
    ip(IPPROTO_ICMP, echo(1, 6, 8), { options: [0x44, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0] }),
    ip(132, new Uint8Array(40)),
    ip(255, new Uint8Array(1)),
    ether(ETHERTYPE_IPV6, new Uint8Array(40).fill(0x60)),
    ether(0x88cc, new Uint8Array(50)),
    ether(0x0026, new Uint8Array(38)),
  ];
  for (let code = 0; code < 5; code++) {
    frames.push(
      ip(IPPROTO_ICMP, icmp(3, code, quoted(IPPROTO_UDP, open, 9))),
      ip(IPPROTO_ICMP, icmp(3, code, quoted(IPPROTO_TCP, open, 5000))),
    );
  }
  return [...frames, ...fragments(open)];
}

/** Fragments: in order, overlapping, too far out, tiny, without an end. */
function fragments(open: number): Uint8Array[] {
  const whole = udp(4000, open, new Uint8Array(3000).fill(0x42)).subarray(ETHER_HDR_LEN + 20);
  const piece = (id: number, from: number, to: number, more: boolean) =>
    ip(IPPROTO_UDP, whole.slice(from, to), { id, off: (more ? IP_MF : 0) | (from >> 3) });
  return [
    piece(10, 0, 1480, true),
    piece(10, 1480, 2960, true),
    piece(10, 2960, 3008, false),
    piece(11, 1480, 3008, false),
    piece(11, 0, 1480, true),
    piece(12, 0, 1480, true),
    piece(12, 800, 2280, true),
    piece(13, 0, 8, true),
    piece(13, 8, 16, true),
    piece(14, 0, 1477, true),
    ip(IPPROTO_UDP, whole.slice(0, 1480), { id: 15, off: 0x1fff }),
    ip(IPPROTO_UDP, whole.slice(0, 1480), { id: 16, off: IP_MF | 0x1fff }),
    ip(IPPROTO_UDP, whole.slice(0, 8), { id: 17, off: IP_DF | IP_MF }),
    ip(IPPROTO_TCP, whole.slice(0, 8), { id: 18, off: IP_MF }),
    ip(IPPROTO_UDP, new Uint8Array(0), { id: 19, off: IP_MF | 1 }),
  ];
}
