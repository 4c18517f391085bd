import { describe, expect, it } from 'vitest';
import {
  IFF_BROADCAST,
  IFF_DEBUG,
  IFF_DRV_RUNNING,
  IFF_LOOPBACK,
  IFF_MULTICAST,
  IFF_PPROMISC,
  IFF_PROMISC,
  IFF_SIMPLEX,
  IFF_UP,
  type Ifnet,
} from '../../../src/kern/ifnet/ifnet.ts';
import { IFCAP_LRO, IFCAP_TSO4, IFCAP_TXCSUM, type Link, type LinkMethods, linkInterface } from '../../../src/kern/ifnet/link.ts';
import { bindObject, defineClass } from '../../../src/kern/kobj.ts';
import { NETSTACK_CAP_LRO } from '../../../src/kern/netstack.ts';
import { TestLink, TestStack, bootedKernel, newKernel, ok, stackModule } from '../support.ts';

const GLOBAL = Uint8Array.of(0x00, 0x1b, 0x21, 1, 2, 3);

function setUp(stack = new TestStack()) {
  const test = newKernel();
  test.kernel.modules.preload(stackModule(stack));
  const failure = test.kernel.boot();
  if (failure !== null) throw new Error(failure.message);
  const { ifnets } = test.kernel;
  const attach = (link = new TestLink(), unit = 0): { ifp: Ifnet; link: TestLink } => ({
    ifp: ok(ifnets.attach('test', unit, link.link())),
    link,
  });
  return { ...test, stack, ifnets, attach };
}

const frame = (first: number, length = 60): Uint8Array => {
  const bytes = new Uint8Array(length);
  bytes[0] = first;
  return bytes;
};

describe('attach', () => {
  it('starts the link, joins the stack, and announces', () => {
    const { kernel, stack, attach } = setUp();
    const seen: string[] = [];
    kernel.events.on('ifnet_arrival_event', (ifp) =>
      seen.push(`${ifp.name()} after [${stack.calls.join()}], state ${ifp.linkState()}`),
    );
    const { ifp, link } = attach();
    expect(seen).toEqual(['test0 after [attach test0], state up']);
    expect(link.calls).toEqual(['start']);
    expect([ifp.name(), ifp.dname, ifp.dunit, ifp.index, ifp.mtu(), ifp.type()]).toEqual([
      'test0',
      'test',
      0,
      1,
      1500,
      'ethernet',
    ]);
    expect(ifp.flags()).toBe(IFF_BROADCAST | IFF_SIMPLEX | IFF_MULTICAST | IFF_DRV_RUNNING);
  });

  it('refuses a bad name and one in use; finds by name and index', () => {
    const { ifnets, attach } = setUp();
    const { ifp } = attach();
    const link = new TestLink().link();
    expect(ifnets.attach('test', 0, link)).toBe('EEXIST');
    for (const [dname, unit] of [
      ['', 0],
      ['0x', 0],
      ['a b', 0],
      ['waytoolongforaname', 0],
      ['x', -1],
      ['x', 1.5],
    ] as const) {
      expect([dname, ifnets.attach(dname, unit, link)]).toEqual([dname, 'EINVAL']);
    }
    expect([ifnets.byName('test0'), ifnets.byIndex(1), ifnets.byName('x'), ifnets.byIndex(2), ifnets.byIndex(0)]).toEqual([
      ifp,
      ifp,
      null,
      null,
      null,
    ]);
  });

  it('gives the lowest free index', () => {
    const { ifnets, attach } = setUp();
    const [a, b, c] = [attach(undefined, 1).ifp, attach(undefined, 2).ifp, attach(undefined, 3).ifp];
    ifnets.detach(b);
    expect(attach(undefined, 9).ifp.index).toBe(2);
    expect(attach(undefined, 10).ifp.index).toBe(4);
    expect(ifnets.all().map((ifp) => ifp.name())).toEqual(['test1', 'test9', 'test3', 'test10']);
    expect([a.index, c.index]).toEqual([1, 3]);
  });

  it('has a limit', () => {
    const { ifnets } = setUp();
    const link = new TestLink().link();
    for (let i = 0; i < 1024; i++) expect(typeof ifnets.attach('t', i, link)).toBe('object');
    expect(ifnets.attach('t', 1024, link)).toBe('ENOSPC');
  });

  it('joins interfaces that came before the stack, when the stack is complete', () => {
    const { kernel } = newKernel();
    const stack = new TestStack();
    stack.caps = NETSTACK_CAP_LRO;
    const link = new TestLink({ capabilities: IFCAP_LRO | IFCAP_TXCSUM });
    kernel.modules.preload(stackModule(stack));
    const ifp = ok(kernel.ifnets.attach('early', 0, link.link()));
    ifp.setUp(true);
    expect([stack.calls.length, ifp.capEnable()]).toEqual([0, IFCAP_TXCSUM]);
    link.deliver(frame(0));
    expect(ifp.counters.noproto).toBe(1);
    expect(kernel.boot()).toBeNull();
    expect(stack.calls).toEqual(['attach early0']);
    expect(ifp.capEnable()).toBe(IFCAP_LRO | IFCAP_TXCSUM);
    link.deliver(frame(0));
    expect(stack.frames).toEqual([60]);
  });

  it('works on without a stack and with one that declines: input is counted as noproto', () => {
    const none = bootedKernel().kernel;
    const link = new TestLink();
    const ifp = ok(none.ifnets.attach('test', 0, link.link()));
    ifp.setUp(true);
    link.deliver(frame(0));
    expect(ifp.counters).toMatchObject({ ipackets: 1, ibytes: 60, noproto: 1 });
    const declining = new TestStack();
    declining.decline = 'EAFNOSUPPORT';
    const { ifnets, attach } = setUp(declining);
    const other = attach();
    other.ifp.setUp(true);
    other.link.deliver(frame(0));
    expect(other.ifp.counters.noproto).toBe(1);
    ifnets.detach(other.ifp);
    expect(declining.calls).toEqual(['attach test0']);
  });

  it('works on over the stub that stands in for a missing device: takes configuration, drops and counts output', () => {
    const { world, kernel } = setUp();
    const stub = bindObject(defineClass<null, LinkMethods>({ name: 'stub', implements: linkInterface, methods: {} }), null);
    const ifp = ok(kernel.ifnets.attach('gone', 0, stub));
    expect(ifp.startError()).toBe('ENXIO');
    expect(world.lines.some((line) => line.level === 'warn' && line.msg.includes('did not start'))).toBe(true);
    expect([ifp.setUp(true), ifp.setMtu(1400), ifp.linkState()]).toEqual([null, null, 'down']);
    const pkt = ifp.txAlloc()!;
    expect(ifp.transmit(pkt)).toBe('ENXIO');
    expect(ifp.counters).toMatchObject({ opackets: 0, oerrors: 1 });
  });
});

describe('detach', () => {
  it('is the reverse: departure, stack, link; the name and index are free', () => {
    const { kernel, stack, ifnets, attach } = setUp();
    const { ifp, link } = attach(new TestLink({ lladdr: GLOBAL }));
    ifp.setUp(true);
    const seen: string[] = [];
    kernel.events.on('ifnet_departure_event', (gone) =>
      seen.push(`${gone.name()} ${stack.calls.at(-1)} ${ifnets.byName('test0') === null}`),
    );
    expect(ifnets.detach(ifp)).toBeNull();
    expect(seen).toEqual(['test0 changed test0 true']);
    expect([stack.calls.at(-1), link.calls.at(-1)]).toEqual(['detach test0', 'stop']);
    expect(ifnets.detach(ifp)).toBe('ENXIO');
    expect(kernel.counters.get('if.test0', 'ipackets')).toBeUndefined();
    expect(attach().ifp.index).toBe(1);
  });

  it('leaves a dead handle that refuses and counts', () => {
    const { ifnets, attach } = setUp();
    const { ifp, link } = attach();
    ifp.setUp(true);
    const { up } = link;
    ifnets.detach(ifp);
    expect([
      ifp.setUp(true),
      ifp.setMtu(1400),
      ifp.setName('x'),
      ifp.setFib(0),
      ifp.setCapEnable(0),
      ifp.driverIoctl(1, null),
    ]).toEqual(new Array(6).fill('ENXIO'));
    expect(ifp.isUp()).toBe(false);
    expect(ifp.transmit(ifp.txAlloc()!)).toBe('ENETDOWN');
    expect(ifp.counters.oerrors).toBe(1);
    up!.state('gone');
    expect(ifnets.all()).toEqual([]);
  });

  it('does not flush a link that is stopped', () => {
    const { world, ifnets, attach } = setUp();
    const { ifp, link } = attach();
    ifp.setUp(true);
    ifp.transmit(ifp.txAlloc()!);
    ifnets.detach(ifp);
    world.run(10);
    expect(link.flushes).toBe(0);
  });

  it('happens by itself when the device is taken away', () => {
    const { world, kernel, ifnets, attach } = setUp();
    const seen: string[] = [];
    kernel.events.on('ifnet_link_event', (_ifp, state) => seen.push(state));
    kernel.events.on('ifnet_departure_event', (ifp) => seen.push(`departs ${ifp.name()}`));
    const { link } = attach();
    const { up } = link;
    up!.state('down');
    up!.state('down');
    up!.state('up');
    up!.state('gone');
    expect(seen).toEqual(['down', 'up', 'down', 'departs test0']);
    expect(ifnets.all()).toEqual([]);
    expect(world.lines.some((line) => line.level === 'error' && line.msg.includes('gone'))).toBe(true);
  });
});

describe('uuid sources', () => {
  const sources = (kernel: ReturnType<typeof bootedKernel>['kernel'], mac: Uint8Array) => {
    const known = kernel.uuid.etherDel(mac) === null;
    if (known) kernel.uuid.etherAdd(mac);
    return known;
  };

  it('follow global unicast addresses of Ethernet interfaces as they come, change and go', () => {
    const { kernel, ifnets, attach } = setUp();
    const { ifp } = attach(new TestLink({ lladdr: GLOBAL }));
    expect(sources(kernel, GLOBAL)).toBe(true);
    const other = Uint8Array.of(0, 1, 1, 1, 1, 1);
    const seen: unknown[] = [];
    kernel.events.on('iflladdr_event', (which) => seen.push(which.lladdr()));
    expect(ifp.setLladdr(other)).toBeNull();
    expect(seen).toEqual([other]);
    expect([sources(kernel, GLOBAL), sources(kernel, other)]).toEqual([false, true]);
    ifnets.detach(ifp);
    expect(sources(kernel, other)).toBe(false);
  });

  it('take no local address, which is no reason not to attach', () => {
    const { kernel, attach } = setUp();
    const local = Uint8Array.of(2, 0, 0, 0, 0, 1);
    attach(new TestLink({ lladdr: local }));
    expect(sources(kernel, local)).toBe(false);
  });

  it('stay when the second interface with the same address leaves', () => {
    const { kernel, ifnets, attach } = setUp();
    attach(new TestLink({ lladdr: GLOBAL }), 0);
    const second = attach(new TestLink({ lladdr: GLOBAL }), 1).ifp;
    ifnets.detach(second);
    expect(sources(kernel, GLOBAL)).toBe(true);
  });
});

describe('frames', () => {
  it('are counted in and out, groups apart', () => {
    const { world, stack, attach } = setUp();
    const { ifp, link } = attach();
    ifp.setUp(true);
    link.deliver(frame(0x00));
    link.deliver(frame(0xff, 100));
    expect(stack.frames).toEqual([60, 100]);
    for (const first of [0x00, 0x01]) {
      const pkt = ifp.txAlloc()!;
      pkt.bytes[pkt.append(64)] = first;
      expect(ifp.transmit(pkt)).toBeNull();
    }
    world.run(0);
    expect(link.flushes).toBe(1);
    expect(ifp.counters).toMatchObject({ ipackets: 2, ibytes: 160, imcasts: 1, opackets: 2, obytes: 128, omcasts: 1 });
  });

  it('go nowhere while the interface is down, counted', () => {
    const { stack, attach } = setUp();
    const { ifp, link } = attach();
    link.deliver(frame(0));
    expect(ifp.transmit(ifp.txAlloc()!)).toBe('ENETDOWN');
    expect([stack.frames, link.sent, link.out]).toEqual([[], [], 0]);
    expect(ifp.counters).toMatchObject({ iqdrops: 1, oerrors: 1 });
  });

  it('flush a full ring once, and are dropped and counted when that does not help', () => {
    const { attach } = setUp();
    const { ifp, link } = attach();
    for (let i = 0; i < 4; i++) expect(ifp.txAlloc()).not.toBeNull();
    expect(ifp.txAlloc()).not.toBeNull();
    expect(link.flushes).toBe(1);
    link.slots = 0;
    expect(ifp.txAlloc()).toBeNull();
    expect(ifp.counters.oqdrops).toBe(1);
  });

  it('carry the interface and the losses that the link reports', () => {
    const { attach } = setUp();
    const { ifp, link } = attach();
    link.up!.dropped('iqdrops', 3);
    link.up!.dropped('oerrors', 2);
    expect(ifp.counters).toMatchObject({ iqdrops: 3, oerrors: 2 });
  });

  it('leave as one batch, behind all answers to it', () => {
    const { kernel, attach } = setUp();
    const { ifp, link } = attach();
    ifp.setUp(true);
    kernel.netisr.begin();
    ifp.transmit(ifp.txAlloc()!);
    ifp.transmit(ifp.txAlloc()!);
    expect(link.flushes).toBe(0);
    kernel.netisr.end();
    expect(link.flushes).toBe(1);
  });
});

describe('changes', () => {
  it('of state, MTU and capabilities reach link and stack, once', () => {
    const { kernel, stack, attach } = setUp();
    const { ifp, link } = attach(new TestLink({ capabilities: IFCAP_TXCSUM | IFCAP_TSO4, tsoMax: 65535 }));
    const seen: string[] = [];
    kernel.events.on('ifnet_event', (_ifp, state) => seen.push(state));
    expect([ifp.setUp(true), ifp.setUp(true), ifp.setMtu(9000), ifp.setMtu(9000), ifp.setCapEnable(IFCAP_TXCSUM)]).toEqual(
      new Array(5).fill(null),
    );
    expect(link.calls).toEqual([`caps ${IFCAP_TXCSUM | IFCAP_TSO4}`, 'start', 'up true', 'mtu 9000', `caps ${IFCAP_TXCSUM}`]);
    expect(stack.calls).toEqual(['attach test0', 'changed test0', 'changed test0', 'changed test0']);
    expect(seen).toEqual(['up']);
  });

  it('TSO counts only while it is on', () => {
    const { attach } = setUp();
    const { ifp } = attach(new TestLink({ capabilities: IFCAP_TXCSUM | IFCAP_TSO4, tsoMax: 65535 }));
    expect(ifp.tsoMax()).toBe(65535);
    ifp.setCapEnable(IFCAP_TXCSUM);
    expect(ifp.tsoMax()).toBe(0);
  });

  it('large receive needs a stack that takes it', () => {
    const { attach } = setUp();
    const { ifp } = attach(new TestLink({ capabilities: IFCAP_LRO | IFCAP_TXCSUM }));
    expect([ifp.capabilities(), ifp.capEnable()]).toEqual([IFCAP_TXCSUM, IFCAP_TXCSUM]);
    expect(ifp.setCapEnable(IFCAP_LRO)).toBe('EINVAL');
  });

  it('are refused outside their range', () => {
    const { attach } = setUp();
    const { ifp } = attach();
    for (const mtu of [71, 9001, 1500.5, NaN]) expect(ifp.setMtu(mtu)).toBe('EINVAL');
    expect(ifp.setCapEnable(IFCAP_TSO4)).toBe('EINVAL');
    expect(ifp.setLladdr(Uint8Array.of(1, 0, 0, 0, 0, 1))).toBe('EINVAL');
    expect(ifp.setLladdr(Uint8Array.of(2, 0, 0))).toBe('EINVAL');
    expect(ifp.setFib(1)).toBe('EINVAL');
    expect(ifp.setDescription('x'.repeat(1025))).toBe('ENAMETOOLONG');
    const { ifp: lo } = attach(new TestLink({ type: 'loopback', lladdr: null }), 1);
    expect(lo.setLladdr(GLOBAL)).toBe('EINVAL');
    expect(lo.flags() & (IFF_LOOPBACK | IFF_BROADCAST)).toBe(IFF_LOOPBACK);
  });

  it('of flags touch only what a user may change', () => {
    const { attach } = setUp();
    const { ifp } = attach();
    const facts = ifp.flags();
    expect(ifp.setFlags(IFF_UP | IFF_DEBUG | IFF_PPROMISC | IFF_LOOPBACK)).toBeNull();
    expect(ifp.flags()).toBe(facts | IFF_UP | IFF_DEBUG | IFF_PPROMISC | IFF_PROMISC);
    expect(ifp.setFlags(0)).toBeNull();
    expect(ifp.flags()).toBe(facts);
  });

  it('of the name: the old one departs, the new one arrives, counters follow', () => {
    const { kernel, ifnets, attach } = setUp();
    const { ifp } = attach();
    attach(new TestLink(), 1);
    const seen: string[] = [];
    kernel.events.on('ifnet_departure_event', (which) => seen.push(`-${which.name()}`));
    kernel.events.on('ifnet_arrival_event', (which) => seen.push(`+${which.name()}`));
    for (const bad of ['', 'x'.repeat(16), 'a/b', 'a b']) expect(ifp.setName(bad)).toBe('EINVAL');
    expect(ifp.setName('test1')).toBe('EEXIST');
    expect(ifp.setName('wan')).toBeNull();
    expect(seen).toEqual(['-test0', '+wan']);
    expect([ifnets.byName('test0'), ifnets.byName('wan'), ifp.dname]).toEqual([null, ifp, 'test']);
    expect(kernel.counters.get('if.wan', 'ipackets')).toBe(0);
    expect(kernel.counters.get('if.test0', 'ipackets')).toBeUndefined();
  });
});

describe('an interface that goes in the middle of something', () => {
  it('as it is started: ENXIO, and nobody hears of it', () => {
    const { kernel } = bootedKernel();
    const heard: string[] = [];
    kernel.events.on('ifnet_arrival_event', () => heard.push('arrival'));
    kernel.events.on('ifnet_departure_event', () => heard.push('departure'));
    const link: Link = {
      ...new TestLink().link(),
      start: (up) => {
        up.state('gone');
        return 'ENXIO';
      },
    };
    expect(kernel.ifnets.attach('em', 0, link)).toBe('ENXIO');
    expect([heard, kernel.ifnets.all(), kernel.counters.snapshot('if.')]).toEqual([[], [], {}]);
  });

  it('as it is renamed: neither name is left', () => {
    const { kernel } = bootedKernel();
    const ifp = ok(kernel.ifnets.attach('em', 0, new TestLink().link()));
    const off = kernel.events.on('ifnet_departure_event', (going) => {
      off();
      kernel.ifnets.detach(going);
    });
    ifp.setName('wan0');
    expect(['em0', 'wan0'].map((name) => kernel.ifnets.byName(name))).toEqual([null, null]);
    expect(kernel.counters.snapshot('if.')).toEqual({});
  });
});
