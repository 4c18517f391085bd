/**
 * Options of a received IPv4 header (RFC 791 §3.1, RFC 1122 §3.2.1.8). They are walked so that a broken one is found; source routes
 * are refused (RFC 7126 §4.3); record route and timestamp are filled in for who answers an ICMP request with them (RFC 1122 §3.2.2.6).
 */
import { get32, get8, put32 } from '../../wire/bytes.ts';

const IPOPT_EOL = 0;
const IPOPT_NOP = 1;
const IPOPT_RR = 7;
const IPOPT_TS = 68;
const IPOPT_LSRR = 131;
const IPOPT_SSRR = 137;

/** What a timestamp option holds, in the low bits of its fourth octet: times, addresses with them, or of addresses that are named. */
const TS_TIMES = 0;
const TS_ADDRS = 1;
const TS_NAMED = 3;
const TS_OVERFLOW_MAX = 15;

/** Longest options of a header. */
export const IPOPTS_MAX = 40;
/** All is well; a source route. */
export const IPOPTS_OK = 0;
export const IPOPTS_SRCROUTE = -1;

/** `IPOPTS_*`, or for a broken option the offset of the octet at fault from the header's start. */
export function checkIpOptions(b: Uint8Array, hdrOff: number, off: number, end: number): number {
  let at = off;
  while (at < end) {
    const kind = get8(b, at);
    if (kind === IPOPT_EOL) return IPOPTS_OK;
    if (kind === IPOPT_NOP) {
      at++;
      continue;
    }
    const len = at + 1 < end ? get8(b, at + 1) : 0;
    if (len < 2 || at + len > end) return at + 1 - hdrOff;
    if (kind === IPOPT_LSRR || kind === IPOPT_SSRR) return IPOPTS_SRCROUTE;
    const fault = kind === IPOPT_RR ? faultOfRoute(b, at, len) : kind === IPOPT_TS ? faultOfStamps(b, at, len) : 0;
    if (fault !== 0) return at + fault - hdrOff;
    at += len;
  }
  return IPOPTS_OK;
}

/** Octet at fault, 0: none. The pointer counts from 1 and may be behind the end, when all places are taken. */
function faultOfRoute(b: Uint8Array, at: number, len: number): number {
  if (len < 3) return 1;
  const ptr = get8(b, at + 2);
  return ptr < 4 || (ptr <= len && ptr + 3 > len) ? 2 : 0;
}

function faultOfStamps(b: Uint8Array, at: number, len: number): number {
  if (len < 4) return 1;
  const ptr = get8(b, at + 2);
  const overflow = get8(b, at + 3) >>> 4;
  const flag = get8(b, at + 3) & 15;
  if (flag !== TS_TIMES && flag !== TS_ADDRS && flag !== TS_NAMED) return 3;
  const size = flag === TS_TIMES ? 4 : 8;
  if (ptr < 5 || (ptr <= len && ptr + size - 1 > len)) return 2;
  // RFC 791: nobody can count on.
  return ptr > len && flag !== TS_NAMED && overflow === TS_OVERFLOW_MAX ? 3 : 0;
}

/**
 * The options of an answer to the header at `hdrOff`, which were checked: its record route and timestamps with this host in them, as far as
 * there is room. `own` is the address that answers, `isOwn` tells the others; `stampMs` is the time since midnight UT. Answers the length
 * in `out`, a multiple of 4; 0 without such an option.
 */
export function answerIpOptions(
  b: Uint8Array,
  hdrOff: number,
  hdrLen: number,
  out: Uint8Array,
  own: number,
  isOwn: (addr: number) => boolean,
  stampMs: number,
): number {
  const end = hdrOff + hdrLen;
  let n = 0;
  for (let at = hdrOff + 20; at < end;) {
    const kind = get8(b, at);
    if (kind === IPOPT_EOL) break;
    const len = kind === IPOPT_NOP ? 1 : get8(b, at + 1);
    if (kind === IPOPT_RR || kind === IPOPT_TS) {
      out.set(b.subarray(at, at + len), n);
      if (kind === IPOPT_RR) recordRoute(out, n, len, own);
      else stamp(out, n, len, own, isOwn, stampMs);
      n += len;
    }
    at += len;
  }
  while ((n & 3) !== 0) out[n++] = IPOPT_EOL;
  return n;
}

function recordRoute(out: Uint8Array, at: number, len: number, own: number): void {
  const ptr = get8(out, at + 2);
  if (ptr > len) return;
  put32(out, at + ptr - 1, own);
  out[at + 2] = ptr + 4;
}

function stamp(out: Uint8Array, at: number, len: number, own: number, isOwn: (addr: number) => boolean, stampMs: number): void {
  const ptr = get8(out, at + 2);
  const flag = get8(out, at + 3) & 15;
  if (ptr > len) {
    // Another host that found no room: there are at most 15 (checked).
    if (flag !== TS_NAMED) out[at + 3] = get8(out, at + 3) + 16;
    return;
  }
  let place = at + ptr - 1;
  if (flag === TS_NAMED) {
    if (!isOwn(get32(out, place))) return;
  } else if (flag === TS_ADDRS) put32(out, place, own);
  if (flag !== TS_TIMES) place += 4;
  put32(out, place, stampMs);
  out[at + 2] = ptr + (flag === TS_TIMES ? 4 : 8);
}
