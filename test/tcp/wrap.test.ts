/** Sequence numbers, timestamps and the kernel's clock wrap at 2^32. */
import { describe, expect, it } from 'vitest';
import { TcpHarness, bytes } from './harness.ts';

describe('wrap-around', () => {
  it.each([0xfffffff0, 0x7ffffff0, 0xffffffff, 0x80000000])('of the peer’s numbers at %i: data, gaps, FIN', (iss) => {
    const t = new TcpHarness();
    const p = t.established({ mss: 1460, sackPermitted: true }, null, iss);
    p.send({ seq: 101, data: bytes(100, 100) });
    p.recv({ ack: 1 });
    p.send({ seq: 1, data: bytes(100, 0) });
    p.recv({ ack: 201 });
    p.nxt = 201;
    p.sendData(bytes(3000, 200));
    p.recv({ ack: 3201 });
    expect(p.read()).toEqual(bytes(3200));
    p.send({ flags: 'FA' });
    p.recv({ ack: 3202 });
    t.close();
  });

  it.each([0x8000_0000, 0x1_0000_0000])('of ours at %i: data, ACKs, loss', (edge) => {
    // The numbers begin by the clock, so a kernel that starts later begins higher: just below the edge.
    const probe = new TcpHarness({ offload: true });
    const { irs } = probe.established();
    probe.close();
    const below = (((edge - irs) % 0x1_0000_0000) + 0x1_0000_0000) % 0x1_0000_0000;
    const t = new TcpHarness({ offload: true, startMs: Math.floor(below / 250) - 10 });
    const p = t.established({ mss: 1460, wscale: 7 });
    expect((edge - p.irs) >>> 0).toBeLessThan(5000);
    p.write(14_600);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([14_600]);
    for (let i = 0; i < 3; i++) p.send({ ack: 1 });
    p.recv({ seq: 1, len: 1460 });
    p.send({ ack: 2921 });
    p.recv({ seq: 2921, len: 1460 });
    p.send({ ack: 14_601 });
    p.write(2920);
    p.recv({ seq: 14_601, data: bytes(2920) });
    p.wait(1000);
    p.recv({ seq: 14_601, len: 1460 });
    p.send({ ack: 17_521 });
    p.userClose();
    p.recv({ flags: 'FA', seq: 17_521 });
    t.close();
  });

  it.each([2 ** 31 - 5000, 2 ** 32 - 5000, 2 ** 31 - 50])('of the clock at %i ms: timers go off in order', (startMs) => {
    const t = new TcpHarness({ startMs });
    const p = t.established({ mss: 1460, ts: [0xfffffff0, 0] });
    for (let i = 0; i < 60; i++) {
      t.run(190);
      p.write('x');
      p.recv({ len: 1 });
      p.send({ ack: i + 2 });
    }
    expect(t.stat('rexmttimeo')).toBe(0);
    p.write('lost');
    p.recv({ len: 4 });
    expect(p.wait(2000)).toBeGreaterThanOrEqual(199);
    t.close();
  });
});
