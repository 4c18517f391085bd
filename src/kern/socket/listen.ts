/**
 * The queues of a listening socket (uipc_socket.c): connections that are complete and wait for `accept`, and those that are not
 * yet, of the protocol or of an accept filter. Both are bounded: the first refuses newcomers, the second drops its oldest.
 */
import type { AcceptFilter } from './accf.ts';
import { SS_INCOMP, type Socket } from './socket.ts';

/** An accept filter set on a listening socket. */
export interface ListenFilter {
  readonly filter: AcceptFilter;
  /** As given by the user. */
  readonly arg: string;
  /** What the filter made of it. */
  readonly param: unknown;
}

/** At most one line of log in this time. */
const LOG_INTERVAL_MS = 10_000;
/** Entries of connections that have left are let be while there are no more than this many besides as many as others. */
const LEFT_MAX = 32;

export class ListenQueue {
  /** The backlog, clamped. The queue takes half as much again. */
  qlimit: number;
  filter: ListenFilter | null = null;
  /** Refused connections, in all and since the last line of log. */
  overflows = 0;
  #unlogged = 0;
  #lastLogMs = 0;
  #logged = false;
  /** The oldest first, and among them some that have left: those without SS_INCOMP. Mostly the last comes and goes at once. */
  #incomp: Socket[] = [];
  #nincomp = 0;
  readonly #comp: (Socket | null)[] = [];
  #front = 0;

  constructor(qlimit: number) {
    this.qlimit = qlimit;
  }

  /** Connections that wait to be accepted. */
  qlen(): number {
    return this.#comp.length - this.#front;
  }

  incqlen(): number {
    return this.#nincomp;
  }

  full(): boolean {
    return 2 * this.qlen() > 3 * this.qlimit;
  }

  addIncomp(so: Socket): void {
    so.state |= SS_INCOMP;
    this.#incomp.push(so);
    this.#nincomp++;
  }

  isIncomp(so: Socket): boolean {
    return (so.state & SS_INCOMP) !== 0;
  }

  removeIncomp(so: Socket): void {
    if ((so.state & SS_INCOMP) === 0) return;
    so.state &= ~SS_INCOMP;
    this.#nincomp--;
    const queue = this.#incomp;
    if (queue[queue.length - 1] === so) queue.pop();
    if (queue.length > 2 * this.#nincomp + LEFT_MAX) this.#incomp = this.incomplete();
  }

  /** The incomplete connection that waits longest, while one more would be over the backlog and not the only one; null otherwise. */
  surplus(): Socket | null {
    if (this.#nincomp < this.qlimit || this.#nincomp === 0) return null;
    return this.#incomp.find((so) => this.isIncomp(so)) ?? null;
  }

  incomplete(): Socket[] {
    return this.#incomp.filter((so) => this.isIncomp(so));
  }

  /** Moves a connection to the complete ones. */
  complete(so: Socket): void {
    this.removeIncomp(so);
    this.#comp.push(so);
  }

  /** The complete connection that waits longest. */
  shift(): Socket | null {
    const so = this.#comp[this.#front] ?? null;
    if (so === null) return null;
    this.#comp[this.#front++] = null;
    if (this.#front === this.#comp.length) {
      while (this.#comp.length > 0) this.#comp.pop();
      this.#front = 0;
    } else if (this.#front > 64 && this.#front * 2 > this.#comp.length) {
      this.#comp.splice(0, this.#front);
      this.#front = 0;
    }
    return so;
  }

  /** Counts a refused connection. Returns how many a line of log should now speak of; 0: not yet time for one. */
  overflow(nowMs: number): number {
    this.overflows++;
    this.#unlogged++;
    if (this.#logged && ((nowMs - this.#lastLogMs) | 0) < LOG_INTERVAL_MS) return 0;
    const n = this.#unlogged;
    this.#logged = true;
    this.#lastLogMs = nowMs;
    this.#unlogged = 0;
    return n;
  }
}
