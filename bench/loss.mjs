// @ts-check
/**
 * `sudo node bench/loss.mjs`: how much a stack carries through random loss, beside the kernel's own TCP with CUBIC and SACK on the same
 * kind of link (`c/relay.c` between a client's namespace and a TAP, or a veth; no offloads on either). The stack sends, unless --in.
 * For each cell the runs of kernel and stacks alternate; the table has the ratio of their medians. Needs root, iproute2, ethtool, cc.
 *
 *   --loss=0.1,1,3,5   percent, both ways          --rtt=1,20,100   milliseconds
 *   --stacks=inet,alt  --runs=3  --seconds=5  --warm=2  --cc=cubic
 *   --in               the stack receives          --boot=dist/boot.js
 *   --set=NAME=VALUE   a tunable of the stack; may be repeated
 *   --json=FILE        every run as well           --min=R  exit status 1 if a ratio of inet is below R
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LossNet, TARGET, buildPeers, median } from './lib/lossnet.mjs';

const { values } = parseArgs({
  options: {
    loss: { type: 'string', default: '0.1,1,3,5' },
    rtt: { type: 'string', default: '1,20,100' },
    stacks: { type: 'string', default: 'inet,alt' },
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    warm: { type: 'string', default: '2' },
    cc: { type: 'string', default: 'cubic' },
    in: { type: 'boolean', default: false },
    boot: { type: 'string', default: join(import.meta.dirname, '../dist/boot.js') },
    set: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    min: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  const head = readFileSync(import.meta.filename, 'utf8');
  console.log(head.slice(head.indexOf('/**') + 4, head.indexOf(' */')).replaceAll(/^ \* ?/gm, ''));
  process.exit(0);
}

const list = (/** @type {string} */ text) => text.split(',').filter((item) => item !== '');
const stacks = list(values.stacks);
const targets = ['kernel', ...stacks];
const runs = Number(values.runs);
const built = buildPeers();
/** @type {LossNet | null} */
let open = null;
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void open?.close().finally(() => process.exit(130)));

/** @param {string} target @param {string} loss @param {string} rtt @param {number} seed */
async function run(target, loss, rtt, seed) {
  open = new LossNet(built);
  try {
    const impair = [`loss=${loss}`, `delay=${Number(rtt) / 2}`, `seed=${seed}`];
    const { client } = await open.open({ target, cc: values.cc, impair, boot: values.boot, set: values.set });
    const args = [values.in ? 'send' : 'receive', TARGET, values.seconds, values.warm];
    return await open.measure(client, values.in ? [...args, values.cc] : args);
  } finally {
    await open.close();
    open = null;
  }
}

const mbit = (/** @type {number} */ bits) => (bits / 1e6).toFixed(bits < 1e7 ? 2 : 0);
/** @type {object[]} */
const records = [];
let least = Infinity;
console.log(`| loss % | RTT ms | kernel Mbit/s |${stacks.map((s) => ` ${s} Mbit/s | ${s} ratio |`).join('')}`);
console.log(`|---|---|---|${stacks.map(() => '---|---|').join('')}`);
for (const rtt of list(values.rtt)) {
  for (const loss of list(values.loss)) {
    /** @type {Record<string, number[]>} */
    const got = Object.fromEntries(targets.map((name) => [name, []]));
    for (let i = 0; i < runs; i++) {
      for (const target of targets) {
        const bits = await run(target, loss, rtt, i + 1);
        got[target]?.push(bits);
        records.push({ target, loss: Number(loss), rtt: Number(rtt), run: i, bits });
      }
    }
    const kernel = median(got['kernel'] ?? []);
    const cells = stacks.map((name) => {
      const own = median(got[name] ?? []);
      if (name === 'inet') least = Math.min(least, own / kernel);
      return ` ${mbit(own)} | ${(own / kernel).toFixed(2)} |`;
    });
    console.log(`| ${loss} | ${rtt} | ${mbit(kernel)} |${cells.join('')}`);
  }
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(records, null, 1)}\n`);
if (least < Number(values.min)) process.exitCode = 1;
