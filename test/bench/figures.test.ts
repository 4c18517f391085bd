/** The bench's pure parts: what becomes of the figures that the clients print. */
import { describe, expect, it } from 'vitest';
import { compare, compareText } from '../../bench/lib/compare.mjs';
import { flameSvg, foldProfile, shares } from '../../bench/lib/flame.mjs';
import { parsePauses, summarizePauses } from '../../bench/lib/gclog.mjs';
import { CHARGEN_PERIOD, bytesPattern, chargenText, noise } from '../../bench/lib/patterns.mjs';
import { median, ratio, summarize } from '../../bench/lib/stats.mjs';
import { digits, markdownTable, score, textTable } from '../../bench/lib/table.mjs';
import { TESTS, findTest } from '../../bench/lib/tests.mjs';
import { onPacketPath, parseV8Log } from '../../bench/lib/v8log.mjs';
import { TARGETS, judge } from '../../bench/targets.mjs';
import { patternByte } from '../../src/services/pattern.ts';

const summary = (value: number, fields: Record<string, number> = {}) =>
  summarize([{ value, fields, cpuS: 1, busyS: 2, ops: 1e6 }]);
const test = (name: string) => findTest(name)!;

describe('medians and ratios', () => {
  it('takes the middle, the mean of two middles, and NaN of nothing', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 100])).toBe(3);
    expect(median([NaN, 7])).toBe(7);
    expect(median([])).toBeNaN();
  });

  it('has no ratio without a reference', () => {
    expect(ratio(8, 4)).toBe(2);
    expect(ratio(8, 0)).toBeNaN();
    expect(ratio(8, NaN)).toBeNaN();
    expect(ratio(NaN, 4)).toBeNaN();
  });

  it('summarizes rounds: a failed one counts as a fault and not as a figure', () => {
    const got = summarize([
      { value: 10, cpuS: 2, busyS: 4, ops: 1000, fields: { lost: 1 } },
      { value: NaN, failed: 'it died' },
      { value: 30, cpuS: 2, busyS: 4, ops: 500, fields: { lost: 3 }, noisy: true },
    ]);
    expect(got).toMatchObject({ value: 20, low: 10, high: 30, runs: 2, noisy: 1, faults: ['it died'], fields: { lost: 2 } });
    expect(got.cpuPerOp).toBeCloseTo(0.003);
  });

  it('takes the worst round where a limit holds at every moment', () => {
    expect(summarize([{ value: 0.2 }, { value: 1.7 }, { value: 0.4 }], 'max').value).toBe(1.7);
  });
});

describe('targets', () => {
  it('are of tests that exist', () => {
    const names = TESTS.map(({ name }) => name);
    expect(Object.keys(TARGETS).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('judges ratios both ways, and fields beside them', () => {
    expect(judge('in1', 'inet', { ratio: 0.8, value: 1, fields: {} })).toEqual({ text: '>= 0.8x', met: true });
    expect(judge('in1', 'inet', { ratio: 0.79, value: 1, fields: {} }).met).toBe(false);
    const fair = { jain: 0.999, starved: 0 };
    expect(judge('in1000', 'alt', { ratio: 0.9, value: 1, fields: fair }).met).toBe(true);
    expect(judge('in1000', 'alt', { ratio: 0.9, value: 1, fields: { ...fair, starved: 1 } }).met).toBe(false);
    expect(judge('tcp-pp-1core', 'alt', { ratio: 1.1, value: 1, fields: { p999_us: 1500 } }).met).toBe(false);
    expect(judge('tcp-pp-1core', 'alt', { ratio: 1.1, value: 1, fields: { p999_us: 500 } }).met).toBe(true);
  });

  it('a figure that is missing meets nothing; a test or peer without a target has no verdict', () => {
    expect(judge('in1', 'inet', { ratio: NaN, value: NaN, fields: {} }).met).toBe(false);
    expect(judge('in1', 'node', { ratio: 2, value: 1, fields: {} })).toEqual({ text: '', met: null });
    expect(judge('in-loss1', 'inet', { ratio: 2, value: 1, fields: {} }).met).toBeNull();
  });
});

describe('the table', () => {
  const results = { in1: { kernel: summary(50), inet: summary(45, { retrans: 0 }), alt: summary(30) } };

  it('has a line for each target, with the ratio to the kernel and the verdict', () => {
    const lines = textTable([test('in1')], results).split('\n');
    expect(lines[2]).toMatch(/^in1 +kernel +50.0 Gbit\/s +1000 k ns\/KB|^in1 +kernel +50.0 Gbit\/s/);
    expect(lines[3]).toMatch(/^ +inet +45.0 Gbit\/s +0.90x +>= 0.8x +yes /);
    expect(lines[4]).toMatch(/^ +alt +30.0 Gbit\/s +0.60x +>= 0.8x +NO /);
    expect(score([test('in1')], results)).toEqual({ met: 1, of: 2 });
  });

  it('gives CPU by the byte for bulk and by the answer for the rest', () => {
    const of = { kernel: summarize([{ value: 1, cpuS: 1, busyS: 2, ops: 1e9 }]) };
    expect(textTable([test('in1')], { in1: of })).toMatch(/1000 ns\/KB +2000 ns\/KB/);
    expect(textTable([test('udp64')], { udp64: of })).toMatch(/0\.0010 us +0\.0020 us/);
  });

  it('shows what failed, and never as a met target', () => {
    const broken = { in1: { kernel: summary(50), inet: summarize([{ value: NaN, failed: 'inet died' }]) } };
    expect(textTable([test('in1')], broken)).toMatch(/inet +failed .*NO .*!! inet died/);
  });

  it('writes Markdown whose columns line up', () => {
    const lines = markdownTable([test('in1')], results, ['2 processors'])
      .trim()
      .split('\n');
    expect(lines[0]).toBe('- 2 processors');
    expect(new Set(lines.slice(2).map((line) => line.length)).size).toBe(1);
    expect(lines[4]).toContain('45.0 (0.90x)');
    expect(lines[4]).toContain('30.0 (0.60x) **missed**');
  });

  it.each([
    [0, '0'],
    [0.0123, '0.012'],
    [5.678, '5.68'],
    [56.78, '56.8'],
    [567.8, '568'],
    [12345, '12.3 k'],
    [123456, '123 k'],
    [1234567, '1.23 M'],
    [NaN, '-'],
  ])('%d is %s', (n, text) => expect(digits(n)).toBe(text));
});

describe('comparing two files', () => {
  const before = { in1: { kernel: summary(50), inet: summary(25) }, 'tcp-pp-1core': { kernel: summary(10), inet: summary(12) } };

  it('compares ratios, so that a slower machine cancels out; over 1 is better both ways', () => {
    const now = { in1: { kernel: summary(25), inet: summary(25) }, 'tcp-pp-1core': { kernel: summary(20), inet: summary(48) } };
    const [bulk, latency] = compare([test('in1'), test('tcp-pp-1core')], now, before);
    expect(bulk).toMatchObject({ test: 'in1', target: 'inet', before: 0.5, now: 1, change: 2 });
    expect(latency!.change).toBeCloseTo(0.5);
    expect(compareText([bulk!, latency!])).toMatch(/in1 .* 2\.00x {2}better\n.* 0\.50x {2}WORSE/);
  });

  it('says nothing of tests that only one file has', () => {
    expect(compare([test('in8')], { in8: { kernel: summary(1), inet: summary(1) } }, before)).toEqual([]);
  });
});

describe('patterns', () => {
  it('RFC 864: 95 lines, each one character further', () => {
    const text = chargenText(2).toString('latin1');
    expect(text.length).toBe(2 * CHARGEN_PERIOD);
    expect(text.startsWith(' !"#')).toBe(true);
    expect(text.slice(72, 78)).toBe('\r\n!"#$');
    expect(text.slice(CHARGEN_PERIOD)).toBe(text.slice(0, CHARGEN_PERIOD));
  });

  it('/bytes/N is what the service says it is', () => {
    const bytes = bytesPattern(70_000);
    expect([0, 1, 65520, 65521, 69_999].map((i) => bytes[i])).toEqual([0, 1, 65520, 65521, 69_999].map(patternByte));
  });

  it('noise differs by seed and repeats with it', () => {
    expect(noise(999, 1).equals(noise(999, 1))).toBe(true);
    expect(noise(999, 1).equals(noise(999, 2 ** 8))).toBe(false);
    expect(noise(999, 1).length).toBe(999);
  });
});

describe('what V8 prints', () => {
  it('--trace-gc: pauses', () => {
    const pauses = parsePauses(
      [
        'ready stack=alt',
        '[4711:0x5a0]     1234 ms: Scavenge 5.1 (7.2) -> 4.9 (8.2) MB, 0.57 / 0.00 ms  (average mu = 1.000) allocation failure;',
        '[4711:0x5a0]     2234 ms: Mark-Compact 9.1 (12.2) -> 4.9 (8.2) MB, 3.25 / 0.01 ms  (+ 1.0 ms in 4 steps) finalize;',
        '[4711:0x5a0:0]   2240 ms: Scavenge 5.1 (7.2) -> 4.9 (8.2) MB, pooled: 0 MB, 0.30 / 0.00 ms  (average mu = 1.000) task;',
      ].join('\n'),
    );
    expect(pauses).toEqual([0.57, 3.25, 0.3]);
    expect(summarizePauses(pauses)).toMatchObject({ longest: 3.25, pauses: 3 });
    expect(summarizePauses([])).toEqual({ longest: 0, pauses: 0, total: 0 });
  });

  const LOG = [
    'code-creation,JS,10,1000,0x1000,100,input file:///r/dist/stacks/alt/tcp/input.js:5:1,0xa,~',
    'code-creation,JS,11,1500,0x9000,400,input file:///r/dist/stacks/alt/tcp/input.js:5:1,0xa,*',
    'code-creation,JS,10,1600,0x3000,100,boot file:///r/dist/boot/options.js:5:1,0xb,~',
    'code-move,0x1000,0x2000',
    'LoadIC,0x2010,2000,12,7,P,N,0xc,handler,,',
    'LoadIC,0x9010,2001,0,0,P,N,0xc,handler,,',
    'LoadIC,0x3010,2002,8,2,P,N,0xc,value,,',
    'LoadIC,0x2010,2003,13,7,1,P,0xc,other,,',
    'code-deopt,3000,192,0x9000,-1,24,deopt-eager,<file:///r/dist/stacks/alt/tcp/input.js:9:25>,wrong map',
  ];

  it('--log-deopt and --log-ic: deoptimisations, and megamorphic sites with their functions, also after a move', () => {
    const { deopts, megamorphic } = parseV8Log(LOG, '/r/dist');
    expect(deopts).toEqual([{ us: 3000, file: 'stacks/alt/tcp/input.js', line: 9, kind: 'deopt-eager', reason: 'wrong map' }]);
    expect(megamorphic).toEqual([
      { fn: 'input', file: 'stacks/alt/tcp/input.js', line: 12, column: 7, ic: 'LoadIC', key: 'handler', hot: true },
      { fn: 'boot', file: 'boot/options.js', line: 8, column: 2, ic: 'LoadIC', key: 'value', hot: false },
    ]);
    expect(megamorphic.map(({ file }) => onPacketPath(file))).toEqual([true, false]);
  });
});

describe('the flame graph', () => {
  const call = (functionName: string, url: string) => ({ functionName, url, lineNumber: 4 });
  const profile = {
    nodes: [
      { id: 1, callFrame: call('(root)', ''), children: [2, 4, 5] },
      { id: 2, callFrame: call('input<x>', 'file:///r/dist/stacks/inet/ip.js'), children: [3] },
      { id: 3, callFrame: call('flush', 'file:///r/dist/driver/tap/tap.js') },
      { id: 4, callFrame: call('(idle)', '') },
      { id: 5, callFrame: call('(garbage collector)', '') },
    ],
    samples: [2, 3, 3, 4, 5],
    timeDeltas: [10, 30, 40, 1000, 20],
  };

  it('leaves out idle time, and gives what the addon does to the system calls', () => {
    const root = foldProfile(profile);
    expect(root.total).toBe(100);
    expect(shares(root)).toEqual([
      ['native: system calls, copies', 0.7],
      ['garbage collector', 0.2],
      ['stacks', 0.1],
      ['node', 0],
      ['driver', 0],
    ]);
  });

  it('draws each box with its name, place and share, escaped', () => {
    const svg = flameSvg(foldProfile(profile), 'a & b');
    expect(svg).toContain('a &amp; b');
    expect(svg).toContain('<title>input&lt;x&gt; stacks/inet/ip.js:5 80.0 %</title>');
    expect(svg).toContain('addon: write frames');
    expect(svg).not.toContain('(idle)');
  });
});
