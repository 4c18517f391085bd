// @ts-check
/** Two result files: the ratio of each test's ratio to the kernel, so that a slower day of the machine cancels out. */
import { ratio } from './stats.mjs';

/** @typedef {import('./table.mjs').Results} Results */
/** @typedef {{ test: string, target: string, before: number, now: number, change: number }} Change */

/** Within this share nothing is said to have changed. */
export const SAME = 0.1;

/** What counts: the ratio to the kernel where there is one, otherwise the value. @param {Results} results @param {string} test @param {string} target */
function figure(results, test, target) {
  const of = results[test];
  const value = of?.[target]?.value ?? NaN;
  const reference = of?.['kernel']?.value;
  return reference === undefined ? value : ratio(value, reference);
}

/**
 * `change` over 1 is better, whichever way the test counts.
 * @param {readonly import('./tests.mjs').Test[]} tests @param {Results} now @param {Results} before
 * @returns {Change[]}
 */
export function compare(tests, now, before) {
  const changes = [];
  for (const test of tests.filter(({ kind }) => kind !== 'verify')) {
    for (const target of Object.keys(now[test.name] ?? {})) {
      if (target === 'kernel') continue;
      const a = figure(before, test.name, target);
      const b = figure(now, test.name, target);
      if (!Number.isFinite(a) || !Number.isFinite(b)) continue;
      const change = test.better === 'more' ? ratio(b, a) : ratio(a, b);
      changes.push({ test: test.name, target, before: a, now: b, change });
    }
  }
  return changes;
}

/** @param {readonly Change[]} changes */
export function compareText(changes) {
  if (changes.length === 0) return 'nothing to compare: the two files share no test\n';
  const lines = changes.map(({ test, target, before, now, change }) => {
    const mark = !Number.isFinite(change) || Math.abs(change - 1) <= SAME ? '' : change > 1 ? 'better' : 'WORSE';
    const figures = `${before.toFixed(2).padStart(9)} ${now.toFixed(2).padStart(9)} ${change.toFixed(2).padStart(8)}x`;
    return `${test.padEnd(16)} ${target.padEnd(7)} ${figures}  ${mark}`.trimEnd();
  });
  return `${'test'.padEnd(16)} ${'target'.padEnd(7)} ${'before'.padStart(9)} ${'now'.padStart(9)} ${'change'.padStart(9)}\n${lines.join('\n')}\n`;
}
