/** Zero windows (RFC 9293 §3.8.6.1): MUST-35..37, MUST-66, SHLD-29, SHLD-30. */
import { sorcvlimits } from '../../src/kern/socket/sobuf.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { type Peer, TcpHarness, bytes } from './harness.ts';

let t: TcpHarness;
let p: Peer;
beforeEach(() => {
  t = new TcpHarness();
  p = t.established({ mss: 1000 });
  p.send({ win: 0 });
});
afterEach(() => t.close());

describe('a closed window', () => {
  it('is probed with one byte after a timeout, then at growing intervals', () => {
    p.write(3000);
    p.recvNothing();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      waits.push(p.wait(100_000));
      p.recv({ seq: 1, data: bytes(1) });
      p.send({ win: 0 });
    }
    expect(waits.map((w) => Math.round(w / 200))).toEqual([1, 2, 4, 8, 16, 32, 64, 128]);
  });

  it('for ever while the peer answers, at most every minute', () => {
    p.write(3000);
    let last = t.sim.nowMs();
    let longest = 0;
    for (let i = 0; i < 40; i++) {
      p.wait(100_000);
      p.recv({ len: 1 });
      longest = Math.max(longest, t.sim.nowMs() - last);
      last = t.sim.nowMs();
      p.send({ win: 0 });
    }
    expect(longest).toBe(60_000);
    expect(p.state()).toBe('ESTABLISHED');
    expect(last).toBeGreaterThan(30 * 60_000);
  });

  it('opens: everything goes at once, the probed byte with it', () => {
    p.write(3000);
    p.wait(1000);
    p.recv({ len: 1 });
    p.send({ win: 65_535 });
    expect(p.recvAll().map((s) => [s.seq, s.data.length])).toEqual([
      [1, 1000],
      [1001, 1000],
      [2001, 1000],
    ]);
    p.send({ ack: 3001 });
    t.run(60_000);
    p.recvNothing();
  });

  it('a probe that is taken is a byte less to send', () => {
    p.write(3000);
    p.wait(1000);
    p.recv({ len: 1 });
    p.send({ ack: 2, win: 0 });
    p.wait(1000);
    p.recv({ seq: 2, data: bytes(1, 1) });
    p.send({ ack: 3, win: 5000 });
    expect(p.recvAll()[0]).toMatchObject({ seq: 3 });
  });

  it('a lost window update is made up for by the answer to a probe', () => {
    p.write(1000);
    p.wait(1000);
    p.recv({ len: 1 });
    // The update that was lost said 65535; so does the answer.
    p.send({ ack: 2, win: 65_535 });
    expect(p.recvAll().map((s) => s.data.length)).toEqual([999]);
  });

  it('a peer that does not answer for two hours is gone', () => {
    t.sysctl('maxpersistidle', 600_000);
    p.write(3000);
    t.run(900_000);
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
    expect(t.stat('persistdrop')).toBe(1);
  });

  it('of a closed connection: it is given up sooner', () => {
    p.write(3000);
    p.userClose();
    t.run(900_000);
    p.recvAll();
    expect(t.stat('persistdrop')).toBe(1);
    p.send({});
    p.recv({ flags: 'R' });
  });

  it('of a closed connection whose peer answers every probe: two minutes, and then a reset (RFC 6429)', () => {
    p.write(3000);
    p.userClose();
    let ms = 0;
    for (; t.stat('persistdrop') === 0 && ms < 600_000; ms += 100) {
      t.run(100);
      for (const s of p.recvAll()) if (s.data.length > 0) p.send({ win: 0 });
    }
    expect(ms).toBeGreaterThanOrEqual(120_000);
    expect(ms).toBeLessThanOrEqual(200_000);
    p.send({});
    p.recv({ flags: 'R' });
  });

  it('a thousand such peers are all gone in the end, and nothing of theirs is left', () => {
    const head = p.listener;
    p.userClose();
    p.recvAll();
    const peers: Peer[] = [];
    for (let i = 0; i < 1000; i++) {
      const q = t.established({ mss: 1000 }, head);
      q.send({ win: 0 });
      q.write(1000);
      q.userClose();
      peers.push(q);
    }
    const byPort = new Map(peers.map((q) => [q.fport, q]));
    for (let s = 0; s < 300; s++) {
      t.run(1000);
      for (let got = t.next(); got !== null; got = t.next()) {
        if (got.seg.data.length > 0) byPort.get(got.seg.dport)?.send({ win: 0 });
      }
    }
    expect(t.stat('persistdrop')).toBe(1000);
    expect(t.kernel.bufpool.used).toBe(0);
  });

  it('TCP_USER_TIMEOUT counts while the window is shut, whatever the peer answers (RFC 5482 §3)', () => {
    p.setopt(6, 16_384, 30_000);
    p.write(3000);
    for (let ms = 0; ms < 70_000; ms += 100) {
      t.run(100);
      for (const s of p.recvAll()) if (s.data.length > 0) p.send({ win: 0 });
    }
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
  });

  it('opening a little in the ACK of a probe ends the backoff: what is left goes after one timeout', () => {
    p.write(3000);
    for (let i = 0; i < 6; i++) {
      p.wait(100_000);
      p.recv({ seq: 1, len: 1 });
      if (i < 5) p.send({ win: 0 });
    }
    // The next probe would be in 12 s. This is the segment that header prediction takes.
    p.send({ ack: 2, win: 100 });
    expect(p.wait(1500)).toBeLessThanOrEqual(1000);
    p.recv({ seq: 2, len: 100 });
  });

  it('FIN goes whatever the window', () => {
    p.userClose();
    p.recv({ flags: 'FA', seq: 1 });
  });

  it('the peer’s data is taken meanwhile, and its ACKs', () => {
    p.write(3000);
    p.sendData('abc', { win: 0 });
    expect(p.read()).toEqual(new TextEncoder().encode('abc'));
    t.run(40);
    p.recv({ flags: 'A', seq: 1, ack: 4 });
  });
});

describe('our window closed (MUST-66)', () => {
  /** A connection whose receive buffer is full. */
  function shut(): Peer {
    const q = t.established({ mss: 1460 }, p.listener);
    for (let left = 65_535; left > 0; left -= 1460) q.sendData(Math.min(1460, left));
    sorcvlimits(q.socket(), 65_535, q.socket().rcv.lowat);
    // What was acknowledged so far offers what the larger buffer had.
    for (let i = 0; i < 50; i++) {
      t.run(50);
      const last = q.recvAll().at(-1);
      const edge = last === undefined ? 0 : last.ack + last.win;
      if (edge <= q.nxt) break;
      q.sendData(Math.min(1460, edge - q.nxt));
    }
    q.recvAll();
    return q;
  }

  it('a probe is answered with where we are; its ACK counts', () => {
    const q = shut();
    q.write('x');
    q.recv({ data: 'x' });
    q.send({ data: 1, ack: 2 });
    q.recv({ flags: 'A', seq: 2, ack: q.nxt, win: 0 });
    expect(q.info().unacked).toBe(0);
    expect(t.stat('rcvwinprobe')).toBe(1);
  });

  it('RST and FIN: the first ends it, the second waits', () => {
    const q = shut();
    q.send({ flags: 'FA', data: 1 });
    q.recv({ flags: 'A', ack: q.nxt, win: 0 });
    q.send({ flags: 'R' });
    expect(sotakeerror(q.socket())).toBe('ECONNRESET');
  });
});

describe('a window that is open a little', () => {
  it('and told again and again does not hold data back for ever (RFC 9293 §3.8.6.2.1: override timeout)', () => {
    p.write(3000);
    let ms = 0;
    for (; ms < 5000 && t.stat('sndprobe') === 0 && t.stat('sndpack') === 0; ms += 100) {
      p.send({ win: 100 });
      t.run(100);
    }
    expect(ms).toBeLessThanOrEqual(1000);
    p.recv({ seq: 1, len: 100 });
  });
});

describe('nothing left to send', () => {
  it('ends the probing: an idle connection with a closed window stays', () => {
    t.sysctl('maxpersistidle', 10_000);
    t.sysctl('persmax', 1000);
    p.write('x');
    p.wait(1000);
    p.recv({ seq: 1, len: 1 });
    p.send({ ack: 2, win: 0 });
    t.run(60_000);
    p.recvNothing();
    expect(p.state()).toBe('ESTABLISHED');
    expect(t.stat('persisttimeo')).toBe(1);
  });
});
