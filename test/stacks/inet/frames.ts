/** Frames as bytes for the tests of the network layer: built field by field, so that each can be wrong; and read back. */
import { ipv4 } from '../../../src/wire/addr.ts';
import { parseAddr } from '../../../src/wire/addrtext.ts';
import { putArp } from '../../../src/wire/arp.ts';
import { complement, pseudoSum, sum16 } from '../../../src/wire/checksum.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, macToString, parseMac, putEther } from '../../../src/wire/ethernet.ts';
import { putIpSum } from '../../../src/wire/ipv4.ts';

export const OUR_MAC = parseMac('02:00:00:00:00:02')!;
export const PEER_MAC = parseMac('02:00:00:00:00:01')!;
export const BCAST_MAC = parseMac('ff:ff:ff:ff:ff:ff')!;
export const NO_MAC = new Uint8Array(6);
export const OUR_IP = '10.0.0.2';
export const PEER_IP = '10.0.0.1';

/** An IPv4 address as a word. */
export const word = (text: string): number => parseAddr(text)!.w3;
export const text = (w: number): string => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255].join('.');
export const bytesOf = (s: string): Uint8Array => Uint8Array.from(Buffer.from(s, 'latin1'));
export const stringOf = (b: Uint8Array): string => Buffer.from(b).toString('latin1');
/** `n` bytes that differ from place to place. */
export const pattern = (n: number, salt = 0): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (i * 31 + (i >> 8) * 7 + salt) & 255);

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

export function ether(payload: Uint8Array, options: { dst?: Uint8Array; src?: Uint8Array; type?: number } = {}): Uint8Array {
  const { dst = OUR_MAC, src = PEER_MAC, type = ETHERTYPE_IPV4 } = options;
  const header = new Uint8Array(14);
  putEther(header, 0, dst, src, type);
  return concat(header, payload);
}

export interface ArpFields {
  oper?: number;
  sha?: Uint8Array;
  spa?: string;
  tha?: Uint8Array;
  tpa?: string;
  dst?: Uint8Array;
  patch?: (arp: Uint8Array) => void;
}

/** An ARP frame; by default the peer asks for us. */
export function arp(fields: ArpFields = {}): Uint8Array {
  const { oper = 1, sha = PEER_MAC, spa = PEER_IP, tha = NO_MAC, tpa = OUR_IP, dst = BCAST_MAC, patch } = fields;
  const body = new Uint8Array(28);
  putArp(body, 0, oper, sha, word(spa), tha, word(tpa));
  patch?.(body);
  return ether(body, { dst, src: sha, type: ETHERTYPE_ARP });
}

export interface ReadArp {
  to: string;
  oper: number;
  sha: string;
  spa: string;
  tha: string;
  tpa: string;
}

export function readArp(frame: Uint8Array): ReadArp {
  const b = Buffer.from(frame);
  return {
    to: macToString(frame.subarray(0, 6)),
    oper: b.readUInt16BE(20),
    sha: macToString(frame.subarray(22, 28)),
    spa: text(b.readUInt32BE(28)),
    tha: macToString(frame.subarray(32, 38)),
    tpa: text(b.readUInt32BE(38)),
  };
}

/** The ARP packets among these frames. */
export const arps = (frames: Uint8Array[]): ReadArp[] => frames.filter((f) => typeOf(f) === ETHERTYPE_ARP).map(readArp);

export interface IpFields {
  src?: string;
  dst?: string;
  proto?: number;
  id?: number;
  /** Offset in bytes, and flags. */
  off?: number;
  mf?: boolean;
  df?: boolean;
  ttl?: number;
  tos?: number;
  options?: readonly number[];
  /** Changes the header after everything else but the checksum; or the checksum too. */
  patch?: (header: Uint8Array) => void;
  patchSum?: (header: Uint8Array) => void;
}

export function ip(payload: Uint8Array, fields: IpFields = {}): Uint8Array {
  const {
    src = PEER_IP,
    dst = OUR_IP,
    proto = 17,
    id = 1,
    off = 0,
    mf = false,
    df = false,
    ttl = 64,
    tos = 0,
    options = [],
  } = fields;
  const hdr = Buffer.alloc(20 + options.length);
  hdr[0] = 0x40 | (hdr.length >> 2);
  hdr[1] = tos;
  hdr.writeUInt16BE((hdr.length + payload.length) & 0xffff, 2);
  hdr.writeUInt16BE(id, 4);
  hdr.writeUInt16BE((off >> 3) | (mf ? 0x2000 : 0) | (df ? 0x4000 : 0), 6);
  hdr[8] = ttl;
  hdr[9] = proto;
  hdr.writeInt32BE(word(src), 12);
  hdr.writeInt32BE(word(dst), 16);
  hdr.set(options, 20);
  fields.patch?.(hdr);
  putIpSum(hdr, 0, hdr.length);
  fields.patchSum?.(hdr);
  return concat(hdr, payload);
}

export interface UdpFields {
  sport?: number;
  dport?: number;
  src?: string;
  dst?: string;
  /** `none` sends 0. */
  sum?: 'good' | 'bad' | 'none';
  len?: number;
}

export function udp(data: Uint8Array, fields: UdpFields = {}): Uint8Array {
  const { sport = 5000, dport = 7, src = PEER_IP, dst = OUR_IP, sum = 'good' } = fields;
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sport, 0);
  header.writeUInt16BE(dport, 2);
  header.writeUInt16BE(fields.len ?? 8 + data.length, 4);
  const whole = concat(header, data);
  if (sum !== 'none') {
    const pseudo = pseudoSum(ipv4(word(src)), ipv4(word(dst)), 17, whole.length);
    const good = complement(sum16(whole, 0, whole.length, pseudo)) || 0xffff;
    Buffer.from(whole.buffer).writeUInt16BE(sum === 'good' ? good : good ^ 0x0101, 6);
  }
  return whole;
}

/** A whole UDP frame from the peer. */
export function udpFrame(data: Uint8Array, fields: UdpFields = {}, ipFields: IpFields = {}): Uint8Array {
  const { src = PEER_IP, dst = OUR_IP } = fields;
  return ether(ip(udp(data, fields), { src, dst, ...ipFields }));
}

export function icmp(type: number, code: number, rest: number, data: Uint8Array, badSum = false): Uint8Array {
  const header = Buffer.alloc(8);
  header[0] = type;
  header[1] = code;
  header.writeInt32BE(rest | 0, 4);
  const whole = concat(header, data);
  const sum = complement(sum16(whole, 0, whole.length, 0));
  Buffer.from(whole.buffer).writeUInt16BE(badSum ? sum ^ 0x0101 : sum, 2);
  return whole;
}

export function ping(data: Uint8Array, fields: IpFields = {}, id = 0x1234, seq = 1): Uint8Array {
  return ether(ip(icmp(8, 0, (id << 16) | seq, data), { proto: 1, ...fields }));
}

/** Cuts an IP packet without options as a router does. */
export function cut(packet: Uint8Array, mtu: number): Uint8Array[] {
  const step = (mtu - 20) & ~7;
  const pieces: Uint8Array[] = [];
  for (let at = 20; at < packet.length; at += step) {
    const end = Math.min(packet.length, at + step);
    const header = Buffer.from(packet.subarray(0, 20));
    header.writeUInt16BE(20 + end - at, 2);
    header.writeUInt16BE(((at - 20) >> 3) | (end < packet.length ? 0x2000 : 0), 6);
    putIpSum(header, 0, 20);
    pieces.push(concat(header, packet.subarray(at, end)));
  }
  return pieces;
}

export interface ReadIp {
  src: string;
  dst: string;
  proto: number;
  id: number;
  off: number;
  mf: boolean;
  df: boolean;
  ttl: number;
  tos: number;
  len: number;
  sumOk: boolean;
  data: Uint8Array;
}

/** Reads an IP packet. */
export function readIp(packet: Uint8Array): ReadIp {
  const b = Buffer.from(packet);
  const hdr = (b[0]! & 15) * 4;
  const word6 = b.readUInt16BE(6);
  return {
    src: text(b.readUInt32BE(12)),
    dst: text(b.readUInt32BE(16)),
    proto: b[9]!,
    id: b.readUInt16BE(4),
    off: (word6 & 0x1fff) * 8,
    mf: (word6 & 0x2000) !== 0,
    df: (word6 & 0x4000) !== 0,
    ttl: b[8]!,
    tos: b[1]!,
    len: b.readUInt16BE(2),
    sumOk: sum16(packet, 0, hdr, 0) === 0xffff,
    data: packet.subarray(hdr, b.readUInt16BE(2)),
  };
}

/** Reads the IP packet in an Ethernet frame. */
export function ipOf(frame: Uint8Array): ReadIp {
  return readIp(frame.subarray(14));
}

export function typeOf(frame: Uint8Array): number {
  return Buffer.from(frame).readUInt16BE(12);
}

/** Puts fragments of one datagram together in the order they came; fails on a hole. */
export function join(frames: readonly Uint8Array[]): Uint8Array {
  const pieces = frames.map(ipOf).sort((a, b) => a.off - b.off);
  let at = 0;
  for (const piece of pieces) {
    if (piece.off !== at) throw new Error(`hole at ${at}`);
    at += piece.data.length;
  }
  if (pieces[pieces.length - 1]?.mf !== false) throw new Error('no last fragment');
  return concat(...pieces.map((piece) => piece.data));
}

export function udpSumOk(packet: ReadIp, udpBytes: Uint8Array): boolean {
  const pseudo = pseudoSum(ipv4(word(packet.src)), ipv4(word(packet.dst)), 17, udpBytes.length);
  return sum16(udpBytes, 0, udpBytes.length, pseudo) === 0xffff;
}
