/** The scenarios of `npm run soak` with some hundreds of seeds, on each pair of stacks. NETMOD_SEED replays one. */
import { describe, expect, it } from 'vitest';
import { GRID, PAIRS, SCENARIOS, gridCable } from './scenarios.ts';

/** How many seeds, by the scenario's name: as many as fit into a minute of one core together. */
const SEEDS: Readonly<Record<string, number>> = {
  'exact bytes both ways': GRID,
  'slow readers and closed windows': 6,
  'partitions that heal': 16,
  'a path that changes all the time': 16,
  'ends that close, reset and half-close when they like': 30,
  'many connections at once': 8,
};

/** Under load a test takes as long as it takes: the bound is virtual. */
const TIMEOUT_MS = 300_000;

const replay = process.env['NETMOD_SEED'];

describe.each(SCENARIOS)('$name', ({ name, run }) => {
  it.each(PAIRS)('%s to %s', { timeout: TIMEOUT_MS }, (...stacks) => {
    const [first, seeds] = replay === undefined ? [1, SEEDS[name]!] : [Number(replay), 1];
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        run(seed, stacks);
      } catch (error) {
        throw new Error(`seed ${seed}; to replay: NETMOD_SEED=${seed}`, { cause: error });
      }
    }
  });
});

it('the grid has every combination once', () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < GRID; seed++) {
    const { lossPercent, delayMs, reorderPercent, ifMtu } = gridCable(seed);
    seen.add([lossPercent, delayMs, reorderPercent, ifMtu].join(' '));
  }
  expect(seen.size).toBe(GRID);
});

it('every scenario has its seeds', () => {
  expect(SCENARIOS.map(({ name }) => name).sort()).toEqual(Object.keys(SEEDS).sort());
});
