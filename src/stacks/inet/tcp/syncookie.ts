/**
 * SYN cookies (RFC 4987 §3.6): when there is no room for another half-open connection, all of it goes into the sequence number of
 * our SYN,ACK and comes back in the ACK: a keyed hash of 24 bits, and 8 bits for the peer's MSS (of six sizes), its window scale (up to 12),
 * and whether it has SACK, and with that classic ECN. AccECN needs no bit: its client tells by itself (RFC 9768 §5.1). A cookie is good for
 * one to two periods of 32 seconds, and only if some were sent lately.
 */
import type { Kernel } from '../../../kern/kernel.ts';
import type { IpAddr } from '../../../wire/addr.ts';
import { HalfSip } from '../hash.ts';
import { ECN_MODE_CLASSIC } from './ecn.ts';
import type { SynConn } from './syncache.ts';

/** Sizes a cookie can say; the peer's MSS is rounded down. */
const MSS_TABLE = [216, 536, 1220, 1400, 1440, 1460] as const;
/** Scales that it can say: none, and 0 up to this; a greater one is taken for it, which makes the peer's window seem smaller. */
const SCALE_MAX = 12;
const SCALES = SCALE_MAX + 2;
/** Without SACK, with it, with classic ECN too: 3 * 14 * 6 is 252. */
const KINDS = 3;
/** A period is 2^15 ms. */
const PERIOD_SHIFT = 15;

export interface Cookie {
  readonly mss: number;
  /** -1: none. */
  readonly scale: number;
  readonly sack: boolean;
  /** Classic ECN. */
  readonly ecn: boolean;
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

  /** Sequence number of the SYN,ACK for a half-open connection that is not kept. */
  make(sc: SynConn): number {
    const { laddr, faddr, irs, rcvScale } = sc;
    let m = MSS_TABLE.length - 1;
    while (m > 0 && (MSS_TABLE[m] as number) > sc.peerMss) m--;
    const kind = !sc.sack ? 0 : sc.ecn === ECN_MODE_CLASSIC ? 2 : 1;
    const bits = (m * SCALES + Math.min(sc.sndScale, SCALE_MAX) + 1) * KINDS + kind;
    this.#lastPeriod = this.#period();
    const mac = this.#mac(laddr, faddr, (sc.lport << 16) | sc.fport, irs, bits, rcvScale, this.#lastPeriod);
    return (mac << 8) | (bits ^ this.#mask(irs)) | 0;
  }

  /** What the cookie says, or null if it is none of ours. */
  check(laddr: IpAddr, faddr: IpAddr, ports: number, irs: number, iss: number, shift: number): Cookie | null {
    const now = this.#period();
    if (now - this.#lastPeriod > 1) return null;
    const bits = (iss ^ this.#mask(irs)) & 0xff;
    const mac = (iss >>> 8) & 0xffffff;
    for (let period = now; period >= now - 1; period--) {
      if (this.#mac(laddr, faddr, ports, irs, bits, shift, period) !== mac) continue;
      const kind = bits % KINDS;
      const rest = (bits - kind) / KINDS;
      const mss = MSS_TABLE[Math.floor(rest / SCALES)];
      return mss === undefined ? null : { mss, scale: (rest % SCALES) - 1, sack: kind > 0, ecn: kind === 2 };
    }
    return null;
  }

  /** The low byte of sequence numbers should not be the same for all who are alike. */
  #mask(irs: number): number {
    return (irs ^ (irs >>> 8)) & 0xff;
  }
}
