/** IPv4 input: rows "791/1122 3.2.1" and "1122 3.2.1.3" of the requirements. */
import { describe, expect, it } from 'vitest';
import { PKT_LOOP } from '../../../src/kern/packet.ts';
import { sogetopt, sosetopt } from '../../../src/kern/socket/calls.ts';
import { BCAST_MAC, type IpFields, bytesOf, concat, ether, ip, ipOf, pattern, ping, udp, udpFrame } from './frames.ts';
import { Host, receive } from './harness.ts';

const HELLO = bytesOf('hello');

/** A frame to the UDP socket at port 7, wrong in one place. */
function broken(fields: IpFields): Uint8Array {
  return udpFrame(HELLO, {}, fields);
}

describe('header checks', () => {
  const good = udpFrame(HELLO);
  const cases: [string, string, Uint8Array][] = [
    ['shorter than a header', 'toosmall', good.subarray(0, 14 + 19)],
    ['version 6', 'badvers', broken({ patch: (h) => (h[0] = 0x65) })],
    ['version 0', 'badvers', broken({ patch: (h) => (h[0] = 0x05) })],
    ['header of 16 bytes', 'badhlen', broken({ patch: (h) => (h[0] = 0x44) })],
    ['header longer than the frame', 'badhlen', ether(ip(new Uint8Array(2), { patch: (h) => (h[0] = 0x4f) }))],
    ['header checksum', 'badsum', broken({ patchSum: (h) => (h[10] = h[10]! ^ 1) })],
    ['length below the header', 'badlen', broken({ patch: (h) => (h[3] = 19) })],
    ['length beyond the frame', 'tooshort', broken({ patch: (h) => (h[3] = h[3]! + 1) })],
    ['option that runs out of the header', 'badoptions', broken({ options: [7, 9, 4, 0] })],
    ['option of length 0', 'badoptions', broken({ options: [7, 0, 4, 0] })],
    ['option without a length', 'badoptions', broken({ options: [1, 1, 1, 7] })],
    ['loose source route', 'srcroute', broken({ options: [131, 7, 4, 10, 0, 0, 9, 0] })],
    ['strict source route', 'srcroute', broken({ options: [137, 7, 4, 10, 0, 0, 9, 0] })],
  ];
  for (const [name, counter, frame] of cases) {
    it(`${name}: ip.${counter}`, () => {
      const host = new Host();
      const so = host.udp(7);
      host.exchange(frame);
      expect(host.count('ip', counter)).toBe(1);
      expect(host.count('ip', 'delivered')).toBe(0);
      expect(receive(so)).toBe('EAGAIN');
    });
  }

  it('a bad option is answered by "parameter problem" with its place (RFC 1122 §3.2.2.5)', () => {
    const host = new Host();
    const [reply] = host.exchange(broken({ options: [1, 7, 9, 0] }));
    const data = ipOf(reply!).data;
    expect([data[0], data[1], data[4]]).toEqual([12, 0, 22]);
  });

  it('unknown options are passed over (MUST of RFC 1122 §3.2.1.8)', () => {
    const host = new Host();
    const so = host.udp(7);
    host.exchange(broken({ options: [148, 4, 0, 0, 68, 4, 5, 0, 7, 3, 4, 0] }));
    expect(receive(so)).toBe('10.0.0.1:5000 hello');
  });

  it('padding of the link is cut off', () => {
    const host = new Host();
    const so = host.udp(7);
    host.exchange(concat(udpFrame(HELLO), bytesOf('trailer')));
    expect(receive(so)).toBe('10.0.0.1:5000 hello');
  });

  it('any TTL is taken, also 0 and 1: this host is the end of the way', () => {
    const host = new Host();
    const so = host.udp(7);
    host.exchange(broken({ ttl: 0 }), broken({ ttl: 1 }));
    expect([receive(so), receive(so)]).toEqual(['10.0.0.1:5000 hello', '10.0.0.1:5000 hello']);
  });

  it('sends with TTL 64, or what net.inet.ip.ttl says', () => {
    const host = new Host();
    expect(ipOf(host.exchange(ping(HELLO))[0]!).ttl).toBe(64);
    host.sysctl('net.inet.ip.ttl', 17);
    expect(ipOf(host.exchange(ping(HELLO))[0]!).ttl).toBe(17);
  });
});

describe('addresses (RFC 1122 §3.2.1.3)', () => {
  const martian = (src: string, dst = '10.0.0.2'): Uint8Array => udpFrame(HELLO, { src, dst });
  const cases: [string, string, Uint8Array][] = [
    ['multicast source', 'badaddr', martian('224.0.0.1')],
    ['limited broadcast source', 'badaddr', martian('255.255.255.255')],
    ['subnet broadcast source', 'badaddr', martian('10.0.0.255')],
    ['class E source', 'badaddr', martian('240.0.0.1')],
    ['source 0.0.0.0 to one host', 'badaddr', martian('0.0.0.0')],
    ['source in 0/8', 'badaddr', martian('0.1.2.3')],
    ['loopback source from the wire', 'badaddr', martian('127.0.0.1')],
    ['loopback destination from the wire', 'badaddr', martian('10.0.0.1', '127.0.0.1')],
    ['destination 0.0.0.0', 'badaddr', martian('10.0.0.1', '0.0.0.0')],
    ['our own source ("land")', 'badaddr', martian('10.0.0.2')],
    ['not our address', 'cantforward', martian('10.0.0.1', '10.0.0.77')],
    ['not our net', 'cantforward', martian('10.0.0.1', '192.0.2.1')],
    ['a group nobody joined', 'notmember', martian('10.0.0.1', '239.1.2.3')],
    ['one host, by broadcast of the link (§3.3.6)', 'linkbcast', concat(BCAST_MAC, udpFrame(HELLO).subarray(6))],
  ];
  for (const [name, counter, frame] of cases) {
    it(`${name}: ip.${counter}`, () => {
      const host = new Host();
      const so = host.udp(7);
      expect(host.exchange(frame)).toEqual([]);
      expect(host.count('ip', counter)).toBe(1);
      expect(receive(so)).toBe('EAGAIN');
    });
  }

  it('addresses of 127/8 are good when they come over the loopback', () => {
    const host = new Host();
    host.addAddr(host.ifp, '127.0.0.1/8');
    const so = host.udp(7);
    host.link.inject(martian('127.0.0.1', '127.0.0.1'), PKT_LOOP);
    expect(receive(so)).toBe('127.0.0.1:5000 hello');
  });

  it('a sender without an address may speak to all (0.0.0.0 to broadcast)', () => {
    const host = new Host();
    const so = host.udp(7);
    host.exchange(concat(BCAST_MAC, udpFrame(HELLO, { src: '0.0.0.0', dst: '255.255.255.255' }).subarray(6)));
    expect(receive(so)).toBe('0.0.0.0:5000 hello');
  });

  it('any address of this host is taken on any interface, and all hosts are in 224.0.0.1', () => {
    const host = new Host();
    host.addAddr(host.ifp, '10.7.0.1/16');
    const so = host.udp(7);
    host.exchange(martian('10.0.0.1', '10.7.0.1'), martian('10.0.0.1', '224.0.0.1'));
    expect([receive(so), receive(so)]).toEqual(['10.0.0.1:5000 hello', '10.0.0.1:5000 hello']);
  });
});

describe('protocols', () => {
  it('an unknown one is answered by "protocol unreachable" (RFC 1122 §3.2.2.1)', () => {
    const host = new Host();
    const packet = ip(pattern(40), { proto: 200 });
    const reply = ipOf(host.exchange(ether(packet))[0]!);
    expect([reply.data[0], reply.data[1], reply.dst, reply.src]).toEqual([3, 2, '10.0.0.1', '10.0.0.2']);
    expect(reply.data.subarray(8)).toEqual(packet);
    expect(host.count('ip', 'noproto')).toBe(1);
  });

  it('but not when it was sent to all', () => {
    const host = new Host();
    const frame = ether(ip(pattern(40), { proto: 200, dst: '10.0.0.255' }), { dst: BCAST_MAC });
    expect(host.exchange(frame)).toEqual([]);
  });

  it('nothing reaches IP while the interface is down', () => {
    const host = new Host();
    host.ifp.setUp(false);
    expect(host.exchange(ping(HELLO))).toEqual([]);
    expect(host.ifp.counters.iqdrops).toBe(1);
    expect(host.count('ip', 'total')).toBe(0);
  });
});

describe('checksum offload on input', () => {
  it("a transport checksum that the link has verified is not looked at again; the header's always is", () => {
    const host = new Host({ offload: true });
    const so = host.udp(7);
    const bad = ether(ip(udp(HELLO, { sum: 'bad' })));
    host.link.inject(bad, 4);
    expect(receive(so)).toBe('10.0.0.1:5000 hello');
    host.link.inject(bad);
    expect(receive(so)).toBe('EAGAIN');
    expect(host.count('udp', 'badsum')).toBe(1);
    host.link.inject(broken({ patchSum: (h) => (h[10] = h[10]! ^ 1) }), 4);
    expect(host.count('ip', 'badsum')).toBe(1);
  });
});

describe('options of sockets', () => {
  it('IP_TTL and IP_TOS are on the packets, and wrong values are EINVAL', () => {
    const host = new Host();
    const so = host.udp(7);
    const set = (name: number, value: unknown): unknown => sosetopt(so, { dir: 'set', level: 0, name, value });
    const get = (name: number): unknown => {
      const sopt = { dir: 'get' as const, level: 0, name, value: null as unknown };
      return sogetopt(so, sopt) ?? sopt.value;
    };
    expect([set(4, 9), set(3, 0xb8), set(67, true)]).toEqual([null, null, null]);
    expect([get(4), get(3), get(67)]).toEqual([9, 0xb8, 1]);
    expect([set(4, 0), set(4, 256), set(3, -1), set(3, 'x'), set(99, 1), get(99)]).toEqual([
      ...new Array<string>(4).fill('EINVAL'),
      'ENOPROTOOPT',
      'ENOPROTOOPT',
    ]);
    expect(sosetopt(so, { dir: 'set', level: 6, name: 1, value: 1 })).toBe('ENOPROTOOPT');
  });
});
