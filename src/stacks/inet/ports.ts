/**
 * Ephemeral ports by RFC 6056 algorithm 3: a keyed hash of the two ends says where the search begins, a counter moves it on. An
 * outsider cannot tell the next port, and the same two ends do not meet the same port soon again.
 */
import type { RandomSource } from '../../kern/effects.ts';
import { ANY4, type IpAddr } from '../../wire/addr.ts';
import { HalfSip } from './hash.ts';

export class EphemeralPorts {
  /** Range, both ends included: sysctls net.inet.ip.portrange. */
  first = 10000;
  last = 65535;
  readonly #hash: HalfSip;
  readonly #random: RandomSource;
  #next = 0;

  constructor(random: RandomSource) {
    this.#hash = new HalfSip(random);
    this.#random = random;
  }

  /** As `InetContext.ephemeralPort`. */
  pick(local: IpAddr, remote: IpAddr | null, remotePort: number, free: (port: number) => boolean): number | null {
    const count = this.last - this.first + 1;
    const offset = this.#hash
      .begin()
      .addr(local)
      .addr(remote ?? ANY4)
      .word(remotePort)
      .end();
    // A step of random length, so that the counter cannot be read off one's own connections.
    this.#next = (this.#next + 1 + (this.#random.u32() & 7)) % count;
    for (let i = 0; i < count; i++) {
      const port = this.first + ((offset + this.#next + i) % count);
      if (free(port)) {
        this.#next = (this.#next + i) % count;
        return port;
      }
    }
    return null;
  }
}
