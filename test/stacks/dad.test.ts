/** Addresses that are asked for before they are used (RFC 5227 §2.1, net.inet.ip.dad_count), on both stacks. */
import { describe, expect, it } from 'vitest';
import {
  type IfAddrReq,
  type IfConfReq,
  SIOCAIFADDR,
  SIOCDIFADDR,
  SIOCGIFADDR,
  SIOCGIFCONF,
} from '../../src/kern/ifnet/ifioctl.ts';
import { sobind } from '../../src/kern/socket/calls.ts';
import { sosendto } from '../../src/kern/socket/sendrecv.ts';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { inetModule } from '../../src/stacks/inet/inetmodule.ts';
import { addrToString, parsePrefix } from '../../src/wire/addrtext.ts';
import { parseMac } from '../../src/wire/ethernet.ts';
import { OUR_IP, OUR_MAC, PEER_IP, arp, arps, ipOf, ping, typeOf } from './inet/frames.ts';
import { Host, at } from './inet/harness.ts';

const OTHER = parseMac('02:00:00:00:00:09')!;
const PROBE = { to: 'ff:ff:ff:ff:ff:ff', oper: 1, spa: '0.0.0.0', tha: '00:00:00:00:00:00', tpa: OUR_IP };
const ANNOUNCEMENT = { to: 'ff:ff:ff:ff:ff:ff', oper: 1, spa: OUR_IP, tpa: OUR_IP };
/** No station may take longer: wait, two intervals, and the wait for an answer. */
const LONGEST_MS = 1000 + 2 * 2000 + 2000;

describe.each([
  ['inet', () => inetModule(null)],
  ['alt', () => alt],
] as const)('%s', (_name, stack) => {
  function boot(count = 3): Host {
    return new Host({ stack: stack(), addr: null, env: { 'net.inet.ip.dad_count': String(count) } });
  }

  function request(host: Host, prefix = `${OUR_IP}/24`): IfAddrReq {
    const { addr, len } = parsePrefix(prefix)!;
    return { name: host.ifp.name(), addr, prefixLen: len };
  }

  /** Addresses as ifconfig shows them. */
  function shown(host: Host): string[] {
    const conf: IfConfReq = { addrs: [] };
    expect(host.ioctl(SIOCGIFCONF, conf)).toBeNull();
    return conf.addrs.map((a) => `${addrToString(a.addr)}/${a.prefixLen}${a.state === undefined ? '' : ` ${a.state}`}`);
  }

  /** What leaves in so many milliseconds, and when. */
  function watch(host: Host, ms: number): { ms: number; arp: ReturnType<typeof arps>[number] }[] {
    const seen = [];
    for (let k = 0; k < ms; k++) {
      for (const one of arps(host.sent())) seen.push({ ms: k, arp: one });
      host.run(1);
    }
    return seen;
  }

  it('three probes without a claim, one to two seconds apart, then two announcements', () => {
    const host = boot();
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    const seen = watch(host, 12_000);
    expect(seen.map((s) => s.arp)).toMatchObject([PROBE, PROBE, PROBE, ANNOUNCEMENT, ANNOUNCEMENT]);
    const times = seen.map((s) => s.ms);
    expect(times[0]).toBeLessThanOrEqual(1000);
    for (const k of [1, 2]) {
      expect(times[k]! - times[k - 1]!).toBeGreaterThanOrEqual(1000);
      expect(times[k]! - times[k - 1]!).toBeLessThanOrEqual(2001);
    }
    expect(times[3]! - times[2]!).toBeGreaterThanOrEqual(2000);
    expect(times[4]! - times[3]!).toBeGreaterThanOrEqual(2000);
    expect([host.count('arp', 'txprobes'), host.count('arp', 'dadconflicts')]).toEqual([3, 0]);
  });

  it('who listens for changes of addresses hears when it is in use', () => {
    const host = boot();
    const heard: string[] = [];
    host.kernel.events.on('ifaddr_event', (ifp) => heard.push(`${ifp.name()} ${shown(host).join()}`));
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    host.run(LONGEST_MS);
    expect(heard.at(-1)).toBe(`${host.ifp.name()} ${OUR_IP}/24`);
  });

  it('is forgotten with its interface', () => {
    const host = boot();
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    host.run(1500);
    host.sent();
    const heard: string[] = [];
    host.kernel.events.on('ifaddr_event', (ifp) => heard.push(ifp.name()));
    expect(host.kernel.ifnets.detach(host.ifp)).toBeNull();
    host.run(2 * LONGEST_MS);
    expect([shown(host), host.sent(), heard]).toEqual([[], [], []]);
    expect(host.world.lines.filter((l) => l.level === 'error')).toEqual([]);
  });

  it('the times differ from host to host', () => {
    const first = new Set<number>();
    for (let k = 0; k < 4; k++) {
      const host = boot();
      for (let n = 0; n <= k; n++) host.kernel.random.u32();
      host.addAddr(host.ifp, `${OUR_IP}/24`);
      first.add(watch(host, 1100)[0]?.ms ?? -1);
    }
    expect(first.size).toBeGreaterThan(1);
  });

  it('while it is tentative it is shown so, not answered for, no source and not to be bound', () => {
    const host = boot();
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    expect(shown(host)).toEqual([`${OUR_IP}/24 tentative`]);
    expect(host.ioctl(SIOCGIFADDR, request(host))).toBe('EADDRNOTAVAIL');
    host.run(3000);
    host.sent();
    // Asked for by somebody who has an address of his own, and pinged.
    expect(host.exchange(arp(), ping(new Uint8Array(8)))).toEqual([]);
    const so = host.socket();
    expect(sobind(so, at(OUR_IP, 5000))).toBe('EADDRNOTAVAIL');
    expect(sosendto(host.socket(), new Uint8Array(4), 0, 4, at(PEER_IP, 9))).not.toBeNull();
    expect(arps(host.sent()).filter((a) => a.spa !== '0.0.0.0' || a.tpa !== OUR_IP)).toEqual([]);
    host.run(LONGEST_MS);
    host.sent();
    expect(shown(host)).toEqual([`${OUR_IP}/24`]);
    expect(sobind(so, at(OUR_IP, 5000))).toBeNull();
    expect(arps(host.exchange(arp()))).toMatchObject([{ oper: 2, spa: OUR_IP, tpa: PEER_IP }]);
    const answers = host.exchange(ping(new Uint8Array(8))).filter((f) => typeOf(f) === 0x800);
    expect(answers.map((f) => ipOf(f).src)).toEqual([OUR_IP]);
  });

  const conflicts: [string, Parameters<typeof arp>[0]][] = [
    ['a reply of who has it', { oper: 2, sha: OTHER, spa: OUR_IP, tpa: '0.0.0.0', tha: OUR_MAC, dst: OUR_MAC }],
    ['a request of who has it', { sha: OTHER, spa: OUR_IP, tpa: '10.0.0.77' }],
    ['an announcement', { sha: OTHER, spa: OUR_IP, tpa: OUR_IP }],
    ['a probe of who wants it too', { sha: OTHER, spa: '0.0.0.0', tpa: OUR_IP }],
  ];
  for (const [what, fields] of conflicts) {
    it(`is not used after ${what}`, () => {
      const host = boot();
      host.addAddr(host.ifp, `${OUR_IP}/24`);
      host.run(1500);
      expect(arps(host.sent()).length).toBeGreaterThan(0);
      expect(host.exchange(arp(fields))).toEqual([]);
      expect(shown(host)).toEqual([`${OUR_IP}/24 duplicated`]);
      expect(host.count('arp', 'dadconflicts')).toBe(1);
      expect(host.world.lines.filter((l) => l.level === 'error').map((l) => l.msg)).toEqual([
        expect.stringMatching(/^address is not used: another/),
      ]);
      host.run(60_000);
      expect(host.sent()).toEqual([]);
      expect(arps(host.exchange(arp()))).toEqual([]);
    });
  }

  it('also in the two seconds after the last probe', () => {
    const host = boot(1);
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    let probed = -1;
    for (let k = 0; k < 1100 && probed < 0; k++) {
      host.run(1);
      if (arps(host.sent()).length > 0) probed = k;
    }
    host.run(1950);
    host.exchange(arp({ sha: OTHER, spa: OUR_IP, tpa: PEER_IP }));
    expect(shown(host)).toEqual([`${OUR_IP}/24 duplicated`]);
  });

  it('is not disturbed by others, by itself coming back, or by who asks for it with an address', () => {
    const host = boot();
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    for (let k = 0; k < LONGEST_MS; k += 100) {
      host.exchange(
        arp({ spa: '0.0.0.0', sha: OTHER, tpa: '10.0.0.3' }),
        arp({ spa: '0.0.0.0', sha: OUR_MAC, tpa: OUR_IP }),
        arp({ spa: PEER_IP, tpa: OUR_IP }),
        arp({ spa: '10.0.0.9', sha: OTHER, tpa: PEER_IP, oper: 2 }),
      );
      host.run(100);
    }
    host.run(200);
    expect(shown(host)).toEqual([`${OUR_IP}/24`]);
    expect(host.count('arp', 'dadconflicts')).toBe(0);
  });

  it('can be set again, or taken away; twice at a time it is EEXIST', () => {
    const host = boot();
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    expect(host.ioctl(SIOCAIFADDR, request(host))).toBe('EEXIST');
    host.exchange(arp({ sha: OTHER, spa: OUR_IP, tpa: OUR_IP }));
    expect(shown(host)).toEqual([`${OUR_IP}/24 duplicated`]);
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    expect(shown(host)).toEqual([`${OUR_IP}/24 tentative`]);
    host.run(LONGEST_MS + 100);
    expect(shown(host)).toEqual([`${OUR_IP}/24`]);
    host.addAddr(host.ifp, '10.0.0.3/24');
    expect(shown(host)).toEqual([`${OUR_IP}/24`, '10.0.0.3/24 tentative']);
    expect(host.ioctl(SIOCDIFADDR, request(host, '10.0.0.3/24'))).toBeNull();
    expect(host.ioctl(SIOCDIFADDR, request(host, '10.0.0.3/24'))).toBe('EADDRNOTAVAIL');
    host.run(LONGEST_MS + 3000);
    expect(shown(host)).toEqual([`${OUR_IP}/24`]);
    expect(host.ioctl(SIOCAIFADDR, request(host))).toBe('EEXIST');
  });

  it('a bad address is refused at once', () => {
    const host = boot();
    for (const bad of ['0.0.0.0/24', '224.0.0.5/24', '255.255.255.255/24'])
      expect(host.ioctl(SIOCAIFADDR, request(host, bad)), bad).toBe('EINVAL');
    expect(shown(host)).toEqual([]);
  });

  it('waits for the interface to come up, and begins again when it went down', () => {
    const host = boot();
    host.ifp.setUp(false);
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    host.run(20_000);
    expect([shown(host), host.sent()]).toEqual([[`${OUR_IP}/24 tentative`], []]);
    host.ifp.setUp(true);
    host.run(2100);
    expect(arps(host.sent()).length).toBeGreaterThan(0);
    host.ifp.setUp(false);
    host.run(20_000);
    expect(shown(host)).toEqual([`${OUR_IP}/24 tentative`]);
    host.ifp.setUp(true);
    const seen = watch(host, LONGEST_MS + 100);
    expect(seen.slice(0, 4).map((s) => s.arp)).toMatchObject([PROBE, PROBE, PROBE, ANNOUNCEMENT]);
    expect(shown(host)).toEqual([`${OUR_IP}/24`]);
  });

  it('a duplicated one is tried again when the interface comes up: it may be another link', () => {
    const host = boot();
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    host.exchange(arp({ sha: OTHER, spa: OUR_IP, tpa: OUR_IP }));
    host.ifp.setUp(false);
    host.ifp.setUp(true);
    host.run(LONGEST_MS + 100);
    expect(shown(host)).toEqual([`${OUR_IP}/24`]);
  });

  it('its subnet is reached only once it is ours', () => {
    const host = boot();
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    const so = host.socket();
    expect(sosendto(so, new Uint8Array(4), 0, 4, at(PEER_IP, 9))).not.toBeNull();
    host.run(LONGEST_MS + 3000);
    host.sent();
    expect(sosendto(so, new Uint8Array(4), 0, 4, at(PEER_IP, 9))).toBeNull();
    expect(arps(host.sent())).toMatchObject([{ oper: 1, spa: OUR_IP, tpa: PEER_IP }]);
  });

  it('without the sysctl, which is the default, it is used at once', () => {
    const host = boot(0);
    host.addAddr(host.ifp, `${OUR_IP}/24`);
    expect(shown(host)).toEqual([`${OUR_IP}/24`]);
    expect(arps(host.exchange(arp())).filter((a) => a.oper === 2)).toMatchObject([{ spa: OUR_IP }]);
    expect(host.kernel.sysctl.read('net.inet.ip.dad_count')).toMatchObject({ value: 0 });
  });

  it('not on the loopback: nobody else is there', () => {
    const host = new Host({ stack: stack(), addr: null, type: 'loopback', env: { 'net.inet.ip.dad_count': '3' } });
    host.addAddr(host.ifp, '127.0.0.1/8');
    expect(shown(host)).toEqual(['127.0.0.1/8']);
  });
});
