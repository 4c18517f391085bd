/** Fragments: rows "791/815/1122 3.3.2", "791 frag out" and "6864" of the requirements. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PKT_CSUM_OK } from '../../../src/kern/packet.ts';
import { sosetopt } from '../../../src/kern/socket/calls.ts';
import { sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { BCAST_MAC, type IpFields, concat, cut, ether, icmp, ip, ipOf, join, pattern, ping, udp, udpSumOk } from './frames.ts';
import { Host, type HostOptions, Notes, at } from './harness.ts';

/** A UDP datagram to port 7 with `n` bytes of data, cut for `mtu`. */
function pieces(n: number, mtu: number, fields: IpFields = {}): Uint8Array[] {
  return cut(ip(udp(pattern(n)), fields), mtu).map((packet) => ether(packet));
}

/** A host that notes the length of each datagram that arrives whole and right. */
function listener(options: HostOptions = {}): { host: Host; got: number[] } {
  const host = new Host(options);
  const got: number[] = [];
  const so = host.udp(7);
  so.handler = new (class extends Notes {
    override datagram(_so: never, _from: never, bytes: Uint8Array, off: number, len: number): boolean {
      got.push(Buffer.from(bytes.subarray(off, off + len)).equals(pattern(len)) ? len : -1);
      return true;
    }
  })();
  return { host, got };
}

const raw = (data: Uint8Array, fields: IpFields): Uint8Array => ether(ip(data, { proto: 200, ...fields }));

describe('reassembly (RFC 791 §3.2)', () => {
  it('takes the pieces in any order, any of them twice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 600, max: 9000 }), fc.constantFrom(576, 1006, 1500), fc.integer(), (n, mtu, seed) => {
        const { host, got } = listener();
        const list = pieces(n, mtu);
        const shuffled = list
          .flatMap((p, i) => (((seed >> (i % 30)) & 1) === 1 ? [p, p] : [p]))
          .map((p, i) => [Math.imul(seed ^ i, 0x9e3779b1) >>> 0, p] as const)
          .sort((a, b) => a[0] - b[0])
          .map(([, p]) => p);
        host.exchange(...shuffled);
        // Doubled pieces that come after the datagram was complete begin it anew; only with all of them it comes twice.
        expect(got.length).toBeGreaterThanOrEqual(1);
        expect(got.every((len) => len === n)).toBe(true);
        host.run(31_000);
        expect(host.kernel.sysctl.read('net.inet.ip.fragpackets')).toMatchObject({ value: 0 });
      }),
      { numRuns: 60 },
    );
  });

  it('keeps datagrams apart by source, destination, identification and protocol', () => {
    const { host, got } = listener();
    host.addAddr(host.ifp, '10.0.0.5/24');
    const a = pieces(2000, 1500, { id: 1 });
    const b = pieces(2000, 1500, { id: 2 });
    const c = cut(ip(udp(pattern(2000), { src: '10.0.0.9' }), { src: '10.0.0.9', id: 1 }), 1500).map((p) => ether(p));
    const d = cut(ip(udp(pattern(2000), { dst: '10.0.0.5' }), { dst: '10.0.0.5', id: 1 }), 1500).map((p) => ether(p));
    const e = raw(pattern(1480), { id: 1, mf: true });
    host.exchange(e, a[0]!, b[0]!, c[0]!, d[0]!, d[1]!, c[1]!, b[1]!, a[1]!);
    expect(got).toEqual([2000, 2000, 2000, 2000]);
    expect(host.count('frag', 'reassembled')).toBe(4);
  });

  it("passes the first piece's TTL and service on, and a mark of congestion from any piece (RFC 3168 §5.3)", () => {
    const host = new Host();
    const packet = ip(icmp(8, 0, 1, pattern(2000)), { proto: 1, tos: 0x20 | 2 });
    const [first, second] = cut(packet, 1500) as [Uint8Array, Uint8Array];
    const marked = cut(ip(icmp(8, 0, 1, pattern(2000)), { proto: 1, tos: 0x20 | 3 }), 1500)[1]!;
    expect(ipOf(host.exchange(ether(first), ether(second))[0]!).tos).toBe(0x22);
    expect(ipOf(host.exchange(ether(first), ether(marked))[0]!).tos).toBe(0x23);
    const unmarked = cut(ip(icmp(8, 0, 1, pattern(2000)), { proto: 1, tos: 0 }), 1500)[1]!;
    host.exchange(ether(cut(ip(icmp(8, 0, 1, pattern(2000)), { proto: 1, tos: 3 }), 1500)[0]!), ether(unmarked));
    expect(host.count('frag', 'badecn')).toBe(1);
  });

  it('a checksum that the link found good in a piece is not that of the datagram', () => {
    const { host, got } = listener({ offload: true });
    const list = cut(ip(udp(pattern(2000), { sum: 'bad' })), 1500).map((p) => ether(p));
    host.link.inject(list, PKT_CSUM_OK);
    expect(got).toEqual([]);
    expect(host.count('udp', 'badsum')).toBe(1);
  });

  it('drops options of the header with the pieces that bear them, and takes the data', () => {
    const { host, got } = listener();
    const whole = udp(pattern(100));
    const options = [7, 7, 4, 0, 0, 0, 0, 0];
    host.exchange(ether(ip(whole.subarray(0, 64), { mf: true, options })), ether(ip(whole.subarray(64), { off: 64 })));
    expect(got).toEqual([100]);
  });
});

describe('what is wrong gives the datagram up, or is never begun', () => {
  const cases: [string, string, Uint8Array[]][] = [
    ['overlap at the end', 'overlap', [raw(pattern(16), { mf: true }), raw(pattern(16), { off: 8 })]],
    ['overlap at the start', 'overlap', [raw(pattern(16), { off: 8, mf: true }), raw(pattern(16), { mf: true })]],
    ['one within another', 'overlap', [raw(pattern(64), { mf: true }), raw(pattern(8), { off: 8, mf: true })]],
    ['one around another', 'overlap', [raw(pattern(8), { off: 8, mf: true }), raw(pattern(64), { mf: true })]],
    ['same start, longer', 'overlap', [raw(pattern(8), { off: 8, mf: true }), raw(pattern(16), { off: 8, mf: true })]],
    ['two ends', 'overlap', [raw(pattern(8), { off: 80 }), raw(pattern(8), { off: 88 })]],
    ['an end before what came', 'overlap', [raw(pattern(8), { off: 80, mf: true }), raw(pattern(8), { off: 40 })]],
    ['more behind the end', 'overlap', [raw(pattern(8), { off: 40 }), raw(pattern(8), { off: 48, mf: true })]],
    ['ping of death', 'toolong', [raw(pattern(100), { off: 65528 })]],
    ['data one byte too long', 'toolong', [raw(pattern(20), { off: 65496 })]],
    ['no multiple of 8', 'badlen', [raw(pattern(13), { mf: true })]],
    ['nothing in it', 'badlen', [raw(new Uint8Array(0), { mf: true }), raw(new Uint8Array(0), { off: 8 })]],
  ];
  for (const [name, counter, frames] of cases) {
    it(`${name}: frag.${counter}`, () => {
      const host = new Host();
      expect(host.exchange(...frames)).toEqual([]);
      expect(host.count('frag', counter)).toBeGreaterThan(0);
      expect(host.kernel.sysctl.read('net.inet.ip.fragpackets')).toMatchObject({ value: 0 });
      expect(host.kernel.bufpool.used).toBe(0);
    });
  }

  it('the longest datagram there can be is taken', () => {
    const { host, got } = listener();
    host.exchange(...pieces(65507, 1500));
    expect(got).toEqual([65507]);
  });

  it('never throws, and holds nothing for ever, whatever the pieces', () => {
    const piece = fc.record({
      off: fc.nat(8190).map((n) => n * 8),
      len: fc.constantFrom(0, 8, 16, 24, 1400, 13),
      mf: fc.boolean(),
      id: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (list) => {
        const host = new Host();
        host.exchange(...list.map(({ off, len, mf, id }) => raw(pattern(len), { off, mf, id })));
        host.run(31_000);
        expect(host.kernel.sysctl.read('net.inet.ip.fragpackets')).toMatchObject({ value: 0 });
        expect(host.kernel.bufpool.used).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

describe('time and limits', () => {
  it('after 30 s the sender hears of it, if the first piece came (RFC 792 code 1)', () => {
    const host = new Host();
    const first = ip(udp(pattern(1400)).subarray(0, 1400), { mf: true, id: 5 });
    host.exchange(ether(first));
    host.exchange(raw(pattern(8), { off: 80, id: 6 }));
    host.run(29_900);
    expect(host.sent()).toEqual([]);
    host.run(200);
    const replies = host.sent();
    expect(replies.length).toBe(1);
    const reply = ipOf(replies[0]!);
    expect([reply.data[0], reply.data[1], reply.dst]).toEqual([11, 1, '10.0.0.1']);
    expect(reply.data.subarray(28, 28 + 500)).toEqual(first.subarray(20, 520));
    expect([host.count('frag', 'fragtimeout'), host.count('icmp', 'outtimxceed')]).toEqual([2, 1]);
  });

  it('nobody hears of one that was sent to a group', () => {
    const host = new Host();
    host.exchange(concat(BCAST_MAC, ether(ip(udp(pattern(800)).subarray(0, 800), { dst: '10.0.0.255', mf: true })).subarray(6)));
    host.run(31_000);
    expect(host.sent()).toEqual([]);
  });

  it('the oldest datagram makes room for a new one (net.inet.ip.maxfragpackets)', () => {
    const { host, got } = listener();
    host.sysctl('net.inet.ip.maxfragpackets', 8);
    const lists = Array.from({ length: 20 }, (_, id) => pieces(2000, 1500, { id }));
    host.exchange(...lists.map((list) => list[0]!));
    host.exchange(...lists.map((list) => list[1]!));
    host.run(0);
    expect(host.count('frag', 'evicted')).toBeGreaterThan(11);
    expect(got.every((n) => n === 2000)).toBe(true);
    host.sysctl('net.inet.ip.maxfragpackets', 0);
    host.exchange(...pieces(2000, 1500, { id: 99 }));
    expect(host.count('frag', 'fragdropped')).toBeGreaterThan(0);
  });

  it('bytes are bounded over all datagrams (net.inet.ip.maxfragbytes)', () => {
    const host = new Host({ env: { 'net.inet.ip.maxfragbytes': '262144' } });
    for (let id = 0; id < 200; id++)
      host.exchange(raw(pattern(1400), { id, off: 60_000, mf: true }), raw(pattern(1400), { id, mf: true }));
    expect(host.kernel.bufpool.used).toBeLessThanOrEqual(262144);
    expect(host.count('frag', 'evicted')).toBeGreaterThan(150);
  });

  it('pieces are bounded per datagram (net.inet.ip.maxfragsperpacket)', () => {
    const host = new Host();
    const many = Array.from({ length: 140 }, (_, i) => raw(pattern(8), { off: i * 16, mf: true }));
    host.exchange(...many);
    expect(host.count('frag', 'toomany')).toBe(1);
    expect(host.count('frag', 'fragdropped')).toBe(128);
  });
});

describe('cutting on output', () => {
  const send = (host: Host, n: number): ReturnType<typeof sosendto> => {
    const so = host.udp(0, at('10.0.0.1', 9));
    return sosendto(so, pattern(n), 0, n, null);
  };

  it('cuts in multiples of 8, at every width of the link, and the pieces add up', () => {
    const arb = fc.tuple(fc.integer({ min: 0, max: 65507 }), fc.constantFrom(72, 296, 576, 1500, 1900, 4352, 9000, 32000));
    fc.assert(
      fc.property(arb, ([n, mtu]) => {
        const host = new Host({ mtu, slots: 2048 });
        expect(send(host, n)).toBeNull();
        const frames = host.sent();
        for (const frame of frames) {
          const packet = ipOf(frame);
          expect(frame.length).toBe(14 + packet.len);
          expect(packet.len).toBeLessThanOrEqual(mtu);
          if (packet.mf) expect(packet.data.length % 8).toBe(0);
          expect(packet).toMatchObject({ sumOk: true, df: false, id: ipOf(frames[0]!).id, ttl: 64, proto: 17 });
        }
        const whole = join(frames);
        expect(Buffer.from(whole.subarray(8)).equals(pattern(n))).toBe(true);
        expect(udpSumOk(ipOf(frames[0]!), whole)).toBe(true);
        expect(host.count('ip', 'ofragments')).toBe(frames.length > 1 ? frames.length : 0);
      }),
      { numRuns: 60 },
    );
  });

  it('honours DF: EMSGSIZE, and nothing leaves', () => {
    const host = new Host();
    const so = host.udp(0, at('10.0.0.1', 9));
    sosetopt(so, { dir: 'set', level: 0, name: 67, value: 1 });
    expect(sosendto(so, pattern(1473), 0, 1473, null)).toBe('EMSGSIZE');
    expect(sosendto(so, pattern(1472), 0, 1472, null)).toBeNull();
    const [frame] = host.sent();
    expect(ipOf(frame!)).toMatchObject({ df: true, len: 1500 });
    expect(host.count('ip', 'cantfrag')).toBe(1);
  });

  it('needs no more slots than the ring has: a full one is flushed on the way', () => {
    const host = new Host({ slots: 4 });
    expect(send(host, 65507)).toBeNull();
    expect(join(host.sent()).length).toBe(65515);
    expect(host.link.ring.available()).toBe(4);
  });

  it('ENOBUFS when a slot cannot be had, and no slot is lost', () => {
    const host = new Host({ slots: 2 });
    const a = host.ifp.txAlloc()!;
    expect(send(host, 4000)).toBe('ENOBUFS');
    host.ifp.txFree(a);
    host.sent();
    expect(host.link.ring.available()).toBe(2);
    expect(host.kernel.bufpool.used).toBe(0);
  });

  it('gives pieces of different datagrams different identifications (RFC 6864), and atomic ones any', () => {
    const host = new Host({ slots: 2048 });
    const so = host.udp(0, at('10.0.0.1', 9));
    const ids = new Set<number>();
    for (let i = 0; i < 500; i++) {
      sosendto(so, pattern(1500), 0, 1500, null);
      ids.add(ipOf(host.sent()[0]!).id);
    }
    expect(ids.size).toBe(500);
  });
});

describe('ping -s, 0 to 65507', () => {
  for (const mtu of [576, 1500, 9000]) {
    it(`comes back whole at MTU ${mtu}`, () => {
      const host = new Host({ mtu, slots: 512 });
      for (const n of [0, 1, 8, 56, 548, 1471, 1472, 1473, 1848, 1849, 2952, 8972, 8973, 20_000, 65_506, 65_507]) {
        const request = ping(pattern(n), { id: n & 0xffff }, 7, n & 0xffff);
        const replies = host.exchange(...cut(request.subarray(14), mtu).map((p) => ether(p)));
        for (const frame of replies) expect(ipOf(frame).len).toBeLessThanOrEqual(mtu);
        expect(Buffer.from(join(replies)).equals(icmp(0, 0, (7 << 16) | (n & 0xffff), pattern(n))), `${n} bytes`).toBe(true);
      }
      expect(host.kernel.bufpool.used).toBe(0);
    });
  }

  it('survives a thousand large ones without growing', () => {
    const host = new Host({ slots: 512 });
    const frames = cut(ping(pattern(20_000)).subarray(14), 1500).map((p) => ether(p));
    for (let i = 0; i < 1000; i++) expect(host.exchange(...frames).length).toBe(14);
    expect(host.kernel.bufpool.used).toBe(0);
    expect(host.link.ring.available()).toBe(512);
  });
});
