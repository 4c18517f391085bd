/**
 * What the table of connections holds: the four numbers that name a connection, and what kind of record it is. A connection is a
 * `SynConn` while it is half open, a `Tcb` while it stands, a `TimeWaitConn` when it is over; one lookup finds any of them.
 */
import { ANY4, type IpAddr } from '../../../wire/addr.ts';

export const CONN_TCB = 0;
export const CONN_SYN = 1;
export const CONN_TIMEWAIT = 2;
/** A `Tcb` that takes only what came from near (IP_MINTTL): a kind of its own, so that the others are not asked. */
export const CONN_NEAR = 3;

export class Conn {
  /** CONN_*; of a `Tcb` it may change between two of them. */
  kind: number;
  /** This host's end, and the other one. */
  lport = 0;
  fport = 0;
  laddr: IpAddr = ANY4;
  faddr: IpAddr = ANY4;
  /** Keyed hash of these four; valid while the record is in the table. */
  hash = 0;

  constructor(kind: number) {
    this.kind = kind;
  }
}

/** The connection has a control block. */
export function isTcb(conn: Conn): boolean {
  return conn.kind === CONN_TCB || conn.kind === CONN_NEAR;
}
