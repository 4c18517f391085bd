import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IFCAP_RXCSUM } from '../../src/kern/ifnet/link.ts';
import { Netns, ROOT, describeNetns, netnsReason } from '../support/netns.ts';
import { BULK } from './responder.ts';

const CHILD = [
  process.execPath,
  '--import',
  join(ROOT, 'test/support/tuntap2-register.mjs'),
  '--disable-warning=ExperimentalWarning',
  join(ROOT, 'test/netns/tap-child.ts'),
];

/** A child process that prints a line of JSON now and then. */
class Running {
  readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[] = [];
  stderr = '';
  readonly ended: Promise<number | null>;
  #wake: (() => void)[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    let rest = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop()!;
      for (const part of parts) this.lines.push(JSON.parse(part) as Record<string, unknown>);
      for (const wake of this.#wake.splice(0)) wake();
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve) => child.once('close', resolve));
    void this.ended.then(() => this.#wake.splice(0).forEach((wake) => wake()));
  }

  /** The first line that has `key`. */
  async line(key: string): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.lines.find((line) => key in line);
      if (found !== undefined) return found;
      const how = this.child.exitCode ?? this.child.signalCode;
      if (how !== null) throw new Error(`ended with ${how}: ${this.stderr}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** Asks it to end; its report and its exit status. */
  async stop(): Promise<{ report: Record<string, unknown>; counters: Record<string, number>; status: number | null }> {
    this.child.kill('SIGTERM');
    const { report, counters } = (await this.line('report')) as {
      report: Record<string, unknown>;
      counters: Record<string, number>;
    };
    return { report, counters, status: await this.ended };
  }
}

// The build is not needed here, only the machine.
const suite = netnsReason === null ? describe : describeNetns;

suite('tap', () => {
  let ns: Netns;
  beforeEach(async () => {
    ns = await Netns.create();
  });
  afterEach(() => ns.remove());

  const start = (command: string, options: object): Running =>
    new Running(ns.spawn([...CHILD, command, JSON.stringify(options)]));
  const once = async (command: string, options: object, before: readonly string[] = []): Promise<Record<string, unknown>[]> => {
    const done = await ns.exec([...before, ...CHILD, command, JSON.stringify(options)]);
    expect(done.stderr).toBe('');
    return done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const serve = async (options: object, command = 'serve'): Promise<Running> => {
    const running = start(command, { name: 'tap0', peers: ['10.9.0.1/24'], ...options });
    await running.line('ready');
    return running;
  };
  const node = (script: string): Promise<string> => ns.must([process.execPath, '-e', script]);

  /** UDP datagrams of these sizes, each echoed: how many came back as they were. */
  const udpEcho = (sizes: readonly number[]): Promise<string> =>
    node(`
      const s = require('dgram').createSocket('udp4');
      const sizes = ${JSON.stringify(sizes)};
      let good = 0, i = 0;
      const next = () => {
        if (i === sizes.length) { console.log(good); s.close(); return; }
        s.send(Buffer.alloc(sizes[i], i + 1), 7, '10.9.0.2');
      };
      s.on('message', (m) => { if (m.equals(Buffer.alloc(sizes[i], i + 1))) good++; i++; next(); });
      next();
      setTimeout(() => { console.log('timeout after', good); process.exit(1); }, 5000).unref();
    `);

  /** Length and hash of what port 19 sends. */
  const bulkIn = (): Promise<string> =>
    node(`
      const hash = require('crypto').createHash('sha256');
      let n = 0;
      const c = require('net').connect(19, '10.9.0.2');
      c.on('data', (d) => { hash.update(d); n += d.length; }).on('end', () => console.log(n, hash.digest('hex')));
    `);

  /** Sends bytes to port 9 and waits until the other side has closed as well. */
  const bulkOut = (bytes: number): Promise<string> =>
    node(`
      const c = require('net').connect(9, '10.9.0.2', () => c.end(Buffer.alloc(${bytes}, 'netmod')));
      c.on('end', () => console.log('done')).resume();
    `);

  describe('frames', () => {
    for (const offload of [true, false]) {
      it(`answers ping, UDP and TCP with offload ${offload ? 'on' : 'off'}`, async () => {
        const tap = await serve({ offload });
        const pinged = await ns.must(['ping', '-c', '3', '-i', '0.1', '-W', '2', '10.9.0.2']);
        expect(pinged).toContain('3 received');
        await ns.must(['ping', '-c', '1', '-s', '1472', '-W', '2', '10.9.0.2']);
        expect(await udpEcho([0, 1, 100, 1472])).toBe('4\n');
        expect(await bulkIn()).toBe(`${BULK.length} ${createHash('sha256').update(BULK).digest('hex')}\n`);
        await bulkOut(300_000);
        const { report, counters, status } = await tap.stop();
        expect(status).toBe(0);
        expect(report).toMatchObject({ icmp: 4, udp: 4, badsum: 0, noslot: 0, taken: 300_000, dropped: {} });
        expect(report.sha256).toBe(createHash('sha256').update(Buffer.alloc(300_000, 'netmod')).digest('hex'));
        expect(counters).toMatchObject({ rxrunt: 0, rxerror: 0, txrefused: 0, txinvalid: 0, txblocked: 0, txdoublefree: 0 });
        // Without offload the driver merges and checks what comes in, and cuts and sums what goes out.
        expect(report.superOut).toBeGreaterThan(0);
        expect(report.verified).toBeGreaterThan(0);
        if (offload) expect(report.superIn).toBeGreaterThan(0);
        expect(Number(counters.txcut) > 0).toBe(!offload);
      });
    }

    it('carries 9000 bytes at that MTU', async () => {
      const tap = await serve({ mtu: 9000 });
      await ns.must(['ping', '-c', '1', '-s', '8972', '-M', 'do', '-W', '2', '10.9.0.2']);
      await tap.stop();
    });

    for (const offload of [true, false]) {
      it(`loses and delays nothing behind a conversation of lone frames, offload ${offload ? 'on' : 'off'}`, async () => {
        const tap = await serve({ offload });
        // After sixteen lone frames in a row the driver leaves out the read that would find nothing: then two come at once, or many, long
        // ones too, and nothing after them that could wake it. What is not answered shows as silence.
        const script = `
          const s = require('dgram').createSocket('udp4');
          const rounds = [[2, 20], [3, 20], [17, 20], [64, 20], [200, 20], [2, 1472], [40, 1472]];
          const BEFORE = 70;
          const send = (n, size) => { const b = Buffer.alloc(size); b.writeUInt32BE(n); s.send(b, 7, '10.9.0.2'); };
          let round = 0, lone = 0, next = 0, burst = 0, slowest = 0n, at = 0n;
          const seen = [];
          const go = () => {
            at = process.hrtime.bigint();
            if (lone++ < BEFORE) { burst = 0; send(next, 20); return; }
            const [n, size] = rounds[round++];
            burst = n - 1;
            for (let i = 0; i < n; i++) send(next + i, size);
          };
          s.on('message', (m) => {
            const took = process.hrtime.bigint() - at;
            if (took > slowest) slowest = took;
            seen.push(m.readUInt32BE());
            if (m.readUInt32BE() !== next++) { console.log('out of order', seen.slice(-3), next); process.exit(1); }
            if (burst-- > 0) return;
            if (lone > BEFORE) lone = 0;
            if (lone === 0 && round === rounds.length) { console.log(next, slowest < 1000000000n); s.close(); return; }
            go();
          });
          s.bind(0, () => { s.setRecvBufferSize(1 << 20); go(); });
          setTimeout(() => { console.log('silence in round', round, 'after', next); process.exit(1); }, 10000).unref();
        `;
        const total = 7 * 70 + 2 + 3 + 17 + 64 + 200 + 2 + 40;
        expect(await node(script)).toBe(`${total} true\n`);
        const { report, counters } = await tap.stop();
        expect(report).toMatchObject({ udp: total, badsum: 0, noslot: 0, dropped: {} });
        expect(counters).toMatchObject({ rxrunt: 0, rxerror: 0, txrefused: 0, txblocked: 0 });
      });
    }

    it('runs on with busy polling', async () => {
      const tap = await serve({ spinUs: 100 });
      tap.child.kill('SIGUSR2');
      expect(await tap.line('spin')).toEqual({ spin: null });
      expect(await ns.must(['ping', '-c', '20', '-i', '0.01', '-W', '2', '10.9.0.2'])).toContain('20 received');
      expect((await tap.stop()).status).toBe(0);
    });
  });

  describe('the host side', () => {
    it('gets its addresses, MTU and queue, and is gone at the end', async () => {
      const tap = await serve({ mtu: 1400, peers: ['10.9.0.1/24', '2001:db8::1/64'], txqueuelen: 777 });
      const shown = await ns.must(['ip', 'address', 'show', 'dev', 'tap0']);
      for (const part of ['10.9.0.1/24', '2001:db8::1/64', 'mtu 1400', 'qlen 777', ',UP,']) expect(shown).toContain(part);
      expect(shown).not.toMatch(/2001:db8::1\/64.*tentative/);
      await tap.stop();
      expect((await ns.exec(['ip', 'link', 'show', 'dev', 'tap0'])).status).not.toBe(0);
    });

    it('keeps a device that was there before, without the address that was added', async () => {
      await ns.must(['ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap']);
      await ns.must(['ip', 'address', 'add', '10.8.0.1/24', 'dev', 'tap0']);
      const tap = await serve({ peers: ['10.9.0.1/24', '10.8.0.1/24'] });
      await ns.must(['ping', '-c', '1', '-W', '2', '10.9.0.2']);
      await tap.stop();
      const shown = await ns.must(['ip', 'address', 'show', 'dev', 'tap0']);
      expect(shown).toContain('10.8.0.1/24');
      expect(shown).not.toContain('10.9.0.1/24');
    });

    it('leaves nothing behind when an address is refused', async () => {
      const [said] = await once('open', { name: 'tap0', peers: ['10.9.0.1/24', 'nonsense'] });
      expect(said!.error).toMatch(/^ip address add nonsense dev tap0: .*nonsense/);
      expect((await ns.exec(['ip', 'link', 'show', 'dev', 'tap0'])).status).not.toBe(0);
    });

    it('counts what the host refuses while its side is down', async () => {
      const tap = await serve({});
      await ns.must(['ping', '-c', '1', '-W', '2', '10.9.0.2']);
      await ns.must(['ip', 'link', 'set', 'dev', 'tap0', 'down']);
      tap.child.kill('SIGUSR1');
      expect(await tap.line('sent')).toEqual({ sent: null });
      await ns.must(['ip', 'link', 'set', 'dev', 'tap0', 'up']);
      await ns.must(['ping', '-c', '1', '-W', '2', '10.9.0.2']);
      const { report, counters, status } = await tap.stop();
      expect(report.dropped).toEqual({ oerrors: 1 });
      expect([counters.txrefused, status]).toEqual([1, 0]);
    });
  });

  describe('errors', () => {
    const error = async (options: object, before: readonly string[] = []): Promise<unknown> =>
      (await once('open', { name: 'tap0', ...options }, before))[0]!.error;

    it('says that the name is taken', async () => {
      const tap = await serve({});
      expect(await error({})).toBe("TAP device 'tap0' is in use by another process");
      await tap.stop();
      expect(await error({})).toBeUndefined();
    });

    it('says that the interface is no TAP', async () => {
      expect(await error({ name: 'lo' })).toBe("'lo' exists and is not a TAP device with one queue");
    });

    it('says that a name cannot be one', async () => {
      expect(await error({ name: 'a'.repeat(16) })).toBe(`interface name '${'a'.repeat(16)}' is too long: 16 bytes, 15 at most`);
      expect(await error({ name: 'a b' })).toBe("'a b' is not a name for an interface");
      expect(await error({ mtu: 65522 })).toBe('MTU 65522 is out of range: 68 to 65521');
    });

    it('says that the privilege is missing', async () => {
      const unprivileged = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', '--'];
      expect(await error({}, unprivileged)).toBe("no permission to create or join 'tap0': run as root, or with CAP_NET_ADMIN");
    });

    it('says that there is no device node', async () => {
      const hidden = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
      expect(await error({}, hidden)).toMatch(/^there is no \/dev\/net\/tun: load the module/);
    });

    it('says that a descriptor is none, or no TAP', async () => {
      expect(await error({ fd: 99 })).toBe('descriptor 99 is not open');
      expect(await error({ fd: 0 })).toMatch(/^descriptor 0 is not a TAP device that can be used/);
    });
  });

  it('notices that the device was deleted under it, once', async () => {
    const tap = await serve({});
    await ns.must(['ip', 'link', 'delete', 'dev', 'tap0']);
    expect(await tap.ended).toBe(0);
    expect(tap.lines.filter((line) => 'gone' in line)).toHaveLength(1);
  });

  it('serves on a descriptor that somebody else opened', async () => {
    for (const offload of [true, false]) {
      const tap = await serve({ name: `tap${Number(offload)}`, offload }, 'passfd');
      expect((Number((await tap.line('ready')).capabilities) & IFCAP_RXCSUM) !== 0).toBe(offload);
      await ns.must(['ping', '-c', '1', '-W', '2', '10.9.0.2']);
      expect(await udpEcho([100])).toBe('1\n');
      expect((await tap.stop()).status).toBe(0);
    }
  });

  it('lets the process exit, and leaves no device', async () => {
    const tap = await serve({}, 'exit');
    expect(await tap.ended).toBe(7);
    expect((await ns.exec(['ip', 'link', 'show', 'dev', 'tap0'])).status).not.toBe(0);
  });

  it('hands an exception of the upper side to the process', async () => {
    const tap = await serve({}, 'throw');
    await ns.exec(['ping', '-c', '1', '-W', '1', '10.9.0.2']);
    expect(await tap.ended).toBe(1);
    expect(tap.stderr).toContain('thrown in input');
  });

  it('lets a worker thread end, in whichever way', async () => {
    const said = await once('worker', { name: 'tap0' });
    const busy = "TAP device 'tap0' is in use by another process";
    expect(said).toEqual(
      ['terminate', 'exit', 'return'].flatMap((how) => [
        { how, busy },
        { how, again: 'free' },
      ]),
    );
  });

  it('refuses every misuse of the addon, and works on', async () => {
    const said = await once('misuse', { name: 'tap0' });
    expect(said.filter((line) => 'what' in line && line.refused !== 'TypeError')).toEqual([]);
    const { bad, invalid, refusedByHost } = said.find((line) => 'bad' in line)!;
    expect([invalid, refusedByHost]).toEqual([bad, 0]);
    expect(said).toContainEqual({ kept: 1 << 17 });
    // An answer of more frames than the table holds is refused whole, and said so; each such call brings one of no frames, which answers nothing.
    const { overlong } = said.find((line) => 'overlong' in line)!;
    expect(overlong as number).toBeGreaterThan(0);
    expect((overlong as number) % 5).toBe(0);
    expect(said).toContainEqual({ closed: true });
  });

  describe('tuntap2', () => {
    it('answers through the stand-in for the package', async () => {
      const tap = await serve({ driver: 'tuntap2' });
      expect(await ns.must(['ip', 'address', 'show', 'dev', 'tap0'])).toContain('10.9.0.1/24');
      await ns.must(['ping', '-c', '3', '-i', '0.1', '-W', '2', '10.9.0.2']);
      expect(await udpEcho([0, 1, 1472])).toBe('3\n');
      await bulkOut(100_000);
      expect(await bulkIn()).toContain(String(BULK.length));
      const { report, status } = await tap.stop();
      expect([report.taken, report.badsum, status]).toEqual([0, 0, 0]);
      expect((await ns.exec(['ip', 'link', 'show', 'dev', 'tap0'])).status).not.toBe(0);
    });

    it('has the documented properties', async () => {
      const script = `
        const { Tap } = await import(${JSON.stringify(join(ROOT, 'test/support/tuntap2/tap.ts'))});
        const tap = new Tap();
        tap.mtu = 1300; tap.mac = '02:11:22:33:44:55'; tap.ipv4 = '10.7.0.1/24'; tap.ipv6 = '2001:db8:7::1/64'; tap.isUp = true;
        console.log(JSON.stringify([tap.name, tap.isTap, tap.isTun, tap.mtu, tap.mac, tap.ipv4, tap.isUp]));
        tap.on('close', () => console.log('"closed"'));
        tap.release();
      `;
      const out = await ns.must([...CHILD.slice(0, 4), '--input-type=module', '-e', script]);
      expect(out).toBe('["tap0",true,false,1300,"02:11:22:33:44:55","10.7.0.1/24",true]\n"closed"\n');
    });

    it('says that it takes no descriptor', async () => {
      const [said] = await once('open', { driver: 'tuntap2', fd: 3 });
      expect(said!.error).toBe('the driver tuntap2 cannot take over a descriptor: use --driver=tap');
    });

    it('notices that the device was deleted under it', async () => {
      const tap = await serve({ driver: 'tuntap2' });
      await ns.must(['ip', 'link', 'delete', 'dev', 'tap0']);
      expect(await tap.ended).toBe(0);
      expect(tap.lines.filter((line) => 'gone' in line)).toHaveLength(1);
    });
  });
});
