/** Multicast groups (RFC 1112, RFC 3376 §3, RFC 3678): who hears what, copies for members on this host, limits. */
import { describe, expect, it } from 'vitest';
import { isErrno } from '../../../src/kern/errno.ts';
import { soclose, sobind, sogetopt } from '../../../src/kern/socket/calls.ts';
import { sosendto, soreceive } from '../../../src/kern/socket/sendrecv.ts';
import { SOCK_RAW, type SockAddr } from '../../../src/kern/socket/protosw.ts';
import { SO_REUSEPORT, SOL_SOCKET } from '../../../src/kern/socket/soconst.ts';
import { sosetopt } from '../../../src/kern/socket/calls.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { SIOCADDMULTI, SIOCDELMULTI } from '../../../src/kern/ifnet/ifioctl.ts';
import { addrToString, parseAddr } from '../../../src/wire/addrtext.ts';
import { RawLink } from '../../support/rawlink.ts';
import { bytesOf, cut, ether, ip, ipOf, pattern, udp } from './frames.ts';
import { Host, at, ok, receive } from './harness.ts';
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
  macOf,
  query,
  setopt,
  toGroup,
} from './mcasthost.ts';

const send = (so: Socket, data: string, to: SockAddr): unknown => sosendto(so, bytesOf(data), 0, data.length, to);
const udpOnly = (frames: Uint8Array[]): Uint8Array[] => frames.filter((frame) => ipOf(frame).proto === 17);

function member(host: Host, port: number, ...groups: string[]): Socket {
  const so = host.socket();
  ok(sosetopt(so, { dir: 'set', level: SOL_SOCKET, name: SO_REUSEPORT, value: 1 }));
  ok(sobind(so, at('0.0.0.0', port)));
  for (const g of groups) expect(group(so, ADD, g)).toBeNull();
  return so;
}

describe('a datagram to a group', () => {
  it('reaches every socket that joined it, and no other of the port (RFC 3376 §3.2)', () => {
    const host = new Host();
    const [a, b, other, none] = [member(host, 7, G1), member(host, 7, G1, G2), member(host, 7, G2), member(host, 7)];
    host.link.inject(toGroup('one'));
    expect([a, b, other, none].map((so) => receive(so))).toEqual(['10.0.0.1:5000 one', '10.0.0.1:5000 one', 'EAGAIN', 'EAGAIN']);
    expect(host.count('udp', 'filtermcast')).toBe(0);
    soclose(a);
    soclose(b);
    host.link.inject(toGroup('two'));
    expect(receive(other)).toBe('EAGAIN');
    expect(host.count('ip', 'notmember')).toBe(1);
  });

  it('that only sockets of other ports joined is counted (udp.filtermcast)', () => {
    const host = new Host();
    member(host, 9, G1);
    const so = member(host, 7);
    host.sent();
    expect(host.exchange(toGroup('x'))).toEqual([]);
    expect(receive(so)).toBe('EAGAIN');
    expect([host.count('udp', 'filtermcast'), host.count('udp', 'noportbcast')]).toEqual([1, 0]);
  });

  it('to 224.0.0.1 reaches all sockets of the port: every host is in it', () => {
    const host = new Host();
    const so = member(host, 7);
    host.link.inject(toGroup('all', '224.0.0.1'));
    expect(receive(so)).toBe('10.0.0.1:5000 all');
  });

  it('is heard only on the interface where it was joined', () => {
    const host = new Host();
    const link = new RawLink({ lladdr: Uint8Array.of(2, 0, 0, 0, 1, 2) });
    const second = ok(host.kernel.ifnets.attach('raw', 1, link.link()));
    second.setUp(true);
    host.addAddr(second, '10.0.1.2/24');
    const so = member(host, 7);
    expect(group(so, ADD, G1, undefined, '10.0.1.2')).toBeNull();
    host.link.inject(toGroup('first'));
    link.inject(toGroup('second', G1, '10.0.1.1'));
    expect([receive(so), receive(so)]).toEqual(['10.0.1.1:5000 second', 'EAGAIN']);
    expect(host.count('ip', 'notmember')).toBe(1);
  });

  it('in pieces comes whole', () => {
    const host = new Host();
    const so = member(host, 7, G1);
    const packet = ip(udp(pattern(3000), { dst: G1 }), { dst: G1 });
    for (const piece of cut(packet, 1500)) host.link.inject(ether(piece, { dst: macOf(G1) }));
    const buf = new Uint8Array(4000);
    expect(soreceive(so, buf, 0, buf.length, 0)).toBe(3000);
    expect(buf.subarray(0, 3000)).toEqual(pattern(3000));
  });

  it('makes no ICMP, whatever is wrong with it', () => {
    const host = new Host();
    member(host, 7, G1);
    host.sent();
    const closed = toGroup('x');
    closed[37] = 99;
    const noProto = ether(ip(pattern(20), { proto: 200, dst: G1 }), { dst: macOf(G1) });
    const badOption = ether(ip(pattern(20), { dst: G1, options: [7, 1, 0, 0] }), { dst: macOf(G1) });
    expect(host.exchange(closed, noProto, badOption)).toEqual([]);
  });
});

describe('sources (RFC 3376 §3, RFC 3678)', () => {
  const hears = (host: Host, so: Socket): string[] => {
    for (const src of [S1, S2, S3]) host.link.inject(toGroup('x', G1, src));
    const heard: string[] = [];
    for (let line = receive(so); line !== 'EAGAIN'; line = receive(so)) heard.push(line.split(':')[0]!);
    return heard;
  };

  it('that are blocked are not heard until they are let in again', () => {
    const host = new Host();
    const so = member(host, 7, G1);
    expect(hears(host, so)).toEqual([S1, S2, S3]);
    expect(group(so, BLOCK, G1, S2)).toBeNull();
    expect(hears(host, so)).toEqual([S1, S3]);
    expect(group(so, UNBLOCK, G1, S2)).toBeNull();
    expect(hears(host, so)).toEqual([S1, S2, S3]);
  });

  it('that are chosen are heard, and the last one dropped ends the membership', () => {
    const host = new Host();
    const so = member(host, 7);
    expect(group(so, ADD_SOURCE, G1, S2)).toBeNull();
    expect(group(so, ADD_SOURCE, G1, S3)).toBeNull();
    expect(hears(host, so)).toEqual([S2, S3]);
    expect(group(so, DROP_SOURCE, G1, S2)).toBeNull();
    expect(hears(host, so)).toEqual([S3]);
    expect(group(so, DROP_SOURCE, G1, S3)).toBeNull();
    expect(hears(host, so)).toEqual([]);
    expect(group(so, DROP, G1)).toBe('EADDRNOTAVAIL');
  });

  it('are chosen by each socket for itself', () => {
    const host = new Host();
    const [all, one] = [member(host, 7, G1), member(host, 7)];
    expect(group(one, ADD_SOURCE, G1, S2)).toBeNull();
    host.link.inject([toGroup('a', G1, S1), toGroup('b', G1, S2)]);
    expect([receive(all), receive(all), receive(one), receive(one)]).toEqual([
      '10.0.0.1:5000 a',
      '10.0.0.8:5000 b',
      '10.0.0.8:5000 b',
      'EAGAIN',
    ]);
  });
});

describe('joining', () => {
  it('answers as FreeBSD does', () => {
    const host = new Host();
    const so = host.udp(7);
    expect(group(so, ADD, '10.0.0.1')).toBe('EINVAL');
    expect(group(so, ADD, G1, undefined, '10.0.0.99')).toBe('EADDRNOTAVAIL');
    expect(group(so, DROP, G1)).toBe('EADDRNOTAVAIL');
    expect(group(so, BLOCK, G1, S1)).toBe('EADDRNOTAVAIL');
    expect(group(so, ADD, G1)).toBeNull();
    expect(group(so, ADD, G1)).toBe('EADDRINUSE');
    expect(group(so, ADD_SOURCE, G1, S1)).toBe('EINVAL');
    expect(group(so, DROP_SOURCE, G1, S1)).toBe('EINVAL');
    expect(group(so, UNBLOCK, G1, S1)).toBe('EADDRNOTAVAIL');
    expect(group(so, BLOCK, G1, '224.0.0.5')).toBe('EINVAL');
    expect(group(so, BLOCK, G1, S1)).toBeNull();
    expect(group(so, BLOCK, G1, S1)).toBe('EADDRNOTAVAIL');
    expect(group(so, ADD_SOURCE, G2, S1)).toBeNull();
    expect(group(so, ADD, G2)).toBe('EINVAL');
    expect(group(so, BLOCK, G2, S1)).toBe('EINVAL');
    expect(sogetopt(so, { dir: 'get', level: 0, name: ADD, value: 0 })).toBe('EOPNOTSUPP');
    for (const value of [null, 7, {}, { multiaddr: 1 }, { multiaddr: parseAddr(G1), ifindex: 77 }])
      expect(isErrno(setopt(so, ADD, value))).toBe(true);
  });

  it('by the index of the interface, without an address on it', () => {
    const host = new Host({ addr: null });
    const so = host.udp(7);
    expect(group(so, ADD, G1)).toBe('EADDRNOTAVAIL');
    expect(setopt(so, ADD, { multiaddr: parseAddr(G1), ifindex: host.ifp.index })).toBeNull();
    host.link.inject(toGroup('x'));
    expect(receive(so)).toBe('10.0.0.1:5000 x');
  });

  it('is bounded by socket, by interface and by source (net.inet.ip.mcast)', () => {
    const host = new Host();
    host.sysctl('net.inet.ip.mcast.maxmemberships', 3);
    host.sysctl('net.inet.ip.mcast.maxgroups', 5);
    host.sysctl('net.inet.ip.mcast.maxsocksrc', 2);
    host.sysctl('net.inet.ip.mcast.maxgrpsrc', 3);
    const [a, b] = [host.udp(7), host.udp(8)];
    const joins = (so: Socket, from: number): unknown[] => [0, 1, 2, 3].map((i) => group(so, ADD, `239.0.0.${from + i}`));
    expect(joins(a, 1)).toEqual([null, null, null, 'ENOBUFS']);
    expect(joins(b, 11)).toEqual([null, null, 'ENOBUFS', 'ENOBUFS']);
    // The room of one that was left is taken at once.
    expect([group(a, DROP, '239.0.0.1'), group(b, ADD, '239.0.0.13')]).toEqual([null, null]);
    expect([S1, S2, S3].map((s) => group(a, BLOCK, '239.0.0.2', s))).toEqual([null, null, 'ENOBUFS']);
    const [c, d] = [host.udp(9), host.udp(10)];
    expect(group(a, DROP, '239.0.0.3')).toBeNull();
    expect([S1, S2].map((s) => group(c, ADD_SOURCE, G1, s))).toEqual([null, null]);
    expect(['10.0.0.21', '10.0.0.22'].map((s) => group(d, ADD_SOURCE, G1, s))).toEqual([null, 'ENOBUFS']);
  });

  it('tells the link, once for all groups with the same Ethernet address (RFC 1112 §6.4), and when the last is left', () => {
    const host = new Host();
    const asked: string[] = [];
    const link = new RawLink({ lladdr: Uint8Array.of(2, 0, 0, 0, 1, 2) });
    const filter = {
      ...link.link(),
      ioctl: (cmd: number, data: unknown) => {
        asked.push(`${cmd === SIOCADDMULTI ? '+' : '-'}${Buffer.from((data as { lladdr: Uint8Array }).lladdr).toString('hex')}`);
        return null;
      },
    };
    const second = ok(host.kernel.ifnets.attach('raw', 1, filter));
    second.setUp(true);
    host.addAddr(second, '10.0.1.2/24');
    const so = host.udp(7);
    // 224.129.2.3 and 239.1.2.3 have the same low 23 bits.
    for (const g of [G1, '224.129.2.3', G2]) expect(group(so, ADD, g, undefined, '10.0.1.2')).toBeNull();
    expect(asked).toEqual(['+01005e010203', '+01005e010204']);
    expect(group(so, DROP, G1)).toBeNull();
    expect(asked.length).toBe(2);
    soclose(so);
    expect(asked.slice(2).sort()).toEqual(['-01005e010203', '-01005e010204']);
    expect(group(host.udp(8), ADD, G1, undefined, '10.0.1.2')).toBeNull();
    second.detachStack();
    expect(asked.slice(4)).toEqual(['+01005e010203', '-01005e010203']);
    // The same by hand.
    const req = { name: second.name(), lladdr: macOf(G1) };
    expect([host.ioctl(SIOCADDMULTI, req), host.ioctl(SIOCDELMULTI, req), host.ioctl(SIOCDELMULTI, req)]).toEqual([
      null,
      null,
      'ENOENT',
    ]);
    expect(host.ioctl(SIOCADDMULTI, { ...req, lladdr: Uint8Array.of(2, 0, 0, 0, 0, 9) })).toBe('EINVAL');
  });

  it('ends with the socket, and with the interface', () => {
    const host = new Host();
    const so = member(host, 7, G1);
    host.run(5000);
    soclose(so);
    host.run(5000);
    host.sent();
    expect(host.exchange(toGroup('x'))).toEqual([]);
    expect(host.count('ip', 'notmember')).toBe(1);
    const link = new RawLink({ lladdr: Uint8Array.of(2, 0, 0, 0, 1, 2) });
    const second = ok(host.kernel.ifnets.attach('raw', 1, link.link()));
    second.setUp(true);
    host.addAddr(second, '10.0.1.2/24');
    const other = host.udp(8);
    expect(group(other, ADD, G1, undefined, '10.0.1.2')).toBeNull();
    expect(setopt(other, 9, parseAddr('10.0.1.2'))).toBeNull();
    expect(send(other, 'x', at(G1, 9))).toBeNull();
    host.kernel.ifnets.detach(second);
    host.run(60_000);
    expect(group(other, DROP, G1)).toBe('EADDRNOTAVAIL');
    // The interface that it chose is gone: routes say again.
    host.sent();
    expect(send(other, 'x', at(G1, 9))).toBeNull();
    expect(udpOnly(host.sent()).length).toBe(1);
  });
});

describe('sending to a group', () => {
  it('members on this host hear it too, unless IP_MULTICAST_LOOP is off (RFC 1112 §6.1)', () => {
    const host = new Host();
    const [listener, sender] = [member(host, 9, G1), host.udp(4000)];
    host.sent();
    expect(send(sender, 'loud', at(G1, 9))).toBeNull();
    expect(udpOnly(host.sent()).length).toBe(1);
    expect(receive(listener)).toBe('10.0.0.2:4000 loud');
    expect(setopt(sender, 11, 0)).toBeNull();
    expect(send(sender, 'quiet', at(G1, 9))).toBeNull();
    expect(udpOnly(host.sent()).length).toBe(1);
    expect(receive(listener)).toBe('EAGAIN');
    expect(host.count('ip', 'looped')).toBe(1);
  });

  it('makes no copy where nobody is a member', () => {
    const host = new Host();
    send(host.udp(4000), 'x', at(G1, 9));
    expect(host.sent().length).toBe(1);
    expect(host.count('ip', 'looped')).toBe(0);
  });

  it('with TTL 0 only they hear it, in pieces as well', () => {
    const host = new Host();
    const [listener, sender] = [member(host, 9, G1), host.udp(4000)];
    host.sent();
    setopt(sender, 10, 0);
    expect(send(sender, 'here', at(G1, 9))).toBeNull();
    expect(sosendto(sender, pattern(4000), 0, 4000, at(G1, 9))).toBeNull();
    expect(host.sent()).toEqual([]);
    expect(receive(listener)).toBe('10.0.0.2:4000 here');
    const buf = new Uint8Array(5000);
    expect(soreceive(listener, buf, 0, 5000, 0)).toBe(4000);
    expect(buf.subarray(0, 4000)).toEqual(pattern(4000));
    soclose(listener);
    host.sent();
    expect(host.kernel.bufpool.used).toBe(0);
  });

  it('IP_MULTICAST_IF chooses the interface, and its address is the source', () => {
    const host = new Host();
    const link = new RawLink({ lladdr: Uint8Array.of(2, 0, 0, 0, 1, 2) });
    const second = ok(host.kernel.ifnets.attach('raw', 1, link.link()));
    second.setUp(true);
    host.addAddr(second, '10.0.1.2/24');
    host.run(5000);
    link.take();
    const so = host.udp(4000);
    const via = (): string[] => {
      send(so, 'x', at(G1, 9));
      send(so, 'x', at(G1, 9));
      host.run(0);
      return [...host.sent(), ...link.take()].map((frame) => ipOf(frame).src);
    };
    expect(via()).toEqual(['10.0.0.2', '10.0.0.2']);
    expect(setopt(so, 9, parseAddr('10.0.1.2'))).toBeNull();
    expect(via()).toEqual(['10.0.1.2', '10.0.1.2']);
    const got = { dir: 'get' as const, level: 0, name: 9, value: null as unknown };
    expect(sogetopt(so, got)).toBeNull();
    expect(addrToString(got.value as never)).toBe('10.0.1.2');
    expect(setopt(so, 9, host.ifp.index)).toBeNull();
    expect(via()).toEqual(['10.0.0.2', '10.0.0.2']);
    expect(setopt(so, 9, parseAddr('0.0.0.0'))).toBeNull();
    expect([setopt(so, 9, parseAddr('10.9.9.9')), setopt(so, 9, 99), setopt(so, 9, 'raw1')]).toEqual([
      'EADDRNOTAVAIL',
      'EADDRNOTAVAIL',
      'EINVAL',
    ]);
  });
});

describe('raw sockets', () => {
  it('hear the groups that they joined, or all that this host takes if they joined none', () => {
    const host = new Host();
    const [some, any] = [host.socket(SOCK_RAW, 200), host.socket(SOCK_RAW, 200)];
    expect(group(some, ADD, G1)).toBeNull();
    expect(group(host.udp(7), ADD, G2)).toBeNull();
    for (const dst of [G1, G2]) host.link.inject(ether(ip(pattern(8), { proto: 200, dst }), { dst: macOf(dst) }));
    const lengths = (so: Socket): unknown[] => [1, 2, 3].map(() => soreceive(so, new Uint8Array(99), 0, 99, 0));
    expect(lengths(some)).toEqual([28, 'EAGAIN', 'EAGAIN']);
    expect(lengths(any)).toEqual([28, 28, 'EAGAIN']);
    expect(host.count('raw', 'notmember')).toBe(1);
    soclose(some);
    host.sent();
    expect(host.exchange(ether(ip(pattern(8), { proto: 200, dst: G1 }), { dst: macOf(G1) }))).toEqual([]);
    expect(host.count('ip', 'notmember')).toBe(1);
  });

  it('of IGMP see its messages', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 2);
    host.link.inject(query());
    expect(soreceive(so, new Uint8Array(99), 0, 99, 0)).toBe(36);
  });
});

describe('many sources', () => {
  it('a member that heard all leaves, over the limit of sources of the others: it is gone, and they hear what they chose', () => {
    const host = new Host();
    host.sysctl('net.inet.ip.mcast.maxgrpsrc', 2);
    const all = member(host, 7, G1);
    const some = [S1, S2, S3].map((source) => {
      const so = member(host, 7);
      expect(group(so, ADD_SOURCE, G1, source)).toBeNull();
      return so;
    });
    soclose(all);
    host.link.inject([toGroup('one', G1, S1), toGroup('two', G1, S3)]);
    expect(some.map((so) => receive(so))).toEqual([`${S1}:5000 one`, 'EAGAIN', `${S3}:5000 two`]);
    for (const so of some) soclose(so);
    host.link.inject(toGroup('nobody'));
    expect(host.count('ip', 'notmember')).toBe(1);
  });
});
