/**
 * TCP headers and options (RFC 9293 §3.1, §3.2; RFC 7323; RFC 2018; RFC 7413; RFC 5482; RFC 9768). Sequence numbers are signed 32-bit
 * integers, see `seq.ts`.
 */
import { get16, get32, get8, put16, put32 } from './bytes.ts';

export const TCP_SPORT = 0;
export const TCP_DPORT = 2;
export const TCP_SEQ = 4;
export const TCP_ACK = 8;
export const TCP_OFF = 12;
export const TCP_FLAGS = 13;
export const TCP_WIN = 14;
export const TCP_SUM = 16;
export const TCP_URP = 18;
export const TCP_HDR_LEN = 20;
export const TCP_HDR_MAX = 60;

export const TH_FIN = 0x01;
export const TH_SYN = 0x02;
export const TH_RST = 0x04;
export const TH_PUSH = 0x08;
export const TH_ACK = 0x10;
export const TH_URG = 0x20;
export const TH_ECE = 0x40;
export const TH_CWR = 0x80;
/** AE (RFC 9768), the last bit of the byte in front: flags are nine bits, read with `tcpFlags`. */
export const TH_AE = 0x100;

export const TCPOPT_EOL = 0;
export const TCPOPT_NOP = 1;
export const TCPOPT_MSS = 2;
export const TCPOPT_WSCALE = 3;
export const TCPOPT_SACK_PERMITTED = 4;
export const TCPOPT_SACK = 5;
export const TCPOPT_TIMESTAMP = 8;
export const TCPOPT_UTO = 28;
export const TCPOPT_FASTOPEN = 34;
/** AccECN's byte counters (RFC 9768 §3.2.3): those of ECT(0) first, those of ECT(1) first. */
export const TCPOPT_ACCECN0 = 172;
export const TCPOPT_ACCECN1 = 174;

/** Bytes of the timestamp option with the two NOPs in front of it (RFC 7323 appendix A). */
export const TCPOLEN_TSTAMP_APPA = 12;
/** Largest shift of the window (RFC 7323 §2.3). */
export const TCP_MAX_WINSHIFT = 14;
/** Blocks that one header can carry (RFC 2018 §3). */
export const TCP_MAX_SACK = 4;

/** Default maximum segment size without an option: RFC 9293 §3.7.1. */
export const TCP_MSS_DEFAULT_V4 = 536;
export const TCP_MSS_DEFAULT_V6 = 1220;

/** Options of one segment; filled by `parseTcpOptions`, used again for the next. */
export class TcpOptions {
  /** 0: absent. */
  mss = 0;
  /** -1: absent; above 14 it is taken as 14. */
  wscale = -1;
  sackPermitted = false;
  hasTs = false;
  tsVal = 0;
  tsEcr = 0;
  /** TCP Fast Open: length of the cookie (0: a request, -1: absent), and where it is. */
  fastopenLen = -1;
  fastopenOff = 0;
  /** User timeout (RFC 5482 §3): granularity bit and value as they are in the option; -1: absent. */
  uto = -1;
  /** An AccECN option is there; its fields, low 24 bits of bytes received with a mark; -1: it leaves that one out. */
  accecn = false;
  ee0b = -1;
  eceb = -1;
  ee1b = -1;
  /** SACK blocks: left and right edges in turn. */
  nsack = 0;
  readonly sack = new Int32Array(2 * TCP_MAX_SACK);
}

/** The word NOP, NOP, kind 8, length 10: what nearly every segment of an established connection begins its options with. */
const TSTAMP_APPA = 0x0101080a;

/** The nine flags. */
export function tcpFlags(b: Uint8Array, o: number): number {
  return get16(b, o + TCP_OFF) & 0x1ff;
}

/** Length of the header in bytes, as its data offset says. */
export function tcpHdrLen(b: Uint8Array, o: number): number {
  return (get8(b, o + TCP_OFF) >>> 4) << 2;
}

/**
 * Reads the options in [off, end). False if one has a length that cannot be (RFC 9293 MUST-7: cope with it): what was read before
 * it stands. Unknown options are passed over (MUST-6).
 */
export function parseTcpOptions(b: Uint8Array, off: number, end: number, out: TcpOptions): boolean {
  out.mss = 0;
  out.wscale = -1;
  out.sackPermitted = false;
  out.hasTs = false;
  out.fastopenLen = -1;
  out.uto = -1;
  out.accecn = false;
  out.nsack = 0;
  if (end - off >= TCPOLEN_TSTAMP_APPA && get32(b, off) === TSTAMP_APPA) {
    out.hasTs = true;
    out.tsVal = get32(b, off + 4);
    out.tsEcr = get32(b, off + 8);
    if (end - off === TCPOLEN_TSTAMP_APPA) return true;
    off += TCPOLEN_TSTAMP_APPA;
  }
  while (off < end) {
    const kind = get8(b, off);
    if (kind === TCPOPT_EOL) return true;
    if (kind === TCPOPT_NOP) {
      off++;
      continue;
    }
    if (off + 1 >= end) return false;
    const len = get8(b, off + 1);
    if (len < 2 || off + len > end) return false;
    readOption(b, off, kind, len, out);
    off += len;
  }
  return true;
}

function readOption(b: Uint8Array, off: number, kind: number, len: number, out: TcpOptions): void {
  if (kind === TCPOPT_MSS && len === 4) out.mss = get16(b, off + 2);
  else if (kind === TCPOPT_WSCALE && len === 3) out.wscale = Math.min(get8(b, off + 2), TCP_MAX_WINSHIFT);
  else if (kind === TCPOPT_SACK_PERMITTED && len === 2) out.sackPermitted = true;
  else if (kind === TCPOPT_TIMESTAMP && len === 10) {
    out.hasTs = true;
    out.tsVal = get32(b, off + 2);
    out.tsEcr = get32(b, off + 6);
  } else if (kind === TCPOPT_SACK && len >= 10 && ((len - 2) & 7) === 0) {
    out.nsack = Math.min((len - 2) >>> 3, TCP_MAX_SACK);
    for (let i = 0; i < 2 * out.nsack; i++) out.sack[i] = get32(b, off + 2 + 4 * i);
  } else if (kind === TCPOPT_FASTOPEN) {
    out.fastopenLen = len - 2;
    out.fastopenOff = off + 2;
  } else if (kind === TCPOPT_UTO && len === 4) {
    out.uto = get16(b, off + 2);
  } else if (kind === TCPOPT_ACCECN0 || kind === TCPOPT_ACCECN1) {
    readAccEcn(b, off, kind, len, out);
  }
}

/** As many whole fields as the length has room for; what is left over is padding (RFC 9768 §3.2.3). */
function readAccEcn(b: Uint8Array, off: number, kind: number, len: number, out: TcpOptions): void {
  const first = len >= 5 ? get24(b, off + 2) : -1;
  const third = len >= 11 ? get24(b, off + 8) : -1;
  out.accecn = true;
  out.eceb = len >= 8 ? get24(b, off + 5) : -1;
  out.ee0b = kind === TCPOPT_ACCECN0 ? first : third;
  out.ee1b = kind === TCPOPT_ACCECN0 ? third : first;
}

/** Three bytes. */
function get24(b: Uint8Array, o: number): number {
  return (get8(b, o) << 16) | get16(b, o + 1);
}

function put24(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 16;
  put16(b, o + 1, v);
}

/** Bytes of an AccECN option with `fields` of its three, padded to words. */
export function accEcnLen(fields: number): number {
  return (2 + 3 * fields + 3) & ~3;
}

/** Writes one with NOPs in front, `order` 0 or 1; the counters' low 24 bits go out. */
export function putAccEcn(b: Uint8Array, o: number, order: number, fields: number, e0b: number, ceb: number, e1b: number): void {
  const len = 2 + 3 * fields;
  for (let pad = accEcnLen(fields) - len; pad > 0; pad--) b[o++] = TCPOPT_NOP;
  b[o] = order === 0 ? TCPOPT_ACCECN0 : TCPOPT_ACCECN1;
  b[o + 1] = len;
  if (fields > 0) put24(b, o + 2, order === 0 ? e0b : e1b);
  if (fields > 1) put24(b, o + 5, ceb);
  if (fields > 2) put24(b, o + 8, order === 0 ? e1b : e0b);
}

/** Writes a user timeout option, 4 bytes (RFC 5482 §3). */
export function putUto(b: Uint8Array, o: number, uto: number): void {
  put16(b, o, (TCPOPT_UTO << 8) | 4);
  put16(b, o + 2, uto);
}

/** Writes a header of 20 bytes without its checksum; `hdrLen` includes the options that the caller writes behind it. */
export function putTcp(
  b: Uint8Array,
  o: number,
  sport: number,
  dport: number,
  seq: number,
  ack: number,
  hdrLen: number,
  flags: number,
  win: number,
): void {
  put16(b, o + TCP_SPORT, sport);
  put16(b, o + TCP_DPORT, dport);
  put32(b, o + TCP_SEQ, seq);
  put32(b, o + TCP_ACK, ack);
  put16(b, o + TCP_OFF, (hdrLen << 10) | flags);
  put16(b, o + TCP_WIN, win);
  put32(b, o + TCP_SUM, 0);
}

/** Writes NOP, NOP and a timestamp option, 12 bytes. */
export function putTstamp(b: Uint8Array, o: number, val: number, ecr: number): void {
  put32(b, o, TSTAMP_APPA);
  put32(b, o + 4, val);
  put32(b, o + 8, ecr);
}
