/** docs/reference/tcp.md lists every tunable below net.inet.tcp with its default, and no other. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isErrno } from '../../src/kern/errno.ts';
import { TcpHarness } from '../tcp/harness.ts';

const PREFIX = 'net.inet.tcp.';
const PAGE = readFileSync(resolve(import.meta.dirname, '../../docs/reference/tcp.md'), 'utf8');
/** Read only: they tell of the moment. */
const READ_ONLY = new Set(['functions_available']);

let t: TcpHarness;
beforeAll(() => {
  t = new TcpHarness();
});
afterAll(() => t.close());

function documented(): Map<string, string> {
  const section = PAGE.slice(PAGE.indexOf('## Tunables'), PAGE.indexOf('## Where memory goes'));
  return new Map([...section.matchAll(/^\| `([\w.]+)`\s*\| (.*?)\s*\|/gm)].map(([, name = '', value = '']) => [name, value]));
}

it('docs/reference/tcp.md: every tunable with its default', () => {
  const listed = documented();
  const found = t.kernel.sysctl
    .walk(PREFIX.slice(0, -1))
    .map(({ name, value }) => [name.slice(PREFIX.length), String(value)] as const);
  expect(found.length).toBeGreaterThan(50);
  const missing = found.filter(([name]) => !listed.has(name) && !READ_ONLY.has(name));
  expect(missing).toEqual([]);
  for (const [name, value] of found) if (!READ_ONLY.has(name)) expect([name, listed.get(name)]).toEqual([name, value]);
});

it('docs/reference/tcp.md: no tunable that is not there', () => {
  const unknown = [...documented().keys()].filter((name) => isErrno(t.kernel.sysctl.read(PREFIX + name)));
  expect(unknown).toEqual([]);
});
