/** The lint rules bite: each is shown a file that breaks it, in a throw-away project with the real configuration. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const CONFIGS = ['eslint.config.js', '.dependency-cruiser.cjs', 'tsconfig.json', 'tsconfig.test.json', 'package.json'];

let dir = '';

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'netmod-lint-'));
  for (const file of CONFIGS) cpSync(join(ROOT, file), join(dir, file));
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
});

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A project of exactly these files. */
function plant(files: Record<string, string>): void {
  rmSync(join(dir, 'src'), { recursive: true, force: true });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
}

function run(bin: string, args: string[]): { status: number | null; out: string } {
  const done = spawnSync(process.execPath, [join(ROOT, 'node_modules', bin), ...args], { cwd: dir, encoding: 'utf8' });
  return { status: done.status, out: done.stdout + done.stderr };
}

const cruise = () => run('dependency-cruiser/bin/dependency-cruise.mjs', ['--config', '.dependency-cruiser.cjs', 'src']);
const lint = () => run('eslint/bin/eslint.js', ['src']);

const EXPORT = 'export const x = 1;\n';

describe('floors', () => {
  it('accepts imports that point down', () => {
    plant({
      'src/wire/tcp.ts': EXPORT,
      'src/kern/packet.ts': EXPORT,
      'src/stacks/inet/tcp.ts': `export { x } from '../../wire/tcp.ts';\nexport { x as y } from '../../kern/packet.ts';\n`,
    });
    expect(cruise()).toMatchObject({ status: 0 });
  });

  it.each([
    ['floor-0-wire', 'src/wire/a.ts', '../kern/b.ts', 'src/kern/b.ts'],
    ['floor-1-kern', 'src/kern/a.ts', '../stacks/inet/b.ts', 'src/stacks/inet/b.ts'],
    ['floor-1-kern', 'src/kern/a.ts', '../wire/tcp.ts', 'src/wire/tcp.ts'],
    ['floor-1-kern', 'src/kern/a.ts', '../driver/b.ts', 'src/driver/b.ts'],
    ['floor-2-driver', 'src/driver/a.ts', '../stacks/alt/b.ts', 'src/stacks/alt/b.ts'],
    ['floor-5-sim', 'src/sim/a.ts', '../services/b.ts', 'src/services/b.ts'],
    ['floor-5-sim', 'src/sim/a.ts', '../stacks/inet/tcp/b.ts', 'src/stacks/inet/tcp/b.ts'],
    ['floor-5-sim-alone', 'src/index.ts', './sim/b.ts', 'src/sim/b.ts'],
    ['floor-3-inet', 'src/stacks/inet/a.ts', '../alt/b.ts', 'src/stacks/alt/b.ts'],
    ['floor-3-inet', 'src/stacks/inet/a.ts', '../../driver/b.ts', 'src/driver/b.ts'],
    ['floor-3-alt', 'src/stacks/alt/a.ts', '../inet/b.ts', 'src/stacks/inet/b.ts'],
    ['floor-4-node', 'src/node/a.ts', '../services/b.ts', 'src/services/b.ts'],
    ['floor-5-services', 'src/services/a.ts', '../stacks/inet/b.ts', 'src/stacks/inet/b.ts'],
    ['floor-5-control', 'src/control/a.ts', '../driver/b.ts', 'src/driver/b.ts'],
    ['floor-6-boot', 'src/boot/a.ts', '../stacks/inet/b.ts', 'src/stacks/inet/b.ts'],
  ])('%s: %s may not import %s', (rule, file, target, targetFile) => {
    plant({ [file]: `export { x } from '${target}';\n`, [targetFile]: EXPORT });
    const { status, out } = cruise();
    expect(out).toContain(`error ${rule}: ${file}`);
    expect(status).not.toBe(0);
  });

  it('counts an import of a type as an import', () => {
    plant({
      'src/kern/a.ts': `import type { T } from '../stacks/inet/b.ts';\nexport type U = T;\n`,
      'src/stacks/inet/b.ts': 'export type T = 1;\n',
    });
    expect(cruise().out).toContain('error floor-1-kern');
  });

  it('keeps Node and packages out of the kernel', () => {
    plant({ 'src/kern/a.ts': `export { readFileSync } from 'node:fs';\n` });
    expect(cruise().out).toContain('error no-outside-below');
  });

  it('finds a cycle that exists at run time', () => {
    plant({
      'src/kern/a.ts': `import { b } from './b.ts';\nexport const a = () => b;\n`,
      'src/kern/b.ts': `import { a } from './a.ts';\nexport const b = () => a;\n`,
    });
    expect(cruise().out).toContain('error no-cycle');
  });
});

describe('nothing global, no effect but the kernel’s', () => {
  it.each([
    ['let', 'let count = 0;\nexport const next = () => count++;\n', 'No module-level mutable state'],
    ['export let', 'export let count = 0;\nexport const next = () => count++;\n', 'No module-level mutable state'],
    ['new Map', 'export const seen = new Map<string, number>();\n', 'A module-level collection'],
    ['an array', 'export const list: number[] = [1];\n', 'A module-level array'],
    ['Date', 'export const now = () => Date.now();\n', "Unexpected use of 'Date'"],
    ['setTimeout', 'export const f = () => setTimeout(() => 0, 1);\n', "Unexpected use of 'setTimeout'"],
    ['Math.random', 'export const r = () => Math.random();\n', "'Math.random' is restricted"],
    ['process', 'export const p = () => process.pid;\n', "Unexpected use of 'process'"],
    ['any', 'export const f = (x: any) => x;\n', 'no-explicit-any'],
    ['!', 'export const f = (x: number | null) => x! + 1;\n', 'no-non-null-assertion'],
    ['a default export', 'export default 1;\n', 'Named exports only'],
  ])('refuses %s in the kernel', (_what, text, message) => {
    plant({ 'src/kern/a.ts': text });
    const { status, out } = lint();
    expect(out).toContain(message);
    expect(status).toBe(1);
  });

  it('accepts constants', () => {
    plant({
      'src/kern/a.ts':
        'export const A = [1, 2] as const;\nexport const B: readonly number[] = [1];\n' +
        "export const C: ReadonlyMap<string, number> = new Map([['a', 1]]);\n",
    });
    expect(lint()).toEqual({ status: 0, out: '' });
  });
});
