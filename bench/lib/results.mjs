// @ts-check
/** The file of results: what was measured, on what, with which options. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { dirname, join } from 'node:path';
import { BenchError, ROOT } from './need.mjs';

const FORMAT = 1;
const FOLDER = join(ROOT, 'bench/results');

/**
 * @typedef {object} ResultFile
 * @property {number} format
 * @property {string} commit
 * @property {readonly string[]} machine
 * @property {import('./options.mjs').Options} options
 * @property {import('./table.mjs').Results} results
 * @property {Record<string, Record<string, import('./stats.mjs').Sample[]>>} samples
 */

/** @param {import('./options.mjs').Options} options */
export function describeMachine({ cc, rounds, seconds }) {
  const processors = os.cpus();
  const kernel = `Linux ${os.release().split('.').slice(0, 2).join('.')}`;
  return [
    `${processors.length} processors (${processors[0]?.model.trim() ?? os.arch()}), ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${kernel}, Node ${process.versions.node}`,
    `medians of ${rounds} interleaved ${rounds === 1 ? 'round' : 'rounds'}, ${seconds} s each; the kernel's side uses ${cc} everywhere`,
  ];
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

/**
 * @param {import('./options.mjs').Options} options
 * @param {ResultFile['results']} results @param {ResultFile['samples']} samples
 * @returns {string} the file's name
 */
export function writeResults(options, results, samples) {
  let file = options.json;
  if (file === null) {
    mkdirSync(FOLDER, { recursive: true });
    file = join(FOLDER, 'latest.json');
    if (existsSync(file)) renameSync(file, join(FOLDER, 'previous.json'));
  } else mkdirSync(dirname(file), { recursive: true });
  /** @type {ResultFile} */
  const content = { format: FORMAT, commit: commit(), machine: describeMachine(options), options, results, samples };
  writeFileSync(file, `${JSON.stringify(content, null, 1)}\n`);
  return file;
}

/** @param {string} file @returns {ResultFile} */
export function readResults(file) {
  try {
    const content = JSON.parse(readFileSync(file, 'utf8'));
    if (content.format !== FORMAT || typeof content.results !== 'object') throw new Error('it is no file of this bench');
    return content;
  } catch (error) {
    throw new BenchError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
