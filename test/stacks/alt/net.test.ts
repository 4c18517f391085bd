/** ARP (RFC 826, 5227), IPv4 and its fragments (RFC 791, 1122 §3), ICMP (RFC 792), UDP (RFC 768): as a neighbour on the wire sees them. */
import { describe, expect, test } from 'vitest';
import { sobind, soconnect } from '../../../src/kern/socket/calls.ts';
import { soreceivefrom, sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { isErrno } from '../../../src/kern/errno.ts';
import { type NeighConfReq, SIOCDNEIGH, SIOCGNEIGHCONF, SIOCGRT, SIOCSNEIGH } from '../../../src/kern/ifnet/neighioctl.ts';
import { complement, sum16 } from '../../../src/wire/checksum.ts';
import { ARP_REPLY, ARP_REQUEST, putArp } from '../../../src/wire/arp.ts';
import { ETHER_BROADCAST, ETHERTYPE_ARP, ETHERTYPE_IPV4, putEther } from '../../../src/wire/ethernet.ts';
import { IP_MF } from '../../../src/wire/ipv4.ts';
import { ipv4, sockAddr } from '../../../src/wire/addr.ts';
import { ip } from './support/host.ts';
import { dgramSocket, dial, pattern } from './support/sockets.ts';
import { OUR_MAC, PEER, PEER_MAC, SYN, US, Wire, get16, get32, get8, ipFrame, pseudo, put16 } from './support/wire.ts';

const NO_MAC = new Uint8Array(6);

function arp(oper: number, sha: Uint8Array, spa: string, tpa: string, dst: Readonly<Uint8Array> = ETHER_BROADCAST): Uint8Array {
  const b = new Uint8Array(42);
  putEther(b, 0, dst, sha, ETHERTYPE_ARP);
  putArp(b, 14, oper, sha, ip(spa), NO_MAC, ip(tpa));
  return b;
}

const isArp = (b: Uint8Array, oper: number): boolean => get16(b, 12) === ETHERTYPE_ARP && get16(b, 20) === oper;

function udp(sport: number, dport: number, data: Uint8Array, src = PEER, dst = US): Uint8Array {
  const u = new Uint8Array(8 + data.length);
  put16(u, 0, sport);
  put16(u, 2, dport);
  put16(u, 4, u.length);
  u.set(data, 8);
  put16(u, 6, complement(sum16(u, 0, u.length, pseudo(src, dst, 17, u.length))) || 0xffff);
  return u;
}

function echo(data: Uint8Array): Uint8Array {
  const m = new Uint8Array(8 + data.length);
  m[0] = 8;
  put16(m, 4, 77);
  put16(m, 6, 1);
  m.set(data, 8);
  put16(m, 2, complement(sum16(m, 0, m.length, 0)));
  return m;
}

/** An IP payload cut into fragments of `step` bytes. */
function fragments(proto: number, payload: Uint8Array, step: number, id = 9): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += step) {
    const more = at + step < payload.length ? IP_MF : 0;
    frames.push(ipFrame(PEER, US, proto, payload.slice(at, at + step), (at >> 3) | more, id));
  }
  return frames;
}

/** IP packets that left, put together again. */
function whole(frames: Uint8Array[]): Uint8Array {
  const parts = frames.filter((b) => get16(b, 12) === ETHERTYPE_IPV4);
  const size = Math.max(...parts.map((b) => ((get16(b, 20) & 0x1fff) << 3) + get16(b, 16) - 20));
  const all = new Uint8Array(size);
  for (const b of parts) {
    expect(sum16(b, 14, 20, 0)).toBe(0xffff);
    all.set(b.subarray(34, 14 + get16(b, 16)), (get16(b, 20) & 0x1fff) << 3);
  }
  return all;
}

describe('ARP', () => {
  test('answers who asks for us, learns the asker, and no one else', () => {
    const w = new Wire({}, { arp: false });
    w.raw.inject(arp(ARP_REQUEST, PEER_MAC, PEER, US));
    const [reply] = w.frames();
    expect(isArp(reply!, ARP_REPLY)).toBe(true);
    expect(get32(reply!, 28)).toBe(ip(US));
    w.raw.inject(arp(ARP_REQUEST, PEER_MAC, '10.0.0.77', '10.0.0.88'));
    expect(w.frames()).toEqual([]);
    dial(w.host, PEER, 80);
    expect(get16(w.frames()[0]!, 12)).toBe(ETHERTYPE_IPV4);
    dial(w.host, '10.0.0.77', 80);
    expect(isArp(w.frames()[0]!, ARP_REQUEST)).toBe(true);
  });

  test('packets wait; it is asked for once a second, five times, and then given up', () => {
    const w = new Wire({}, { arp: false });
    const so = dgramSocket(w.host);
    for (let k = 0; k < 3; k++) sosendto(so, new Uint8Array([k]), 0, 1, sockAddr(ipv4(ip(PEER)), 9));
    expect(w.frames().filter((b) => isArp(b, ARP_REQUEST)).length).toBe(1);
    w.world.run(10_000);
    expect(w.frames().filter((b) => isArp(b, ARP_REQUEST) && get32(b, 38) === ip(PEER)).length).toBe(4);
    expect(w.host.count('arp', 'dropped')).toBe(3);
    sosendto(so, new Uint8Array([9]), 0, 1, sockAddr(ipv4(ip(PEER)), 9));
    w.frames();
    w.teach(PEER, PEER_MAC);
    const sent = w.frames();
    expect(sent.length).toBe(1);
    expect(sent[0]!.at(42)).toBe(9);
    expect(get16(sent[0]!, 40)).toBe(complement(sum16(sent[0]!, 34, 6, sum16(sent[0]!, 42, 1, pseudo(US, PEER, 17, 9)))));
  });

  test('a burst to a new neighbour waits, 64 packets of it, in order; the oldest go', () => {
    const w = new Wire({}, { arp: false });
    const so = dgramSocket(w.host);
    for (let k = 0; k < 70; k++) sosendto(so, new Uint8Array([k]), 0, 1, sockAddr(ipv4(ip(PEER)), 9));
    w.frames();
    expect(w.host.count('arp', 'dropped')).toBe(6);
    w.teach(PEER, PEER_MAC);
    expect(w.frames().map((b) => b.at(42))).toEqual(Array.from({ length: 64 }, (_, k) => k + 6));
  });

  test('ten thousand neighbours do not make the table grow', () => {
    const w = new Wire();
    for (let k = 0; k < 10_000; k++) {
      w.raw.inject(arp(ARP_REQUEST, Uint8Array.of(2, 1, 0, 0, k >>> 8, k), `10.0.${k >>> 8}.${k & 255 || 1}`, US));
      w.raw.take();
    }
    expect(w.host.count('arp', 'evicted')).toBeGreaterThan(9000);
  });

  test('another station with our address: counted, and defended once in ten seconds', () => {
    const w = new Wire();
    for (let k = 0; k < 5; k++) w.raw.inject(arp(ARP_REQUEST, PEER_MAC, US, US));
    expect(w.frames().filter((b) => isArp(b, ARP_REQUEST)).length).toBe(1);
    expect(w.host.count('arp', 'dupips')).toBe(5);
    w.world.run(11_000);
    w.frames();
    w.raw.inject(arp(ARP_REQUEST, PEER_MAC, US, US));
    expect(w.frames().length).toBe(1);
  });

  test('the table can be read and changed by ioctl; what waited for a neighbour that is set goes out', () => {
    const w = new Wire({}, { arp: false });
    const { current } = w.host.kernel.netstack;
    const addr = ipv4(ip(PEER));
    const table = (): NeighConfReq['neighbours'] => {
      const conf: NeighConfReq = { neighbours: [] };
      expect(current.ioctl(SIOCGNEIGHCONF, conf)).toBeNull();
      return conf.neighbours;
    };
    sosendto(dgramSocket(w.host), new Uint8Array([7]), 0, 1, sockAddr(addr, 9));
    w.frames();
    expect(table()).toMatchObject([{ addr, name: 'raw0', lladdr: null, state: 'incomplete' }]);
    expect(current.ioctl(SIOCSNEIGH, { addr, lladdr: PEER_MAC })).toBeNull();
    w.world.settle();
    expect(w.frames()[0]!.at(42)).toBe(7);
    expect(table()).toMatchObject([{ lladdr: PEER_MAC, state: 'permanent', expireMs: 0 }]);
    expect(current.ioctl(SIOCSNEIGH, { addr: ipv4(ip(US)), lladdr: PEER_MAC })).toBe('EEXIST');
    expect(current.ioctl(SIOCSNEIGH, { addr: ipv4(ip('192.0.2.1')), lladdr: PEER_MAC })).toBe('ENETUNREACH');
    expect(current.ioctl(SIOCSNEIGH, { addr, lladdr: Uint8Array.of(1, 0, 0, 0, 0, 1) })).toBe('EINVAL');
    expect([current.ioctl(SIOCDNEIGH, { addr }), current.ioctl(SIOCDNEIGH, { addr })]).toEqual([null, 'ENOENT']);
    expect(table()).toEqual([]);
  });

  test('a request for one route says where a packet would go', () => {
    const w = new Wire();
    w.host.gateway('10.0.0.1');
    const { current } = w.host.kernel.netstack;
    const route = (dst: string): object => {
      const req = { dst: ipv4(ip(dst)) };
      expect(current.ioctl(SIOCGRT, req)).toBeNull();
      return req;
    };
    expect(route('192.0.2.1')).toMatchObject({ gateway: ipv4(ip('10.0.0.1')), name: 'raw0', src: ipv4(ip(US)), flags: 'UGS' });
    expect(route('10.0.0.77')).toMatchObject({ gateway: null, name: 'raw0', mtu: 1500, flags: 'U' });
    expect(route(US)).toMatchObject({ gateway: null, flags: 'UHL' });
  });

  test('what is malformed is counted', () => {
    const w = new Wire();
    const bad = arp(ARP_REQUEST, PEER_MAC, PEER, US);
    bad[18] = 7;
    w.raw.inject([
      bad,
      arp(ARP_REQUEST, PEER_MAC, PEER, US).subarray(0, 30),
      arp(ARP_REQUEST, Uint8Array.of(3, 0, 0, 0, 0, 1), PEER, US),
    ]);
    expect([w.host.count('arp', 'badlen'), w.host.count('arp', 'badsource')]).toEqual([2, 1]);
    expect(w.frames()).toEqual([]);
  });
});

describe('IPv4 input', () => {
  const payload = echo(pattern(32));
  test.each<[string, string, (b: Uint8Array) => Uint8Array]>([
    ['short', 'tooshort', (b) => b.slice(0, 30)],
    ['version 6', 'badvers', (b) => b.with(14, 0x65)],
    ['header of 16 bytes', 'badhlen', (b) => b.with(14, 0x44)],
    ['header longer than the packet', 'badhlen', (b) => b.slice(0, 40).with(14, 0x4f)],
    ['length beyond the frame', 'badlen', (b) => b.with(16, 0x20)],
    ['length below the header', 'badlen', (b) => b.with(16, 0).with(17, 10)],
    ['checksum', 'badsum', (b) => b.with(24, b[24]! ^ 1)],
    ['not ours', 'cantforward', () => ipFrame(PEER, '10.0.0.55', 1, payload)],
    ['from 127/8', 'badaddr', () => ipFrame('127.0.0.1', US, 1, payload)],
    ['from a group', 'badaddr', () => ipFrame('224.0.0.1', US, 1, payload)],
    ['from the broadcast address', 'badaddr', () => ipFrame('10.0.0.255', US, 1, payload)],
    ['from ourselves', 'badaddr', () => ipFrame(US, US, 1, payload)],
    ['from 0.0.0.0', 'badaddr', () => ipFrame('0.0.0.0', US, 1, payload)],
  ])('%s is dropped and counted', (_name, counter, change) => {
    const w = new Wire();
    w.raw.inject(change(ipFrame(PEER, US, 1, payload)));
    expect(w.host.count('ip', counter)).toBe(1);
    expect(w.frames()).toEqual([]);
  });

  test('padding behind the packet is not data, options are passed over', () => {
    const w = new Wire();
    const padded = new Uint8Array(80);
    padded.set(ipFrame(PEER, US, 1, echo(new Uint8Array(4))));
    w.raw.inject(padded);
    expect(whole(w.frames()).length).toBe(12);
    const plain = ipFrame(PEER, US, 1, payload);
    const opt = new Uint8Array(plain.length + 4);
    opt.set(plain.subarray(0, 34));
    opt.set([1, 1, 1, 0], 34);
    opt.set(payload, 38);
    opt[14] = 0x46;
    put16(opt, 16, 24 + payload.length);
    put16(opt, 24, 0);
    put16(opt, 24, complement(sum16(opt, 14, 24, 0)));
    w.raw.inject(opt);
    expect(whole(w.frames()).length).toBe(payload.length);
  });

  test('an unknown protocol is answered (RFC 1122 §3.2.2.1)', () => {
    const w = new Wire();
    w.raw.inject(ipFrame(PEER, US, 99, pattern(40)));
    const m = whole(w.frames());
    expect([m[0], m[1]]).toEqual([3, 2]);
    expect(get32(m, 8 + 12)).toBe(ip(PEER));
  });
});

describe('fragments', () => {
  test.each([0, 1, 1472, 1473, 9000, 65507])('ping of %i bytes comes back as it was, over an MTU of 1500', (n) => {
    const w = new Wire();
    const request = echo(pattern(n));
    const frames = request.length <= 1480 ? [ipFrame(PEER, US, 1, request)] : fragments(1, request, 1480);
    w.raw.inject(frames);
    const reply = whole(w.frames());
    expect(reply[0]).toBe(0);
    expect(sum16(reply, 0, reply.length, 0)).toBe(0xffff);
    expect(Buffer.compare(reply.subarray(8), pattern(n))).toBe(0);
  });

  test('in any order, and a repeated one does no harm', () => {
    const w = new Wire();
    const frames = fragments(1, echo(pattern(5000)), 1000);
    w.raw.inject([frames[5]!, frames[0]!, frames[3]!, frames[3]!, frames[1]!, frames[4]!, frames[0]!, frames[2]!]);
    expect(whole(w.frames()).length).toBe(5008);
    expect(w.host.count('ip', 'reassembled')).toBe(1);
  });

  test('an overlap ends its datagram; so does another length; beyond 65535 is dropped', () => {
    const w = new Wire();
    const body = echo(pattern(3000));
    const f = fragments(1, body, 1000);
    w.raw.inject([f[0]!, ipFrame(PEER, US, 1, pattern(1000), (504 >> 3) | IP_MF, 9), f[1]!, f[2]!, f[3]!]);
    w.raw.inject([ipFrame(PEER, US, 1, pattern(80), 10, 10), ipFrame(PEER, US, 1, pattern(80), 30, 10)]);
    w.raw.inject(ipFrame(PEER, US, 1, pattern(800), 8190, 11));
    expect(w.frames()).toEqual([]);
    expect(w.host.count('ip', 'reassembled')).toBe(0);
    expect(w.host.count('ip', 'fragdropped')).toBeGreaterThan(2);
  });

  test('a flood of first fragments holds eight buffers; after 30 s the last of them are told (RFC 1122 §3.3.2)', () => {
    const w = new Wire();
    for (let id = 0; id < 1000; id++) w.raw.inject(ipFrame(PEER, US, 17, pattern(800), IP_MF, id));
    expect(w.frames()).toEqual([]);
    expect(w.host.count('ip', 'fragdropped')).toBe(992);
    w.world.run(32_000);
    const told = w.frames().filter((b) => get8(b, 34) === 11);
    expect(told.length).toBe(8);
    expect(w.host.count('ip', 'fragtimeout')).toBe(8);
  });

  test('a datagram over the MTU leaves in fragments, its checksum right', () => {
    const w = new Wire();
    const so = dgramSocket(w.host);
    expect(sosendto(so, pattern(5000), 0, 5000, sockAddr(ipv4(ip(PEER)), 9))).toBe(null);
    const frames = w.frames();
    expect(frames.length).toBe(4);
    const u = whole(frames);
    expect(sum16(u, 0, u.length, pseudo(US, PEER, 17, u.length))).toBe(0xffff);
    expect(Buffer.compare(u.subarray(8), pattern(5000))).toBe(0);
  });
});

describe('ICMP and UDP', () => {
  test('broadcast pings and groups are not answered; errors are limited', () => {
    const w = new Wire();
    const b = ipFrame(PEER, '10.0.0.255', 1, echo(pattern(8)));
    b.set(ETHER_BROADCAST, 0);
    w.raw.inject(b);
    expect(w.frames()).toEqual([]);
    for (let k = 0; k < 1000; k++) w.raw.inject(ipFrame(PEER, US, 17, udp(1, 7, pattern(4))));
    expect(w.frames().length).toBe(200);
    expect(w.host.count('icmp', 'limited')).toBe(800);
  });

  test('a datagram reaches the socket that fits best; a bad checksum, a bad length and no checksum', () => {
    const w = new Wire();
    const any = dgramSocket(w.host);
    sobind(any, sockAddr(ipv4(0), 53));
    const one = dgramSocket(w.host);
    one.options |= 0x200;
    any.options |= 0x200;
    sobind(one, sockAddr(ipv4(ip(US)), 53));
    soconnect(one, sockAddr(ipv4(ip(PEER)), 1111));
    w.raw.inject([ipFrame(PEER, US, 17, udp(1111, 53, pattern(3))), ipFrame(PEER, US, 17, udp(2222, 53, pattern(4)))]);
    const buf = new Uint8Array(100);
    const a = soreceivefrom(one, buf, 0, 100, 0);
    const b = soreceivefrom(any, buf, 0, 100, 0);
    expect([isErrno(a) ? a : a.n, isErrno(b) ? b : b.n]).toEqual([3, 4]);
    const bad = udp(5, 53, pattern(9));
    w.raw.inject([
      ipFrame(PEER, US, 17, bad.with(9, bad[9]! ^ 1)),
      ipFrame(PEER, US, 17, bad.with(5, 200)),
      ipFrame(PEER, US, 17, bad.with(6, 0).with(7, 0)),
      ipFrame(PEER, US, 17, bad.subarray(0, 5)),
    ]);
    const names = ['badsum', 'badlen', 'nosum', 'hdrops'];
    expect(names.map((n) => w.host.count('udp', n))).toEqual([1, 1, 1, 1]);
  });

  test('an ICMP error reaches the connection whose segment it quotes, and only if that is on its way (RFC 5927)', () => {
    const w = new Wire();
    const c = dial(w.host, PEER, 80);
    const frame = w.frames().find((b) => get8(b, 23) === 6)!;
    expect(get8(frame, 47)).toBe(SYN);
    const error = (seqShift: number): Uint8Array => {
      const m = new Uint8Array(8 + 28);
      m[0] = 3;
      m[1] = 3;
      m.set(frame.subarray(14, 42), 8);
      m[8 + 20 + 7] = m[8 + 20 + 7]! + seqShift;
      put16(m, 2, complement(sum16(m, 0, m.length, 0)));
      return ipFrame(PEER, US, 1, m);
    };
    w.raw.inject(error(5));
    expect([c.isClosed, w.host.count('tcp', 'icmpbadseq')]).toEqual([false, 1]);
    w.raw.inject(error(0));
    expect([c.isClosed, c.error]).toEqual([true, 'ECONNREFUSED']);
  });

  test('a frame for another station, a runt, and an unknown type are counted', () => {
    const w = new Wire();
    const other = ipFrame(PEER, US, 1, echo(pattern(4)));
    other.set([2, 0, 0, 0, 0, 7], 0);
    w.raw.inject([other, new Uint8Array(10), ipFrame(PEER, US, 1, echo(pattern(4))).with(13, 0xff)]);
    expect(['notforus', 'runts', 'noproto'].map((n) => w.host.count('ether', n))).toEqual([1, 1, 1]);
    expect(OUR_MAC.length).toBe(6);
  });
});
