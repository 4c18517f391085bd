/** TCP Fast Open (RFC 7413), server and client: cookies, data in the SYN, the limits, and what happens when it does not get through. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept, sobind, soclose, solisten, soshutdown } from '../../src/kern/socket/calls.ts';
import { sosend, sosendconnect } from '../../src/kern/socket/sendrecv.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { ipv4, sockAddr } from '../../src/wire/addr.ts';
import type { SegmentOptions } from '../support/segments.ts';
import { type HarnessOptions, PEER_IP, type Peer, TcpHarness, bytes, ok } from './harness.ts';

const TCP = 6;
const TCP_FASTOPEN = 1025;

let t: TcpHarness;
function boot(options: HarnessOptions = {}): void {
  t = new TcpHarness(options);
}
beforeEach(() => boot());
afterEach(() => t.close());

function fastListener(backlog = 8): Socket {
  t.sysctl('fastopen.server_enable', true);
  const head = t.socket();
  expect(sobind(head, sockAddr(ipv4(0), 80))).toBeNull();
  expect(sosetopt(head, { dir: 'set', level: TCP, name: TCP_FASTOPEN, value: 1 })).toBeNull();
  expect(solisten(head, backlog)).toBeNull();
  return head;
}

/** The cookie that the server gives to the test's address. */
function cookieOf(head: Socket): readonly number[] {
  const p = t.synReceived({ mss: 1460, fastopen: [] }, head);
  const cookie = p.syn?.opts.fastopen ?? [];
  expect(cookie).toHaveLength(8);
  p.send({ flags: 'R', seq: 1 });
  return cookie;
}

/** A SYN with a cookie and data. */
function fastSyn(cookie: readonly number[], data: number | string, opts: SegmentOptions = {}): Peer {
  const p = t.peer();
  p.send({ flags: 'S', seq: 0, data, opts: { mss: 1460, ...opts, fastopen: cookie } });
  return p;
}

function takeSynAck(p: Peer, ack: number): void {
  const got = t.next();
  if (got === null) throw new Error('no SYN,ACK');
  expect([got.seg.flags, (got.seg.ack - p.iss) | 0]).toEqual(['SA', ack]);
  p.irs = got.seg.seq;
  p.syn = got.seg;
  p.nxt = ack;
}

describe('the server', () => {
  it('is off unless both the administrator and the listener want it', () => {
    const head = t.listen();
    expect(t.synReceived({ mss: 1460, fastopen: [] }, head).syn?.opts.fastopen).toBeUndefined();
    soclose(head);
    fastListener();
    t.sysctl('fastopen.server_enable', false);
    const p = t.peer();
    p.send({ flags: 'S', seq: 0, opts: { mss: 1460, fastopen: [] } });
    expect(t.next()?.seg.opts.fastopen).toBeUndefined();
  });

  it('gives a cookie to who asks: the same for one address, another for others', () => {
    const head = fastListener();
    expect(cookieOf(head)).toEqual(cookieOf(head));
    const other = t.peer();
    other.send({ flags: 'S', seq: 0, opts: { mss: 1460, fastopen: [] }, src: PEER_IP + 20 });
    t.run(10);
    expect(t.stat('tfo_request')).toBe(3);
  });

  it('§4.2.2: a SYN with a good cookie and data is a connection at once; the SYN,ACK covers the data', () => {
    const head = fastListener();
    const p = fastSyn(cookieOf(head), 'GET');
    takeSynAck(p, 4);
    p.so = ok(soaccept(head));
    expect(p.read()).toEqual(new TextEncoder().encode('GET'));
    expect(p.state()).toBe('SYN_RECEIVED');
    p.send({ ack: 1 });
    expect(p.state()).toBe('ESTABLISHED');
    p.recvNothing();
    t.run(10_000);
    p.recvNothing();
  });

  it.each([
    ['SECN', 'SAC', 2],
    ['S', 'SAC', 0],
    ['SEC', 'RA', -1],
  ])('RFC 9768 §3.1.5: a client with AccECN whose SYN comes again as %s gets %s', (again, answer, tos) => {
    t.sysctl('ecn.enable', 4);
    const head = fastListener();
    const cookie = cookieOf(head);
    const p = t.peer();
    const opts = { mss: 1460, fastopen: cookie };
    p.send({ flags: 'SECN', seq: 0, data: 'GET', opts });
    p.irs = t.next()?.seg.seq ?? 0;
    p.so = ok(soaccept(head));
    p.send({ flags: again, seq: 0, data: 'GET', opts });
    expect(t.next()?.seg.flags).toBe(answer);
    if (tos < 0) {
      expect(p.socket().error).toBe('ECONNRESET');
      return;
    }
    p.send({ seq: 4, ack: 1, flags: 'AC' });
    p.write(100);
    expect(p.recvAll().at(-1)?.tos).toBe(tos);
  });

  it('the answer leaves before the handshake is done', () => {
    const head = fastListener();
    const p = fastSyn(cookieOf(head), 'GET');
    p.so = ok(soaccept(head));
    p.write(2000);
    takeSynAck(p, 4);
    expect(p.recvAll().map((s) => [s.flags, s.seq, s.ack, s.data.length])).toEqual([
      ['A', 1, 4, 1460],
      ['PA', 1461, 4, 540],
    ]);
    p.send({ ack: 2001 });
    expect(p.state()).toBe('ESTABLISHED');
    expect(p.info().unacked).toBe(0);
  });

  it('a user that answers and closes at once gets everything through, the FIN too', () => {
    const head = fastListener();
    const p = fastSyn(cookieOf(head), 'GET');
    p.so = ok(soaccept(head));
    p.read();
    p.write(100);
    p.userClose();
    takeSynAck(p, 4);
    p.recv({ flags: 'FPA', seq: 1, len: 100 });
    p.send({ flags: 'FA', ack: 102 });
    p.recv({ flags: 'A', ack: 5 });
  });

  it('timestamps, SACK and window scale are agreed as always', () => {
    const head = fastListener();
    const cookie = cookieOf(head);
    const p = fastSyn(cookie, 'GET', { sackPermitted: true, wscale: 3, ts: [1, 0] });
    takeSynAck(p, 4);
    expect(p.syn?.opts.wscale).toBe(8);
    p.so = ok(soaccept(head));
    p.tsBase = 1;
    p.takeTs(p.syn!);
    p.send({ ack: 1, win: 1000 });
    expect(p.info()).toMatchObject({ options: ['ts', 'sack', 'wscale'], snd_wnd: 8000 });
  });

  it('a cookie that is wrong, or of another address: a plain handshake, and a new cookie', () => {
    const head = fastListener();
    const cookie = cookieOf(head);
    const p = fastSyn([...cookie.slice(0, 7), (cookie[7]! + 1) & 255], 'GET');
    takeSynAck(p, 1);
    expect(p.syn?.opts.fastopen).toEqual(cookie);
    expect(t.stat('tfo_badcookie')).toBe(1);
    p.send({ flags: 'PA', ack: 1, data: 'GET' });
    p.so = ok(soaccept(head));
    expect(p.read()).toHaveLength(3);
  });

  it('§4.1.2: keys change: an old cookie is good for one life more, and a new one comes with the answer', () => {
    const head = fastListener();
    const cookie = cookieOf(head);
    t.run(121_000);
    const p = fastSyn(cookie, 'a');
    takeSynAck(p, 2);
    expect(p.syn?.opts.fastopen).not.toEqual(cookie);
    expect(p.syn?.opts.fastopen).toHaveLength(8);
    p.send({ ack: 1 });
    t.run(250_000);
    const late = fastSyn(cookie, 'a');
    takeSynAck(late, 1);
  });

  it('§5.1: connections whose handshake is not done are limited to half of the backlog; the rest shake hands first', () => {
    const head = fastListener(4);
    const cookie = cookieOf(head);
    t.run(61_000);
    const first = fastSyn(cookie, 'a');
    takeSynAck(first, 2);
    takeSynAck(fastSyn(cookie, 'b'), 2);
    const third = fastSyn(cookie, 'c');
    takeSynAck(third, 1);
    expect(t.stat('tfo_full')).toBe(1);
    // A reset from whoever does not free the place at once.
    first.send({ flags: 'R' });
    takeSynAck(fastSyn(cookie, 'd'), 1);
    t.run(61_000);
    t.next();
    for (let got = t.next(); got !== null; got = t.next());
    takeSynAck(fastSyn(cookieOf(head), 'e'), 2);
  });

  it('§4.2.2: the SYN,ACK alone is sent again, and the connection ends when nobody answers', () => {
    const head = fastListener();
    const p = fastSyn(cookieOf(head), 'GET');
    p.so = ok(soaccept(head));
    p.write(100);
    takeSynAck(p, 4);
    p.recv({ len: 100 });
    const start = t.sim.nowMs();
    t.run(30_000);
    const again = p.recvAll();
    expect(again.map((s) => [s.flags, s.seq, Math.round((s.ms - start) / 1000)])).toEqual([
      ['SA', 0, 1],
      ['SA', 0, 3],
      ['SA', 0, 7],
      ['RA', 101, 15],
    ]);
    expect(sosend(p.socket(), bytes(1), 0, 1)).toBe('ETIMEDOUT');
  });

  it('a lost SYN,ACK: the SYN comes again and is answered; the data goes on after the handshake', () => {
    const head = fastListener();
    const cookie = cookieOf(head);
    const p = fastSyn(cookie, 'GET');
    p.so = ok(soaccept(head));
    p.write(100);
    takeSynAck(p, 4);
    p.recv({ len: 100 });
    p.send({ flags: 'S', seq: 0, opts: { mss: 1460 } });
    p.recv({ flags: 'SA', seq: 0, ack: 4 });
    t.run(1100);
    p.recv({ flags: 'SA', seq: 0, ack: 4 });
    p.send({ ack: 1 });
    p.recv({ flags: 'PA', seq: 1, len: 100 });
    expect(p.read()).toHaveLength(3);
  });

  it('an ACK of what was never sent resets, and takes nothing down', () => {
    const head = fastListener();
    const p = fastSyn(cookieOf(head), 'GET');
    takeSynAck(p, 4);
    p.send({ ack: 5000 });
    p.recv({ flags: 'R', seq: 5000 });
    p.send({ ack: 1 });
    p.so = ok(soaccept(head));
    expect(p.state()).toBe('ESTABLISHED');
  });

  it('SYN and FIN with data in one segment', () => {
    const head = fastListener();
    const p = t.peer();
    p.send({ flags: 'FS', seq: 0, data: 'bye', opts: { mss: 1460, fastopen: cookieOf(head) } });
    takeSynAck(p, 5);
    p.so = ok(soaccept(head));
    p.send({ ack: 1 });
    expect(p.read()).toHaveLength(3);
    expect(p.read()).toEqual(new Uint8Array(0));
  });

  it('a listener that closes takes its pending ones along', () => {
    const head = fastListener();
    const p = fastSyn(cookieOf(head), 'GET');
    takeSynAck(p, 4);
    soclose(head);
    expect(p.recvAll().map((s) => s.flags)).toEqual(['RA']);
  });
});

describe('ECN', () => {
  it('RFC 3168 §6.1.1: a client that sends its SYN again without asking is not marked for', () => {
    const head = fastListener();
    const cookie = cookieOf(head);
    const p = t.peer();
    p.send({ flags: 'SEC', seq: 0, data: 'ask', opts: { mss: 1460, fastopen: cookie } });
    expect(t.next()?.seg.flags).toBe('SAE');
    p.send({ flags: 'S', seq: 0, opts: { mss: 1460 } });
    const answer = t.next()?.seg;
    expect(answer?.flags).toBe('SA');
    p.irs = answer?.seq ?? 0;
    p.nxt = 4;
    p.send({ ack: 1 });
    p.so = ok(soaccept(head));
    p.write(100);
    expect(p.recv({ len: 100 }).tos).toBe(0);
  });
});

describe('the client', () => {
  const server = sockAddr(ipv4(PEER_IP), 8080);

  function clientSocket(): Socket {
    const so = t.socket();
    expect(sosetopt(so, { dir: 'set', level: TCP, name: TCP_FASTOPEN, value: 1 })).toBeNull();
    return so;
  }

  /** sendto(2) on a new socket; the test's end of it. */
  function sendto(data: string): Peer {
    const so = clientSocket();
    const b = new TextEncoder().encode(data);
    expect(sosendconnect(so, b, 0, b.length, server)).toBe(b.length);
    const got = t.next();
    if (got === null) throw new Error('no SYN');
    const p = t.peer(got.seg.sport);
    const peer = Object.assign(p, { fport: 8080 });
    peer.so = so;
    peer.irs = got.seg.seq;
    peer.syn = got.seg;
    return peer;
  }

  const COOKIE = [1, 2, 3, 4, 5, 6, 7, 8];

  /** After this the stack has a cookie of the server. */
  function learn(): void {
    const p = sendto('hello');
    expect(p.syn).toMatchObject({ flags: 'S', opts: { fastopen: [] } });
    expect(p.syn?.data).toHaveLength(0);
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: { mss: 1000, fastopen: COOKIE } });
    p.nxt = 1;
    p.recv({ flags: 'PA', seq: 1, ack: 1, data: 'hello' });
    p.send({ flags: 'RA', ack: 6 });
  }

  it('asks for a cookie first; the data goes behind the handshake', () => {
    learn();
    expect(t.stat('tfo_cookie')).toBe(1);
  });

  it('a SYN,ACK that covers the data says that the SYN with it arrived, though it was sent again without', () => {
    learn();
    const p = sendto('hello again');
    p.wait(3000);
    expect(p.recv({ flags: 'S', seq: 0 }).opts.fastopen).toBeUndefined();
    p.send({ flags: 'SA', seq: 0, ack: 12, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'A', seq: 12, ack: 1 });
    expect(t.stat('tfo_blackhole')).toBe(0);
    expect(sendto('once more').syn?.opts.fastopen).toEqual(COOKIE);
  });

  it('with a cookie the data goes with the SYN; the SYN,ACK that covers it is the end of the matter', () => {
    learn();
    const p = sendto('hello again');
    expect(p.syn).toMatchObject({ flags: 'S', opts: { fastopen: COOKIE } });
    expect(new TextDecoder().decode(p.syn?.data)).toBe('hello again');
    p.send({ flags: 'SA', seq: 0, ack: 12, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'A', seq: 12, ack: 1 });
    expect(p.info()).toMatchObject({ state: 'ESTABLISHED', bytes_acked: 11, total_retrans: 0 });
    expect(t.stat('tfo_accepted')).toBe(1);
    t.run(10_000);
    p.recvNothing();
  });

  it('§4.2.1: a SYN,ACK without the data: it goes again at once, as if new', () => {
    learn();
    const p = sendto('hello again');
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'PA', seq: 1, ack: 1, data: 'hello again' });
    expect(p.info().snd_cwnd).toBe(10_000);
  });

  it('no more than fits into one segment of the server’s size', () => {
    learn();
    const p = sendto('x'.repeat(3000));
    expect(p.syn?.data.length).toBe(1000 - 32);
    p.send({ flags: 'SA', seq: 0, ack: 969, opts: { mss: 1000 } });
    p.nxt = 1;
    expect(p.recvAll().reduce((sum, s) => sum + s.data.length, 0)).toBe(3000 - 968);
  });

  it('§4.1.3.1: a SYN that is lost is sent again plain, and that server gets no such SYN for a while', () => {
    learn();
    const p = sendto('hello again');
    p.wait(2000);
    const again = p.recv({ flags: 'S', seq: 0 });
    expect(again.opts.fastopen).toBeUndefined();
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'PA', seq: 1, data: 'hello again' });
    expect(t.stat('tfo_blackhole')).toBe(1);
    expect(sendto('x').syn?.opts.fastopen).toBeUndefined();
    t.run(901_000);
    for (let got = t.next(); got !== null; got = t.next());
    expect(sendto('x').syn?.opts.fastopen).toEqual([]);
  });

  it('the data arrived but its SYN,ACK was lost: the one that comes then covers it', () => {
    learn();
    const p = sendto('hello again');
    p.wait(2000);
    p.recv({ flags: 'S', seq: 0 });
    p.send({ flags: 'SA', seq: 0, ack: 12, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'A', seq: 12, ack: 1 });
    expect(p.info().bytes_acked).toBe(11);
  });

  it('a simultaneous open: what was in the SYN goes behind the handshake', () => {
    learn();
    const p = sendto('hello again');
    p.send({ flags: 'S', seq: 0, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'SA', seq: 0, ack: 1 });
    p.send({ ack: 1 });
    p.recv({ flags: 'PA', seq: 1, ack: 1, data: 'hello again' });
    p.send({ ack: 12 });
    expect(p.info()).toMatchObject({ state: 'ESTABLISHED', bytes_acked: 11, unacked: 0 });
  });

  it('the cache of cookies is bounded', () => {
    t.sysctl('fastopen.ccache_limit', 1);
    learn();
    learn2();
    expect(sendto('again').syn?.opts.fastopen).toEqual([]);
  });

  /** A cookie of another server. */
  function learn2(): void {
    const so = clientSocket();
    expect(sosendconnect(so, bytes(3), 0, 3, sockAddr(ipv4(PEER_IP + 40), 8080))).toBe(3);
    t.run(5);
    const { seg } = t.next() ?? {};
    if (seg === undefined) throw new Error('no SYN');
    const p = Object.assign(t.peer(seg.sport), { fport: 8080 });
    p.irs = seg.seq;
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: { mss: 1000, fastopen: [9, 9, 9, 9] }, src: PEER_IP + 40 });
    expect(t.stat('tfo_cookie')).toBe(2);
    for (let got = t.next(); got !== null; got = t.next());
  }

  it('sendto(2) connects a socket without the option too, but no data goes with the SYN', () => {
    learn();
    const so = t.socket();
    expect(sosendconnect(so, bytes(5), 0, 5, server)).toBe(5);
    expect(t.next()?.seg).toMatchObject({ flags: 'S', opts: { mss: 1460 } });
    expect(sosendconnect(so, bytes(5), 0, 5, server)).toBe('EALREADY');
    expect(soshutdown(so, 'wr')).toBeNull();
  });

  it('the option is for sockets that are not connected yet', () => {
    const p = t.established();
    expect(sosetopt(p.socket(), { dir: 'set', level: TCP, name: TCP_FASTOPEN, value: 1 })).toBe('EISCONN');
    expect(sosetopt(t.socket(), { dir: 'set', level: TCP, name: TCP_FASTOPEN, value: 'yes' })).toBe('EINVAL');
  });
});
