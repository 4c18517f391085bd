/**
 * The end of a flow. All ways lead through `endFlow`: the row leaves every table at once, and is free for another when the batch is
 * over, so that code above on the stack still finds it ended and not taken anew.
 */
import type { Errno } from '../../../kern/errno.ts';
import { soisdisconnected, soseterror } from '../../../kern/socket/upcalls.ts';
import type { Alt } from '../alt.ts';
import { FADDR, FLAGS, F_ACKNOW, F_BOUND, F_HASHED, F_QUEUED, F_TS, HEAD, LADDR, NEXT, PORTS, RANGES, RCV_ADV, RCV_NXT, ROW_SHIFT, SND_MAX, STATE, TS_CLOSED, TS_FREE, TS_LISTEN, TS_OFF, TS_RECENT, TS_SYN_RCVD, TS_SYN_SENT, TTL_TOS } from '../flows.ts'; // prettier-ignore
import { MINTTL_SHIFT } from '../ipopt.ts';
import { at } from '../slab.ts';
import { KEEP_TIMEWAIT } from '../wheel.ts';
import { emitAck, emitReset } from './emit.ts';
import { reportState } from './state.ts';
import {
  W_FADDR, W_HOW, W_LADDR, W_PORTS, W_RCV_NXT, W_SND_NXT, W_TS_OFF, W_TS_RECENT, W_UNTIL, W_WIN,
} from './timewait.ts'; // prettier-ignore

/** Takes a flow out of everything; its socket, if it has one, hears `err` and that it is over. */
export function endFlow(s: Alt, i: number, err: Errno | null): void {
  const { flows, ct } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  if (state === TS_FREE) return;
  const flags = at(w, o + FLAGS);
  const ports = at(w, o + PORTS);
  if ((flags & F_HASHED) !== 0) {
    s.demux.remove(at(w, o + LADDR), at(w, o + FADDR), ports);
    flows.portUse[ports >>> 16] = at(flows.portUse, ports >>> 16) - 1;
  }
  if ((flags & F_BOUND) !== 0) flows.unbindPort(i);
  if (at(w, o + RANGES) !== 0) {
    s.ranges.free(at(w, o + RANGES) - 1);
    w[o + RANGES] = 0;
  }
  s.wheel.cancel(i);
  if (state === TS_LISTEN) endHalfOpen(s, i);
  const so = flows.socketOf[i] ?? null;
  flows.socketOf[i] = null;
  if (state === TS_SYN_RCVD && so === null) flows.embryonic--;
  if (state > TS_LISTEN && (s.kernel.diag.state.hasSubscribers || s.tcpLog.enabled('trace'))) {
    // The one whose place in the demultiplexer a record has taken is in TIME-WAIT.
    reportState(s, i, state, (flags & F_HASHED) === 0 ? 'TIME_WAIT' : 'CLOSED');
  }
  w[o + STATE] = TS_FREE;
  w[o + FLAGS] = flags & F_QUEUED;
  // One that waits for output is freed when the list comes to it.
  if ((flags & F_QUEUED) === 0) {
    w[o + NEXT] = s.reap;
    s.reap = i + 1;
    s.kernel.netisr.schedule(s.work);
  }
  if (state > TS_CLOSED) ct.tcp.closed++;
  if (so === null) return;
  so.pcb = null;
  if (err !== null) {
    if (state === TS_SYN_SENT || state === TS_SYN_RCVD) ct.tcp.conndrops++;
    else ct.tcp.drops++;
    soseterror(so, err);
  }
  soisdisconnected(so);
}

/** Half-open connections end with their listener, whose row may be another's soon. Their peers get a reset when they ask. */
function endHalfOpen(s: Alt, listener: number): void {
  const { flows } = s;
  const { w } = flows;
  for (let k = 0; k < flows.highWater() && flows.embryonic > 0; k++) {
    const o = k << ROW_SHIFT;
    if (at(w, o + STATE) !== TS_SYN_RCVD || at(w, o + HEAD) !== listener || (flows.socketOf[k] ?? null) !== null) continue;
    endFlow(s, k, null);
  }
}

/** Ends it with a reset to the peer, if the peer knows of it. */
export function abortFlow(s: Alt, i: number, err: Errno | null): void {
  if (at(s.flows.w, (i << ROW_SHIFT) + STATE) >= TS_SYN_RCVD) emitReset(s, i);
  endFlow(s, i, err);
}

/** Both sides have finished and ours did first: a record remembers the connection for two segment lifetimes, and the flow is free. */
export function enterTimeWait(s: Alt, i: number): void {
  const { flows, timewait, demux, ct } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  // What was to be acknowledged at the end of the batch has no flow then.
  if ((at(w, o + FLAGS) & F_ACKNOW) !== 0) emitAck(s, i);
  if (timewait.used === timewait.rows) {
    ct.tcp.timewaitrecycled++;
    endTimeWait(s, timewait.oldest());
  }
  const k = timewait.alloc();
  if (k >= 0) {
    const t = timewait.w;
    const r = timewait.row(k);
    t[r + W_LADDR] = at(w, o + LADDR);
    t[r + W_FADDR] = at(w, o + FADDR);
    t[r + W_PORTS] = at(w, o + PORTS);
    t[r + W_RCV_NXT] = at(w, o + RCV_NXT);
    t[r + W_SND_NXT] = at(w, o + SND_MAX);
    t[r + W_TS_RECENT] = at(w, o + TS_RECENT);
    t[r + W_TS_OFF] = at(w, o + TS_OFF);
    const minTtl = (flows.side(o, TTL_TOS) >>> MINTTL_SHIFT) & 0xff;
    t[r + W_HOW] = ((at(w, o + FLAGS) & F_TS) !== 0 ? 1 : 0) | (minTtl << 1);
    t[r + W_WIN] = Math.max(0, (at(w, o + RCV_ADV) - at(w, o + RCV_NXT)) | 0);
    const life = 2 * s.cfg.mslMs;
    timewait.append(k, (s.time.ms + life) | 0);
    if (timewait.used === 1) s.wakeKeeper(KEEP_TIMEWAIT, life);
  }
  if (k >= 0) {
    // The record takes the flow's place in the demultiplexer, and its use of the port.
    ct.tcp.timewait++;
    demux.set(at(w, o + LADDR), at(w, o + FADDR), at(w, o + PORTS), s.cfg.flows + k);
    w[o + FLAGS] = at(w, o + FLAGS) & ~F_HASHED;
  }
  endFlow(s, i, null);
}

/** Forgets a connection in TIME-WAIT. */
export function endTimeWait(s: Alt, k: number): void {
  const { timewait, flows } = s;
  const r = timewait.row(k);
  const ports = at(timewait.w, r + W_PORTS);
  s.demux.remove(at(timewait.w, r + W_LADDR), at(timewait.w, r + W_FADDR), ports);
  flows.portUse[ports >>> 16] = at(flows.portUse, ports >>> 16) - 1;
  timewait.unlink(k);
  timewait.free(k);
}

/** Forgets those whose time has come. */
export function timewaitTick(s: Alt): void {
  const { timewait } = s;
  const now = s.time.ms;
  for (let k = timewait.oldest(); k >= 0; k = timewait.oldest()) {
    const left = (at(timewait.w, timewait.row(k) + W_UNTIL) - now) | 0;
    if (left > 0) {
      s.wakeKeeper(KEEP_TIMEWAIT, left);
      return;
    }
    endTimeWait(s, k);
  }
}
