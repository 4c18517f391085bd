/** ICMP: rows "792/1122 3.2.2" and "1191" of the requirements. */
import { describe, expect, it } from 'vitest';
import { SIOCGRT, type RtGetReq } from '../../../src/kern/ifnet/neighioctl.ts';
import { sosetopt, sotakeerror } from '../../../src/kern/socket/calls.ts';
import { sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { parseAddr } from '../../../src/wire/addrtext.ts';
import { sum16 } from '../../../src/wire/checksum.ts';
import { BCAST_MAC, type IpFields, bytesOf, concat, ether, icmp, ip, ipOf, pattern, ping, udp, udpFrame } from './frames.ts';
import type { Route } from '../../../src/stacks/inet/contract.ts';
import { Inet } from '../../../src/stacks/inet/inet.ts';
import { inetIf } from '../../../src/stacks/inet/netif.ts';
import { Host, at, ok } from './harness.ts';

const DATA = pattern(48);
const icmpFrame = (type: number, code: number, rest: number, data: Uint8Array, fields: IpFields = {}): Uint8Array =>
  ether(ip(icmp(type, code, rest, data), { proto: 1, ...fields }));

describe('echo (RFC 792)', () => {
  it('comes back with its data, identifier, sequence number and type of service', () => {
    const host = new Host();
    const [frame] = host.exchange(ping(DATA, { tos: 0x48, ttl: 3 }));
    const reply = ipOf(frame!);
    expect(reply).toMatchObject({ src: '10.0.0.2', dst: '10.0.0.1', proto: 1, tos: 0x48, ttl: 64, sumOk: true });
    expect(reply.data).toEqual(icmp(0, 0, (0x1234 << 16) | 1, DATA));
  });

  it('comes back to whoever asked, also through a gateway', () => {
    const host = new Host();
    host.addRoute('0.0.0.0/0', '10.0.0.1');
    expect(ipOf(host.exchange(ping(DATA, { src: '192.0.2.9' }))[0]!).dst).toBe('192.0.2.9');
  });

  it('without a way back it is counted', () => {
    const host = new Host();
    expect(host.exchange(ping(DATA, { src: '192.0.2.9' }))).toEqual([]);
    expect(host.count('icmp', 'noroute')).toBe(1);
  });

  it('to a broadcast address stays unanswered (net.inet.icmp.bmcastecho=0), until an operator wants it', () => {
    const host = new Host();
    const all = concat(BCAST_MAC, ping(DATA, { dst: '10.0.0.255' }).subarray(6));
    expect(host.exchange(all)).toEqual([]);
    expect(host.count('icmp', 'bmcastecho')).toBe(1);
    host.sysctl('net.inet.icmp.bmcastecho', true);
    expect(ipOf(host.exchange(all)[0]!)).toMatchObject({ src: '10.0.0.2', dst: '10.0.0.1' });
  });

  it('has a right checksum for every request, one of nothing but zeros too', () => {
    const host = new Host();
    const zeros = ipOf(host.exchange(ping(new Uint8Array(8), {}, 0, 0))[0]!).data;
    expect(sum16(zeros, 0, zeros.length, 0)).toBe(0xffff);
    for (let seq = 0; seq < 70_000; seq += 97) {
      const [frame] = host.exchange(ping(new Uint8Array(0), {}, 0xf7ff - (seq & 0xff), seq & 0xffff));
      const { data } = ipOf(frame!);
      expect(sum16(data, 0, data.length, 0)).toBe(0xffff);
    }
  });

  it('bad messages are counted and dropped', () => {
    const host = new Host();
    expect(host.exchange(ether(ip(icmp(8, 0, 0, DATA, true), { proto: 1 })), ether(ip(new Uint8Array(7), { proto: 1 })))).toEqual(
      [],
    );
    expect([host.count('icmp', 'checksum'), host.count('icmp', 'tooshort')]).toEqual([1, 1]);
  });

  it('replies go out when the ring has room, and are counted when it has none', () => {
    const host = new Host({ slots: 4 });
    host.link.inject(Array.from({ length: 10 }, () => ping(DATA)));
    host.run(0);
    // The stack flushes a full ring itself.
    expect(host.link.take().length).toBe(10);
  });
});

describe('timestamp (RFC 792)', () => {
  it('is answered with milliseconds since midnight UT', () => {
    const host = new Host();
    host.run(1234);
    const data = ipOf(host.exchange(icmpFrame(13, 0, 7, Uint8Array.of(0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0)))[0]!).data;
    const view = Buffer.from(data);
    expect([data.length, data[0], view.readUInt32BE(8)]).toEqual([20, 14, 99]);
    const now = Math.floor(host.kernel.clock.realtimeMs()) % 86_400_000;
    expect([view.readUInt32BE(12), view.readUInt32BE(16)]).toEqual([now, now]);
    expect(sum16(data, 0, 20, 0)).toBe(0xffff);
  });

  it('not to a group, not when short, not when switched off', () => {
    const host = new Host();
    const body = new Uint8Array(12);
    expect(host.exchange(concat(BCAST_MAC, icmpFrame(13, 0, 7, body, { dst: '10.0.0.255' }).subarray(6)))).toEqual([]);
    expect(host.exchange(icmpFrame(13, 0, 7, body.subarray(0, 11)))).toEqual([]);
    host.sysctl('net.inet.icmp.tstamprepl', false);
    expect(host.exchange(icmpFrame(13, 0, 7, body))).toEqual([]);
  });
});

describe('errors out (RFC 1122 §3.2.2, RFC 1812 §4.3.2)', () => {
  const toClosed = (n: number, fields: IpFields = {}): Uint8Array => udpFrame(pattern(n), { dport: 999 }, fields);

  it('quote as much as fits 576 bytes', () => {
    const host = new Host();
    for (const n of [0, 100, 520, 521, 1400]) {
      const packet = toClosed(n).subarray(14);
      const reply = ipOf(host.exchange(toClosed(n))[0]!);
      expect(reply.len).toBe(Math.min(576, 28 + packet.length));
      expect([reply.data[0], reply.data[1]]).toEqual([3, 3]);
      expect(reply.data.subarray(8)).toEqual(packet.subarray(0, 548));
      expect(sum16(reply.data, 0, reply.data.length, 0)).toBe(0xffff);
    }
  });

  it('are never about an error, a group, a later fragment or a source that is no host', () => {
    const host = new Host();
    const packet = toClosed(8).subarray(14);
    const silent = [
      icmpFrame(3, 3, 0, packet),
      icmpFrame(11, 0, 0, packet),
      concat(BCAST_MAC, udpFrame(DATA, { dport: 999, dst: '10.0.0.255' }).subarray(6)),
      concat(BCAST_MAC, udpFrame(DATA, { dport: 999, dst: '255.255.255.255' }).subarray(6)),
      udpFrame(DATA, { dport: 999, dst: '224.0.0.1' }),
      ether(ip(pattern(16), { proto: 200, off: 800 })),
      ether(ip(icmp(3, 1, 0, packet), { proto: 1, options: [7, 0, 0, 0] })),
    ];
    expect(host.exchange(...silent)).toEqual([]);
  });

  it('are limited in rate (net.inet.icmp.icmplim), echoes are not', () => {
    const host = new Host({ slots: 1024 });
    const burst = Array.from({ length: 600 }, () => toClosed(8));
    const sent = host.exchange(...burst).length;
    expect(sent).toBeGreaterThan(180);
    expect(sent).toBeLessThanOrEqual(200);
    expect(host.count('icmp', 'error_ratelimited')).toBe(600 - sent);
    expect(host.exchange(...Array.from({ length: 600 }, () => ping(DATA))).length).toBe(600);
    host.run(500);
    const later = host.exchange(...burst).length;
    expect(later).toBeGreaterThan(80);
    expect(later).toBeLessThanOrEqual(110);
    host.sysctl('net.inet.icmp.icmplim', 0);
    expect(host.exchange(...burst).length).toBe(600);
  });
});

describe('errors in', () => {
  function connected(host: Host): ReturnType<Host['udp']> {
    const so = host.udp(4000, at('10.0.0.1', 9));
    sosendto(so, DATA, 0, DATA.length, null);
    return so;
  }
  /** What we sent, as a router quotes it. */
  const ours = (host: Host): Uint8Array => host.sent()[0]!.subarray(14);

  const cases: [number, number, string | null][] = [
    [3, 0, 'EHOSTUNREACH'],
    [3, 1, 'EHOSTUNREACH'],
    [3, 2, 'ECONNREFUSED'],
    [3, 3, 'ECONNREFUSED'],
    [3, 5, 'EHOSTUNREACH'],
    [3, 9, 'EHOSTUNREACH'],
    [3, 13, 'EHOSTUNREACH'],
    [3, 16, null],
    [11, 0, null],
    [12, 0, 'ENOPROTOOPT'],
    [4, 0, null],
    [5, 1, null],
  ];
  for (const [type, code, err] of cases) {
    it(`type ${type} code ${code} is ${err ?? 'nothing'} to a connected socket`, () => {
      const host = new Host();
      const so = connected(host);
      expect(host.exchange(icmpFrame(type, code, 0, ours(host)))).toEqual([]);
      expect(sotakeerror(so)).toBe(err);
    });
  }

  it('source quench and redirect are counted and not obeyed (RFC 6633)', () => {
    const host = new Host();
    connected(host);
    const packet = ours(host);
    host.exchange(icmpFrame(4, 0, 0, packet), icmpFrame(5, 1, 0x0a000063, packet));
    expect([host.count('icmp', 'quench'), host.count('icmp', 'redirect')]).toEqual([1, 1]);
    const route: RtGetReq = { dst: parseAddr('10.0.0.1')! };
    host.ioctl(SIOCGRT, route);
    expect(route.gateway).toBeNull();
  });

  it('that quote no packet of ours, too little, or a later fragment are counted', () => {
    const host = new Host();
    const so = connected(host);
    const packet = ours(host);
    const foreign = ip(udp(DATA), { src: '10.0.0.9', dst: '10.0.0.1' });
    const fragment = ip(udp(DATA), { src: '10.0.0.2', dst: '10.0.0.1', off: 8 });
    const v6 = packet.slice();
    v6[0] = 0x65;
    host.exchange(
      icmpFrame(3, 3, 0, foreign),
      icmpFrame(3, 3, 0, packet.subarray(0, 27)),
      icmpFrame(3, 3, 0, packet.subarray(0, 10)),
      icmpFrame(3, 3, 0, fragment),
      icmpFrame(3, 3, 0, v6),
      icmpFrame(3, 3, 0, new Uint8Array(0)),
      icmpFrame(3, 3, 0, ip(pattern(20), { src: '10.0.0.2', dst: '10.0.0.1', proto: 99 })),
    );
    expect([host.count('icmp', 'notours'), host.count('icmp', 'badlen'), host.count('icmp', 'noctl')]).toEqual([1, 5, 1]);
    expect(sotakeerror(so)).toBeNull();
  });

  it('reach only the socket of that peer', () => {
    const host = new Host();
    const so = connected(host);
    const packet = ours(host);
    const other = packet.slice();
    other[20 + 3] = 10;
    host.exchange(icmpFrame(3, 3, 0, other));
    expect(sotakeerror(so)).toBeNull();
    expect(host.count('udp', 'ctlnosock')).toBe(1);
  });
});

describe('path MTU (RFC 1191)', () => {
  function mtuTo(host: Host, dst: string): number {
    const route: RtGetReq = { dst: parseAddr(dst)! };
    expect(host.ioctl(SIOCGRT, route)).toBeNull();
    return route.mtu!;
  }
  const quoteTo = (dst: string, n: number): Uint8Array =>
    ip(udp(pattern(n), { src: '10.0.0.2', dst, sport: 4000, dport: 9 }), { src: '10.0.0.2', dst, df: true });
  const needFrag = (mtu: number, dst = '192.0.2.7', n = 1472): Uint8Array =>
    icmpFrame(3, 4, mtu, quoteTo(dst, n).subarray(0, 28));

  function far(): Host {
    const host = new Host();
    host.addRoute('0.0.0.0/0', '10.0.0.1');
    host.udp(4000);
    return host;
  }

  it('"fragmentation needed" lowers it for that destination only, for ten minutes', () => {
    const host = far();
    host.exchange(needFrag(1400));
    expect([mtuTo(host, '192.0.2.7'), mtuTo(host, '192.0.2.8')]).toEqual([1400, 1500]);
    host.run(500_000);
    expect(mtuTo(host, '192.0.2.7')).toBe(1400);
    host.run(200_000);
    expect(mtuTo(host, '192.0.2.7')).toBe(1500);
    expect(host.count('route', 'pmtuexpired')).toBe(1);
  });

  it('datagrams are then cut for it, or refused with DF', () => {
    const host = far();
    const so = host.udp(4001, at('192.0.2.7', 9));
    host.exchange(needFrag(1000));
    expect(sosendto(so, pattern(1400), 0, 1400, null)).toBeNull();
    expect(host.sent().map((f) => ipOf(f).len)).toEqual([996, 452]);
    sosetopt(so, { dir: 'set', level: 0, name: 67, value: 1 });
    expect(sosendto(so, pattern(1400), 0, 1400, null)).toBe('EMSGSIZE');
  });

  it('a router that does not say gets the next plateau (RFC 1191 §7.1)', () => {
    const host = far();
    host.exchange(needFrag(0));
    expect(mtuTo(host, '192.0.2.7')).toBe(1492);
  });

  it('is never raised, never below 552, and not at all by nonsense', () => {
    const host = far();
    host.exchange(needFrag(1400), needFrag(1450), needFrag(9000));
    expect(mtuTo(host, '192.0.2.7')).toBe(1400);
    host.exchange(needFrag(20));
    expect(mtuTo(host, '192.0.2.7')).toBe(1400);
    host.exchange(needFrag(100));
    expect(mtuTo(host, '192.0.2.7')).toBe(552);
    expect(host.count('route', 'pmturefused')).toBe(3);
  });

  it('below 552 DF is given up, so that routers can cut', () => {
    const host = far();
    const so = host.udp(4001, at('192.0.2.7', 9));
    sosetopt(so, { dir: 'set', level: 0, name: 67, value: 1 });
    sosendto(so, pattern(400), 0, 400, null);
    expect(ipOf(host.sent()[0]!).df).toBe(true);
    host.exchange(needFrag(300));
    sosendto(so, pattern(400), 0, 400, null);
    expect(ipOf(host.sent()[0]!).df).toBe(false);
  });

  it("a transport that sets the route's MTU lowers it for all who send there, and for ten minutes", () => {
    const host = new Host();
    host.addRoute('0.0.0.0/0', '10.0.0.1');
    const inet = new Inet(host.kernel, 1);
    inet.ifAttach(host.ifp);
    inet.addAddress(inetIf(host.ifp)!, parseAddr('10.5.0.2')!, 8, null);
    const a = ok(inet.ip.route(parseAddr('10.9.9.9')!, 0)) as Route;
    a.mtu = 1200;
    const b = ok(inet.ip.route(parseAddr('10.9.9.9')!, 0)) as Route;
    expect([a.mtu, b.mtu]).toEqual([1200, 1200]);
    inet.routes.changed();
    expect((ok(inet.ip.revalidate(a)) as Route).mtu).toBe(1200);
    a.mtu = 1400;
    expect((ok(inet.ip.revalidate(a)) as Route).mtu).toBe(1200);
    host.run(700_000);
    expect((ok(inet.ip.revalidate(a)) as Route).mtu).toBe(1500);
  });

  it('a transport cannot go below the smallest that is believed (net.inet.ip.pmtu_min)', () => {
    const host = new Host();
    const inet = new Inet(host.kernel, 1);
    inet.routes.minPathMtu = 1280;
    inet.ifAttach(host.ifp);
    inet.addAddress(inetIf(host.ifp)!, parseAddr('10.5.0.2')!, 8, null);
    const route = ok(inet.ip.route(parseAddr('10.9.9.9')!, 0)) as Route;
    route.mtu = 10;
    expect(route.mtu).toBe(1500);
    route.mtu = 600;
    expect(route.mtu).toBe(1280);
  });

  it('a port that nobody uses lowers nothing', () => {
    const host = new Host();
    host.addRoute('0.0.0.0/0', '10.0.0.1');
    host.exchange(needFrag(1400));
    expect(mtuTo(host, '192.0.2.7')).toBe(1500);
  });

  it('many destinations stay within the limit', () => {
    const host = far();
    host.sysctl('net.inet.ip.pmtu_limit', 16);
    for (let i = 1; i < 60; i++) host.exchange(needFrag(1400, `192.0.2.${i}`));
    expect(host.count('route', 'pmtuevicted')).toBe(59 - 16);
    expect([mtuTo(host, '192.0.2.1'), mtuTo(host, '192.0.2.59')]).toEqual([1500, 1400]);
  });
});

describe('a socket that is not connected', () => {
  it('hears nothing', () => {
    const host = new Host();
    const so = host.udp(4000);
    sosendto(so, bytesOf('x'), 0, 1, at('10.0.0.1', 9));
    host.exchange(icmpFrame(3, 3, 0, host.sent()[0]!.subarray(14)));
    expect(sotakeerror(so)).toBeNull();
  });
});
