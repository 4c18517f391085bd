/**
 * Contract of loss recovery: it decides from ACKs what was lost and what is sent again. How much may be in flight is congestion
 * control's (`cc.ts`); when the retransmission timer goes off is `timers.ts`'. One object serves all connections.
 */
import type { Segment } from './inst.ts';
import type { Tcb } from './tcb.ts';

/** A piece to send again. */
export interface Hole {
  seq: number;
  /** Bytes; a FIN behind the data counts as one. */
  len: number;
}

export interface Recovery {
  readonly name: string;
  /** [seq, end) goes out, for the first time or again; `sndMax` is still the old one. */
  sent(tcb: Tcb, seq: number, end: number): void;
  /** A duplicate ACK came (RFC 5681 §2's definition). */
  dupAck(tcb: Tcb, seg: Segment): void;
  /** An ACK of nothing new came that carries SACK blocks. */
  sackAck(tcb: Tcb, seg: Segment): void;
  /**
   * An ACK of `acked` new bytes came; `sndUna` is still the old one. Answers the bytes that congestion control is to count, or below 0:
   * recovery goes on, and the windows and the timer are its business.
   */
  newAck(tcb: Tcb, seg: Segment, acked: number): number;
  /** The retransmission timer went off with something in flight. */
  rto(tcb: Tcb): void;
  /** The timer T_RACK went off. */
  timer(tcb: Tcb): void;
  /** Fills `hole` with the next piece to be sent again now, at most `maxLen` bytes of data. False: nothing. */
  next(tcb: Tcb, hole: Hole, maxLen: number): boolean;
  /** Output is done; `limited`: the user had nothing more to send. */
  afterOutput(tcb: Tcb, limited: boolean): void;
  /** All that is in flight is to go again, for another reason than congestion (RFC 1191 §6.2). */
  resend(tcb: Tcb): void;
  /** Another block takes the connection over. */
  detach(tcb: Tcb): void;
}
