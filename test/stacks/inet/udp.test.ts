/** UDP: row "768/1122 4.1" of the requirements, and FreeBSD's rules for binding. */
import { describe, expect, it } from 'vitest';
import type { Errno } from '../../../src/kern/errno.ts';
import { sobind, soclose, soconnect, sopeeraddr, sosetopt, soshutdown, sosockaddr } from '../../../src/kern/socket/calls.ts';
import { sosendto } from '../../../src/kern/socket/sendrecv.ts';
import type { SockAddr } from '../../../src/kern/socket/protosw.ts';
import { SOL_SOCKET, SO_BROADCAST, SO_RCVBUF, SO_REUSEADDR, SO_REUSEPORT } from '../../../src/kern/socket/soconst.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import type { Ifnet } from '../../../src/kern/ifnet/ifnet.ts';
import { InPcb, PcbTable } from '../../../src/stacks/inet/pcbtable.ts';
import { addrToString, parseAddr } from '../../../src/wire/addrtext.ts';
import { RawLink } from '../../support/rawlink.ts';
import { BCAST_MAC, bytesOf, concat, ether, ip, ipOf, pattern, stringOf, udpFrame, udpSumOk } from './frames.ts';
import { Host, Notes, at, ok, receive } from './harness.ts';

const HELLO = bytesOf('hello');
const send = (so: Socket, what: string, to: SockAddr | null = null): Errno | null =>
  sosendto(so, bytesOf(what), 0, what.length, to);
const set = (so: Socket, name: number): void => void ok(sosetopt(so, { dir: 'set', level: SOL_SOCKET, name, value: 1 }));
const name = (a: SockAddr | Errno): string =>
  typeof a === 'string' ? a : a.kind === 'inet' ? `${addrToString(a.addr)}:${a.port}` : '';

/** Counts how often it is asked whether it is connected. */
class Watched extends InPcb {
  looks = 0;
  constructor() {
    super();
    this.laddr.set(parseAddr('0.0.0.0')!);
    let connected = false;
    Object.defineProperty(this, 'connected', {
      get: () => (this.looks++, connected),
      set: (value: boolean) => (connected = value),
    });
  }
}

/** Answers each datagram from inside the callback. */
class Echo extends Notes {
  override datagram(so: Socket, from: SockAddr, bytes: Uint8Array, off: number, len: number): boolean {
    ok(sosendto(so, bytes, off, len, from));
    return true;
  }
}

describe('datagrams in', () => {
  const cases: [string, string, Uint8Array][] = [
    ['shorter than a header', 'hdrops', ether(ip(new Uint8Array(7)))],
    ['length below the header', 'badlen', udpFrame(HELLO, { len: 7, sum: 'none' })],
    ['length beyond the packet', 'badlen', udpFrame(HELLO, { len: 14, sum: 'none' })],
    ['wrong checksum', 'badsum', udpFrame(HELLO, { sum: 'bad' })],
  ];
  for (const [what, counter, frame] of cases) {
    it(`${what}: udp.${counter}`, () => {
      const host = new Host();
      const so = host.udp(7);
      expect(host.exchange(frame)).toEqual([]);
      expect([host.count('udp', counter), receive(so)]).toEqual([1, 'EAGAIN']);
    });
  }

  it('without a checksum are taken (IPv4)', () => {
    const host = new Host();
    const so = host.udp(7);
    host.exchange(udpFrame(HELLO, { sum: 'none' }));
    expect([receive(so), host.count('udp', 'nosum')]).toEqual(['10.0.0.1:5000 hello', 1]);
  });

  it('end where UDP says, not where IP does', () => {
    const host = new Host();
    const so = host.udp(7);
    host.exchange(udpFrame(concat(HELLO, bytesOf('junk')), { len: 13, sum: 'none' }));
    expect(receive(so)).toBe('10.0.0.1:5000 hello');
  });

  it('may be empty', () => {
    const host = new Host();
    const so = host.udp(7);
    host.exchange(udpFrame(new Uint8Array(0)));
    expect(receive(so)).toBe('10.0.0.1:5000 ');
  });

  it('with all checksums that there are: 0xffff stands for 0', () => {
    const host = new Host();
    const so = host.udp(7);
    const notes = new Notes();
    so.handler = notes;
    for (let i = 0; i < 65536; i += 13) host.link.inject(udpFrame(Uint8Array.of(i >> 8, i & 255)));
    expect(notes.lines.length).toBe(Math.ceil(65536 / 13));
  });

  it('to a closed port are answered by "port unreachable", not when sent to all, not with blackhole', () => {
    const host = new Host();
    const frame = udpFrame(HELLO, { dport: 9 });
    const reply = ipOf(host.exchange(frame)[0]!);
    expect([reply.data[0], reply.data[1]]).toEqual([3, 3]);
    expect(host.exchange(concat(BCAST_MAC, udpFrame(HELLO, { dport: 9, dst: '10.0.0.255' }).subarray(6)))).toEqual([]);
    host.sysctl('net.inet.udp.blackhole', true);
    expect(host.exchange(frame)).toEqual([]);
    expect([host.count('udp', 'noport'), host.count('udp', 'noportbcast')]).toEqual([2, 1]);
  });

  it('that a full socket cannot take are counted', () => {
    const host = new Host();
    const so = host.udp(7);
    ok(sosetopt(so, { dir: 'set', level: SOL_SOCKET, name: SO_RCVBUF, value: 4096 }));
    for (let i = 0; i < 100; i++) host.exchange(udpFrame(pattern(200)));
    expect(host.count('udp', 'fullsock')).toBeGreaterThan(50);
    expect(receive(so)).not.toBe('EAGAIN');
  });
});

describe('who gets a datagram', () => {
  it('the connected socket before the one bound to the address before the one bound to any', () => {
    const host = new Host();
    const any = host.udp(7);
    const exact = host.socket();
    set(exact, SO_REUSEADDR);
    ok(sobind(exact, at('10.0.0.2', 7)));
    const conn = host.socket();
    set(conn, SO_REUSEADDR);
    set(conn, SO_REUSEPORT);
    set(exact, SO_REUSEPORT);
    ok(sobind(conn, at('10.0.0.2', 7)));
    ok(soconnect(conn, at('10.0.0.1', 5000)));
    host.exchange(udpFrame(HELLO), udpFrame(HELLO, { sport: 5001 }));
    expect([receive(conn), receive(exact), receive(any)]).toEqual(['10.0.0.1:5000 hello', '10.0.0.1:5001 hello', 'EAGAIN']);
    ok(soclose(exact));
    host.exchange(udpFrame(HELLO, { sport: 5001 }));
    expect(receive(any)).toBe('10.0.0.1:5001 hello');
  });

  it('a connected socket hears nobody else', () => {
    const host = new Host();
    const so = host.udp(7, at('10.0.0.1', 5000));
    host.exchange(udpFrame(HELLO, { sport: 5001 }), udpFrame(HELLO, { src: '10.0.0.9' }));
    expect(receive(so)).toBe('EAGAIN');
    expect(host.count('udp', 'noport')).toBe(2);
  });

  it('to all: every socket that shares the port', () => {
    const host = new Host();
    const shared = [0, 1, 2].map(() => {
      const so = host.socket();
      set(so, SO_REUSEPORT);
      ok(sobind(so, at('0.0.0.0', 7)));
      return so;
    });
    host.exchange(concat(BCAST_MAC, udpFrame(HELLO, { dst: '255.255.255.255' }).subarray(6)));
    expect(shared.map((so) => receive(so))).toEqual(new Array<string>(3).fill('10.0.0.1:5000 hello'));
  });

  it('a handler that closes sockets while a broadcast is handed round does no harm', () => {
    const host = new Host();
    const all: Socket[] = [];
    class Closer extends Notes {
      override datagram(): boolean {
        for (const so of all.splice(0)) soclose(so);
        return true;
      }
    }
    for (let i = 0; i < 4; i++) {
      const so = host.socket();
      set(so, SO_REUSEPORT);
      ok(sobind(so, at('0.0.0.0', 7)));
      so.handler = new Closer();
      all.push(so);
    }
    host.exchange(concat(BCAST_MAC, udpFrame(HELLO, { dst: '10.0.0.255' }).subarray(6)));
    host.exchange(concat(BCAST_MAC, udpFrame(HELLO, { dst: '10.0.0.255' }).subarray(6)));
    expect(host.count('udp', 'noportbcast')).toBe(1);
  });

  it('ten thousand connected sockets on one port are told apart', () => {
    const host = new Host();
    const notes = new Notes();
    for (let i = 0; i < 10_000; i++) {
      const so = host.socket();
      set(so, SO_REUSEPORT);
      ok(sobind(so, at('0.0.0.0', 7)));
      ok(soconnect(so, at('10.0.0.1', 10_000 + i)));
      if (i === 7777) so.handler = notes;
    }
    host.exchange(udpFrame(HELLO, { sport: 17_777 }));
    expect(notes.lines).toEqual(['10.0.0.1:17777 hello']);
  });

  it('who is not connected is found without a look at all who are', () => {
    const table = new PcbTable<Watched>(1);
    const made = Array.from({ length: 1000 }, () => new Watched());
    for (const [i, pcb] of made.entries()) {
      pcb.lport = 7;
      table.bind(pcb);
      if (i === 0) continue;
      pcb.laddr.set(parseAddr('10.0.0.2')!);
      pcb.faddr.set(parseAddr('10.0.0.1')!);
      pcb.fport = i;
      table.connect(pcb);
    }
    const looks = (): number => made.reduce((sum, pcb) => sum + pcb.looks, 0);
    const before = looks();
    expect(table.lookup(parseAddr('10.0.0.2')!, 7, parseAddr('10.0.0.1')!, 5000)).toBe(made[0]);
    expect(looks() - before).toBeLessThan(20);
    const one = made[500]!;
    table.disconnect(one);
    one.laddr.set(parseAddr('10.0.0.3')!);
    expect(table.lookup(parseAddr('10.0.0.3')!, 7, parseAddr('10.0.0.1')!, 500)).toBe(one);
    for (const pcb of made) {
      table.disconnect(pcb);
      table.unbind(pcb);
    }
    expect(table.lookup(parseAddr('10.0.0.2')!, 7, parseAddr('10.0.0.1')!, 500)).toBeNull();
    expect(table.size).toBe(0);
  });
});

describe('datagrams out', () => {
  it('bear addresses, ports and a checksum', () => {
    const host = new Host();
    const so = host.udp(4000);
    expect(send(so, 'hello', at('10.0.0.1', 9))).toBeNull();
    const packet = ipOf(host.sent()[0]!);
    expect(packet).toMatchObject({ src: '10.0.0.2', dst: '10.0.0.1', ttl: 64, proto: 17, sumOk: true });
    expect(packet.data.subarray(0, 6)).toEqual(Uint8Array.of(0x0f, 0xa0, 0, 9, 0, 13));
    expect(udpSumOk(packet, packet.data)).toBe(true);
    expect(stringOf(packet.data.subarray(8))).toBe('hello');
  });

  it('never bear a checksum of 0 unless it is switched off', () => {
    const host = new Host();
    const so = host.udp(4000);
    let ones = 0;
    for (let i = 0; i < 65536; i++) {
      sosendto(so, Uint8Array.of(i >> 8, i & 255), 0, 2, at('10.0.0.1', 9));
      if ((i & 31) !== 31) continue;
      for (const frame of host.sent()) {
        const sum = Buffer.from(frame).readUInt16BE(14 + 20 + 6);
        expect(sum).not.toBe(0);
        if (sum === 0xffff) ones++;
      }
    }
    expect(ones).toBe(1);
    host.sysctl('net.inet.udp.checksum', false);
    send(so, 'hello', at('10.0.0.1', 9));
    expect(Buffer.from(host.sent()[0]!).readUInt16BE(14 + 20 + 6)).toBe(0);
  }, 20_000);

  it('leave the checksum to a link that can, with all it needs to know', () => {
    const host = new Host({ offload: true });
    const so = host.udp(4000);
    send(so, 'hello', at('10.0.0.1', 9));
    host.run(0);
    const [frame] = host.link.takeAll();
    expect(frame).toMatchObject({ flags: 1, gsoSize: 0, csumStart: 34, csumOffset: 6 });
    expect(host.count('ip', 'swcsum')).toBe(0);
    // Cut datagrams have no checksum of their own that a link could complete.
    sosendto(so, pattern(3001), 0, 3001, at('10.0.0.1', 9));
    host.run(0);
    const frames = host.link.takeAll();
    expect(frames.map((f) => f.flags)).toEqual([0, 0, 0]);
    const whole = concat(...frames.map((f) => ipOf(f.bytes).data));
    expect(udpSumOk(ipOf(frames[0]!.bytes), whole)).toBe(true);
    ok(host.ifp.setCapEnable(0));
    send(so, 'hello', at('10.0.0.1', 9));
    host.run(0);
    const plain = host.link.takeAll()[0]!;
    expect([plain.flags, udpSumOk(ipOf(plain.bytes), ipOf(plain.bytes).data)]).toEqual([0, true]);
  });

  it("of every size up to a frame are the sender's bytes, which are the sender's again at once", () => {
    const host = new Host({ mtu: 9000 });
    const so = host.udp(4000);
    for (let n = 0; n < 8900; n += 37) {
      const bytes = pattern(n);
      ok(sosendto(so, bytes, 0, n, at('10.0.0.1', 9)));
      bytes.fill(0);
      const packet = ipOf(host.sent()[0]!);
      expect(Buffer.from(packet.data.subarray(8)).equals(pattern(n))).toBe(true);
      expect(udpSumOk(packet, packet.data)).toBe(true);
    }
    expect(host.kernel.bufpool.used).toBe(0);
  });

  it('EMSGSIZE over 65507 bytes, ENETUNREACH without a way, EADDRNOTAVAIL to port 0', () => {
    const host = new Host();
    const so = host.udp(4000);
    expect(sosendto(so, pattern(65508), 0, 65508, at('10.0.0.1', 9))).toBe('EMSGSIZE');
    expect(send(so, 'x', at('192.0.2.1', 9))).toBe('ENETUNREACH');
    expect(send(so, 'x', at('127.0.0.1', 9))).toBe('ENETUNREACH');
    expect(send(so, 'x', at('10.0.0.1', 0))).toBe('EADDRNOTAVAIL');
    expect(send(so, 'x')).toBe('EDESTADDRREQ');
    expect(send(so, 'x', { kind: 'local', path: '/x' })).toBe('EAFNOSUPPORT');
    expect(send(so, 'x', at('2001:db8::1', 9))).toBe('EAFNOSUPPORT');
    host.ifp.setUp(false);
    expect(send(so, 'x', at('10.0.0.1', 9))).toBe('ENETDOWN');
    expect(host.link.ring.available()).toBe(64);
  });

  it('ENOBUFS when the ring is full, and nothing is lost by it', () => {
    const host = new Host({ slots: 1 });
    const so = host.udp(4000);
    const slot = host.ifp.txAlloc()!;
    expect(send(so, 'x', at('10.0.0.1', 9))).toBe('ENOBUFS');
    host.ifp.txFree(slot);
    expect(send(so, 'x', at('10.0.0.1', 9))).toBeNull();
    expect(host.sent().length).toBe(1);
  });

  it('to a broadcast address need SO_BROADCAST (EACCES), go to every station, and come back to us', () => {
    const host = new Host();
    const so = host.udp(4000);
    const listener = host.udp(9);
    for (const dst of ['10.0.0.255', '255.255.255.255']) {
      expect(send(so, 'x', at(dst, 9))).toBe('EACCES');
    }
    set(so, SO_BROADCAST);
    for (const dst of ['10.0.0.255', '255.255.255.255']) {
      expect(send(so, 'all', at(dst, 9))).toBeNull();
      const [frame] = host.sent();
      expect(frame!.subarray(0, 6)).toEqual(BCAST_MAC);
      expect(ipOf(frame!)).toMatchObject({ src: '10.0.0.2', dst });
      expect(receive(listener)).toBe('10.0.0.2:4000 all');
    }
  });

  it('to a group go to the address it maps to, with TTL 1 (RFC 1112 §6)', () => {
    const host = new Host();
    const so = host.udp(4000);
    expect(send(so, 'x', at('239.129.2.3', 9))).toBeNull();
    const [frame] = host.sent();
    expect(Buffer.from(frame!.subarray(0, 6)).toString('hex')).toBe('01005e010203');
    expect(ipOf(frame!)).toMatchObject({ src: '10.0.0.2', dst: '239.129.2.3', ttl: 1 });
    ok(sosetopt(so, { dir: 'set', level: 0, name: 10, value: 5 }));
    send(so, 'x', at('239.129.2.3', 9));
    expect(ipOf(host.sent()[0]!).ttl).toBe(5);
    send(so, 'x', at('10.0.0.1', 9));
    expect(ipOf(host.sent()[0]!).ttl).toBe(64);
  });

  it('to a group with TTL 0 stay in this host (RFC 1112 §6.1)', () => {
    const host = new Host();
    const so = host.udp(4000);
    ok(sosetopt(so, { dir: 'set', level: 0, name: 10, value: 0 }));
    expect(send(so, 'x', at('239.129.2.3', 9))).toBeNull();
    expect(sosendto(so, new Uint8Array(3000), 0, 3000, at('239.129.2.3', 9))).toBeNull();
    expect(host.sent()).toEqual([]);
    expect(host.count('ip', 'ttlzero')).toBe(2);
    expect(host.kernel.bufpool.used).toBe(0);
  });

  it('to all leave by a link that is up, when there is no default route', () => {
    const host = new Host();
    const link = new RawLink({ lladdr: Uint8Array.of(2, 0, 0, 0, 1, 2) });
    const ifp = ok(host.kernel.ifnets.attach('raw', 1, link.link())) as Ifnet;
    ifp.setUp(true);
    host.addAddr(ifp, '10.1.0.2/24');
    host.run(5000);
    link.take();
    host.ifp.setUp(false);
    const so = host.udp(4000);
    set(so, SO_BROADCAST);
    expect(send(so, 'x', at('255.255.255.255', 9))).toBeNull();
    expect(send(so, 'y', at('239.1.1.1', 9))).toBeNull();
    host.run(0);
    expect(link.take().map((f) => ipOf(f).src)).toEqual(['10.1.0.2', '10.1.0.2']);
  });

  it('follow a route that changes under a socket', () => {
    const host = new Host();
    const so = host.udp(4000);
    host.addRoute('192.0.2.0/24', '10.0.0.1');
    expect(send(so, 'x', at('192.0.2.9', 9))).toBeNull();
    expect(Buffer.from(host.sent()[0]!.subarray(0, 6)).toString('hex')).toBe('020000000001');
    host.addRoute('192.0.2.9/32', '10.0.0.7');
    send(so, 'x', at('192.0.2.9', 9));
    const asks = Buffer.from(host.sent()[0]!);
    expect([asks.readUInt16BE(12), asks.readUInt32BE(38)]).toEqual([0x0806, 0x0a000007]);
  });
});

describe('echo from inside the callback', () => {
  it('answers each datagram of a batch, in order, in one flush', () => {
    const host = new Host();
    const so = host.udp(7);
    so.handler = new Echo();
    const flushes = host.link.flushes;
    host.link.inject(Array.from({ length: 32 }, (_, i) => udpFrame(bytesOf(`n${i}`), { sport: 6000 + i })));
    expect(host.link.flushes).toBe(flushes + 1);
    const packets = host.link.take().map(ipOf);
    expect(packets.map((p) => stringOf(p.data.subarray(8)))).toEqual(Array.from({ length: 32 }, (_, i) => `n${i}`));
    expect(packets.map((p) => Buffer.from(p.data).readUInt16BE(2))).toEqual(Array.from({ length: 32 }, (_, i) => 6000 + i));
    for (const p of packets) expect(udpSumOk(p, p.data)).toBe(true);
  });
});

describe('bind (in_pcbbind)', () => {
  /** Binds a second socket beside a first, and says what came of it. */
  function second(first: [string, number[]], then: [string, number[]]): Errno | null {
    const host = new Host();
    host.addAddr(host.ifp, '10.0.0.3/24');
    const bindOne = ([addr, opts]: [string, number[]]): Errno | null => {
      const so = host.socket();
      for (const opt of opts) set(so, opt);
      return sobind(so, at(addr, 7));
    };
    expect(bindOne(first)).toBeNull();
    return bindOne(then);
  }
  const RA = [SO_REUSEADDR];
  const RP = [SO_REUSEPORT];

  it('refuses a port in use, unless both share it', () => {
    expect(second(['0.0.0.0', []], ['0.0.0.0', []])).toBe('EADDRINUSE');
    expect(second(['0.0.0.0', []], ['10.0.0.2', []])).toBe('EADDRINUSE');
    expect(second(['10.0.0.2', []], ['0.0.0.0', []])).toBe('EADDRINUSE');
    expect(second(['10.0.0.2', []], ['10.0.0.2', []])).toBe('EADDRINUSE');
    expect(second(['10.0.0.2', []], ['10.0.0.3', []])).toBeNull();
    expect(second(['0.0.0.0', RA], ['0.0.0.0', RA])).toBe('EADDRINUSE');
    expect(second(['0.0.0.0', []], ['10.0.0.2', RA])).toBeNull();
    expect(second(['10.0.0.2', []], ['0.0.0.0', RA])).toBeNull();
    expect(second(['0.0.0.0', RP], ['0.0.0.0', RP])).toBeNull();
    expect(second(['0.0.0.0', []], ['0.0.0.0', RP])).toBe('EADDRINUSE');
    expect(second(['0.0.0.0', RP], ['0.0.0.0', []])).toBe('EADDRINUSE');
    expect(second(['224.0.0.1', RA], ['224.0.0.1', RA])).toBeNull();
  });

  it('takes own, broadcast and group addresses, and no others', () => {
    const host = new Host();
    expect(sobind(host.socket(), at('10.0.0.9', 7))).toBe('EADDRNOTAVAIL');
    expect(sobind(host.socket(), at('10.0.0.255', 7))).toBeNull();
    expect(sobind(host.socket(), at('2001:db8::1', 7))).toBe('EAFNOSUPPORT');
    const so = host.socket();
    expect(sobind(so, at('10.0.0.2', 8))).toBeNull();
    expect(sobind(so, at('10.0.0.2', 9))).toBe('EINVAL');
    expect(name(sosockaddr(so))).toBe('10.0.0.2:8');
    expect(name(sopeeraddr(so))).toBe('ENOTCONN');
  });
});

describe('ephemeral ports (RFC 6056)', () => {
  const portOf = (so: Socket): number => Number(name(sosockaddr(so)).split(':')[1]);

  it('lie in the range, differ, and do not follow each other', () => {
    const host = new Host();
    const ports = Array.from({ length: 500 }, (_, i) => portOf(host.udp(0, at('10.0.0.1', 1000 + i))));
    expect(new Set(ports).size).toBe(500);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(10_000);
    const steps = ports.slice(1).map((p, i) => Math.abs(p - ports[i]!));
    expect(steps.filter((s) => s < 16).length).toBeLessThan(10);
  });

  it('are the next free one for the same peer, and EADDRNOTAVAIL when the range is used up', () => {
    const host = new Host();
    host.sysctl('net.inet.ip.portrange.last', 10_009);
    const ports = Array.from({ length: 10 }, () => portOf(host.udp(0, at('10.0.0.1', 9))));
    expect([...ports].sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => 10_000 + i));
    const so = host.socket();
    expect(soconnect(so, at('10.0.0.1', 9))).toBe('EADDRNOTAVAIL');
    expect(name(sosockaddr(so))).toBe('0.0.0.0:0');
    expect(host.kernel.sysctl.write('net.inet.ip.portrange.first', 20_000)).toBe('EINVAL');
    expect(sobind(so, at('10.0.0.2', 0))).toBe('EADDRNOTAVAIL');
    expect(name(sosockaddr(so))).toBe('0.0.0.0:0');
  });

  it('a first datagram binds the socket, and keeps its port', () => {
    const host = new Host();
    const so = host.socket();
    send(so, 'x', at('10.0.0.1', 9));
    const port = portOf(so);
    send(so, 'y', at('10.0.0.1', 10));
    expect([port >= 10_000, portOf(so)]).toEqual([true, port]);
    host.sent();
    host.exchange(udpFrame(HELLO, { dport: port }));
    expect(receive(so)).toBe('10.0.0.1:5000 hello');
  });
});

describe('connect', () => {
  it('chooses the source address, and refuses a second peer only without leaving the first', () => {
    const host = new Host();
    const so = host.udp(4000, at('10.0.0.1', 9));
    expect([name(sosockaddr(so)), name(sopeeraddr(so))]).toEqual(['10.0.0.2:4000', '10.0.0.1:9']);
    expect(send(so, 'x', at('10.0.0.1', 10))).toBe('EISCONN');
    expect(soconnect(so, at('10.0.0.1', 10))).toBeNull();
    expect(name(sopeeraddr(so))).toBe('10.0.0.1:10');
    expect(so.methods.disconnect(so)).toBeNull();
    expect(so.methods.disconnect(so)).toBe('ENOTCONN');
    expect(name(sosockaddr(so))).toBe('0.0.0.0:4000');
  });

  it('and its end give a socket that is bound to a broadcast address that address back', () => {
    const host = new Host();
    const so = host.socket();
    ok(sobind(so, at('10.0.0.255', 7)));
    ok(soconnect(so, at('10.0.0.1', 9)));
    expect(name(sosockaddr(so))).toBe('10.0.0.2:7');
    ok(so.methods.disconnect(so));
    expect(name(sosockaddr(so))).toBe('10.0.0.255:7');
  });

  it('EADDRINUSE for two ends that are in use, EADDRNOTAVAIL for port 0, ENETUNREACH without a way', () => {
    const host = new Host();
    host.udp(4000, at('10.0.0.1', 9));
    const so = host.socket();
    set(so, SO_REUSEADDR);
    ok(sobind(so, at('0.0.0.0', 4000)));
    expect(soconnect(so, at('10.0.0.1', 9))).toBe('EADDRINUSE');
    expect(soconnect(so, at('10.0.0.1', 0))).toBe('EADDRNOTAVAIL');
    expect(soconnect(so, at('192.0.2.1', 9))).toBe('ENETUNREACH');
    expect(soconnect(so, { kind: 'local', path: 'x' })).toBe('EAFNOSUPPORT');
  });

  it('after shutdown for writing a datagram is EPIPE, and they still come in', () => {
    const host = new Host();
    const so = host.udp(7, at('10.0.0.1', 5000));
    ok(soshutdown(so, 'wr'));
    expect(send(so, 'x')).toBe('EPIPE');
    host.exchange(udpFrame(HELLO));
    expect(receive(so)).toBe('10.0.0.1:5000 hello');
  });

  it('a closed socket leaves nothing behind', () => {
    const host = new Host();
    for (let i = 0; i < 100; i++) ok(soclose(host.udp(7, at('10.0.0.1', 9))));
    expect(ok(sobind(host.socket(), at('0.0.0.0', 7)))).toBeNull();
    expect(host.exchange(udpFrame(HELLO, { sport: 9, dport: 8 })).length).toBe(1);
  });
});
