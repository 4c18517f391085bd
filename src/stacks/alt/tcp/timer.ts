/**
 * The three deadlines of a flow. REXMT_AT: retransmission (RFC 6298 §5), window probe (F_PERSIST), tail loss probe (F_PROBE). DELACK_AT: the
 * delayed acknowledgment, or output that found no slot. LIFE_AT by state: how long opening may take, when to ask whether the peer still
 * lives, how long FIN-WAIT-2 lasts without a socket. The wheel wakes the flow at or before the earliest.
 */
import { SO_KEEPALIVE } from '../../../kern/socket/soconst.ts';
import { TH_ACK, TH_FIN, TH_PUSH } from '../../../wire/tcp.ts';
import type { Alt } from '../alt.ts';
import {
  DELACK_AT, DUPACKS, FLAGS, F_ACKNOW, F_DETACHED, F_FORCE, F_PERSIST, F_PROBE, F_PROBED, F_RECOVER, F_RECOVERY, F_RXT, ISS,
  KEEP_CNT, KEEP_IDLE, KEEP_INTVL, LIFE_AT, MSS, PROBES, RCV_TIME, RECOVER, REXMITS, REXMT_AT, ROW_SHIFT, RTT_AT, RXT_SHIFT,
  RXT_SINCE, SND_CWND, SND_MAX, SND_NXT, SND_UNA, STATE, TS_CLOSE_WAIT, TS_ESTABLISHED, TS_FIN_WAIT_2, TS_FREE, TS_SYN_RCVD,
  TS_SYN_SENT, USER_TIMEOUT, field, setField
} from '../flows.ts'; // prettier-ignore
import { at } from '../slab.ts';
import { abortFlow, endFlow } from './close.ts';
import { ccReduce } from './cc.ts';
import { emit } from './emit.ts';
import { plTimeout } from './plpmtud.ts';
import { clearSacked, reorderTimeout } from './recovery.ts';
import { rtoMs } from './rtt.ts';

/** Timeouts in a row before the end (RFC 9293 §3.8.3 R2), and for a SYN/ACK. */
const MAX_REXMT = 12;
const MAX_SYNACK = 4;
/** Window probes without any answer, for a flow whose user has gone. */
const MAX_PROBES_CLOSED = 6;

/** The wheel woke flow `i`. */
export function flowTimer(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const now = s.time.ms;
  if (at(w, o + STATE) === TS_FREE) return;
  if (due(w, o + DELACK_AT, now)) {
    s.ct.tcp.delack++;
    w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
    s.mark(i);
  }
  if (due(w, o + REXMT_AT, now)) rexmtTimer(s, i);
  if (at(w, o + STATE) !== TS_FREE && due(w, o + LIFE_AT, now)) lifeTimer(s, i);
  if (at(w, o + STATE) === TS_FREE) return;
  rearm(s, i, at(w, o + DELACK_AT), now);
  rearm(s, i, at(w, o + REXMT_AT), now);
  rearm(s, i, at(w, o + LIFE_AT), now);
}

/** True, and the deadline is taken, if it has come. */
function due(w: Int32Array, word: number, now: number): boolean {
  const deadline = at(w, word);
  // A deadline is odd, so it may be 1 ms beyond what was asked for; the wheel's step is 8.
  if (deadline === 0 || ((deadline - now) | 0) > 0) return false;
  w[word] = 0;
  return true;
}

function rearm(s: Alt, i: number, deadline: number, now: number): void {
  if (deadline !== 0) s.wheel.arm(i, deadline, now);
}

function rexmtTimer(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  const flags = at(w, o + FLAGS);
  if ((flags & F_PERSIST) !== 0) persist(s, i);
  else if ((flags & F_PROBE) !== 0) tailProbe(s, i);
  else if (state === TS_SYN_SENT || state === TS_SYN_RCVD) resendSyn(s, i, state);
  else timeout(s, i);
}

function resendSyn(s: Alt, i: number, state: number): void {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const shift = field(w, o, RXT_SHIFT) + 1;
  setField(w, o, RXT_SHIFT, shift);
  if (state === TS_SYN_RCVD && (socketOf[i] ?? null) === null) {
    if (shift > MAX_SYNACK) {
      s.ct.tcp.sc_stale++;
      endFlow(s, i, null);
      return;
    }
    s.ct.tcp.sc_retransmitted++;
  }
  s.ct.tcp.rexmttimeo++;
  s.flows.setSide(o, REXMITS, s.flows.side(o, REXMITS) + 1);
  s.flows.setSide(o, RTT_AT, 0);
  w[o + SND_NXT] = at(w, o + ISS);
  s.mark(i);
}

/** RFC 5681 §3.1, RFC 6298 §5.4-5.7: back to one segment, and everything from the oldest on is sent again as the window opens. */
function timeout(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const una = at(w, o + SND_UNA);
  const max = at(w, o + SND_MAX);
  if (una === max) return;
  const shift = field(w, o, RXT_SHIFT) + 1;
  setField(w, o, RXT_SHIFT, shift);
  s.ct.tcp.rexmttimeo++;
  if (shift > MAX_REXMT || userTimeout(s, i)) {
    s.ct.tcp.timeoutdrop++;
    abortFlow(s, i, 'ETIMEDOUT');
    return;
  }
  plTimeout(s, i, shift);
  // Once for a loss: one that is under repair has been paid for.
  if ((at(w, o + FLAGS) & F_RECOVER) === 0) ccReduce(s, i);
  w[o + SND_CWND] = field(w, o, MSS);
  setField(w, o, DUPACKS, 0);
  s.flows.setSide(o, RECOVER, max);
  s.flows.setSide(o, RTT_AT, 0);
  w[o + FLAGS] = (at(w, o + FLAGS) & ~(F_RECOVERY | F_RXT | F_PROBE | F_PROBED)) | F_RECOVER;
  clearSacked(s, i);
  w[o + SND_NXT] = una;
  s.mark(i);
}

/** RFC 5482: has the user waited long enough? Counts from the first timeout in vain, less the time before it. */
function userTimeout(s: Alt, i: number): boolean {
  const o = i << ROW_SHIFT;
  const limit = s.flows.side(o, USER_TIMEOUT);
  if (limit === 0) return false;
  const now = s.time.ms | 1;
  const since = s.flows.side(o, RXT_SINCE);
  if (since === 0) {
    s.flows.setSide(o, RXT_SINCE, (now - rtoMs(s, i) / 2) | 1);
    return false;
  }
  return ((now - since) | 0) >= limit;
}

/** Sends what will bring an acknowledgment with news: new data, or the last segment again. Then the timeout proper. */
function tailProbe(s: Alt, i: number): void {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const una = at(w, o + SND_UNA);
  const max = at(w, o + SND_MAX);
  w[o + FLAGS] = (at(w, o + FLAGS) & ~F_PROBE) | F_PROBED;
  const so = socketOf[i] ?? null;
  if (una === max || so === null) return;
  if (reorderTimeout(s, i)) {
    s.setTimer(i, REXMT_AT, rtoMs(s, i));
    return;
  }
  s.ct.tcp.tlpprobes++;
  const end = (una + so.snd.cc) | 0;
  if (((end - max) | 0) > 0 && at(w, o + SND_NXT) === max) {
    w[o + FLAGS] = at(w, o + FLAGS) | F_FORCE;
    s.mark(i);
  } else {
    const fin = ((max - end) | 0) > 0;
    const dataEnd = fin ? end : max;
    let len = (dataEnd - una) | 0;
    if (len > field(w, o, MSS)) len = field(w, o, MSS);
    emit(s, i, (dataEnd - len) | 0, len, TH_ACK | TH_PUSH | (fin ? TH_FIN : 0));
    s.flows.setSide(o, REXMITS, s.flows.side(o, REXMITS) + 1);
  }
  s.setTimer(i, REXMT_AT, rtoMs(s, i));
}

/** RFC 9293 §3.8.6.1: a byte beyond the window, again and again, for as long as the peer answers. */
function persist(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  s.ct.tcp.persisttimeo++;
  const flags = at(w, o + FLAGS);
  const probes = field(w, o, PROBES) + 1;
  if (probes > MAX_REXMT || ((flags & F_DETACHED) !== 0 && probes > MAX_PROBES_CLOSED)) {
    s.ct.tcp.persistdrop++;
    abortFlow(s, i, 'ETIMEDOUT');
    return;
  }
  if (userTimeout(s, i)) {
    s.ct.tcp.timeoutdrop++;
    abortFlow(s, i, 'ETIMEDOUT');
    return;
  }
  // RFC 6429 §4: nobody waits for a window that stays closed to a user who has gone, however well the peer answers.
  if ((flags & F_DETACHED) !== 0 && at(w, o + LIFE_AT) === 0) s.setTimer(i, LIFE_AT, s.cfg.persistOrphanMs);
  setField(w, o, PROBES, probes);
  s.ct.tcp.sndprobe++;
  if (field(w, o, RXT_SHIFT) < MAX_REXMT) setField(w, o, RXT_SHIFT, field(w, o, RXT_SHIFT) + 1);
  w[o + FLAGS] = (flags & ~F_PERSIST) | F_FORCE;
  s.mark(i);
}

function lifeTimer(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  if (state === TS_SYN_SENT || state === TS_SYN_RCVD) {
    s.ct.tcp.keeptimeo++;
    abortFlow(s, i, 'ETIMEDOUT');
  } else if (state === TS_FIN_WAIT_2 && (at(w, o + FLAGS) & F_DETACHED) !== 0) {
    s.ct.tcp.finwait2_drops++;
    endFlow(s, i, null);
  } else if ((at(w, o + FLAGS) & F_DETACHED) !== 0) {
    s.ct.tcp.persistdrop++;
    abortFlow(s, i, null);
  } else {
    keepalive(s, i);
  }
}

/** Sets the keep-alive's deadline if the socket wants one (RFC 9293 §3.8.4). */
export function armKeepalive(s: Alt, i: number): void {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const so = socketOf[i] ?? null;
  const state = at(w, o + STATE);
  if (so === null || state < TS_ESTABLISHED || (state === TS_FIN_WAIT_2 && (at(w, o + FLAGS) & F_DETACHED) !== 0)) return;
  w[o + LIFE_AT] = 0;
  if (!s.cfg.alwaysKeepalive && (so.options & SO_KEEPALIVE) === 0) return;
  s.setTimer(i, LIFE_AT, s.flows.side(o, KEEP_IDLE) * 1000 || s.cfg.keepIdleMs);
}

function keepalive(s: Alt, i: number): void {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const { cfg, ct } = s;
  const so = socketOf[i] ?? null;
  if (so === null || (!cfg.alwaysKeepalive && (so.options & SO_KEEPALIVE) === 0)) return;
  const idleMs = s.flows.side(o, KEEP_IDLE) * 1000 || cfg.keepIdleMs;
  const idle = (s.time.ms - at(w, o + RCV_TIME)) | 0;
  if (idle < idleMs) {
    setField(w, o, PROBES, 0);
    s.setTimer(i, LIFE_AT, idleMs - idle);
    return;
  }
  ct.tcp.keeptimeo++;
  if (field(w, o, PROBES) >= (s.flows.side(o, KEEP_CNT) & 0xff || cfg.keepCnt)) {
    ct.tcp.keepdrops++;
    abortFlow(s, i, 'ETIMEDOUT');
    return;
  }
  setField(w, o, PROBES, field(w, o, PROBES) + 1);
  ct.tcp.keepprobe++;
  // One before the oldest: the peer must answer, and takes nothing from it.
  emit(s, i, (at(w, o + SND_UNA) - 1) | 0, 0, TH_ACK);
  s.setTimer(i, LIFE_AT, s.flows.side(o, KEEP_INTVL) * 1000 || cfg.keepIntvlMs);
}

/** True in the states in which a user can still send. */
export function canSend(state: number): boolean {
  return state === TS_ESTABLISHED || state === TS_CLOSE_WAIT;
}
