/** Timestamps and PAWS (RFC 7323 §3, §4, §5, appendix). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Peer, TcpHarness } from './harness.ts';

let t: TcpHarness;
let p: Peer;
beforeEach(() => {
  t = new TcpHarness();
  p = t.established({ mss: 1460, ts: [1_000_000, 0] });
});
afterEach(() => t.close());

const at = (v: number) => ({ ts: [v, 0] as const });

describe('timestamps', () => {
  it('are in every segment once agreed, resets too (§3.2)', () => {
    p.sendData(2000);
    t.run(40);
    expect(p.recv({ ack: 2001 }).opts.ts).toBeDefined();
    p.read();
    p.write('x');
    expect(p.recv({ len: 1 }).opts.ts).toBeDefined();
    p.userClose();
    expect(p.recv({ flags: 'FA' }).opts.ts).toBeDefined();
  });

  it('our clock is of milliseconds, from a secret start that differs between connections (§5.4)', () => {
    p.write('x');
    const a = p.recv({ len: 1 }).opts.ts![0];
    p.send({ ack: 2 });
    t.run(500);
    p.write('y');
    expect((p.recv({ len: 1 }).opts.ts![0] - a) | 0).toBe(500);
    const q = t.established({ mss: 1460, ts: [5, 0] }, p.listener);
    expect(Math.abs((q.syn!.opts.ts![0] - a) | 0)).toBeGreaterThan(10_000);
  });

  it('a segment without one is dropped silently (§3.2)', () => {
    p.tsBase = null;
    p.send({ data: 'bare', flags: 'PA' });
    t.run(100);
    p.recvNothing();
    expect(t.stat('rcvnotstamp')).toBe(1);
    // But a reset needs none.
    p.send({ flags: 'R' });
    expect(p.state()).toBe('CLOSED');
  });

  it('what is echoed is that of the first segment not yet acknowledged (§4.3)', () => {
    p.send({ seq: 1, data: 100, opts: at(1_000_010) });
    p.send({ seq: 101, data: 100, opts: at(1_000_020) });
    t.run(40);
    expect(p.recv({ ack: 201 }).opts.ts![1]).toBe(1_000_010);
  });

  it('a segment in front of a gap does not change it, the one that closes the gap does', () => {
    p.send({ seq: 101, data: 100, opts: at(1_000_050) });
    expect(p.recv({ ack: 1 }).opts.ts![1]).toBe(1_000_000);
    p.send({ seq: 1, data: 100, opts: at(1_000_060) });
    expect(p.recv({ ack: 201 }).opts.ts![1]).toBe(1_000_060);
  });
});

describe('PAWS (§5.3)', () => {
  it('an older timestamp: dropped, and answered with an ACK', () => {
    p.send({ seq: 1, data: 'old', opts: at(999_999) });
    p.recv({ flags: 'A', seq: 1, ack: 1 });
    expect(t.stat('pawsdrop')).toBe(1);
    expect(p.read()).toBe('EAGAIN');
  });

  it('not for resets', () => {
    p.send({ flags: 'R', opts: at(5) });
    expect(p.state()).toBe('CLOSED');
  });

  it('an old pure ACK is dropped too, and answered only so often', () => {
    p.write('x');
    p.recv({ len: 1 });
    for (let i = 0; i < 20; i++) p.send({ ack: 2, opts: at(999_000) });
    expect(p.recvAll()).toHaveLength(10);
    expect(p.info().unacked).toBe(1);
  });

  it('timestamps wrap', () => {
    const q = t.established({ mss: 1460, ts: [0xffffff00, 0] }, p.listener);
    q.send({ seq: 1, data: 'a', flags: 'PA', opts: { ts: [0xfffffff0, 0] } });
    t.run(50);
    q.send({ seq: 2, data: 'b', flags: 'PA', opts: { ts: [0x10, 0] } });
    t.run(50);
    expect(q.read()).toEqual(new TextEncoder().encode('ab'));
    q.send({ seq: 3, data: 'c', flags: 'PA', opts: { ts: [0xfffffff0, 0] } });
    expect(t.stat('pawsdrop')).toBe(1);
  });

  it.each([24, 30, 45])('after %i days of silence old timestamps are not compared (§5.5)', (days) => {
    t.sim.run(days * 24 * 3600 * 1000 + 1000);
    p.send({ seq: 1, data: 'after', flags: 'PA', opts: at(5) });
    expect(p.read()).toEqual(new TextEncoder().encode('after'));
  });
});
