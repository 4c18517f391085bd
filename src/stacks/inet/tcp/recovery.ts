/**
 * Contract of loss recovery: it decides from ACKs what was lost and what is sent again. How much may be in flight is congestion
 * control's (`cc.ts`); when the retransmission timer goes off is `timers.ts`'. One object serves all connections.
 */
import type { Tcb } from './tcb.ts';

/** A piece to send again. */
export interface Hole {
  seq: number;
  /** Bytes. */
  len: number;
}

export interface Recovery {
  readonly name: string;
  /** A duplicate ACK came (RFC 5681 §2's definition). */
  dupAck(tcb: Tcb): void;
  /** An ACK of `acked` new bytes came; `sndUna` is still the old one. True: recovery goes on and the windows are its business. */
  newAck(tcb: Tcb, ack: number, acked: number): boolean;
  /** The retransmission timer went off; `sndNxt` will go back to `sndUna`. */
  rto(tcb: Tcb): void;
  /** Fills `hole` with the next piece to be sent again now, whatever the windows say. False: nothing. */
  next(tcb: Tcb, hole: Hole): boolean;
}
