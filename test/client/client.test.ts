/** The client library against a kernel on a wire, on each stack: what the operator's commands are made of. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CapturedFrame, type Client, ControlError, connect } from 'netmod/client';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';
import { netmodModule as tiny } from '../conformance/tinystack/tiny.ts';
import { Net, bytes, eventually, text } from './support.ts';

const INFO_NAMES = [
  ...[
    'state',
    'snd_cwnd',
    'snd_ssthresh',
    'rtt',
    'rttvar',
    'rto',
    'snd_mss',
    'rcv_mss',
    'snd_wnd',
    'rcv_wnd',
    'snd_una',
    'snd_nxt',
  ],
  ...['rcv_nxt', 'retransmits', 'unacked', 'sacked', 'lost', 'options', 'ca_state', 'bytes_acked', 'bytes_received'],
];

/** Why a case is left out on the small stack of the conformance suite. */
const skipReason = (name: string, what: string): string => (name === 'tiny' ? ` (skipped: the small stack ${what})` : '');

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing',
    (error: unknown) => (error instanceof ControlError ? error.code : String(error)),
  );
}

async function collect<T>(items: AsyncIterable<T>, n = Infinity): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) if (all.push(item) >= n) break;
  return all;
}

/** Streams that a client has started are running: its requests are served in their order, but not before those of another client. */
const begun = (client: Client): Promise<unknown> => client.uuidgen();

describe.each([
  ['inet', inet],
  ['alt', alt],
  ['tiny', tiny],
] as const)('the client library on %s', (name, module) => {
  let net: Net;
  let near: Client;
  let far: Client;

  beforeEach(async () => {
    net = await Net.open(module);
    near = await net.client(0);
    far = await net.client(1);
  });
  afterEach(() => net.close());

  /** A connection to the echo service that has carried `hello`. */
  async function connected(): Promise<number> {
    const fd = await near.socket('inet', 'stream');
    await near.connect(fd, { addr: '10.0.0.2', port: 7 });
    await near.send(fd, bytes('hello'));
    expect(text(await near.recv(fd, 100))).toBe('hello');
    return fd;
  }

  it('greets with the stack, and carries a connection', async () => {
    expect(near.greeting).toMatchObject({ netmod: 1, stack: name });
    const fd = await connected();
    await near.shutdown(fd, 'wr');
    expect(await near.recv(fd, 100)).toHaveLength(0);
    expect(await near.closefd(fd)).toBeNull();
    expect(await codeOf(near.recv(fd, 1))).toBe('EBADF');
  });

  it('sends data of any length, in order, whatever one call takes', async () => {
    const fd = await connected();
    const { data: most } = near.greeting.limits;
    const first = new Uint8Array(2 * most + 1000).fill(1);
    const second = bytes('and this behind it');
    const sent = Promise.all([near.send(fd, first), near.send(fd, second)]);
    let got = Buffer.alloc(0);
    while (got.length < first.length + second.length) got = Buffer.concat([got, await near.recv(fd, 65536)]);
    expect(await sent).toEqual([first.length, second.length]);
    expect(got.subarray(0, first.length).every((byte) => byte === 1)).toBe(true);
    expect(text(got.subarray(first.length))).toBe('and this behind it');
    const raw = Buffer.alloc(most + 1).toString('base64');
    expect(await codeOf(near.call('send', fd, raw))).toBe('EMSGSIZE');
    expect(await codeOf(near.poll(Array.from({ length: near.greeting.limits.poll + 1 }, () => ({ fd, events: ['in'] }))))).toBe(
      'EINVAL',
    );
  });

  it('captures what an expression says', async () => {
    // The handshake and `hello` are shorter on every stack, whatever options it sends; the echo comes from port 7.
    const capture = near.capture({ expr: { and: [{ port: 7, way: 'dst' }, { not: { less: 140 } }] }, count: 1 }).start();
    const fd = await connected();
    await near.send(fd, new Uint8Array(200));
    const [frame] = await collect(capture);
    expect(frame).toMatchObject({ dir: 'out' });
    expect(frame?.len).toBeGreaterThan(200);
    await near.closefd(fd);
  });

  it.skipIf(name === 'tiny')(
    `options refuse what does not fit into them${skipReason(name, 'has no options of TCP')}`,
    async () => {
      const fd = await connected();
      for (const value of [1e18, 0.5, 'x', 2 ** 31])
        expect(await codeOf(near.setsockopt(fd, 'IPPROTO_TCP', 'TCP_NODELAY', value))).toBe('EINVAL');
      await near.setsockopt(fd, 'IPPROTO_TCP', 'TCP_NODELAY', true);
      expect(await near.getsockopt(fd, 'IPPROTO_TCP', 'TCP_NODELAY')).toBeTruthy();
    },
  );

  it('lists connections with their owners, addresses and queues, and listeners with theirs', async () => {
    const fd = await connected();
    const mine = (await near.table('net.inet.tcp.pcblist')).find((row) => row.fport === 7);
    expect(mine).toMatchObject({
      state: 'ESTABLISHED',
      laddr: '10.0.0.1',
      faddr: '10.0.0.2',
      fd,
      family: 'inet',
      type: 'stream',
    });
    expect(mine?.owner).toMatch(/^ctl\d/);
    const rows = await far.table('net.inet.tcp.pcblist');
    const listener = rows.find((row) => row.state === 'LISTEN' && row.lport === 7);
    expect(listener).toMatchObject({ laddr: '0.0.0.0', faddr: null, fport: 0, qlen: 0, info: null });
    expect(listener?.owner).toMatch(/^echo/);
    expect(listener?.qlimit).toBeGreaterThan(0);
    expect(rows.find((row) => row.fport === mine?.lport)).toMatchObject({ state: 'ESTABLISHED', faddr: '10.0.0.1' });
    expect((await far.table('net.inet.udp.pcblist')).map((row) => row.lport)).toContain(7);
    expect(await near.table('kern.file')).toMatchObject([{ fd, type: 'stream', peer: '10.0.0.2:7' }]);
  });

  it.skipIf(name === 'tiny')(
    `TCP_INFO has all names, and counts what was sent${skipReason(name, 'has no TCP_INFO')}`,
    async () => {
      const fd = await connected();
      const info = (await near.getsockopt(fd, 'IPPROTO_TCP', 'TCP_INFO')) as Record<string, unknown>;
      expect(Object.keys(info)).toEqual(expect.arrayContaining(INFO_NAMES));
      expect(info).toMatchObject({
        state: 'ESTABLISHED',
        bytes_acked: 5,
        bytes_received: 5,
        unacked: 0,
        snd_mss: 1448,
        ca_state: 'open',
      });
      expect(info.options).toEqual(['ts', 'sack', 'wscale']);
      const [row] = (await near.table('net.inet.tcp.pcblist')).filter((pcb) => pcb.fport === 7);
      expect(Object.keys(row?.info ?? {})).toEqual(expect.arrayContaining(INFO_NAMES));
      expect(row?.info?.snd_nxt).toBe(info.snd_nxt);
    },
  );

  it.skipIf(name === 'tiny')(
    `lists a connection that ended from here in TIME_WAIT, which has no socket${skipReason(name, 'lists only sockets')}`,
    async () => {
      const fd = await connected();
      await near.closefd(fd);
      await eventually(async () => (await near.table('net.inet.tcp.pcblist')).some((row) => row.state === 'TIME_WAIT'));
      const row = (await near.table('net.inet.tcp.pcblist')).find((pcb) => pcb.state === 'TIME_WAIT');
      expect(row).toMatchObject({ owner: '', fd: null, faddr: '10.0.0.2', fport: 7, info: null });
    },
  );

  it('shows interfaces, routes and neighbours as tables', async () => {
    await connected();
    const [ifp] = await near.table('net.iflist');
    expect(ifp).toMatchObject({ name: 'pair0', mtu: 1500, lladdr: '02:00:00:00:00:01', linkState: 'up', status: 'active' });
    expect(ifp?.flagNames).toEqual(expect.arrayContaining(['UP', 'BROADCAST', 'RUNNING', 'SIMPLEX', 'MULTICAST']));
    expect(ifp?.counters.ipackets).toBeGreaterThan(0);
    if (name === 'tiny') return;
    expect(ifp?.addrs).toMatchObject([{ addr: '10.0.0.1', prefixLen: 24, broadcast: '10.0.0.255' }]);
    expect(await near.table('net.routes')).toMatchObject([
      { dst: '10.0.0.0', prefixLen: 24, gateway: null, name: 'pair0', fib: 0 },
    ]);
    expect(await near.table('net.neighbours')).toMatchObject([
      { addr: '10.0.0.2', lladdr: '02:00:00:00:00:02', state: 'reachable' },
    ]);
  });

  it('captures both directions with times, and only what the filter wants', async () => {
    const frames = near.capture({ host: '10.0.0.2', port: 7, proto: 'tcp' }).start();
    const other = near.capture({ port: 8 }).start();
    await connected();
    const seen: CapturedFrame[] = await collect(frames, 5);
    expect(seen[0]).toMatchObject({ if: 'pair0', dir: 'out', link: 'ethernet', drop: null });
    expect(new Set(seen.map((frame) => frame.dir))).toEqual(new Set(['in', 'out']));
    expect(seen.every((frame) => frame.data[12] === 8 && frame.data[23] === 6)).toBe(true);
    expect(Math.abs((seen[0]?.ts ?? 0) - Date.now() / 1000)).toBeLessThan(60);
    other.cancel();
    expect(await collect(other)).toEqual([]);
    expect(other.result).toMatchObject({ captured: 0, reason: 'cancelled' });
    // Who has left pays for nothing any more.
    await eventually(() => net.kernel(0).ifnets.byName('pair0')?.bpf === null);
  });

  it('ends a capture after its count, and writes pcapng that a reader can split', async () => {
    const blocks = near.capturePcapng({ count: 3, snaplen: 60 }).start();
    await connected();
    const all = await collect(blocks);
    const file = Buffer.concat(all);
    expect(file.readUInt32LE(0)).toBe(0x0a0d0d0a);
    const types: number[] = [];
    for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) types.push(file.readUInt32LE(at));
    expect(types).toEqual([0x0a0d0d0a, 1, 6, 6, 6]);
    expect(blocks.result).toEqual({ captured: 3, lost: 0, reason: 'count' });
  });

  it('names the reason of a drop, and streams only drops when asked', async () => {
    await connected();
    const drops = far.capture({ drops: true, direction: 'in' }).start();
    const events = far.events({ names: ['drop'] }).start();
    await begun(far);
    const udp = await near.socket('inet', 'dgram');
    await near.sendto(udp, bytes('nobody'), { addr: '10.0.0.2', port: 4242 });
    const [frame] = await collect(drops, 1);
    expect(frame?.drop).toBe(name === 'tiny' ? 'tiny.udpnoport' : 'udp.noport');
    const [event] = await collect(events, 1);
    expect(event).toMatchObject({ event: 'drop', if: 'pair0', dir: 'in', reason: frame?.drop });
  });

  it('tells of connections as they come', async () => {
    const events = far.events({ names: ['accept', 'connect'] }).start();
    const mine = near.events({ names: ['connect'] }).start();
    await begun(far);
    await connected();
    expect((await collect(events, 1))[0]).toMatchObject({ event: 'accept', local: { addr: '10.0.0.2', port: 7 } });
    expect((await collect(mine, 1))[0]).toMatchObject({ event: 'connect', error: null, remote: { addr: '10.0.0.2', port: 7 } });
  });

  it.skipIf(name === 'tiny')(`tells of each transition${skipReason(name, 'reports no states')}`, async () => {
    const events = far.events({ names: ['state'] }).start();
    await begun(far);
    const fd = await connected();
    await near.closefd(fd);
    const seen: string[] = [];
    for await (const { from, to } of events) if (seen.push(`${from} -> ${to}`) > 0 && to === 'CLOSED') break;
    expect(seen).toContain('ESTABLISHED -> CLOSE_WAIT');
    expect(seen.at(-1)).toBe('LAST_ACK -> CLOSED');
  });

  it('reset: as just booted, and services go on', async () => {
    const fd = await connected();
    const pending = near.recv(fd, 10);
    await far.sysctlWrite('kern.ipc.soacceptqueue', 77);
    const answer = await near.reset();
    expect(answer.sockets).toBe(1);
    expect(await codeOf(pending)).toBe('EBADF');
    expect(await near.table('kern.file')).toEqual([]);
    expect((await far.reset()).sysctls).toBe(1);
    expect(await far.sysctl('kern.ipc.soacceptqueue')).toBe(1024);
    const rows = await far.table('net.inet.tcp.pcblist');
    expect(rows.map((row) => row.state)).toEqual(['LISTEN', 'LISTEN']);
    if (name !== 'tiny') expect(await far.table('net.neighbours')).toEqual([]);
    const frames = (await far.counters('if.pair0')).find((row) => row.name === 'ipackets');
    expect(frames?.value).toBeLessThan(3);
    await connected();
  });

  it('makes and destroys interfaces by name', async () => {
    expect(await near.ioctl('SIOCIFGCLONERS', {})).toEqual({ cloners: ['epair', 'lo'] });
    expect(await near.ioctl('SIOCIFCREATE', { name: 'epair' })).toEqual({ name: 'epair0a' });
    expect(await near.ioctl('SIOCIFCREATE', { name: 'lo3' })).toEqual({ name: 'lo3' });
    const names = async (): Promise<string[]> => (await near.table('net.iflist')).map((row) => row.name);
    expect(await names()).toEqual(['pair0', 'epair0a', 'epair0b', 'lo3']);
    expect(await codeOf(near.ioctl('SIOCIFCREATE', { name: 'lo3' }))).toBe('EEXIST');
    expect(await codeOf(near.ioctl('SIOCIFCREATE', { name: 'bge0' }))).toBe('EINVAL');
    expect(await codeOf(near.ioctl('SIOCIFDESTROY', { name: 'pair0' }))).toBe('EINVAL');
    expect(await codeOf(near.ioctl('SIOCIFDESTROY', { name: 'nope0' }))).toBe('ENXIO');
    await near.ioctl('SIOCIFDESTROY', { name: 'epair0b' });
    expect(await names()).toEqual(['pair0', 'lo3']);
  });

  it('refuses to unload the stack, and says who has it', async () => {
    await connected();
    const error = await far.kldunload(`netstack_${name}`).catch((err: unknown) => err as ControlError);
    expect(error).toMatchObject({ code: 'EBUSY' });
    expect((error as ControlError).message).toMatch(/sockets \(.*echo.*\), interface pair0$/);
    const row = (await far.kldstat()).find((stat) => stat.name === `netstack_${name}`);
    expect(await codeOf(far.kldunload(row?.id ?? 0))).toBe('EBUSY');
    expect(await codeOf(far.kldload('nothing'))).toBe('ENOENT');
  });
});

describe('the client library without a stack', () => {
  let net: Net;
  let client: Client;
  beforeEach(async () => {
    net = await Net.open(null);
    client = await net.client(0);
  });
  afterEach(() => net.close());

  it('interfaces, local sockets, kenv and uuids are there all the same', async () => {
    expect(client.greeting.stack).toBe('none');
    expect(await client.ioctl('SIOCSIFMTU', { name: 'pair0', mtu: 1400 })).toMatchObject({ mtu: 1400 });
    expect(await client.ioctl('SIOCGIFMTU', { name: 'pair0' })).toEqual({ name: 'pair0', mtu: 1400 });
    expect(await codeOf(client.ioctl('SIOCGIFCONF', {}))).toBe('EOPNOTSUPP');
    expect(await codeOf(client.socket('inet', 'stream'))).toBe('EAFNOSUPPORT');
    expect(await codeOf(client.setfib(1))).toBe('ENOSYS');
    expect(await client.table('net.inet.tcp.pcblist')).toEqual([]);
    expect(await client.table('net.routes')).toEqual([]);
    const fd = await client.socket('local', 'stream');
    await client.bind(fd, { path: 'here' });
    await client.listen(fd, 5);
    const rows = await client.table('net.local.pcblist');
    expect(rows).toContainEqual(expect.objectContaining({ path: 'here', state: 'LISTEN', qlimit: 5, fd }));
    await client.kenvSet('a.b', 'c');
    expect(await client.kenvGet('a.b')).toBe('c');
    expect(await client.kenvDump()).toContainEqual(['a.b', 'c']);
    await client.kenvUnset('a.b');
    expect(await codeOf(client.kenvGet('a.b'))).toBe('ENOENT');
    expect(await client.uuidgen(2)).toHaveLength(2);
  });

  it('sysctls say their type, tables come only when asked for', async () => {
    const plain = await client.sysctlWalk('kern');
    expect(plain.find((row) => row.name === 'kern.ostype')).toMatchObject({ type: 'string', flags: 'rd', value: 'netmod' });
    expect(plain.some((row) => row.type === 'table')).toBe(false);
    const all = await client.sysctlWalk('kern', { tables: true });
    expect(all.find((row) => row.name === 'kern.proc')).toMatchObject({ type: 'table', value: [{ name: 'ctl0' }] });
    expect(await codeOf(client.sysctlWrite('kern.proc', 1))).toBe('EPERM');
    expect(await codeOf(client.sysctl('kern.nope'))).toBe('ENOENT');
  });

  it('counters have a type, and the common ones a sentence', async () => {
    const rows = await client.counters();
    expect(rows.find((row) => row.group === 'bufpool' && row.name === 'used')).toMatchObject({
      type: 'gauge',
      help: 'bytes in use',
    });
    expect(rows.find((row) => row.group === 'if.pair0' && row.name === 'noproto')).toMatchObject({ type: 'counter', drop: true });
    expect(rows.filter((row) => row.help === '')).toEqual([]);
  });

  it('keeps the last frames in a ring of a fixed size', async () => {
    await client.sysctlWrite('kern.capture.ring_mb', 1);
    const ifp = net.kernel(1).ifnets.byName('pair0');
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 50; i++) {
        const pkt = ifp?.txAlloc();
        if (!pkt) break;
        const at = pkt.append(1000);
        pkt.bytes.fill(0, at, at + 1000);
        pkt.bytes[at] = round;
        ifp?.transmit(pkt);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(async () => Number(await client.sysctl('kern.capture.ring_frames')) > 900);
    expect(await client.sysctl('kern.capture.ring_bytes')).toBeLessThanOrEqual(1024 * 1024);
    const ring = client.captureRing();
    const file = Buffer.concat(await collect(ring));
    const frames: Buffer[] = [];
    for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
      if (file.readUInt32LE(at) === 6) frames.push(file.subarray(at, at + file.readUInt32LE(at + 4)));
    }
    expect(ring.result).toMatchObject({ captured: frames.length, reason: 'all' });
    // The newest is there, the oldest has gone, and each says why nobody took it.
    expect(frames.at(-1)?.[28]).toBe(39);
    expect(frames[0]?.[28]).toBeGreaterThan(0);
    expect(frames[0]?.includes('if.pair0.noproto')).toBe(true);
    await client.sysctlWrite('kern.capture.ring_mb', 0);
    expect(net.kernel(0).ifnets.byName('pair0')?.bpf).toBeNull();
  });

  it('refuses a filter that makes no sense, in words', async () => {
    const message = async (filter: object): Promise<string> =>
      collect(client.capture(filter)).then(String, (error: unknown) => (error as Error).message);
    expect(await message({ hots: '1.2.3.4' })).toMatch(/no "hots"; there are interface host/);
    expect(await message({ proto: 'sctp' })).toMatch(/proto is one of arp ip/);
    expect(await message({ host: 'example.org' })).toMatch(/numeric address/);
    expect(await message({ interface: 'em0' })).toMatch(/ENXIO/);
    expect(await codeOf(client.call('cancel', 99))).toBe('ENOENT');
  });

  it('says what is in the way of a connection, and that it has ended', async () => {
    expect(await codeOf(connect('/nonexistent/x.sock'))).toBe('ENOENT');
    const events = client.events().start();
    await client.uuidgen();
    const ended = collect(events).then(
      () => events.result,
      (error: unknown) => error,
    );
    for (const { control } of net.sites) await control.close();
    expect(await ended).toMatchObject({ reason: 'shutdown' });
    await client.closed;
    expect(await codeOf(client.uuidgen())).toBe('ECONNRESET');
  });
});
