/**
 * Ephemeral ports by RFC 6056 algorithm 4 (double hash): a keyed hash of the two ends says where the search begins, and a second one which
 * counter of a table moves it on. An outsider cannot tell the next port, nor count the connections to others by the ports of its
 * own; and the same two ends do not meet the same port soon again.
 */
import type { RandomSource } from '../../kern/effects.ts';
import { ANY4, type IpAddr } from '../../wire/addr.ts';
import { HalfSip } from './hash.ts';

/** Counters. */
const COUNTERS = 1024;

export class EphemeralPorts {
  /** Range, both ends included: sysctls net.inet.ip.portrange. */
  first = 10000;
  last = 65535;
  readonly #offset: HalfSip;
  readonly #which: HalfSip;
  readonly #random: RandomSource;
  readonly #next: Uint32Array;

  constructor(random: RandomSource) {
    this.#offset = new HalfSip(random);
    this.#which = new HalfSip(random);
    this.#random = random;
    this.#next = new Uint32Array(COUNTERS);
    random.fill(new Uint8Array(this.#next.buffer));
  }

  /** As `InetContext.ephemeralPort`. */
  pick(local: IpAddr, remote: IpAddr | null, remotePort: number, free: (port: number) => boolean): number | null {
    const count = this.last - this.first + 1;
    const far = remote ?? ANY4;
    const offset = this.#offset.begin().addr(local).addr(far).word(remotePort).end();
    const which = this.#which.begin().addr(local).addr(far).word(remotePort).end() % COUNTERS;
    // A step of random length, so that the counter cannot be read off one's own connections.
    const next = ((this.#next[which] as number) + 1 + (this.#random.u32() & 7)) % count;
    for (let i = 0; i < count; i++) {
      const port = this.first + ((offset + next + i) % count);
      if (free(port)) {
        this.#next[which] = (next + i) % count;
        return port;
      }
    }
    return null;
  }
}
