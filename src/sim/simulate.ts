/**
 * Runs a test in a simulation: once for each seed, time driven whenever the test waits, the global timers virtual. What fails says with
 * which seed, and NETMOD_SEED replays it; NETMOD_PCAP names a folder for captures of every host.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Capture } from './capture.ts';
import { DRIVE_MAX_MS, Simulation, type SimulationOptions } from './simulation.ts';
import { catchStrays } from './strays.ts';
import { installGlobals } from './timers.ts';

export interface SimulateOptions extends Omit<SimulationOptions, 'seed' | 'onHost'> {
  /** The first seed. Default 1. */
  readonly seed?: number;
  /** How many seeds, one after the other. Default 1. */
  readonly runs?: number;
  /** Virtual time that one run may take, milliseconds. Default: an hour. */
  readonly maxMs?: number;
  /**
   * Virtual `setTimeout`, `setInterval`, `Date`, `performance.now` and `AbortSignal.timeout` in the place of the global ones, and errors
   * of the process that nobody handles end the simulation. Default true.
   */
  readonly globals?: boolean;
}

export type Scenario<T> = (sim: Simulation) => Promise<T> | T;

/** The variables of the environment, unless handed in. */
export interface SimulateEnv {
  readonly NETMOD_SEED?: string | undefined;
  readonly NETMOD_PCAP?: string | undefined;
}

/** Answers what the scenario does in its last run; rejects with the first failure, which then names its seed. */
export async function simulate<T>(scenario: Scenario<T>): Promise<T>;
export async function simulate<T>(options: SimulateOptions, scenario: Scenario<T>, env?: SimulateEnv): Promise<T>;
export async function simulate<T>(first: SimulateOptions | Scenario<T>, second?: Scenario<T>, env?: SimulateEnv): Promise<T> {
  const [options, scenario] = typeof first === 'function' ? [{}, first] : [first, second];
  if (scenario === undefined) throw new TypeError('simulate: no scenario');
  const { NETMOD_SEED, NETMOD_PCAP } = env ?? process.env;
  const replay = NETMOD_SEED === undefined || NETMOD_SEED === '' ? null : Number(NETMOD_SEED);
  if (replay !== null && !Number.isSafeInteger(replay))
    throw new TypeError(`NETMOD_SEED is not an integer: ${String(NETMOD_SEED)}`);
  const { seed = 1, runs = 1 } = options;
  if (!Number.isSafeInteger(seed) || !(Number.isSafeInteger(runs) && runs >= 1))
    throw new TypeError('simulate: seed and runs are integers');
  const last = replay ?? seed + runs - 1;
  for (let n = replay ?? seed; n < last; n++) await simulateOnce(n, options, scenario, NETMOD_PCAP);
  return simulateOnce(last, options, scenario, NETMOD_PCAP);
}

async function simulateOnce<T>(
  seed: number,
  options: SimulateOptions,
  scenario: Scenario<T>,
  pcapDir: string | undefined,
): Promise<T> {
  const { maxMs = DRIVE_MAX_MS, globals = true, ...rest } = options;
  const captures = new Map<string, Capture>();
  const sim = new Simulation({
    ...rest,
    seed,
    ...(pcapDir === undefined || pcapDir === '' ? {} : { onHost: (host) => void captures.set(host.name, host.capture()) }),
  });
  const restore = globals ? installGlobals(sim.world) : () => undefined;
  const release = globals ? catchStrays((error) => sim.fail(error)) : () => undefined;
  try {
    return await sim.drive((async () => scenario(sim))(), maxMs);
  } catch (error) {
    throw withSeed(error, sim);
  } finally {
    release();
    restore();
    for (const host of sim.hosts()) host.agent.destroy();
    if (pcapDir !== undefined) writeCaptures(pcapDir, seed, captures);
  }
}

function writeCaptures(dir: string, seed: number, captures: ReadonlyMap<string, Capture>): void {
  if (captures.size === 0) return;
  mkdirSync(dir, { recursive: true });
  for (const [name, capture] of captures)
    writeFileSync(join(dir, `${seed}-${name.replace(/[^\w.-]/g, '_')}.pcapng`), capture.bytes());
}

/** The same error, with the seed and the virtual time at the end of its message. */
function withSeed(error: unknown, sim: Simulation): unknown {
  const where = `seed ${sim.seed}, ${sim.nowMs()} ms of virtual time; to replay: NETMOD_SEED=${sim.seed}`;
  if (!(error instanceof Error)) return new Error(`${String(error)}\n(${where})`, { cause: error });
  const message = `${error.message}\n(${where})`;
  const { stack } = error;
  try {
    if (stack !== undefined)
      error.stack = stack.includes(error.message) ? stack.replace(error.message, () => message) : `${message}\n${stack}`;
    error.message = message;
  } catch {
    // A frozen error, or one whose message is an accessor.
    return new Error(message, { cause: error });
  }
  return error;
}
