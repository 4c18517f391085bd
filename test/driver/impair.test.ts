import { describe, expect, it } from 'vitest';
import { type ImpairConfig, type ImpairedLink, impair } from '../../src/driver/impair.ts';
import { createPair } from '../../src/driver/pair.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import type { Link } from '../../src/kern/ifnet/link.ts';
import { PKT_CSUM_OK, TX_CSUM, TX_TSO4 } from '../../src/kern/packet.ts';
import { faultOf, pattern, tcpFrame, udpFrame } from './frames.ts';
import { type Upper, open, put, send } from './harness.ts';

interface Setup {
  sim: SimWorld;
  bad: ImpairedLink;
  a: Link;
  b: Link;
  upA: Upper;
  upB: Upper;
  /** Virtual time and first payload byte of each frame that arrived at b. */
  arrivals: [number, number][];
}

/** End a behind a bad network, end b plain. */
function setup(tx: Partial<ImpairConfig>, rx: Partial<ImpairConfig> = {}, seed = 1, mtu = 1500): Setup {
  const sim = new SimWorld(seed);
  const [inner, b] = createPair(sim.effects('pair'), { mtu, queueFrames: 4096 });
  const bad = impair(inner, sim.effects('bad'), { tx, rx });
  const [upA, upB] = [open(bad.link), open(b)];
  const arrivals: [number, number][] = [];
  upB.onFrame = (pkt) => arrivals.push([sim.nowMs(), pkt.bytes[pkt.off + 42]!]);
  return { sim, bad, a: bad.link, b, upA, upB, arrivals };
}

function numbered(n: number, len = 100): Uint8Array {
  const payload = new Uint8Array(len);
  payload[0] = n;
  return udpFrame(payload);
}

function sendMany({ sim, a }: Setup, frames: number, everyMs: number): void {
  for (let i = 0; i < frames; i++) {
    send(a, numbered(i & 255));
    sim.run(everyMs);
  }
}

describe('impair', () => {
  it('without faults is the link itself', () => {
    const { sim, a, b, upB, bad } = setup({});
    expect(a.info()).toEqual(b.info() && { ...b.info(), lladdr: a.info().lladdr });
    const frame = tcpFrame({ version: 4, payload: pattern(30000), checksum: 'pseudo' });
    send(a, frame, { flags: TX_TSO4, gsoSize: 1460, csumStart: 34, csumOffset: 16, head: 54 });
    sim.settle();
    expect(upB.frames).toMatchObject([{ bytes: frame, gsoSize: 1460 }]);
    expect(bad.tx.frames).toBe(0);
  });

  it('loses about the share that was asked for, the same ones with the same seed', () => {
    const runs = [1, 1, 2].map((seed) => {
      const s = setup({ lossPercent: 10 }, {}, seed);
      sendMany(s, 2000, 0.01);
      expect(s.bad.tx).toMatchObject({ frames: 2000, lost: 2000 - s.arrivals.length });
      return s.arrivals;
    });
    expect(runs[0]!.length).toBeGreaterThan(1720);
    expect(runs[0]!.length).toBeLessThan(1880);
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).not.toEqual(runs[0]);
  });

  it('loses in bursts', () => {
    const s = setup({ lossPercent: 10, lossBurst: 5 });
    const got = new Set<number>();
    s.upB.onFrame = (pkt) => got.add(pkt.bytes[pkt.off + 42]! * 256 + pkt.bytes[pkt.off + 43]!);
    for (let i = 0; i < 20000; i++) {
      const frame = numbered(i >>> 8);
      frame[43] = i & 255;
      send(s.a, frame);
      s.sim.run(0);
    }
    const lost = 20000 - got.size;
    let bursts = 0;
    for (let i = 1; i < 20000; i++) if (!got.has(i) && got.has(i - 1)) bursts++;
    expect(lost / 20000).toBeCloseTo(0.1, 1);
    expect(lost / bursts).toBeGreaterThan(4);
    expect(lost / bursts).toBeLessThan(6);
  });

  it('ends a burst in a silence', () => {
    // The first frame begins a burst; with what is configured then, neither does one begin nor end by chance.
    const s = setup({ lossPercent: 99, lossBurst: 50 });
    sendMany(s, 1, 1);
    s.bad.configure('tx', { lossPercent: 1, lossBurst: 1e9 });
    sendMany(s, 50, 1);
    expect(s.arrivals).toHaveLength(0);
    s.sim.run(201);
    sendMany(s, 50, 1);
    expect(s.arrivals).toHaveLength(50);
  });

  it('delays, and varies the delay without changing the order', () => {
    const s = setup({ delayMs: 50, jitterMs: 20 });
    sendMany(s, 200, 1);
    s.sim.run(200);
    expect(s.arrivals.map(([, n]) => n)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    const delays = s.arrivals.map(([at], i) => at - i);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(30);
    expect(Math.max(...delays)).toBeLessThanOrEqual(70);
    expect(new Set(delays).size).toBeGreaterThan(50);
  });

  it('reorders: later frames overtake', () => {
    const s = setup({ reorderPercent: 10, reorderMs: 3 });
    sendMany(s, 200, 1);
    s.sim.run(10);
    expect(s.arrivals).toHaveLength(200);
    const late = s.arrivals.filter(([at, n]) => at - n >= 3);
    expect(late).toHaveLength(s.bad.tx.reordered);
    expect(late.length).toBeGreaterThan(8);
    expect(s.arrivals.map(([, n]) => n)).not.toEqual([...s.arrivals.map(([, n]) => n)].sort((x, y) => x - y));
  });

  it('duplicates', () => {
    const s = setup({ duplicatePercent: 100 });
    sendMany(s, 3, 1);
    expect(s.arrivals.map(([, n]) => n)).toEqual([0, 0, 1, 1, 2, 2]);
    expect(s.bad.tx.duplicated).toBe(3);
  });

  it('corrupts one bit behind the link header, so that the checksum shows it', () => {
    const s = setup({ corruptPercent: 100 }, { corruptPercent: 100 });
    const open = tcpFrame({ version: 4, payload: pattern(500), checksum: 'pseudo' });
    const whole = tcpFrame({ version: 4, payload: pattern(500) });
    for (let i = 0; i < 50; i++) {
      send(s.a, open, { flags: TX_CSUM, csumStart: 34, csumOffset: 16, head: 54 });
      send(s.b, open, { flags: TX_CSUM, csumStart: 34, csumOffset: 16, head: 54 });
      s.sim.run(1);
    }
    for (const seen of [...s.upA.frames, ...s.upB.frames]) {
      expect(seen.flags & PKT_CSUM_OK).toBe(0);
      let bits = 0;
      for (let i = 0; i < whole.length; i++) {
        for (let x = whole[i]! ^ seen.bytes[i]!; x !== 0; x &= x - 1) bits++;
        if (i < 14) expect(bits).toBe(0);
      }
      expect(bits).toBe(1);
    }
    expect([s.bad.tx.corrupted, s.bad.rx.corrupted]).toEqual([50, 50]);
  });

  it('slows to a rate, holds as many frames as the queue may, and loses the rest', () => {
    const s = setup({ rateBps: 1_000_000, queueFrames: 10 });
    for (let i = 0; i < 15; i++) put(s.a, numbered(i, 1250 - 42));
    s.a.flush();
    s.sim.run(1000);
    expect(s.arrivals.map(([at]) => at)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(s.bad.tx.queuefull).toBe(5);
  });

  it('counts in its queue what waits for the line, not what is under way behind it', () => {
    const s = setup({ rateBps: 1_000_000, queueFrames: 2, delayMs: 500 });
    for (let i = 0; i < 20; i++) {
      send(s.a, numbered(i, 1250 - 42));
      s.sim.run(10);
    }
    s.sim.run(1000);
    expect(s.arrivals.map(([at]) => at)).toEqual(Array.from({ length: 20 }, (_, i) => 510 + 10 * i));
    for (let i = 0; i < 3; i++) put(s.a, numbered(i, 1250 - 42));
    s.a.flush();
    s.sim.run(1000);
    expect(s.arrivals).toHaveLength(22);
    expect(s.bad.tx.queuefull).toBe(1);
  });

  it('loses a corrupted frame that no checksum protects', () => {
    const s = setup({ corruptPercent: 100 });
    const arp = new Uint8Array(42);
    arp.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6]);
    send(s.a, arp);
    s.sim.run(1);
    expect(s.upB.frames).toEqual([]);
    expect(s.bad.tx.corrupted).toBe(1);
  });

  it('swallows packets over its MTU', () => {
    const s = setup({ mtu: 1000 });
    send(s.a, udpFrame(pattern(1000 - 28)));
    send(s.a, udpFrame(pattern(1001 - 28)));
    s.sim.run(1);
    expect(s.upB.frames).toHaveLength(1);
    expect(s.bad.tx.toolong).toBe(1);
  });

  it('cuts super-frames first, in both directions, and completes their checksums', () => {
    const s = setup({ delayMs: 1 }, { delayMs: 1 }, 1, 9000);
    const frame = tcpFrame({ version: 4, payload: pattern(40000), checksum: 'pseudo' });
    for (const link of [s.a, s.b]) send(link, frame, { flags: TX_TSO4, gsoSize: 8000, csumStart: 34, csumOffset: 16, head: 54 });
    s.sim.run(5);
    for (const up of [s.upA, s.upB]) {
      expect(up.frames).toHaveLength(5);
      for (const seen of up.frames) expect([seen.gsoSize, faultOf(seen.bytes)]).toEqual([0, null]);
    }
  });

  it('works on what is received, in batches, and can be changed while it runs', () => {
    const s = setup({}, { delayMs: 7 });
    const at: number[] = [];
    s.upA.onFrame = () => at.push(s.sim.nowMs());
    for (let i = 0; i < 3; i++) put(s.b, numbered(i));
    s.b.flush();
    s.sim.run(10);
    expect(at).toEqual([7, 7, 7]);
    expect(new Set(s.upA.frames.map((f) => f.batch)).size).toBe(1);
    s.bad.configure('rx', { delayMs: 0, lossPercent: 100 });
    send(s.b, numbered(9));
    s.sim.run(10);
    expect(s.upA.frames).toHaveLength(3);
    expect(s.upA.depth).toBe(0);
  });

  it('forgets what is on its way when it is stopped', () => {
    const s = setup({ delayMs: 5 }, { delayMs: 5 });
    send(s.a, numbered(1));
    send(s.b, numbered(1));
    s.sim.run(1);
    s.a.stop();
    s.sim.run(100);
    expect([...s.upA.frames, ...s.upB.frames]).toEqual([]);
    expect(s.upA.depth).toBe(0);
  });

  it('closes a late batch in which it is stopped', () => {
    const s = setup({}, { delayMs: 5 });
    s.upA.onFrame = () => s.a.stop();
    send(s.b, numbered(1));
    s.sim.run(100);
    expect(s.upA.frames).toHaveLength(1);
    expect(s.upA.depth).toBe(0);
  });
});
