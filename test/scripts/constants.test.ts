/** The compiler's transformer: numbers stand where their names stood, functions are called through constants, and the program does the same. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { constants } from '../../scripts/constants.mjs';

const NUMBERS = `
export const ROW = 5;
const LOCAL = 1 << ROW;
export const MASK = LOCAL - 1;
export const LOWEST = -0x80000000;
export const NAMES = ['a', 'b'];
export const LATER: number = Date.now();
export let changing = 1;
export const bump = (): number => ++changing;
export function twice(n: number): number { return 2 * n; }
export class Counter { static readonly START = 3; n = Counter.START; }
export interface Shape { readonly ROW: string }
`;

const USER = `
import * as all from './numbers.ts';
import { Counter, LATER, LOWEST, MASK, NAMES, ROW, type Shape, bump, changing, twice } from './numbers.ts';
const made: Shape = { ROW: 'a property of that name' };
export function sum(): number { return twice(ROW) + MASK - LOWEST + all.ROW; }
export function short(): { ROW: number; name: string } { const { ROW: name } = made; return { ROW, name }; }
export function shadowed(ROW: number): number { return ROW; }
export function other(): unknown[] { bump(); return [NAMES.length, changing, LATER > 0, new Counter().n, made.ROW, [1, 2].map(twice), \`\${ROW}\`]; }
export { ROW };
export function last(): number { return first(); }
function first(): number { return ROW; }
`;

interface User {
  sum(): number;
  short(): unknown;
  shadowed(n: number): number;
  other(): unknown;
  last(): number;
  readonly ROW: number;
}

let dir = '';
const text: Record<string, string> = {};

/** Compiles both files to a folder of their own, with the transformer or without. */
async function compile(out: string, transformed: boolean): Promise<User> {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    rootDir: dir,
    outDir: join(dir, out),
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
    strict: true,
    types: [],
  };
  const program = ts.createProgram([join(dir, 'user.ts')], options);
  expect(ts.getPreEmitDiagnostics(program).map((d) => d.messageText)).toEqual([]);
  program.emit(
    undefined,
    undefined,
    undefined,
    false,
    transformed ? { before: [constants(program.getTypeChecker())] } : undefined,
  );
  text[out] = readFileSync(join(dir, out, 'user.js'), 'utf8');
  return (await import(pathToFileURL(join(dir, out, 'user.js')).href)) as User;
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'netmod-build-'));
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(dir, 'numbers.ts'), NUMBERS);
  writeFileSync(join(dir, 'user.ts'), USER);
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('constants', () => {
  it('change nothing of what the program does', async () => {
    const plain = await compile('plain', false);
    const built = await compile('built', true);
    expect(built.sum()).toBe(plain.sum());
    expect(built.sum()).toBe(10 + 31 + 0x80000000 + 5);
    expect(built.short()).toEqual({ ROW: 5, name: 'a property of that name' });
    expect(built.shadowed(7)).toBe(7);
    for (const user of [plain, built]) expect(user.other()).toEqual([2, 2, true, 3, 'a property of that name', [2, 4], '5']);
    expect(built.last()).toBe(5);
    expect(built.ROW).toBe(5);
  });

  it('stand as numbers, also what is made of others and what a namespace names', () => {
    expect(text['built']).toMatch(
      /twice_1\(5 \/\* ROW \*\/\) \+ 31 \/\* MASK \*\/ - \(-2147483648\) \/\* LOWEST \*\/ \+ 5 \/\* ROW \*\//,
    );
    expect(text['built']).toContain('return { ROW: 5 /* ROW */, name }');
    expect(text['plain']).not.toContain('31 /*');
  });

  it('name what is settled once, and leave what changes', () => {
    for (const line of [
      'const twice_1 = twice;',
      'const first_1 = first;',
      'const Counter_1 = Counter;',
      'const NAMES_1 = NAMES;',
    ])
      expect(text['built']).toContain(line);
    expect(text['built']).toContain('changing,');
    expect(text['built']).not.toContain('changing_1');
    expect(text['built']).not.toContain('ROW_1');
  });
});
