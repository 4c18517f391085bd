/**
 * All scripts with a seed: it decides the stack's keys, and with them initial sequence numbers, ports and timestamps. Two runs of three
 * have the stack's first number just in front of 2^32 or 2^31, and two of three the script's, so that both wrap where a script looks.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { SimRandom } from '../../src/kern/effects/sim.ts';
import type { ModuleSpec } from '../../src/kern/module.ts';
import { type RunOptions, type RunResult, runScript } from '../../src/pkt/run.ts';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';

const ROOT = join(import.meta.dirname, 'scripts');

export const STACKS: readonly (readonly [string, ModuleSpec])[] = [
  ['inet', inet],
  ['alt', alt],
];

export interface ScriptFile {
  readonly name: string;
  /** As a message names it. */
  readonly file: string;
  readonly text: string;
}

export const SCRIPTS: readonly ScriptFile[] = (readdirSync(ROOT, { recursive: true }) as string[])
  .filter((name) => name.endsWith('.pkt'))
  .sort()
  .map((name) => {
    const path = join(ROOT, name);
    return { name, file: relative(process.cwd(), path), text: readFileSync(path, 'utf8') };
  });

/** Where sequence numbers wrap, or their sign as 32-bit integers changes. */
const EDGES = [null, 2 ** 32, 2 ** 31] as const;
/** How far in front of it: so that a handshake crosses it, a segment or two, or a window. */
const BEFORE = [3, 2000, 12_000] as const;
/** A script has few connections, and slabs for thousands take longer than it. */
const SMALL = { 'net.alt.flows': '256' };

/** What a seed says of a run. */
export function vary(seed: number): Pick<RunOptions, 'seed' | 'env' | 'iss' | 'irs'> {
  const random = new SimRandom(seed, 'vary');
  const edge = (n: number): number | null => {
    const at = EDGES[n % EDGES.length] ?? null;
    const before = 1 + random.below(BEFORE[random.below(BEFORE.length)]!);
    return at === null ? null : at - before;
  };
  const [iss, irs] = [edge(seed), edge(Math.floor(seed / EDGES.length))];
  return { seed, env: SMALL, ...(iss === null ? {} : { iss }), ...(irs === null ? {} : { irs }) };
}

export function runVaried(script: ScriptFile, stackName: string, stack: ModuleSpec, seed: number): Promise<RunResult> {
  return runScript(script.file, script.text, { stack, stackName, ...vary(seed) });
}
