/** TIME-WAIT (RFC 9293 §3.6, RFC 1122 §4.2.2.13, RFC 1337, RFC 6191): MUST-13, MAY-2, SHLD-4. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept, sobind, soclose, solisten } from '../../src/kern/socket/calls.ts';
import { ipv4, sockAddr } from '../../src/wire/addr.ts';
import { type Peer, TcpHarness, ok } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

/** A connection in TIME-WAIT with timestamps. */
function timeWaitTs(): Peer {
  const p = t.established({ mss: 1460, ts: [1000, 0] });
  p.userClose();
  p.recv({ flags: 'FA' });
  p.send({ flags: 'FA', ack: 2 });
  p.nxt = 2;
  const last = p.recv({ flags: 'A', seq: 2, ack: 2 });
  expect(last.opts.ts).toBeDefined();
  return p;
}

describe('TIME-WAIT', () => {
  it('MUST-13: lasts twice the maximum segment lifetime, 60 s', () => {
    const p = t.timeWait();
    t.run(59_000);
    p.send({ seq: 50 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    t.run(2000);
    p.send({ seq: 50 });
    p.recv({ flags: 'R' });
  });

  it('a repeated FIN starts the time anew', () => {
    const p = t.timeWait();
    t.run(50_000);
    p.send({ flags: 'FA', seq: 1 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    t.run(50_000);
    p.send({ flags: 'FA', seq: 1 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
  });

  it('msl is a sysctl', () => {
    t.sysctl('msl', 1000);
    const p = t.timeWait();
    t.run(2100);
    p.send({ seq: 50 });
    p.recv({ flags: 'R' });
  });

  it('RFC 1337: a reset does not end it', () => {
    const p = t.timeWait();
    p.send({ flags: 'R' });
    p.send({ flags: 'R', seq: 3 });
    p.send({ flags: 'FA', seq: 1 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    expect(t.stat('tw_rstignored')).toBe(2);
  });

  it('MAY-2: a SYN above the old numbers begins a new connection, above ours', () => {
    const p = t.timeWait();
    const q = t.peer(80, p.iss + 5000);
    Object.assign(q, { fport: p.fport });
    q.send({ flags: 'S', opts: { mss: 1460 } });
    const { seg } = t.next()!;
    expect(seg.flags).toBe('SA');
    expect((seg.seq - (p.irs + 2)) | 0).toBeGreaterThan(0);
    q.irs = seg.seq;
    q.send({ seq: 1, ack: 1 });
    ok(soaccept(p.listener!));
    expect(t.stat('tw_reused')).toBe(1);
  });

  it('a SYN below the old numbers does not', () => {
    const p = t.timeWait();
    p.send({ flags: 'S', seq: -10 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
  });

  it('RFC 6191: with timestamps a higher one is enough, a lower one is not', () => {
    const p = timeWaitTs();
    t.run(100);
    p.send({ flags: 'S', seq: -100_000, opts: { mss: 1460, ts: [500, 0] } });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    p.send({ flags: 'S', seq: -100_000, opts: { mss: 1460, ts: [5000, 0] } });
    expect(t.next()!.seg.flags).toBe('SA');
  });

  it('is limited: the oldest goes, counted', () => {
    t.sysctl('maxtcptw', 3);
    const peers = Array.from({ length: 5 }, () => {
      const p = t.established({ mss: 1460 }, t.kernel.counters.get('tcp', 'accepts') === 0 ? null : listener);
      listener = p.listener;
      p.userClose();
      p.recv({ flags: 'FA' });
      p.send({ flags: 'FA', ack: 2 });
      p.nxt = 2;
      p.recv({ flags: 'A' });
      return p;
    });
    expect(t.stat('tw_recycled')).toBe(2);
    peers[0]!.send({ seq: 50 });
    peers[0]!.recv({ flags: 'R' });
    peers[4]!.send({ seq: 50 });
    peers[4]!.recv({ flags: 'A' });
  });
  let listener: Peer['listener'] = null;

  it('a server starts again on its port while its connections are in TIME-WAIT', () => {
    const p = t.timeWait();
    soclose(p.listener!);
    soclose(p.socket());
    const so = t.socket();
    expect(sobind(so, sockAddr(ipv4(0), 80))).toBeNull();
    expect(solisten(so, 1)).toBeNull();
  });

  it('many at once all end', () => {
    const first = t.timeWait();
    for (let i = 0; i < 200; i++) {
      const p = t.established({ mss: 1460 }, first.listener);
      p.userClose();
      p.recv({ flags: 'FA' });
      p.send({ flags: 'FA', ack: 2 });
      p.recv({ flags: 'A' });
      t.run(10);
    }
    t.run(61_000);
    first.send({ seq: 50 });
    first.recv({ flags: 'R' });
    expect(t.stat('tw_added')).toBe(201);
  });
});

describe('a new SYN that finds no room', () => {
  /** TIME-WAIT of a connection of a listener whose queue is full now. */
  function behindFullQueue(): { p: Peer; head: ReturnType<TcpHarness['listen']> } {
    const head = t.listen(80, 1);
    const p = t.established({ mss: 1460 }, head);
    p.userClose();
    p.recv({ flags: 'FA' });
    p.send({ flags: 'FA', ack: 2 });
    p.nxt = 2;
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    for (let i = 0; i < 4 && t.stat('listendrop') === 0; i++) {
      const q = t.peer();
      q.send({ flags: 'S', seq: 0 });
      const syn = t.next();
      if (syn === null) break;
      q.irs = syn.seg.seq;
      q.nxt = 1;
      q.send({ ack: 1 });
    }
    return { p, head };
  }

  it('a SYN that is refused leaves it where it is', () => {
    const { p, head } = behindFullQueue();
    const dropped = t.stat('listendrop');
    p.send({ flags: 'S', seq: 100_000, opts: { mss: 1460 } });
    expect(t.stat('listendrop')).toBe(dropped + 1);
    p.recvNothing();
    expect(t.stat('tw_reused')).toBe(0);
    // The FIN once more is still answered.
    p.send({ flags: 'FA', seq: 1 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    ok(soaccept(head));
    p.send({ flags: 'S', seq: 100_000, opts: { mss: 1460 } });
    expect(t.next()?.seg.flags).toBe('SA');
    expect(t.stat('tw_reused')).toBe(1);
  });

  it('nor does one to a port where nobody listens any more', () => {
    const p = t.timeWait();
    soclose(p.listener!);
    p.send({ flags: 'S', seq: 100_000, opts: { mss: 1460 } });
    p.recv({ flags: 'RA' });
    p.send({ flags: 'FA', seq: 1 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
  });
});

it('a SYN is answered though its numbers are those of the last ACK (RFC 9293 §3.10.7.4)', () => {
  const p = t.timeWait();
  p.send({ flags: 'SA', seq: 2, ack: 2 });
  p.recv({ flags: 'A', seq: 2, ack: 2 });
  p.send({ seq: 2, ack: 2 });
  p.recvNothing();
});

it('RFC 1122 §4.2.2.13: a new connection by a SYN cookie begins above the old numbers too', () => {
  let cookies = 0;
  for (let seed = 1; seed <= 40; seed++) {
    t.close();
    t = new TcpHarness({ seed });
    const p = t.timeWait();
    t.sysctl('syncache.cachelimit', 1);
    t.peer().send({ flags: 'S', seq: 0 });
    t.next();
    p.send({ flags: 'S', seq: 100_000, opts: { mss: 1460 } });
    const syn = t.next();
    expect(syn?.seg.flags).toBe('SA');
    // The old connection ended at 2.
    expect(((syn?.seg.seq ?? 0) - p.irs) | 0).toBeGreaterThan(2);
    expect(t.stat('tw_reused')).toBe(1);
    cookies += t.stat('sc_sendcookie');
  }
  // About half of all cookies are above it; the others had to make room.
  expect(cookies).toBeGreaterThan(8);
  expect(cookies).toBeLessThan(32);
});
