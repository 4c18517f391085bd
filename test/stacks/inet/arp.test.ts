/** ARP: rows "826/5227" of the requirements, and RFC 1122 §2.3.2. */
import { describe, expect, it } from 'vitest';
import { IFF_NOARP, IFF_STATICARP, IFF_UP } from '../../../src/kern/ifnet/flags.ts';
import { type NeighConfReq, SIOCDNEIGH, SIOCGNEIGHCONF, SIOCSNEIGH } from '../../../src/kern/ifnet/neighioctl.ts';
import { sotakeerror } from '../../../src/kern/socket/calls.ts';
import { sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { addrToString, parseAddr } from '../../../src/wire/addrtext.ts';
import { ETHERTYPE_IPV4, macToString, parseMac } from '../../../src/wire/ethernet.ts';
import {
  BCAST_MAC,
  NO_MAC,
  OUR_IP,
  OUR_MAC,
  PEER_IP,
  PEER_MAC,
  arp,
  arps,
  bytesOf,
  concat,
  ipOf,
  readArp,
  stringOf,
  typeOf,
  udpFrame,
} from './frames.ts';
import { Host, type HostOptions, at, ok } from './harness.ts';

const OTHER_MAC = parseMac('02:00:00:00:00:09')!;
const quiet: HostOptions = { peerKnown: false };

const packets = (frames: Uint8Array[]): Uint8Array[] => frames.filter((f) => typeOf(f) === ETHERTYPE_IPV4);
const payloads = (frames: Uint8Array[]): string[] => packets(frames).map((f) => stringOf(ipOf(f).data.subarray(8)));

function say(host: Host, what: string, to = PEER_IP): void {
  host.udpSocket ??= host.udp(4000);
  const bytes = bytesOf(what);
  host.lastError = sosendto(host.udpSocket, bytes, 0, bytes.length, at(to, 9));
}

declare module './harness.ts' {
  interface Host {
    udpSocket?: ReturnType<Host['udp']>;
    lastError?: ReturnType<typeof sosendto>;
  }
}

function neighbours(host: Host): string[] {
  const conf: NeighConfReq = { neighbours: [] };
  host.ioctl(SIOCGNEIGHCONF, conf);
  return conf.neighbours.map((n) => `${addrToString(n.addr)} ${n.lladdr === null ? '-' : macToString(n.lladdr)} ${n.state}`);
}

const PEER_LINE = `${PEER_IP} ${macToString(PEER_MAC)} reachable`;

describe('answers (RFC 826)', () => {
  it('answers a request for our address, by unicast', () => {
    const host = new Host(quiet);
    expect(host.exchange(arp()).map(readArp)).toEqual([
      { to: macToString(PEER_MAC), oper: 2, sha: macToString(OUR_MAC), spa: OUR_IP, tha: macToString(PEER_MAC), tpa: PEER_IP },
    ]);
    expect(neighbours(host)).toEqual([PEER_LINE]);
  });

  it('answers a probe (sender 0.0.0.0) without learning anything (RFC 5227 §2.1.1)', () => {
    const host = new Host(quiet);
    expect(host.exchange(arp({ spa: '0.0.0.0' })).map(readArp)).toMatchObject([{ oper: 2, spa: OUR_IP, tpa: '0.0.0.0' }]);
    expect(neighbours(host)).toEqual([]);
  });

  it('says nothing about other addresses, nor about 0.0.0.0', () => {
    const host = new Host(quiet);
    expect(host.exchange(arp({ tpa: '10.0.0.3' }), arp({ tpa: '0.0.0.0' }), arp({ oper: 2 }))).toEqual([]);
  });

  it('says nothing for an address of another interface or while it has none', () => {
    const host = new Host({ addr: null });
    expect(host.exchange(arp(), arp({ tpa: '0.0.0.0' }))).toEqual([]);
  });
});

describe('bad packets are counted and dropped', () => {
  const cases: [string, string, Uint8Array][] = [
    ['short', 'tooshort', arp().subarray(0, 40)],
    ['other hardware', 'badfmt', arp({ patch: (b) => (b[1] = 6) })],
    ['other protocol', 'badfmt', arp({ patch: (b) => (b[2] = 0x86) })],
    ['hardware length', 'badfmt', arp({ patch: (b) => (b[4] = 8) })],
    ['protocol length', 'badfmt', arp({ patch: (b) => (b[5] = 16) })],
    ['reverse request', 'badop', arp({ oper: 3 })],
    ['operation 0', 'badop', arp({ oper: 0 })],
    ['group as sender', 'badsha', arp({ sha: BCAST_MAC })],
    ['zero as sender', 'badsha', arp({ sha: NO_MAC })],
    ['broadcast as sender address', 'badspa', arp({ spa: '10.0.0.255' })],
    ['limited broadcast as sender address', 'badspa', arp({ spa: '255.255.255.255' })],
    ['multicast as sender address', 'badspa', arp({ spa: '224.0.0.5' })],
    ['loopback as sender address', 'badspa', arp({ spa: '127.0.0.1' })],
    ['sender outside the subnet', 'offlink', arp({ spa: '192.168.7.7' })],
    ['our own packet', 'own', arp({ sha: OUR_MAC, spa: OUR_IP })],
  ];
  for (const [name, counter, frame] of cases) {
    it(`${name}: arp.${counter}`, () => {
      const host = new Host(quiet);
      const before = host.count('arp', counter);
      const sent = host.exchange(frame);
      expect(host.count('arp', counter)).toBe(before + 1);
      expect(neighbours(host)).toEqual([]);
      if (counter !== 'offlink') expect(sent).toEqual([]);
    });
  }
});

describe('learning (RFC 826 "packet reception")', () => {
  it('makes no entry from what is not for us', () => {
    const host = new Host(quiet);
    host.exchange(arp({ tpa: '10.0.0.9' }), arp({ oper: 2, tpa: '10.0.0.9' }), arp({ tpa: PEER_IP }));
    expect(neighbours(host)).toEqual([]);
  });

  it('updates an entry from anything its owner says, and logs the move', () => {
    const host = new Host();
    host.exchange(arp({ sha: OTHER_MAC, tpa: PEER_IP }));
    expect(neighbours(host)).toEqual([`${PEER_IP} ${macToString(OTHER_MAC)} reachable`]);
    expect(host.count('arp', 'moved')).toBe(1);
    expect(host.world.lines.some((line) => line.subsystem === 'arp' && line.msg.includes('moved'))).toBe(true);
    say(host, 'to the new place');
    expect(macToString(packets(host.sent())[0]!.subarray(0, 6))).toBe(macToString(OTHER_MAC));
  });

  it('leaves a permanent entry alone', () => {
    const host = new Host(quiet);
    expect(host.ioctl(SIOCSNEIGH, { addr: parseAddr(PEER_IP), lladdr: PEER_MAC })).toBeNull();
    host.exchange(arp({ sha: OTHER_MAC }));
    host.run(4_000_000);
    expect(neighbours(host)).toEqual([`${PEER_IP} ${macToString(PEER_MAC)} permanent`]);
    expect(host.count('arp', 'permrefused')).toBe(1);
    expect(host.ioctl(SIOCDNEIGH, { addr: parseAddr(PEER_IP) })).toBeNull();
    expect(neighbours(host)).toEqual([]);
    expect(host.ioctl(SIOCDNEIGH, { addr: parseAddr(PEER_IP) })).toBe('ENOENT');
  });
});

describe('resolution', () => {
  it('asks by broadcast, keeps packets, and sends them in order when answered', () => {
    const host = new Host(quiet);
    for (const what of ['one', 'two', 'three']) say(host, what);
    const asked = host.sent();
    expect(arps(asked)).toEqual([
      { to: 'ff:ff:ff:ff:ff:ff', oper: 1, sha: macToString(OUR_MAC), spa: OUR_IP, tha: macToString(NO_MAC), tpa: PEER_IP },
    ]);
    expect(packets(asked)).toEqual([]);
    const answered = host.exchange(arp({ oper: 2, tha: OUR_MAC, dst: OUR_MAC }));
    expect(payloads(answered)).toEqual(['one', 'two', 'three']);
    for (const frame of answered) expect(macToString(frame.subarray(0, 6))).toBe(macToString(PEER_MAC));
    say(host, 'four');
    expect(payloads(host.sent())).toEqual(['four']);
    expect(host.count('arp', 'txrequests')).toBe(1);
  });

  it("keeps a large datagram whole, fragments and all, without the sender's buffer", () => {
    const host = new Host({ peerKnown: false, mtu: 9000 });
    const so = host.udp(4000);
    const big = new Uint8Array(20_000).fill(65);
    sosendto(so, big, 0, big.length, at(PEER_IP, 9));
    big.fill(66);
    host.sent();
    const frames = packets(host.exchange(arp({ oper: 2 })));
    expect(frames.length).toBe(3);
    const data = concat(...frames.map((f) => ipOf(f).data)).subarray(8);
    expect(data.length).toBe(20_000);
    expect(data.every((b) => b === 65)).toBe(true);
  });

  it('holds a bounded queue: the oldest go (net.link.ether.inet.maxhold)', () => {
    const host = new Host(quiet);
    host.sysctl('net.link.ether.inet.maxhold', 16);
    for (let i = 0; i < 20; i++) say(host, `n${i}`);
    host.sent();
    const kept = payloads(host.exchange(arp({ oper: 2 })));
    expect(kept).toEqual(Array.from({ length: 16 }, (_, i) => `n${i + 4}`));
    expect(host.count('arp', 'dropped')).toBe(4);
  });

  it('holds a bounded number of bytes on the interface', () => {
    const host = new Host({ ...quiet, env: { 'net.link.ether.inet.maxhold_bytes': '8192' } });
    for (let i = 0; i < 8; i++) say(host, `n${i}`);
    host.sent();
    expect(payloads(host.exchange(arp({ oper: 2 }))).length).toBe(4);
    expect(host.count('arp', 'dropped')).toBe(4);
  });

  it('asks once a second, five times, then refuses for 20 s and tells the socket (RFC 1122 §2.3.2.1)', () => {
    const host = new Host(quiet);
    const so = host.udp(0, at(PEER_IP, 9));
    sosendto(so, bytesOf('x'), 0, 1, null);
    const times: number[] = [];
    for (let ms = 0; ms < 10_000; ms += 100) {
      times.push(...arps(host.sent()).map(() => ms));
      host.run(100);
    }
    expect(times).toEqual([0, 1000, 2000, 3000, 4000]);
    expect(host.count('arp', 'failed')).toBe(1);
    expect(sotakeerror(so)).toBe('EHOSTUNREACH');
    expect(sosendto(so, bytesOf('x'), 0, 1, null)).toBe('EHOSTUNREACH');
    expect(host.sent()).toEqual([]);
    expect(host.count('arp', 'holddown')).toBe(1);
    host.run(16_000);
    expect(sosendto(so, bytesOf('x'), 0, 1, null)).toBeNull();
    expect(arps(host.sent()).length).toBe(1);
  });

  it('believes a host that is heard of again before the 20 s are over', () => {
    const host = new Host(quiet);
    say(host, 'x');
    host.run(6000);
    host.sent();
    host.exchange(arp());
    say(host, 'back');
    expect(host.lastError).toBeNull();
    expect(payloads(host.sent())).toEqual(['back']);
  });

  it('sends to the gateway for what is not on the link', () => {
    const host = new Host(quiet);
    host.addRoute('0.0.0.0/0', PEER_IP);
    say(host, 'far', '192.0.2.7');
    expect(arps(host.sent())).toMatchObject([{ tpa: PEER_IP }]);
    const [frame] = packets(host.exchange(arp({ oper: 2 })));
    expect(ipOf(frame!)).toMatchObject({ dst: '192.0.2.7', src: OUR_IP });
  });
});

describe('age', () => {
  it('asks an entry in use by unicast when it is 20 minutes old, and uses it meanwhile', () => {
    const host = new Host();
    host.run(1_000_000);
    say(host, 'in use');
    host.sent();
    host.run(200_000);
    expect(arps(host.sent())).toMatchObject([{ to: macToString(PEER_MAC), oper: 1, tpa: PEER_IP }]);
    say(host, 'still good');
    expect(payloads(host.sent())).toEqual(['still good']);
    host.exchange(arp({ oper: 2, dst: OUR_MAC }));
    expect(neighbours(host)).toEqual([PEER_LINE]);
    host.run(60_000);
    expect(host.sent()).toEqual([]);
  });

  it('gives it up after five requests, the last by broadcast', () => {
    const host = new Host();
    say(host, 'in use');
    host.sent();
    host.run(1_210_000);
    const asked = arps(host.sent()).map((a) => a.to);
    expect(asked).toEqual([
      ...new Array<string>(3).fill(macToString(PEER_MAC)),
      ...new Array<string>(2).fill('ff:ff:ff:ff:ff:ff'),
    ]);
    expect(neighbours(host)).toEqual([]);
  });

  it('forgets an entry that nobody uses, without asking', () => {
    const host = new Host();
    host.run(1_210_000);
    expect(host.sent()).toEqual([]);
    expect(neighbours(host)).toEqual([]);
    expect(host.count('arp', 'timeouts')).toBe(1);
  });
});

describe('limits', () => {
  it('a scan cannot push out who is there: pending entries have a room of their own', () => {
    const host = new Host({ env: { 'net.link.ether.inet.max_pending': '8' } });
    host.addRoute('10.9.0.0/16', PEER_IP);
    for (let i = 10; i < 60; i++) say(host, 'x', `10.0.0.${i}`);
    expect(neighbours(host).filter((line) => line.endsWith('incomplete')).length).toBe(8);
    expect(neighbours(host)).toContain(PEER_LINE);
    expect(host.count('arp', 'evicted')).toBe(42);
  });

  it('of the known ones that which was not used goes first', () => {
    const host = new Host({ env: { 'net.link.ether.inet.max_entries': '16' } });
    for (let i = 10; i < 80; i++) {
      say(host, 'keep me');
      host.exchange(arp({ spa: `10.0.0.${i}`, sha: parseMac(`2:0:0:0:1:${i.toString(16)}`)! }));
    }
    expect(neighbours(host).length).toBe(16);
    expect(neighbours(host)).toContain(PEER_LINE);
  });
});

describe('our own address (RFC 5227)', () => {
  it('is announced twice, 2 s apart, when it is set', () => {
    const host = new Host({ addr: null });
    host.addAddr(host.ifp, '10.0.0.2/24');
    const announce = { to: 'ff:ff:ff:ff:ff:ff', oper: 1, spa: OUR_IP, tpa: OUR_IP };
    expect(arps(host.sent())).toMatchObject([announce]);
    host.run(1900);
    expect(host.sent()).toEqual([]);
    host.run(200);
    expect(arps(host.sent())).toMatchObject([announce]);
    host.run(10_000);
    expect(host.sent()).toEqual([]);
  });

  it('is announced when the interface comes up, and when its hardware address changes', () => {
    const host = new Host();
    host.ifp.setUp(false);
    host.ifp.setUp(true);
    expect(arps(host.sent()).length).toBe(1);
    host.run(5000);
    host.sent();
    host.ifp.setLladdr(OTHER_MAC);
    expect(arps(host.sent())).toMatchObject([{ sha: macToString(OTHER_MAC), spa: OUR_IP }]);
    expect(neighbours(host)).toEqual([]);
  });

  it('is defended once in ten seconds, and the conflict is logged', () => {
    const host = new Host();
    const claim = arp({ sha: OTHER_MAC, spa: OUR_IP, tpa: OUR_IP });
    expect(arps(host.exchange(claim, claim))).toMatchObject([{ to: 'ff:ff:ff:ff:ff:ff', spa: OUR_IP, tpa: OUR_IP }]);
    host.run(9000);
    expect(host.exchange(claim)).toEqual([]);
    host.run(2000);
    expect(arps(host.exchange(claim)).length).toBe(1);
    expect([host.count('arp', 'dupips'), host.count('arp', 'defended')]).toEqual([4, 2]);
    expect(host.world.lines.filter((l) => l.level === 'warn' && l.msg.includes('uses our address')).length).toBe(2);
  });

  it('is defended again after half a turn of the clock', () => {
    const host = new Host();
    const claim = arp({ sha: OTHER_MAC, spa: OUR_IP, tpa: OUR_IP });
    expect(arps(host.exchange(claim)).length).toBe(1);
    host.run(30 * 86_400_000);
    host.sent();
    expect(arps(host.exchange(claim)).length).toBe(1);
  });
});

describe('IFF_NOARP and IFF_STATICARP', () => {
  it('with NOARP nothing is said, heard or asked', () => {
    const host = new Host({ addr: null });
    ok(host.ifp.setFlags(IFF_UP | IFF_NOARP));
    host.addAddr(host.ifp, '10.0.0.2/24');
    host.run(5000);
    expect(host.exchange(arp(), arp({ spa: OUR_IP, sha: OTHER_MAC }))).toEqual([]);
    expect([neighbours(host), host.count('arp', 'disabled')]).toEqual([[], 2]);
    say(host, 'hello');
    host.run(10_000);
    expect(host.sent()).toEqual([]);
  });

  it('with STATICARP we answer, but neither learn nor ask; the entries set by hand are used', () => {
    const host = new Host(quiet);
    ok(host.ifp.setFlags(IFF_UP | IFF_STATICARP));
    expect(arps(host.exchange(arp()))).toMatchObject([{ oper: 2, spa: OUR_IP, tpa: PEER_IP }]);
    expect(neighbours(host)).toEqual([]);
    say(host, 'nobody knows where');
    host.run(10_000);
    expect(host.sent()).toEqual([]);
    ok(host.ioctl(SIOCSNEIGH, { addr: parseAddr('10.0.0.7'), lladdr: OTHER_MAC }));
    say(host, 'here', '10.0.0.7');
    expect(payloads(host.sent())).toEqual(['here']);
  });
});

describe('the Ethernet below', () => {
  it('takes what is for us or for all, counts the rest', () => {
    const host = new Host();
    const so = host.udp(7);
    void so;
    host.exchange(
      udpFrame(bytesOf('a')),
      concat(OTHER_MAC, udpFrame(bytesOf('b')).subarray(6)),
      new Uint8Array(13),
      concat(OUR_MAC, PEER_MAC, Uint8Array.of(0x00, 0x20), new Uint8Array(40)),
      concat(OUR_MAC, PEER_MAC, Uint8Array.of(0x88, 0xcc), new Uint8Array(40)),
    );
    expect(host.count('udp', 'ipackets')).toBe(1);
    for (const name of ['notforus', 'runts', 'llc', 'noproto']) expect(host.count('ether', name), name).toBe(1);
  });
});
