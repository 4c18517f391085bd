import { describe, expect, it } from 'vitest';
import { createPair } from '../../src/driver/pair.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { IFCAP_LRO, IFCAP_RXCSUM } from '../../src/kern/ifnet/link.ts';
import { PKT_BCAST, PKT_CSUM_OK, PKT_MCAST, TX_CSUM, TX_TSO4, TX_TSO6 } from '../../src/kern/packet.ts';
import { MAC_A, MAC_ALL, faultOf, pattern, tcpFrame, udpFrame } from './frames.ts';
import { open, put, send } from './harness.ts';

function world(): { sim: SimWorld; effects: ReturnType<SimWorld['effects']> } {
  const sim = new SimWorld(1);
  return { sim, effects: sim.effects('pair') };
}

describe('pair', () => {
  it('delivers what one end sends at the other, in order and in one batch', () => {
    const { sim, effects } = world();
    const [a, b] = createPair(effects);
    const [upA, upB] = [open(a), open(b)];
    const frames = [udpFrame(pattern(1)), udpFrame(pattern(200)), udpFrame(pattern(1472))];
    for (const frame of frames) expect(put(a, frame)).toBeNull();
    expect(upB.frames).toEqual([]);
    a.flush();
    expect(upB.frames).toEqual([]);
    sim.settle();
    expect(upB.frames.map((f) => f.bytes)).toEqual(frames);
    expect(upB.batches).toBe(1);
    expect(upA.frames).toEqual([]);
    send(b, frames[0]!);
    sim.settle();
    expect(upA.frames.map((f) => f.bytes)).toEqual([frames[0]]);
  });

  it('copies: the sender may change its bytes after the flush', () => {
    const { sim, effects } = world();
    const [a, b] = createPair(effects);
    open(a);
    const upB = open(b);
    const frame = udpFrame(pattern(1000));
    const sent = frame.slice();
    send(a, frame, { head: 50, slices: [100, 200] });
    frame.fill(0);
    sim.settle();
    expect(upB.frames[0]!.bytes).toEqual(sent);
  });

  it('marks frames to groups', () => {
    const { sim, effects } = world();
    const [a, b] = createPair(effects);
    open(a);
    const upB = open(b);
    for (const dst of [MAC_ALL, Uint8Array.of(1, 0, 0x5e, 0, 0, 1), MAC_A]) {
      const frame = udpFrame(pattern(4));
      frame.set(dst, 0);
      send(a, frame);
    }
    sim.settle();
    expect(upB.frames.map((f) => f.flags)).toEqual([PKT_BCAST, PKT_MCAST, 0]);
  });

  it('takes its time when it has a delay', () => {
    const { sim, effects } = world();
    const [a, b] = createPair(effects, { delayMs: 10 });
    open(a);
    const upB = open(b);
    const at: number[] = [];
    upB.onFrame = () => at.push(sim.nowMs());
    send(a, udpFrame(pattern(4)));
    sim.run(4);
    send(a, udpFrame(pattern(5)));
    sim.run(100);
    expect(at).toEqual([10, 14]);
  });

  describe('offload', () => {
    it('lets an open checksum cross where the receiver does not verify, and completes it where it does', () => {
      for (const version of [4, 6] as const) {
        const meta = { flags: TX_CSUM, csumStart: version === 4 ? 34 : 54, csumOffset: 16 };
        const frame = tcpFrame({ version, payload: pattern(300), checksum: 'pseudo' });
        const { sim, effects } = world();
        const [a, b] = createPair(effects);
        const [upA, upB] = [open(a, 0), open(b)];
        expect(send(a, frame, meta)).toBeNull();
        expect(send(b, frame, meta)).toBeNull();
        sim.settle();
        expect(upB.frames).toMatchObject([{ bytes: frame, flags: PKT_CSUM_OK }]);
        expect(upA.frames.map((f) => [f.flags, faultOf(f.bytes)])).toEqual([[0, null]]);
      }
    });

    it('delivers a super-frame whole with large receive, in segments without', () => {
      for (const version of [4, 6] as const) {
        const l4 = version === 4 ? 34 : 54;
        const meta = { flags: version === 4 ? TX_TSO4 : TX_TSO6, gsoSize: 1400, csumStart: l4, csumOffset: 16, head: l4 + 20 };
        const frame = tcpFrame({ version, payload: pattern(60000), checksum: 'pseudo' });
        const { sim, effects } = world();
        const [a, b] = createPair(effects);
        const all = b.info().capabilities;
        const [upA, upB] = [open(a, all & ~IFCAP_LRO), open(b)];
        send(a, frame, meta);
        send(b, frame, meta);
        sim.settle();
        expect(upB.frames).toMatchObject([{ bytes: frame, flags: PKT_CSUM_OK, gsoSize: 1400 }]);
        expect(upA.frames).toHaveLength(Math.ceil(60000 / 1400));
        for (const seen of upA.frames) expect([seen.flags, seen.gsoSize, faultOf(seen.bytes)]).toEqual([PKT_CSUM_OK, 0, null]);
      }
    });

    it('is refused by a pair that has none', () => {
      const { effects } = world();
      const [a] = createPair(effects, { offload: false });
      open(a);
      expect(a.info()).toMatchObject({ capabilities: 0, tsoMax: 0 });
      expect(a.setCapEnable(IFCAP_RXCSUM)).toBe('EINVAL');
      const frame = tcpFrame({ version: 4, payload: pattern(3000), checksum: 'pseudo' });
      expect(send(a, frame, { flags: TX_TSO4, gsoSize: 1400, csumStart: 34, csumOffset: 16, head: 54 })).toBe('EINVAL');
    });

    it('needs receive checksums for large receive', () => {
      const { effects } = world();
      const [a] = createPair(effects);
      expect(a.setCapEnable(IFCAP_LRO)).toBe('EINVAL');
      expect(a.setCapEnable(IFCAP_LRO | IFCAP_RXCSUM)).toBeNull();
    });
  });

  describe('limits', () => {
    it('drops what its queue does not hold, and counts it at the sender', () => {
      const { sim, effects } = world();
      const [a, b] = createPair(effects, { queueFrames: 4 });
      const [upA, upB] = [open(a), open(b)];
      for (let i = 0; i < 7; i++) expect(put(a, udpFrame(pattern(i)))).toBeNull();
      a.flush();
      sim.settle();
      expect(upB.frames).toHaveLength(4);
      expect(upA.lost).toEqual({ oqdrops: 3 });
    });

    it('refuses a frame over the MTU, one under a header, and all while it is down', () => {
      const { sim, effects } = world();
      const [a, b] = createPair(effects);
      open(a);
      const upB = open(b);
      expect(send(a, udpFrame(pattern(1473 + 4)))).toBe('EMSGSIZE');
      expect(send(a, pattern(13))).toBe('EINVAL');
      a.setMtu(9000);
      expect(send(a, udpFrame(pattern(8000)))).toBeNull();
      a.setUp(false);
      expect(send(a, udpFrame(pattern(10)))).toBe('ENETDOWN');
      b.setUp(false);
      sim.settle();
      expect(upB.frames).toEqual([]);
      expect(upB.depth).toBe(0);
    });

    it('hands out as many slots as it has, and takes them back', () => {
      const { effects } = world();
      const [a] = createPair(effects, { slots: 3 });
      open(a);
      const slots = [a.txAlloc(), a.txAlloc(), a.txAlloc()];
      expect(a.txAlloc()).toBeNull();
      a.txFree(slots[1]!);
      expect(a.txAlloc()).toBe(slots[1]);
      expect(a.transmit(slots[0]!)).toBe('EINVAL');
      expect(a.txAlloc()).toBe(slots[0]);
    });
  });

  it('lets the host have its turn while both ends answer each other for ever', () => {
    const { sim, effects } = world();
    const [a, b] = createPair(effects);
    const [upA, upB] = [open(a), open(b)];
    upA.onFrame = () => send(a, udpFrame(pattern(4)));
    upB.onFrame = () => send(b, udpFrame(pattern(4)));
    let turns = 0;
    const turn = (): void => {
      if (++turns < 5) effects.yield(turn);
    };
    effects.yield(turn);
    send(a, udpFrame(pattern(4)));
    expect(sim.runUntil(() => turns === 5, 0)).toBe(true);
    a.setUp(false);
    b.setUp(false);
  });

  it('delivers nothing after its end', () => {
    const { sim, effects } = world();
    const [a, b] = createPair(effects);
    open(a);
    const upB = open(b);
    send(a, udpFrame(pattern(4)));
    b.stop();
    sim.run(10);
    expect(upB.frames).toEqual([]);
    expect(upB.depth).toBe(0);
  });

  it('closes the batch in which it was stopped', () => {
    const { sim, effects } = world();
    const [a, b] = createPair(effects);
    open(a);
    const upB = open(b);
    upB.onFrame = () => b.stop();
    for (let i = 0; i < 3; i++) put(a, udpFrame(pattern(4)));
    a.flush();
    sim.settle();
    expect(upB.frames).toHaveLength(1);
    expect(upB.depth).toBe(0);
  });
});
