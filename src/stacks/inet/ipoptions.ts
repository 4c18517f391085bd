/**
 * Options of a received IPv4 header (RFC 791 §3.1, RFC 1122 §3.2.1.8). They are walked so that a broken one is found; source routes
 * are refused (RFC 7126 §4.3), the others are passed over.
 */
import { get8 } from '../../wire/bytes.ts';

const IPOPT_EOL = 0;
const IPOPT_NOP = 1;
const IPOPT_LSRR = 131;
const IPOPT_SSRR = 137;

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
    at += len;
  }
  return IPOPTS_OK;
}
