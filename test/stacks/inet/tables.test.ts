/** The tables under everything: addresses, routes, control blocks, tokens; each against a slow and plain model. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimRandom, SimWorld } from '../../../src/kern/effects/sim.ts';
import { Kernel } from '../../../src/kern/kernel.ts';
import { AddrEntry, AddrTable } from '../../../src/stacks/inet/addrtable.ts';
import { HalfSip } from '../../../src/stacks/inet/hash.ts';
import { plateauBelow } from '../../../src/stacks/inet/hostcache.ts';
import { TokenBucket } from '../../../src/stacks/inet/icmperror.ts';
import { broadcastOf, maskOf, plenOf } from '../../../src/stacks/inet/ifaddr.ts';
import { InetIf } from '../../../src/stacks/inet/netif.ts';
import { InPcb, PcbTable } from '../../../src/stacks/inet/pcbtable.ts';
import { EphemeralPorts } from '../../../src/stacks/inet/ports.ts';
import { RouteTable, RtEntry } from '../../../src/stacks/inet/routetable.ts';
import { type IpAddr, IpAddrBuf, copyAddr, inPrefix, ipv4, isV4 } from '../../../src/wire/addr.ts';
import { addrToString, parseAddr } from '../../../src/wire/addrtext.ts';
import { RawLink } from '../../support/rawlink.ts';

class Entry extends AddrEntry {
  readonly value: number;
  constructor(key: IpAddr, value: number) {
    super();
    this.dst.set(key);
    this.value = value;
  }
}

/** Few addresses, of both families, so that they meet. */
const someAddr = fc.tuple(fc.nat(40), fc.boolean()).map(([n, v4]) => {
  if (v4) return ipv4(0x0a000000 + n);
  const a = new IpAddrBuf();
  a.w0 = 0x20010db8;
  a.w3 = n;
  return a;
});

function anyInterface(): InetIf {
  const kernel = new Kernel(new SimWorld(1).effects('k'));
  return new InetIf(kernel.ifnets.attach('raw', 0, new RawLink().link()) as never);
}

describe('AddrTable', () => {
  it('is a map that knows the order of use', () => {
    const op = fc.record({ kind: fc.constantFrom('set', 'touch', 'remove', 'get'), addr: someAddr });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 300 }), fc.integer(), (ops, seed) => {
        const table = new AddrTable<Entry>(seed);
        const model = new Map<string, number>();
        let n = 0;
        for (const { kind, addr } of ops) {
          const key = addrToString(addr);
          const entry = table.get(addr);
          expect(entry?.value).toBe(model.get(key));
          if (kind === 'set' && entry === null) {
            table.insert(new Entry(addr, ++n));
            model.set(key, n);
          } else if (kind === 'touch' && entry !== null) {
            table.touch(entry);
            model.delete(key);
            model.set(key, entry.value);
          } else if (kind === 'remove' && entry !== null) {
            table.remove(entry);
            model.delete(key);
          }
          expect(table.size).toBe(model.size);
          expect(table.oldest()?.value).toBe([...model.values()][0]);
        }
        expect(table.list().map((e) => e.value)).toEqual([...model.values()]);
      }),
    );
  });

  it('tells zones apart', () => {
    const table = new AddrTable<Entry>(5);
    const one = copyAddr(parseAddr('fe80::1%1')!);
    table.insert(new Entry(one, 1));
    expect([table.get(one)?.value, table.get(parseAddr('fe80::1%2')!)]).toEqual([1, null]);
  });
});

describe('RouteTable', () => {
  const prefix = fc.record({
    addr: fc.oneof(
      fc.integer().map(ipv4),
      fc.nat(0xffff).map((n) => ipv4(0x0a000000 + n)),
      someAddr,
    ),
    len: fc.nat(32),
  });

  it('finds the longest prefix that covers an address, in its own family', () => {
    const nif = anyInterface();
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 40 }), fc.array(someAddr, { maxLength: 20 }), (prefixes, probes) => {
        const table = new RouteTable(9);
        const model: { addr: IpAddr; len: number; entry: RtEntry }[] = [];
        for (const { addr, len } of prefixes) {
          const entry = new RtEntry(addr, len, null, nif, 0);
          const known = model.some((m) => m.len === len && isV4(m.addr) === isV4(addr) && inPrefix(addr, m.addr, len));
          expect(table.add(entry)).toBe(known ? 'EEXIST' : null);
          if (!known) model.push({ addr, len, entry });
        }
        const longest = (probe: IpAddr): RtEntry | null =>
          model.filter((m) => isV4(m.addr) === isV4(probe) && inPrefix(probe, m.addr, m.len)).sort((a, b) => b.len - a.len)[0]
            ?.entry ?? null;
        for (const probe of [...probes, ...prefixes.map((p) => p.addr)]) expect(table.lookup(probe)).toBe(longest(probe));
        for (const { addr, len, entry } of model) {
          expect(table.find(addr, len)).toBe(entry);
          table.remove(entry);
          expect(table.find(addr, len)).toBeNull();
        }
        expect([table.size, table.list()]).toEqual([0, []]);
      }),
    );
  });

  it('a default route of one family is none for the other', () => {
    const table = new RouteTable(1);
    const six = new RtEntry(parseAddr('::')!, 0, null, anyInterface(), 0);
    table.add(six);
    expect([table.lookup(ipv4(0x08080808)), table.lookup(parseAddr('2001:db8::1')!)]).toEqual([null, six]);
  });
});

describe('PcbTable', () => {
  it('finds what a search through all would', () => {
    const port = fc.integer({ min: 1, max: 4 });
    const host = fc.constantFrom(ipv4(0), ipv4(1), ipv4(2));
    const one = fc.record({ laddr: host, lport: port, faddr: host, fport: port, connected: fc.boolean() });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 30 }), fc.array(one, { maxLength: 30 }), fc.integer(), (list, probes, seed) => {
        const table = new PcbTable<InPcb>(seed);
        const all: InPcb[] = [];
        for (const { laddr, lport, faddr, fport, connected } of list) {
          if (connected && table.findConnected(laddr, lport, faddr, fport) !== null) continue;
          const p = new InPcb();
          p.laddr.set(laddr);
          p.lport = lport;
          table.bind(p);
          all.unshift(p);
          if (!connected) continue;
          p.faddr.set(faddr);
          p.fport = fport;
          table.connect(p);
        }
        const search = ({
          laddr,
          lport,
          faddr,
          fport,
        }: {
          laddr: IpAddr;
          lport: number;
          faddr: IpAddr;
          fport: number;
        }): InPcb | null => {
          const here = all.filter((p) => p.lport === lport);
          const exact = here.find((p) => p.connected && p.laddr.w3 === laddr.w3 && p.faddr.w3 === faddr.w3 && p.fport === fport);
          const bound = here.find((p) => !p.connected && p.laddr.w3 === laddr.w3);
          return exact ?? bound ?? here.find((p) => !p.connected && p.laddr.w3 === 0) ?? null;
        };
        for (const probe of probes) expect(table.lookup(probe.laddr, probe.lport, probe.faddr, probe.fport)).toBe(search(probe));
        for (const p of [...all]) {
          table.disconnect(p);
          table.unbind(p);
        }
        expect(table.size).toBe(0);
        for (const probe of probes) expect(table.lookup(probe.laddr, probe.lport, probe.faddr, probe.fport)).toBeNull();
      }),
    );
  });
});

describe('HalfSip', () => {
  it('does what its definition in the paper does', () => {
    const keys = [0x03020100, 0x07060504];
    const hash = new HalfSip({ u32: () => keys.shift() ?? 0 });
    expect(hash.begin().word(0x03020100).end()).toBe(halfSipReference([0x03020100, 0x07060504], [0x03020100]));
  });

  it('depends on every word and on the key', () => {
    const hash = (seed: number, words: number[]): number => {
      const h = new HalfSip(new SimRandom(seed)).begin();
      for (const w of words) h.word(w);
      return h.end();
    };
    const values = new Set([
      hash(1, [1, 2]),
      hash(2, [1, 2]),
      hash(1, [2, 1]),
      hash(1, [1]),
      hash(1, [1, 2, 0]),
      hash(1, [1, 3]),
    ]);
    expect(values.size).toBe(6);
  });
});

/** HalfSipHash-2-4 as its paper has it, with big integers. */
function halfSipReference([k0 = 0, k1 = 0]: number[], words: number[]): number {
  const M = 0xffffffffn;
  const rot = (v: bigint, n: bigint): bigint => ((v << n) | (v >> (32n - n))) & M;
  let [v0, v1, v2, v3] = [BigInt(k0), BigInt(k1), BigInt(k0) ^ 0x6c796765n, BigInt(k1) ^ 0x74656462n];
  const round = (): void => {
    v0 = (v0 + v1) & M;
    v1 = rot(v1, 5n) ^ v0;
    v0 = rot(v0, 16n);
    v2 = (v2 + v3) & M;
    v3 = rot(v3, 8n) ^ v2;
    v0 = (v0 + v3) & M;
    v3 = rot(v3, 7n) ^ v0;
    v2 = (v2 + v1) & M;
    v1 = rot(v1, 13n) ^ v2;
    v2 = rot(v2, 16n);
  };
  for (const m of [...words.map((w) => BigInt(w)), BigInt(words.length * 4) << 24n]) {
    v3 ^= m;
    round();
    round();
    v0 ^= m;
  }
  v2 ^= 0xffn;
  for (let i = 0; i < 4; i++) round();
  return Number(v1 ^ v3);
}

describe('EphemeralPorts (RFC 6056 algorithm 4)', () => {
  it('finds each free port of the range, and no other', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 65000 }),
        fc.nat(30),
        fc.uint8Array({ minLength: 31, maxLength: 31 }),
        (seed, first, span, free) => {
          const ports = new EphemeralPorts(new SimRandom(seed));
          ports.first = first;
          ports.last = first + span;
          const isFree = (port: number): boolean => ((free[port - first] ?? 0) & 1) === 1;
          const picked = ports.pick(ipv4(1), ipv4(2), 80, isFree);
          const any = Array.from({ length: span + 1 }, (_, i) => first + i).some(isFree);
          expect(picked === null).toBe(!any);
          if (picked !== null) expect([picked >= first && picked <= first + span, isFree(picked)]).toEqual([true, true]);
        },
      ),
    );
  });
});

describe('TokenBucket', () => {
  it('lets through what the rate allows over any stretch of time', () => {
    const world = new SimWorld(3);
    const kernel = new Kernel(world.effects('k'));
    const bucket = new TokenBucket(kernel);
    let passed = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      world.run(1);
      kernel.time.refresh();
      for (let i = 0; i < 5; i++) if (bucket.take()) passed++;
    }
    expect(passed).toBeGreaterThan(1950);
    expect(passed).toBeLessThanOrEqual(2200);
  });

  it("works across the wrap of the kernel's milliseconds", () => {
    const world = new SimWorld({ seed: 3, startMs: 2 ** 31 - 500 });
    const kernel = new Kernel(world.effects('k'));
    const bucket = new TokenBucket(kernel);
    while (bucket.take());
    world.run(1000);
    kernel.time.refresh();
    expect(bucket.take()).toBe(true);
  });

  it('fills up however long nobody asks', () => {
    const world = new SimWorld(3);
    const kernel = new Kernel(world.effects('k'));
    const bucket = new TokenBucket(kernel);
    while (bucket.take());
    world.run(30 * 86_400_000);
    kernel.time.refresh();
    expect(bucket.take()).toBe(true);
  });
});

describe('masks', () => {
  it('and prefixes are the same thing', () => {
    for (let plen = 0; plen <= 32; plen++) expect(plenOf(maskOf(plen))).toBe(plen);
    for (const bad of [0xff00ff00, 0x00ffffff, 0x7fffffff, 1]) expect(plenOf(bad | 0)).toBe(-1);
    expect(addrToString(broadcastOf(parseAddr('10.1.2.3')!, 22)!)).toBe('10.1.3.255');
    expect([broadcastOf(ipv4(1), 31), broadcastOf(ipv4(1), 32), broadcastOf(parseAddr('::1')!, 64)]).toEqual([null, null, null]);
  });

  it('plateaus go down to 68 (RFC 1191 §7.1)', () => {
    expect([65535, 1500, 1492, 576, 68].map(plateauBelow)).toEqual([32000, 1492, 1006, 508, 68]);
  });
});
