/**
 * What the payload and the FIN of a segment do (RFC 9293 §3.10.7.4). Bytes in order go straight from the link's buffer to the socket; bytes out
 * of order are put where they belong in `so.rcv`, and remembered as ranges. Acknowledgments are counted in bytes, so that a super-frame
 * counts as the segments that it was made of.
 */
import { PKT_BACKLOG } from '../../../kern/packet.ts';
import { sorcvbuf, sorcvrest } from '../../../kern/socket/sobuf.ts';
import { socantrcvmore, sorcv, sorcvcommit } from '../../../kern/socket/upcalls.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import type { Alt } from '../alt.ts';
import {
  DELACK_AT, FIN_SEQ, FLAGS, F_ACKNOW, F_DETACHED, F_FIN, IRS, LAST_ACK, QUICKACK, RCV_MSS, RCV_NXT, ROW_SHIFT, STATE,
  TS_CLOSE_WAIT, TS_CLOSING, TS_ESTABLISHED, TS_FIN_WAIT_1, TS_FIN_WAIT_2, TS_FREE, field, setField
} from '../flows.ts'; // prettier-ignore
import { ADD_FULL, NEWEST, RCVD, rangeAdd, rangeTrim } from '../ranges.ts';
import { at } from '../slab.ts';
import { tuneReceive } from './autotune.ts';
import { enterTimeWait } from './close.ts';
import { emitAck } from './emit.ts';
import { dropRangeRow, rangeSet, takeRangeSet } from './recovery.ts';
import { setState } from './state.ts';

/** So many segments in order are acknowledged at once after one that was not. */
const QUICK_SEGMENTS = 15;
/**
 * While the link is behind, an acknowledgment waits for a quarter of the buffer, but only so many milliseconds (and what is left of
 * the timer's slot of eight), and not for the first bytes of a connection, whose sender has a small congestion window.
 */
const BACKLOG_SHARE = 2;
const BACKLOG_DELAY_MS = 5;
const BACKLOG_AFTER = 131_072;

/** Takes [seq, seq + len) at `off`, already cut to the window. False: the flow is gone. */
export function takeData(s: Alt, i: number, bytes: Uint8Array, off: number, seq: number, len: number, segSize: number): boolean {
  const { ct } = s;
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const so = socketOf[i] ?? null;
  const state = at(w, o + STATE);
  // RFC 9293: after the peer's FIN text is ignored. Without a socket it was answered by a reset.
  if (so === null || (state !== TS_ESTABLISHED && state !== TS_FIN_WAIT_1 && state !== TS_FIN_WAIT_2)) return true;
  const rcvNxt = at(w, o + RCV_NXT);
  if (seq !== rcvNxt) {
    outOfOrder(s, i, bytes, off, seq, len);
    return true;
  }
  ct.tcp.rcvpack++;
  ct.tcp.rcvbyte += len;
  if (segSize > field(w, o, RCV_MSS)) setField(w, o, RCV_MSS, segSize);
  w[o + RCV_NXT] = (rcvNxt + len) | 0;
  tuneReceive(s, i, so, (rcvNxt + len) | 0);
  const quick = scheduleAck(s, i, so);
  sorcv(so, bytes, off, len);
  if (at(w, o + STATE) === TS_FREE) return false;
  const c = rangeSet(s, i, RCVD);
  if (c >= 0 && at(s.ranges.w, c) > 0 && !takeEarly(s, i, c)) return false;
  // One for the whole batch may be lost too, and then the sender waits for its timer: while it repairs, each segment has its own.
  if (quick && !finIsNext(s, i)) emitAck(s, i);
  return true;
}

function finIsNext(s: Alt, i: number): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  return (at(w, o + FLAGS) & F_FIN) !== 0 && s.flows.side(o, FIN_SEQ) === at(w, o + RCV_NXT);
}

/**
 * RFC 9293 §3.8.6.3: as soon as more than one full-sized segment is unacknowledged, and never later than the delay. True: it is one of the
 * first after a loss.
 */
function scheduleAck(s: Alt, i: number, so: Socket): boolean {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const unacked = (at(w, o + RCV_NXT) - at(w, o + LAST_ACK)) | 0;
  const quick = field(w, o, QUICKACK);
  if (quick > 0) setField(w, o, QUICKACK, quick - 1);
  if ((s.pkt.flags & PKT_BACKLOG) !== 0 && quick === 0 && unacked < so.rcv.hiwat >> BACKLOG_SHARE) {
    // One acknowledgment can cover what still waits on the link too.
    if ((at(w, o + FLAGS) & F_ACKNOW) === 0 && (at(w, o + RCV_NXT) - at(w, o + IRS)) >>> 0 > BACKLOG_AFTER) {
      if (at(w, o + DELACK_AT) === 0) s.setTimer(i, DELACK_AT, BACKLOG_DELAY_MS);
      return false;
    }
  }
  // After a loss the sender's window is small, and a second segment may be long in coming.
  if (quick > 0 || unacked > field(w, o, RCV_MSS)) {
    w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
    s.mark(i);
  } else if (at(w, o + DELACK_AT) === 0) {
    s.setTimer(i, DELACK_AT, s.cfg.delackMs);
  }
  return quick > 0;
}

/** A hole is filled: what came early behind it is in order now. An acknowledgment is due at once (RFC 5681 §4.2). */
function takeEarly(s: Alt, i: number, c: number): boolean {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const r = s.ranges.w;
  const rcvNxt = at(w, o + RCV_NXT);
  rangeTrim(r, c, rcvNxt);
  w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
  s.mark(i);
  if (at(r, c) > 0 && ((at(r, c + 1) - rcvNxt) | 0) <= 0) {
    const end = at(r, c + 2);
    rangeTrim(r, c, end);
    dropRangeRow(s, i);
    w[o + RCV_NXT] = end;
    const so = socketOf[i] ?? null;
    if (so !== null) sorcvcommit(so, (end - rcvNxt) | 0);
    return at(w, o + STATE) !== TS_FREE;
  }
  dropRangeRow(s, i);
  return true;
}

/** Keeps it if there is room, and says at once what is missing: a duplicate acknowledgment for each such segment (RFC 5681 §4.2). */
function outOfOrder(s: Alt, i: number, bytes: Uint8Array, off: number, seq: number, len: number): void {
  const { ct } = s;
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  ct.tcp.rcvoopack++;
  ct.tcp.rcvoobyte += len;
  setField(w, o, QUICKACK, QUICK_SEGMENTS);
  const so = socketOf[i] ?? null;
  const c = takeRangeSet(s, i, RCVD);
  let kept = false;
  if (c >= 0 && so !== null) {
    const r = s.ranges.w;
    // Bytes that no range then remembers are written over later.
    kept =
      sorcvbuf(so).place((seq - at(w, o + RCV_NXT)) | 0, bytes, off, len) && rangeAdd(r, c, seq, (seq + len) | 0) !== ADD_FULL;
    if (kept) r[c - RCVD + NEWEST] = seq;
    else dropRangeRow(s, i);
    if (!kept) sorcvrest(so);
  }
  if (!kept) ct.tcp.rcvoodrop++;
  if (!emitAck(s, i)) {
    w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
    s.mark(i);
  }
}

/** The peer's FIN, once everything before it is here. False: the flow is gone. */
export function takeFin(s: Alt, i: number): boolean {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  if (!finIsNext(s, i)) return true;
  const state = at(w, o + STATE);
  if (state !== TS_ESTABLISHED && state !== TS_FIN_WAIT_1 && state !== TS_FIN_WAIT_2) return true;
  w[o + RCV_NXT] = (at(w, o + RCV_NXT) + 1) | 0;
  const flags = at(w, o + FLAGS);
  w[o + FLAGS] = flags | F_ACKNOW;
  s.mark(i);
  const so = socketOf[i] ?? null;
  if (state === TS_FIN_WAIT_2) {
    if (so !== null && (flags & F_DETACHED) === 0) socantrcvmore(so);
    if (at(w, o + STATE) === TS_FREE) return false;
    enterTimeWait(s, i);
    return false;
  }
  setState(s, i, state === TS_ESTABLISHED ? TS_CLOSE_WAIT : TS_CLOSING);
  if (so !== null) socantrcvmore(so);
  return at(w, o + STATE) !== TS_FREE;
}
