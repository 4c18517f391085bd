/**
 * What the table of connections holds: the four numbers that name a connection, and what kind of record it is. A connection is a
 * `SynConn` while it is half open, a `Tcb` while it stands, a `TimeWaitConn` when it is over; one lookup finds any of them.
 */
import { ANY4, type IpAddr } from '../../../wire/addr.ts';

export const CONN_TCB = 0;
export const CONN_SYN = 1;
export const CONN_TIMEWAIT = 2;

export class Conn {
  readonly kind: number;
  /** Keyed hash of the four below; valid while the record is in the table. */
  hash = 0;
  /** This host's end, and the other one. */
  lport = 0;
  fport = 0;
  laddr: IpAddr = ANY4;
  faddr: IpAddr = ANY4;

  constructor(kind: number) {
    this.kind = kind;
  }
}
