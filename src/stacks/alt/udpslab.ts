/** The slab of datagram sockets: a row each, and for every port the list of those bound to it. */
import { D_FADDR, D_LADDR, D_NEXT, D_WORDS, DgramSlab } from './dgram.ts';
import { at } from './slab.ts';

/** Ports; D_NEXT is the next socket of the same local port. The local address was chosen by `connect`. */
export const U_LPORT = D_WORDS;
export const U_FPORT = D_WORDS + 1;
export const U_AUTO = D_WORDS + 2;
const ROW_WORDS = D_WORDS + 3;

export class UdpSlab extends DgramSlab {
  readonly boundTo = new Int32Array(65536);
  /** Rows that one datagram goes to, while it is handed out. */
  readonly hits: Int32Array;

  constructor(rows: number) {
    super(rows, ROW_WORDS);
    this.hits = new Int32Array(rows);
  }

  bindPort(i: number, laddr: number, lport: number): void {
    const o = i * ROW_WORDS;
    this.w[o + D_LADDR] = laddr;
    this.w[o + U_LPORT] = lport;
    this.w[o + D_NEXT] = at(this.boundTo, lport);
    this.boundTo[lport] = i + 1;
  }

  unbindPort(i: number): void {
    const { w, boundTo } = this;
    const lport = at(w, i * ROW_WORDS + U_LPORT);
    if (lport === 0) return;
    const rest = at(w, i * ROW_WORDS + D_NEXT);
    if (at(boundTo, lport) === i + 1) {
      boundTo[lport] = rest;
    } else {
      let p = at(boundTo, lport);
      while (at(w, (p - 1) * ROW_WORDS + D_NEXT) !== i + 1) p = at(w, (p - 1) * ROW_WORDS + D_NEXT);
      w[(p - 1) * ROW_WORDS + D_NEXT] = rest;
    }
    w[i * ROW_WORDS + U_LPORT] = 0;
  }

  /** How well row `i` fits a datagram: -1 not at all, else the number of parts that it names itself. */
  fit(i: number, laddr: number, faddr: number, fport: number): number {
    const { w } = this;
    const o = i * ROW_WORDS;
    let score = 0;
    if (at(w, o + D_LADDR) !== 0) {
      if (at(w, o + D_LADDR) !== laddr) return -1;
      score++;
    }
    if (at(w, o + U_FPORT) !== 0) {
      if (at(w, o + U_FPORT) !== fport || at(w, o + D_FADDR) !== faddr) return -1;
      score += 2;
    }
    return score;
  }
}
