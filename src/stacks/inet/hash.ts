/**
 * Keyed hashes. `mix` is for tables: fast, and its key keeps others from choosing what collides. `HalfSip` (HalfSipHash-2-4, the
 * 32-bit variant of SipHash) is for values that others see: ports and identifications must not tell the key.
 */
import type { RandomSource } from '../../kern/effects.ts';
import { type IpAddr, isV4 } from '../../wire/addr.ts';

/** One more word into a hash. */
export function mix(h: number, word: number): number {
  const m = Math.imul(h ^ word, 0x9e3779b1);
  return m ^ (m >>> 15);
}

/** Hash of an address under the key `seed`. */
export function hashAddr(seed: number, a: IpAddr): number {
  return mix(mix(mix(mix(seed, a.w3), a.w2), a.w1 ^ a.zone), a.w0);
}

function rotl(v: number, n: number): number {
  return (v << n) | (v >>> (32 - n));
}

export class HalfSip {
  readonly #k0: number;
  readonly #k1: number;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;
  #words = 0;

  constructor(random: Pick<RandomSource, 'u32'>) {
    this.#k0 = random.u32() | 0;
    this.#k1 = random.u32() | 0;
  }

  begin(): this {
    this.#v0 = this.#k0;
    this.#v1 = this.#k1;
    this.#v2 = this.#k0 ^ 0x6c796765;
    this.#v3 = this.#k1 ^ 0x74656462;
    this.#words = 0;
    return this;
  }

  word(m: number): this {
    this.#v3 ^= m;
    this.#round();
    this.#round();
    this.#v0 ^= m;
    this.#words++;
    return this;
  }

  /** One word of an IPv4 address, which is the only one that differs; the number of words tells the families apart. */
  addr(a: IpAddr): this {
    if (isV4(a)) return this.word(a.w3);
    return this.word(a.w0).word(a.w1).word(a.w2).word(a.w3);
  }

  /** The hash, 0 to 2^32 - 1. */
  end(): number {
    const length = this.#words << 26;
    this.#v3 ^= length;
    this.#round();
    this.#round();
    this.#v0 ^= length;
    this.#v2 ^= 0xff;
    for (let i = 0; i < 4; i++) this.#round();
    return (this.#v1 ^ this.#v3) >>> 0;
  }

  /** After `end`: 32 bits more of the same name, which tell nothing of the first (as the second half of SipHash's longer output). */
  more(): number {
    this.#v1 ^= 0xdd;
    for (let i = 0; i < 4; i++) this.#round();
    return (this.#v1 ^ this.#v3) >>> 0;
  }

  #round(): void {
    let v0 = (this.#v0 + this.#v1) | 0;
    let v1 = rotl(this.#v1, 5) ^ v0;
    v0 = rotl(v0, 16);
    let v2 = (this.#v2 + this.#v3) | 0;
    let v3 = rotl(this.#v3, 8) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = rotl(v3, 7) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = rotl(v1, 13) ^ v2;
    v2 = rotl(v2, 16);
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
