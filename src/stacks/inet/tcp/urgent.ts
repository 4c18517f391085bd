/**
 * Urgent data (RFC 9293 §3.8.5, RFC 6093) as BSD has it: the pointer is taken as that of the byte behind the urgent one, and the last urgent
 * byte is taken out of the stream for `recv(MSG_OOB)` unless SO_OOBINLINE is set. An urgent byte that came out of order stays in the stream.
 */
import type { Result } from '../../../kern/errno.ts';
import { SO_OOBINLINE } from '../../../kern/socket/soconst.ts';
import { sooobmark } from '../../../kern/socket/upcalls.ts';
import { seqGt } from '../../../wire/seq.ts';
import type { Segment } from './inst.ts';
import type { Tcb } from './tcb.ts';

export class Urgent {
  /** Sequence number behind the last urgent byte: that we sent, and that the peer announced. */
  sndUp = 0;
  rcvUp = 0;
  hasSnd = false;
  hasRcv = false;
  /** The byte taken out of the stream: -1 not come, -2 was read. */
  oob = -1;
}

export function urgentOf(tcb: Tcb): Urgent {
  return (tcb.urgent ??= new Urgent());
}

/** The segment announces urgent data; its data is still to be delivered. */
export function urgentInput(tcb: Tcb, seg: Segment): void {
  const up = (seg.seq + seg.urp) | 0;
  const urgent = urgentOf(tcb);
  if (!seqGt(up, tcb.rcvNxt)) return;
  // Announced again for the same byte: the user has been told.
  if (urgent.hasRcv && !seqGt(up, urgent.rcvUp)) return;
  urgent.rcvUp = up;
  urgent.hasRcv = true;
  urgent.oob = -1;
  tcb.tcp.stats.rcvurg++;
  const ahead = (up - 1 - tcb.rcvNxt) | 0;
  sooobmark(tcb.so, tcb.so.rcv.cc + ahead);
}

/** Offset in the data [seq, seq + len) of the byte that is to be taken out of the stream; -1: none. */
export function urgentOffset(tcb: Tcb, seq: number, len: number): number {
  const { urgent } = tcb;
  if (urgent === null || !urgent.hasRcv || (tcb.so.options & SO_OOBINLINE) !== 0) return -1;
  const at = (urgent.rcvUp - 1 - seq) | 0;
  return at >= 0 && at < len ? at : -1;
}

/** recv(MSG_OOB): EINVAL when there is none or it is in the stream, EAGAIN while it is announced but has not come. */
export function urgentReceive(tcb: Tcb, peek: boolean): Result<number> {
  const { urgent } = tcb;
  if (urgent === null || !urgent.hasRcv || (tcb.so.options & SO_OOBINLINE) !== 0 || urgent.oob === -2) return 'EINVAL';
  if (urgent.oob === -1) return 'EAGAIN';
  const byte = urgent.oob;
  if (!peek) urgent.oob = -2;
  return byte;
}
