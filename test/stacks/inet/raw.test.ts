/** Raw IP sockets (ip(4), icmp(4)): what they see, and headers of their own. */
import { describe, expect, it } from 'vitest';
import type { Errno } from '../../../src/kern/errno.ts';
import { sobind, soclose, soconnect, socreate, sosetopt } from '../../../src/kern/socket/calls.ts';
import { soreceive, sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_RAW } from '../../../src/kern/socket/protosw.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { SOL_SOCKET, SO_BROADCAST } from '../../../src/kern/socket/soconst.ts';
import { bytesOf, ether, icmp, ip, ipOf, pattern, ping, readIp, udpFrame } from './frames.ts';
import { Host, OUR_IP, at, ok } from './harness.ts';

const DATA = bytesOf('0123456789abcdef');

function next(so: Socket): Uint8Array | Errno {
  const buf = new Uint8Array(65536);
  const n = soreceive(so, buf, 0, buf.length, 0);
  return typeof n === 'string' ? n : buf.slice(0, n);
}
const send = (so: Socket, bytes: Uint8Array, to: string | null): Errno | null =>
  sosendto(so, bytes, 0, bytes.length, to === null ? null : at(to, 0));

describe('input', () => {
  it('a protocol without a transport goes to its socket, with its header, and not to "protocol unreachable"', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 200);
    const packet = ip(DATA, { proto: 200 });
    expect(host.exchange(ether(packet))).toEqual([]);
    expect(next(so)).toEqual(packet);
    expect(host.exchange(ether(ip(DATA, { proto: 201 }))).length).toBe(1);
    expect(next(so)).toBe('EAGAIN');
  });

  it('the wildcard protocol 0 sees all of them, and UDP none', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 0);
    host.udp(7);
    host.exchange(ether(ip(DATA, { proto: 200 })), ether(ip(DATA, { proto: 201 })), udpFrame(DATA));
    expect([readIp(next(so) as Uint8Array).proto, readIp(next(so) as Uint8Array).proto, next(so)]).toEqual([200, 201, 'EAGAIN']);
  });

  it('an ICMP socket sees replies and errors, not the requests that are answered for it', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 1);
    const reply = ip(icmp(0, 0, 0x00010002, DATA), { proto: 1 });
    host.exchange(ping(DATA), ether(reply), ether(ip(icmp(3, 1, 0, ip(DATA, { src: '10.0.0.2' })), { proto: 1 })));
    expect(next(so)).toEqual(reply);
    expect((next(so) as Uint8Array)[20]).toBe(3);
    expect(next(so)).toBe('EAGAIN');
  });

  it('bind and connect choose what is seen', () => {
    const host = new Host();
    host.addAddr(host.ifp, '10.0.0.3/24');
    const bound = host.socket(SOCK_RAW, 200);
    ok(sobind(bound, at('10.0.0.3', 0)));
    const connected = host.socket(SOCK_RAW, 200);
    ok(soconnect(connected, at('10.0.0.9', 0)));
    host.exchange(ether(ip(DATA, { proto: 200 })));
    expect([next(bound), next(connected)]).toEqual(['EAGAIN', 'EAGAIN']);
    host.exchange(ether(ip(DATA, { proto: 200, src: '10.0.0.9', dst: '10.0.0.3' })));
    expect([typeof next(bound), typeof next(connected)]).toEqual(['object', 'object']);
    expect(sobind(bound, at('10.0.0.77', 0))).toBe('EADDRNOTAVAIL');
    ok(soclose(bound));
    ok(soclose(connected));
    expect(host.exchange(ether(ip(DATA, { proto: 200 }))).length).toBe(1);
  });

  it('a datagram in pieces comes whole', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 200);
    host.exchange(ether(ip(pattern(1480), { proto: 200, mf: true })), ether(ip(pattern(20), { proto: 200, off: 1480 })));
    expect(readIp(next(so) as Uint8Array)).toMatchObject({ len: 1520, mf: false, off: 0, sumOk: true });
  });
});

describe('output', () => {
  it('gets a header of ours, and is cut if need be', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 200);
    expect(send(so, pattern(2000), '10.0.0.1')).toBeNull();
    const frames = host.sent().map(ipOf);
    expect(frames).toMatchObject([
      { proto: 200, mf: true, src: '10.0.0.2' },
      { off: 1480, mf: false },
    ]);
    expect(send(so, DATA, null)).toBe('EDESTADDRREQ');
    ok(soconnect(so, at('10.0.0.1', 0)));
    expect(send(so, DATA, null)).toBeNull();
    expect(send(so, DATA, '10.0.0.1')).toBe('EISCONN');
    expect(host.sent().length).toBe(1);
  });

  it('a ping by hand gets its reply', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 1);
    const request = icmp(8, 0, 0x00070001, DATA);
    ok(send(so, request, '10.0.0.1'));
    expect(ipOf(host.sent()[0]!)).toMatchObject({ proto: 1, data: request });
    const reply = ip(icmp(0, 0, 0x00070001, DATA), { proto: 1 });
    host.exchange(ether(reply));
    expect(next(so)).toEqual(reply);
  });

  it("IP_HDRINCL: the header is the user's; source, identification and checksum are filled in where they are 0", () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 255);
    ok(sosetopt(so, { dir: 'set', level: 0, name: 2, value: 1 }));
    const own = ip(DATA, {
      src: '0.0.0.0',
      dst: '10.0.0.1',
      proto: 99,
      ttl: 7,
      tos: 12,
      id: 0,
      patchSum: (h) => h.fill(0, 10, 12),
    });
    ok(send(so, own, '10.0.0.1'));
    const packet = ipOf(host.sent()[0]!);
    expect(packet).toMatchObject({ src: '10.0.0.2', dst: '10.0.0.1', proto: 99, ttl: 7, tos: 12, sumOk: true, data: DATA });
    const withOptions = ip(DATA, { src: '10.0.0.2', dst: '10.0.0.1', proto: 99, id: 77, options: [1, 1, 1, 0] });
    ok(send(so, withOptions, '10.0.0.1'));
    expect(host.sent()[0]!.subarray(14)).toEqual(withOptions);
    for (const bad of [
      DATA,
      own.subarray(0, 30),
      ip(DATA, { patch: (h) => (h[0] = 0x44) }),
      ip(DATA, { patch: (h) => (h[0] = 0x65) }),
    ]) {
      expect(send(so, bad, '10.0.0.1')).toBe('EINVAL');
    }
    expect(send(so, ip(pattern(1481), { src: '10.0.0.2', dst: '10.0.0.1' }), '10.0.0.1')).toBe('EMSGSIZE');
    expect(host.count('raw', 'badhdrincl')).toBe(4);
  });

  it('to all needs SO_BROADCAST; errors are those of the way', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 200);
    expect(send(so, DATA, '10.0.0.255')).toBe('EACCES');
    ok(sosetopt(so, { dir: 'set', level: SOL_SOCKET, name: SO_BROADCAST, value: 1 }));
    expect(send(so, DATA, '10.0.0.255')).toBeNull();
    expect(send(so, DATA, '192.0.2.1')).toBe('ENETUNREACH');
    expect(send(so, DATA, '::1')).toBe('EAFNOSUPPORT');
    expect(socreate(host.kernel, AF_INET, SOCK_RAW, 300, null)).toBe('EPROTONOSUPPORT');
  });
});

describe('a socket that is bound to a group', () => {
  it('sends from the address of the interface: a group is no source (RFC 1122 §3.2.1.3)', () => {
    const host = new Host();
    const so = host.socket(SOCK_RAW, 200);
    ok(sobind(so, at('239.1.2.3', 0)));
    expect(send(so, DATA, '10.0.0.1')).toBeNull();
    expect(host.sent().map((frame) => ipOf(frame).src)).toEqual([OUR_IP]);
  });
});
