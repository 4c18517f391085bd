/** `summary.mjs RESULTS.json STATUS`: prints `N passed, N failed, N skipped` of a vitest run, and ends with its status. */
import { readFileSync } from 'node:fs';

const [file = '', status = '1'] = process.argv.slice(2);
const results = JSON.parse(readFileSync(file, 'utf8'));
// A suite that could not even be loaded has no tests in it, and is a failure all the same.
const broken = results.testResults.filter(
  (suite) => suite.status === 'failed' && !suite.assertionResults.some((t) => t.status === 'failed'),
);
for (const suite of broken) console.log(`failed as a whole: ${suite.name}: ${suite.message}`);
const failed = results.numFailedTests + broken.length;
const skipped = results.numPendingTests + results.numTodoTests;
console.log(`${results.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = Number(status) === 0 && failed > 0 ? 1 : Number(status);
