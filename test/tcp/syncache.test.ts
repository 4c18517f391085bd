/** Half-open connections: limits, cookies, full accept queues (RFC 4987). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept } from '../../src/kern/socket/calls.ts';
import { type Peer, TcpHarness, ok } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

/** A SYN, and its answer or null. */
function syn(lport = 80, opts = { mss: 1460 }): Peer | null {
  const p = t.peer(lport);
  p.send({ flags: 'S', opts });
  const got = t.next();
  if (got === null) return null;
  expect(got.seg.flags).toBe('SA');
  p.irs = got.seg.seq;
  p.syn = got.seg;
  p.nxt = 1;
  return p;
}

describe('limits', () => {
  it('a listener has four half-open connections for each of its backlog, at least 64; without cookies the oldest goes', () => {
    t.sysctl('syncookies', false);
    const listener = t.listen(80, 1);
    const peers = Array.from({ length: 70 }, () => syn()!);
    expect(t.stat('sc_overflow')).toBe(6);
    expect(t.stat('sc_dropped')).toBe(6);
    peers[0]!.send({ ack: 1 });
    peers[0]!.recv({ flags: 'R' });
    peers[69]!.send({ ack: 1 });
    ok(soaccept(listener));
  });

  it('all of them have a limit too', () => {
    t.sysctl('syncookies', false);
    t.sysctl('syncache.cachelimit', 10);
    t.listen(80);
    t.listen(81);
    for (let i = 0; i < 10; i++) syn(80);
    const q = syn(81)!;
    expect(t.stat('sc_dropped')).toBe(1);
    q.send({ ack: 1 });
    q.recvNothing();
    expect(t.stat('sc_completed')).toBe(1);
  });

  it('a flood leaves nothing behind', () => {
    t.listen(80);
    for (let i = 0; i < 5000; i++) syn();
    t.run(20_000);
    while (t.next() !== null);
    expect(t.stat('sc_added') - t.stat('sc_stale') - t.stat('sc_dropped')).toBe(0);
    expect(t.stat('sc_sendcookie')).toBeGreaterThan(4000);
  });
});

describe('full accept queue', () => {
  it('SYNs are dropped; an ACK that is too late for the queue completes later', () => {
    const listener = t.listen(80, 1);
    const peers = [syn()!, syn()!, syn()!, syn()!];
    peers[0]!.send({ ack: 1 });
    peers[1]!.send({ ack: 1 });
    // 2 of 1: over three halves.
    peers[2]!.send({ ack: 1 });
    peers[2]!.recvNothing();
    expect(t.stat('listendrop')).toBe(1);
    expect(syn()).toBeNull();
    ok(soaccept(listener));
    ok(soaccept(listener));
    expect(soaccept(listener)).toBe('EAGAIN');
    peers[2]!.sendData('again', { ack: 1 });
    ok(soaccept(listener));
  });
});

describe('cookies', () => {
  /** Fills the cache, so that the next SYN gets a cookie. */
  function full(): void {
    t.listen(80, 1);
    for (let i = 0; i < 64; i++) syn();
  }

  it('bring back MSS, window scale, SACK and timestamps of a connection of which nothing was kept', () => {
    full();
    const p = t.peer(80);
    p.send({ flags: 'S', opts: { mss: 1400, wscale: 5, sackPermitted: true, ts: [9, 0] } });
    const { seg } = t.next()!;
    expect(t.stat('sc_sendcookie')).toBe(1);
    p.irs = seg.seq;
    p.nxt = 1;
    p.send({ ack: 1, flags: 'PA', data: 'hello', opts: { ts: [10, seg.opts.ts![0]] } });
    const so = [...Array(70)].map(() => t.kernel.counters.get('tcp', 'sc_recvcookie'));
    expect(so[0]).toBe(1);
    expect(t.stat('connects')).toBe(1);
  });

  it.each([
    [1460, 14, 12, true],
    [1460, 12, 12, false],
    [9000, 0, 0, true],
    [100, 7, 7, true],
  ])('say an MSS of %i and a scale of %i, within what eight bits have room for', (mss, wscale, scale, sackPermitted) => {
    t.sysctl('ecn.enable', 1);
    const listener = t.listen(81, 1);
    full();
    for (let i = 0; i < 64; i++) syn(81);
    const p = t.peer(81);
    p.send({ flags: 'SEC', opts: { mss, wscale, ...(sackPermitted ? { sackPermitted } : {}) } });
    const { seg } = t.next()!;
    expect(t.stat('sc_sendcookie')).toBe(1);
    p.irs = seg.seq;
    p.nxt = 1;
    p.send({ ack: 1 });
    p.so = ok(soaccept(listener));
    expect(p.info()).toMatchObject({ snd_mss: Math.max(216, Math.min(mss, 1460)), snd_wscale: scale });
    expect(p.info().options.filter((o) => o !== 'wscale')).toEqual(sackPermitted ? ['sack', 'ecn'] : []);
  });

  it('the connection works', () => {
    const listener = t.listen(81, 1);
    full();
    for (let i = 0; i < 64; i++) syn(81);
    const p = syn(81, { mss: 1400 })!;
    expect(t.stat('sc_sendcookie')).toBe(1);
    p.send({ ack: 1 });
    p.so = ok(soaccept(listener));
    expect(p.info()).toMatchObject({ state: 'ESTABLISHED', snd_mss: 1400 });
    p.write(3000);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([1400, 1400, 200]);
  });

  it('a guess is reset', () => {
    full();
    const p = syn()!;
    p.send({ ack: 2 });
    p.recv({ flags: 'R' });
    p.send({ seq: 2, ack: 1 });
    p.recv({ flags: 'R' });
    expect(t.stat('sc_badcookie')).toBe(2);
  });

  it('an old one is reset', () => {
    full();
    const p = syn()!;
    t.run(70_000);
    p.recvAll();
    while (t.next() !== null);
    p.send({ ack: 1 });
    p.recv({ flags: 'R' });
  });

  it('none is taken when none was sent lately', () => {
    const p = t.synReceived();
    t.run(20_000);
    p.recvAll();
    p.send({ ack: 1 });
    p.recv({ flags: 'R', seq: 1 });
    expect(t.stat('sc_badcookie')).toBe(1);
    expect(t.stat('sc_recvcookie')).toBe(0);
  });
});

describe('the ACK of a cookie', () => {
  it('for which there is no room to be accepted is as good as lost', () => {
    t.sysctl('syncache.cachelimit', 1);
    const listener = t.listen(80, 0);
    const [, second, third] = [syn()!, syn()!, syn()!];
    second.send({ ack: 1 });
    third.send({ ack: 1 });
    third.recvNothing();
    ok(soaccept(listener));
    third.send({ ack: 1 });
    ok(soaccept(listener));
  });
});
