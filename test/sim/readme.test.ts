/** What README.md shows of the simulator is a test that runs. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const file = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

it('the example of README.md is example.test.ts', () => {
  const section = /^## A network in a test\n[^]*?```ts\n([^]*?)```/m.exec(file('../../README.md'));
  const [, ...lines] = file('example.test.ts').split('\n');
  expect(section?.[1]).toBe(lines.join('\n'));
});
