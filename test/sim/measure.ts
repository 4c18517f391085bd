/** Measurements in simulated time: how much a connection carries, and how connections share a bottleneck. */
import { soclose } from '../../src/kern/socket/calls.ts';
import { soreceive, sosend } from '../../src/kern/socket/sendrecv.ts';
import { isErrno } from '../../src/kern/errno.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { Simulation } from '../../src/sim/simulation.ts';
import { connected, listen } from './flows.ts';
import type { Stacks } from './scenarios.ts';

const CHUNK = new Uint8Array(65536);
const SINK = new Uint8Array(65536);

/** Sends as much as fits. */
function push(so: Socket, left: number): number {
  let sent = 0;
  while (sent < left) {
    const n = sosend(so, CHUNK, 0, Math.min(CHUNK.length, left - sent));
    if (isErrno(n)) {
      if (n === 'EAGAIN') break;
      throw new Error(`send: ${n}`);
    }
    sent += n;
  }
  return sent;
}

/** Receives all there is. */
function drain(so: Socket): number {
  let got = 0;
  for (;;) {
    const n = soreceive(so, SINK, 0, SINK.length, 0);
    if (n === 'EAGAIN') return got;
    if (isErrno(n)) throw new Error(`receive: ${n}`);
    if (n === 0) return got;
    got += n;
  }
}

/** Environment of a host whose TCP uses this congestion control. */
const withCc = (cc: string | undefined): { readonly env?: Readonly<Record<string, string>> } =>
  cc === undefined ? {} : { env: { 'net.inet.tcp.cc.algorithm': cc } };

export interface Path {
  readonly rateBps: number;
  readonly rttMs: number;
  /** Each way. */
  readonly lossPercent: number;
  readonly queueFrames: number;
}

/** Bits per second of `bytes` from one host to another, at most `maxMs`. */
export function goodput(seed: number, stacks: Stacks, path: Path, bytes: number, maxMs: number, cc?: string): number {
  const sim = new Simulation({ seed });
  const [a, b] = [sim.host('a', { stack: stacks[0], ...withCc(cc) }), sim.host('b', { stack: stacks[1] })];
  const { rttMs, ...rest } = path;
  sim.link(a, b, { ...rest, delayMs: rttMs / 2 });
  const listener = listen(b, 80);
  const [client, server] = connected(sim, a, b, listener, 80);
  const from = sim.nowMs();
  let sent = 0;
  let got = 0;
  sim.runUntil(() => {
    sent += push(client, bytes - sent);
    got += drain(server);
    return got === bytes;
  }, maxMs);
  const bps = (got * 8000) / (sim.nowMs() - from);
  for (const so of [client, server, listener]) soclose(so);
  return bps;
}

export interface Shares {
  /** Bytes that each flow carried in the measured time. */
  readonly bytes: readonly number[];
  /** Share of the line's rate that all of them used together. */
  readonly used: number;
}

/** Flows with these stacks, from a host each to a host each, through one trunk; the first seconds do not count. `ccs`: of each sender. */
export function share(
  seed: number,
  flows: readonly Stacks[],
  path: Path,
  warmMs: number,
  measureMs: number,
  ccs: readonly string[] = [],
): Shares {
  const sim = new Simulation({ seed });
  const near = sim.network();
  const far = near.extend({
    rateBps: path.rateBps,
    delayMs: path.rttMs / 2,
    queueFrames: path.queueFrames,
    lossPercent: path.lossPercent,
  });
  const bytes: number[] = [];
  const pairs: [Socket, Socket][] = [];
  for (const [i, stacks] of flows.entries()) {
    const [a, b] = [sim.host(`a${i}`, { stack: stacks[0], ...withCc(ccs[i]) }), sim.host(`b${i}`, { stack: stacks[1] })];
    near.join(a, { rateBps: path.rateBps * 10 });
    far.join(b, { rateBps: path.rateBps * 10 });
    bytes.push(0);
    pairs.push(connected(sim, a, b, listen(b, 80), 80));
  }
  const pump = (): false => {
    for (const [i, [client, server]] of pairs.entries()) {
      push(client, Infinity);
      bytes[i]! += drain(server);
    }
    return false;
  };
  sim.runUntil(pump, warmMs);
  bytes.fill(0);
  sim.runUntil(pump, measureMs);
  const total = bytes.reduce((sum, n) => sum + n, 0);
  return { bytes, used: (total * 8000) / measureMs / path.rateBps };
}

/** Jain's index of fairness: 1 when all have the same, 1/n when one has everything. */
export function jain(shares: readonly number[]): number {
  const sum = shares.reduce((a, x) => a + x, 0);
  return sum ** 2 / (shares.length * shares.reduce((a, x) => a + x ** 2, 0));
}
