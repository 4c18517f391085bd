/** Addresses, routes and ioctls: RFC 1122 §3.3.1 and §3.3.4, netintro(4). */
import { describe, expect, it } from 'vitest';
import type { Errno } from '../../../src/kern/errno.ts';
import {
  type IfAddrReq,
  type IfConfReq,
  type RtConfReq,
  SIOCADDRT,
  SIOCAIFADDR,
  SIOCDELRT,
  SIOCDIFADDR,
  SIOCGIFADDR,
} from '../../../src/kern/ifnet/ifioctl.ts';
import { SIOCGIFBRDADDR, SIOCGIFCONF, SIOCGIFMTU, SIOCGIFNETMASK, SIOCGRTCONF } from '../../../src/kern/ifnet/ifioctl.ts';
import { SIOCGNEIGHCONF, SIOCGRT, SIOCSNEIGH, type RtGetReq } from '../../../src/kern/ifnet/neighioctl.ts';
import type { Ifnet } from '../../../src/kern/ifnet/ifnet.ts';
import { sobind, socreate, soioctl } from '../../../src/kern/socket/calls.ts';
import { sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_DGRAM } from '../../../src/kern/socket/protosw.ts';
import { Proc } from '../../../src/kern/proc/proc.ts';
import { addrToString, parseAddr, parsePrefix } from '../../../src/wire/addrtext.ts';
import { RawLink } from '../../support/rawlink.ts';
import { bytesOf, ipOf, ping, readIp } from './frames.ts';
import { Host, at, ok } from './harness.ts';

function table(host: Host, fib = 0): string[] {
  const conf: RtConfReq = { fib, routes: [] };
  ok(host.ioctl(SIOCGRTCONF, conf));
  return conf.routes.map(
    (r) =>
      `${addrToString(r.dst)}/${r.prefixLen} ${r.gateway === undefined ? 'link' : addrToString(r.gateway)} ${r.name} ${r.flags}`,
  );
}

function way(host: Host, dst: string, fib = 0): string | Errno {
  const req: RtGetReq = { dst: parseAddr(dst)!, fib };
  const err = host.ioctl(SIOCGRT, req);
  if (err !== null) return err;
  return `${req.gateway === undefined || req.gateway === null ? 'link' : addrToString(req.gateway)} ${req.name} ${addrToString(req.src!)}`;
}

function second(host: Host, prefix: string): { link: RawLink; ifp: Ifnet } {
  const link = new RawLink({ lladdr: Uint8Array.of(2, 0, 0, 0, 1, 2) });
  const ifp = ok(host.kernel.ifnets.attach('raw', 1, link.link())) as Ifnet;
  ifp.setUp(true);
  host.addAddr(ifp, prefix);
  return { link, ifp };
}

const req = (name: string, prefix: string, more: object = {}): IfAddrReq => {
  const { addr, len } = parsePrefix(prefix)!;
  return { name, addr, prefixLen: len, ...more };
};

describe('addresses (SIOCAIFADDR, SIOCDIFADDR)', () => {
  it('bring the route of their subnet, and take it with them', () => {
    const host = new Host();
    expect(table(host)).toEqual(['10.0.0.0/24 link raw0 U']);
    host.addAddr(host.ifp, '10.0.0.3/24');
    host.addAddr(host.ifp, '172.16.5.5/12');
    expect(table(host)).toEqual(['10.0.0.0/24 link raw0 U', '172.16.0.0/12 link raw0 U']);
    ok(host.ioctl(SIOCDIFADDR, req('raw0', '10.0.0.2/24')));
    expect([table(host).length, way(host, '10.0.0.9')]).toEqual([2, 'link raw0 10.0.0.3']);
    ok(host.ioctl(SIOCDIFADDR, req('raw0', '10.0.0.3/24')));
    expect([table(host), way(host, '10.0.0.9')]).toEqual([['172.16.0.0/12 link raw0 U'], 'ENETUNREACH']);
    expect(host.ioctl(SIOCDIFADDR, req('raw0', '10.0.0.3/24'))).toBe('EADDRNOTAVAIL');
  });

  it('are refused when they cannot be: EEXIST, EINVAL, ENXIO', () => {
    const host = new Host();
    expect(host.ioctl(SIOCAIFADDR, req('raw0', '10.0.0.2/24'))).toBe('EEXIST');
    for (const bad of ['0.0.0.0/0', '224.0.0.1/24', '255.255.255.255/32', '240.0.0.1/8', '10.9.0.255/24']) {
      expect(host.ioctl(SIOCAIFADDR, req('raw0', bad)), bad).toBe('EINVAL');
    }
    expect(host.ioctl(SIOCAIFADDR, req('raw0', '2001:db8::1/64'))).toBe('EINVAL');
    expect(host.ioctl(SIOCAIFADDR, req('raw9', '10.9.0.1/24'))).toBe('ENXIO');
    for (const bad of [
      null,
      7,
      {},
      { name: 'raw0' },
      { name: 'raw0', addr: 'x', prefixLen: 8 },
      { name: 'raw0', addr: {}, prefixLen: 8 },
    ]) {
      expect(['EINVAL', 'ENXIO']).toContain(host.ioctl(SIOCAIFADDR, bad));
    }
    expect(host.ioctl(SIOCAIFADDR, { ...req('raw0', '10.9.0.1/24'), prefixLen: 33 })).toBe('EINVAL');
    expect(table(host).length).toBe(1);
  });

  it('can be read: one, its mask and broadcast, and all of them', () => {
    const host = new Host();
    host.addAddr(host.ifp, '192.168.1.1/31');
    for (const cmd of [SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFBRDADDR]) {
      const one = { name: 'raw0' } as IfAddrReq;
      ok(host.ioctl(cmd, one));
      expect([addrToString(one.addr), one.prefixLen, addrToString(one.broadcast!)]).toEqual(['10.0.0.2', 24, '10.0.0.255']);
    }
    const conf: IfConfReq = { addrs: [] };
    ok(host.ioctl(SIOCGIFCONF, conf));
    expect(conf.addrs.map((a) => `${a.name} ${addrToString(a.addr)}/${a.prefixLen} ${a.broadcast === undefined}`)).toEqual([
      'raw0 10.0.0.2/24 false',
      'raw0 192.168.1.1/31 true',
    ]);
    const none = new Host({ addr: null });
    expect(none.ioctl(SIOCGIFADDR, { name: 'raw0' })).toBe('EADDRNOTAVAIL');
    const mtu = { name: 'raw0', mtu: 0 };
    expect([host.ioctl(SIOCGIFMTU, mtu), mtu.mtu]).toEqual([null, 1500]);
  });

  it('of a point-to-point link bring the way to its other end', () => {
    const host = new Host();
    const link = new RawLink({ type: 'tunnel', mtu: 1480 });
    const ifp = ok(host.kernel.ifnets.attach('gif', 0, link.link())) as Ifnet;
    ifp.setUp(true);
    host.addAddr(ifp, '10.8.0.1/32', '10.8.0.2');
    expect(table(host)).toContain('10.8.0.2/32 link gif0 UH');
    host.addRoute('192.0.2.0/24', '10.8.0.2');
    expect(way(host, '192.0.2.1')).toBe('10.8.0.2 gif0 10.8.0.1');
    const so = host.udp(4000);
    ok(sosendto(so, bytesOf('x'), 0, 1, at('192.0.2.1', 9)));
    host.run(0);
    const [packet] = link.take();
    expect(readIp(packet!)).toMatchObject({ src: '10.8.0.1', dst: '192.0.2.1' });
    link.inject(packet!.slice());
    expect(host.count('ip', 'total')).toBeGreaterThan(0);
  });
});

describe('routes (SIOCADDRT, SIOCDELRT)', () => {
  it('the longest prefix wins; the source is of the subnet of the next hop', () => {
    const host = new Host();
    second(host, '10.1.0.2/16');
    host.addRoute('0.0.0.0/0', '10.0.0.1');
    host.addRoute('192.0.2.0/24', '10.1.0.1');
    host.addRoute('192.0.2.128/25', '10.0.0.9');
    expect(way(host, '8.8.8.8')).toBe('10.0.0.1 raw0 10.0.0.2');
    expect(way(host, '192.0.2.1')).toBe('10.1.0.1 raw1 10.1.0.2');
    expect(way(host, '192.0.2.200')).toBe('10.0.0.9 raw0 10.0.0.2');
    expect(way(host, '10.1.77.7')).toBe('link raw1 10.1.0.2');
    expect(way(host, '10.1.0.2')).toBe('link raw1 10.1.0.2');
    expect(table(host)[0]).toBe('192.0.2.128/25 10.0.0.9 raw0 UGS');
  });

  it('EEXIST, ENETUNREACH, ENOENT, EINVAL', () => {
    const host = new Host();
    const route = (prefix: string, gateway?: string, more: object = {}): object => {
      const { addr, len } = parsePrefix(prefix)!;
      return { dst: addr, prefixLen: len, ...(gateway === undefined ? {} : { gateway: parseAddr(gateway) }), ...more };
    };
    host.addRoute('192.0.2.0/24', '10.0.0.1');
    expect(host.ioctl(SIOCADDRT, route('192.0.2.7/24', '10.0.0.3'))).toBe('EEXIST');
    expect(host.ioctl(SIOCADDRT, route('192.0.3.0/24', '172.16.0.1'))).toBe('ENETUNREACH');
    expect(host.ioctl(SIOCADDRT, route('192.0.3.0/24'))).toBe('EINVAL');
    expect(host.ioctl(SIOCADDRT, route('192.0.3.0/24', '10.0.0.1', { fib: 1 }))).toBe('EINVAL');
    expect(host.ioctl(SIOCADDRT, route('192.0.3.0/24', undefined, { name: 'nosuch' }))).toBe('ENXIO');
    expect(host.ioctl(SIOCADDRT, route('192.0.3.0/24', undefined, { name: 'raw0' }))).toBeNull();
    expect(host.ioctl(SIOCDELRT, route('192.0.9.0/24'))).toBe('ESRCH');
    expect(host.ioctl(SIOCDELRT, route('192.0.2.0/24', '10.0.0.9'))).toBe('ESRCH');
    expect(host.ioctl(SIOCDELRT, route('192.0.2.0/24'))).toBeNull();
    expect(way(host, '192.0.2.1')).toBe('ENETUNREACH');
    for (const bad of [null, 'x', {}, { dst: 5, prefixLen: 4 }]) expect(host.ioctl(SIOCADDRT, bad)).toBe('EINVAL');
  });

  it('are taken away only by a request that says what they are', () => {
    const host = new Host();
    second(host, '10.1.0.2/16');
    host.addRoute('192.0.2.0/24', '10.0.0.1');
    const del = (more: object): Errno | null => host.ioctl(SIOCDELRT, { dst: parseAddr('192.0.2.0'), prefixLen: 24, ...more });
    expect([del({ gateway: 'x' }), del({ gateway: null }), del({ fib: 7 }), del({ fib: 0.5 }), del({ name: 5 })]).toEqual(
      new Array<Errno>(5).fill('EINVAL'),
    );
    expect([del({ gateway: parseAddr('10.0.0.9') }), del({ name: 'raw1' }), del({ name: 'nosuch' })]).toEqual([
      'ESRCH',
      'ESRCH',
      'ENXIO',
    ]);
    expect(del({ gateway: parseAddr('10.0.0.1'), name: 'raw0' })).toBeNull();
    expect(del({})).toBe('ESRCH');
  });

  it('a detached interface takes its routes, addresses and neighbours with it', () => {
    const host = new Host();
    const { ifp } = second(host, '10.1.0.2/16');
    host.addRoute('0.0.0.0/0', '10.1.0.1');
    const so = host.udp(4000);
    ok(sosendto(so, bytesOf('x'), 0, 1, at('8.8.8.8', 9)));
    ok(host.kernel.ifnets.detach(ifp));
    expect(table(host)).toEqual(['10.0.0.0/24 link raw0 U']);
    expect(sosendto(so, bytesOf('x'), 0, 1, at('8.8.8.8', 9))).toBe('ENETUNREACH');
    expect(sobind(host.socket(), at('10.1.0.2', 5))).toBe('EADDRNOTAVAIL');
    host.run(60_000);
    expect(host.kernel.bufpool.used).toBe(0);
  });

  it('a subnet stays reachable over the other interface in it when one is detached', () => {
    const host = new Host();
    second(host, '10.0.0.3/24');
    expect(table(host)).toEqual(['10.0.0.0/24 link raw0 U']);
    ok(host.kernel.ifnets.detach(host.ifp));
    expect(table(host)).toEqual(['10.0.0.0/24 link raw1 U']);
    expect(way(host, '10.0.0.9')).toBe('link raw1 10.0.0.3');
  });

  it('a subnet goes to the next address that is in it, and brings back no other', () => {
    const host = new Host();
    host.addAddr(host.ifp, '10.7.0.2/24');
    const { ifp } = second(host, '10.0.0.3/24');
    expect(host.ioctl(SIOCDELRT, { dst: parseAddr('10.7.0.0')!, prefixLen: 24 })).toBeNull();
    expect(host.ioctl(SIOCDIFADDR, { name: 'raw0', addr: parseAddr('10.0.0.2')! })).toBeNull();
    expect(table(host)).toEqual(['10.0.0.0/24 link raw1 U']);
    expect(host.ioctl(SIOCDIFADDR, { name: ifp.name(), addr: parseAddr('10.0.0.3')! })).toBeNull();
    expect(table(host)).toEqual([]);
  });

  it('the route cache is bounded (net.inet.ip.rtcache_limit), and forgets nothing that matters', () => {
    const host = new Host();
    host.sysctl('net.inet.ip.rtcache_limit', 16);
    host.addRoute('0.0.0.0/0', '10.0.0.1');
    const so = host.udp(4000);
    for (let i = 0; i < 300; i++) ok(sosendto(so, bytesOf('x'), 0, 1, at(`192.0.${i >> 8}.${i & 255}`, 9)));
    expect(host.count('route', 'evicted')).toBeGreaterThan(280);
    expect(host.count('udp', 'opackets')).toBe(300);
  });

  it('an MTU that changes is seen by the next packet', () => {
    const host = new Host();
    const so = host.udp(0, at('10.0.0.1', 9));
    const send = (): number[] => {
      ok(sosendto(so, new Uint8Array(1400), 0, 1400, null));
      return host.sent().map((f) => ipOf(f).len);
    };
    expect(send()).toEqual([1428]);
    ok(host.ifp.setMtu(1000));
    expect(send()).toEqual([996, 452]);
  });
});

describe('routing tables (FIBs)', () => {
  it('net.fibs says how many; each has its own static routes, all have the connected ones', () => {
    const host = new Host({ env: { 'net.fibs': '3' } });
    expect(host.kernel.sysctl.read('net.fibs')).toMatchObject({ value: 3 });
    host.addRoute('0.0.0.0/0', '10.0.0.1', 0);
    host.addRoute('0.0.0.0/0', '10.0.0.9', 2);
    expect([way(host, '8.8.8.8', 0), way(host, '8.8.8.8', 1), way(host, '8.8.8.8', 2)]).toEqual([
      '10.0.0.1 raw0 10.0.0.2',
      'ENETUNREACH',
      '10.0.0.9 raw0 10.0.0.2',
    ]);
    expect(way(host, '8.8.8.8', 3)).toBe('EINVAL');
    expect(way(host, '10.0.0.77', 2)).toBe('link raw0 10.0.0.2');
  });

  it('setfib(2) and SO_SETFIB choose one; a wrong one is EINVAL', () => {
    const host = new Host({ env: { 'net.fibs': '2' } });
    host.addRoute('0.0.0.0/0', '10.0.0.1', 1);
    const { proc } = host;
    expect([proc.call('setfib', 2), proc.call('setfib', -1), proc.call('setfib', 'x')]).toEqual(['EINVAL', 'EINVAL', 'EINVAL']);
    expect(sosendto(host.udp(4000), bytesOf('x'), 0, 1, at('8.8.8.8', 9))).toBe('ENETUNREACH');
    expect(proc.call('setfib', 1)).toBeNull();
    const so = ok(socreate(host.kernel, AF_INET, SOCK_DGRAM, 0, proc));
    expect(sosendto(so, bytesOf('x'), 0, 1, at('8.8.8.8', 9))).toBeNull();
    const other = ok(socreate(host.kernel, AF_INET, SOCK_DGRAM, 0, new Proc(host.kernel)));
    const choose = (fib: number): Errno | null =>
      other.methods.ctloutput(other, { dir: 'set', level: 0xffff, name: 0x1014, value: fib });
    expect(sosendto(other, bytesOf('x'), 0, 1, at('8.8.8.8', 9))).toBe('ENETUNREACH');
    expect([choose(2), choose(1)]).toEqual(['EINVAL', null]);
    expect(sosendto(other, bytesOf('x'), 0, 1, at('8.8.8.8', 9))).toBeNull();
  });

  it("an ioctl about routes without a table is about the socket's", () => {
    const host = new Host({ env: { 'net.fibs': '2' } });
    const so = host.udp();
    so.fib = 1;
    const { addr, len } = parsePrefix('0.0.0.0/0')!;
    expect(soioctl(so, SIOCADDRT, { dst: addr, prefixLen: len, gateway: parseAddr('10.0.0.1') })).toBeNull();
    expect([table(host, 0).length, table(host, 1).length]).toEqual([1, 2]);
  });

  it('packets are answered by the table of the interface they came from', () => {
    const host = new Host({ env: { 'net.fibs': '2' } });
    host.addRoute('0.0.0.0/0', '10.0.0.1', 1);
    ok(host.ifp.setFib(1));
    expect(host.ifp.setFib(2)).toBe('EINVAL');
    expect(host.exchange(ping(bytesOf('x'), { src: '8.8.8.8' })).length).toBe(1);
  });
});

describe('requests', () => {
  it('through a socket reach the same groups; unknown ones are refused', () => {
    const host = new Host();
    const so = host.udp();
    const conf: IfConfReq = { addrs: [] };
    expect(soioctl(so, SIOCGIFCONF, conf)).toBeNull();
    expect(conf.addrs.length).toBe(1);
    expect(soioctl(so, 0x6972, {})).not.toBeNull();
    expect(host.ioctl(0xc0206963, { name: 'raw0' })).toBe('EOPNOTSUPP');
  });

  it('take no address that is more than 32 bits and a zone', () => {
    const host = new Host();
    const odd = { ...parseAddr('10.0.0.7')! };
    for (const addr of [
      { ...odd, w3: 3232235777 },
      { ...odd, w3: 2 ** 40 },
      { ...odd, zone: 3 },
      { ...odd, w3: 0.5 },
    ]) {
      expect(host.ioctl(SIOCAIFADDR, { name: 'raw0', addr, prefixLen: 24 })).toBe('EINVAL');
      expect(host.ioctl(SIOCADDRT, { dst: addr, prefixLen: 32, gateway: parseAddr('10.0.0.1') })).toBe('EINVAL');
      expect(host.ioctl(SIOCADDRT, { dst: odd, prefixLen: 32, gateway: addr })).toBe('EINVAL');
      expect(host.ioctl(SIOCGRT, { dst: addr })).toBe('EINVAL');
      expect(host.ioctl(SIOCSNEIGH, { addr, lladdr: Uint8Array.of(2, 0, 0, 0, 0, 7), name: 'raw0' })).toBe('EINVAL');
    }
  });

  it('about neighbours check what they are given', () => {
    const host = new Host();
    const mac = Uint8Array.of(2, 0, 0, 0, 0, 7);
    const set = (addr: string, lladdr: unknown, name?: string): Errno | null =>
      host.ioctl(SIOCSNEIGH, { addr: parseAddr(addr), lladdr, ...(name === undefined ? {} : { name }) });
    expect(set('10.0.0.7', mac)).toBeNull();
    expect([set('10.0.0.7', mac.subarray(1)), set('10.0.0.7', Uint8Array.of(1, 0, 0, 0, 0, 0)), set('10.0.0.7', 'x')]).toEqual([
      'EINVAL',
      'EINVAL',
      'EINVAL',
    ]);
    expect([set('192.0.2.1', mac), set('10.0.0.2', mac), set('10.0.0.8', mac, 'nosuch')]).toEqual([
      'ENETUNREACH',
      'EEXIST',
      'ENXIO',
    ]);
    expect(host.ioctl(SIOCGNEIGHCONF, null)).toBe('EINVAL');
  });
});
