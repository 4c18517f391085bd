/**
 * HyStart++ (RFC 9406): when round trips grow in slow start a queue is filling: the window grows more slowly for five rounds (conservative
 * slow start), and back as before if the delay was a passing one, else slow start is over. Five words beside the row, times in ms.
 */
import type { Alt } from '../alt.ts';
import { HY_BASE, HY_COUNT, HY_END, HY_LAST, HY_MIN, ROW_SHIFT, SND_CWND, SND_MAX, SND_SSTHRESH, SND_UNA } from '../flows.ts';
import { at } from '../slab.ts';

/** Below this window a round says nothing. */
export const HY_LOW_SEGMENTS = 16;
/** RFC 9406 §4.3. */
export const HY_DIVISOR = 4;
const MIN_THRESH_MS = 4;
const MAX_THRESH_MS = 16;
const SAMPLES = 8;
const CSS_ROUNDS = 5;
const NONE = 0x7fffffff;

/** HY_COUNT: samples of the round in the low byte, rounds of the detour in the next, and these. */
const ROUND_ONE = 1 << 8;
const CSS = 1 << 16;
const BEGUN = 1 << 17;
const DONE = 1 << 18;

/** A round trip of `rtt` ms in slow start, behind `SND_UNA`. True: the window should grow slowly. */
export function hystartDetour(s: Alt, i: number, rtt: number): boolean {
  const { flows } = s;
  const o = i << ROW_SHIFT;
  let count = flows.side(o, HY_COUNT);
  if ((count & DONE) !== 0) return false;
  let min = flows.side(o, HY_MIN);
  if ((count & BEGUN) === 0 || ((at(flows.w, o + SND_UNA) - flows.side(o, HY_END)) | 0) >= 0) {
    // A round begins.
    flows.setSide(o, HY_END, at(flows.w, o + SND_MAX));
    flows.setSide(o, HY_LAST, (count & BEGUN) === 0 ? NONE : min);
    min = NONE;
    count = (count & ~0xff) | BEGUN;
    if ((count & CSS) !== 0) {
      count += ROUND_ONE;
      if (((count >> 8) & 0xff) >= CSS_ROUNDS) {
        flows.setSide(o, HY_COUNT, DONE);
        flows.w[o + SND_SSTHRESH] = at(flows.w, o + SND_CWND);
        s.ct.tcp.hystartexit++;
        return true;
      }
    }
  }
  if (rtt < min) min = rtt;
  if ((count & 0xff) < 0xff) count++;
  flows.setSide(o, HY_MIN, min);
  const last = flows.side(o, HY_LAST);
  if ((count & 0xff) >= SAMPLES && last !== NONE) {
    if ((count & CSS) !== 0) {
      if (min < flows.side(o, HY_BASE)) count &= ~(CSS | 0xff00);
    } else if (min >= last + threshold(last)) {
      count = (count & ~0xff00) | CSS;
      flows.setSide(o, HY_BASE, min);
    }
  }
  flows.setSide(o, HY_COUNT, count);
  return (count & CSS) !== 0;
}

function threshold(last: number): number {
  const eighth = last >> 3;
  return eighth < MIN_THRESH_MS ? MIN_THRESH_MS : eighth > MAX_THRESH_MS ? MAX_THRESH_MS : eighth;
}
