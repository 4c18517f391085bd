/**
 * Frames of the scripts' packets: built from numbers as they are on the wire, and read back with every length and checksum verified. A
 * stack's frame that is not in order is told of in words, because it is the stack's mistake.
 */
import { complement, pseudoSum, sum16 } from '../wire/checksum.ts';
import { ETHERTYPE_IPV4, ETHER_HDR_LEN, etherType, putEther } from '../wire/ethernet.ts';
import { ICMP_HDR_LEN, putIcmpSum } from '../wire/icmp.ts';
import {
  DEFAULT_TTL,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IP_DF,
  IP_HDR_LEN,
  IP_OFF,
  IP_PROTO,
  IP_TOS,
  IP_TTL,
  ipDst,
  ipHdrLen,
  ipLen,
  ipSrc,
  ipSumOk,
  putIpv4,
} from '../wire/ipv4.ts';
import { ipv4 } from '../wire/addr.ts';
import { get16, get32, get8, put16, put32 } from '../wire/bytes.ts';
import {
  TCPOPT_ACCECN0,
  TCPOPT_ACCECN1,
  TCPOPT_EOL,
  TCPOPT_FASTOPEN,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCPOPT_SACK_PERMITTED,
  TCPOPT_TIMESTAMP,
  TCPOPT_UTO,
  TCPOPT_WSCALE,
  TCP_HDR_LEN,
  TCP_SUM,
  TCP_URP,
  TCP_WIN,
  putTcp,
  tcpFlags,
  tcpHdrLen,
} from '../wire/tcp.ts';
import { UDP_HDR_LEN, putUdp } from '../wire/udp.ts';
import type { IcmpSpec, TcpOption } from './ast.ts';

/** Fast Open's experimental option (RFC 6994): kind 254 with this magic number. */
const FOEXP_KIND = 254;
const FOEXP_MAGIC = 0xf989;
/** The longest user timeout in seconds; longer ones go in minutes. */
const UTO_MAX = 0x7fff;

export interface Addresses {
  readonly localMac: Uint8Array;
  readonly remoteMac: Uint8Array;
  /** 32 bits each. */
  readonly local: number;
  readonly remote: number;
}

/** Numbers as they are on the wire. */
export interface LiveTcp {
  readonly proto: 'tcp';
  readonly sport: number;
  readonly dport: number;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly win: number;
  readonly urg: number;
  readonly options: readonly TcpOption[];
  readonly payload: Uint8Array;
}

export interface LiveUdp {
  readonly proto: 'udp';
  readonly sport: number;
  readonly dport: number;
  readonly payload: Uint8Array;
}

export interface LiveIcmp {
  readonly proto: 'icmp';
  readonly type: number;
  readonly code: number;
  /** The four bytes that depend on the type. */
  readonly rest: number;
  readonly payload: Uint8Array;
}

export type LiveBody = LiveTcp | LiveUdp | LiveIcmp;

export interface LivePacket {
  readonly tos: number;
  readonly ttl: number;
  readonly df: boolean;
  readonly body: LiveBody;
}

export function optionBytes(options: readonly TcpOption[]): Uint8Array {
  const out: number[] = [];
  const word = (v: number): void => void out.push((v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255);
  for (const o of options) {
    switch (o.kind) {
      case 'nop':
        out.push(TCPOPT_NOP);
        break;
      case 'eol':
        out.push(TCPOPT_EOL);
        break;
      case 'mss':
        out.push(TCPOPT_MSS, 4, (o.mss ?? 0) >> 8, (o.mss ?? 0) & 255);
        break;
      case 'wscale':
        out.push(TCPOPT_WSCALE, 3, o.shift ?? 0);
        break;
      case 'sackOK':
        out.push(TCPOPT_SACK_PERMITTED, 2);
        break;
      case 'ts':
        out.push(TCPOPT_TIMESTAMP, 10);
        word(o.val ?? 0);
        word(o.ecr ?? 0);
        break;
      case 'sack':
        out.push(TCPOPT_SACK, 2 + 8 * o.blocks.length);
        for (const [left, right] of o.blocks) {
          word(left);
          word(right);
        }
        break;
      case 'fo':
        out.push(TCPOPT_FASTOPEN, 2 + bytesOf(o.cookie).length, ...bytesOf(o.cookie));
        break;
      case 'foexp':
        out.push(FOEXP_KIND, 4 + bytesOf(o.cookie).length, FOEXP_MAGIC >> 8, FOEXP_MAGIC & 255, ...bytesOf(o.cookie));
        break;
      case 'accecn':
        out.push(o.order === 0 ? TCPOPT_ACCECN0 : TCPOPT_ACCECN1, 2 + 3 * o.fields.length);
        for (const v of o.fields) out.push((v >>> 16) & 255, (v >>> 8) & 255, v & 255);
        break;
      case 'uto': {
        const minutes = o.sec > UTO_MAX;
        const v = minutes ? 0x8000 | Math.floor(o.sec / 60) : o.sec;
        out.push(TCPOPT_UTO, 4, v >> 8, v & 255);
        break;
      }
      case 'raw':
        out.push(o.type, 2 + o.data.length, ...o.data);
        break;
    }
  }
  while (out.length % 4 !== 0) out.push(TCPOPT_EOL);
  return Uint8Array.from(out);
}

function bytesOf(cookie: Uint8Array | 'given' | null): Uint8Array {
  return cookie instanceof Uint8Array ? cookie : new Uint8Array(0);
}

/** What follows a bad length is given up; `eol` and what is behind it is padding. */
export function readOptions(b: Uint8Array): TcpOption[] {
  const out: TcpOption[] = [];
  for (let i = 0; i < b.length;) {
    const kind = get8(b, i);
    if (kind === TCPOPT_EOL) break;
    if (kind === TCPOPT_NOP) {
      out.push({ kind: 'nop' });
      i++;
      continue;
    }
    const len = get8(b, i + 1);
    if (len < 2 || i + len > b.length) throw new Error(`option ${kind} says length ${len} with ${b.length - i} bytes left`);
    out.push(readOption(b, i, kind, len));
    i += len;
  }
  return out;
}

function readOption(b: Uint8Array, i: number, kind: number, len: number): TcpOption {
  const data = b.slice(i + 2, i + len);
  if (kind === TCPOPT_MSS && len === 4) return { kind: 'mss', mss: get16(b, i + 2) };
  if (kind === TCPOPT_WSCALE && len === 3) return { kind: 'wscale', shift: get8(b, i + 2) };
  if (kind === TCPOPT_SACK_PERMITTED && len === 2) return { kind: 'sackOK' };
  if (kind === TCPOPT_TIMESTAMP && len === 10) return { kind: 'ts', val: get32(b, i + 2) >>> 0, ecr: get32(b, i + 6) >>> 0 };
  if (kind === TCPOPT_FASTOPEN) return { kind: 'fo', cookie: data };
  if ((kind === TCPOPT_ACCECN0 || kind === TCPOPT_ACCECN1) && [2, 5, 8, 11].includes(len)) {
    const fields: number[] = [];
    for (let k = 0; k < data.length; k += 3) fields.push((get8(data, k) << 16) | get16(data, k + 1));
    return { kind: 'accecn', order: kind === TCPOPT_ACCECN0 ? 0 : 1, fields };
  }
  if (kind === TCPOPT_UTO && len === 4) {
    const v = get16(b, i + 2);
    return { kind: 'uto', sec: (v & UTO_MAX) * ((v & 0x8000) !== 0 ? 60 : 1) };
  }
  if (kind === FOEXP_KIND && len >= 4 && get16(b, i + 2) === FOEXP_MAGIC) return { kind: 'foexp', cookie: data.slice(2) };
  if (kind === TCPOPT_SACK && len >= 10 && (len - 2) % 8 === 0) {
    const blocks: [number, number][] = [];
    for (let k = i + 2; k < i + len; k += 8) blocks.push([get32(b, k) >>> 0, get32(b, k + 4) >>> 0]);
    return { kind: 'sack', blocks };
  }
  return { kind: 'raw', type: kind, data };
}

/** The frame of a packet from the remote side. */
export function buildFrame(addrs: Addresses, packet: LivePacket): Uint8Array {
  const { body } = packet;
  const transport = buildTransport(addrs.remote, addrs.local, body);
  const frame = new Uint8Array(ETHER_HDR_LEN + IP_HDR_LEN + transport.length);
  putEther(frame, 0, addrs.localMac, addrs.remoteMac, ETHERTYPE_IPV4);
  const proto = body.proto === 'tcp' ? IPPROTO_TCP : body.proto === 'udp' ? IPPROTO_UDP : IPPROTO_ICMP;
  const off = packet.df ? IP_DF : 0;
  const len = IP_HDR_LEN + transport.length;
  putIpv4(frame, ETHER_HDR_LEN, len, 0, off, packet.tos, packet.ttl, proto, addrs.remote, addrs.local);
  frame.set(transport, ETHER_HDR_LEN + IP_HDR_LEN);
  return frame;
}

function buildTransport(src: number, dst: number, body: LiveBody): Uint8Array {
  if (body.proto === 'icmp') {
    const b = new Uint8Array(ICMP_HDR_LEN + body.payload.length);
    b[0] = body.type;
    b[1] = body.code;
    put32(b, 4, body.rest);
    b.set(body.payload, ICMP_HDR_LEN);
    putIcmpSum(b, 0, b.length);
    return b;
  }
  if (body.proto === 'udp') {
    const b = new Uint8Array(UDP_HDR_LEN + body.payload.length);
    putUdp(b, 0, body.sport, body.dport, b.length, 0);
    b.set(body.payload, UDP_HDR_LEN);
    put16(b, 6, transportSum(src, dst, IPPROTO_UDP, b) || 0xffff);
    return b;
  }
  const options = optionBytes(body.options);
  const hdrLen = TCP_HDR_LEN + options.length;
  const b = new Uint8Array(hdrLen + body.payload.length);
  putTcp(b, 0, body.sport, body.dport, body.seq, body.ack, hdrLen, body.flags, body.win);
  put16(b, TCP_URP, body.urg);
  b.set(options, TCP_HDR_LEN);
  b.set(body.payload, hdrLen);
  put16(b, TCP_SUM, transportSum(src, dst, IPPROTO_TCP, b));
  return b;
}

function transportSum(src: number, dst: number, proto: number, b: Uint8Array): number {
  return complement(sum16(b, 0, b.length, pseudoSum(ipv4(src), ipv4(dst), proto, b.length)));
}

/** Null for a frame that is no packet between the two; a sentence for one that is wrong. */
export function readFrame(addrs: Addresses, frame: Uint8Array): LivePacket | string | null {
  if (frame.length < ETHER_HDR_LEN + IP_HDR_LEN || etherType(frame, 0) !== ETHERTYPE_IPV4) return null;
  const ip = frame.subarray(ETHER_HDR_LEN);
  const hdrLen = ipHdrLen(ip, 0);
  const proto = get8(ip, IP_PROTO);
  if (ipDst(ip, 0) !== (addrs.remote | 0)) return null;
  if (ipSrc(ip, 0) !== (addrs.local | 0)) return 'a packet with another source address than --local_ip';
  if (hdrLen < IP_HDR_LEN || ipLen(ip, 0) > ip.length) return 'an IP header whose lengths do not fit';
  if (!ipSumOk(ip, 0, hdrLen)) return 'a wrong checksum of the IP header';
  const b = ip.subarray(hdrLen, ipLen(ip, 0));
  const body = readBody(addrs, proto, b);
  if (body === null || typeof body === 'string') return body;
  return { tos: get8(ip, IP_TOS), ttl: get8(ip, IP_TTL), df: (get16(ip, IP_OFF) & IP_DF) !== 0, body };
}

function readBody(addrs: Addresses, proto: number, b: Uint8Array): LiveBody | string | null {
  const good = (): boolean => sum16(b, 0, b.length, pseudoSum(ipv4(addrs.local), ipv4(addrs.remote), proto, b.length)) === 0xffff;
  if (proto === IPPROTO_ICMP) {
    if (b.length < ICMP_HDR_LEN || sum16(b, 0, b.length, 0) !== 0xffff) return 'a wrong ICMP checksum';
    return { proto: 'icmp', type: get8(b, 0), code: get8(b, 1), rest: get32(b, 4) >>> 0, payload: b.slice(ICMP_HDR_LEN) };
  }
  if (proto === IPPROTO_UDP) {
    if (b.length < UDP_HDR_LEN || (get16(b, 6) !== 0 && !good())) return 'a wrong UDP checksum';
    return { proto: 'udp', sport: get16(b, 0), dport: get16(b, 2), payload: b.slice(UDP_HDR_LEN) };
  }
  if (proto !== IPPROTO_TCP) return null;
  const hdrLen = tcpHdrLen(b, 0);
  if (b.length < TCP_HDR_LEN || hdrLen < TCP_HDR_LEN || hdrLen > b.length) return 'a TCP header whose length does not fit';
  if (!good()) return 'a wrong TCP checksum';
  try {
    const options = readOptions(b.subarray(TCP_HDR_LEN, hdrLen));
    const flags = tcpFlags(b, 0);
    const numbers = { seq: get32(b, 4) >>> 0, ack: get32(b, 8) >>> 0, win: get16(b, TCP_WIN), urg: get16(b, TCP_URP) };
    return { proto: 'tcp', sport: get16(b, 0), dport: get16(b, 2), flags, ...numbers, options, payload: b.slice(hdrLen) };
  } catch (error) {
    return `a TCP ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** What an ICMP error quotes: the header of a packet from the stack, and the first 8 bytes of what it carried. */
export function buildQuote(
  addrs: Addresses,
  quoted: NonNullable<IcmpSpec['quoted']>,
  sport: number,
  dport: number,
  seq: number,
): Uint8Array {
  const b = new Uint8Array(IP_HDR_LEN + 8);
  const hdr = quoted.proto === 'tcp' ? TCP_HDR_LEN : UDP_HDR_LEN;
  const proto = quoted.proto === 'tcp' ? IPPROTO_TCP : IPPROTO_UDP;
  putIpv4(b, 0, IP_HDR_LEN + hdr + quoted.len, 0, IP_DF, 0, DEFAULT_TTL, proto, addrs.local, addrs.remote);
  put16(b, IP_HDR_LEN, sport);
  put16(b, IP_HDR_LEN + 2, dport);
  if (quoted.proto === 'tcp') put32(b, IP_HDR_LEN + 4, seq);
  else put16(b, IP_HDR_LEN + 4, UDP_HDR_LEN + quoted.len);
  return b;
}

/** The transport and the first four bytes behind its ports, of a quoted packet; null if it is too short. */
export function readQuote(b: Uint8Array): { proto: number; sport: number; dport: number; word: number; len: number } | null {
  if (b.length < IP_HDR_LEN) return null;
  const hdrLen = ipHdrLen(b, 0);
  if (b.length < hdrLen + 8) return null;
  const proto = get8(b, IP_PROTO);
  const word = get32(b, hdrLen + 4) >>> 0;
  return { proto, sport: get16(b, hdrLen), dport: get16(b, hdrLen + 2), word, len: ipLen(b, 0) - hdrLen };
}
