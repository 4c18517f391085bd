/** Ethernets of many hosts: the switch learns, trunks lead to further ones, and a station may move. */
import { describe, expect, it } from 'vitest';
import { soclose } from '../../src/kern/socket/calls.ts';
import { type SimHost, Simulation } from '../../src/sim/index.ts';
import { End, connected, leftAfterAll, listen } from './flows.ts';

describe('a network', () => {
  it('carries everybody to everybody, and frames go only where they must', () => {
    const sim = new Simulation({ seed: 2 });
    const lan = sim.network();
    const far = lan.extend({ delayMs: 5, lossPercent: 1 });
    const farther = far.extend({ delayMs: 5 });
    const hosts = ['a', 'b', 'c', 'd', 'e', 'f'].map((name, i) => {
      const host = sim.host(name, { stack: i % 2 === 0 ? 'inet' : 'alt' });
      [lan, far, farther][i % 3]!.join(host, { delayMs: 0.1 });
      return host;
    });
    const listeners = new Map(hosts.map((host) => [host, listen(host, 80)]));
    const ends: End[] = [];
    let stream = 0;
    const talk = (a: SimHost, b: SimHost): void => {
      const [client, server] = connected(sim, a, b, listeners.get(b)!, 80);
      ends.push(new End(sim, client, { out: stream, in: stream + 1, bytes: 20_000 }));
      ends.push(new End(sim, server, { out: stream + 1, in: stream, bytes: 30_000 }));
      stream += 2;
    };
    for (const a of hosts) for (const b of hosts) if (a !== b) talk(a, b);
    const done = sim.runUntil(() => {
      for (const end of ends) end.step();
      return ends.every((end) => end.finished);
    }, 600_000);
    expect(done).toBe(true);
    expect(ends.map((end) => end.got)).toEqual(ends.map((_, i) => (i % 2 === 0 ? 30_000 : 20_000)));
    for (const end of ends) end.close();
    for (const listener of listeners.values()) soclose(listener);
    // Only ARP went everywhere.
    for (const { counters } of [lan, far, farther]) {
      expect(counters.forwarded).toBeGreaterThan(500);
      expect(counters.flooded).toBeLessThan(60);
      expect([counters.runts, counters.noslot, counters.refused]).toEqual([0, 0, 0]);
    }
    expect(leftAfterAll(sim)).toEqual([]);
  });

  it('has its bottleneck where the rate is low: in the trunk, with the queue that was asked for', () => {
    const sim = new Simulation();
    const near = sim.network();
    const far = near.extend({ rateBps: 1e6, delayMs: 10, queueFrames: 10 });
    const [a, b] = [sim.host('a'), sim.host('b')];
    const access = near.join(a, { rateBps: 100e6 });
    far.join(b, { rateBps: 100e6 });
    const listener = listen(b, 80);
    const [client, server] = connected(sim, a, b, listener, 80);
    const sender = new End(sim, client, { out: 1, in: 2, bytes: 500_000 });
    const reader = new End(sim, server, { out: 2, in: 1, bytes: 0 });
    const from = sim.nowMs();
    sim.runUntil(() => {
      sender.step();
      reader.step();
      return reader.eof;
    }, 60_000);
    expect(reader.got).toBe(500_000);
    // 4 s at the line's rate, and what recovery from a queue of ten costs.
    expect(sim.nowMs() - from).toBeGreaterThan(4000);
    expect(sim.nowMs() - from).toBeLessThan(8000);
    expect(far.trunk!.counters(near).queuefull).toBeGreaterThan(0);
    expect(access.counters(a).queuefull).toBe(0);
  });
});
