/** Names and options: bind, listen, TCP_*, IP_TTL and IP_TOS (MUST-49, SHLD-22, SHLD-23), sysctls, ephemeral ports. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sobind, soclose, soconnect, sogetopt, solisten } from '../../src/kern/socket/calls.ts';
import type { SockOpt } from '../../src/kern/socket/protosw.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import { SOL_SOCKET, SO_REUSEADDR, SO_REUSEPORT, SO_SETFIB } from '../../src/kern/socket/soconst.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { ANY6, ipv4, sockAddr } from '../../src/wire/addr.ts';
import { PEER_IP, STACK_IP, TcpHarness } from './harness.ts';

const TCP = 6;
let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

const any = (port: number) => sockAddr(ipv4(0), port);
const mine = (port: number) => sockAddr(ipv4(STACK_IP), port);
const set = (so: Socket, level: number, name: number, value: unknown) => sosetopt(so, { dir: 'set', level, name, value });
function get(so: Socket, level: number, name: number): unknown {
  const sopt: SockOpt = { dir: 'get', level, name, value: null };
  return sogetopt(so, sopt) ?? sopt.value;
}
function reusing(name: number): Socket {
  const so = t.socket();
  expect(set(so, SOL_SOCKET, name, 1)).toBeNull();
  return so;
}

describe('bind', () => {
  it('refuses what is not ours, not IPv4, a group, and a second time', () => {
    expect(sobind(t.socket(), sockAddr(ipv4(PEER_IP), 80))).toBe('EADDRNOTAVAIL');
    expect(sobind(t.socket(), sockAddr(ANY6, 80))).toBe('EAFNOSUPPORT');
    expect(sobind(t.socket(), sockAddr(ipv4(0xe0000001), 80))).toBe('EAFNOSUPPORT');
    expect(sobind(t.socket(), any(70_000))).toBe('EINVAL');
    const so = t.socket();
    expect(sobind(so, any(80))).toBeNull();
    expect(sobind(so, any(81))).toBe('EINVAL');
  });

  it('a port is one socket’s, unless both reuse it', () => {
    expect(sobind(t.socket(), any(80))).toBeNull();
    expect(sobind(t.socket(), any(80))).toBe('EADDRINUSE');
    expect(sobind(t.socket(), mine(80))).toBe('EADDRINUSE');
    expect(sobind(reusing(SO_REUSEADDR), any(80))).toBe('EADDRINUSE');
    expect(sobind(reusing(SO_REUSEADDR), mine(80))).toBeNull();
    expect(sobind(reusing(SO_REUSEPORT), any(90))).toBeNull();
    expect(sobind(reusing(SO_REUSEPORT), any(90))).toBeNull();
    expect(sobind(t.socket(), any(90))).toBe('EADDRINUSE');
  });

  it('a connection keeps its port from others, but not from who reuses it', () => {
    const p = t.established();
    soclose(p.listener!);
    expect(sobind(t.socket(), any(80))).toBe('EADDRINUSE');
    expect(sobind(reusing(SO_REUSEADDR), any(80))).toBeNull();
    expect(p.state()).toBe('ESTABLISHED');
  });

  it('port 0 finds a free one', () => {
    const ports = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const so = t.socket();
      expect(sobind(so, any(0))).toBeNull();
      const addr = so.methods.sockaddr(so);
      if (typeof addr === 'object' && addr.kind === 'inet') ports.add(addr.port);
    }
    expect(ports.size).toBe(50);
    expect(Math.min(...ports)).toBeGreaterThan(1023);
  });

  it('closing gives the port back', () => {
    const so = t.listen(80);
    soclose(so);
    t.listen(80);
  });
});

describe('listen', () => {
  it('without a name finds a port; twice changes the backlog; EADDRINUSE, EINVAL', () => {
    const so = t.socket();
    expect(solisten(so, 5)).toBeNull();
    expect(solisten(so, 7)).toBeNull();
    const a = reusing(SO_REUSEPORT);
    const b = reusing(SO_REUSEPORT);
    expect([sobind(a, any(90)), sobind(b, any(90)), solisten(a, 1), solisten(b, 1)]).toEqual([null, null, null, 'EADDRINUSE']);
    expect(solisten(t.synSent().socket(), 1)).toBe('EINVAL');
    expect(soconnect(so, sockAddr(ipv4(PEER_IP), 80))).toBe('EOPNOTSUPP');
  });
});

describe('options', () => {
  it('IP_TTL and IP_TOS are in the segments that follow; accepted sockets have the listener’s', () => {
    const listener = t.listen(80);
    expect(set(listener, 0, 4, 33)).toBeNull();
    expect(set(listener, 0, 3, 0x28)).toBeNull();
    const p = t.established({ mss: 1460 }, listener);
    p.write('x');
    expect(p.recv({ len: 1 })).toMatchObject({ ttl: 33, tos: 0x28, df: true });
    expect(set(p.socket(), 0, 4, 99)).toBeNull();
    p.send({ ack: 2 });
    p.write('y');
    expect(p.recv({ len: 1 })).toMatchObject({ ttl: 99, tos: 0x28 });
    expect([set(p.socket(), 0, 4, 0), set(p.socket(), 0, 3, 256)]).toEqual(['EINVAL', 'EINVAL']);
  });

  it('TCP_MAXSEG bounds what is offered and what is sent', () => {
    const listener = t.listen(80);
    expect(set(listener, TCP, 2, 700)).toBeNull();
    const p = t.established({ mss: 1460 }, listener);
    expect(p.syn!.opts.mss).toBe(700);
    p.write(1000);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([700, 300]);
    expect(set(p.socket(), TCP, 2, 20)).toBe('EINVAL');
    expect(get(p.socket(), TCP, 2)).toBe(700);
  });

  it('are read as they were set', () => {
    const so = t.socket();
    for (const [name, value] of [
      [1, 1],
      [4, 1],
      [128, 30],
      [256, 60],
      [512, 5],
      [1024, 4],
      [16_384, 9000],
    ] as const) {
      expect(set(so, TCP, name, value)).toBeNull();
      expect(get(so, TCP, name)).toBe(value);
    }
    expect(get(t.socket(), TCP, 256)).toBe(7200);
    expect(get(so, TCP, 64)).toBe('cubic');
    expect(set(so, TCP, 64, 'newreno')).toBeNull();
    expect(get(so, TCP, 64)).toBe('newreno');
    expect(set(so, TCP, 64, 'nosuch')).toBe('ENOENT');
    expect(set(so, TCP, 9999, 1)).toBe('ENOPROTOOPT');
    expect(get(so, TCP, 9999)).toBe('ENOPROTOOPT');
    expect(set(so, TCP, 256, 0)).toBe('EINVAL');
    expect(set(so, TCP, 1, 'yes')).toBe('EINVAL');
    expect(set(so, 99, 1, 1)).toBe('ENOPROTOOPT');
    expect(set(so, SOL_SOCKET, SO_SETFIB, 9)).toBe('EINVAL');
  });

  it('TCP_INFO has what ss shows', () => {
    const p = t.established({ mss: 1460, ts: [1, 0], wscale: 3, sackPermitted: true });
    p.write(3000);
    p.recvAll();
    p.sendData(500, { ack: 1 });
    expect(p.info()).toMatchObject({
      state: 'ESTABLISHED',
      options: ['ts', 'sack', 'wscale'],
      ca_state: 'open',
      snd_mss: 1448,
      snd_cwnd: 14_480,
      unacked: 3,
      sacked: 0,
      lost: 0,
      retransmits: 0,
      bytes_acked: 0,
      bytes_received: 500,
    });
    p.send({ ack: 3001 });
    expect(p.info()).toMatchObject({ unacked: 0, bytes_acked: 3000 });
  });
});

describe('sysctl and tunables', () => {
  it('take values in range, refuse others', () => {
    expect(t.kernel.sysctl.write('net.inet.tcp.msl', 100)).not.toBe('EINVAL');
    expect(t.kernel.sysctl.write('net.inet.tcp.msl', -1)).toBe('EINVAL');
    expect(t.kernel.sysctl.write('net.inet.tcp.cc.algorithm', 'nosuch')).toBe('ENOENT');
    expect(t.kernel.sysctl.read('net.inet.tcp.cc.available')).toMatchObject({ value: 'bbr cubic newreno' });
  });

  it('a tunable is there from the start', () => {
    t.close();
    t = new TcpHarness({ env: { 'net.inet.tcp.delacktime': '100' } });
    const p = t.established();
    p.sendData('x');
    expect(p.wait(500)).toBe(100);
  });

  it('without RFC 1323 and SACK a SYN offers only the MSS', () => {
    t.sysctl('rfc1323', 0);
    t.sysctl('sack.enable', false);
    expect(t.synSent().syn!.opts).toEqual({ mss: 1460 });
  });

  it.each([
    [0, false, false],
    [1, true, true],
    [2, true, false],
    [3, false, true],
  ])('net.inet.tcp.rfc1323=%i: window scaling %s, timestamps %s, in our SYN and in our answer to one', (value, scale, ts) => {
    t.sysctl('rfc1323', value);
    const { opts } = t.synSent().syn!;
    expect([opts.wscale !== undefined, opts.ts !== undefined]).toEqual([scale, ts]);
    const answer = t.synReceived({ mss: 1460, wscale: 5, ts: [1, 0], sackPermitted: true }).syn!.opts;
    expect([answer.wscale !== undefined, answer.ts !== undefined, answer.sackPermitted]).toEqual([scale, ts, true]);
  });
});
