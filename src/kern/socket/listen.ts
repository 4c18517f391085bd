/**
 * The queues of a listening socket (uipc_socket.c): connections that are complete and wait for `accept`, and those that are not
 * yet, of the protocol or of an accept filter. Both are bounded: the first refuses newcomers, the second drops its oldest.
 */
import type { AcceptFilter } from './accf.ts';
import type { Socket } from './socket.ts';

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

export class ListenQueue {
  /** The backlog, clamped. The queue takes half as much again. */
  qlimit: number;
  filter: ListenFilter | null = null;
  /** Refused connections, in all and since the last line of log. */
  overflows = 0;
  #unlogged = 0;
  #lastLogMs = 0;
  #logged = false;
  readonly #incomp = new Set<Socket>();
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
    return this.#incomp.size;
  }

  full(): boolean {
    return 2 * this.qlen() > 3 * this.qlimit;
  }

  addIncomp(so: Socket): void {
    this.#incomp.add(so);
  }

  isIncomp(so: Socket): boolean {
    return this.#incomp.has(so);
  }

  removeIncomp(so: Socket): void {
    this.#incomp.delete(so);
  }

  /** The incomplete connection that waits longest, while one more would be over the backlog and not the only one; null otherwise. */
  surplus(): Socket | null {
    if (this.#incomp.size < this.qlimit || this.#incomp.size === 0) return null;
    for (const so of this.#incomp) return so;
    return null;
  }

  incomplete(): Socket[] {
    return [...this.#incomp];
  }

  /** Moves a connection to the complete ones. */
  complete(so: Socket): void {
    this.#incomp.delete(so);
    this.#comp.push(so);
  }

  /** The complete connection that waits longest. */
  shift(): Socket | null {
    const so = this.#comp[this.#front] ?? null;
    if (so === null) return null;
    this.#comp[this.#front++] = null;
    if (this.#front === this.#comp.length) {
      this.#comp.length = 0;
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
