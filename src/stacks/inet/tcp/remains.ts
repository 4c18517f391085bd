/**
 * One of each kind of object that a connection is made of: the last that was let go. Compiled code holds the hidden classes of objects
 * weakly. Were no connection left while the garbage collector looks, the classes would die, and those of the next connection be
 * others: all code of the path is compiled anew then, for both, and is a quarter slower for good (docs/performance/notes.md).
 */
import type { CcMethods } from './cc.ts';
import type { Conn } from './conn.ts';
import { Reass } from './reass.ts';
import type { Tcb } from './tcb.ts';

export class Remains {
  /** By CONN_*. */
  readonly #conns: (Conn | null)[] = [null, null, null, null];
  readonly #ccData = new Map<CcMethods, unknown>();
  /** Nobody's: most connections have none, and one that has lets it go long before its own end. */
  readonly reass = new Reass();

  /** A record that has left the table. */
  keep(conn: Conn): void {
    this.#conns[conn.kind] = conn;
  }

  /** A control block that is about to lose its parts. */
  keepTcb(tcb: Tcb): void {
    this.keep(tcb);
    if (tcb.ccData !== null) this.#ccData.set(tcb.cc, tcb.ccData);
  }
}
