/**
 * A link that says it is behind (PKT_BACKLOG), on both stacks: one ACK may then cover what still waits there, and no buffer grows when all of
 * them together could overflow its queue. The link is in the test's hands, and sets the flag.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept } from '../../src/kern/socket/calls.ts';
import { SocketHandler } from '../../src/kern/socket/handler.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';
import { type Peer, TcpHarness, bytes, ok } from './harness.ts';

const MIB = 1 << 20;
const OPTS = { mss: 1460, wscale: 8 };
/** A super-frame of twenty segments. */
const FRAME = 29_200;
/** Before so many bytes of a connection nothing waits. */
const FIRST = 131_072;

class Taker extends SocketHandler {
  override data(_so: Socket, _b: Uint8Array, _o: number, len: number): number {
    return len;
  }
}

describe.each([
  ['inet', inet, 'tcp', 0],
  // Its timers run out at the end of a slot of 8 ms.
  ['alt', alt, 'alt', 8],
] as const)('%s', (_name, stack, group, slotMs) => {
  let t: TcpHarness;
  let p: Peer;
  afterEach(() => t.close());

  function boot(env: Record<string, string>): void {
    t = new TcpHarness({ stack: () => stack, env: { 'net.inet.tcp.recvspace': String(MIB), ...env } });
  }

  function established(head: Socket, rttMs = 0): Peer {
    const peer = t.peer();
    peer.send({ flags: 'S', seq: 0, opts: OPTS });
    const syn = t.next();
    peer.irs = syn?.seg.seq ?? 0;
    peer.nxt = 1;
    t.run(rttMs);
    peer.send({ ack: 1 });
    peer.so = ok(soaccept(head));
    peer.so.handler = new Taker();
    return peer;
  }

  /** Data in super-frames, `total` bytes in all, each frame a batch; the ACKs that were sent meanwhile. */
  function pour(total: number): number[] {
    const acks: number[] = [];
    for (let left = total; left > 0; left -= FRAME) {
      p.sendData(bytes(Math.min(FRAME, left)), { gsoSize: 1460 });
      acks.push(...p.recvAll().map((s) => s.ack));
    }
    return acks;
  }

  describe('an ACK', () => {
    beforeEach(() => {
      boot({ 'net.inet.tcp.recvbuf_auto': '0' });
      p = established(t.listen());
      expect(p.info().rcv_buf).toBe(MIB);
      t.backlog = true;
    });

    it('waits for a quarter of the buffer, and then covers all of it', () => {
      t.backlog = false;
      pour(FIRST + FRAME);
      t.run(100);
      p.recvAll();
      t.backlog = true;
      const from = p.nxt;
      const acks = pour(MIB);
      // Nine frames of 29200 are the first to reach 262144.
      const step = Math.ceil(MIB / 4 / FRAME) * FRAME;
      expect(acks).toEqual([from + step, from + 2 * step, from + 3 * step]);
    });

    it('waits 5 ms at most', () => {
      t.backlog = false;
      pour(FIRST + FRAME);
      t.run(100);
      p.recvAll();
      t.backlog = true;
      p.sendData(bytes(FRAME), { gsoSize: 1460 });
      p.recvNothing();
      const waited = p.wait(100);
      expect(waited).toBeGreaterThanOrEqual(5);
      expect(waited).toBeLessThanOrEqual(5 + slotMs);
      p.recv({ flags: 'A', ack: p.nxt });
      t.run(200);
      p.recvNothing();
    });

    it('more that comes while it waits does not put it off', () => {
      pour(2 * FIRST);
      t.run(100);
      p.recvAll();
      const start = t.sim.nowMs();
      for (let i = 0; i < 4; i++) {
        p.sendData(bytes(1460), { gsoSize: 1460 });
        p.recvNothing();
        t.run(1);
      }
      p.wait(50);
      const { ms } = p.recv({ flags: 'A', ack: p.nxt });
      expect(ms - start).toBeLessThanOrEqual(5 + slotMs);
    });

    it('of the first 128 KiB does not wait: the sender is in slow start', () => {
      const acks = pour(FIRST - FRAME);
      expect(acks).toHaveLength(Math.ceil((FIRST - FRAME) / FRAME));
    });

    it('does not wait without the flag', () => {
      pour(2 * FIRST);
      t.run(100);
      p.recvAll();
      t.backlog = false;
      expect(pour(10 * FRAME)).toHaveLength(10);
    });

    it('does not wait after a loss, for so long as the sender’s window may be small', () => {
      pour(2 * FIRST);
      t.run(100);
      p.recvAll();
      const hole = p.nxt;
      p.send({ seq: hole + 1460, data: 1460 });
      p.recv({ ack: hole });
      p.send({ seq: hole, data: 1460 });
      p.recv({ ack: hole + 2920 });
      p.nxt = hole + 2920;
      for (let i = 0; i < 14; i++) {
        p.sendData(bytes(1460));
        p.recv({ ack: p.nxt });
      }
      // Then it does again, also for a peer whose every frame is many segments.
      for (let i = 0; i < 3; i++) p.sendData(bytes(FRAME), { gsoSize: 1460 });
      p.recvAll();
      t.run(20);
      p.recvAll();
      p.sendData(bytes(FRAME), { gsoSize: 1460 });
      p.recvNothing();
    });

    it('a hole is told at once: each segment behind it is a duplicate of its own', () => {
      pour(2 * FIRST);
      t.run(100);
      p.recvAll();
      const hole = p.nxt;
      for (let i = 1; i <= 3; i++) p.send({ seq: hole + 1460 * i, data: 1460 });
      expect(p.recvAll().map((s) => s.ack)).toEqual([hole, hole, hole]);
    });

    it('goes with data that the user sends', () => {
      pour(2 * FIRST);
      t.run(100);
      p.recvAll();
      p.sendData(bytes(FRAME), { gsoSize: 1460 });
      p.write('pong');
      p.recv({ ack: p.nxt, data: 'pong' });
      t.run(20);
      p.recvNothing();
    });
  });

  describe('a receive buffer', () => {
    /** `n` connections with 1 MiB each; one of them gets its window's worth in every round trip of 50 ms. */
    function grown(n: number, backlog: boolean): number {
      boot({});
      const head = t.listen(80, 64);
      p = established(head, 50);
      for (let i = 1; i < n; i++) established(head);
      t.backlog = backlog;
      for (let round = 0; round < 6; round++) {
        for (let left = p.info().rcv_wnd - FRAME; left > 0; left -= FRAME) {
          p.sendData(bytes(Math.min(FRAME, left)), { gsoSize: 1460 });
        }
        t.run(50);
        p.recvAll();
      }
      return t.stat('rcvbufgrown', group);
    }

    it('does not grow when all connections with such a buffer could have more than 32 MiB on the link', () => {
      expect(grown(33, true)).toBe(0);
      expect(p.info().rcv_buf).toBe(MIB);
    });

    it('grows with as many where the link is not behind', () => {
      expect(grown(33, false)).toBeGreaterThan(0);
    });

    it('grows with a backlog while there are few: up to what they could fill the link’s queue with', () => {
      expect(grown(9, true)).toBe(2);
      // 9 times 2 MiB is below the limit, 9 times 4 MiB is not.
      expect(p.info().rcv_buf).toBe(4 * MIB);
    });
  });

  describe('the first super-frame', () => {
    const FOUR = 262_144;

    it.each([
      ['makes room for four where the link has them itself', 'link', {}, FOUR],
      ['changes nothing where segments were put together by the driver', 'driver', {}, 65_536],
      ['changes nothing where buffers do not grow', 'link', { 'net.inet.tcp.recvbuf_auto': '0' }, 65_536],
      ['goes no further than recvbuf_max', 'link', { 'net.inet.tcp.recvbuf_max': '131072' }, 131_072],
    ] as const)('%s', (_what, lro, env, size) => {
      t = new TcpHarness({ stack: () => stack, lro, env });
      p = established(t.listen());
      p.sendData(bytes(1000));
      expect(p.info().rcv_buf).toBe(65_536);
      t.backlog = true;
      pour(FRAME);
      expect(p.info().rcv_buf).toBe(size);
    });
  });
});
