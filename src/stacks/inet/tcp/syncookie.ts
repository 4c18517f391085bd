/**
 * SYN cookies (RFC 4987 §3.6): when there is no room for another half-open connection, all of it goes into the sequence number of
 * our SYN,ACK and comes back in the ACK: a keyed hash of 24 bits, and 8 bits for the peer's MSS (of eight sizes), window scale and SACK.
 * A cookie is good for one to two periods of 32 seconds, and only if some were sent lately.
 */
import type { Kernel } from '../../../kern/kernel.ts';
import type { IpAddr } from '../../../wire/addr.ts';
import { HalfSip } from '../hash.ts';

/** Sizes a cookie can say; the peer's MSS is rounded down. */
const MSS_TABLE = [216, 536, 1200, 1360, 1400, 1440, 1452, 1460] as const;
/** A period is 2^15 ms. */
const PERIOD_SHIFT = 15;

export interface Cookie {
  readonly mss: number;
  /** -1: none. */
  readonly scale: number;
  readonly sack: boolean;
}

export class SynCookies {
  readonly #kernel: Kernel;
  readonly #hash: HalfSip;
  /** Period in which the last cookie was sent. */
  #lastPeriod = -1000;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#hash = new HalfSip(kernel.random);
  }

  #period(): number {
    return Math.floor(this.#kernel.time.exactMs / (1 << PERIOD_SHIFT));
  }

  /** `shift`, the scale of our own windows, is not said but must be the same in the end as it was in the SYN,ACK. */
  #mac(laddr: IpAddr, faddr: IpAddr, ports: number, irs: number, bits: number, shift: number, period: number): number {
    return (
      this.#hash
        .begin()
        .addr(laddr)
        .addr(faddr)
        .word(ports)
        .word(irs)
        .word(bits | (shift << 8))
        .word(period)
        .end() & 0xffffff
    );
  }

  /** Sequence number of a SYN,ACK that carries these. */
  make(
    laddr: IpAddr,
    faddr: IpAddr,
    ports: number,
    irs: number,
    mss: number,
    scale: number,
    sack: boolean,
    shift: number,
  ): number {
    let m = MSS_TABLE.length - 1;
    while (m > 0 && (MSS_TABLE[m] as number) > mss) m--;
    const bits = m | ((scale + 1) << 3) | (sack ? 0x80 : 0);
    this.#lastPeriod = this.#period();
    return (this.#mac(laddr, faddr, ports, irs, bits, shift, this.#lastPeriod) << 8) | (bits ^ this.#mask(irs)) | 0;
  }

  /** What the cookie says, or null if it is none of ours. */
  check(laddr: IpAddr, faddr: IpAddr, ports: number, irs: number, iss: number, shift: number): Cookie | null {
    const now = this.#period();
    if (now - this.#lastPeriod > 1) return null;
    const bits = (iss ^ this.#mask(irs)) & 0xff;
    const mac = (iss >>> 8) & 0xffffff;
    for (let period = now; period >= now - 1; period--) {
      if (this.#mac(laddr, faddr, ports, irs, bits, shift, period) !== mac) continue;
      return { mss: MSS_TABLE[bits & 7] as number, scale: ((bits >>> 3) & 15) - 1, sack: (bits & 0x80) !== 0 };
    }
    return null;
  }

  /** The low byte of sequence numbers should not be the same for all who are alike. */
  #mask(irs: number): number {
    return (irs ^ (irs >>> 8)) & 0xff;
  }
}
