/**
 * IGMP: who hears which IPv4 groups. Version 3 (RFC 3376 §4), and the messages of version 1 (RFC 1112, appendix I) and version 2
 * (RFC 2236 §2) that it must still understand. Type, code, checksum over the whole message, group; then what the type has.
 */
import { complement, sum16 } from './checksum.ts';
import { get16, get8, put16, put32 } from './bytes.ts';

export const IGMP_TYPE = 0;
/** Max Resp Code of a query: a tenth of a second in version 2, a float in version 3; 0 in version 1. */
export const IGMP_CODE = 1;
export const IGMP_SUM = 2;
export const IGMP_GROUP = 4;
/** Length of the messages of versions 1 and 2, and the least of one at all. */
export const IGMP_LEN = 8;
/** A query of version 3: flags and robustness, the querier's interval, number of sources; then the sources. */
export const IGMP_S_QRV = 8;
export const IGMP_QQIC = 9;
export const IGMP_NSRC = 10;
export const IGMP_V3QUERY_LEN = 12;
/** A report of version 3: number of records; then the records, each a type, length of extra data in words, sources, group. */
export const IGMP_NREC = 6;
export const IGMP_REPORT_LEN = 8;
export const IGMP_RECORD_LEN = 8;

export const IGMP_QUERY = 0x11;
export const IGMP_V1_REPORT = 0x12;
export const IGMP_V2_REPORT = 0x16;
export const IGMP_V2_LEAVE = 0x17;
export const IGMP_V3_REPORT = 0x22;

/** Records of a report (RFC 3376 §4.2.12). */
export const IGMP_MODE_IS_INCLUDE = 1;
export const IGMP_MODE_IS_EXCLUDE = 2;
export const IGMP_TO_INCLUDE = 3;
export const IGMP_TO_EXCLUDE = 4;
export const IGMP_ALLOW = 5;
export const IGMP_BLOCK = 6;

/** 224.0.0.2, where leaves of version 2 go, and 224.0.0.22, where reports of version 3 go. */
export const ALL_ROUTERS = 0xe0000002 | 0;
export const ALL_V3_ROUTERS = 0xe0000016 | 0;

/** A code byte of version 3: plain below 128, above it mantissa and exponent (RFC 3376 §4.1.1, §4.1.7). */
export function igmpFloat(code: number): number {
  return code < 128 ? code : ((code & 0xf) | 0x10) << (((code >>> 4) & 7) + 3);
}

/** Sources of a query of version 3; -1 when they do not fit `len` bytes. */
export function igmpSources(b: Uint8Array, o: number, len: number): number {
  const n = get16(b, o + IGMP_NSRC);
  return IGMP_V3QUERY_LEN + n * 4 <= len ? n : -1;
}

/** Version of a query by its length and code (RFC 3376 §7.1): 1, 2 or 3; 0 for a length that no version has. */
export function igmpQueryVersion(b: Uint8Array, o: number, len: number): 0 | 1 | 2 | 3 {
  if (len === IGMP_LEN) return get8(b, o + IGMP_CODE) === 0 ? 1 : 2;
  return len >= IGMP_V3QUERY_LEN ? 3 : 0;
}

/** Writes the checksum of a message of `len` bytes. */
export function putIgmpSum(b: Uint8Array, o: number, len: number): void {
  put16(b, o + IGMP_SUM, 0);
  put16(b, o + IGMP_SUM, complement(sum16(b, o, len, 0)));
}

/** Writes a message of version 1 or 2 with its checksum: `IGMP_LEN` bytes. */
export function putIgmp(b: Uint8Array, o: number, type: number, group: number): void {
  b[o + IGMP_TYPE] = type;
  b[o + IGMP_CODE] = 0;
  put32(b, o + IGMP_GROUP, group);
  putIgmpSum(b, o, IGMP_LEN);
}
