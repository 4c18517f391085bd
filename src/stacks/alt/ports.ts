/** Ephemeral ports (RFC 6056 algorithm 3): where the search begins depends on the other end and a secret, and moves on with each port. */
import type { Alt } from './alt.ts';
import { hashStrong } from './hash.ts';

/** How many ports there are to try. */
export function ephemeralCount(s: Alt): number {
  return Math.max(1, s.cfg.portLast - s.cfg.portFirst + 1);
}

/** Where to begin. */
export function ephemeralStart(s: Alt, laddr: number, faddr: number, fport: number): number {
  return (hashStrong(s.secretKey, laddr, faddr, fport, 0x706f7274) >>> 1) + s.portSalt++;
}

/** The port to try at step `k` from `start`. */
export function ephemeralPort(s: Alt, start: number, k: number): number {
  return s.cfg.portFirst + ((start + k) % ephemeralCount(s));
}
