/**
 * `npm run soak -- [--seeds=N] [--first=N] [--minutes=M] [--only=TEXT]`: every scenario on every pair of stacks with N seeds (default 1000),
 * or as many as fit into M minutes (default 30). It stops by itself, prints what failed with its seed, and fails if anything did.
 */
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { PAIRS, SCENARIOS } from './scenarios.ts';

/** Failures after which there is no point in going on. */
const ENOUGH = 25;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '30' },
    only: { type: 'string', default: '' },
  },
});
const [seeds, first, minutes] = [Number(values.seeds), Number(values.first), Number(values.minutes)];
if (!(Number.isInteger(seeds) && seeds > 0 && Number.isInteger(first) && minutes > 0)) {
  throw new TypeError('--seeds and --first are integers, --minutes a number');
}
const scenarios = SCENARIOS.filter(({ name }) => name.includes(values.only));
const endMs = performance.now() + minutes * 60_000;

let runs = 0;
let failed = 0;
let seed = first;
for (; seed < first + seeds && performance.now() < endMs && failed < ENOUGH; seed++) {
  for (const { name, run } of scenarios) {
    for (const stacks of PAIRS) {
      runs++;
      try {
        run(seed, stacks);
      } catch (error) {
        failed++;
        console.error(
          `FAILED seed ${seed} ${stacks.join('-')} ${name}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
  }
}
console.log(`${runs} runs, seeds ${first} to ${seed - 1}, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
