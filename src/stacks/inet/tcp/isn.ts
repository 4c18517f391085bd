/**
 * Initial sequence numbers (RFC 6528): a clock of 4 microseconds plus a keyed hash of the connection's name, so that they rise for one
 * name and tell nothing about others. Timestamp offsets (RFC 7323 §5.4) are another part of the same hash.
 */
import type { Kernel } from '../../../kern/kernel.ts';
import type { KernTime } from '../../../kern/time.ts';
import type { IpAddr } from '../../../wire/addr.ts';
import { HalfSip } from '../hash.ts';

export class IsnSource {
  readonly #time: KernTime;
  readonly #hash: HalfSip;
  #tsOffset = 0;

  constructor(kernel: Pick<Kernel, 'random' | 'time'>) {
    this.#time = kernel.time;
    this.#hash = new HalfSip(kernel.random);
  }

  /** Initial sequence number of a connection that begins now. */
  iss(laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): number {
    const hash = this.#hash
      .begin()
      .addr(laddr)
      .addr(faddr)
      .word((lport << 16) | fport);
    // From the exact time: the 32-bit count of microseconds wraps too early to be divided.
    const clock = Math.floor(this.#time.exactMs * 250) | 0;
    const seq = (hash.end() + clock) | 0;
    this.#tsOffset = hash.more() | 0;
    return seq;
  }

  /** What is added to the clock of milliseconds in the timestamps of the connection that `iss` was last asked about. */
  issTsOffset(): number {
    return this.#tsOffset;
  }

  /** The same for any connection: always the same for one name. */
  tsOffset(laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): number {
    this.iss(laddr, faddr, lport, fport);
    return this.#tsOffset;
  }
}
