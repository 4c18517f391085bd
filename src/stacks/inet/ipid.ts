/**
 * Identifications of datagrams that may be cut (RFC 6864 §4.3: unique per source, destination and protocol while pieces can live).
 * A table of counters, chosen by a keyed hash: destinations do not tell each other's traffic, and no counter is ever reset.
 */
import type { RandomSource } from '../../kern/effects.ts';
import type { IpAddr } from '../../wire/addr.ts';
import { hashAddr, mix } from './hash.ts';

const COUNTERS = 4096;

export class IpIds {
  readonly #seed: number;
  readonly #next = new Uint16Array(COUNTERS);

  constructor(random: RandomSource) {
    this.#seed = random.u32() | 0;
    random.fill(new Uint8Array(this.#next.buffer));
  }

  next(src: IpAddr, dst: IpAddr, protocol: number): number {
    const h = mix(mix(hashAddr(this.#seed, dst), src.w3), protocol);
    const i = (h ^ (h >>> 16)) & (COUNTERS - 1);
    const id = this.#next[i] as number;
    this.#next[i] = id + 1;
    return id;
  }
}
