// @ts-check
/**
 * `sudo npm run bench`: the stacks beside the kernel, in interleaved rounds (`--help`, docs/performance.md). Everything that it makes it
 * removes: at the end, after a failure, on a signal.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Children } from './lib/child.mjs';
import { compare, compareText } from './lib/compare.mjs';
import { Measure } from './lib/measure.mjs';
import { BenchError, lock, prepare } from './lib/need.mjs';
import { Namespaces } from './lib/netns.mjs';
import { OptionError, helpText, parseOptions } from './lib/options.mjs';
import { Peers } from './lib/peers.mjs';
import { describeMachine, readResults, writeResults } from './lib/results.mjs';
import { summarize } from './lib/stats.mjs';
import { markdownTable, score, textTable } from './lib/table.mjs';
import { findTest } from './lib/tests.mjs';

/** @typedef {import('./lib/options.mjs').Options} Options */
/** @typedef {import('./lib/tests.mjs').Test} Test */
/** @typedef {import('./lib/stats.mjs').Sample} Sample */

/**
 * One round: each test on each target before the next test, on targets that were started for this round.
 * @param {readonly Test[]} tests @param {Options} options @param {Peers} peers @param {Measure} measure
 * @param {(test: Test, target: string, sample: Sample) => void} take
 */
async function round(tests, options, peers, measure, take) {
  for (const test of tests) {
    for (const name of options.targets) {
      if (test.only?.includes(name) === false || test.without?.includes(name) === true) continue;
      const target = await peers.get(name, test.wire);
      let sample = await measure.sample(test, target);
      // Once more where others were in the way; a quick run has no time for it.
      if (sample.noisy === true && !options.quick) {
        const again = await measure.sample(test, await peers.get(name, test.wire));
        if (again.failed === undefined && again.noisy !== true) sample = again;
      }
      take(test, name, sample);
    }
  }
}

/** @param {Options} options */
async function bench(options) {
  const before = options.compare === null ? null : readResults(options.compare);
  await lock();
  const { boot } = prepare({ boot: options.boot, gvisor: options.targets.includes('gvisor') });
  const tests = options.tests.map(findTest).filter((test) => test !== undefined);
  const children = new Children();
  const namespaces = new Namespaces(options.cc);
  const cleanUp = () => {
    children.killAll();
    namespaces.removeAll();
  };
  for (const [signal, status] of /** @type {const} */ ([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])) {
    process.once(signal, () => {
      cleanUp();
      process.exit(status);
    });
  }

  /** @type {Record<string, Record<string, Sample[]>>} */
  const samples = {};
  try {
    const peers = new Peers(namespaces, children, { boot, idleConns: options.idleConns });
    const measure = new Measure(children, options);
    for (let n = 1; n <= options.rounds; n++) {
      await round(tests, options, peers, measure, (test, target, sample) => {
        ((samples[test.name] ??= {})[target] ??= []).push(sample);
        progress(n, options.rounds, test, target, sample);
      });
      await peers.stopAll();
    }
  } finally {
    cleanUp();
  }
  return report(options, tests, samples, before);
}

/** @param {number} n @param {number} rounds @param {Test} test @param {string} target @param {Sample} sample */
function progress(n, rounds, test, target, sample) {
  const got = sample.failed === undefined ? `${sample.value.toPrecision(4)} ${test.unit}` : `failed: ${sample.failed}`;
  process.stderr.write(`${n}/${rounds} ${test.name} ${target}: ${got}${sample.noisy === true ? ' (noisy)' : ''}\n`);
}

/**
 * @param {Options} options @param {readonly Test[]} tests @param {Record<string, Record<string, Sample[]>>} samples
 * @param {import('./lib/results.mjs').ResultFile | null} before
 */
function report(options, tests, samples, before) {
  /** @type {import('./lib/table.mjs').Results} */
  const results = {};
  for (const test of tests) {
    const of = Object.entries(samples[test.name] ?? {});
    results[test.name] = Object.fromEntries(of.map(([name, all]) => [name, summarize(all, test.aggregate)]));
  }
  const machine = describeMachine(options);
  const { met, of } = score(tests, results);
  const took = `${Math.round(performance.now() / 1000)} s`;
  const file = writeResults(options, results, samples);
  process.stdout.write(
    `${machine.join('\n')}\n\n${textTable(tests, results)}\n${met} of ${of} targets met, in ${took}; ${file}\n`,
  );
  if (options.markdown !== null) {
    mkdirSync(dirname(options.markdown), { recursive: true });
    writeFileSync(options.markdown, markdownTable(tests, results, machine));
  }
  if (before !== null)
    process.stdout.write(
      `\nRatios to the kernel, ${before.commit} and now:\n${compareText(compare(tests, results, before.results))}`,
    );
  return Object.values(results).some((row) => Object.values(row).some(({ faults }) => faults.length > 0)) ? 1 : 0;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') process.stdout.write(helpText());
  else process.exitCode = await bench(options);
} catch (error) {
  if (!(error instanceof OptionError || error instanceof BenchError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = error instanceof OptionError ? 2 : 1;
}
