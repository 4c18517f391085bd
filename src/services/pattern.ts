/**
 * The bytes of `/bytes/N`: byte number i is the top byte of the 32-bit product 2654435761 * (i mod 65521). The period is a prime, so
 * a piece that is moved, lost or sent twice shows; anyone can compute it in a line.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Kernel } from '../kern/kernel.ts';

export const PATTERN_PERIOD = 65521;
/** Periods in the block that is sent from. */
const REPEAT = 4;
/** Bytes hashed before the event loop gets its turn. */
const HASH_SLICE = 1 << 22;

/** Byte number `i` of the pattern. */
export function patternByte(i: number): number {
  return Math.imul(2654435761, i % PATTERN_PERIOD) >>> 24;
}

/** Whole periods of the pattern: the buffer that every answer is cut from. */
export function patternBlock(): Buffer {
  const block = Buffer.allocUnsafeSlow(PATTERN_PERIOD * REPEAT);
  for (let i = 0; i < PATTERN_PERIOD; i++) block[i] = patternByte(i);
  for (let n = 1; n < REPEAT; n++) block.copyWithin(n * PATTERN_PERIOD, 0, PATTERN_PERIOD);
  return block;
}

/** A stream of the pattern's first `total` bytes: slices of `block`, made as they are asked for. */
export class PatternStream extends Readable {
  readonly #block: Buffer;
  #left: number;

  constructor(block: Buffer, total: number) {
    super({ highWaterMark: block.length });
    this.#block = block;
    this.#left = total;
  }

  override _read(): void {
    const n = Math.min(this.#left, this.#block.length);
    this.#left -= n;
    this.push(n === 0 ? null : this.#block.subarray(0, n));
  }
}

/** SHA-256 of the pattern's first `total` bytes in hex; null when `stop` said so. Other work gets its turns in between. */
export async function patternHash(kernel: Kernel, block: Buffer, total: number, stop: () => boolean): Promise<string | null> {
  const hash = createHash('sha256');
  let sliced = 0;
  for (let left = total; left > 0;) {
    if (stop()) return null;
    const n = Math.min(left, block.length);
    hash.update(block.subarray(0, n));
    left -= n;
    sliced += n;
    if (sliced < HASH_SLICE) continue;
    sliced = 0;
    await new Promise<void>((resolve) => kernel.effects.yield(resolve));
  }
  return hash.digest('hex');
}
