/** The slab of datagram sockets: a row each, and for every port the list of those bound to it. */
import type { Socket } from '../../kern/socket/socket.ts';
import { Slab, at } from './slab.ts';

const ROW_WORDS = 8;
/** Addresses (0: any) and ports of a row; next socket of the same port, plus 1; its last ARP entry. */
export const U_LADDR = 0;
export const U_FADDR = 1;
export const U_LPORT = 2;
export const U_FPORT = 3;
export const U_NEXT = 4;
export const U_HINT = 5;
/** TTL | TOS << 8; 0: defaults. The local address was chosen by `connect`. */
export const U_TTL_TOS = 6;
export const U_AUTO = 7;

export class UdpSlab extends Slab {
  readonly socketOf: (Socket | null)[];
  readonly boundTo = new Int32Array(65536);
  /** Rows that one datagram goes to, while it is handed out. */
  readonly hits: Int32Array;

  constructor(rows: number) {
    super(rows, ROW_WORDS, U_NEXT);
    this.socketOf = new Array<Socket | null>(rows).fill(null);
    this.hits = new Int32Array(rows);
  }

  bindPort(i: number, laddr: number, lport: number): void {
    const o = i * ROW_WORDS;
    this.w[o + U_LADDR] = laddr;
    this.w[o + U_LPORT] = lport;
    this.w[o + U_NEXT] = at(this.boundTo, lport);
    this.boundTo[lport] = i + 1;
  }

  unbindPort(i: number): void {
    const { w, boundTo } = this;
    const lport = at(w, i * ROW_WORDS + U_LPORT);
    if (lport === 0) return;
    const rest = at(w, i * ROW_WORDS + U_NEXT);
    if (at(boundTo, lport) === i + 1) {
      boundTo[lport] = rest;
    } else {
      let p = at(boundTo, lport);
      while (at(w, (p - 1) * ROW_WORDS + U_NEXT) !== i + 1) p = at(w, (p - 1) * ROW_WORDS + U_NEXT);
      w[(p - 1) * ROW_WORDS + U_NEXT] = rest;
    }
    w[i * ROW_WORDS + U_LPORT] = 0;
  }

  row(i: number): number {
    return i * ROW_WORDS;
  }

  /** How well row `i` fits a datagram: -1 not at all, else the number of parts that it names itself. */
  fit(i: number, laddr: number, faddr: number, fport: number): number {
    const { w } = this;
    const o = i * ROW_WORDS;
    let score = 0;
    if (at(w, o + U_LADDR) !== 0) {
      if (at(w, o + U_LADDR) !== laddr) return -1;
      score++;
    }
    if (at(w, o + U_FPORT) !== 0) {
      if (at(w, o + U_FPORT) !== fport || at(w, o + U_FADDR) !== faddr) return -1;
      score += 2;
    }
    return score;
  }
}
