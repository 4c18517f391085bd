/** What every stack must stand: 100,000 hostile frames, and then work as before. */
import { describe, expect, it } from 'vitest';
import type { CounterSnapshot } from '../../src/kern/counters.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { mutant } from './mutate.ts';
import { Range, heapUsed } from './harness.ts';

export interface FuzzOptions {
  readonly frames?: number;
  readonly seed?: number;
  /** Tables that must be within their limits afterwards: name, size, limit. */
  /** What came into a layer, and where all of it went: name, in, out. */
  readonly balance?: (counters: CounterSnapshot, frames: number) => readonly (readonly [string, number, number])[];
  readonly tables?: (range: Range) => readonly (readonly [string, number, number])[];
}

export function fuzz(name: string, make: () => ModuleSpec, options: FuzzOptions = {}): void {
  const { frames = 100_000, seed = 20260101, tables = () => [], balance = () => [] } = options;

  describe(`fuzz: ${name}`, () => {
    it(`${frames} mutated frames: nothing throws, nothing grows, and it still pings, echoes and transfers`, () => {
      const range = new Range(make(), seed);
      range.proveAlive(20_000);
      const ifp = range.kernel.ifnets.byName('hand0')!;
      const before = ifp.counters.ipackets;
      const heap = heapUsed();

      range.fire(frames);

      // Every frame went through the interface, and none was lost without a count.
      expect(ifp.counters.ipackets - before).toBeGreaterThanOrEqual(frames);
      expect(ifp.counters.noproto).toBe(0);
      for (const [layer, came, went] of balance(range.kernel.counters.snapshot(), ifp.counters.ipackets))
        expect(went, layer).toBe(came);
      for (const [table, size, limit] of tables(range)) expect(size, table).toBeLessThanOrEqual(limit);
      expect(range.link.ring.doublefree).toBe(0);

      range.proveAlive(300_000);
      // After all timers have run out, only the two servers are left.
      range.echo.closeAll();
      range.sim.run(7_200_000);
      const { created, closed } = range.kernel.domains.counters;
      expect(created - closed).toBe(2);
      expect(range.kernel.bufpool.used).toBe(0);
      expect(range.kernel.netstack.current.busy()).toBe(false);
      expect(range.sim.pending()).toBeLessThan(20);
      expect(range.link.ring.available()).toBe(64);
      expect(heapUsed() - heap).toBeLessThan(48 * 1024 * 1024);
      range.kernel.shutdown();
    });

    it('counts each frame: for every single one some protocol’s counter moves', () => {
      const range = new Range(make(), seed + 1);
      const silent: string[] = [];
      for (let i = 0; i < 4_000; i++) {
        const frame = i < range.corpus.length ? range.corpus[i]! : mutant(range.corpus, range.rng);
        const was = range.protocolSum();
        range.link.inject(frame);
        if (range.protocolSum() === was) silent.push(Buffer.from(frame).toString('hex'));
        if (i % 50 === 0) range.sim.run(3_000);
      }
      expect(silent).toEqual([]);
      range.kernel.shutdown();
    });

    it('the same seed is the same run', () => {
      const run = (): unknown => {
        const range = new Range(make(), seed + 2);
        range.fire(2_000);
        const counters = range.kernel.counters.snapshot();
        range.kernel.shutdown();
        return counters;
      };
      expect(run()).toEqual(run());
    });
  });
}

/** The sum of some of a group's counters. */
export function sum(group: Readonly<Record<string, number>> | undefined, ...names: string[]): number {
  return names.reduce((n, name) => n + (group?.[name] ?? NaN), 0);
}
