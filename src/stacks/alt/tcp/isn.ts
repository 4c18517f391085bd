/**
 * Numbers that a stranger must not guess: initial sequence numbers (RFC 6528), the offset of our timestamps (RFC 7323 §5.4), and SYN
 * cookies (RFC 4987 §3.6).
 *
 * A cookie is our sequence number of a SYN/ACK for which no state is kept: 5 bits of a clock of 64 s, 3 bits of the peer's MSS, 24
 * bits of a keyed hash over both ends, the peer's sequence number, the whole clock and the size. It is good for this period of the clock
 * and the next, and only while some were sent as lately as that: otherwise a stranger could guess all day. If the peer has timestamps, the low 6 bits of
 * ours carry what else its SYN said: window shift (15: none) and whether it takes SACK.
 */
import type { Alt } from '../alt.ts';
import { hashStrong } from '../hash.ts';

const LABEL_ISN = 0x69736e;
const LABEL_TS = 0x7473;
const COOKIE_CLOCK_SHIFT = 16;
/** Segment sizes that a cookie can tell: the largest one not above the peer's. */
const COOKIE_MSS = [216, 536, 1200, 1360, 1440, 1460, 4312, 8960] as const;
const TS_BITS = 0x3f;
const TS_SACK = 0x10;
export const NO_WSCALE = 15;

/** A clock of 4 µs plus a keyed hash of the connection. */
export function initialSeq(s: Alt, laddr: number, faddr: number, ports: number): number {
  return (hashStrong(s.secretKey, laddr, faddr, ports, LABEL_ISN) + (Math.floor(s.time.exactMs * 250) | 0)) | 0;
}

/** What is added to our clock of 1 ms in this connection's timestamps. */
export function tsOffset(s: Alt, laddr: number, faddr: number, ports: number): number {
  return hashStrong(s.secretKey, laddr, faddr, ports, LABEL_TS);
}

function cookieHash(s: Alt, laddr: number, faddr: number, ports: number, irs: number, stamp: number): number {
  return hashStrong(s.secretKey, laddr ^ Math.imul(irs, 0x9e3779b1), faddr, ports, irs ^ stamp ^ 0x636f) & 0xffffff;
}

export function makeCookie(s: Alt, laddr: number, faddr: number, ports: number, irs: number, mss: number): number {
  let m = COOKIE_MSS.length - 1;
  while (m > 0 && (COOKIE_MSS[m] as number) > mss) m--;
  const period = s.time.ms >>> COOKIE_CLOCK_SHIFT;
  s.cookiePeriod = period;
  const stamp = (period << 3) | m;
  return (stamp << 24) | cookieHash(s, laddr, faddr, ports, irs, stamp);
}

/** The segment size that a cookie of ours tells, or 0: not ours, or older than two minutes, or none was sent in that time. */
export function checkCookie(s: Alt, laddr: number, faddr: number, ports: number, irs: number, cookie: number): number {
  const now = s.time.ms >>> COOKIE_CLOCK_SHIFT;
  if (s.cookiePeriod < 0 || ((now - s.cookiePeriod) & 0xffff) > 1) return 0;
  const top = cookie >>> 24;
  const age = (now - (top >>> 3)) & 31;
  if (age > 1) return 0;
  const stamp = (((now - age) & 0xffff) << 3) | (top & 7);
  return (cookie & 0xffffff) === cookieHash(s, laddr, faddr, ports, irs, stamp) ? (COOKIE_MSS[top & 7] as number) : 0;
}

/** Our timestamp with the options of a SYN in its low bits; never ahead of the clock, so that later ones are not behind it. */
export function cookieTs(now: number, wscale: number, sack: boolean): number {
  const bits = (wscale < 0 ? NO_WSCALE : wscale) | (sack ? TS_SACK : 0);
  const ts = (now & ~TS_BITS) | bits;
  return ((ts - now) | 0) > 0 ? (ts - (TS_BITS + 1)) | 0 : ts;
}

export function cookieTsWscale(ts: number): number {
  const wscale = ts & 15;
  return wscale === NO_WSCALE ? -1 : wscale;
}

export function cookieTsSack(ts: number): boolean {
  return (ts & TS_SACK) !== 0;
}
