/** The program `netmod` as it is installed, against a boot on a TAP; and the example in Python, which needs the control socket only. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Boot, type Done, Netns, ROOT, describeNetns, hasCommand, run } from '../support/netns.ts';

const MAIN = join(ROOT, 'dist/tools/main.js');
const EXAMPLE = join(ROOT, 'examples/controlsocket.py');
const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

describeNetns('netmod', () => {
  let ns: Netns;
  let boot: Boot;
  beforeEach(async () => {
    ns = await Netns.create();
    boot = await ns.boot(['--stack=inet']);
  });
  afterEach(() => ns.remove());

  const netmod = (...words: string[]): Promise<Done> => run([process.execPath, MAIN, ...words, `--ctl=${boot.ctl}`]);
  const shell = (script: string): Promise<Done> =>
    ns.exec(['bash', '-c', script.replaceAll('netmod', `${process.execPath} ${MAIN} --ctl=${boot.ctl}`)]);

  it('pings the host, and shows what Linux shows of the same interface', async () => {
    const ping = await netmod('ping', '-c', '2', '-i', '0.2', '10.0.0.1');
    expect(ping).toMatchObject({ status: 0, stderr: '' });
    expect(ping.stdout).toContain('2 packets received, 0.0% packet loss');
    const lladdr = (await ns.must(['cat', '/sys/class/net/tap0/address'])).trim();
    expect((await netmod('arp', '10.0.0.1')).stdout).toContain(`at ${lladdr} on tap0`);
    expect((await netmod('traceroute', '-q', '1', '10.0.0.1')).stdout).toMatch(/\n 1 {2}10\.0\.0\.1 {2}[\d.]+ ms\n$/);
    const lines = Object.fromEntries(
      (JSON.parse((await netmod('netstat', '-i', '--json')).stdout) as { name: string; counters: { opackets: number } }[]).map(
        (row) => [row.name, row],
      ),
    );
    expect(lines.tap0?.counters.opackets).toBeGreaterThan(4);
  });

  it('ends quietly when nobody reads its output any longer', async () => {
    const { stdout, stderr } = await shell('set -o pipefail; netmod sysctl -a | head -n 1; echo "status ${PIPESTATUS[0]}"');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^[\w.]+: .*\nstatus 0\n$/);
    const live = await shell(
      `(sleep 1; for i in 1 2 3 4 5; do ping -c 1 -W 1 10.0.0.2; sleep 0.2; done) >/dev/null & netmod tcpdump -l icmp 2>/dev/null | head -n 1; wait`,
    );
    expect(live.stdout).toMatch(/ICMP echo re(quest|ply)/);
  });

  it('a capture through a pipe is one that tcpdump reads', async () => {
    if (!hasCommand('tcpdump')) return;
    const script = `(sleep 1; ping -c 3 -i 0.2 10.0.0.2) >/dev/null & netmod tcpdump -i tap0 -c 4 -w - icmp 2>/dev/null | tcpdump -nr - 2>/dev/null; wait`;
    const { stdout } = await shell(script);
    expect(stdout.trim().split('\n')).toHaveLength(4);
    expect(stdout).toContain('IP 10.0.0.1 > 10.0.0.2: ICMP echo request');
  });

  it('a boot that is killed ends a command that watches it', async () => {
    const watching = netmod('route', 'monitor');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await boot.stop('SIGKILL');
    expect(await watching).toMatchObject({ status: 1, stderr: expect.stringContaining('control socket was closed') });
    expect(await netmod('netstat')).toMatchObject({ status: 1, stderr: expect.stringContaining('nobody answers') });
  });

  it('examples/controlsocket.py serves a file and fetches one', async () => {
    if (!hasCommand('python3')) return;
    expect(readFileSync(EXAMPLE, 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(60);
    const file = join(ns.dir, 'file.bin');
    const data = Buffer.alloc(3_000_000, 'netmod\n');
    writeFileSync(file, data);
    const server = ns.spawn(['python3', EXAMPLE, boot.ctl, 'serve', '8000', file]);
    const copy = join(ns.dir, 'copy.bin');
    await ns.must([
      'curl',
      '-sS',
      '--retry',
      '20',
      '--retry-connrefused',
      '--retry-delay',
      '1',
      '-o',
      copy,
      'http://10.0.0.2:8000/',
    ]);
    expect(statSync(copy).size).toBe(data.length);
    expect(sha256(readFileSync(copy))).toBe(sha256(data));
    server.kill();
    // Twice by the stack: its own http service, over the loopback, is what the program fetches from.
    const fetched = spawnSync('python3', [EXAMPLE, boot.ctl, 'fetch', '10.0.0.2', '80', '/bytes/1000000'], {
      maxBuffer: 1 << 24,
    });
    const direct = await ns.must(['bash', '-c', 'curl -sS http://10.0.0.2/bytes/1000000 | sha256sum']);
    expect(sha256(fetched.stdout)).toBe(direct.split(' ')[0]);
    expect(JSON.parse((await netmod('sockstat', '--json')).stdout)).not.toContainEqual(
      expect.objectContaining({ local: '*:8000' }),
    );
  });
});
