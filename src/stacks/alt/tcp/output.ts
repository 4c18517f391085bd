/**
 * What a flow sends when the batch is over (RFC 9293 §3.8.6, RFC 5681, RFC 896): lost segments first, then new data as the windows allow, in
 * super-frames where the link cuts them, else an acknowledgment if one is owed. Everything that happened in the batch is in one frame.
 */
import { TH_ACK, TH_FIN, TH_PUSH, TH_SYN } from '../../../wire/tcp.ts';
import { IP_HDR_LEN } from '../../../wire/ipv4.ts';
import type { Alt } from '../alt.ts';
import {
  DELACK_AT, FLAGS, F_ACKNOW, F_CUT, F_CWNDLIM, F_FORCE, F_NODELAY, F_NOPUSH, F_PERSIST, F_QUEUED, F_RECOVERY, F_TS, ISS,
  MAX_WND, MSS, NEXT, RANGES, RCV_TIME, REXMITS, REXMT_AT, ROUTE, ROUTE_GEN_MASK, ROUTE_IX_BITS, ROW_SHIFT, RTT_AT, RTT_SEQ,
  SCALE, SND_CWND, SND_MAX, SND_NXT, SND_SML, SND_UNA, SND_WND, STATE, TS_CLOSE_WAIT, TS_CLOSING, TS_ESTABLISHED,
  TS_FIN_WAIT_1, TS_FREE, TS_LAST_ACK, TS_SYN_RCVD, TS_SYN_SENT, field
} from '../flows.ts'; // prettier-ignore
import type { NetIf } from '../netif.ts';
import { SACKED, rangeAfter, rangeSkip } from '../ranges.ts';
import { at } from '../slab.ts';
import { ccAfterIdle } from './cc.ts';
import { emit, emitAck, flowNetif } from './emit.ts';
import { pipe, rangeSet, sendLost } from './recovery.ts';
import { armRexmt } from './rexmt.ts';
import { rtoMs } from './rtt.ts';

/** When a link had no slot. */
const RETRY_MS = 5;
/** When there was no route. */
const NO_ROUTE_RETRY_MS = 1000;
/** Headers of a segment with timestamps. */
const HEADERS = IP_HDR_LEN + 32;

/** Runs all flows that have output, then frees the rows of those that ended. */
export function runOutput(s: Alt): void {
  const { w } = s.flows;
  while (s.outHead !== 0) {
    const i = s.outHead - 1;
    const o = i << ROW_SHIFT;
    s.outHead = at(w, o + NEXT);
    if (s.outHead === 0) s.outTail = 0;
    w[o + FLAGS] = at(w, o + FLAGS) & ~F_QUEUED;
    if (at(w, o + STATE) === TS_FREE) {
      w[o + NEXT] = s.reap;
      s.reap = i + 1;
    } else {
      output(s, i);
    }
  }
  while (s.reap !== 0) {
    const i = s.reap - 1;
    s.reap = at(w, (i << ROW_SHIFT) + NEXT);
    s.flows.free(i);
  }
}

function output(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  let ok = true;
  if (state === TS_SYN_SENT || state === TS_SYN_RCVD) ok = sendSyn(s, i, state);
  else if (state >= TS_ESTABLISHED) {
    ok = sendData(s, i, state);
    if (ok && (at(w, o + FLAGS) & F_ACKNOW) !== 0) ok = emitAck(s, i);
  }
  if (!ok && at(w, o + STATE) !== TS_FREE) retry(s, i);
}

/**
 * What could not leave is tried again: shortly if the link had no slot. Without a route an acknowledgment waits until the peer asks
 * again, and data that no timer watches yet is tried once a second.
 */
function retry(s: Alt, i: number): void {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  // The route was looked up a moment ago, and is noted only if there is one.
  if (at(w, o + ROUTE) >>> ROUTE_IX_BITS === (s.routes.gen & ROUTE_GEN_MASK)) {
    s.setTimer(i, DELACK_AT, RETRY_MS);
    return;
  }
  w[o + FLAGS] = at(w, o + FLAGS) & ~F_ACKNOW;
  const so = socketOf[i] ?? null;
  const unsent = so !== null && (so.snd.cc > 0 || finIsQueued(at(w, o + STATE)));
  if (unsent && at(w, o + REXMT_AT) === 0) s.setTimer(i, DELACK_AT, NO_ROUTE_RETRY_MS);
}

/** States in which the user has closed and our FIN is not yet acknowledged. */
function finIsQueued(state: number): boolean {
  return state === TS_FIN_WAIT_1 || state === TS_CLOSING || state === TS_LAST_ACK;
}

function sendSyn(s: Alt, i: number, state: number): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const iss = at(w, o + ISS);
  if (at(w, o + SND_NXT) !== iss && (at(w, o + FLAGS) & F_ACKNOW) === 0) return true;
  const ok = emit(s, i, iss, 0, state === TS_SYN_SENT ? TH_SYN : TH_SYN | TH_ACK);
  w[o + SND_NXT] = w[o + SND_MAX] = (iss + 1) | 0;
  if (at(w, o + REXMT_AT) === 0) s.setTimer(i, REXMT_AT, rtoMs(s, i));
  return ok;
}

/** Largest payload of one frame: whole segments, as many as the link cuts. */
function frameLimit(s: Alt, i: number, nif: NetIf | null, mss: number): number {
  // What may be cut on its way is cut by its identification, which a link's own cutting would give twice.
  if (nif === null || nif.tsoMax === 0 || (at(s.flows.w, (i << ROW_SHIFT) + FLAGS) & F_CUT) !== 0) return mss;
  const segments = ((nif.tsoMax - HEADERS) / mss) | 0;
  return segments > 1 ? segments * mss : mss;
}

function sendData(s: Alt, i: number, state: number): boolean {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const so = socketOf[i] ?? null;
  if (so === null) return true;
  const { cc } = so.snd;
  // First, because a way that has changed may take less.
  const nif = flowNetif(s, i);
  const mss = field(w, o, MSS);
  const finQueued = finIsQueued(state);
  if (!finQueued && state !== TS_ESTABLISHED && state !== TS_CLOSE_WAIT) return true;
  if ((at(w, o + FLAGS) & F_RECOVERY) !== 0 && !sendLost(s, i, cc)) return false;
  const una = at(w, o + SND_UNA);
  if (at(w, o + SND_MAX) === una && cc > 0) restartAfterIdle(s, i);
  const end = (una + cc) | 0;
  const limit = frameLimit(s, i, nif, mss);
  let blocked = false;
  const idle = at(w, o + REXMT_AT) === 0;
  for (;;) {
    skipSacked(s, i);
    const nxt = at(w, o + SND_NXT);
    const left = (end - nxt) | 0;
    // Past the FIN there is nothing.
    if (left < 0 || (left === 0 && !finQueued)) break;
    const flags = at(w, o + FLAGS);
    const byWindow = (una + at(w, o + SND_WND) - nxt) | 0;
    const byCwnd = at(w, o + SND_CWND) - pipe(s, i);
    const most = (flags & F_FORCE) !== 0 ? mss : limit;
    let len = left < most ? left : most;
    if (len > byWindow) len = byWindow;
    if (len > byCwnd && (flags & F_FORCE) === 0) len = byCwnd;
    if (len < 0) len = 0;
    if ((flags & F_FORCE) !== 0 && len === 0 && left > 0 && byWindow <= 0) len = 1;
    len = untilSacked(s, i, nxt, len);
    if (len < left && len > mss) len -= len % mss;
    const last = len === left;
    const fin = last && finQueued && (byWindow > len || left === 0 || (flags & F_FORCE) !== 0);
    if (!fin && !worthSending(s, i, len, last, flags, nxt)) break;
    if (!emit(s, i, nxt, len, TH_ACK | (last && len > 0 ? TH_PUSH : 0) | (fin ? TH_FIN : 0))) {
      blocked = true;
      break;
    }
    if ((flags & F_FORCE) !== 0 && byWindow <= 0) {
      // A window probe may be thrown away: it counts as sent, but what comes next is still the same (armPersist sets its timer again).
      const probed = (nxt + len + (fin ? 1 : 0)) | 0;
      if (((probed - at(w, o + SND_MAX)) | 0) > 0) w[o + SND_MAX] = probed;
      break;
    }
    sent(s, i, nxt, len, fin);
    if (last && len % mss !== 0) w[o + SND_SML] = (nxt + len) | 0;
    if (fin || (flags & F_FORCE) !== 0) break;
  }
  // The timer was set for the first of them, when there was nothing behind it that a probe could be for.
  if (idle && at(w, o + REXMT_AT) !== 0 && ((at(w, o + SND_MAX) - una) | 0) > mss) armRexmt(s, i);
  const full = at(w, o + SND_CWND) - pipe(s, i) < mss;
  w[o + FLAGS] = (at(w, o + FLAGS) & ~(F_FORCE | F_CWNDLIM)) | (full ? F_CWNDLIM : 0);
  armPersist(s, i, ((end - at(w, o + SND_NXT)) | 0) > (finQueued ? -1 : 0));
  return !blocked;
}

/** Nagle in Minshall's form (RFC 896), and no silly windows (RFC 9293 §3.8.6.2.1). */
function worthSending(s: Alt, i: number, len: number, last: boolean, flags: number, nxt: number): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (len <= 0) return false;
  if (len >= field(w, o, MSS)) return true;
  if ((flags & F_FORCE) !== 0 || ((nxt - at(w, o + SND_MAX)) | 0) < 0) return true;
  if (last && (flags & F_NOPUSH) === 0) {
    if ((flags & F_NODELAY) !== 0) return true;
    // A small segment waits only while another small one is on its way.
    return ((at(w, o + SND_SML) - at(w, o + SND_UNA)) | 0) <= 0;
  }
  const most = field(w, o, MAX_WND) << (field(w, o, SCALE) & 15);
  return !last && 2 * len >= most && most > 0;
}

/** After a timeout: what the peer has already is not sent again. */
function skipSacked(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const nxt = at(w, o + SND_NXT);
  if (at(w, o + RANGES) === 0 || ((nxt - at(w, o + SND_MAX)) | 0) >= 0) return;
  const c = rangeSet(s, i, SACKED);
  if (c >= 0) w[o + SND_NXT] = rangeSkip(s.ranges.w, c, nxt);
}

function untilSacked(s: Alt, i: number, nxt: number, len: number): number {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (at(w, o + RANGES) === 0 || ((nxt - at(w, o + SND_MAX)) | 0) >= 0) return len;
  const c = rangeSet(s, i, SACKED);
  if (c < 0) return len;
  const gap = (rangeAfter(s.ranges.w, c, nxt, (nxt + len) | 0) - nxt) | 0;
  return gap < len ? gap : len;
}

/** Moves on after [nxt, nxt + len) has left, and sets the timer for it. */
function sent(s: Alt, i: number, nxt: number, len: number, fin: boolean): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const next = (nxt + len + (fin ? 1 : 0)) | 0;
  w[o + SND_NXT] = next;
  if (((next - at(w, o + SND_MAX)) | 0) > 0) {
    w[o + SND_MAX] = next;
    if ((at(w, o + FLAGS) & F_TS) === 0 && s.flows.side(o, RTT_AT) === 0) {
      s.flows.setSide(o, RTT_SEQ, next);
      s.flows.setSide(o, RTT_AT, s.time.ms | 1);
      s.ct.tcp.segstimed++;
    }
  } else {
    s.flows.setSide(o, REXMITS, s.flows.side(o, REXMITS) + 1);
  }
  if ((at(w, o + FLAGS) & F_PERSIST) !== 0) {
    w[o + FLAGS] = at(w, o + FLAGS) & ~F_PERSIST;
    w[o + REXMT_AT] = 0;
  }
  if (at(w, o + REXMT_AT) === 0) armRexmt(s, i);
}

/** Data waits and nothing is on its way that would bring an acknowledgment: the window has to be asked for (RFC 9293 §3.8.6.1). */
function armPersist(s: Alt, i: number, waiting: boolean): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (!waiting || at(w, o + REXMT_AT) !== 0 || at(w, o + SND_NXT) !== at(w, o + SND_UNA)) return;
  w[o + FLAGS] = at(w, o + FLAGS) | F_PERSIST;
  s.setTimer(i, REXMT_AT, rtoMs(s, i));
}

/** RFC 5681 §4.1: a timeout's worth of silence. */
function restartAfterIdle(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (((s.time.ms - at(w, o + RCV_TIME)) | 0) < rtoMs(s, i)) return;
  ccAfterIdle(s, i);
}
