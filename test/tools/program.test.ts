/** The program itself: words that do not exist, help, exit statuses, boots that are not there, that say nothing, and that die. */
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TOOLS } from '../../src/tools/tools.ts';
import { findControl } from '../../src/tools/find.ts';
import { Lab, eventually, runTool } from './support.ts';

describe('the program', () => {
  let lab: Lab;
  beforeEach(async () => void (lab = await Lab.open('inet')));
  afterEach(() => lab.close());

  it.each([
    ['netsat', "unknown command 'netsat'; did you mean 'netstat'?"],
    ['help netsat', "unknown command 'netsat'; did you mean 'netstat'?"],
    ['netstat --statistcs', 'Did you mean --statistics?'],
    ['ifconfig tap0 upp', "unknown word 'upp'; did you mean 'up'?"],
    ['ifconfig tap0 mut 1500', "did you mean 'mtu'?"],
    ['ifconfig -q', "unknown option '-q'"],
    ['ifconfig tap0 mtu', 'the MTU is missing'],
    ['ifconfig tap0 mtu 5', 'from 72 to 65535'],
    ['ifconfig tap0 10.0.0.300', 'is like 10.0.0.1'],
    ['route ad 10.0.0.0/8 10.0.0.1', "unknown verb 'ad'; did you mean 'add'?"],
    ['route add -nett 10.0.0.0/8 10.0.0.1', "did you mean '-net'?"],
    ['route add 10.0.0.0/8', 'a route needs a gateway'],
    ['route add 10.0.0.0/8 10.0.0.1 x', 'too much'],
    ['arp', 'a host, or -a for all'],
    ['arp -z', "unknown option '-z'"],
    ['arp -s 10.0.0.9', 'the hardware address is missing'],
    ['netstat -f ine', "did you mean 'inet'?"],
    ['netstat -p tpc', "did you mean 'tcp'?"],
    ['netstat -w 0', 'from 1 to 86400'],
    ['ss state establishd', "did you mean 'established'?"],
    ['ss sprt = :80', "did you mean 'sport'?"],
    ['sysctl', 'a name, NAME=VALUE, or -a'],
    ['kldload', 'the module is missing'],
    ['setfib 1', 'the command is missing'],
    ['setfib x ping', 'a routing table is a whole number'],
    ['uuidgen -n 0', 'from 1 to 2048'],
    ['ping', 'the host is missing'],
    ['ping somewhere', 'a host is an IPv4 address'],
    ['ping -c x 10.0.0.1', 'a count is a whole number'],
    ['ping -i -5 10.0.0.1', 'interval'],
    ['traceroute -m 0 10.0.0.1', 'from 1 to 255'],
    ['tcpdump porrt 80', "did you mean 'port'?"],
    ['tcpdump --ring', '--ring takes -w FILE'],
    ['top -s x', 'an interval in seconds'],
    ['netstat --ctl', '--ctl'],
    ['ifconfig --ctl', '--ctl is missing'],
  ])('%s: status 2, and says what is meant', async (line, message) => {
    const { status, out, err } = await lab.sh(line);
    expect(err).toContain(message);
    expect(err.startsWith('netmod')).toBe(true);
    expect({ status, out }).toEqual({ status: 2, out: '' });
  });

  it('--help of each command names its options, and needs no boot', async () => {
    for (const { name, usage } of TOOLS) {
      const { status, out } = await runTool([name, '--help'], {});
      expect({ name, status }).toEqual({ name, status: 0 });
      expect(out).toContain(`netmod ${name} ${usage}`.trim());
      for (const option of usage.matchAll(/(?<=[[ |])-[A-Za-z]\b/g)) expect(`${name}: ${out}`).toContain(option[0]);
    }
    const { status, out } = await runTool(['--help'], {});
    expect(status).toBe(0);
    for (const { name, summary } of TOOLS)
      expect(out.replace(/\n +/g, ' ')).toMatch(new RegExp(`${name} +${summary.slice(0, 20)}`));
    expect(await runTool(['--version'], {})).toMatchObject({ status: 0, out: '0.0.0\n' });
    expect(await runTool([], {})).toMatchObject({ status: 2, out: '' });
  });

  it('--json and --ctl stand before the command or behind it', async () => {
    const ctl = lab.files[0]!;
    for (const argv of [
      ['--json', `--ctl=${ctl}`, 'uuidgen'],
      ['uuidgen', '--json', '--ctl', ctl],
      [`--ctl=${ctl}`, 'ifconfig', '-l', '--json'],
      ['ifconfig', '-l', '--json', '--ctl', ctl],
      ['--json', 'setfib', '0', 'netstat', '-rn', `--ctl=${ctl}`],
    ]) {
      const { status, out } = await runTool(argv, {});
      expect({ argv, status }).toEqual({ argv, status: 0 });
      expect(Array.isArray(JSON.parse(out))).toBe(true);
    }
  });

  it('finds the only boot there is, and says so when there is none or there are several', async () => {
    const dir = path.join(lab.dir, 'run');
    expect(() => findControl(undefined, dir)).toThrow('no boot has a control socket in');
    fs.mkdirSync(dir);
    fs.writeFileSync(path.join(dir, 'tap0.sock'), '');
    expect(findControl(undefined, dir)).toBe(path.join(dir, 'tap0.sock'));
    fs.writeFileSync(path.join(dir, 'tap1.sock'), '');
    expect(() => findControl(undefined, dir)).toThrow(/there are 2 boots: .*tap0\.sock .*tap1\.sock/);
    expect(findControl('/x', dir)).toBe('/x');
  });

  it.each([
    ['nothing is there', null, 'there is no control socket of that name'],
    ['what answers is something else', 'SSH-2.0-OpenSSH\r\n', 'does not speak the control protocol'],
    ['what answers is JSON of something else', '{"hello":1}\n', 'no control socket'],
    ['what answers goes at once', '', 'no boot answers there'],
  ])('%s: status 1 and a sentence', async (_, greeting, message) => {
    const file = path.join(lab.dir, 'other.sock');
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end(greeting ?? '');
    });
    if (greeting !== null) await new Promise<void>((resolve) => server.listen(file, resolve));
    const { status, err } = await runTool(['netstat', `--ctl=${file}`], {});
    expect(err).toContain(message);
    expect(status).toBe(1);
    server.close();
  });

  it.each(['tcpdump -i tap0', 'route monitor', 'top -s 1', 'ping -i 0.05 10.0.0.1', 'netstat -w 1'])(
    '%s: a boot that goes meanwhile ends it with status 1',
    async (line) => {
      const mine = await lab.client();
      const running = lab.sh(line);
      await eventually(async () => (await mine.table('kern.proc')).filter(({ name }) => name.startsWith('ctl')).length > 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await lab.die();
      const { status, err } = await running;
      expect(err).toMatch(/the control socket was closed|ended.*: shutdown/);
      expect(status).toBe(1);
    },
  );

  it('top takes the whole screen, leaves it, and ends with q', async () => {
    let press: (key: string) => void = () => undefined;
    let released = 0;
    const running = runTool(['top'], { NETMOD_CTL: lab.files[0] }, undefined, {
      isTty: true,
      keys: (onKey) => {
        press = onKey;
        return () => void released++;
      },
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    press('x');
    press('q');
    const { status, out } = await running;
    expect({ status, released }).toEqual({ status: 0, released: 1 });
    expect(out.startsWith('\x1b[?1049h')).toBe(true);
    expect(out.endsWith('\x1b[?1049l')).toBe(true);
    expect(out).toContain('netmod top - stack inet');
  });

  it('tcpdump does not write a capture file on a screen', async () => {
    const { status, err } = await runTool(['tcpdump', '-w', '-'], { NETMOD_CTL: lab.files[0] }, undefined, { isTty: true });
    expect({ status, err }).toEqual({ status: 2, err: expect.stringContaining('not for the screen') });
  });
});
