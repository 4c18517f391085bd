/** ICMP for IPv4 (RFC 792, RFC 1122 §3.2.2): type, code, checksum, four bytes that depend on the type, then data. */
import { complement, sum16 } from './checksum.ts';
import { get16, put16 } from './bytes.ts';

export const ICMP_TYPE = 0;
export const ICMP_CODE = 1;
export const ICMP_SUM = 2;
/** Identifier and sequence number of an echo. */
export const ICMP_ID = 4;
export const ICMP_SEQ = 6;
/** Next-hop MTU of "fragmentation needed" (RFC 1191 §4). */
export const ICMP_NEXTMTU = 6;
/** Pointer of "parameter problem": offset of the octet at fault. */
export const ICMP_PPTR = 4;
export const ICMP_HDR_LEN = 8;

export const ICMP_ECHOREPLY = 0;
export const ICMP_UNREACH = 3;
export const ICMP_SOURCEQUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIMXCEED = 11;
export const ICMP_PARAMPROB = 12;
export const ICMP_TSTAMP = 13;
export const ICMP_TSTAMPREPLY = 14;

export const ICMP_UNREACH_NET = 0;
export const ICMP_UNREACH_HOST = 1;
export const ICMP_UNREACH_PROTOCOL = 2;
export const ICMP_UNREACH_PORT = 3;
export const ICMP_UNREACH_NEEDFRAG = 4;
export const ICMP_TIMXCEED_INTRANS = 0;
export const ICMP_TIMXCEED_REASS = 1;

/** An error message quotes the datagram at fault: RFC 1122 §3.2.2. Queries and their replies are not errors. */
export function icmpIsError(type: number): boolean {
  return (
    type === ICMP_UNREACH ||
    type === ICMP_SOURCEQUENCH ||
    type === ICMP_REDIRECT ||
    type === ICMP_TIMXCEED ||
    type === ICMP_PARAMPROB
  );
}

export function icmpNextMtu(b: Uint8Array, o: number): number {
  return get16(b, o + ICMP_NEXTMTU);
}

/** Writes the checksum of a contiguous message of `len` bytes. */
export function putIcmpSum(b: Uint8Array, o: number, len: number): void {
  put16(b, o + ICMP_SUM, 0);
  put16(b, o + ICMP_SUM, complement(sum16(b, o, len, 0)));
}
