/**
 * Tables that find the connection of a segment: by addresses and ports for connections in any form, by port for listeners and
 * for bound sockets.
 *
 * The connections' table is open addressing with linear probing; what is removed leaves no mark (the run behind it moves up). The hash
 * is multilinear over 16-bit words (Carter and Wegman): for a secret key no choice of addresses makes collisions likelier than chance.
 */
import type { RandomSource } from '../../../kern/effects.ts';
import { type IpAddr, addrEqual, isAny, isV4 } from '../../../wire/addr.ts';
import type { Conn } from './conn.ts';
import type { Tcb } from './tcb.ts';

const INITIAL_SLOTS = 64;
/** Words of 16 bits: two ports, two addresses. */
const KEY_WORDS = 18;

export class ConnTable {
  size = 0;
  #hashes = new Int32Array(INITIAL_SLOTS);
  #conns: (Conn | null)[] = new Array<Conn | null>(INITIAL_SLOTS).fill(null);
  #mask = INITIAL_SLOTS - 1;
  readonly #low = new Int32Array(KEY_WORDS);
  readonly #high = new Int32Array(KEY_WORDS);

  constructor(random: Pick<RandomSource, 'u32'>) {
    for (let i = 0; i < KEY_WORDS; i++) {
      this.#low[i] = random.u32();
      this.#high[i] = random.u32();
    }
  }

  hash(laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): number {
    let low = this.#term(this.#low, lport, fport, laddr.w3, faddr.w3);
    let high = this.#term(this.#high, lport, fport, laddr.w3, faddr.w3);
    if (!isV4(faddr)) {
      low = (low + this.#wide(this.#low, laddr, faddr)) | 0;
      high = (high + this.#wide(this.#high, laddr, faddr)) | 0;
    }
    // The upper halves of the two sums are the strong ones. Ports come in rows, and so do their sums: a fixed mixing scatters them.
    let h = (high & ~0xffff) | (low >>> 16);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return h ^ (h >>> 16);
  }

  #term(k: Int32Array, lport: number, fport: number, l: number, f: number): number {
    return (
      (Math.imul(k[0] as number, lport) +
        Math.imul(k[1] as number, fport) +
        Math.imul(k[2] as number, l & 0xffff) +
        Math.imul(k[3] as number, l >>> 16) +
        Math.imul(k[4] as number, f & 0xffff) +
        Math.imul(k[5] as number, f >>> 16)) |
      0
    );
  }

  #wide(k: Int32Array, l: IpAddr, f: IpAddr): number {
    let sum = 0;
    let i = 6;
    for (const w of [l.w0, l.w1, l.w2, f.w0, f.w1, f.w2]) {
      sum = (sum + Math.imul(k[i++] as number, w & 0xffff)) | 0;
      sum = (sum + Math.imul(k[i++] as number, w >>> 16)) | 0;
    }
    return sum;
  }

  /** The connection of these four, or null. */
  find(laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): Conn | null {
    const hash = this.hash(laddr, faddr, lport, fport);
    const mask = this.#mask;
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const conn = this.#conns[i] as Conn | null;
      if (conn === null) return null;
      if (
        this.#hashes[i] === hash &&
        conn.fport === fport &&
        conn.lport === lport &&
        addrEqual(conn.faddr, faddr) &&
        addrEqual(conn.laddr, laddr)
      ) {
        return conn;
      }
    }
  }

  /** Takes a connection in; the caller knows that there is none of its name. */
  insert(conn: Conn): void {
    if (2 * (this.size + 1) > this.#mask) this.#grow();
    conn.hash = this.hash(conn.laddr, conn.faddr, conn.lport, conn.fport);
    this.#put(conn);
    this.size++;
  }

  /** True if it was there. */
  remove(conn: Conn): boolean {
    const mask = this.#mask;
    let i = conn.hash & mask;
    for (; this.#conns[i] !== conn; i = (i + 1) & mask) if (this.#conns[i] === null) return false;
    // Whoever stands further on than this hole because of this one moves up.
    for (let j = (i + 1) & mask; this.#conns[j] !== null; j = (j + 1) & mask) {
      const home = (this.#hashes[j] as number) & mask;
      if (((j - home) & mask) < ((j - i) & mask)) continue;
      this.#conns[i] = this.#conns[j] as Conn;
      this.#hashes[i] = this.#hashes[j] as number;
      i = j;
    }
    this.#conns[i] = null;
    this.size--;
    return true;
  }

  /** Puts `conn` where `old` is: both have the same name. */
  replace(old: Conn, conn: Conn): void {
    conn.hash = old.hash;
    const mask = this.#mask;
    let i = old.hash & mask;
    while (this.#conns[i] !== old) i = (i + 1) & mask;
    this.#conns[i] = conn;
  }

  /** All of them, as a list of its own. */
  all(): Conn[] {
    return this.#conns.filter((conn) => conn !== null);
  }

  #put(conn: Conn): void {
    const mask = this.#mask;
    let i = conn.hash & mask;
    while (this.#conns[i] !== null) i = (i + 1) & mask;
    this.#conns[i] = conn;
    this.#hashes[i] = conn.hash;
  }

  #grow(): void {
    const conns = this.all();
    const slots = 2 * (this.#mask + 1);
    this.#mask = slots - 1;
    this.#hashes = new Int32Array(slots);
    this.#conns = new Array<Conn | null>(slots).fill(null);
    for (const conn of conns) this.#put(conn);
  }
}

/** Sockets by local port: those bound by name, listeners among them; and how many connections use each port. */
export class PortTable {
  readonly #bound = new Map<number, Tcb[]>();
  readonly #listeners = new Map<number, Tcb[]>();
  /**
   * Connections on each port, half open ones too. Deviation: FreeBSD counts those in TIME-WAIT; here they do not keep a server
   * from starting again, because a new connection of the same name begins above the old one (RFC 6191).
   */
  readonly #conns = new Int32Array(65536);

  bound(port: number): readonly Tcb[] {
    return this.#bound.get(port) ?? [];
  }

  /** Nobody holds the port: no bound socket, no connection. */
  free(port: number): boolean {
    return !this.#bound.has(port) && this.#conns[port] === 0;
  }

  /** Some connection uses the port. */
  used(port: number): boolean {
    return this.#conns[port] !== 0;
  }

  /** A connection begins to use the port, and ceases to. */
  enter(port: number): void {
    this.#conns[port] = (this.#conns[port] as number) + 1;
  }

  leave(port: number): void {
    this.#conns[port] = (this.#conns[port] as number) - 1;
  }

  bind(tcb: Tcb): void {
    add(this.#bound, tcb);
  }

  unbind(tcb: Tcb): void {
    take(this.#bound, tcb);
  }

  listen(tcb: Tcb): void {
    add(this.#listeners, tcb);
  }

  unlisten(tcb: Tcb): void {
    take(this.#listeners, tcb);
  }

  listeners(): Tcb[] {
    return [...this.#listeners.values()].flat();
  }

  /** The listener of an address and port: one that is bound to the address before one that is bound to any. */
  findListener(laddr: IpAddr, lport: number): Tcb | null {
    const list = this.#listeners.get(lport);
    if (list === undefined) return null;
    let wild: Tcb | null = null;
    for (const tcb of list) {
      if (addrEqual(tcb.laddr, laddr)) return tcb;
      if (isAny(tcb.laddr) && isV4(tcb.laddr) === isV4(laddr)) wild = tcb;
    }
    return wild;
  }
}

function add(map: Map<number, Tcb[]>, tcb: Tcb): void {
  const list = map.get(tcb.lport);
  if (list === undefined) map.set(tcb.lport, [tcb]);
  else list.push(tcb);
}

function take(map: Map<number, Tcb[]>, tcb: Tcb): void {
  const list = map.get(tcb.lport);
  if (list === undefined) return;
  const i = list.indexOf(tcb);
  if (i >= 0) list.splice(i, 1);
  if (list.length === 0) map.delete(tcb.lport);
}
