/** When an ACK is sent (RFC 9293 §3.8.6.3, RFC 5681 §4.2): delayed, for every second segment, one for a batch, with data. */
import { sorcvlimits } from '../../src/kern/socket/sobuf.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SocketHandler } from '../../src/kern/socket/handler.ts';
import { sosend } from '../../src/kern/socket/sendrecv.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { type Peer, TcpHarness, bytes } from './harness.ts';

class Taker extends SocketHandler {
  override data(_so: Socket, _b: Uint8Array, _o: number, len: number): number {
    return len;
  }
}
const TAKER = new Taker();

let t: TcpHarness;
let p: Peer;
beforeEach(() => {
  t = new TcpHarness();
  p = t.established();
});
afterEach(() => t.close());

describe('delayed ACK', () => {
  it('SHLD-18: one small segment is acknowledged after 40 ms', () => {
    p.sendData('x');
    p.recvNothing();
    expect(p.wait(500)).toBe(40);
    p.recv({ flags: 'A', ack: 2 });
    p.recvNothing();
    expect(t.stat('delack')).toBe(1);
  });

  it('the delay is a sysctl, below half a second (MUST-40)', () => {
    t.sysctl('delacktime', 200);
    p.sendData('x');
    expect(p.wait(500)).toBe(200);
    expect(t.kernel.sysctl.write('net.inet.tcp.delacktime', 500)).toBe('EINVAL');
  });

  it('without delay every segment is acknowledged', () => {
    t.sysctl('delayed_ack', false);
    p.sendData('x');
    p.recv({ ack: 2 });
  });

  it('SHLD-19: every second full segment at once', () => {
    p.sendData(1460);
    p.recvNothing();
    p.sendData(1460);
    p.recv({ ack: 2921 });
    p.sendData(1460);
    p.recvNothing();
    p.sendData(1460);
    p.recv({ ack: 5841 });
  });

  it('a super-frame is as many segments as it says', () => {
    p.sendData(14_600, { gsoSize: 1460 });
    p.recv({ ack: 14_601 });
    p.sendData(1460, { gsoSize: 1460 });
    p.recvNothing();
  });

  it('a peer of small segments: two of its full ones count', () => {
    p.sendData(600);
    p.recvNothing();
    p.sendData(600);
    p.recv({ ack: 1201 });
  });

  it('MUST-58, MUST-59: one ACK for a batch', () => {
    p.sendBatch(...Array.from({ length: 10 }, (_, i) => ({ seq: 1 + 1460 * i, data: bytes(1460) })));
    p.recv({ ack: 14_601 });
    p.recvNothing();
  });

  it('data that goes out takes it along, and the delay is over', () => {
    p.sendData('ping');
    p.write('pong');
    p.recv({ flags: 'PA', ack: 5, data: 'pong' });
    t.run(100);
    p.recvNothing();
  });

  it('an answer from inside the callback is one frame', () => {
    p.socket().handler = new (class extends SocketHandler {
      override data(so: Socket, _b: Uint8Array, _o: number, len: number): number {
        sosend(so, bytes(100), 0, 100);
        return len;
      }
    })();
    for (let i = 0; i < 5; i++) {
      p.sendData(50, { ack: 1 + 100 * i });
      p.recv({ flags: 'PA', seq: 1 + 100 * i, ack: 51 + 50 * i, len: 100 });
    }
    p.recvNothing();
  });
});

describe('immediate ACK', () => {
  it('SHLD-31: each segment out of order is a duplicate ACK of its own', () => {
    p.sendBatch({ seq: 1461, data: 1460 }, { seq: 2921, data: 1460 }, { seq: 4381, data: 1460 });
    expect(p.recvAll().map((s) => s.ack)).toEqual([1, 1, 1]);
  });

  it('in-order data and then a gap in one batch: the new ACK, and a duplicate for each', () => {
    p.sendBatch({ seq: 1, data: 10 }, { seq: 1461, data: 1460 }, { seq: 2921, data: 1460 });
    expect(p.recvAll().map((s) => s.ack)).toEqual([11, 11, 11]);
  });

  it('a gap that closes is acknowledged at once', () => {
    p.send({ seq: 11, data: 10 });
    p.recv({ ack: 1 });
    p.send({ seq: 1, data: 10 });
    p.recv({ ack: 21 });
  });

  it('a gap that opens and closes in one batch is one ACK', () => {
    p.sendBatch({ seq: 11, data: 10 }, { seq: 1, data: 10 });
    expect(p.recvAll().map((s) => s.ack)).toEqual([21]);
  });

  it('a peer without SACK gets a duplicate for each segment of an early super-frame', () => {
    p.send({ seq: 1461, data: 5840, gsoSize: 1460 });
    expect(p.recvAll().map((s) => s.ack)).toEqual([1, 1, 1, 1]);
  });

  it('with SACK one says it all', () => {
    const q = t.established({ mss: 1460, sackPermitted: true }, p.listener);
    q.send({ seq: 1461, data: 5840, gsoSize: 1460 });
    const got = q.recv({ ack: 1 });
    expect(got.opts.sack).toEqual([[q.iss + 1461, q.iss + 7301]]);
    q.recvNothing();
  });

  it('after a gap that closed sixteen segments are acknowledged one by one, then every second again', () => {
    p.send({ seq: 1461, data: 1460 });
    p.recv({ ack: 1 });
    p.send({ seq: 1, data: 1460 });
    p.recv({ ack: 2921 });
    let n = 0;
    for (; n < 40; n++) {
      p.send({ seq: 2921 + 1460 * n, data: 1460 });
      if (p.recvAll().length === 0) break;
    }
    expect(n).toBe(16);
    p.send({ seq: 2921 + 1460 * (n + 1), data: 1460 });
    p.recv({ ack: 2921 + 1460 * (n + 2) });
  });

  it('so they are when they come in one batch: the peer repairs with a small window, and one ACK for all may be lost', () => {
    p.send({ seq: 1461, data: 1460 });
    p.recv({ ack: 1 });
    p.sendBatch({ seq: 1, data: 1460 }, { seq: 2921, data: 1460 }, { seq: 4381, data: 1460 });
    expect(p.recvAll().map((s) => s.ack)).toEqual([2921, 4381, 5841]);
    p.sendBatch(...Array.from({ length: 20 }, (_, i) => ({ seq: 5841 + 1460 * i, data: bytes(1460) })));
    const acks = p.recvAll().map((s) => s.ack);
    expect(acks).toHaveLength(15);
    expect(acks.at(-1)).toBe(5841 + 1460 * 20);
  });

  it('each of them offers only what is left of a buffer that nobody reads', () => {
    p.send({ seq: 1461, data: 1460 });
    p.recv({ ack: 1 });
    p.sendBatch({ seq: 1, data: 1460 }, { seq: 2921, data: 1460 });
    const edges = p.recvAll().map((s) => s.ack + s.win);
    expect(edges).toEqual([1 + p.socket().rcv.hiwat, 1 + p.socket().rcv.hiwat]);
  });

  it('a duplicate is answered at once', () => {
    p.sendData('abc');
    t.run(100);
    p.recv({ ack: 4 });
    p.send({ seq: 1, data: 'abc' });
    p.recv({ ack: 4 });
  });
});

describe('the window', () => {
  it('direct delivery: the window stays open, and no segment is sent for it alone', () => {
    p.socket().handler = TAKER;
    for (let i = 0; i < 100; i++) p.sendData(2920, { gsoSize: 1460 });
    const got = p.recvAll();
    expect(got).toHaveLength(100);
    expect(new Set(got.map((s) => s.win))).toEqual(new Set([65_535]));
    expect(t.stat('sndwinup')).toBe(0);
  });

  it('shuts as the buffer fills, and opens when the user reads enough (MUST-38)', () => {
    const q = t.established({ mss: 1460 }, p.listener);
    sorcvlimits(q.socket(), 8000, q.socket().rcv.lowat);
    // What was promised is taken whatever the buffer's limit is now.
    let left = 65_535;
    while (left > 1460) {
      q.sendData(1460);
      left -= 1460;
    }
    q.sendData(left);
    const acks = q.recvAll();
    t.run(50);
    acks.push(...q.recvAll());
    expect(acks.at(-1)!.win).toBe(0);
    // A probe: not taken, but answered.
    q.send({ data: 1 });
    q.recv({ ack: 65_536, win: 0 });
    // 57535 bytes are over the limit; reading less than them opens nothing.
    q.read(50_000);
    q.recvNothing();
    q.read(15_000);
    q.recv({ ack: 65_536, win: 7465 });
  });

  it('a window that is not shut is announced anew when a quarter of the buffer was read; a nearly shut one sooner', () => {
    const q = t.established({ mss: 1460, wscale: 0 }, p.listener);
    sorcvlimits(q.socket(), 65_536, q.socket().rcv.lowat);
    for (let i = 0; i < 20; i++) q.sendData(1460);
    q.recvAll();
    q.read(10_000);
    q.recvNothing();
    q.read(7000);
    q.recv({ ack: q.nxt, win: (65_536 - 29_200 + 17_000) >> 8 });
    for (let i = 0; i < 36; i++) q.sendData(1460);
    q.recvAll();
    expect(q.info().rcv_wnd).toBeLessThan(8192);
    q.read(2000);
    q.recvNothing();
    q.read(2000);
    q.recv({ ack: q.nxt });
  });

  it('the edge of the window never promises more than the buffer holds, whatever the scale', () => {
    const q = t.established({ mss: 1460, wscale: 0 }, p.listener);
    sorcvlimits(q.socket(), 65_536, q.socket().rcv.lowat);
    for (let i = 0; i < 44; i++) {
      q.sendData(1440);
      for (const s of q.recvAll()) expect(s.ack - 1 + (s.win << 8)).toBeLessThanOrEqual(65_536);
    }
  });
});
