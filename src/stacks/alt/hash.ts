/**
 * The stack's keyed hashes: words in, one word out, in the manner of HalfSipHash (Aumasson and Bernstein, SipHash with 32-bit
 * words). With one and three rounds it spreads connections over the demultiplexer, so that nobody outside can aim at one bucket;
 * with two and four it makes sequence numbers, cookies and ports (RFC 6528, RFC 6056, RFC 4987). Sixteen adds, rotates and xors a
 * round, all in registers.
 */
import type { RandomSource } from '../../kern/effects.ts';

/** Two words of key. */
export type HashKey = Int32Array;

export function newHashKey(random: RandomSource): HashKey {
  return Int32Array.of(random.u32() | 0, random.u32() | 0);
}

/** Length of the message, as the last block says it. */
const LENGTH_BLOCK = 16 << 24;
const BLOCKS = 5;
/** The same of three words; with the rounds behind them, which have no message. */
const FAST_LENGTH = 12 << 24;
const FAST_BLOCKS = 4;
const FAST_ROUNDS = FAST_BLOCKS + 3;

/** For what a stranger must not guess: two rounds a word, and four. */
export function hashStrong(key: HashKey, a: number, b: number, c: number, d: number): number {
  const k0 = key[0] as number;
  const k1 = key[1] as number;
  let v0 = k0;
  let v1 = k1;
  let v2 = 0x6c796765 ^ k0;
  let v3 = 0x74656462 ^ k1;
  for (let n = 0; n <= BLOCKS; n++) {
    const m = n === 0 ? a : n === 1 ? b : n === 2 ? c : n === 3 ? d : n === 4 ? LENGTH_BLOCK : 0;
    if (n === BLOCKS) v2 ^= 0xff;
    v3 ^= m;
    for (let r = n === BLOCKS ? 4 : 2; r > 0; r--) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= m;
  }
  return v1 ^ v3;
}

/** For tables: three words, and one round for each. Written out, because every packet that comes needs one. */
export function hashFast(key: HashKey, a: number, b: number, c: number): number {
  let v0 = key[0] as number;
  let v1 = key[1] as number;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  let m = a;
  for (let n = 0; n < FAST_ROUNDS; n++) {
    if (n === FAST_BLOCKS) v2 ^= 0xff;
    v3 ^= m;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= m;
    m = n === 0 ? b : n === 1 ? c : n === 2 ? FAST_LENGTH : 0;
  }
  return v1 ^ v3;
}
