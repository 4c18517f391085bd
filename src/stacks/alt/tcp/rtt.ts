/** Round trip and timeout (RFC 6298), and the initial window (RFC 6928). Times are whole milliseconds, kept with three and two more bits. */
import type { Alt } from '../alt.ts';
import { ROW_SHIFT, RTTVAR, RXT_SHIFT, SRTT, field, setField } from '../flows.ts';
import { at } from '../slab.ts';

/** RFC 6298 §2: before the first sample. */
const RTO_INITIAL_MS = 1000;

/** A sample of `rtt` ms. */
export function rttSample(s: Alt, i: number, rtt: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  s.ct.tcp.rttupdated++;
  // A round trip below the clock's step counts as half of one.
  const r8 = rtt <= 0 ? 4 : rtt << 3;
  const srtt = at(w, o + SRTT);
  if (srtt === 0) {
    w[o + SRTT] = r8;
    setField(w, o, RTTVAR, r8 >> 2);
  } else {
    const delta = r8 - srtt;
    const rttvar = field(w, o, RTTVAR);
    w[o + SRTT] = Math.max(1, srtt + (delta >> 3));
    setField(w, o, RTTVAR, Math.max(1, rttvar + (((Math.abs(delta) >> 1) - rttvar) >> 2)));
  }
}

/** The present timeout, with its backoff. */
export function rtoMs(s: Alt, i: number): number {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const { cfg } = s;
  const srtt = at(w, o + SRTT);
  let rto = srtt === 0 ? RTO_INITIAL_MS : (srtt >> 3) + Math.max(1, field(w, o, RTTVAR));
  if (rto < cfg.rexmtMinMs) rto = cfg.rexmtMinMs;
  const shift = field(w, o, RXT_SHIFT);
  rto = shift > 10 ? cfg.rexmtMaxMs : rto << shift;
  return rto < cfg.rexmtMaxMs ? rto : cfg.rexmtMaxMs;
}

/** Ten segments, or 14600 bytes of larger ones. */
export function initialWindow(mss: number): number {
  return Math.min(10 * mss, Math.max(2 * mss, 14600));
}
