/** The slabs against plain models: what is taken comes back, and nothing is found that was not put in. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Demux } from '../../../src/stacks/alt/demux.ts';
import { ROW_SHIFT } from '../../../src/stacks/alt/flows.ts';
import { hashFast, hashStrong } from '../../../src/stacks/alt/hash.ts';
import {
  MAX_RANGES,
  rangeAdd,
  rangeAfter,
  rangeBytes,
  rangeEnd,
  rangeHoles,
  rangeSkip,
  rangeTrim,
} from '../../../src/stacks/alt/ranges.ts';
import { RateLimit } from '../../../src/stacks/alt/ratelimit.ts';
import { Slab } from '../../../src/stacks/alt/slab.ts';
import { Wheel } from '../../../src/stacks/alt/wheel.ts';

describe('slab', () => {
  test('rows are taken once, come back as zeros, and end at the limit', () => {
    const slab = new Slab(4, 8, 3);
    const rows = [slab.alloc(), slab.alloc(), slab.alloc(), slab.alloc()];
    expect(new Set(rows).size).toBe(4);
    expect(slab.alloc()).toBe(-1);
    slab.w.fill(77, rows[2]! * 8, rows[2]! * 8 + 8);
    slab.free(rows[2]!);
    expect(slab.alloc()).toBe(rows[2]);
    expect([...slab.w.subarray(rows[2]! * 8, rows[2]! * 8 + 8)]).toEqual(new Array(8).fill(0));
    for (const r of rows) slab.free(r);
    expect([slab.used, slab.peak]).toEqual([0, 4]);
  });
});

describe('demultiplexer', () => {
  test('is a map from addresses and ports to ids, whatever is put in and taken out', () => {
    const key = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 3 }));
    const step = fc.tuple(fc.constantFrom('set', 'remove', 'find'), key, fc.integer({ min: 0, max: 999 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.integer(), (steps, k) => {
        const flows = new Int32Array(128 << ROW_SHIFT);
        const records = new Int32Array(128 * 3);
        const rows = { flows, nflows: 128, records, nrecords: 128, recordWords: 3 };
        const demux = new Demux(rows, Int32Array.of(k, ~k));
        const model = new Map<string, number>();
        for (const [op, [l, f, p], n] of steps) {
          const name = `${l},${f},${p}`;
          // Each key has a flow's row and a record's.
          const row = (l << 5) | (f << 2) | p;
          const id = (n & 1) * 128 + row;
          if (op === 'set') {
            flows.set([l, f, p], row << ROW_SHIFT);
            records.set([l, f, p], row * 3);
            demux.set(l, f, p, id);
            model.set(name, id);
          } else if (op === 'remove') {
            demux.remove(l, f, p);
            model.delete(name);
          }
          expect(demux.find(l, f, p)).toBe(model.get(name) ?? -1);
        }
        expect(demux.count).toBe(model.size);
        for (const [name, id] of model) {
          const [l, f, p] = name.split(',').map(Number) as [number, number, number];
          expect(demux.find(l, f, p)).toBe(id);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('the keyed hash spreads sequential ports, and another key spreads them otherwise', () => {
    const a = Int32Array.of(1, 2);
    const b = Int32Array.of(1, 3);
    const buckets = new Int32Array(256);
    let same = 0;
    for (let port = 0; port < 25600; port++) {
      buckets[hashFast(a, 0x0a000002, 0x0a000001, port) & 255]!++;
      if ((hashFast(a, 1, 2, port) & 255) === (hashFast(b, 1, 2, port) & 255)) same++;
    }
    expect(Math.max(...buckets)).toBeLessThan(160);
    expect(Math.min(...buckets)).toBeGreaterThan(50);
    expect(same).toBeLessThan(200);
    expect(hashStrong(a, 1, 2, 3, 4)).not.toBe(hashStrong(a, 1, 2, 3, 5));
  });
});

describe('timer wheel', () => {
  /** A driver in virtual time. */
  class Driver {
    at = -1;
    now = 0;
    reset(ms: number): void {
      this.at = this.now + ms;
    }
    stop(): void {
      this.at = -1;
    }
  }

  test('wakes every entry at or before its deadline, never later than one step behind it, as a model says', () => {
    const step = fc.tuple(
      fc.integer({ min: 0, max: 15 }),
      fc.integer({ min: 0, max: 120_000 }),
      fc.integer({ min: 0, max: 5000 }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 2 ** 31 - 40_000, -5), (steps, origin) => {
        const driver = new Driver();
        const deadlines = new Map<number, number>();
        const wheel: Wheel = new Wheel(
          16,
          (entry) => {
            const due = deadlines.get(entry);
            if (due === undefined) return;
            if (due > driver.now) {
              // Beyond the wheel's span, or moved on: it looks again.
              wheel.arm(entry, (origin + due) | 0, (origin + driver.now) | 0);
              return;
            }
            expect(driver.now - due).toBeLessThanOrEqual(8);
            deadlines.delete(entry);
          },
          driver,
        );
        const runTo = (end: number): void => {
          while (driver.at >= 0 && driver.at <= end) {
            driver.now = driver.at;
            driver.at = -1;
            wheel.advance((origin + driver.now) | 0);
          }
          driver.now = end;
        };
        for (const [entry, delay, wait, cancel] of steps) {
          if (cancel) {
            wheel.cancel(entry);
            deadlines.delete(entry);
          } else {
            deadlines.set(entry, driver.now + delay);
            wheel.arm(entry, (origin + driver.now + delay) | 0, (origin + driver.now) | 0);
          }
          runTo(driver.now + wait);
        }
        runTo(driver.now + 130_000);
        expect(deadlines.size).toBe(0);
        expect(wheel.count).toBe(0);
        expect(driver.at).toBe(-1);
      }),
      { numRuns: 200 },
    );
  });

  test('a deadline that only moves later costs nothing and still comes', () => {
    const driver = new Driver();
    let fired = 0;
    const wheel = new Wheel(1, () => fired++, driver);
    wheel.arm(0, 100, 0);
    const set = driver.at;
    for (let t = 1; t < 50; t++) wheel.arm(0, 100 + t, t);
    expect(driver.at).toBe(set);
    driver.now = driver.at;
    wheel.advance(driver.now);
    expect(fired).toBe(1);
    expect(wheel.count).toBe(0);
  });
});

describe('sequence ranges', () => {
  test('are a set of numbers, as a model says, also across the wrap', () => {
    const range = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 12 }));
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 30 }),
        fc.integer({ min: 0, max: 80 }),
        fc.constantFrom(0, -30, 0x7fffffe0),
        (ranges, cut, base) => {
          const w = new Int32Array(64);
          const model = new Set<number>();
          for (const [from, len] of ranges) {
            const before = model.size;
            const added = rangeAdd(w, 0, (base + from) | 0, (base + from + len) | 0);
            if (added < 0) {
              expect(w[0]).toBe(MAX_RANGES);
              continue;
            }
            for (let n = from; n < from + len; n++) model.add(n);
            expect(added === 1).toBe(model.size > before);
          }
          expect(rangeBytes(w, 0)).toBe(model.size);
          if (model.size > 0) expect((rangeEnd(w, 0, 0) - base) | 0).toBe(Math.max(...model) + 1);
          let skip = cut;
          while (model.has(skip)) skip++;
          expect((rangeSkip(w, 0, (base + cut) | 0) - base) | 0).toBe(skip);
          let after = -1;
          for (let n = cut + 1; n < 200 && after < 0; n++) if (model.has(n) && !model.has(n - 1)) after = n;
          if (after >= 0) expect((rangeAfter(w, 0, (base + cut) | 0, 0) - base) | 0).toBe(after);
          let holes = 0;
          for (let n = 5; n < cut; n++) if (!model.has(n)) holes++;
          expect(rangeHoles(w, 0, (base + 5) | 0, (base + Math.max(5, cut)) | 0)).toBe(holes);
          rangeTrim(w, 0, (base + cut) | 0);
          expect(rangeBytes(w, 0)).toBe([...model].filter((n) => n >= cut).length);
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('the rate limit lets as many through in a second as it says, and a burst of one second', () => {
  const limit = new RateLimit();
  let passed = 0;
  for (let ms = 1; ms <= 10_000; ms++) for (let k = 0; k < 5; k++) if (limit.take(ms, 200)) passed++;
  expect(passed).toBeGreaterThan(1990);
  expect(passed).toBeLessThanOrEqual(2201);
  expect(limit.take(10_000, 0)).toBe(true);
});
