/** Connections that share a bottleneck: nobody gets much more than the others, and together they use the line. */
import { describe, expect, it } from 'vitest';
import { goodput, jain, share } from './measure.ts';
import type { Stacks } from './scenarios.ts';

const WARM_MS = 10_000;
const MEASURE_MS = 30_000;
/** A queue of about one bandwidth-delay product, and one of three. */
const PATHS = [
  { rateBps: 6e6, rttMs: 40, lossPercent: 0, queueFrames: 20 },
  { rateBps: 6e6, rttMs: 40, lossPercent: 0, queueFrames: 60 },
] as const;

const of = (stacks: Stacks, flows: number): Stacks[] => Array.from({ length: flows }, () => stacks);

describe.each(PATHS)('$rateBps bit/s, $rttMs ms, a queue of $queueFrames frames', (path) => {
  it.each([
    [2, 'inet'],
    [2, 'alt'],
    [8, 'inet'],
    [8, 'alt'],
  ] as const)('%i flows of %s', (flows, stack) => {
    const { bytes, used } = share(1, of([stack, stack], flows), path, WARM_MS, MEASURE_MS);
    expect(jain(bytes)).toBeGreaterThan(0.9);
    expect(used).toBeGreaterThan(0.85);
  });

  it('four of each stack: nobody starves', () => {
    const { bytes, used } = share(1, [...of(['inet', 'alt'], 4), ...of(['alt', 'inet'], 4)], path, WARM_MS, MEASURE_MS);
    const fair = bytes.reduce((sum, n) => sum + n, 0) / bytes.length;
    expect(Math.min(...bytes)).toBeGreaterThan(fair / 5);
    expect(used).toBeGreaterThan(0.85);
  });
});

describe.each(PATHS)('congestion control of inet: $rateBps bit/s, $rttMs ms, a queue of $queueFrames frames', (path) => {
  it.each([
    [2, 'newreno'],
    [8, 'newreno'],
    [2, 'bbr'],
    [8, 'bbr'],
  ] as const)('%i flows with %s', (flows, cc) => {
    const { bytes, used } = share(1, of(['inet', 'inet'], flows), path, WARM_MS, MEASURE_MS, Array<string>(flows).fill(cc));
    // A round-trip time that each measures for itself decides BBR's share: many flows are less even.
    expect(jain(bytes)).toBeGreaterThan(cc === 'bbr' ? 0.75 : 0.9);
    expect(used).toBeGreaterThan(0.85);
  });

  it('cubic and bbr: neither starves', () => {
    const { bytes, used } = share(1, of(['inet', 'inet'], 4), path, WARM_MS, MEASURE_MS, ['cubic', 'cubic', 'bbr', 'bbr']);
    const fair = bytes.reduce((sum, n) => sum + n, 0) / bytes.length;
    expect(Math.min(...bytes)).toBeGreaterThan(fair / 5);
    expect(used).toBeGreaterThan(0.85);
  });
});

describe('bbr through random loss', () => {
  it.each([0, 0.1, 1])('%s %% of loss both ways: more than half of the line', (lossPercent) => {
    const path = { rateBps: 10e6, rttMs: 40, lossPercent, queueFrames: 60 };
    expect(goodput(1, ['inet', 'inet'], path, 20e6, 120_000, 'bbr') / path.rateBps).toBeGreaterThan(0.5);
  });
});
