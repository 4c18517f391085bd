/**
 * CUBIC (RFC 9438): after a loss the window grows by a cubic function of time, which is flat where the loss was, and never more slowly than
 * Reno's would. Six words beside the row: windows in bytes (Reno's estimate in sixteenths), times in milliseconds.
 */
import type { Alt } from '../alt.ts';
import { CC_EPOCH, CC_K, CC_ORIGIN, CC_PRIOR, CC_WEST, CC_WMAX, MSS, ROW_SHIFT, SND_CWND, SRTT, field } from '../flows.ts';
import { at } from '../slab.ts';

/** RFC 9438 §5: segments per second cubed; §4.6: what a reduction leaves. */
const CUBIC_C = 0.4;
const CUBIC_BETA = 0.7;
/** §4.3: additive increase that on average carries what Reno does. */
const ALPHA = (3 * (1 - CUBIC_BETA)) / (1 + CUBIC_BETA);
/** Reno's estimate is kept in parts of a byte. */
const WEST_SHIFT = 4;

/** §4.2: the curve, in bytes, `t` ms after the epoch began. */
function curve(t: number, k: number, origin: number, mss: number): number {
  const d = (t - k) / 1000;
  return CUBIC_C * d * d * d * mss + origin;
}

/** §4.2 to §4.5: the window after `acked` bytes in congestion avoidance. */
export function cubicAvoid(s: Alt, i: number, cwnd: number, acked: number): number {
  const { flows } = s;
  const o = i << ROW_SHIFT;
  const mss = field(flows.w, o, MSS);
  const now = s.time.ms | 1;
  if (flows.side(o, CC_EPOCH) === 0) {
    const wMax = flows.side(o, CC_WMAX);
    flows.setSide(o, CC_EPOCH, now);
    flows.setSide(o, CC_K, wMax > cwnd ? Math.round(1000 * Math.cbrt((wMax - cwnd) / (mss * CUBIC_C))) : 0);
    flows.setSide(o, CC_ORIGIN, wMax > cwnd ? wMax : cwnd);
    flows.setSide(o, CC_WEST, cwnd << WEST_SHIFT);
  }
  const t = (now - flows.side(o, CC_EPOCH)) | 0;
  const k = flows.side(o, CC_K);
  const origin = flows.side(o, CC_ORIGIN);
  let west = flows.side(o, CC_WEST);
  // §4.3: once it is where the last loss was it grows as Reno does.
  const slope = west >> WEST_SHIFT >= flows.side(o, CC_PRIOR) ? 1 : ALPHA;
  west += Math.max(1, Math.round((slope * acked * mss * (1 << WEST_SHIFT)) / cwnd));
  flows.setSide(o, CC_WEST, west < 1 << 30 ? west : 1 << 30);
  const reno = west >> WEST_SHIFT;
  if (curve(t, k, origin, mss) < reno) return reno > cwnd ? reno : cwnd;
  const rtt = at(flows.w, o + SRTT) >> 3;
  let target = curve(t + rtt, k, origin, mss);
  if (target < cwnd) target = cwnd;
  else if (target > 1.5 * cwnd) target = 1.5 * cwnd;
  return Math.floor(cwnd + ((target - cwnd) * acked) / cwnd);
}

/** §4.6, §4.7: what is left after a loss of the `filled` part of the window, in bytes. */
export function cubicReduce(s: Alt, i: number, filled: number): number {
  const { flows } = s;
  const o = i << ROW_SHIFT;
  const cwnd = at(flows.w, o + SND_CWND);
  const wMax = flows.side(o, CC_WMAX);
  flows.setSide(o, CC_WMAX, cwnd < wMax ? Math.floor((cwnd * (1 + CUBIC_BETA)) / 2) : cwnd);
  flows.setSide(o, CC_PRIOR, cwnd);
  flows.setSide(o, CC_EPOCH, 0);
  return Math.floor(filled * CUBIC_BETA);
}
