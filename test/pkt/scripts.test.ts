/**
 * Every script of `scripts/`, on every stack. Each says by its first lines what it is about and which RFC asks for it; a script that is
 * not for a stack says why. A handful of seeds runs all of them once more with other initial numbers (`variations.ts`); `npm run soak` has
 * the others, and NETMOD_SEED replays one.
 */
import { describe, expect, it } from 'vitest';
import { runScript } from '../../src/pkt/run.ts';
import { SCRIPTS, STACKS, runVaried, vary } from './variations.ts';

/** Each edge of the stack's numbers with each of the script's. */
const SEEDS = Array.from({ length: 9 }, (_, i) => i);

const replay = process.env['NETMOD_SEED'];
const seeds = replay === undefined ? SEEDS : [Number(replay)];

describe.each(STACKS)('%s', (stackName, stack) => {
  it.each(SCRIPTS)('$name', async ({ file, text }) => {
    const result = await runScript(file, text, { stack, stackName });
    if (result.kind === 'failed') expect.fail(`\n${result.message}`);
    if (result.kind === 'passed') expect(result.warnings).toEqual([]);
  });

  it.each(seeds)('all of them, seed %i', async (seed) => {
    const failures: string[] = [];
    for (const script of SCRIPTS) {
      const result = await runVaried(script, stackName, stack, seed);
      if (result.kind === 'failed') failures.push(result.message);
      if (result.kind === 'passed') failures.push(...result.warnings);
    }
    expect(failures, `NETMOD_SEED=${seed}`).toEqual([]);
  });
});

it('seeds put the initial numbers of both sides in front of where they wrap', () => {
  const near = (n: number | undefined): string => (n === undefined ? 'any' : n >= 2 ** 31 ? '2^32' : '2^31');
  const seen = new Set(SEEDS.map((seed) => `${near(vary(seed).iss)} ${near(vary(seed).irs)}`));
  expect(seen.size).toBe(9);
});

it('there are at least 120, and each cites what it tests', () => {
  expect(SCRIPTS.length).toBeGreaterThanOrEqual(120);
  for (const { name, text } of SCRIPTS) expect(text.split('\n\n')[0], name).toMatch(/^\/\/ .*\b(RFC \d+|MUST-|SHLD-|tcp\(4\))/ms);
});
