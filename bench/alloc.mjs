// @ts-check
/**
 * `node bench/alloc.mjs [--stack=inet|alt] [--packets=1000000]`: bytes allocated per packet in the steady state, TCP echo over 64 connections and
 * UDP echo, without a device. The heap is read before and after stretches of packets; a stretch in which the collector ran is left
 * out and counted. What reading it costs is measured the same way and taken off. Set BENCH_DIST for another build.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { EchoPeers, RawHost } from './lib/rawhost.mjs';
import { median } from './lib/stats.mjs';

// Known before the stack's code is loaded and run: a large nursery, so that stretches pass without a collection.
setFlagsFromString('--semi-space-growth-factor=4');
const { values } = parseArgs({ options: { stack: { type: 'string' }, packets: { type: 'string', default: '1000000' } } });
const packets = Number(values.packets);
const STRETCH = 6400;

/** Median bytes per packet over all stretches, and how many of them a collection spoiled. @param {(n: number) => void} run @param {number} stretches */
function measure(run, stretches) {
  const bytes = [];
  let spoiled = 0;
  for (let k = 0; k < stretches; k++) {
    const before = process.memoryUsage().heapUsed;
    run(STRETCH);
    const grown = process.memoryUsage().heapUsed - before;
    if (grown < 0) spoiled++;
    else bytes.push(grown);
  }
  return { bytes: median(bytes), spoiled };
}

/** @param {string} what @param {(n: number) => void} run */
function report(what, run) {
  const stretches = Math.ceil(packets / STRETCH);
  // Once to warm up.
  measure(run, stretches);
  const empty = measure(() => undefined, stretches);
  const full = measure(run, stretches);
  const each = Math.max(0, full.bytes - empty.bytes) / STRETCH;
  console.log(
    `${what.padEnd(10)} ${each.toFixed(2)} bytes per packet (${stretches} stretches of ${STRETCH}, ${full.spoiled} with a collection)`,
  );
  return each;
}

for (const stack of values.stack === undefined ? ['inet', 'alt'] : [values.stack]) {
  const peers = new EchoPeers(new RawHost(stack), 64, 64);
  // A packet is one that comes or one that goes.
  report(`${stack} tcp`, (n) => peers.run(n / 64, 32));
  const host = new RawHost(stack);
  host.neighbour(0x0a000100);
  report(`${stack} udp`, (n) => {
    for (let b = 0; b < n / 64; b++) {
      host.up.begin();
      for (let k = 0; k < 32; k++) host.udp(0x0a000100, 10_000, 64);
      host.up.end();
    }
  });
}
