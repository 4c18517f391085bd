/**
 * Every frame is accounted for: what came in is what was accepted and what was dropped, frame by frame, and a frame that was dropped is in
 * one counter of drops and no more.
 */
import { expect, it } from 'vitest';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { DropWatch } from '../../src/kern/ifnet/dropwatch.ts';
import { Range } from './harness.ts';
import { mutant } from './mutate.ts';

export interface AccountOptions {
  /** Counters that say that a frame was taken for what it is, `group.name`. */
  readonly accepts: readonly string[];
  /** Drops of other packets than the one that came, or in addition to it: fragments of a datagram that is given up. */
  readonly others?: readonly string[];
}

export function accounts(name: string, make: () => ModuleSpec, { accepts, others = [] }: AccountOptions): void {
  it(`${name}: each frame of the suite is accepted, or dropped and counted once`, () => {
    const range = new Range(make(), 20260202);
    range.proveAlive(5_000);
    const { counters } = range.kernel;
    const watch = new DropWatch(counters);
    const read = (): number[] => accepts.map((key) => counters.get(...(key.split('.') as [string, string])) ?? NaN);
    expect(read()).not.toContain(NaN);
    let accepted = 0;
    let dropped = 0;
    const lost: string[] = [];
    const twice: string[] = [];
    const frames = 6_000;
    for (let i = 0; i < frames; i++) {
      const frame = i < range.corpus.length ? (range.corpus[i] as Uint8Array) : mutant(range.corpus, range.rng);
      const before = read();
      watch.begin();
      range.link.inject(frame);
      const moved = (watch.moved() ?? '').split(',').filter((key) => key !== '' && !others.includes(key));
      if (moved.length > 1) twice.push(`${moved.join(',')} ${Buffer.from(frame).toString('hex')}`);
      if (moved.length > 0) dropped++;
      else if (read().some((value, k) => value !== before[k])) accepted++;
      else lost.push(Buffer.from(frame).toString('hex'));
      if (i % 50 === 0) range.sim.run(3_000);
    }
    expect(lost.slice(0, 10)).toEqual([]);
    expect(twice.slice(0, 10)).toEqual([]);
    expect(accepted + dropped).toBe(frames);
    expect(Math.min(accepted, dropped)).toBeGreaterThan(500);
    range.kernel.shutdown();
  });
}
