/**
 * `npm run soak -- [--seeds=N] [--first=N] [--minutes=M] [--suite=sim,pkt,states] [--only=TEXT]`: with N seeds (default 1000), or as many as
 * fit into M minutes (default 30): every scenario of the simulator on every pair of stacks, every packet script, and a part of the table of
 * states and segments, on both stacks. It stops by itself, prints what failed with its seed, and fails if anything did.
 */
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { SCRIPTS, STACKS, runVaried } from '../pkt/variations.ts';
import { trySeed } from '../tcp/states-run.ts';
import { PAIRS, SCENARIOS } from './scenarios.ts';

/** Failures after which there is no point in going on. */
const ENOUGH = 25;

interface Job {
  readonly name: string;
  /** What is wrong with this seed, in lines; nothing if all is well. */
  readonly run: (seed: number) => Promise<readonly string[]>;
}

const SUITES: Readonly<Record<string, readonly Job[]>> = {
  sim: SCENARIOS.flatMap(({ name, run }) =>
    PAIRS.map((stacks): Job => ({ name: `${name} ${stacks.join('-')}`, run: async (seed) => (run(seed, stacks), []) })),
  ),
  pkt: STACKS.flatMap(([stackName, stack]) =>
    SCRIPTS.map((script): Job => {
      const run = async (seed: number): Promise<readonly string[]> => {
        const result = await runVaried(script, stackName, stack, seed);
        return result.kind === 'skipped' ? [] : [...result.warnings, ...(result.kind === 'failed' ? [result.message] : [])];
      };
      return { name: `${script.name} ${stackName}`, run };
    }),
  ),
  states: STACKS.map(([stackName, stack]) => ({ name: `states ${stackName}`, run: async (seed) => trySeed(stack, seed) })),
};

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '30' },
    suite: { type: 'string', default: Object.keys(SUITES).join(',') },
    only: { type: 'string', default: '' },
  },
});
const [seeds, first, minutes] = [Number(values.seeds), Number(values.first), Number(values.minutes)];
if (!(Number.isInteger(seeds) && seeds > 0 && Number.isInteger(first) && minutes > 0)) {
  throw new TypeError('--seeds and --first are integers, --minutes a number');
}
const jobs = values.suite.split(',').flatMap((suite) => {
  const found = SUITES[suite];
  if (found === undefined) throw new TypeError(`--suite: there are ${Object.keys(SUITES).join(', ')}`);
  return found.filter(({ name }) => name.includes(values.only));
});
if (jobs.length === 0) throw new TypeError(`--only: nothing is called '${values.only}'`);
const endMs = performance.now() + minutes * 60_000;

let runs = 0;
let failed = 0;
let seed = first;
for (; seed < first + seeds && performance.now() < endMs && failed < ENOUGH; seed++) {
  for (const { name, run } of jobs) {
    runs++;
    let wrong: readonly string[];
    try {
      wrong = await run(seed);
    } catch (error) {
      wrong = [error instanceof Error ? error.message : String(error)];
    }
    if (wrong.length === 0) continue;
    failed++;
    console.error(`FAILED seed ${seed} ${name}: ${wrong.join('\n')}`);
  }
}
console.log(`${runs} runs, seeds ${first} to ${seed - 1}, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
