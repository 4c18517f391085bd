// @ts-check
/**
 * `sudo node bench/fairness.mjs`: a flow of a stack's and one of the kernel's, both with the same congestion control, share a bottleneck
 * (`c/relay.c`: rate, queue, delay); the share of each, run by run, and the ratio of the medians. Needs root, iproute2, ethtool, cc.
 *
 *   --stack=inet  --cc=cubic   --rate=20 (Mbit/s)  --queue=60 (frames)  --rtt=20 (ms)
 *   --runs=3  --seconds=15  --warm=5  --boot=dist/boot.js   --max=R  exit status 1 if the ratio is not within 1/R and R
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LossNet, TARGET, buildPeers, median } from './lib/lossnet.mjs';

const { values } = parseArgs({
  options: {
    stack: { type: 'string', default: 'inet' },
    cc: { type: 'string', default: 'cubic' },
    rate: { type: 'string', default: '20' },
    queue: { type: 'string', default: '60' },
    rtt: { type: 'string', default: '20' },
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '15' },
    warm: { type: 'string', default: '5' },
    boot: { type: 'string', default: join(import.meta.dirname, '../dist/boot.js') },
    max: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  const head = readFileSync(import.meta.filename, 'utf8');
  console.log(head.slice(head.indexOf('/**') + 4, head.indexOf(' */')).replaceAll(/^ \* ?/gm, ''));
  process.exit(0);
}

const built = buildPeers();
/** @type {number[]} */
const ours = [];
/** @type {number[]} */
const theirs = [];
for (let i = 0; i < Number(values.runs); i++) {
  const net = new LossNet(built);
  try {
    const impair = [`rate2=${Number(values.rate) * 1000}`, `rate1=${Number(values.rate) * 1000}`, `limit=${values.queue}`];
    impair.push(`delay=${Number(values.rtt) / 2}`, `seed=${i + 1}`);
    const { client } = await net.openShared({ target: values.stack, cc: values.cc, impair, boot: values.boot });
    const order = i % 2 === 0 ? [TARGET, '10.77.0.3'] : ['10.77.0.3', TARGET];
    const [first, second] = await Promise.all(
      order.map((at) => net.measure(client, ['receive', at, values.seconds, values.warm])),
    );
    const [own, kernel] = i % 2 === 0 ? [first, second] : [second, first];
    ours.push(own ?? 0);
    theirs.push(kernel ?? 0);
    console.log(
      `run ${i + 1}: ${values.stack} ${((own ?? 0) / 1e6).toFixed(2)} Mbit/s, kernel ${((kernel ?? 0) / 1e6).toFixed(2)} Mbit/s`,
    );
  } finally {
    await net.close();
  }
}
const ratio = median(ours) / median(theirs);
console.log(`ratio ${ratio.toFixed(2)}`);
const max = Number(values.max);
if (max > 0 && (ratio > max || ratio < 1 / max)) process.exitCode = 1;
