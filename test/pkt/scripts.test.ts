/**
 * Every script of `scripts/`, on every stack. Each says by its first lines what it is about and which RFC asks for it; a script that is
 * not for a stack says why.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { runScript } from '../../src/pkt/run.ts';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';

const ROOT = join(import.meta.dirname, 'scripts');
const STACKS: readonly (readonly [string, ModuleSpec])[] = [
  ['inet', inet],
  ['alt', alt],
];

const scripts = (readdirSync(ROOT, { recursive: true }) as string[])
  .filter((name) => name.endsWith('.pkt'))
  .sort()
  .map((name) => ({ name, file: join(ROOT, name), text: readFileSync(join(ROOT, name), 'utf8') }));

describe.each(STACKS)('%s', (stackName, stack) => {
  it.each(scripts)('$name', async ({ file, text }) => {
    const result = await runScript(relative(process.cwd(), file), text, { stack, stackName });
    if (result.kind === 'failed') expect.fail(`\n${result.message}`);
    if (result.kind === 'passed') expect(result.warnings).toEqual([]);
  });
});

it('there are at least 120, and each cites what it tests', () => {
  expect(scripts.length).toBeGreaterThanOrEqual(120);
  for (const { name, text } of scripts) expect(text.split('\n\n')[0], name).toMatch(/^\/\/ .*\b(RFC \d+|MUST-|SHLD-|tcp\(4\))/ms);
});
