/**
 * The Internet checksum (RFC 1071). Sums are kept folded to 16 bits, in network byte order, and not yet complemented, so that they
 * add up: pseudo-header, header, payload.
 */
import type { IpAddr } from './addr.ts';
import { isV4 } from './addr.ts';

/** Below this many bytes a plain loop is faster than a view. */
const SHORT = 48;

/** One's-complement sum of `len` bytes from `off`, added to `start`. An odd last byte is padded with zero. */
export function sum16(bytes: Uint8Array, off: number, len: number, start: number): number {
  return len < SHORT ? sumShort(bytes, off, len, start) : sumLong(bytes, off, len, start);
}

function sumShort(bytes: Uint8Array, off: number, len: number, start: number): number {
  const end = off + (len & ~1);
  let sum = start;
  for (let i = off; i < end; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  if ((len & 1) !== 0) sum += (bytes[end] as number) << 8;
  return fold(sum);
}

/** Little-endian words are summed and the result is swapped at the end (RFC 1071 §2(B): the sum does not mind the byte order). */
function sumLong(bytes: Uint8Array, off: number, len: number, start: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + off, len);
  let lo = 0;
  let hi = 0;
  let i = 0;
  for (const end = len - 15; i < end; i += 16) {
    const a = view.getInt32(i, true);
    const b = view.getInt32(i + 4, true);
    const c = view.getInt32(i + 8, true);
    const d = view.getInt32(i + 12, true);
    lo += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff);
    hi += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16);
  }
  for (; i + 1 < len; i += 2) lo += view.getUint16(i, true);
  if (i < len) lo += view.getUint8(i);
  const sum = fold(fold(lo) + fold(hi));
  return fold(start + (((sum & 0xff) << 8) | (sum >>> 8)));
}

/** Adds the carries back in until the sum fits 16 bits. For sums below 2^31. */
export function fold(sum: number): number {
  let s = (sum & 0xffff) + (sum >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return s;
}

/** Sum of the pseudo-header: RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6. `len` is the transport's length in bytes. */
export function pseudoSum(src: IpAddr, dst: IpAddr, protocol: number, len: number): number {
  let sum = (src.w3 >>> 16) + (src.w3 & 0xffff) + (dst.w3 >>> 16) + (dst.w3 & 0xffff) + protocol + (len >>> 16) + (len & 0xffff);
  if (!isV4(dst)) {
    sum += (src.w0 >>> 16) + (src.w0 & 0xffff) + (src.w1 >>> 16) + (src.w1 & 0xffff) + (src.w2 >>> 16) + (src.w2 & 0xffff);
    sum += (dst.w0 >>> 16) + (dst.w0 & 0xffff) + (dst.w1 >>> 16) + (dst.w1 & 0xffff) + (dst.w2 >>> 16) + (dst.w2 & 0xffff);
  }
  return fold(sum);
}

/** The checksum field for a finished sum. */
export function complement(sum: number): number {
  return ~sum & 0xffff;
}

/** New value of a checksum field after one of the words it covers changed from `before` to `after` (RFC 1624 eqn. 3). */
export function adjust(field: number, before: number, after: number): number {
  return complement(fold((~field & 0xffff) + (~before & 0xffff) + after));
}
