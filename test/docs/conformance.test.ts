/** docs/reference/conformance.md says only what is so: each test that it names is there, and each cell has a test or a reason. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const PAGE = readFileSync(resolve(ROOT, '../docs/reference/conformance.md'), 'utf8');
const COLUMNS = ['row', 'duty', 'inet', 'alt'] as const;

interface Row {
  readonly row: string;
  readonly duty: string;
  readonly inet: string;
  readonly alt: string;
}

/** A test that a cell names. */
interface Ref {
  readonly file: string;
  readonly title: string;
}

/** Every row of every table of the page. */
function rows(): Row[] {
  const found: Row[] = [];
  for (const line of PAGE.split('\n')) {
    if (!line.startsWith('|')) continue;
    const cells = line
      .slice(1, line.lastIndexOf('|'))
      .split('|')
      .map((cell) => cell.trim());
    const [row = '', duty = '', inet = '', alt = ''] = cells;
    if (row === 'row' || /^-+$/.test(row)) continue;
    if (cells.length !== COLUMNS.length) throw new Error(`${cells.length} cells: ${line}`);
    found.push({ row, duty, inet, alt });
  }
  return found;
}

/** `file` "title", "title"; `file` "title" */
function refs(cell: string): Ref[] {
  const found: Ref[] = [];
  for (const [, file = '', titles = ''] of cell.matchAll(/`([^`]+\.ts)`((?:[\s,]*"[^"]*")+)/g)) {
    for (const [, title = ''] of titles.matchAll(/"([^"]*)"/g)) found.push({ file, title });
  }
  return found;
}

/** What is said after `not met:`, `not built:` or `not yet:`. */
function reasons(cell: string): string[] {
  return [...cell.matchAll(/\bnot (?:met|built|yet): ([^.]*)/g)].map(([, why = '']) => why.trim());
}

const sources = new Map<string, string>();
function source(file: string): string {
  const known = sources.get(file);
  if (known !== undefined) return known;
  const path = resolve(ROOT, file);
  const text = existsSync(path) ? readFileSync(path, 'utf8').replaceAll("\\'", "'") : '';
  sources.set(file, text);
  return text;
}

/** The title of a test, or its words behind what a template puts in front. */
function hasTitle(text: string, title: string): boolean {
  return [`'${title}'`, `"${title}"`, `\`${title}\``, `} ${title}\``].some((literal) => text.includes(literal));
}

describe('docs/reference/conformance.md', () => {
  const all = rows();

  it('has the rows of every part', () => {
    expect(all.length).toBeGreaterThan(60);
    expect(new Set(all.map((r) => r.row)).size).toBe(all.length);
    expect(all.filter((r) => r.duty === '')).toEqual([]);
  });

  it('names every requirement of RFC 9293 that it groups', () => {
    const text = all.map((r) => r.row).join(', ');
    for (const id of ['MUST-2', 'MUST-23', 'MUST-37', 'MUST-56', 'MUST-66', 'SHLD-31', 'MAY-2', 'REC-1'])
      expect(text).toContain(id);
  });

  it.each(all)('$row: the tests that it names are there, and each stack has a test or a reason', ({ inet, alt }) => {
    for (const cell of [inet, alt]) {
      const named = refs(cell);
      const missing = named.filter(({ file, title }) => !hasTitle(source(file), title));
      expect(missing).toEqual([]);
      // "met" without a test, or a title that was not read because of how it is written, is neither.
      expect(cell.startsWith('met: ') || /^not (met|built|yet): /.test(cell)).toBe(true);
      if (cell.startsWith('met: ')) expect(named.length).toBeGreaterThan(0);
      const why = reasons(cell);
      if (named.length === 0) expect(why.length).toBeGreaterThan(0);
      for (const reason of why) expect(reason.length).toBeGreaterThan(15);
      expect((cell.match(/\.ts`/g) ?? []).length).toBe(new Set(named.map((r) => r.file)).size);
    }
  });
});
