/** The window that we offer (RFC 9293 §3.8.6.2.2): how much of the receive buffer the peer is told of, and when it is told again. */
import { sorcvspace } from '../../../kern/socket/upcalls.ts';
import { seqGt } from '../../../wire/seq.ts';
import { PRESSURE_WINDOW, memoryPressure } from './autotune.ts';
import type { Tcb } from './tcb.ts';

/** Largest window field. */
export const TCP_MAXWIN = 65_535;

/** Shift of our windows, so that the largest receive buffer fits the field (RFC 7323 §2.3). */
export function windowScaleFor(bytes: number): number {
  let scale = 0;
  while (scale < 14 && TCP_MAXWIN << scale < bytes) scale++;
  return scale;
}

/** Bytes behind rcvNxt that the peer may send by what it was told. */
export function rcvWindow(tcb: Tcb): number {
  const adv = (tcb.rcvAdv - tcb.rcvNxt) | 0;
  return adv > 0 ? adv : 0;
}

/** Sequence number of a segment without any: the highest sent, but within the peer's window, or it would not be heard. */
export function bareSeq(tcb: Tcb): number {
  const out = (tcb.sndMax - tcb.sndUna) | 0;
  return out <= tcb.sndWnd ? tcb.sndMax : (tcb.sndUna + tcb.sndWnd) | 0;
}

/** Bytes that we would offer now: never less than promised, none rather than a silly few. */
export function windowToOffer(tcb: Tcb): number {
  const { so } = tcb;
  let win = sorcvspace(so);
  // Someone who does not read, while others need the memory.
  if (so.rcv.cc > 0 && win > PRESSURE_WINDOW - so.rcv.cc && memoryPressure(tcb.tcp)) {
    tcb.tcp.stats.rcvpressure++;
    win = so.rcv.cc < PRESSURE_WINDOW ? PRESSURE_WINDOW - so.rcv.cc : 0;
  }
  // Silly window avoidance: RFC 9293 §3.8.6.2.2, RFC 1122 §4.2.3.3.
  if (win < tcb.mss && win < so.rcv.hiwat >> 2) win = 0;
  const max = TCP_MAXWIN << tcb.rcvScale;
  if (win > max) win = max;
  const promised = (tcb.rcvAdv - tcb.rcvNxt) | 0;
  return win < promised ? promised : win;
}

/**
 * The window field of a segment that goes out now; remembers the edge. The field's grain may move the edge back by less than one
 * unit, as RFC 7323 §2.4 expects; what was promised before is taken all the same. (Rounding up would promise more with each ACK.)
 */
export function takeWindowField(tcb: Tcb): number {
  const { rcvScale } = tcb;
  const field = windowToOffer(tcb) >> rcvScale;
  const edge = (tcb.rcvNxt + (field << rcvScale)) | 0;
  if (seqGt(edge, tcb.rcvAdv)) tcb.rcvAdv = edge;
  return field > TCP_MAXWIN ? TCP_MAXWIN : field;
}

/**
 * The user has read: is the window so much wider that the peer should hear of it? By two segments and a quarter of the buffer, or by
 * half of a small buffer; always when it was shut.
 */
export function windowUpdateDue(tcb: Tcb): boolean {
  const { hiwat } = tcb.so.rcv;
  const promised = rcvWindow(tcb);
  const opened = windowToOffer(tcb) - promised;
  if (opened <= 0) return false;
  if (2 * opened >= hiwat) return true;
  return opened >= 2 * tcb.mss && (4 * opened >= hiwat || 8 * promised <= hiwat || hiwat <= 8 * tcb.mss);
}
