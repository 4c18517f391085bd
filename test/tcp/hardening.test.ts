/** What hostile or silent peers cost: memory, time, answers (RFC 4987, RFC 6429, CVE-2019-11477 and its kin). Options of the user against them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept, soclose, soconnect, sogetopt } from '../../src/kern/socket/calls.ts';
import type { SockOpt } from '../../src/kern/socket/protosw.ts';
import { SOL_SOCKET, SO_LINGER } from '../../src/kern/socket/soconst.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { ipv4, sockAddr } from '../../src/wire/addr.ts';
import { PEER_IP, type Peer, TcpHarness, bytes, ok } from './harness.ts';

const TCP = 6;
const TCP_MD5SIG = 16;
const TCP_USER_TIMEOUT = 16_384;

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

function get(p: Peer, name: number): unknown {
  const sopt: SockOpt = { dir: 'get', level: TCP, name, value: null };
  return sogetopt(p.socket(), sopt) ?? sopt.value;
}

describe('memory of peers that mean no good', () => {
  it('an out-of-order flood of single bytes: so many ranges and no more, and the connection still works', () => {
    const p = t.established({ mss: 1460, sackPermitted: true });
    for (let i = 0; i < 5000; i++) p.send({ seq: 3 + 2 * i, data: 1 });
    p.recvAll();
    expect(t.stat('rcvreassfull')).toBe(4900);
    expect(t.kernel.bufpool.used).toBeLessThanOrEqual(65_536);
    p.sendData(300);
    expect(p.read()).toHaveLength(300);
  });

  it('MSS 48 and SACK of every other segment (CVE-2019-11477): segments stay of the least size allowed', () => {
    const p = t.established({ mss: 48, sackPermitted: true });
    p.write(20_000);
    const sent = p.recvAll();
    expect(Math.min(...sent.map((s) => s.data.length))).toBeGreaterThanOrEqual(216);
    for (let i = 0; i < 200; i++) {
      p.send({
        ack: 1,
        opts: { sack: sent.filter((_, n) => n % 2 === 1).map((s) => [p.irs + s.seq, p.irs + s.seq + s.data.length]) },
      });
    }
    expect(p.recvAll().length).toBeLessThan(400);
    expect(p.state()).toBe('ESTABLISHED');
  });

  it('two thousand connections that their peers half close, and nobody closes: no timers, no buffers', () => {
    const head = t.listen(80, 4096);
    const before = t.sim.pending();
    const peers: Peer[] = [];
    for (let i = 0; i < 2000; i++) {
      const p = t.established({ mss: 1460 }, head);
      p.send({ flags: 'FA' });
      p.nxt = 2;
      p.recv({ flags: 'A', ack: 2 });
      peers.push(p);
    }
    t.run(1000);
    expect(t.kernel.bufpool.used).toBe(0);
    expect(t.sim.pending()).toBeLessThanOrEqual(before + 2);
    for (const p of peers) p.userClose();
    for (let got = t.next(); got !== null; got = t.next());
    for (const p of peers) p.send({ ack: 2 });
    expect(t.stat('closed')).toBe(2000);
  });

  it('a slow reader is sent no more than its window, however long', () => {
    const p = t.established({ mss: 1000 });
    p.write(100_000);
    p.recvAll();
    p.send({ ack: 1, win: 0 });
    for (let i = 0; i < 100; i++) {
      t.run(5000);
      const probes = p.recvAll().filter((s) => s.data.length > 1);
      if (i > 20) expect(probes).toEqual([]);
      p.send({ ack: 1, win: 0 });
    }
    expect(p.state()).toBe('ESTABLISHED');
  });

  it('a storm of old ACKs is answered ten times in five seconds', () => {
    const p = t.established();
    for (let i = 0; i < 1000; i++) p.send({ seq: -100, ack: -100 });
    expect(p.recvAll().length).toBeLessThanOrEqual(10);
  });
});

describe('the user’s own limits', () => {
  it('RFC 5482: TCP_USER_TIMEOUT is per connection, and 0 takes it off', () => {
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, 3000);
    expect(get(p, TCP_USER_TIMEOUT)).toBe(3000);
    p.setopt(TCP, TCP_USER_TIMEOUT, 0);
    p.write(10);
    t.run(20_000);
    expect(p.state()).toBe('ESTABLISHED');
    expect(sosetopt(p.socket(), { dir: 'set', level: TCP, name: TCP_USER_TIMEOUT, value: -1 })).toBe('EINVAL');
  });

  it('MUST-21: before the handshake too', () => {
    const so = t.socket();
    expect(sosetopt(so, { dir: 'set', level: TCP, name: TCP_USER_TIMEOUT, value: 10_000 })).toBeNull();
    expect(soconnect(so, sockAddr(ipv4(PEER_IP), 8080))).toBe('EINPROGRESS');
    t.run(40_000);
    expect(sotakeerror(so)).toBe('ETIMEDOUT');
  });

  it('TCP_MD5SIG is refused in plain words, and off', () => {
    const p = t.established();
    expect(sosetopt(p.socket(), { dir: 'set', level: TCP, name: TCP_MD5SIG, value: 1 })).toBe('EOPNOTSUPP');
    expect(sosetopt(p.socket(), { dir: 'set', level: TCP, name: TCP_MD5SIG, value: 0 })).toBeNull();
    expect(get(p, TCP_MD5SIG)).toBe(0);
  });

  it('SO_LINGER with a time: the end is orderly, and what was written arrives', () => {
    const p = t.established();
    p.setopt(SOL_SOCKET, SO_LINGER, { onoff: 1, linger: 5 });
    p.write(3000);
    p.userClose();
    const sent = p.recvAll();
    expect([sent.map((s) => s.data.length), sent.at(-1)?.flags]).toEqual([[1460, 1460, 80], 'FPA']);
    p.send({ ack: 3002 });
    p.send({ flags: 'FA', ack: 3002 });
    p.recv({ flags: 'A', ack: 2 });
  });

  it('SO_LINGER switched off again after a time of 0: no reset', () => {
    const p = t.established();
    p.setopt(SOL_SOCKET, SO_LINGER, { onoff: 1, linger: 0 });
    p.setopt(SOL_SOCKET, SO_LINGER, { onoff: 0, linger: 0 });
    p.userClose();
    p.recv({ flags: 'FA' });
  });
});

describe('ephemeral ports (RFC 6056 algorithm 4)', () => {
  /** Local ports of connections, one after the other, to each of `peers`. */
  function ports(peers: readonly number[]): number[] {
    return peers.map((ip) => {
      const so = t.socket();
      expect(soconnect(so, sockAddr(ipv4(ip), 8080))).toBe('EINPROGRESS');
      const addr = ok(so.methods.sockaddr(so));
      soclose(so);
      return addr.kind === 'inet' ? addr.port : 0;
    });
  }

  it('connections to others do not show in the ports of one’s own', () => {
    const alone = ports(Array<number>(40).fill(PEER_IP));
    const steps = (list: readonly number[]) => list.slice(1).map((port, i) => (port - (list[i] ?? 0) + 55_536) % 55_536);
    expect(Math.max(...steps(alone))).toBeLessThanOrEqual(8);
    // Ten to others between each two: the steps are as small as before.
    const mixed: number[] = [];
    for (let i = 0; i < 40; i++) {
      mixed.push(...ports([PEER_IP]));
      ports(Array.from({ length: 10 }, (_, n) => PEER_IP + 2 + n));
    }
    expect(Math.max(...steps(mixed))).toBeLessThanOrEqual(24);
  });

  it('another peer begins elsewhere', () => {
    const first = Array.from({ length: 30 }, (_, n) => ports([PEER_IP + 2 + n])[0] ?? 0);
    const near = first.filter((port, i) => i > 0 && Math.abs(port - (first[i - 1] ?? 0)) < 100);
    expect(near.length).toBeLessThanOrEqual(1);
  });
});

describe('accepted connections', () => {
  it('have their listener’s user timeout and options', () => {
    const head = t.listen();
    expect(sosetopt(head, { dir: 'set', level: TCP, name: TCP_USER_TIMEOUT, value: 5000 })).toBeNull();
    const p = t.synReceived({ mss: 1460 }, head);
    p.send({ ack: 1 });
    p.so = ok(soaccept(head));
    expect(get(p, TCP_USER_TIMEOUT)).toBe(5000);
    p.write(bytes(10));
    t.run(20_000);
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
  });
});
