/** The bench's command line, as its user types it: nothing here needs root or takes time. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OptionError, parseOptions } from '../../bench/lib/options.mjs';
import { TESTS } from '../../bench/lib/tests.mjs';

const MAIN = join(import.meta.dirname, '../../bench/main.mjs');
const bench = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });

function parsed(...args: string[]) {
  const options = parseOptions(args);
  if (options === 'help') throw new Error('help was not asked for');
  return options;
}

describe('options of the bench', () => {
  it('a full run: every test, three rounds, the kernel first', () => {
    expect(parsed()).toMatchObject({
      tests: TESTS.map(({ name }) => name),
      targets: ['kernel', 'node', 'floor', 'inet', 'alt'],
      rounds: 3,
      cc: 'reno',
      idleConns: 100_000,
    });
  });

  it('--quick: one round, shorter, without the peer that has no target', () => {
    expect(parsed('--quick')).toMatchObject({ targets: ['kernel', 'inet', 'alt'], rounds: 1, seconds: 0.5, idleConns: 10_000 });
    expect(parsed('--quick', '--rounds=2', '--peers=gvisor')).toMatchObject({
      targets: ['kernel', 'gvisor', 'inet', 'alt'],
      rounds: 2,
    });
    expect(parsed('--quick').tests).not.toContain('http10000');
    expect(parsed('--quick', '--test=http10000').tests).toEqual(['http10000']);
  });

  it('--test, --stacks choose; --offload chooses among the tests', () => {
    expect(parsed('--test=in1,udp64', '--stacks=alt')).toMatchObject({
      tests: ['in1', 'udp64'],
      targets: ['kernel', 'node', 'floor', 'alt'],
    });
    expect(parsed('--offload=off').tests).toEqual(['in1-nooffload', 'in8-nooffload', 'out1-nooffload', 'out8-nooffload']);
    expect(parsed('--offload=on').tests).not.toContain('in1-nooffload');
  });

  it.each([
    ['--frobnicate', /Unknown option '--frobnicate'/],
    ['in1', /Unexpected argument 'in1'/],
    ['--test=nope', /--test: unknown 'nope'; there are bytes in1 /],
    ['--stacks=lwip', /--stacks: unknown 'lwip'; there are inet alt/],
    ['--peers=lwip', /--peers: unknown 'lwip'; there are kernel node floor gvisor/],
    ['--cc=vegas', /--cc: 'vegas' is none of reno cubic bbr/],
    ['--offload=maybe', /--offload: 'maybe' is none of on off/],
    ['--rounds=0', /--rounds: a number from 1, not '0'/],
    ['--rounds=1.5', /--rounds: a whole number/],
    ['--seconds=soon', /--seconds: a number from 0.1, not 'soon'/],
  ])('%s is refused', (option, message) => {
    expect(() => parseOptions([option])).toThrow(OptionError);
    expect(() => parseOptions([option])).toThrow(message);
  });

  it('a mistake is one line and status 2, before anything is installed or measured', () => {
    const done = bench('--frobnicate');
    expect(done).toMatchObject({ status: 2, stdout: '' });
    expect(done.stderr).toMatch(/^bench: Unknown option '--frobnicate'.*\n$/);
  });

  it('--help names every test', () => {
    const done = bench('--help');
    expect(done.status).toBe(0);
    for (const { name } of TESTS) expect(done.stdout).toContain(`\n  ${name} `);
  });
});
