/** What the kernel shows its operator: tables, levels below a name, the way back to the start, counters with a meaning, taps. */
import { describe, expect, it } from 'vitest';
import { Counters } from '../../src/kern/counters.ts';
import type { BpfFrame, BpfOptions } from '../../src/kern/ifnet/bpf.ts';
import { DropWatch } from '../../src/kern/ifnet/dropwatch.ts';
import { LogLevels } from '../../src/kern/logspec.ts';
import { Proc } from '../../src/kern/proc/proc.ts';
import { AF_LOCAL, SOCK_STREAM } from '../../src/kern/socket/protosw.ts';
import type { SysctlLeaf } from '../../src/kern/sysctl.ts';
import { TestLink, TestStack, bootedKernel, mod, newKernel, ok, stackModule } from './support.ts';

const int = (name: string, box: { value: number }, max = 1000): SysctlLeaf => ({
  name,
  descr: '',
  flags: 'rw',
  type: 'int',
  max,
  get: () => box.value,
  set: (value) => void (box.value = value),
});

describe('tables of the sysctl tree', () => {
  it('are made when asked for, cannot be written, and stay out of a walk', () => {
    const { kernel } = bootedKernel();
    let made = 0;
    kernel.sysctl.add({ name: 'x.list', descr: 'rows', flags: 'rd', type: 'table', get: () => [{ n: ++made }] });
    expect(kernel.sysctl.table('x.list')).toEqual([{ n: 1 }]);
    expect(kernel.sysctl.table('x.list')).toEqual([{ n: 2 }]);
    expect(kernel.sysctl.read('x.list')).toBe('EINVAL');
    expect(kernel.sysctl.write('x.list', 1)).toBe('EPERM');
    expect(kernel.sysctl.table('kern.ostype')).toBe('EINVAL');
    expect(kernel.sysctl.table('x.nope')).toBe('ENOENT');
    expect(kernel.sysctl.walk('x')).toEqual([]);
    expect(kernel.sysctl.leaves('x').map((leaf) => leaf.name)).toEqual(['x.list']);
    expect(made).toBe(2);
  });

  it('a leaf that is a node may have leaves below it, whichever comes first', () => {
    const { kernel } = bootedKernel();
    const node = (name: string): SysctlLeaf => ({ name, node: true, descr: '', flags: 'rd', type: 'string', get: () => name });
    expect(kernel.sysctl.add(node('l.log'))).toBeTypeOf('function');
    expect(kernel.sysctl.add(node('l.log.tcp'))).toBeTypeOf('function');
    expect(kernel.sysctl.add(node('m.log.tcp'))).toBeTypeOf('function');
    expect(kernel.sysctl.add(node('m.log'))).toBeTypeOf('function');
    expect(kernel.sysctl.add(node('m.log'))).toBe('EEXIST');
    expect(kernel.sysctl.add(int('m', { value: 1 }))).toBe('EINVAL');
    expect(kernel.sysctl.add(int('kern.ostype.x', { value: 1 }))).toBe('ENOTDIR');
    expect(kernel.sysctl.walk('l').map((row) => row.name)).toEqual(['l.log', 'l.log.tcp']);
    expect(kernel.sysctl.read('m.log')).toMatchObject({ value: 'm.log' });
  });

  it('goes back to what was marked, what came later to what it was when it came', () => {
    const { kernel } = bootedKernel();
    const a = { value: 1 };
    const b = { value: 2 };
    kernel.sysctl.add(int('r.a', a));
    kernel.sysctl.mark();
    const undo = kernel.sysctl.add(int('r.b', b));
    a.value = 10;
    b.value = 20;
    expect(kernel.sysctl.restore()).toBe(2);
    expect([a.value, b.value]).toEqual([1, 2]);
    expect(kernel.sysctl.restore()).toBe(0);
    if (typeof undo === 'function') undo();
    b.value = 30;
    expect(kernel.sysctl.restore()).toBe(0);
  });
});

describe('counters with a meaning', () => {
  it('take it from their source, else from their common name', () => {
    const counters = new Counters();
    counters.add('ip', { badsum: 1, total: 5, mine: 2 });
    counters.add('own', { lost: 3, level: 7 }, { drops: ['lost'], gauges: ['level'], help: { lost: 'what was lost' } });
    const rows = counters.describe();
    expect(rows.find((row) => row.name === 'badsum')).toMatchObject({ value: 1, drop: true, help: 'header checksum is wrong' });
    expect(rows.find((row) => row.name === 'total')).toMatchObject({ drop: false, type: 'counter' });
    expect(rows.find((row) => row.name === 'lost')).toMatchObject({ drop: true, help: 'what was lost' });
    expect(rows.find((row) => row.name === 'level')).toMatchObject({ type: 'gauge', drop: false });
    expect(rows.find((row) => row.name === 'mine')).toMatchObject({ help: '' });
    expect(counters.describe('own')).toHaveLength(2);
  });

  it('go back to 0, and gauges stay', () => {
    const counters = new Counters();
    const source = { lost: 3, level: 7 };
    counters.add('own', source, { gauges: ['level'] });
    counters.add('made', () => ({ n: 4 }));
    expect(counters.reset()).toBe(1);
    expect(counters.snapshot()).toEqual({ made: { n: 4 }, own: { lost: 0, level: 7 } });
  });

  it('tell which drops moved, of sources that come and go too', () => {
    const counters = new Counters();
    const ip = { badsum: 0, total: 0, odropped: 0 };
    counters.add('ip', ip);
    const watch = new DropWatch(counters);
    watch.begin();
    ip.total++;
    ip.odropped++;
    expect(watch.moved()).toBeNull();
    ip.badsum++;
    expect(watch.moved()).toBe('ip.badsum');
    const udp = { noport: 0 };
    const undo = counters.add('udp', udp);
    watch.begin();
    udp.noport++;
    ip.badsum++;
    expect(watch.moved()).toBe('ip.badsum,udp.noport');
    undo();
    watch.begin();
    udp.noport++;
    expect(watch.moved()).toBeNull();
  });
});

describe('taps', () => {
  const frame = (first: number, length = 60): Uint8Array => new Uint8Array(length).fill(first);
  const listen = (seen: string[], more: Partial<BpfOptions> = {}): BpfOptions => ({
    owner: 'test',
    interface: null,
    direction: 'inout',
    snaplen: 16,
    deliver: ({ ifp, dir, len, caplen, bytes, drop }: BpfFrame) =>
      void seen.push(`${ifp.name()} ${dir} ${len}/${caplen} ${bytes[0]} ${drop ?? '-'}`),
    ...more,
  });

  it('are there only while somebody listens, and show both directions and why a frame was dropped', () => {
    const { world, kernel } = bootedKernel();
    const link = new TestLink();
    const ifp = ok(kernel.ifnets.attach('em', 0, link.link()));
    expect(ifp.bpf).toBeNull();
    const seen: string[] = [];
    const desc = ok(kernel.bpf.open(listen(seen)));
    link.deliver(frame(2));
    ifp.setUp(true);
    link.deliver(frame(4));
    const pkt = ifp.txAlloc()!;
    pkt.bytes.fill(6, pkt.append(40), pkt.end);
    ifp.transmit(pkt);
    world.run(1);
    link.transmitError = 'ENOBUFS';
    const refused = ifp.txAlloc()!;
    refused.bytes.fill(8, refused.append(40), refused.end);
    ifp.transmit(refused);
    expect(seen).toEqual([
      'em0 in 60/16 2 ENETDOWN',
      'em0 in 60/16 4 if.em0.noproto',
      'em0 out 40/16 6 -',
      'em0 out 40/16 8 ENOBUFS',
    ]);
    desc.close();
    expect(ifp.bpf).toBeNull();
    expect(kernel.bpf.list()).toEqual([]);
  });

  it('a frame that the stack takes has no reason', () => {
    const { kernel } = newKernel();
    expect(kernel.modules.preload(stackModule(new TestStack())) ?? kernel.boot()).toBeNull();
    const link = new TestLink();
    ok(kernel.ifnets.attach('em', 0, link.link())).setUp(true);
    const seen: string[] = [];
    ok(kernel.bpf.open(listen(seen, { direction: 'in', snaplen: 100 })));
    link.deliver(frame(2));
    expect(seen).toEqual(['em0 in 60/60 2 -']);
  });

  it('show an answer behind what it answers', () => {
    const { kernel } = newKernel();
    const stack = new TestStack();
    expect(kernel.modules.preload(stackModule(stack)) ?? kernel.boot()).toBeNull();
    const link = new TestLink();
    const ifp = ok(kernel.ifnets.attach('em', 0, link.link()));
    ifp.setUp(true);
    stack.frames.push = () => {
      const pkt = ifp.txAlloc()!;
      pkt.bytes.fill(9, pkt.append(30), pkt.end);
      ifp.transmit(pkt);
      return 0;
    };
    const seen: string[] = [];
    ok(kernel.bpf.open(listen(seen)));
    link.deliver(frame(2));
    link.deliver(frame(4));
    expect(seen).toEqual(['em0 in 60/16 2 -', 'em0 out 30/16 9 -', 'em0 in 60/16 4 -', 'em0 out 30/16 9 -']);
  });

  it('come with an interface that comes later, and say that the one they were on has gone', () => {
    const { kernel } = bootedKernel();
    expect(kernel.bpf.open(listen([], { interface: 'em0' }))).toBe('ENXIO');
    const seen: string[] = [];
    ok(kernel.bpf.open(listen(seen)));
    const link = new TestLink();
    const ifp = ok(kernel.ifnets.attach('em', 0, link.link()));
    let gone = 0;
    ok(kernel.bpf.open(listen([], { interface: 'em0', gone: () => gone++ })));
    ifp.setUp(true);
    link.deliver(frame(2));
    expect(seen).toHaveLength(1);
    kernel.ifnets.detach(ifp);
    expect(gone).toBe(1);
    expect(kernel.bpf.list()).toHaveLength(1);
  });

  it('a listener for drops alone has a tap made at the next batch', () => {
    const { kernel } = bootedKernel();
    const link = new TestLink();
    const ifp = ok(kernel.ifnets.attach('em', 0, link.link()));
    ifp.setUp(true);
    const reports: unknown[] = [];
    let listening = false;
    kernel.diag.drop.join({
      get hasSubscribers() {
        return listening;
      },
      publish: (report) => reports.push(report),
    });
    link.deliver(frame(2));
    expect(ifp.bpf).toBeNull();
    listening = true;
    link.deliver(frame(2));
    expect(reports).toEqual([{ if: 'em0', dir: 'in', len: 60, reason: 'if.em0.noproto' }]);
    listening = false;
    link.deliver(frame(2));
    expect(ifp.bpf).toBeNull();
    expect(reports).toHaveLength(1);
  });
});

describe('the operator’s system calls', () => {
  it('kldload finds a module by name; what fails has a sentence', async () => {
    const { kernel } = bootedKernel();
    const proc = new Proc(kernel, 'op');
    expect(await proc.call('kldload', 'a')).toMatchObject({ err: 'ENOENT' });
    kernel.modules.finder = (name) => Promise.resolve(name === 'a' ? mod('a') : { err: 'ENOENT', message: `no ${name}` });
    expect(await proc.call('kldload', 'b')).toEqual({ err: 'ENOENT', message: 'no b' });
    const stat = (await proc.call('kldload', 'a')) as { id: number };
    expect(stat).toMatchObject({ name: 'a', refs: 1 });
    expect(await proc.call('kldload', 'a')).toMatchObject({ err: 'EEXIST' });
    expect(proc.call('kldload', 7)).toBe('EINVAL');
    const undo = kernel.modules.hold('a', 'somebody');
    expect(await proc.call('kldunload', stat.id)).toMatchObject({ err: 'EBUSY', message: 'module a is in use by somebody' });
    if (typeof undo === 'function') undo();
    expect(await proc.call('kldunload', 'a')).toMatchObject({ err: 'EBUSY' });
    expect(proc.call('kldunload', 999)).toBe('ENOENT');
  });

  it('reset closes what processes have, whoever asks', () => {
    const { kernel } = bootedKernel();
    const one = new Proc(kernel, 'one');
    const two = new Proc(kernel, 'two');
    ok(one.socketpair(AF_LOCAL, SOCK_STREAM));
    ok(two.socket(AF_LOCAL, SOCK_STREAM));
    expect(kernel.domains.sockets.count).toBe(3);
    expect(two.call('reset')).toMatchObject({ sockets: 3 });
    expect(kernel.domains.sockets.count).toBe(0);
    expect(one.files.count()).toBe(0);
    expect(ok(one.socket(AF_LOCAL, SOCK_STREAM))).toBe(0);
    one.exit();
    expect([...kernel.procs]).toEqual([two]);
  });
});

describe('levels of the log', () => {
  it('know the subsystems that have a log, and give each a level of its own', () => {
    const levels = new LogLevels('info');
    const heard: string[] = [];
    levels.onName = (name) => heard.push(name);
    levels.addName('tcp');
    levels.addName('tcp');
    levels.addName('');
    expect(heard).toEqual(['tcp']);
    expect(levels.levelOf('tcp')).toBeNull();
    levels.setLevel('tcp', 'trace');
    expect(levels.describe()).toBe('info,tcp=trace');
    expect(levels.rankOf('tcp')).toBe(0);
    levels.setLevel('tcp', null);
    expect(levels.describe()).toBe('info');
    expect(levels.names()).toEqual(['tcp']);
  });
});
