/** Data out of order (SHLD-31), overlaps, limits; SACK and D-SACK as the receiver (RFC 2018, RFC 2883). */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SocketHandler } from '../../src/kern/socket/handler.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { Reass } from '../../src/stacks/inet/tcp/reass.ts';
import { type Peer, TcpHarness, bytes } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

const stream = bytes(100_000, 1);
const piece = (from: number, to: number) => ({ seq: from, data: stream.subarray(from - 1, to - 1) });

describe('out of order', () => {
  it('is kept, and delivered when the gap closes', () => {
    const p = t.established();
    p.send(piece(1001, 2001));
    p.send(piece(3001, 4001));
    p.send(piece(2001, 3001));
    expect(p.recvAll().map((s) => s.ack)).toEqual([1, 1, 1]);
    expect(p.read()).toBe('EAGAIN');
    p.send(piece(1, 1001));
    p.recv({ ack: 4001 });
    expect(p.read()).toEqual(stream.slice(0, 4000));
  });

  it('goes to a handler that reads at once, without holes', () => {
    const p = t.established();
    const got: number[] = [];
    p.socket().handler = new (class extends SocketHandler {
      override data(_so: Socket, b: Uint8Array, o: number, len: number): number {
        got.push(...b.subarray(o, o + len));
        return len;
      }
    })();
    p.send(piece(101, 201));
    p.send(piece(301, 401));
    p.send(piece(1, 151));
    p.send(piece(180, 320));
    p.recvAll();
    expect(Uint8Array.from(got)).toEqual(stream.slice(0, 400));
  });

  it('a FIN behind data that came before is remembered', () => {
    const p = t.established();
    p.send({ seq: 11, data: 10 });
    p.send({ flags: 'FA', seq: 11, data: 10 });
    p.send({ seq: 1, data: 10 });
    expect(p.read()).toHaveLength(20);
    expect(p.state()).toBe('CLOSE_WAIT');
    expect(p.recvAll().at(-1)?.ack).toBe(22);
  });

  it('overlaps in every way', () => {
    const p = t.established();
    for (const [from, to] of [
      [50, 100],
      [40, 60],
      [90, 120],
      [30, 130],
      [200, 210],
      [128, 205],
      [45, 55],
      [1, 35],
    ] as const) {
      p.send(piece(from, to));
    }
    expect(p.recvAll().at(-1)!.ack).toBe(210);
    expect(p.read()).toEqual(stream.slice(0, 209));
  });

  it('the number of ranges is limited', () => {
    t.sysctl('reass.maxqueuelen', 3);
    const p = t.established();
    for (let i = 1; i <= 10; i++) p.send(piece(1 + 100 * i, 51 + 100 * i));
    expect(t.stat('rcvreassfull')).toBe(7);
    // What was refused comes again.
    p.send(piece(1, 1001));
    expect(p.recvAll().at(-1)!.ack).toBe(1001);
    expect(p.read()).toEqual(stream.slice(0, 1000));
  });

  it('is cut at the window', () => {
    const p = t.established();
    p.send({ seq: 65_000, data: stream.subarray(64_999, 66_000) });
    expect(t.stat('rcvbyteafterwin')).toBe(465);
    p.recv({ ack: 1 });
  });

  it('after the user stopped reading nothing is kept', () => {
    const p = t.established();
    p.socket().state |= 0x20000;
    p.send(piece(101, 201));
    p.recv({ ack: 1 });
    p.send(piece(1, 101));
    t.run(50);
    p.recv({ ack: 101 });
  });

  it('any order of any pieces gives the stream (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 400 })), { maxLength: 60 }),
        (list) => {
          const h = new TcpHarness();
          const p = h.established();
          for (const [from, len] of list) p.send(piece(from, from + len));
          for (let at = 1; at < 3401; at += 400) p.send(piece(at, at + 400));
          const read = p.read();
          h.close();
          return read instanceof Uint8Array && Buffer.compare(read, stream.slice(0, Math.max(3600, read.length))) === 0;
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('SACK', () => {
  const edges = (p: Peer, ...blocks: [number, number][]) => blocks.map(([l, r]) => [(p.iss + l) >>> 0, (p.iss + r) >>> 0]);

  it('the newest range first, then the others (RFC 2018 §4)', () => {
    const p = t.established({ mss: 1460, sackPermitted: true });
    p.send(piece(101, 201));
    expect(p.recv().opts.sack).toEqual(edges(p, [101, 201]));
    p.send(piece(301, 401));
    expect(p.recv().opts.sack).toEqual(edges(p, [301, 401], [101, 201]));
    p.send(piece(501, 601));
    expect(p.recv().opts.sack).toEqual(edges(p, [501, 601], [301, 401], [101, 201]));
    p.send(piece(201, 301));
    expect(p.recv().opts.sack).toEqual(edges(p, [101, 401], [501, 601]));
  });

  it('at most four blocks, three with timestamps', () => {
    const p = t.established({ mss: 1460, sackPermitted: true });
    for (let i = 1; i < 8; i++) p.send(piece(1 + 200 * i, 101 + 200 * i));
    expect(p.recvAll().at(-1)!.opts.sack).toHaveLength(4);
    const q = t.established({ mss: 1460, sackPermitted: true, ts: [5, 0] }, p.listener);
    for (let i = 1; i < 8; i++) q.send(piece(1 + 200 * i, 101 + 200 * i));
    expect(q.recvAll().at(-1)!.opts.sack).toHaveLength(3);
  });

  it('only if the peer permitted it', () => {
    const p = t.established();
    p.send(piece(101, 201));
    expect(p.recv().opts.sack).toBeUndefined();
  });

  it('gone when the gaps are', () => {
    const p = t.established({ mss: 1460, sackPermitted: true });
    p.send(piece(101, 201));
    p.recv();
    p.send(piece(1, 101));
    expect(p.recv({ ack: 201 }).opts.sack).toBeUndefined();
  });

  it('a duplicate is reported first (RFC 2883 §4)', () => {
    const p = t.established({ mss: 1460, sackPermitted: true });
    p.send(piece(1, 101));
    t.run(50);
    p.recv({ ack: 101 });
    p.send(piece(51, 101));
    expect(p.recv({ ack: 101 }).opts.sack).toEqual(edges(p, [51, 101]));
    p.send(piece(301, 401));
    p.recv();
    p.send(piece(301, 401));
    expect(p.recv().opts.sack).toEqual(edges(p, [301, 401], [301, 401]));
  });
});

describe('Reass', () => {
  it('is a sorted list of ranges that do not touch (property, with sequence numbers that wrap)', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 30 })), { maxLength: 40 }), (list) => {
        const base = 0x7fffff80 | 0;
        const r = new Reass();
        const model = new Set<number>();
        for (const [from, len] of list) {
          r.add((base + from) | 0, (base + from + len) | 0, 1000);
          for (let i = from; i < from + len; i++) model.add(i);
        }
        const have: number[] = [];
        let last = -2;
        for (let i = 0; i < r.count(); i++) {
          const lo = (r.start[i]! - base) | 0;
          const hi = (r.end[i]! - base) | 0;
          expect(lo).toBeGreaterThan(last);
          last = hi;
          for (let k = lo; k < hi; k++) have.push(k);
        }
        expect(have).toEqual([...model].sort((a, b) => a - b));
      }),
    );
  });
});

describe('a duplicate out of order without SACK', () => {
  it('leaves nothing behind: ACKs go with data again', () => {
    const p = t.established();
    p.send(piece(101, 201));
    p.send(piece(101, 201));
    p.send(piece(1, 101));
    p.recvAll();
    p.nxt = 201;
    const before = t.stat('preddat');
    p.sendData(bytes(100, 200));
    expect(t.stat('preddat')).toBe(before + 1);
  });
});

describe('an old segment that comes late', () => {
  it('does not tell the window', () => {
    const p = t.established();
    p.sendData(bytes(100, 0));
    p.sendData(bytes(100, 100));
    p.send({ seq: 1, data: bytes(100), win: 10 });
    expect(p.info().snd_wnd).toBe(65_535);
  });
});
