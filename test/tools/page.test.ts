/**
 * docs/reference/commands.md is true: its sessions are run against a boot as the page describes it, on both stacks but for those that say why
 * not. With NETMOD_WRITE_PAGE=1 what the commands print on inet is written into the page instead.
 */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TOOLS } from '../../src/tools/tools.ts';
import { ELLIPSIS, type Session, matches, onStack, pageLines, plain, readSessions } from './sessions.ts';
import { Lab, acknowledged, bytes, eventually } from './support.ts';

const PAGE = path.resolve(import.meta.dirname, '../../docs/reference/commands.md');
const WRITE = process.env.NETMOD_WRITE_PAGE === '1';
const page = fs.readFileSync(PAGE, 'utf8');
const sessions = readSessions(page);

describe.each(['inet', 'alt'] as const)('the page of the commands, on %s', (stack) => {
  let lab: Lab;
  const written = new Map<Session, string[]>();

  beforeAll(async () => {
    lab = await Lab.open(stack);
    const host = await lab.client(1);
    const fd = await host.socket('inet', 'stream');
    await host.connect(fd, { addr: '10.0.0.2', port: 7 });
    for (let sent = 0; sent < 10_000; sent += 1000) {
      await host.send(fd, bytes('x'.repeat(1000)));
      for (let got = 0; got < 1000;) got += (await host.recv(fd, 1000)).length;
    }
    await acknowledged(lab);
  });
  afterAll(async () => {
    await lab.close();
    if (!WRITE || stack !== 'inet') return;
    const lines = page.split('\n');
    for (const [session, text] of [...written].reverse()) lines.splice(session.from, session.to - session.from, ...text);
    fs.writeFileSync(PAGE, lines.join('\n'));
  });

  /** What happens at the host's end while a command runs. */
  async function beside(what: string): Promise<void> {
    const client = await lab.client();
    await eventually(async () => (await client.table('net.bpf')).length > 0);
    const [kind, port] = what.split(' ');
    expect(kind).toBe('datagram');
    const host = await lab.client(1);
    const fd = await host.socket('inet', 'dgram');
    await host.sendto(fd, bytes('hello'), { addr: '10.0.0.2', port: Number(port) });
    await host.closefd(fd);
  }

  it('has a session for each command', () => {
    const used = new Set(sessions.flatMap(({ steps }) => steps.map(({ command }) => command.split(' ')[0])));
    expect(TOOLS.map((tool) => tool.name).filter((name) => !used.has(name))).toEqual([]);
  });

  const replayed = sessions.filter(({ inetOnly }) => stack === 'inet' || inetOnly === null);
  it.each(replayed.map((session) => [`${session.title}: ${session.steps[0]?.command}`, session] as const))(
    '%s',
    async (_, session) => {
      const text: string[] = [];
      for (const { command, output } of session.steps) {
        // Files that a session writes go where the boot's socket is.
        const words = onStack(command, stack)
          .split(' ')
          .map((word) => (word.endsWith('.pcapng') ? path.join(lab.dir, word) : word));
        const running = lab.run(words);
        if (session.beside !== null) await beside(session.beside);
        const printed = pageLines((await running).all.replaceAll(`${lab.dir}/`, ''));
        text.push(`$ netmod ${command}`, ...(WRITE && !output.some((line) => line.trim() === ELLIPSIS) ? printed : output));
        const shown = pageLines(onStack(output.join('\n'), stack));
        if (!(WRITE && stack === 'inet') && !matches(shown, printed))
          expect(printed.map(plain), `netmod ${command}`).toEqual(shown.map(plain));
      }
      written.set(session, text);
    },
  );
});
