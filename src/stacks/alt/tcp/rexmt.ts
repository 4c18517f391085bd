/** When the retransmission timer runs out, and what runs in front of it (RFC 6298 §5, RFC 8985 §7.2). */
import type { Alt } from '../alt.ts';
import {
  FLAGS,
  F_PROBE,
  F_PROBED,
  F_RECOVERY,
  F_SACK,
  MSS,
  REXMT_AT,
  ROW_SHIFT,
  SND_MAX,
  SND_UNA,
  SRTT,
  field,
} from '../flows.ts';
import { at } from '../slab.ts';
import { rtoMs } from './rtt.ts';

/** Smallest time before a tail loss probe. */
const PROBE_MIN_MS = 10;

/**
 * Sets the retransmission timer, or a tail loss probe's in front of it (RFC 8985 §7.2, for flows with SACK): in recovery too, where it sends
 * again what was lost again (recovery.ts, `reorderTimeout`).
 */
export function armRexmt(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const rto = rtoMs(s, i);
  let flags = at(w, o + FLAGS) & ~F_PROBE;
  let delay = rto;
  const flight = (at(w, o + SND_MAX) - at(w, o + SND_UNA)) | 0;
  if (
    (flags & F_SACK) !== 0 &&
    (flags & F_PROBED) === 0 &&
    ((flags & F_RECOVERY) !== 0 || flight > field(w, o, MSS)) &&
    at(w, o + SRTT) !== 0
  ) {
    const probe = Math.max(PROBE_MIN_MS, at(w, o + SRTT) >> 2);
    if (probe < rto) {
      flags |= F_PROBE;
      delay = probe;
    }
  }
  w[o + FLAGS] = flags;
  s.setTimer(i, REXMT_AT, delay);
}
