/** The loader as its user sees it: the ready line, options, what it makes and removes, errors in one line, several at once. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { BOOT, type Done, Netns, ROOT, describeNetns, hasCommand, run } from '../support/netns.ts';
import { peer } from './peer.ts';

const STACKS = ['inet', 'alt'] as const;

describeNetns('boot', () => {
  const made: Netns[] = [];
  const create = async (): Promise<Netns> => {
    const ns = await Netns.create();
    made.push(ns);
    return ns;
  };
  afterEach(async () => {
    for (const ns of made.splice(0)) await ns.remove();
  });

  const bootOnce = (ns: Netns, ...options: string[]): Promise<Done> =>
    ns.exec([process.execPath, BOOT, ...options], { timeoutMs: 20_000 });

  describe.each(STACKS)('%s', (stack) => {
    it('says that it is ready in one exact line, and nothing else on standard output', async () => {
      const ns = await create();
      const ctl = join(ns.dir, 'ctl.sock');
      const boot = await ns.boot([`--stack=${stack}`, `--ctl=${ctl}`]);
      expect(boot.readyLine).toBe(`ready stack=${stack} if=tap0 addr=10.0.0.2/24 services=http:80,echo:7 ctl=${ctl}`);
      const done = await boot.stop();
      expect(done.stdout).toBe(`${boot.readyLine}\n`);
    });

    it.each(['SIGTERM', 'SIGINT'] as const)('%s: ends with 0 and removes what it made', async (signal) => {
      const ns = await create();
      const boot = await ns.boot([`--stack=${stack}`]);
      expect(statSync(boot.ctl).mode & 0o777).toBe(0o600);
      expect(await ns.must(['ip', '-o', 'link', 'show', 'tap0'])).toContain('tap0');
      expect(await boot.stop(signal)).toMatchObject({ status: 0, signal: null });
      expect((await ns.exec(['ip', 'link', 'show', 'tap0'])).status).not.toBe(0);
      expect(existsSync(boot.ctl)).toBe(false);
    });

    it('ends in order while connections are open and data flows', async () => {
      const ns = await create();
      const boot = await ns.boot([`--stack=${stack}`, '--service=http,echo,chargen', '--log=warn']);
      const client = ns.spawn(['curl', '-sS', '-o', '/dev/null', '--limit-rate', '1M', 'http://10.0.0.2/bytes/1000000000']);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const started = Date.now();
      expect(await boot.stop()).toMatchObject({ status: 0, signal: null });
      expect(Date.now() - started).toBeLessThan(10_000);
      client.kill('SIGKILL');
    });

    it('--mac, --mtu, --tap, --addr, --peer, --gateway', async () => {
      const ns = await create();
      const boot = await ns.boot([
        `--stack=${stack}`,
        '--tap=wire3',
        '--mac=02:11:22:33:44:55',
        '--mtu=1280',
        '--addr=172.20.7.9/28',
        '--peer=172.20.7.14/28',
        '--gateway=172.20.7.14',
      ]);
      expect(boot.readyLine).toContain(' addr=172.20.7.9/28 ');
      expect(await ns.must(['ip', '-o', 'addr', 'show', 'wire3'])).toContain('172.20.7.14/28');
      expect(await ns.must(['ip', '-o', 'link', 'show', 'wire3'])).toContain('mtu 1280');
      await ns.must(['ping', '-c', '1', '-W', '2', '172.20.7.9']);
      expect(await ns.must(['ip', 'neigh', 'show', '172.20.7.9'])).toContain('02:11:22:33:44:55');
      // From beyond the gateway: an address that only the default route leads back to.
      await ns.must(['ip', 'addr', 'add', '192.0.2.77/32', 'dev', 'lo']);
      await ns.must(['ping', '-c', '1', '-W', '2', '-I', '192.0.2.77', '172.20.7.9']);
      await ns.must(['curl', '-sS', '--max-time', '5', '--interface', '192.0.2.77', 'http://172.20.7.9/']);
    });

    it('--no-peer leaves the host’s side alone', async () => {
      const ns = await create();
      await ns.boot([`--stack=${stack}`, '--no-peer']);
      expect(await ns.must(['ip', '-o', '-4', 'addr', 'show', 'tap0'])).toBe('');
      await ns.must(['ip', 'addr', 'add', '10.0.0.9/24', 'dev', 'tap0']);
      await ns.must(['ip', 'link', 'set', 'tap0', 'up']);
      await ns.must(['ping', '-c', '1', '-W', '2', '10.0.0.2']);
    });

    it('joins a device that is there, and leaves it there', async () => {
      const ns = await create();
      await ns.must(['ip', 'tuntap', 'add', 'dev', 'tap5', 'mode', 'tap', 'vnet_hdr']);
      await ns.must(['ip', 'link', 'set', 'tap5', 'mtu', '1400', 'txqueuelen', '77']);
      const boot = await ns.boot([`--stack=${stack}`, '--tap=tap5']);
      await ns.must(['ping', '-c', '1', '-W', '2', '10.0.0.2']);
      expect(await boot.stop()).toMatchObject({ status: 0 });
      const found = await ns.must(['ip', '-o', 'link', 'show', 'tap5']);
      for (const part of ['mtu 1400', 'qlen 77', '<BROADCAST,MULTICAST>']) expect(found).toContain(part);
      if (!hasCommand('ethtool')) return;
      // Whoever opens it next need not know of offload.
      expect(await ns.must(['ethtool', '-k', 'tap5'])).toMatch(/^tx-checksumming: off/m);
    });

    it('a second signal ends it at once, and still removes what would stay', async () => {
      const ns = await create();
      await ns.must(['ip', 'tuntap', 'add', 'dev', 'tap5', 'mode', 'tap']);
      const boot = await ns.boot([`--stack=${stack}`, '--tap=tap5']);
      const client = ns.spawn(['curl', '-sS', '-o', '/dev/null', '--limit-rate', '100k', 'http://10.0.0.2/bytes/1000000000']);
      await new Promise((resolve) => setTimeout(resolve, 500));
      boot.child.kill('SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 200));
      const started = Date.now();
      expect(await boot.stop('SIGTERM')).toMatchObject({ status: 143 });
      expect(Date.now() - started).toBeLessThan(1_500);
      expect(existsSync(boot.ctl)).toBe(false);
      expect(await ns.must(['ip', '-o', '-4', 'addr', 'show', 'tap5'])).toBe('');
      client.kill('SIGKILL');
    });

    it('does not wait for a client that has connected and asked for nothing', async () => {
      const ns = await create();
      const boot = await ns.boot([`--stack=${stack}`]);
      const open = `require('net').connect(80, '10.0.0.2').on('connect', () => setTimeout(() => {}, 20_000)).on('error', () => {}).resume()`;
      const client = ns.spawn([process.execPath, '-e', open]);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const started = Date.now();
      expect(await boot.stop()).toMatchObject({ status: 0 });
      expect(Date.now() - started).toBeLessThan(1_500);
      client.kill('SIGKILL');
    });

    it('two boots at once, each in a namespace of its own', async () => {
      const [one, two] = [await create(), await create()];
      await Promise.all([one.boot([`--stack=${stack}`]), two.boot([`--stack=${stack}`])]);
      for (const ns of [one, two]) {
        await ns.must(['ping', '-c', '1', '-W', '2', '10.0.0.2']);
        expect(await peer(ns, 'bytes', 'http://10.0.0.2', 1_000_000)).toMatchObject({ right: 1 });
      }
    });

    it('two boots at once on two devices of one namespace reach the same host', async () => {
      const ns = await create();
      await ns.boot([`--stack=${stack}`]);
      await ns.boot([`--stack=${stack}`, '--tap=tap1', '--addr=10.1.0.2/24']);
      for (const address of ['10.0.0.2', '10.1.0.2']) await ns.must(['curl', '-sS', '--max-time', '5', `http://${address}/`]);
    });

    it('--accept-filter=httpready still serves', async () => {
      const ns = await create();
      await ns.boot([`--stack=${stack}`, '--accept-filter=httpready']);
      expect(await peer(ns, 'bytes', 'http://10.0.0.2', 1_000_000)).toMatchObject({ right: 1 });
    });

    it('--pcap writes what tcpdump can read', async () => {
      if (!hasCommand('tcpdump')) return;
      const ns = await create();
      const file = join(ns.dir, 'trace.pcapng');
      const boot = await ns.boot([`--stack=${stack}`, `--pcap=${file}`]);
      await ns.must(['ping', '-c', '2', '-i', '0.1', '-W', '2', '10.0.0.2']);
      await ns.must(['curl', '-sS', '--max-time', '5', 'http://10.0.0.2/']);
      await boot.stop();
      const shown = await run(['tcpdump', '-nr', file]);
      expect(shown.status).toBe(0);
      expect(shown.stdout.match(/ICMP echo reply/g)).toHaveLength(2);
      expect(shown.stdout).toMatch(/10\.0\.0\.1\.\d+ > 10\.0\.0\.2\.80: Flags \[S\]/);
      expect(shown.stdout).toContain('GET / HTTP/1.1');
    });

    it('a device that is deleted under it ends the boot with a line that says so', async () => {
      const ns = await create();
      const boot = await ns.boot([`--stack=${stack}`, '--log=warn']);
      await ns.must(['ip', 'link', 'del', 'tap0']);
      const done = await boot.exited();
      expect(done.status).toBe(1);
      expect(done.stderr).toMatch(/^netmod: .*gone/m);
    });
  });

  it('an unknown stack: one line with the valid names, status 2', async () => {
    const ns = await create();
    const done = await bootOnce(ns, '--stack=nosuch');
    expect(done).toMatchObject({ status: 2, stdout: '' });
    expect(done.stderr.trim().split('\n')).toHaveLength(1);
    for (const name of ['nosuch', 'inet', 'alt', 'none']) expect(done.stderr).toContain(name);
  });

  it.each([
    ['an unknown option', ['--stak=alt'], '--stack'],
    ['a bad value', ['--mtu=big'], 'mtu'],
    ['an address out of range', ['--addr=10.0.0.300/24'], 'addr'],
    ['a conflict', ['--peer=10.0.0.1/24', '--no-peer'], 'peer'],
    ['an unknown driver', ['--driver=nosuch'], 'tuntap2'],
    ['an unknown service', ['--service=gopher'], 'chargen'],
    ['an unknown accept filter', ['--accept-filter=nosuch'], 'httpready'],
    ['a module that is not there', ['--stack=./no/such.js'], 'such.js'],
  ])('%s: one line that helps, status 2', async (_what, options, hint) => {
    const ns = await create();
    const done = await bootOnce(ns, '--log=error', ...options);
    expect(done).toMatchObject({ status: 2, stdout: '' });
    expect(done.stderr.trim().split('\n')).toHaveLength(1);
    expect(done.stderr).toContain(hint);
  });

  it('a device that is taken: one line, status 1, and the first goes on', async () => {
    const ns = await create();
    await ns.boot([]);
    const done = await bootOnce(ns, '--ctl=none', '--log=error');
    expect(done).toMatchObject({ status: 1, stdout: '' });
    expect(done.stderr.trim().split('\n')).toHaveLength(1);
    expect(done.stderr).toContain('tap0');
    await ns.must(['ping', '-c', '1', '-W', '2', '10.0.0.2']);
  });

  it('options come from variables and from a file, the command line first', async () => {
    const ns = await create();
    const conf = join(ROOT, 'test/netns/loader.conf');
    const boot = await ns.boot([`--conf=${conf}`, '--addr=10.5.0.2/24']);
    expect(boot.readyLine).toMatch(/^ready stack=alt if=tap0 addr=10\.5\.0\.2\/24 services=echo:7 /);
    expect(readFileSync(conf, 'utf8')).toContain('stack="alt"');
  });

  it('--stack=none: boots, has a control socket, answers by its defaults, ends with 0', async () => {
    const ns = await create();
    const boot = await ns.boot(['--stack=none']);
    expect(boot.readyLine).toMatch(/^ready stack=none if=tap0 /);
    const shown = await run([process.execPath, join(ROOT, 'scripts/show-defaults.mjs'), boot.ctl]);
    expect(shown.stdout).toContain('all as documented');
    expect(shown.status).toBe(0);
    // Frames that come meanwhile harm nobody.
    await ns.exec(['ping', '-c', '1', '-W', '1', '10.0.0.2']);
    expect(await boot.stop()).toMatchObject({ status: 0, signal: null });
  });
});
