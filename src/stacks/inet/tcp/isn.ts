/**
 * Initial sequence numbers (RFC 6528): a clock of 4 microseconds plus a keyed hash of the connection's name, so that they rise for one
 * name and tell nothing about others. Timestamp offsets (RFC 7323 §5.4) in the same way, with a key of their own.
 */
import type { Kernel } from '../../../kern/kernel.ts';
import type { KernTime } from '../../../kern/time.ts';
import type { IpAddr } from '../../../wire/addr.ts';
import { HalfSip } from '../hash.ts';

export class IsnSource {
  readonly #time: KernTime;
  readonly #isn: HalfSip;
  readonly #ts: HalfSip;

  constructor(kernel: Pick<Kernel, 'random' | 'time'>) {
    this.#time = kernel.time;
    this.#isn = new HalfSip(kernel.random);
    this.#ts = new HalfSip(kernel.random);
  }

  /** Initial sequence number of a connection that begins now. */
  iss(laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): number {
    // From the exact time: the 32-bit count of microseconds wraps too early to be divided.
    const clock = Math.floor(this.#time.exactMs * 250) | 0;
    return (named(this.#isn, laddr, faddr, lport, fport) + clock) | 0;
  }

  /** What is added to the clock of milliseconds in this connection's timestamps. The same for later connections of its name. */
  tsOffset(laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): number {
    return named(this.#ts, laddr, faddr, lport, fport) | 0;
  }
}

function named(hash: HalfSip, laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): number {
  return hash
    .begin()
    .addr(laddr)
    .addr(faddr)
    .word((lport << 16) | fport)
    .end();
}
