/** Congestion told by marks between two kernels: a router that marks instead of dropping, and what each feedback makes of it. */
import { describe, expect, it } from 'vitest';
import { soclose } from '../../src/kern/socket/calls.ts';
import { Simulation } from '../../src/sim/simulation.ts';
import type { TcpInfo } from '../../src/stacks/inet/tcp/info.ts';
import { tcpInfo } from '../../src/stacks/inet/tcp/info.ts';
import type { Tcb } from '../../src/stacks/inet/tcp/tcb.ts';
import { End, connected, leftAfterAll, listen } from './flows.ts';

const PORT = 7;
const BYTES = 4_000_000;

interface Run {
  readonly info: TcpInfo;
  readonly told: TcpInfo;
  readonly marked: number;
  readonly drops: number;
  /** Until the last byte was acknowledged. */
  readonly ms: number;
  readonly stat: (name: string) => number;
  readonly left: string[];
}

/** A stream through a line of 20 Mbit/s whose queue marks from `markFrames` on, and drops at 200. */
function stream(
  enable: readonly [number, number],
  conditions: { markFrames?: number; markPercent?: number; queueFrames?: number },
  seed = 1,
  cc = 'cubic',
): Run {
  const sim = new Simulation({ seed });
  const a = sim.host('a', { env: { 'net.inet.tcp.ecn.enable': String(enable[0]), 'net.inet.tcp.cc.algorithm': cc } });
  const b = sim.host('b', { env: { 'net.inet.tcp.ecn.enable': String(enable[1]) } });
  const cable = sim.link(a, b, { rateBps: 20e6, delayMs: 10, queueFrames: 200, ...conditions });
  const listener = listen(b, PORT);
  const [clientSo, serverSo] = connected(sim, a, b, listener, PORT);
  const client = new End(sim, clientSo, { out: 1, in: 2, bytes: BYTES });
  const server = new End(sim, serverSo, { out: 2, in: 1, bytes: 0 });
  const done = sim.runUntil(() => {
    client.step();
    server.step();
    return server.got === BYTES && sim.nowMs() > 0 && (clientSo.pcb as Tcb).sndUna === (clientSo.pcb as Tcb).sndMax;
  }, 60_000);
  expect(done).toBe(true);
  const ms = sim.nowMs();
  const info = tcpInfo(clientSo.pcb as Tcb);
  const told = tcpInfo(serverSo.pcb as Tcb);
  client.close();
  server.close();
  soclose(listener);
  const { marked, queuefull } = cable.counters(a);
  return {
    info,
    told,
    marked,
    drops: queuefull,
    ms,
    stat: (name) => a.kernel.counters.get('tcp', name) ?? 0,
    left: leftAfterAll(sim),
  };
}

describe('AccECN', () => {
  it('the sender knows of every mark, lowers its window for some, and loses nothing', () => {
    const { info, told, marked, drops, stat, left } = stream([3, 4], { markFrames: 30 });
    expect(info.options).toContain('accecn');
    expect(marked).toBeGreaterThan(20);
    expect([told.received_ce, info.delivered_ce]).toEqual([marked, marked]);
    expect(info.delivered_ce_bytes).toBe(told.received_ce_bytes);
    // The last ACK comes from TIME_WAIT, whose record counts no bytes.
    expect(BYTES - info.delivered_ce_bytes - info.delivered_e0_bytes).toBeLessThan(3 * 1460);
    expect([drops, info.total_retrans, stat('ace_mangled'), stat('ace_ignored')]).toEqual([0, 0, 0, 0]);
    expect(stat('ecn_rcwnd')).toBeGreaterThan(2);
    expect(left).toEqual([]);
  });

  it.each([1, 2, 3, 4, 5])('marks at random, seed %i: every one is told of', (seed) => {
    const { info, marked, left } = stream([3, 3], { markPercent: 5 }, seed);
    expect(marked).toBeGreaterThan(20);
    expect(info.delivered_ce).toBe(marked);
    expect(left).toEqual([]);
  });

  it('where the path marks everything, it is seen through and the line is full', () => {
    const { info, stat } = stream([3, 3], { markPercent: 100 });
    expect(stat('ace_ignored')).toBe(1);
    expect(info.snd_cwnd).toBeGreaterThan(20_000);
  });
});

it.each([
  [[3, 2], 'ecn'],
  [[1, 4], 'ecn'],
] as const)('net.inet.tcp.ecn.enable %j: classic ECN, and nothing is lost', (enable, option) => {
  const { info, marked, drops, left } = stream(enable, { markFrames: 30 });
  expect(info.options).toContain(option);
  expect(marked).toBeGreaterThan(20);
  expect([drops, info.total_retrans]).toEqual([0, 0]);
  expect(left).toEqual([]);
});

it('without ECN nothing is marked, and the queue is full until it drops', () => {
  const { info, marked, drops } = stream([0, 0], { markFrames: 30, queueFrames: 40 });
  expect([info.options.includes('ecn'), marked]).toEqual([false, 0]);
  expect(drops).toBeGreaterThan(0);
});

describe('bbr', () => {
  it.each([
    [[1, 2], 'ecn'],
    [[3, 4], 'accecn'],
  ] as const)('net.inet.tcp.ecn.enable %j: marks lower what is in flight, and the line stays full', (enable, option) => {
    const { info, marked, drops, ms, stat, left } = stream(enable, { markFrames: 30 }, 1, 'bbr');
    expect([info.congestion, info.options.includes(option)]).toEqual(['bbr', true]);
    expect(stat('ecn_rcwnd')).toBeGreaterThan(0);
    // Startup alone overshoots: unanswered, 280 segments are marked.
    expect(marked).toBeLessThan(120);
    expect(ms).toBeLessThan(2000);
    expect([drops, info.total_retrans]).toEqual([0, 0]);
    expect(left).toEqual([]);
  });

  it('where the queue always marks, no more stays in flight than the path holds', () => {
    const { info, ms } = stream([3, 4], { markFrames: 2 }, 1, 'bbr');
    // 20 Mbit/s in 20 ms are 50,000 bytes.
    expect(info.snd_cwnd).toBeLessThan(50_000);
    // Unpaced windows (cubic) take 13 s here.
    expect(ms).toBeLessThan(7000);
  });
});
