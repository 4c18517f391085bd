/** Options that we write (RFC 9293 §3.2, RFC 7323, RFC 2018), always padded to words. */
import { put16, put32 } from '../../../wire/bytes.ts';
import {
  TCPOLEN_TSTAMP_APPA,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCPOPT_SACK_PERMITTED,
  TCPOPT_WSCALE,
} from '../../../wire/tcp.ts';
import { putTstamp } from '../../../wire/tcp.ts';

/** Bytes of the options of a SYN: MSS, then timestamps with or without SACK-permitted, then the window scale. */
export function synOptionsLen(ts: boolean, sack: boolean, scale: number): number {
  return 4 + (ts ? 12 : sack ? 4 : 0) + (scale >= 0 ? 4 : 0);
}

/** Writes them at `o`. `scale` below 0: no window scaling. */
export function putSynOptions(
  b: Uint8Array,
  o: number,
  mss: number,
  ts: boolean,
  sack: boolean,
  scale: number,
  tsVal: number,
  tsEcr: number,
): void {
  b[o] = TCPOPT_MSS;
  b[o + 1] = 4;
  put16(b, o + 2, mss);
  o += 4;
  if (ts) {
    putTstamp(b, o, tsVal, tsEcr);
    // SACK-permitted takes the place of the two NOPs.
    if (sack) put16(b, o, (TCPOPT_SACK_PERMITTED << 8) | 2);
    o += TCPOLEN_TSTAMP_APPA;
  } else if (sack) {
    put32(b, o, (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_SACK_PERMITTED << 8) | 2);
    o += 4;
  }
  if (scale >= 0) put32(b, o, (TCPOPT_NOP << 24) | (TCPOPT_WSCALE << 16) | (3 << 8) | scale);
}

/** Writes `n` SACK blocks, edges in turn in `edges`: 4 + 8n bytes with the NOPs in front. */
export function putSack(b: Uint8Array, o: number, edges: Int32Array, n: number): void {
  put32(b, o, (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_SACK << 8) | (2 + 8 * n));
  for (let i = 0; i < 2 * n; i++) put32(b, o + 4 + 4 * i, edges[i] as number);
}
