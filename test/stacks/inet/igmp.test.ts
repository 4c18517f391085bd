/** IGMP as a router sees it: version 3 (RFC 3376), and versions 1 and 2 while such a querier is there (RFC 1112, RFC 2236). */
import { describe, expect, it } from 'vitest';
import { soclose } from '../../../src/kern/socket/calls.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { inetIf } from '../../../src/stacks/inet/netif.ts';
import { parseAddr } from '../../../src/wire/addrtext.ts';
import { ether, ip, ipOf } from './frames.ts';
import { Host } from './harness.ts';
import {
  ADD,
  ADD_SOURCE,
  BLOCK,
  DROP,
  DROP_SOURCE,
  G1,
  G2,
  S1,
  S2,
  S3,
  UNBLOCK,
  group,
  igmpText,
  macOf,
  message,
  query,
  setopt,
} from './mcasthost.ts';

/** What IGMP said by now, and within the next `ms`. */
function said(host: Host, ms = 0): string[] {
  host.run(ms);
  return igmpText(host.link.take());
}

/** A host whose socket joined, and that has said so. */
function joined(...groups: string[]): { host: Host; so: Socket } {
  const host = new Host();
  const so = host.udp(7);
  for (const g of groups) group(so, ADD, g);
  said(host, 20_000);
  return { host, so };
}

const other = (type: number, dst: string, src = '10.0.0.77'): Uint8Array => {
  const plain = query({ version: 2, group: dst, src, code: 0 }).subarray(14 + 24);
  const b = plain.slice();
  b[0] = type;
  b[1] = 0;
  b[2] = b[3] = 0;
  let sum = 0;
  for (let i = 0; i < 8; i += 2) sum += (b[i]! << 8) | b[i + 1]!;
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  b[2] = sum >> 8;
  b[3] = sum & 255;
  return message(b, dst, src);
};

describe('a message', () => {
  it('goes to 224.0.0.22 with TTL 1, precedence 6 and router alert (RFC 3376 §4)', () => {
    const host = new Host();
    group(host.udp(7), ADD, G1);
    const [frame] = host.sent();
    expect(frame!.subarray(0, 6)).toEqual(macOf('224.0.0.22'));
    expect(ipOf(frame!)).toMatchObject({ src: '10.0.0.2', dst: '224.0.0.22', ttl: 1, tos: 0xc0, proto: 2, sumOk: true });
    expect([...frame!.subarray(34, 38)]).toEqual([148, 4, 0, 0]);
    expect(host.count('igmp', 'sent')).toBe(1);
  });

  it('comes from 0.0.0.0 while there is no address (§4.2.13)', () => {
    const host = new Host({ addr: null });
    expect(setopt(host.udp(7), ADD, { multiaddr: parseAddr(G1), ifindex: host.ifp.index })).toBeNull();
    const [frame] = host.sent();
    expect(ipOf(frame!)).toMatchObject({ src: '0.0.0.0', dst: '224.0.0.22' });
    expect(igmpText([frame!])).toEqual([`TO_EX ${G1} {}`]);
  });

  const bad: readonly [what: string, counter: string, frame: Uint8Array][] = [
    ['too short', 'tooshort', ether(ip(new Uint8Array(7), { proto: 2, dst: '224.0.0.1', ttl: 1 }), { dst: macOf('224.0.0.1') })],
    ['a bad checksum', 'badsum', query({ patch: (b) => (b[4] = 9) })],
    ['from elsewhere: TTL 2', 'badttl', query({ ttl: 2 })],
    ['an unknown type', 'badtype', other(0x55, G1)],
    ['a query of 10 bytes', 'badquery', message(Uint8Array.from([0x11, 100, 0xee, 0x9b, 0, 0, 0, 0, 0, 0]), '224.0.0.1')],
    ['more sources than there are bytes', 'badquery', longQuery()],
    ['a query about no group', 'badquery', message(checksummed([0x11, 100, 0, 0, 10, 0, 0, 1]), '224.0.0.1')],
    ['a report to another group than its own', 'badreport', message(checksummed([0x16, 0, 0, 0, 239, 1, 2, 4]), G1)],
    ['a report from another net', 'badreport', other(0x16, G1, '192.0.2.1')],
  ];
  for (const [what, counter, frame] of bad) {
    it(`${what} is dropped: igmp.${counter}`, () => {
      const { host } = joined(G1);
      expect(host.exchange(frame)).toEqual([]);
      expect([host.count('igmp', counter), host.count('igmp', 'total')]).toEqual([1, 1]);
      expect(said(host, 20_000)).toEqual([]);
    });
  }
});

function checksummed(bytes: readonly number[]): Uint8Array {
  const b = Uint8Array.from(bytes);
  let sum = 0;
  for (let i = 0; i < b.length; i += 2) sum += (b[i]! << 8) | b[i + 1]!;
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  b[2] = sum >> 8;
  b[3] = sum & 255;
  return b;
}

function longQuery(): Uint8Array {
  return message(checksummed([0x11, 100, 0, 0, 239, 1, 2, 3, 2, 0, 0, 2, 10, 0, 0, 1]), G1);
}

describe('a change of what is heard', () => {
  it('is reported at once, and once more within a second (RFC 3376 §5.1)', () => {
    const host = new Host();
    const so = host.udp(7);
    group(so, ADD, G1);
    expect(said(host)).toEqual([`TO_EX ${G1} {}`]);
    expect(said(host, 1000)).toEqual([`TO_EX ${G1} {}`]);
    expect(said(host, 60_000)).toEqual([]);
    group(so, DROP, G1);
    expect(said(host)).toEqual([`TO_IN ${G1} {}`]);
    expect(said(host, 1000)).toEqual([`TO_IN ${G1} {}`]);
    expect(said(host, 60_000)).toEqual([]);
  });

  it('by the second socket of a group is none, nor when it goes', () => {
    const { host, so } = joined(G1);
    const second = host.udp(8);
    group(second, ADD, G1);
    group(second, DROP, G1);
    expect(said(host, 60_000)).toEqual([]);
    group(second, ADD, G1);
    soclose(so);
    expect(said(host, 60_000)).toEqual([]);
    soclose(second);
    expect(said(host, 60_000)).toEqual([`TO_IN ${G1} {}`, `TO_IN ${G1} {}`]);
  });

  it('of sources names what is let in and what is shut out', () => {
    const host = new Host();
    const so = host.udp(7);
    group(so, ADD_SOURCE, G1, S1);
    expect(said(host, 2000)).toEqual([`ALLOW ${G1} {${S1}}`, `ALLOW ${G1} {${S1}}`]);
    group(so, ADD_SOURCE, G1, S2);
    group(so, DROP_SOURCE, G1, S1);
    // The second change is told with what is left of the first: one report each, and one more of both.
    expect(said(host)).toEqual([`ALLOW ${G1} {${S2}}`, `ALLOW ${G1} {${S2}}`, `BLOCK ${G1} {${S1}}`]);
    expect(said(host, 5000)).toEqual([`BLOCK ${G1} {${S1}}`]);
    group(so, DROP_SOURCE, G1, S2);
    expect(said(host, 5000)).toEqual([`BLOCK ${G1} {${S2}}`, `BLOCK ${G1} {${S2}}`]);
    const any = host.udp(8);
    group(any, ADD, G1);
    said(host, 5000);
    group(any, BLOCK, G1, S3);
    expect(said(host, 5000)).toEqual([`BLOCK ${G1} {${S3}}`, `BLOCK ${G1} {${S3}}`]);
    group(any, UNBLOCK, G1, S3);
    expect(said(host, 5000)).toEqual([`ALLOW ${G1} {${S3}}`, `ALLOW ${G1} {${S3}}`]);
  });

  it('combines the sockets: all but what nobody wants (§3.2)', () => {
    const host = new Host();
    const [a, b, c] = [host.udp(7), host.udp(8), host.udp(9)];
    group(a, ADD, G1);
    for (const s of [S1, S2, S3]) group(a, BLOCK, G1, s);
    said(host, 5000);
    group(b, ADD, G1);
    expect(said(host, 5000)[0]).toBe(`ALLOW ${G1} {${[S1, S2, S3].sort().join(' ')}}`);
    group(b, BLOCK, G1, S1);
    group(b, BLOCK, G1, S2);
    said(host, 5000);
    group(c, ADD_SOURCE, G1, S2);
    expect(said(host, 5000)[0]).toBe(`ALLOW ${G1} {${S2}}`);
    host.link.inject(query({ group: G1, code: 10 }));
    expect(said(host, 5000)).toEqual([`IS_EX ${G1} {${S1}}`]);
    soclose(a);
    soclose(b);
    expect(said(host, 5000).at(-1)).toBe(`TO_IN ${G1} {${S2}}`);
  });

  it('is reported as often as the querier thinks needful (§4.1.6)', () => {
    const { host, so } = joined(G1);
    host.link.inject(query({ qrv: 4, code: 1 }));
    said(host, 1000);
    group(so, DROP, G1);
    expect(said(host, 60_000)).toEqual(new Array(4).fill(`TO_IN ${G1} {}`));
  });

  it('is not reported of 224.0.0.1, nor with net.inet.igmp.enabled=0', () => {
    const host = new Host();
    const so = host.udp(7);
    group(so, ADD, '224.0.0.1');
    host.sysctl('net.inet.igmp.enabled', false);
    group(so, ADD, G1);
    host.link.inject(query({ code: 1 }));
    expect(said(host, 60_000)).toEqual([]);
  });

  it('ends when the interface goes down, and all is told again when it comes up', () => {
    const { host, so } = joined(G1, G2);
    group(so, DROP, G2);
    host.ifp.setUp(false);
    host.sent();
    expect(said(host, 60_000)).toEqual([]);
    host.ifp.setUp(true);
    expect(said(host, 5000)).toEqual([`TO_EX ${G1} {}`, `TO_EX ${G1} {}`]);
  });

  it('leaves no timer behind when the kernel shuts down', () => {
    const host = new Host();
    group(host.udp(7), ADD, G1);
    host.link.inject(query({ code: 255 }));
    host.kernel.shutdown();
    host.run(3_600_000);
    expect(host.kernel.callouts.counters.fired).toBeLessThan(20);
  });
});

describe('a query', () => {
  it('to all is answered for all groups, at a random time up to what it says (RFC 3376 §5.2)', () => {
    const times = new Set<number>();
    const { host } = joined(G1, G2);
    for (let round = 0; round < 8; round++) {
      host.link.inject(query({ code: 100 }));
      let ms = 0;
      let lines: string[] = [];
      for (; lines.length === 0 && ms < 11_000; ms += 100) lines = said(host, 100);
      expect(lines).toEqual([`IS_EX ${G1} {}`, `IS_EX ${G2} {}`]);
      expect(ms).toBeLessThanOrEqual(10_000);
      times.add(ms);
      expect(said(host, 11_000)).toEqual([]);
    }
    expect(times.size).toBeGreaterThan(4);
  });

  it('about a group is answered for that group only, about another not at all', () => {
    const { host } = joined(G1, G2);
    host.link.inject(query({ group: G1, code: 10 }));
    expect(said(host, 1000)).toEqual([`IS_EX ${G1} {}`]);
    host.link.inject(query({ group: '239.9.9.9', code: 10 }));
    expect(said(host, 10_000)).toEqual([]);
  });

  it('about sources is answered with those that are heard; two of them at once', () => {
    const { host, so } = joined(G1);
    group(so, BLOCK, G1, S1);
    said(host, 5000);
    host.link.inject([query({ group: G1, sources: [S1, S2], code: 10 }), query({ group: G1, sources: [S3], code: 10 })]);
    expect(said(host, 1000)).toEqual([`IS_IN ${G1} {${S2} ${S3}}`]);
    host.link.inject(query({ group: G1, sources: [S1], code: 10 }));
    expect(said(host, 5000)).toEqual([]);
    host.link.inject([query({ group: G1, sources: [S2], code: 10 }), query({ group: G1, code: 10 })]);
    expect(said(host, 1000)).toEqual([`IS_EX ${G1} {${S1}}`]);
  });

  it('about more sources than are kept is answered for all', () => {
    const { host } = joined(G1);
    const sources = Array.from({ length: 200 }, (_, i) => `10.9.0.${i + 1}`);
    host.link.inject(query({ group: G1, sources, code: 10 }));
    expect(said(host, 1000)).toEqual([`IS_EX ${G1} {}`]);
  });

  it('is not answered twice when a general answer is due sooner (rule 1)', () => {
    const { host } = joined(G1);
    host.link.inject([query({ code: 1 }), query({ group: G1, code: 120 })]);
    expect(said(host, 20_000)).toEqual([`IS_EX ${G1} {}`]);
  });

  it('is answered by as many packets as the groups and sources need (§4.2.16)', () => {
    const { host, so } = joined(...Array.from({ length: 250 }, (_, i) => `239.5.${i >> 7}.${i & 127}`));
    expect(host.count('igmp', 'sent')).toBe(500);
    host.link.inject(query({ code: 10 }));
    host.run(2000);
    const frames = host.link.take();
    expect(frames.length).toBe(2);
    expect(frames.every((frame) => ipOf(frame).len <= 1500)).toBe(true);
    expect(new Set(igmpText(frames)).size).toBe(250);
    soclose(so);
    expect(said(host, 5000).length).toBe(500);
  });

  it('in a flood costs one answer for each group', () => {
    const { host } = joined(G1);
    for (let i = 0; i < 2000; i++) host.link.inject(query({ group: i & 1 ? G1 : '0.0.0.0', code: 100 }));
    expect(said(host, 20_000).length).toBeLessThanOrEqual(2);
  });
});

describe('an older querier', () => {
  it('of version 2 is answered in its version, and a leave goes to 224.0.0.2 (RFC 2236)', () => {
    const { host, so } = joined(G1);
    host.link.inject(query({ version: 2, code: 10 }));
    expect(said(host, 1000)).toEqual([`v2 report ${G1}`]);
    group(so, ADD, G2);
    expect(said(host, 20_000)).toEqual([`v2 report ${G2}`, `v2 report ${G2}`]);
    group(so, DROP, G2);
    const [leave] = host.sent();
    expect(ipOf(leave!)).toMatchObject({ dst: '224.0.0.2', ttl: 1 });
    expect(igmpText([leave!])).toEqual([`v2 leave ${G2}`]);
    expect(said(host, 20_000)).toEqual([]);
  });

  it('of version 1 is answered in its version, and is told of no leave (RFC 1112)', () => {
    const { host, so } = joined(G1);
    host.link.inject(query({ version: 1 }));
    expect(said(host, 10_000)).toEqual([`v1 report ${G1}`]);
    group(so, DROP, G1);
    expect(said(host, 20_000)).toEqual([]);
  });

  it("another host's report makes ours needless, and our leave too", () => {
    const { host, so } = joined(G1);
    host.link.inject([query({ version: 2, code: 100 }), other(0x16, G1)]);
    expect(said(host, 20_000)).toEqual([]);
    expect(host.count('igmp', 'suppressed')).toBe(1);
    group(so, DROP, G1);
    expect(said(host, 20_000)).toEqual([]);
  });

  it('is believed in for two intervals and an answer, then version 3 is back (RFC 3376 §8.12)', () => {
    const { host, so } = joined(G1);
    host.link.inject(query({ version: 2, code: 100 }));
    said(host, 258_000);
    host.link.inject(query({ code: 1 }));
    expect(said(host, 1000)).toEqual([`v2 report ${G1}`]);
    said(host, 3000);
    host.link.inject(query({ code: 1 }));
    expect(said(host, 1000)).toEqual([`IS_EX ${G1} {}`]);
    group(so, DROP, G1);
    expect(said(host, 5000)).toEqual([`TO_IN ${G1} {}`, `TO_IN ${G1} {}`]);
  });

  it('that comes while a change is told ends that in version 3 (§7.2.1)', () => {
    const { host, so } = joined(G1, G2);
    group(so, DROP, G2);
    expect(said(host)).toEqual([`TO_IN ${G2} {}`]);
    host.link.inject(query({ version: 2, code: 10 }));
    expect(said(host, 20_000)).toEqual([`v2 report ${G1}`]);
  });
});

describe('whatever comes', () => {
  it('nothing throws, every message is counted, and what is kept stays within bounds', () => {
    const host = new Host();
    const rnd = host.world.effects('fuzz').random;
    const pick = (n: number): number => rnd.u32() % n;
    const sockets = [1, 2, 3].map((i) => host.udp(100 + i));
    const seeds = [
      query(),
      query({ version: 1 }),
      query({ version: 2 }),
      query({ group: G1 }),
      query({ group: G1, sources: [S1, S2] }),
      other(0x16, G1),
    ];
    for (let i = 0; i < 4000; i++) {
      const frame = seeds[pick(seeds.length)]!.slice();
      // Behind the IP header: 14 and 24 bytes. The checksum is made right, so that the parser is reached.
      for (let k = pick(4); k > 0; k--) frame[38 + pick(frame.length - 38)] = pick(256);
      const igmp = checksummed([...frame.subarray(38, frame.length - (pick(8) === 0 ? pick(frame.length - 38) : 0))]);
      host.link.inject(message(igmp.length % 2 === 0 ? igmp : igmp.slice(0, -1), pick(2) ? G1 : '224.0.0.1'));
      const so = sockets[pick(3)]!;
      group(so, [ADD, DROP, ADD_SOURCE, DROP_SOURCE, BLOCK, UNBLOCK][pick(6)]!, pick(2) ? G1 : G2, [S1, S2, S3][pick(3)]);
      if (pick(4) === 0) host.run(pick(2000));
      host.link.take();
    }
    expect(host.count('igmp', 'total')).toBeGreaterThan(1500);
    for (const so of sockets) soclose(so);
    host.run(600_000);
    host.link.take();
    host.link.inject(query({ code: 1 }));
    expect(said(host, 10_000)).toEqual([]);
    expect(inetIf(host.ifp)!.groups.size).toBe(0);
    expect(host.kernel.bufpool.used).toBe(0);
  });
});
