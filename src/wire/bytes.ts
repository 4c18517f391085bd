/**
 * Big-endian fields in a byte array ("network byte order", RFC 1700). The caller has checked the length once, at the top of the
 * header; past the end a read gives 0 and a write does nothing. 32-bit values are signed (`| 0`), so that V8 keeps them small integers.
 */

export function get8(b: Uint8Array, o: number): number {
  return (b[o] as number) | 0;
}

export function get16(b: Uint8Array, o: number): number {
  return ((b[o] as number) << 8) | (b[o + 1] as number);
}

export function get32(b: Uint8Array, o: number): number {
  return ((b[o] as number) << 24) | ((b[o + 1] as number) << 16) | ((b[o + 2] as number) << 8) | (b[o + 3] as number);
}

export function put16(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 8;
  b[o + 1] = v;
}

export function put32(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 24;
  b[o + 1] = v >>> 16;
  b[o + 2] = v >>> 8;
  b[o + 3] = v;
}
