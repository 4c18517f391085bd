// @ts-check
/**
 * `node bench/instructions.mjs [--stack=inet|alt] [--load=echo,hello,udp,connect]`: how many instructions the processor executes for a request and
 * its answer (echo, hello: 64 and 36 bytes; udp: a datagram of 64), or for a short connection (connect), in the stack, the socket layer, the
 * service and the bench's own peer, without a device. Counted by valgrind, with the compiler on the same thread: the figure does
 * not depend on how busy the machine is. The difference of a long and a short run, so that start and compiler drop out. A minute
 * each. Set BENCH_DIST for another build.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    stack: { type: 'string', default: 'inet,alt' },
    load: { type: 'string', default: 'echo,hello,udp,connect' },
    run: { type: 'string' },
  },
});
const BATCH = 32;
const WARM_UP = 120_000;
const COUNTED = 60_000;
/** As boot.js has V8 inline (src/boot/v8.ts). */
const V8 = ['--max-inlined-bytecode-size=1840', '--max-inlined-bytecode-size-cumulative=3680', '--single-threaded'];
const CONNS = 32;
/** What Linux offers in a SYN beside timestamps. */
const SACK_PERMITTED = 0x0402080a;
const FROM = 0x0a000100;

/** What a load does for `n` requests. @param {string} stack @param {string} load @returns {Promise<(n: number) => void>} */
async function prepare(stack, load) {
  const { EchoPeers, HelloPeers, RawHost, ShortPeers } = await import('./lib/rawhost.mjs');
  const host = new RawHost(stack);
  host.synOption = SACK_PERMITTED;
  const pass = () => host.world.run(1);
  if (load === 'udp') {
    host.neighbour(FROM);
    return (n) => {
      for (let k = 0; k < n; k += BATCH) {
        if (k % 3200 === 0) pass();
        host.up.begin();
        for (let i = 0; i < BATCH; i++) host.udp(FROM, 10_000, 64);
        host.up.end();
      }
    };
  }
  if (load === 'connect') {
    const peers = new ShortPeers(host, 8);
    return (n) => {
      for (let k = 0; k < n; k += 80) {
        host.world.run(20);
        peers.run(10);
      }
    };
  }
  const peers = load === 'hello' ? new HelloPeers(host, CONNS) : new EchoPeers(host, CONNS, 64);
  return (n) => {
    for (let k = 0; k < n; k += 100 * BATCH) {
      pass();
      peers.run(100, BATCH);
    }
  };
}

/** The child: warms up, then does so many requests. @param {string} what `stack load n` */
async function child(what) {
  const [stack = '', load = '', n = '0'] = what.split(' ');
  const run = await prepare(stack, load);
  const share = load === 'connect' ? 4 : 1;
  for (let k = 0; k < WARM_UP / share; k += 4000) {
    run(4000);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  run(Number(n) / share);
}

/** @param {string} stack @param {string} load @param {number} n @returns {Promise<number>} */
function count(stack, load, n) {
  const argv = [
    '--tool=cachegrind',
    '--cache-sim=no',
    '--cachegrind-out-file=/dev/null',
    '--smc-check=all-non-file',
    process.execPath,
    ...V8,
  ];
  const valgrind = spawn('valgrind', [...argv, fileURLToPath(import.meta.url), `--run=${stack} ${load} ${n}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  valgrind.stderr.on('data', (chunk) => (text += chunk));
  return new Promise((resolve, reject) => {
    valgrind.once('error', () => reject(new Error('valgrind is needed: apt-get install valgrind')));
    valgrind.once('close', () => {
      const refs = /I\s+refs:\s+([\d,]+)/.exec(text)?.[1];
      if (refs === undefined) reject(new Error(text.slice(-300)));
      else resolve(Number(refs.replaceAll(',', '')));
    });
  });
}

/** @param {string} option @param {string} text @param {readonly string[]} known */
function list(option, text, known) {
  const names = text.split(',');
  const strange = names.find((name) => !known.includes(name));
  if (strange === undefined) return names;
  process.stderr.write(`instructions: --${option}: unknown '${strange}'; there are ${known.join(' ')}\n`);
  process.exit(2);
}

if (values.run !== undefined) {
  await child(values.run);
} else {
  const stacks = list('stack', values.stack, ['inet', 'alt']);
  for (const load of list('load', values.load, ['echo', 'hello', 'udp', 'connect'])) {
    for (const stack of stacks) {
      const [none, some] = await Promise.all([count(stack, load, 0), count(stack, load, COUNTED)]);
      const each = (some - none) / (load === 'connect' ? COUNTED / 4 : COUNTED);
      console.log(`${load.padEnd(8)} ${stack.padEnd(5)} ${each.toFixed(0)} instructions`);
    }
  }
}
