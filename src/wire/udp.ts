/** UDP headers (RFC 768). */
import { put16 } from './bytes.ts';

export const UDP_SPORT = 0;
export const UDP_DPORT = 2;
export const UDP_LEN = 4;
export const UDP_SUM = 6;
export const UDP_HDR_LEN = 8;

/** Writes a header of 8 bytes. `len` is header and data; `sum` the finished checksum, 0 for none. */
export function putUdp(b: Uint8Array, o: number, sport: number, dport: number, len: number, sum: number): void {
  put16(b, o + UDP_SPORT, sport);
  put16(b, o + UDP_DPORT, dport);
  put16(b, o + UDP_LEN, len);
  put16(b, o + UDP_SUM, sum);
}
