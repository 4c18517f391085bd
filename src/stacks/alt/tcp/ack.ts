/**
 * What an acknowledgment does (RFC 9293 §3.10.7.4, RFC 5681): frees the send buffer, opens windows, times the path, starts and ends
 * recovery, moves the closing states on.
 */
import { sosnddrop } from '../../../kern/socket/upcalls.ts';
import type { Alt } from '../alt.ts';
import {
  DUPACKS, FLAGS, F_DETACHED, F_PERSIST, F_PROBE, F_PROBED, F_RECOVER, F_RECOVERY, F_SACK, F_TS, LIFE_AT, MAX_WND,
  PL_FULL, PROBES, RANGES, RECOVER, REXMT_AT, ROW_SHIFT, RTT_AT, RTT_SEQ, RXT_SHIFT, RXT_SINCE, SCALE, SND_CWND, SND_MAX,
  SND_NXT, SND_SML, SND_UNA, SND_WL1, SND_WND, STATE, TS_CLOSING, TS_FIN_WAIT_1, TS_FIN_WAIT_2, TS_FREE, TS_LAST_ACK, TS_OFF,
  field, setField
} from '../flows.ts'; // prettier-ignore
import { at } from '../slab.ts';
import { tuneSend } from './autotune.ts';
import { ccAck } from './cc.ts';
import { endFlow, enterTimeWait } from './close.ts';
import { plAcked } from './plpmtud.ts';
import { onDupAck, onRecoveryAck, takeSack, trimSacked } from './recovery.ts';
import { armRexmt } from './rexmt.ts';
import { rttSample } from './rtt.ts';
import { setState } from './state.ts';

/** Processes the acknowledgment of the segment at hand, `SND_UNA` <= ack <= `SND_MAX`. False: the flow is gone. */
export function processAck(s: Alt, i: number): boolean {
  const { pkt: p, ct, opt } = s;
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const ack = p.ack;
  const una = at(w, o + SND_UNA);
  const win = p.win << (field(w, o, SCALE) & 15);
  const fresh = opt.nsack > 0 && (at(w, o + FLAGS) & F_SACK) !== 0 && takeSack(s, i, opt, ack);
  if (ack === una) {
    const dup = p.len === 0 && win === at(w, o + SND_WND) && una !== at(w, o + SND_NXT);
    updateWindow(s, i, win);
    if (dup || fresh) {
      if (dup) {
        ct.tcp.rcvdupack++;
        // With SACK a duplicate that says nothing new is of a duplicate segment, and not of a loss.
        if (fresh || opt.nsack === 0) setField(w, o, DUPACKS, field(w, o, DUPACKS) + 1);
      }
      const so = socketOf[i] ?? null;
      onDupAck(s, i, so === null ? 0 : so.snd.cc - ((at(w, o + SND_MAX) - una) | 0));
      s.mark(i);
    }
    return true;
  }
  const acked = (ack - una) | 0;
  ct.tcp.rcvackpack++;
  ct.tcp.rcvackbyte += acked;
  const rtt = measure(s, i, ack);
  const flight = (at(w, o + SND_MAX) - una) | 0;
  w[o + SND_UNA] = ack;
  // What lies behind keeps up, so that it is not ahead when the numbers have gone half round.
  const flags = at(w, o + FLAGS);
  if ((flags & F_RECOVER) !== 0 && ((s.flows.side(o, RECOVER) - ack) | 0) <= 0) w[o + FLAGS] = flags & ~F_RECOVER;
  if (((at(w, o + SND_SML) - ack) | 0) < 0) w[o + SND_SML] = ack;
  if (((at(w, o + SND_NXT) - ack) | 0) < 0) w[o + SND_NXT] = ack;
  if (field(w, o, RXT_SHIFT) > 0) {
    setField(w, o, RXT_SHIFT, 0);
    s.flows.setSide(o, RXT_SINCE, 0);
  }
  if (s.flows.side(o, PL_FULL) !== 0) plAcked(s, i, ack);
  setField(w, o, PROBES, 0);
  if (at(w, o + RANGES) !== 0) trimSacked(s, i, ack);
  if ((at(w, o + FLAGS) & F_RECOVERY) !== 0) {
    // What is missing behind the recovery is a loss of its own.
    if (onRecoveryAck(s, i, ack, acked) && fresh) onDupAck(s, i, 1);
  } else {
    setField(w, o, DUPACKS, 0);
    ccAck(s, i, acked, flight, rtt);
    if (fresh) onDupAck(s, i, 1);
  }
  w[o + FLAGS] = at(w, o + FLAGS) & ~(F_PROBE | F_PROBED);
  if (ack === at(w, o + SND_MAX)) w[o + REXMT_AT] = 0;
  else armRexmt(s, i);
  updateWindow(s, i, win);
  return freeAcked(s, i, acked);
}

/** RFC 7323 §4: by timestamps, else by the segment that is timed (Karn: never one that was sent twice). Milliseconds, or -1. */
function measure(s: Alt, i: number, ack: number): number {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if ((at(w, o + FLAGS) & F_TS) !== 0) {
    if (!s.opt.hasTs) return -1;
    const rtt = (s.time.ms - ((s.opt.tsEcr - at(w, o + TS_OFF)) | 0)) | 0;
    // An echo of something we never sent tells nothing.
    if (rtt < 0 || rtt >= 60_000) return -1;
    rttSample(s, i, rtt);
    return rtt;
  }
  const began = s.flows.side(o, RTT_AT);
  if (began === 0 || ((ack - s.flows.side(o, RTT_SEQ)) | 0) < 0) return -1;
  const rtt = (s.time.ms - began) | 0;
  rttSample(s, i, rtt);
  s.flows.setSide(o, RTT_AT, 0);
  return rtt;
}

/** RFC 9293 §3.10.7.4: the newest segment says how large the window is. */
function updateWindow(s: Alt, i: number, win: number): void {
  const { pkt: p } = s;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (((at(w, o + SND_WL1) - p.seq) | 0) > 0) return;
  const old = at(w, o + SND_WND);
  w[o + SND_WL1] = p.seq;
  w[o + SND_WND] = win;
  if (p.win > field(w, o, MAX_WND)) setField(w, o, MAX_WND, p.win);
  if ((at(w, o + FLAGS) & F_PERSIST) !== 0) {
    // The peer answers: ask on for as long as it does.
    setField(w, o, PROBES, 0);
    if (win > 0) {
      if ((at(w, o + FLAGS) & F_DETACHED) !== 0) w[o + LIFE_AT] = 0;
      s.mark(i);
      w[o + FLAGS] = at(w, o + FLAGS) & ~F_PERSIST;
      w[o + REXMT_AT] = 0;
      setField(w, o, RXT_SHIFT, 0);
      s.flows.setSide(o, RXT_SINCE, 0);
    }
  }
  if (win > old) s.mark(i);
}

/** Lets go of `acked` units of the sequence: bytes of the buffer, and at the end the FIN. False: the flow is gone. */
function freeAcked(s: Alt, i: number, acked: number): boolean {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const so = socketOf[i] ?? null;
  if (so === null) return true;
  if (at(w, o + SND_CWND) > so.snd.hiwat >> 1) tuneSend(s, i, so);
  const finAcked = acked > so.snd.cc;
  const bytes = finAcked ? so.snd.cc : acked;
  if (so.snd.cc > bytes || finAcked) s.mark(i);
  if (bytes > 0) sosnddrop(so, bytes);
  // The writer was woken: it may have closed or aborted meanwhile.
  const state = at(w, o + STATE);
  if (state === TS_FREE) return false;
  if (!finAcked) return true;
  if (state === TS_FIN_WAIT_1) {
    setState(s, i, TS_FIN_WAIT_2);
    if ((at(w, o + FLAGS) & F_DETACHED) !== 0) s.setTimer(i, LIFE_AT, s.cfg.finwait2Ms);
  } else if (state === TS_CLOSING) {
    enterTimeWait(s, i);
    return false;
  } else if (state === TS_LAST_ACK) {
    endFlow(s, i, null);
    return false;
  }
  return true;
}
