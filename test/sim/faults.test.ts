/** Single faults, each shown to have happened: checksums that catch, duplicates, closed windows, dead peers, holes in the path. */
import { describe, expect, it } from 'vitest';
import { isErrno } from '../../src/kern/errno.ts';
import { soclose } from '../../src/kern/socket/calls.ts';
import type { CableOptions } from '../../src/sim/cable.ts';
import { Simulation } from '../../src/sim/simulation.ts';
import { End, connected, leftAfterAll, listen } from './flows.ts';
import { PAIRS, transfer } from './scenarios.ts';

/** Sum of counters of both hosts. */
function count(sim: Simulation, group: string, ...names: string[]): number {
  return sim
    .hosts()
    .reduce((sum, { kernel }) => sum + names.reduce((n, name) => n + (kernel.counters.get(group, name) ?? 0), 0), 0);
}

/** Does a stack look for black holes (RFC 4821, 8899)? */
function finds(stack: 'inet' | 'alt'): boolean {
  return !isErrno(new Simulation().host('a', { stack }).kernel.sysctl.read('net.inet.tcp.pmtud_blackhole_detection'));
}

describe.each(PAIRS)('%s to %s', (...stacks) => {
  const run = (cable: CableOptions, more: Partial<Parameters<typeof transfer>[1]> = {}) => {
    const outcome = transfer(1, { stacks, cable: { delayMs: 10, ...cable }, bytes: [300_000, 300_000], ...more });
    expect(outcome.left).toEqual([]);
    return outcome;
  };

  it('corruption: checksums of IP and TCP catch all of it', () => {
    const { sim } = run({ corruptPercent: 5 });
    const corrupted = sim.hosts().reduce((sum, host) => sum + sim.cables()[0]!.counters(host).corrupted, 0);
    expect(corrupted).toBeGreaterThan(10);
    expect(count(sim, 'tcp', 'rcvbadsum')).toBeGreaterThan(5);
    // What the IP header's checksum caught, and ARP that never came, are the rest.
    expect(count(sim, 'tcp', 'rcvbadsum')).toBeLessThanOrEqual(corrupted);
  });

  it('duplication: nothing is delivered twice', () => {
    const { sim } = run({ duplicatePercent: 30 });
    expect(count(sim, 'tcp', 'rcvduppack')).toBeGreaterThan(50);
  });

  it('reordering: bytes come in order', () => {
    const { sim } = run({ reorderPercent: 30, reorderMs: 15, rateBps: 20e6 });
    expect(count(sim, 'tcp', 'rcvoopack')).toBeGreaterThan(20);
  });

  it('a window that stays closed for minutes', () => {
    const { sim, ms } = run(
      { lossPercent: 5 },
      { bytes: [2_500_000, 1000], readMax: 1_000_000, readPauseMs: 300_000, maxMs: 3_600_000 },
    );
    expect(ms).toBeGreaterThan(600_000);
    expect(count(sim, 'tcp', 'persisttimeo', 'sndprobe')).toBeGreaterThan(3);
  });

  it('a silence of a minute', () => {
    const { ms } = run(
      { rateBps: 2e6 },
      {
        meanwhile: (sim, cable) => {
          sim.setTimeout(() => cable.cut(), 100);
          sim.setTimeout(() => cable.heal(), 60_000);
        },
      },
    );
    expect(ms).toBeGreaterThan(60_000);
    // The longest gap between two tries doubles: what healed is found within as long again.
    expect(ms).toBeLessThan(150_000);
  });

  it('a peer that is gone for good: an error, and nothing is left', () => {
    const sim = new Simulation();
    const [a, b] = [sim.host('a', { stack: stacks[0] }), sim.host('b', { stack: stacks[1] })];
    const cable = sim.link(a, b, { delayMs: 10, rateBps: 5e6 });
    const listener = listen(b, 80);
    const [client, server] = connected(sim, a, b, listener, 80);
    const sender = new End(sim, client, { out: 1, in: 2, bytes: 1_000_000 });
    const reader = new End(sim, server, { out: 2, in: 1, bytes: 0 });
    sim.setTimeout(() => cable.cut(), 300);
    const died = sim.runUntil(() => {
      sender.step();
      reader.step();
      return sender.error !== null;
    }, 3_600_000);
    expect(died).toBe(true);
    expect(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN']).toContain(sender.error);
    // The reader has ended its own stream and never hears of the end of the other: its user gives up.
    sender.close();
    reader.close();
    soclose(listener);
    expect(leftAfterAll(sim)).toEqual([]);
  });

  // A stack without this tunable waits for a router's word, and dies where there is none.
  it.runIf(stacks.every((stack) => finds(stack)))(
    'a path that silently swallows long packets, from the start and from now on',
    () => {
      run({ mtu: 1000 });
      run({ rateBps: 10e6 }, { meanwhile: (sim, cable) => void sim.setTimeout(() => cable.configure({ mtu: 1000 }), 100) });
    },
  );

  it('an interface of another MTU at each end of a switch is no matter for TCP', () => {
    const sim = new Simulation();
    const [a, b] = [sim.host('a', { stack: stacks[0] }), sim.host('b', { stack: stacks[1] })];
    const lan = sim.network();
    lan.join(a, { ifMtu: 9000, delayMs: 2, lossPercent: 1 });
    lan.join(b, { ifMtu: 1500, delayMs: 2, lossPercent: 1 });
    const listener = listen(b, 80);
    const [client, server] = connected(sim, a, b, listener, 80);
    const ends = [
      new End(sim, client, { out: 1, in: 2, bytes: 400_000 }),
      new End(sim, server, { out: 2, in: 1, bytes: 400_000 }),
    ];
    const done = sim.runUntil(() => {
      for (const end of ends) end.step();
      return ends.every((end) => end.finished);
    }, 600_000);
    expect([done, ...ends.map((end) => end.got)]).toEqual([true, 400_000, 400_000]);
    for (const end of ends) end.close();
    soclose(listener);
    expect(leftAfterAll(sim)).toEqual([]);
  });
});
