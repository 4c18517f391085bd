import { describe, expect, it } from 'vitest';
import { createLo } from '../../src/driver/lo.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { PKT_CSUM_OK, PKT_LOOP, TX_CSUM } from '../../src/kern/packet.ts';
import { pattern, udpFrame } from './frames.ts';
import { open, put, send } from './harness.ts';

/** An IP packet: there is no link header on the loopback. */
const PACKET = udpFrame(pattern(100)).subarray(14);

describe('lo', () => {
  it('is a loopback without a hardware address, with a large MTU', () => {
    const lo = createLo(new SimWorld().effects('lo'));
    expect(lo.info()).toMatchObject({ type: 'loopback', lladdr: null, mtu: 16384, tsoMax: 0 });
  });

  it('gives back what was sent, as verified and from the loopback, in one batch', () => {
    const sim = new SimWorld();
    const lo = createLo(sim.effects('lo'));
    const up = open(lo);
    expect(put(lo, PACKET, { flags: TX_CSUM, csumStart: 20, csumOffset: 6, head: 28 })).toBeNull();
    expect(put(lo, PACKET)).toBeNull();
    lo.flush();
    expect(up.frames).toEqual([]);
    sim.settle();
    expect(up.frames).toMatchObject([
      { bytes: PACKET, flags: PKT_LOOP | PKT_CSUM_OK, gsoSize: 0, batch: 1 },
      { bytes: PACKET, flags: PKT_LOOP | PKT_CSUM_OK, gsoSize: 0, batch: 1 },
    ]);
  });

  it('neither recurses nor holds the host when every packet is answered', () => {
    const sim = new SimWorld();
    const effects = sim.effects('lo');
    const lo = createLo(effects);
    const up = open(lo);
    let deepest = 0;
    up.onFrame = () => {
      deepest = Math.max(deepest, up.depth);
      if (up.frames.length < 5000) send(lo, PACKET);
    };
    let others = 0;
    const other = (): void => {
      others++;
      if (up.frames.length < 5000) effects.yield(other);
    };
    effects.yield(other);
    send(lo, PACKET);
    sim.run(1);
    expect(up.frames).toHaveLength(5000);
    expect(deepest).toBe(1);
    expect(others).toBeGreaterThan(5);
  });

  it('bounds its queue and counts what it drops', () => {
    const sim = new SimWorld();
    const lo = createLo(sim.effects('lo'), { queueFrames: 10 });
    const up = open(lo);
    for (let i = 0; i < 15; i++) put(lo, PACKET);
    lo.flush();
    sim.settle();
    expect(up.frames).toHaveLength(10);
    expect(up.lost).toEqual({ oqdrops: 5 });
  });

  it('refuses what is too long, and everything while it is down', () => {
    const lo = createLo(new SimWorld().effects('lo'));
    open(lo);
    expect(send(lo, pattern(16384 + 5))).toBe('EMSGSIZE');
    lo.setUp(false);
    expect(send(lo, PACKET)).toBe('ENETDOWN');
  });
});
