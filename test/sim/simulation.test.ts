/** The simulator itself: what is the same for the same seed, what its cables do, what it says when something is wrong. */
import { describe, expect, it } from 'vitest';
import { soclose } from '../../src/kern/socket/calls.ts';
import { Simulation } from '../../src/sim/index.ts';
import { End, accept, connect, connected, listen } from './flows.ts';
import { PAIRS, type Stacks, transfer } from './scenarios.ts';

const BAD = { delayMs: 10, jitterMs: 2, lossPercent: 3, lossBurst: 2, reorderPercent: 5, duplicatePercent: 2, corruptPercent: 1 };

/** All frames of a transfer, as one hash. */
function fingerprint(seed: number, stacks: Stacks): string {
  const sim = new Simulation({ seed, fingerprint: true });
  const [a, b] = [sim.host('a', { stack: stacks[0] }), sim.host('b', { stack: stacks[1] })];
  sim.link(a, b, { ...BAD, rateBps: 10e6 });
  const listener = listen(b, 80);
  const [client, server] = connected(sim, a, b, listener, 80);
  const ends = [new End(sim, client, { out: 1, in: 2, bytes: 50_000 }), new End(sim, server, { out: 2, in: 1, bytes: 80_000 })];
  const done = sim.runUntil(() => {
    for (const end of ends) end.step();
    return ends.every((end) => end.finished);
  }, 600_000);
  expect(done).toBe(true);
  for (const end of ends) end.close();
  sim.run(120_000);
  return sim.fingerprint();
}

describe('determinism', () => {
  it.each(PAIRS)('%s-%s: the same seed is the same run, frame by frame, and another one is not', (...stacks) => {
    const [first, second, other] = [fingerprint(7, stacks), fingerprint(7, stacks), fingerprint(8, stacks)];
    expect(second).toBe(first);
    expect(other).not.toBe(first);
  });

  it('what the test draws from `random`, and who looks, changes nothing', () => {
    const run = (look: boolean): string => {
      const sim = new Simulation({ seed: 3, fingerprint: true });
      const [a, b] = [sim.host('a'), sim.host('b')];
      sim.link(a, b, BAD);
      if (look) {
        a.capture();
        sim.random.u32();
      }
      connected(sim, a, b, listen(b, 80), 80);
      return sim.fingerprint();
    };
    expect(run(true)).toBe(run(false));
  });

  it('says so when no fingerprint was asked for', () => {
    expect(() => new Simulation().fingerprint()).toThrow(/fingerprint: true/);
  });
});

describe('hosts and cables', () => {
  it('gives addresses in order, a subnet for each link and network', () => {
    const sim = new Simulation();
    const [a, b, c] = [sim.host('a'), sim.host('b'), sim.host('c')];
    expect(() => a.address).toThrow(/not plugged in/);
    sim.link(a, b);
    sim.link(b, c);
    const lan = sim.network({ prefix: '192.168.4.0/22' });
    lan.join(a);
    lan.join(c, { address: '192.168.7.254/22' });
    lan.extend().join(b);
    expect(a.addresses).toEqual(['10.0.0.1', '192.168.4.1']);
    expect(b.addresses).toEqual(['10.0.0.2', '10.0.1.1', '192.168.4.2']);
    expect(c.addresses).toEqual(['10.0.1.2', '192.168.7.254']);
    expect(b.interfaces().map((ifp) => ifp.name())).toEqual(['sim0', 'sim1', 'sim2']);
  });

  it.each([
    ['a host twice', (sim: Simulation) => (sim.host('a'), sim.host('a')), /already/],
    ['a host named like an address', (sim: Simulation) => sim.host('10.0.0.1'), /not a name/],
    ['a prefix that is none', (sim: Simulation) => sim.network({ prefix: '10.0.0.0' }), /not a usable prefix/],
    [
      'too many hosts',
      (sim: Simulation) => [0, 1, 2].map((n) => sim.network({ prefix: '10.9.0.0/30' }).join(sim.host(`h${n}`))),
      null,
    ],
    ['an address without a prefix', (sim: Simulation) => sim.network().join(sim.host('a'), { address: '10.0.0.1' }), /prefix/],
    [
      'more hosts than a prefix holds',
      (sim: Simulation) => {
        const lan = sim.network({ prefix: '10.9.0.0/30' });
        for (const name of ['a', 'b', 'c']) lan.join(sim.host(name));
      },
      /no address left/,
    ],
    [
      'a direction of a cable from a place that is not at it',
      (sim: Simulation) => sim.link(sim.host('a'), sim.host('b')).cut(sim.host('c')),
      /not at an end/,
    ],
  ])('refuses %s', (_what, make, message) => {
    const attempt = (): unknown => make(new Simulation());
    if (message === null) expect(attempt).not.toThrow();
    else expect(attempt).toThrow(message);
  });

  it('takes as long as delay and rate say', () => {
    const sim = new Simulation();
    const [a, b] = [sim.host('a'), sim.host('b')];
    const cable = sim.link(a, b, { delayMs: 30 });
    connected(sim, a, b, listen(b, 80), 80);
    // The announcement of the other's address, SYN there and back, ACK there.
    expect(sim.nowMs()).toBe(120);
    cable.configure({ delayMs: 200 }, b);
    const from = sim.nowMs();
    connected(sim, a, b, listen(b, 81), 81);
    expect(sim.nowMs() - from).toBe(260);
  });

  it('cuts and heals one direction or both, and keeps the conditions', () => {
    const sim = new Simulation();
    const [a, b] = [sim.host('a'), sim.host('b')];
    const cable = sim.link(a, b, { delayMs: 1 });
    const listener = listen(b, 80);
    connected(sim, a, b, listener, 80);
    cable.cut(b).configure({ delayMs: 5 });
    const client = connect(a, b, 80);
    sim.run(900);
    expect(cable.counters(b).lost).toBeGreaterThan(0);
    expect(cable.counters(a).lost).toBe(0);
    expect(accept(listener)).toBeNull();
    cable.heal();
    sim.run(3000);
    expect(accept(listener)).not.toBeNull();
    soclose(client);
  });

  it('an hour of idle takes no time to speak of', () => {
    const sim = new Simulation();
    const [a, b] = [sim.host('a'), sim.host('b', { stack: 'alt' })];
    sim.link(a, b, { delayMs: 1 });
    connected(sim, a, b, listen(b, 80), 80);
    let events = 0;
    const from = sim.nowMs();
    while (sim.nowMs() - from < 3_600_000 && sim.world.step()) events++;
    expect(events).toBeLessThan(20_000);
  });
});

describe('captures', () => {
  it('are pcapng with every frame of the interface, begun and ended at any time', () => {
    const sim = new Simulation();
    const [a, b] = [sim.host('a'), sim.host('b')];
    sim.link(a, b, { delayMs: 1 });
    const capture = a.capture();
    connected(sim, a, b, listen(b, 80), 80);
    const frames = capture.stop().frames;
    connected(sim, a, b, listen(b, 81), 81);
    expect(capture.frames).toBe(frames);
    const { counters } = a.interfaces()[0]!;
    expect(frames).toBeLessThan(counters.ipackets + counters.opackets);
    expect(enhancedPackets(capture.bytes())).toBe(frames);
  });

  it('stop at their limit and count what is missing', () => {
    const sim = new Simulation();
    const [a, b] = [sim.host('a'), sim.host('b')];
    sim.link(a, b, { delayMs: 1 });
    const capture = a.capture({ limitBytes: 500 });
    connected(sim, a, b, listen(b, 80), 80);
    expect(capture.bytes().length).toBeLessThanOrEqual(500);
    expect(capture.lost).toBeGreaterThan(0);
    expect(() => sim.host('c').capture()).toThrow(/no such interface/);
  });
});

/** Blocks of type 6 of a pcapng file whose lengths all fit. */
function enhancedPackets(file: Uint8Array): number {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let packets = 0;
  let at = 0;
  while (at < file.length) {
    const len = view.getUint32(at + 4, true);
    expect(view.getUint32(at + len - 4, true)).toBe(len);
    if (view.getUint32(at, true) === 6) packets++;
    at += len;
  }
  expect(at).toBe(file.length);
  return packets;
}

describe('leftovers', () => {
  it('names what is left, and nothing once it is gone', () => {
    const { sim, left } = transfer(1, { stacks: ['inet', 'alt'], cable: BAD, bytes: [10_000, 10_000] });
    expect(left).toEqual([]);
    const [a, b] = sim.hosts();
    for (const cable of sim.cables()) cable.heal();
    const listener = listen(b!, 90);
    const [client, server] = connected(sim, a!, b!, listener, 90);
    new End(sim, client, { out: 1, in: 2, bytes: 100_000 }).step();
    const lines = sim.leftovers().join('\n');
    expect(lines).toMatch(/^a: 1 sockets$/m);
    expect(lines).toMatch(/^b: 2 sockets$/m);
    expect(lines).toMatch(/^a: \d+ bytes of socket buffers$/m);
    expect(lines).toMatch(/^a: 1 connections or more with something in flight$/m);
    expect(lines).toMatch(/^a: [1-9]\d* timers$/m);
    expect(lines).toMatch(/^a: 1 connections and listeners of TCP$/m);
    expect(lines).toMatch(/^b: 2 connections and listeners of TCP$/m);
    for (const so of [client, server, listener]) soclose(so);
  });
});
