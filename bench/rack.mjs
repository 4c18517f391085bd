// @ts-check
/**
 * `node bench/rack.mjs [--runs=7] [--ms=1500] [--len=64]`: what RACK-TLP's bookkeeping costs where nothing is lost. Segments in turn over 64
 * connections to the echo service of one kernel on a link in memory, by the function block `default` and by `classic`, both with
 * `newreno` and with SACK agreed; CPU time for each packet that comes or goes. Each run is a process of its own, the two blocks in turn, so
 * that neither spoils the other's compiled code and both see the same machine. `--len` is at most 524: the peers' SYN names no MSS. Set
 * BENCH_DIST for another build.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    ms: { type: 'string', default: '1500' },
    len: { type: 'string', default: '64' },
    block: { type: 'string' },
  },
});
const CONNS = 64;
const PER_BATCH = 32;
const WARM_MS = 1000;
const SACK_PERMITTED = 0x0402080a;

/** Nanoseconds of CPU for a packet. @param {string} block */
async function measure(block) {
  const { EchoPeers, RawHost } = await import('./lib/rawhost.mjs');
  const host = new RawHost('inet', {
    'net.inet.tcp.functions_default': block,
    'net.inet.tcp.cc.algorithm': 'newreno',
  });
  host.synOption = SACK_PERMITTED;
  const peers = new EchoPeers(host, CONNS, Number(values.len));
  const batches = 200;
  /** @param {number} ms */
  const spin = (ms) => {
    const until = performance.now() + ms;
    let packets = 0;
    const before = process.cpuUsage();
    while (performance.now() < until) {
      peers.run(batches, PER_BATCH);
      packets += batches * PER_BATCH * 2;
    }
    const { user, system } = process.cpuUsage(before);
    return (1000 * (user + system)) / packets;
  };
  spin(WARM_MS);
  return spin(Number(values.ms));
}

if (values.block !== undefined) {
  console.log(await measure(values.block));
} else {
  const { median } = await import('./lib/stats.mjs');
  /** @type {Record<string, number[]>} */
  const ns = { classic: [], default: [] };
  for (let run = 0; run < Number(values.runs); run++) {
    // The first of the pair changes, so that neither always finds the machine as the other left it.
    const order = run % 2 === 0 ? ['classic', 'default'] : ['default', 'classic'];
    for (const block of order) {
      const args = [fileURLToPath(import.meta.url), `--block=${block}`, `--ms=${values.ms}`, `--len=${values.len}`];
      const child = spawnSync(process.execPath, args, { encoding: 'utf8' });
      const figure = Number(child.stdout);
      if (child.status !== 0 || !(figure > 0)) throw new Error(child.stderr);
      ns[block]?.push(figure);
    }
  }
  const [without, with_] = [median(ns['classic'] ?? []), median(ns['default'] ?? [])];
  console.log(
    `classic ${without.toFixed(0)} ns, default ${with_.toFixed(0)} ns per packet: ${(100 * (with_ / without - 1)).toFixed(1)} %`,
  );
  for (const block of ['classic', 'default'])
    console.log(`${block.padEnd(8)} ${(ns[block] ?? []).map((v) => v.toFixed(0)).join(' ')}`);
}
