// @ts-check
/** The one table: rows of a test, a line for each target, as text for a terminal or as Markdown for the documentation. */
import { judge } from '../targets.mjs';
import { ratio } from './stats.mjs';

/** @typedef {import('./stats.mjs').Summary} Summary */
/** @typedef {import('./tests.mjs').Test} Test */
/** @typedef {Record<string, Record<string, Summary>>} Results by test, then by target */

/** A number with three or four digits that mean something. @param {number} n */
export function digits(n) {
  if (!Number.isFinite(n)) return '-';
  if (n === 0) return '0';
  const size = Math.abs(n);
  if (size >= 1e6) return `${(n / 1e6).toFixed(2)} M`;
  if (size >= 1e4) return `${(n / 1e3).toFixed(size >= 1e5 ? 0 : 1)} k`;
  if (size >= 100) return n.toFixed(0);
  return size >= 10 ? n.toFixed(1) : size >= 0.1 ? n.toFixed(2) : n.toPrecision(2);
}

/** Nanoseconds for 1 KB (1000 bytes) of a bulk test, microseconds for an answer. @param {Test} test @param {number} secondsPerOp */
function cost(test, secondsPerOp) {
  if (!Number.isFinite(secondsPerOp)) return '-';
  return test.per === 'bytes' ? `${digits(secondsPerOp * 1e12)} ns/KB` : `${digits(secondsPerOp * 1e6)} us`;
}

/** @param {boolean | null} met */
function verdict(met) {
  return met === null ? '' : met ? 'yes' : 'NO';
}

/**
 * @param {Test} test @param {string} name @param {Summary} summary @param {Summary | undefined} reference
 */
function row(test, name, summary, reference) {
  const toKernel = name === 'kernel' || test.per === '' ? NaN : ratio(summary.value, reference?.value ?? NaN);
  const judged = judge(test.name, name, { ratio: toKernel, value: summary.value, fields: summary.fields });
  const fields = (test.fields ?? []).filter((field) => field in summary.fields);
  return [
    test.name,
    name,
    Number.isFinite(summary.value) ? `${digits(summary.value)}${test.unit.startsWith('/') ? '' : ' '}${test.unit}` : 'failed',
    summary.runs > 1 ? `${digits(summary.low)} - ${digits(summary.high)}` : '',
    Number.isFinite(toKernel) ? `${toKernel.toFixed(2)}x` : '',
    judged.text,
    verdict(judged.met),
    test.per === '' ? '' : cost(test, summary.cpuPerOp),
    test.per === '' ? '' : cost(test, summary.busyPerOp),
    [...fields.map((field) => `${field} ${digits(summary.fields[field] ?? NaN)}`), ...notes(summary)].join(', '),
  ];
}

/** @param {Summary} summary */
function notes({ noisy, faults }) {
  return [...(noisy > 0 ? [`noisy ${noisy}`] : []), ...faults.map((fault) => `!! ${fault}`)];
}

const HEAD = ['test', 'target', 'median', 'range', 'to kernel', 'has to be', 'met', 'CPU of it', 'CPU of all', 'besides'];

/** @param {readonly Test[]} tests @param {Results} results */
function rows(tests, results) {
  return tests.flatMap((test) => {
    const of = results[test.name] ?? {};
    return Object.entries(of).map(([name, summary]) => row(test, name, summary, of['kernel']));
  });
}

/** @param {readonly Test[]} tests @param {Results} results */
export function textTable(tests, results) {
  const body = rows(tests, results);
  const widths = HEAD.map((title, i) => Math.max(title.length, ...body.map((cells) => (cells[i] ?? '').length)));
  const line = (/** @type {readonly string[]} */ cells) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  const out = [line(HEAD), widths.map((w) => '-'.repeat(w)).join('  ')];
  let last = '';
  for (const cells of body) {
    const [test = '', ...rest] = cells;
    out.push(line([test === last ? '' : test, ...rest]));
    last = test;
  }
  return `${out.join('\n')}\n`;
}

/** How many targets there are, and how many are met. @param {readonly Test[]} tests @param {Results} results */
export function score(tests, results) {
  const verdicts = rows(tests, results).map((cells) => cells[6]);
  return { met: verdicts.filter((v) => v === 'yes').length, of: verdicts.filter((v) => v !== '').length };
}

/**
 * @param {readonly Test[]} tests @param {Results} results
 * @param {readonly string[]} machine what it was measured on, a line each
 */
export function markdownTable(tests, results, machine) {
  const names = [...new Set(tests.flatMap((test) => Object.keys(results[test.name] ?? {})))];
  const head = [
    'test',
    ...names.map((name) => (name === 'kernel' ? 'kernel, C' : name === 'node' ? 'kernel, Node' : name)),
    'has to be',
    'CPU of the process',
  ];
  const body = tests
    .filter((test) => results[test.name] !== undefined)
    .map((test) => {
      const of = results[test.name] ?? {};
      const cells = names.map((name) => (of[name] === undefined ? '' : cell(test, name, of[name], of['kernel'])));
      const wanted = names.map((name) => [name, judge(test.name, name, { ratio: NaN, value: NaN, fields: {} }).text]);
      const known = wanted.filter(([, text]) => text !== '');
      const same = new Set(known.map(([, text]) => text)).size === 1;
      const targets = same ? (known[0]?.[1] ?? '') : known.map(([name, text]) => `${name} ${text}`).join('; ');
      const cpu =
        test.per === '' ? [] : names.filter((name) => of[name]).map((name) => `${name} ${cost(test, of[name]?.cpuPerOp ?? NaN)}`);
      return [`${test.what}, ${test.unit}`, ...cells, targets, cpu.join('; ')];
    });
  return `${machine.map((text) => `- ${text}`).join('\n')}\n\n${layOut([head, ...body])}`;
}

/** @param {Test} test @param {string} name @param {Summary} summary @param {Summary | undefined} reference */
function cell(test, name, summary, reference) {
  if (!Number.isFinite(summary.value)) return 'failed';
  const toKernel = name === 'kernel' || test.per === '' ? NaN : ratio(summary.value, reference?.value ?? NaN);
  const { met } = judge(test.name, name, { ratio: toKernel, value: summary.value, fields: summary.fields });
  const more = (test.fields ?? [])
    .filter((f) => f in summary.fields && f !== 'retrans')
    .map((f) => `${f} ${digits(summary.fields[f] ?? NaN)}`);
  const text = `${digits(summary.value)}${Number.isFinite(toKernel) ? ` (${toKernel.toFixed(2)}x)` : ''}${met === false ? ' **missed**' : ''}`;
  return more.length === 0 ? text : `${text}; ${more.join(', ')}`;
}

/** As prettier would write it. @param {readonly (readonly string[])[]} lines */
function layOut(lines) {
  const widths = (lines[0] ?? []).map((_, i) => Math.max(3, ...lines.map((cells) => (cells[i] ?? '').length)));
  const text = lines.map((cells) => `| ${cells.map((c, i) => c.padEnd(widths[i] ?? 0)).join(' | ')} |`);
  text.splice(1, 0, `| ${widths.map((w) => '-'.repeat(w)).join(' | ')} |`);
  return `${text.join('\n')}\n`;
}
