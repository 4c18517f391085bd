// @ts-check
/**
 * `sudo npm run bench:profile`: where the time of a packet goes. Boots a stack under Node's CPU profiler, loads it, and writes a flame graph
 * as SVG for each stack and load. Options: --stacks=inet,alt, --loads=in,out,http,... , --seconds=4, --out=FOLDER (docs/performance),
 * --boot=FILE.
 */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { flameSvg, foldProfile, shares } from './lib/flame.mjs';
import { LOADS, withStack } from './lib/loads.mjs';
import { BenchError, ROOT, lock, prepare } from './lib/need.mjs';
import { STACKS } from './lib/options.mjs';

/** Between two samples, in microseconds. */
const INTERVAL_US = 200;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        stacks: { type: 'string', default: STACKS.join(',') },
        loads: { type: 'string', default: 'in,http' },
        seconds: { type: 'string', default: '4' },
        out: { type: 'string', default: join(ROOT, 'docs/performance') },
        boot: { type: 'string' },
      },
    });
    const loads = values.loads.split(',');
    const strange = loads.find((name) => !(name in LOADS));
    if (strange !== undefined) throw new Error(`--loads: unknown '${strange}'; there are ${Object.keys(LOADS).join(' ')}`);
    return {
      stacks: values.stacks.split(','),
      loads,
      seconds: Number(values.seconds),
      out: values.out,
      boot: values.boot ?? null,
    };
  } catch (error) {
    process.stderr.write(`bench:profile: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

/** @param {string} boot @param {string} stack @param {string} load @param {number} seconds */
async function profile(boot, stack, load, seconds) {
  const folder = mkdtempSync(join(tmpdir(), 'netmod-profile-'));
  try {
    const nodeOptions = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`];
    await withStack({ boot, stack, nodeOptions }, (loaded) => loaded.load(load, seconds));
    const [file] = readdirSync(folder);
    if (file === undefined) throw new BenchError(`${stack}: Node wrote no profile`);
    return foldProfile(JSON.parse(readFileSync(join(folder, file), 'utf8')));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const { stacks, loads, seconds, out, boot: wanted } = options();
try {
  await lock();
  const { boot } = prepare({ boot: wanted, gvisor: false });
  mkdirSync(out, { recursive: true });
  for (const stack of stacks) {
    for (const load of loads) {
      const root = await profile(boot, stack, load, seconds);
      const file = join(out, `${stack}-${load}.svg`);
      writeFileSync(file, flameSvg(root, `${stack}: ${LOADS[load]?.what ?? load}`));
      const parts = shares(root).map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`);
      process.stdout.write(`${file}: ${parts.join(', ')}\n`);
    }
  }
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  process.stderr.write(`bench:profile: ${error.message}\n`);
  process.exitCode = 1;
}
