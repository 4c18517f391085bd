/**
 * Congestion control of a flow: slow start and what follows it, counted in bytes (RFC 5681, RFC 3465), only while the window is what limits
 * (RFC 7661). Two algorithms, chosen by net.inet.tcp.cc.algorithm and TCP_CONGESTION: cubic (cubic.ts, with hystart.ts), and newreno.
 * Which one it is is one bit of the row; what cubic remembers lies beside it, and is there only when a flow was ever limited.
 */
import type { Alt } from '../alt.ts';
import {
  CC_EPOCH,
  CC_WMAX,
  FLAGS,
  F_CWNDLIM,
  F_NEWRENO,
  HY_COUNT,
  MSS,
  ROW_SHIFT,
  SND_CWND,
  SND_MAX,
  SND_SSTHRESH,
  SND_UNA,
  field,
} from '../flows.ts';
import { CC_NAMES } from '../config.ts';
import { at } from '../slab.ts';
import { cubicAvoid, cubicReduce } from './cubic.ts';
import { HY_DIVISOR, HY_LOW_SEGMENTS, hystartDetour } from './hystart.ts';
import { initialWindow } from './rtt.ts';

/** Largest congestion window, bytes: sums of it stay small integers. */
const CWND_MAX = 1 << 26;

export function ccName(s: Alt, i: number): string {
  return (at(s.flows.w, (i << ROW_SHIFT) + FLAGS) & F_NEWRENO) !== 0 ? 'newreno' : 'cubic';
}

/** False: there is none of that name. */
export function setCongestion(s: Alt, i: number, name: string): boolean {
  if (!CC_NAMES.includes(name)) return false;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  w[o + FLAGS] = name === 'newreno' ? flags | F_NEWRENO : flags & ~F_NEWRENO;
  s.flows.setSide(o, CC_EPOCH, 0);
  s.flows.setSide(o, CC_WMAX, 0);
  return true;
}

/** `acked` bytes of `flight` were acknowledged outside recovery; `rtt`: a round trip in ms, or below 0. */
export function ccAck(s: Alt, i: number, acked: number, flight: number, rtt: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const cwnd = at(w, o + SND_CWND);
  const flags = at(w, o + FLAGS);
  if ((flags & F_CWNDLIM) === 0 && 2 * flight < cwnd) {
    // RFC 9438 §5.8: time in which the user leaves the window unused is no part of the curve.
    s.flows.setSide(o, CC_EPOCH, 0);
    return;
  }
  const mss = field(w, o, MSS);
  const ssthresh = at(w, o + SND_SSTHRESH);
  let next: number;
  if (cwnd < ssthresh) {
    let more = acked;
    if ((flags & F_NEWRENO) === 0 && rtt >= 0 && cwnd >= HY_LOW_SEGMENTS * mss && hystartDetour(s, i, rtt)) {
      more = Math.ceil(acked / HY_DIVISOR);
    }
    next = cwnd + more;
  } else if ((flags & F_NEWRENO) !== 0) {
    next = cwnd + Math.max(1, Math.floor((mss * Math.min(acked, cwnd)) / cwnd));
  } else {
    next = cubicAvoid(s, i, cwnd, acked);
  }
  w[o + SND_CWND] = next < CWND_MAX ? next : CWND_MAX;
}

/** A loss: what the window may be behind it (RFC 5681 §3.1 eq. 4, RFC 9438 §4.6). */
export function ccReduce(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const cwnd = at(w, o + SND_CWND);
  const flight = (at(w, o + SND_MAX) - at(w, o + SND_UNA)) | 0;
  const least = 2 * field(w, o, MSS);
  // A window that was not filled says little about the path. One that was is the flight, and more than is left of it now: a peer may answer
  // a whole window with one acknowledgment, and what leaves for the first part of it leaves after the batch.
  const filled = (at(w, o + FLAGS) & F_CWNDLIM) !== 0 || flight > cwnd ? cwnd : flight;
  const after = (at(w, o + FLAGS) & F_NEWRENO) !== 0 ? filled >> 1 : cubicReduce(s, i, filled);
  w[o + SND_SSTHRESH] = after > least ? after : least;
  s.flows.setSide(o, HY_COUNT, 0);
}

/** RFC 5681 §4.1: after a timeout's worth of silence the window says nothing about the path any more; RFC 7661: it may bear that again. */
export function ccAfterIdle(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const initial = initialWindow(field(w, o, MSS));
  const cwnd = at(w, o + SND_CWND);
  s.flows.setSide(o, CC_EPOCH, 0);
  if (cwnd <= initial) return;
  w[o + SND_SSTHRESH] = Math.max(at(w, o + SND_SSTHRESH), (cwnd >> 2) * 3);
  w[o + SND_CWND] = initial;
}
