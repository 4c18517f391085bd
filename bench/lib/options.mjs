// @ts-check
/** The bench's command line. */
import { parseArgs } from 'node:util';
import { TESTS, findTest } from './tests.mjs';

/**
 * @typedef {object} Options
 * @property {boolean} quick
 * @property {string[]} tests
 * @property {string[]} targets the kernel's C server first
 * @property {number} rounds
 * @property {number} seconds of each measured run
 * @property {number} idleConns
 * @property {string} cc
 * @property {string | null} json
 * @property {string | null} compare
 * @property {string | null} markdown
 * @property {string | null} boot
 */

export const STACKS = ['inet', 'alt'];
export const PEERS = ['kernel', 'node', 'floor', 'gvisor'];
export const CCS = ['reno', 'cubic', 'bbr'];

const SPEC = /** @type {const} */ ({
  quick: { type: 'boolean' },
  test: { type: 'string' },
  stacks: { type: 'string' },
  peers: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  cc: { type: 'string' },
  offload: { type: 'string' },
  json: { type: 'string' },
  compare: { type: 'string' },
  markdown: { type: 'string' },
  boot: { type: 'string' },
  help: { type: 'boolean' },
});

/** A mistake on the command line, in one line. */
export class OptionError extends Error {}

/** @param {string} option @param {string} text @param {readonly string[]} known */
function list(option, text, known) {
  const names = text.split(',').filter((name) => name !== '');
  const strange = names.find((name) => !known.includes(name));
  if (strange !== undefined) throw new OptionError(`--${option}: unknown '${strange}'; there are ${known.join(' ')}`);
  return [...new Set(names)];
}

/** @param {string} option @param {string | undefined} text @param {number} otherwise @param {number} least */
function number(option, text, otherwise, least) {
  if (text === undefined) return otherwise;
  const n = Number(text);
  if (!(n >= least) || !Number.isFinite(n)) throw new OptionError(`--${option}: a number from ${least}, not '${text}'`);
  return n;
}

/** @param {string} option @param {string | undefined} text @param {readonly string[]} known @param {string} otherwise */
function choice(option, text, known, otherwise) {
  if (text !== undefined && !known.includes(text)) throw new OptionError(`--${option}: '${text}' is none of ${known.join(' ')}`);
  return text ?? otherwise;
}

/** @param {string[]} argv */
function parse(argv) {
  try {
    return parseArgs({ args: argv, options: SPEC, allowPositionals: false }).values;
  } catch (error) {
    // The first sentence says what is wrong; what follows is about positional arguments, of which there are none here.
    const [first] = (error instanceof Error ? error.message : String(error)).split('. ');
    throw new OptionError(`${first?.replace(/\.$/, '')}; see --help`);
  }
}

/**
 * @param {string[]} argv
 * @returns {Options | 'help'}
 * @throws {OptionError}
 */
export function parseOptions(argv) {
  const given = parse(argv);
  if (given.help) return 'help';
  const quick = given.quick ?? false;
  const offload = choice('offload', given.offload, ['on', 'off', 'both'], 'both');
  const known = TESTS.filter((test) => offload === 'both' || (test.wire === 'nooffload') === (offload === 'off')).map(
    (t) => t.name,
  );
  const usual = quick ? known.filter((name) => findTest(name)?.slow !== true) : known;
  const tests = given.test === undefined ? usual : list('test', given.test, known);
  const stacks = given.stacks === undefined ? STACKS : list('stacks', given.stacks, STACKS);
  // A quick run leaves out what has no target: Node on the kernel's sockets.
  const peers = given.peers === undefined ? (quick ? [] : ['node', 'floor']) : list('peers', given.peers, PEERS);
  const rounds = number('rounds', given.rounds, quick ? 1 : 3, 1);
  if (!Number.isInteger(rounds)) throw new OptionError(`--rounds: a whole number, not '${given.rounds}'`);
  return {
    quick,
    tests,
    targets: ['kernel', ...peers.filter((name) => name !== 'kernel'), ...stacks],
    rounds,
    seconds: number('seconds', given.seconds, quick ? 0.5 : 3, 0.1),
    idleConns: quick ? 10_000 : 100_000,
    cc: choice('cc', given.cc, CCS, 'reno'),
    json: given.json ?? null,
    compare: given.compare ?? null,
    markdown: given.markdown ?? null,
    boot: given.boot ?? null,
  };
}

export function helpText() {
  const width = Math.max(...TESTS.map((test) => test.name.length));
  const tests = TESTS.map((test) => `  ${test.name.padEnd(width)}  ${test.what}, ${test.unit}`).join('\n');
  return `usage: sudo npm run bench -- [--OPTION=VALUE ...]

Measures the stacks beside the kernel's own, in network namespaces of its own, in interleaved rounds. Installs with apt-get what is
missing (gcc, wrk, ethtool, nftables, iproute2, iputils-ping) and builds what is not built.

  --quick               one short round without the slower peers and tests, under two minutes
  --test=NAME,...       only these tests
  --stacks=NAME,...     ${STACKS.join(' ')} (both)
  --peers=NAME,...      beside the kernel's C server: node (Node's net on the kernel), floor (the least
                        that anything on a TAP costs), gvisor (installs Go) (node,floor)
  --rounds=N            interleaved rounds (3)
  --seconds=S           of each measured run (3)
  --cc=NAME             congestion control of the namespaces: ${CCS.join(' ')} (reno)
  --offload=on|off      only the tests with, or without, the link's offloads (both)
  --json=FILE           where the results go (bench/results/latest.json; the last ones become previous.json)
  --compare=FILE        how the ratios differ from those of an earlier file
  --markdown=FILE       the table for docs/performance.md too
  --boot=FILE           measure this boot.js instead of building dist/boot.js
  --help                this page

Tests:
${tests}

Status: 0, also when a target is missed; 1 when a run failed or bytes were wrong; 2 for a mistake on the command line.
`;
}
