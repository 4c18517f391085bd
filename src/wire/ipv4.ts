/** IPv4 headers (RFC 791 §3.1). Offsets are from the header's first byte; addresses are 32-bit integers. */
import { get16, get32, get8, put16, put32 } from './bytes.ts';
import { complement, fold, sum16 } from './checksum.ts';

export const IP_VHL = 0;
export const IP_TOS = 1;
export const IP_LEN = 2;
export const IP_ID = 4;
export const IP_OFF = 6;
export const IP_TTL = 8;
export const IP_PROTO = 9;
export const IP_SUM = 10;
export const IP_SRC = 12;
export const IP_DST = 16;
export const IP_HDR_LEN = 20;
export const IP_HDR_MAX = 60;
/** Longest datagram in bytes, header included. */
export const IP_MAXPACKET = 65535;

/** In the word at `IP_OFF`: don't fragment, more fragments, and the offset in units of 8 bytes. */
export const IP_DF = 0x4000;
export const IP_MF = 0x2000;
export const IP_OFFMASK = 0x1fff;

export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_IPV4 = 4;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_RAW = 255;

export const DEFAULT_TTL = 64;

/** Length of the header in bytes, as its IHL says. */
export function ipHdrLen(b: Uint8Array, o: number): number {
  return (get8(b, o) & 0xf) << 2;
}

export function ipVersion(b: Uint8Array, o: number): number {
  return get8(b, o) >>> 4;
}

export function ipLen(b: Uint8Array, o: number): number {
  return get16(b, o + IP_LEN);
}

export function ipSrc(b: Uint8Array, o: number): number {
  return get32(b, o + IP_SRC);
}

export function ipDst(b: Uint8Array, o: number): number {
  return get32(b, o + IP_DST);
}

/** True if the checksum of a header of `hdrLen` bytes is right. */
export function ipSumOk(b: Uint8Array, o: number, hdrLen: number): boolean {
  if (hdrLen !== IP_HDR_LEN) return sum16(b, o, hdrLen, 0) === 0xffff;
  const front = get16(b, o) + get16(b, o + 2) + get16(b, o + 4) + get16(b, o + 6) + get16(b, o + 8);
  return fold(front + get16(b, o + 10) + get16(b, o + 12) + get16(b, o + 14) + get16(b, o + 16) + get16(b, o + 18)) === 0xffff;
}

/** Writes a header of 20 bytes with its checksum. `len` is the whole datagram's; `off` the flags and fragment offset. */
export function putIpv4(
  b: Uint8Array,
  o: number,
  len: number,
  id: number,
  off: number,
  tos: number,
  ttl: number,
  proto: number,
  src: number,
  dst: number,
): void {
  b[o + IP_VHL] = 0x45;
  b[o + IP_TOS] = tos;
  put16(b, o + IP_LEN, len);
  put16(b, o + IP_ID, id);
  put16(b, o + IP_OFF, off);
  b[o + IP_TTL] = ttl;
  b[o + IP_PROTO] = proto;
  put32(b, o + IP_SRC, src);
  put32(b, o + IP_DST, dst);
  // Summed from the values, not from the bytes just written: the fields are at hand.
  let sum = 0x4500 + tos + len + id + off + (ttl << 8) + proto;
  sum += (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  put16(b, o + IP_SUM, complement(sum + (sum >>> 16)));
}

/** Recomputes the checksum of a header of `hdrLen` bytes, options included. */
export function putIpSum(b: Uint8Array, o: number, hdrLen: number): void {
  put16(b, o + IP_SUM, 0);
  put16(b, o + IP_SUM, complement(sum16(b, o, hdrLen, 0)));
}
