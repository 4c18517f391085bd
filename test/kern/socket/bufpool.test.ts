import { describe, expect, it } from 'vitest';
import { BUF_MAX, BUF_MIN, BufPool } from '../../../src/kern/socket/bufpool.ts';
import type { NetisrWork } from '../../../src/kern/netisr.ts';
import { Netisr } from '../../../src/kern/netisr.ts';

/** A batch that the test ends by hand. */
class Batch {
  work: NetisrWork[] = [];
  schedule(w: NetisrWork): void {
    if (!w.queued) this.work.push(w);
    w.queued = true;
  }
  end(): void {
    for (const w of this.work.splice(0)) {
      w.queued = false;
      w.run();
    }
  }
}

describe('BufPool', () => {
  it('hands out powers of two from 2 KiB to 8 MiB', () => {
    const pool = new BufPool(64 * 2 ** 20, new Batch());
    for (const [asked, got] of [
      [0, BUF_MIN],
      [1, BUF_MIN],
      [2048, 2048],
      [2049, 4096],
      [65536, 65536],
      [65537, 131072],
      [BUF_MAX, BUF_MAX],
    ] as const) {
      expect(pool.alloc(asked)?.length).toBe(got);
    }
    expect(pool.alloc(BUF_MAX + 1)).toBeNull();
    expect(pool.denied).toBe(1);
  });

  it('gives a buffer to nobody else before the batch has ended', () => {
    const batch = new Batch();
    const pool = new BufPool(2 ** 20, batch);
    const a = pool.alloc(2048)!;
    pool.free(a);
    expect(pool.alloc(2048)).not.toBe(a);
    expect(pool.used).toBe(4096);
    batch.end();
    expect(pool.used).toBe(2048);
    expect(pool.cached).toBe(2048);
    expect(pool.alloc(2048)).toBe(a);
  });

  it('refuses and counts at the limit; the reserve goes a quarter over it', () => {
    const batch = new Batch();
    const pool = new BufPool(8192, batch);
    const held = [1, 2, 3, 4].map(() => pool.alloc(2048)!);
    expect(pool.hasRoom()).toBe(false);
    expect(pool.alloc(2048)).toBeNull();
    expect(pool.allocReserve(2048)).not.toBeNull();
    expect(pool.allocReserve(2048)).toBeNull();
    expect(pool.denied).toBe(2);
    for (const buf of held) pool.free(buf);
    batch.end();
    expect(pool.hasRoom()).toBe(true);
  });

  it('keeps no more than an eighth of the limit idle', () => {
    const batch = new Batch();
    const pool = new BufPool(8 * 4096, batch);
    const held = [1, 2, 3, 4, 5].map(() => pool.alloc(2048)!);
    for (const buf of held) pool.free(buf);
    batch.end();
    expect(pool.used).toBe(0);
    expect(pool.cached).toBe(4096);
  });

  it('ends quarantine behind the links of the same run', () => {
    const netisr = new Netisr({ defer: (w) => w(), yield: (w) => w() }, () => {});
    const pool = new BufPool(2 ** 20, netisr);
    const order: string[] = [];
    netisr.begin();
    pool.free(pool.alloc(2048)!);
    netisr.schedule({ level: 1, queued: false, run: () => void order.push(`link ${pool.used}`) });
    netisr.schedule({ level: 0, queued: false, run: () => void order.push(`stack ${pool.used}`) });
    netisr.end();
    expect(order).toEqual(['stack 2048', 'link 2048']);
    expect(pool.used).toBe(0);
  });
});
