// @ts-check
/**
 * `sudo npm run bench:jit`: does V8's optimised code of the packet path last? Boots each stack on a TAP as a user would, warms it up under
 * every load, then repeats the loads. Fails when, while a load runs steadily (its connections stand, none ends but those that the load
 * is about), code of the path is thrown away (`--log-deopt`), or when an optimised function of the path has an inline cache that went
 * megamorphic at any time (`--log-ic`). Options: --stacks, --seconds, --boot, --verbose.
 */
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import readline from 'node:readline';
import { parseArgs } from 'node:util';
import { withStack } from './lib/loads.mjs';
import { BenchError, lock, prepare } from './lib/need.mjs';
import { onPacketPath, parseV8Log } from './lib/v8log.mjs';

const LOADS = ['in', 'out', 'http', 'connect', 'udp', 'echo', 'in1000'];
/** What one pass throws away, the next optimises anew with what was learnt. */
const WARM_PASSES = 4;
/** Names whose sites are megamorphic by design, and why. */
const EXPECTED = {
  readable: 'the end of a connection, once for each: its handler is of as many classes as there are services',
};
/** Of each load's time, what is its beginning and its end; the log's clock starts up to a tenth of a second after ours. */
const BEGIN_MS = 600;
const END_MS = 250;

/** @param {string} file @returns {Promise<string[]>} */
async function interestingLines(file) {
  const lines = [];
  for await (const line of readline.createInterface({ input: createReadStream(file, 'latin1') })) {
    if (line.startsWith('code-') || line.includes('IC,')) lines.push(line);
  }
  return lines;
}

/** @param {string} stack @param {string} boot @param {number} seconds */
async function watch(stack, boot, seconds) {
  const folder = mkdtempSync(join(tmpdir(), 'netmod-jit-'));
  const log = join(folder, 'v8.log');
  const nodeOptions = ['--log-deopt', '--log-ic', '--log-code', '--no-logfile-per-isolate', `--logfile=${log}`];
  try {
    const windows = await withStack({ boot, stack, nodeOptions }, async ({ load, startedAt }) => {
      for (let pass = 0; pass < WARM_PASSES; pass++) for (const name of LOADS) await load(name, 1);
      /** @type {[number, number][]} */
      const steady = [];
      for (const name of LOADS) {
        const from = performance.now() - startedAt;
        await load(name, seconds);
        steady.push([from + BEGIN_MS, performance.now() - startedAt - END_MS]);
      }
      return steady;
    });
    const { deopts, megamorphic } = parseV8Log(await interestingLines(log), dirname(boot));
    const isSteady = (/** @type {number} */ us) => windows.some(([from = 0, to = 0]) => us >= from * 1000 && us <= to * 1000);
    return {
      other: deopts.filter(({ us }) => !isSteady(us)),
      steady: deopts.filter(({ us }) => isSteady(us)),
      megamorphic,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        stacks: { type: 'string', default: 'inet,alt' },
        seconds: { type: 'string', default: '3' },
        boot: { type: 'string' },
        verbose: { type: 'boolean', default: false },
      },
    });
    return {
      stacks: values.stacks.split(','),
      seconds: Number(values.seconds),
      boot: values.boot ?? null,
      verbose: values.verbose,
    };
  } catch (error) {
    process.stderr.write(`bench:jit: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}

const { stacks, seconds, boot: wanted, verbose } = options();
try {
  await lock();
  const { boot } = prepare({ boot: wanted, gvisor: false });
  for (const stack of stacks) {
    const { other, steady, megamorphic } = await watch(stack, boot, seconds);
    const path = steady.filter(({ file }) => onPacketPath(file));
    const hot = megamorphic.filter((site) => site.hot && onPacketPath(site.file) && !(site.key in EXPECTED));
    process.stdout.write(
      `${stack}: ${path.length} deoptimisations on the packet path under steady load (${other.length} before and between), `,
    );
    process.stdout.write(`${hot.length} megamorphic sites in optimised functions of the path\n`);
    for (const { file, line, kind, reason } of path)
      process.stdout.write(`  deoptimised  ${file}:${line}  ${reason} (${kind})\n`);
    for (const { file, line, fn, ic, key } of hot) process.stdout.write(`  megamorphic  ${file}:${line}  ${fn}  ${ic} ${key}\n`);
    for (const [key, why] of Object.entries(EXPECTED)) {
      if (megamorphic.some((site) => site.hot && site.key === key)) process.stdout.write(`  expected     ${key}: ${why}\n`);
    }
    if (verbose) for (const { file, line, reason } of other) process.stdout.write(`  seen         ${file}:${line}  ${reason}\n`);
    if (path.length + hot.length > 0) process.exitCode = 1;
  }
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  process.stderr.write(`bench:jit: ${error.message}\n`);
  process.exitCode = 1;
}
