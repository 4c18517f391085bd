/**
 * What a soak runs and the suites run a part of: each scenario is a function of a seed, which decides the network, the stacks, the
 * programs and their faults. It throws when something is not as it must be.
 */
import { SimRandom } from '../../src/kern/effects/sim.ts';
import type { CableOptions } from '../../src/sim/cable.ts';
import { Simulation } from '../../src/sim/simulation.ts';
import { soclose } from '../../src/kern/socket/calls.ts';
import { End, connected, leftAfterAll, listen, pick } from './flows.ts';

export type Stacks = readonly ['inet' | 'alt', 'inet' | 'alt'];

export const PAIRS: readonly Stacks[] = [
  ['inet', 'inet'],
  ['alt', 'alt'],
  ['inet', 'alt'],
  ['alt', 'inet'],
];

export interface Scenario {
  readonly name: string;
  run(seed: number, stacks: Stacks): void;
}

/** The longest that a transfer may take, virtual. */
const TRANSFER_MS = 30 * 60_000;
const PORT = 7;

export interface Transfer {
  readonly stacks: Stacks;
  readonly cable: CableOptions;
  readonly bytes: readonly [number, number];
  readonly readMax?: number;
  readonly readPauseMs?: number;
  readonly startMs?: number;
  readonly maxMs?: number;
  /** While it runs: called with the simulation once the connection stands. */
  readonly meanwhile?: (sim: Simulation, cable: ReturnType<Simulation['link']>) => void;
}

export interface Outcome {
  readonly sim: Simulation;
  /** Virtual time from the connection to both ends of stream. */
  readonly ms: number;
  readonly left: string[];
}

/** Streams both ways at once through a bad cable, to both ends of stream, and the quiet after it. */
export function transfer(seed: number, t: Transfer): Outcome {
  const sim = new Simulation({ seed, startMs: t.startMs ?? 0 });
  const a = sim.host('a', { stack: t.stacks[0] });
  const b = sim.host('b', { stack: t.stacks[1] });
  const cable = sim.link(a, b, t.cable);
  const listener = listen(b, PORT);
  const [clientSo, serverSo] = connected(sim, a, b, listener, PORT);
  const slow = {
    ...(t.readMax === undefined ? {} : { readMax: t.readMax }),
    ...(t.readPauseMs === undefined ? {} : { readPauseMs: t.readPauseMs }),
  };
  const client = new End(sim, clientSo, { out: 1, in: 2, bytes: t.bytes[0], ...slow });
  const server = new End(sim, serverSo, { out: 2, in: 1, bytes: t.bytes[1], ...slow });
  const from = sim.nowMs();
  t.meanwhile?.(sim, cable);
  const { maxMs = TRANSFER_MS } = t;
  const done = sim.runUntil(() => {
    client.step();
    server.step();
    return client.finished && server.finished;
  }, maxMs);
  const state = `client sent ${client.sent} got ${client.got}, server sent ${server.sent} got ${server.got}`;
  for (const end of [client, server]) if (end.error !== null) throw new Error(`the connection died of ${end.error}: ${state}`);
  if (!done) throw new Error(`not over within ${maxMs} ms: ${state}`);
  if (client.got !== t.bytes[1] || server.got !== t.bytes[0]) throw new Error(`the streams are cut short: ${state}`);
  const ms = sim.nowMs() - from;
  client.close();
  server.close();
  soclose(listener);
  return { sim, ms, left: leftAfterAll(sim) };
}

function mustBeEmpty(left: readonly string[]): void {
  if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
}

/** loss × round trip × reordering × MTU. Percent and milliseconds. */
const LOSS = [0, 0.5, 2, 5, 10] as const;
const RTT = [0.2, 10, 80, 300] as const;
const REORDER = [0, 2, 20] as const;
const MTU = [296, 576, 1500, 9000] as const;
export const GRID = LOSS.length * RTT.length * REORDER.length * MTU.length;

/** Place `seed % GRID` of the grid; what the grid leaves open is random. */
export function gridCable(seed: number): CableOptions {
  let n = seed % GRID;
  const axis = <T>(values: readonly T[]): T => {
    const value = values[n % values.length]!;
    n = Math.floor(n / values.length);
    return value;
  };
  const [loss, rtt, reorder, mtu] = [axis(LOSS), axis(RTT), axis(REORDER), axis(MTU)];
  const random = new SimRandom(seed, 'grid');
  return {
    ifMtu: mtu,
    offload: random.below(3) === 0,
    lossPercent: loss,
    lossBurst: pick(random, [1, 1, 3]),
    delayMs: rtt / 2,
    jitterMs: pick(random, [0, rtt / 8]),
    reorderPercent: reorder,
    reorderMs: pick(random, [1, rtt / 4, rtt]),
    duplicatePercent: pick(random, [0, 0, 2]),
    corruptPercent: pick(random, [0, 0, 0.5]),
    rateBps: pick(random, [0, 2e6, 50e6]),
    queueFrames: pick(random, [20, 200]),
  };
}

const grid: Scenario = {
  name: 'exact bytes both ways',
  run: (seed, stacks) => {
    const random = new SimRandom(seed, 'bytes');
    const cable = gridCable(seed);
    const most = (cable.lossPercent ?? 0) > 2 || (cable.ifMtu ?? 1500) < 600 ? 40_000 : 150_000;
    const bytes = [random.below(most), random.below(most)] as const;
    // One in eight begins just before the 32-bit milliseconds wrap.
    const startMs = random.below(8) === 0 ? 2 ** 31 - 3000 : 0;
    mustBeEmpty(transfer(seed, { stacks, cable, bytes, startMs }).left);
  },
};

const slow: Scenario = {
  name: 'slow readers and closed windows',
  run: (seed, stacks) => {
    const random = new SimRandom(seed, 'slow');
    mustBeEmpty(
      transfer(seed, {
        stacks,
        cable: { delayMs: pick(random, [1, 25]), lossPercent: pick(random, [0, 3, 10]), duplicatePercent: 1 },
        bytes: [500_000 + random.below(800_000), 500_000],
        readMax: pick(random, [100_000, 300_000]),
        readPauseMs: pick(random, [400, 3000, 20_000]),
      }).left,
    );
  },
};

const partition: Scenario = {
  name: 'partitions that heal',
  run: (seed, stacks) => {
    const random = new SimRandom(seed, 'partition');
    mustBeEmpty(
      transfer(seed, {
        stacks,
        cable: { delayMs: 15, rateBps: 5e6, lossPercent: pick(random, [0, 1]) },
        bytes: [400_000, 300_000],
        meanwhile: (sim, cable) => {
          const [a, b] = sim.hosts();
          let at = random.below(200);
          for (let i = 0; i < 3; i++) {
            const side = pick(random, [undefined, a, b]);
            sim.setTimeout(() => cable.cut(side), at);
            at += 1 + random.below(pick(random, [300, 5000, 40_000]));
            sim.setTimeout(() => cable.heal(), at);
            at += 1 + random.below(2000);
          }
        },
      }).left,
    );
  },
};

const changing: Scenario = {
  name: 'a path that changes all the time',
  run: (seed, stacks) => {
    const random = new SimRandom(seed, 'changing');
    mustBeEmpty(
      transfer(seed, {
        stacks,
        cable: { delayMs: 5, rateBps: 10e6, queueFrames: 60 },
        bytes: [400_000, 200_000],
        meanwhile: (sim, cable) => {
          for (let i = 0, at = 0; i < 40; i++, at += random.below(400)) {
            const change = {
              delayMs: pick(random, [0.1, 5, 60, 250]),
              jitterMs: pick(random, [0, 5]),
              lossPercent: pick(random, [0, 0, 2, 30]),
              lossBurst: pick(random, [1, 4]),
              rateBps: pick(random, [0, 300_000, 10e6, 1e9]),
              queueFrames: pick(random, [5, 60, 1000]),
              reorderPercent: pick(random, [0, 5]),
              corruptPercent: pick(random, [0, 0, 5]),
            };
            sim.setTimeout(() => cable.configure(change), at);
          }
          sim.setTimeout(() => cable.configure({ lossPercent: 1, lossBurst: 1, corruptPercent: 0 }), 20_000);
        },
      }).left,
    );
  },
};

/** When the ends have had enough, whatever the other one does. */
const PATIENCE_MS = 600_000;

const chaos: Scenario = {
  name: 'ends that close, reset and half-close when they like',
  run: (seed, stacks) => {
    const random = new SimRandom(seed, 'chaos');
    const sim = new Simulation({ seed });
    const [a, b] = [sim.host('a', { stack: stacks[0] }), sim.host('b', { stack: stacks[1] })];
    sim.link(a, b, {
      delayMs: pick(random, [0.1, 10, 60]),
      lossPercent: pick(random, [0, 2, 10]),
      reorderPercent: pick(random, [0, 5]),
      rateBps: pick(random, [0, 3e6]),
    });
    const listener = listen(b, PORT);
    const ends: [End, End][] = [];
    const flows = 1 + random.below(6);
    for (let i = 0; i < flows; i++) {
      const [client, server] = connected(sim, a, b, listener, PORT);
      const size = (): number => random.below(pick(random, [100, 20_000, 300_000]));
      ends.push([
        new End(sim, client, { out: 2 * i, in: 2 * i + 1, bytes: size(), writeMax: pick(random, [500, 65536]) }),
        new End(sim, server, {
          out: 2 * i + 1,
          in: 2 * i,
          bytes: size(),
          readMax: 30_000,
          readPauseMs: pick(random, [0, 50, 1000]),
        }),
      ]);
    }
    for (const pair of ends) {
      for (const end of pair) {
        const what = pick(random, ['none', 'close', 'abort', 'shutdown'] as const);
        if (what !== 'none') sim.setTimeout(() => end[what](), random.below(pick(random, [50, 1000, 10_000])));
      }
    }
    const all = ends.flat();
    sim.runUntil(() => {
      for (const end of all) {
        end.step();
        if (end.finished) end.close();
      }
      return all.every((end) => end.so === null);
    }, PATIENCE_MS);
    for (const end of all) end.close();
    soclose(listener);
    mustBeEmpty(leftAfterAll(sim));
  },
};

const many: Scenario = {
  name: 'many connections at once',
  run: (seed, stacks) => {
    const random = new SimRandom(seed, 'many');
    const sim = new Simulation({ seed });
    const [a, b] = [sim.host('a', { stack: stacks[0] }), sim.host('b', { stack: stacks[1] })];
    sim.link(a, b, { delayMs: 10, lossPercent: 2, rateBps: 20e6, queueFrames: 200 });
    const listener = listen(b, PORT);
    const ends: End[] = [];
    for (let i = 0; i < 40; i++) {
      const [client, server] = connected(sim, a, b, listener, PORT);
      ends.push(new End(sim, client, { out: 2 * i, in: 2 * i + 1, bytes: random.below(20_000) }));
      ends.push(new End(sim, server, { out: 2 * i + 1, in: 2 * i, bytes: random.below(20_000) }));
    }
    const done = sim.runUntil(() => {
      for (const end of ends) {
        end.step();
        if (end.finished) end.close();
      }
      return ends.every((end) => end.so === null);
    }, TRANSFER_MS);
    const dead = ends.filter((end) => end.error !== null).map((end) => end.error);
    if (!done || dead.length > 0) throw new Error(`${dead.length} connections died (${dead.join(', ')}); all over: ${done}`);
    soclose(listener);
    mustBeEmpty(leftAfterAll(sim));
  },
};

export const SCENARIOS: readonly Scenario[] = [grid, slow, partition, changing, chaos, many];
