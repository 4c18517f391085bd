/** Raw ICMP sockets (icmp(4)): what they see, what they send, how many there are; and that ping by hand works. */
import { describe, expect, test } from 'vitest';
import { isErrno } from '../../../src/kern/errno.ts';
import { sobind, soclose, soconnect, socreate, sosetopt } from '../../../src/kern/socket/calls.ts';
import { soreceive, sosendto } from '../../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_RAW } from '../../../src/kern/socket/protosw.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { SOL_SOCKET, SO_BROADCAST } from '../../../src/kern/socket/soconst.ts';
import { SocketHandler } from '../../../src/kern/socket/handler.ts';
import { ipv4, sockAddr } from '../../../src/wire/addr.ts';
import { complement, sum16 } from '../../../src/wire/checksum.ts';
import { IP_MF } from '../../../src/wire/ipv4.ts';
import { ip } from './support/host.ts';
import { pattern } from './support/sockets.ts';
import { PEER, US, Wire, get16, get8, ipFrame, put16 } from './support/wire.ts';

function icmp(type: number, code: number, data: Uint8Array): Uint8Array {
  const m = new Uint8Array(8 + data.length);
  m[0] = type;
  m[1] = code;
  put16(m, 4, 77);
  m.set(data, 8);
  put16(m, 2, complement(sum16(m, 0, m.length, 0)));
  return m;
}

function open(w: Wire): Socket {
  const so = socreate(w.host.kernel, AF_INET, SOCK_RAW, 1, null);
  if (isErrno(so)) throw new Error(so);
  return so;
}

function next(so: Socket): Uint8Array | string {
  const buf = new Uint8Array(65535);
  const n = soreceive(so, buf, 0, buf.length, 0);
  return typeof n === 'string' ? n : buf.slice(0, n);
}

const to = (addr: string): ReturnType<typeof sockAddr> => sockAddr(ipv4(ip(addr)), 0);
const count = (w: Wire, group: string, name: string): number | undefined => w.host.kernel.counters.get(group, name);
const send = (so: Socket, m: Uint8Array, addr: string | null): unknown =>
  sosendto(so, m, 0, m.length, addr === null ? null : to(addr));

describe('raw ICMP sockets', () => {
  test('see replies and errors with their IP header, not the requests that are answered for them', () => {
    const w = new Wire();
    const so = open(w);
    const reply = ipFrame(PEER, US, 1, icmp(0, 0, pattern(16)));
    const quoted = ipFrame(US, '10.9.9.9', 17, pattern(8)).subarray(14);
    w.raw.inject([reply, ipFrame(PEER, US, 1, icmp(8, 0, pattern(16))), ipFrame(PEER, US, 1, icmp(11, 0, quoted))]);
    expect(w.frames().length).toBe(1);
    expect(next(so)).toEqual(reply.subarray(14));
    expect((next(so) as Uint8Array)[20]).toBe(11);
    expect(next(so)).toBe('EAGAIN');
    expect([count(w, 'raw', 'ipackets'), count(w, 'icmp', 'ignored')]).toEqual([2, 0]);
  });

  test('a bad checksum reaches nobody', () => {
    const w = new Wire();
    const so = open(w);
    const bad = icmp(0, 0, pattern(16));
    bad[9]! ^= 1;
    w.raw.inject(ipFrame(PEER, US, 1, bad));
    expect(next(so)).toBe('EAGAIN');
    expect(count(w, 'icmp', 'checksum')).toBe(1);
  });

  test('bind and connect choose what is seen', () => {
    const w = new Wire();
    const [bound, connected] = [open(w), open(w)];
    expect(sobind(bound, to('10.0.0.99'))).toBe('EADDRNOTAVAIL');
    expect(sobind(bound, to(US))).toBeNull();
    expect(soconnect(connected, to('10.0.0.77'))).toBeNull();
    w.raw.inject(ipFrame(PEER, US, 1, icmp(0, 0, pattern(16))));
    expect([typeof next(bound), next(connected)]).toEqual(['object', 'EAGAIN']);
    w.raw.inject(ipFrame('10.0.0.77', US, 1, icmp(0, 0, pattern(16))));
    expect([typeof next(bound), typeof next(connected)]).toEqual(['object', 'object']);
    expect(send(connected, icmp(8, 0, pattern(4)), PEER)).toBe('EISCONN');
    expect(send(bound, icmp(8, 0, pattern(4)), null)).toBe('EDESTADDRREQ');
  });

  test('what came in pieces comes whole, with a header that says so', () => {
    const w = new Wire();
    const so = open(w);
    const m = icmp(0, 0, pattern(2000));
    w.raw.inject([ipFrame(PEER, US, 1, m.slice(0, 1000), IP_MF), ipFrame(PEER, US, 1, m.slice(1000), 125)]);
    const got = next(so) as Uint8Array;
    expect([got.length, get16(got, 2), get16(got, 6)]).toEqual([20 + m.length, 20 + m.length, 0]);
    expect(sum16(got, 0, 20, 0)).toBe(0xffff);
    expect(got.subarray(20)).toEqual(m);
  });

  test('a ping by hand gets its reply; TTL and TOS are the user’s; long ones are cut', () => {
    const w = new Wire();
    const so = open(w);
    expect(sosetopt(so, { dir: 'set', level: 0, name: 4, value: 3 })).toBeNull();
    expect(sosetopt(so, { dir: 'set', level: 0, name: 3, value: 8 })).toBeNull();
    expect(send(so, icmp(8, 0, pattern(56)), PEER)).toBeNull();
    const [frame] = w.frames();
    expect([get8(frame!, 22), get8(frame!, 15), get8(frame!, 23)]).toEqual([3, 8, 1]);
    expect(frame!.subarray(34)).toEqual(icmp(8, 0, pattern(56)));
    expect(send(so, icmp(8, 0, pattern(4000)), PEER)).toBeNull();
    expect(w.frames().length).toBe(3);
    expect(count(w, 'raw', 'opackets')).toBe(2);
    // To ourselves, too.
    expect(send(so, icmp(8, 0, pattern(56)), US)).toBeNull();
    w.frames();
    expect((next(so) as Uint8Array)[20]).toBe(0);
  });

  test('errors are those of the way, and a broadcast wants SO_BROADCAST', () => {
    const w = new Wire();
    const so = open(w);
    const m = icmp(8, 0, pattern(4));
    expect(send(so, m, '192.0.2.1')).toBe('ENETUNREACH');
    expect(send(so, m, '10.0.0.255')).toBe('EACCES');
    expect(sosetopt(so, { dir: 'set', level: SOL_SOCKET, name: SO_BROADCAST, value: 1 })).toBeNull();
    expect(send(so, m, '10.0.0.255')).toBeNull();
    expect(send(so, new Uint8Array(65516), PEER)).toBe('EMSGSIZE');
    for (const protocol of [2, 17, 200, 0]) expect(socreate(w.host.kernel, AF_INET, SOCK_RAW, protocol, null)).toMatch(/^EPROTO/);
  });

  test('there are 64 at most, a closed one makes room, and a full one loses', () => {
    const w = new Wire();
    const all = Array.from({ length: 64 }, () => open(w));
    expect(socreate(w.host.kernel, AF_INET, SOCK_RAW, 1, null)).toBe('ENOBUFS');
    expect(count(w, 'raw', 'nosock')).toBe(1);
    for (const so of all.slice(1)) soclose(so);
    const reply = ipFrame(PEER, US, 1, icmp(0, 0, pattern(1400)));
    for (let i = 0; i < 2000; i++) w.raw.inject(reply);
    expect(count(w, 'raw', 'fullsock')).toBeGreaterThan(0);
    soclose(all[0]!);
    expect(isErrno(socreate(w.host.kernel, AF_INET, SOCK_RAW, 1, null))).toBe(false);
  });

  test('a handler that closes sockets while a message is handed round does no harm', () => {
    const w = new Wire();
    const all = Array.from({ length: 5 }, () => open(w));
    let told = 0;
    class Closer extends SocketHandler {
      override datagram(): boolean {
        told++;
        for (const so of all) soclose(so);
        return true;
      }
    }
    for (const so of all) so.handler = new Closer();
    w.raw.inject(ipFrame(PEER, US, 1, icmp(0, 0, pattern(16))));
    expect(told).toBe(1);
    w.raw.inject(ipFrame(PEER, US, 1, icmp(0, 0, pattern(16))));
    expect(told).toBe(1);
  });
});
