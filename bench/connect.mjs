// @ts-check
/**
 * `node bench/connect.mjs [--stack=inet|alt]`: what a short connection costs (connect, GET, answer, end: six frames in and three out), eight at the
 * same time, without a device: the stack, the socket layer and `hello`. The least and the middle of many stretches, and the share of the
 * collections. Set BENCH_DIST for another build.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { RawHost, ShortPeers } from './lib/rawhost.mjs';
import { median } from './lib/stats.mjs';

const { values } = parseArgs({ options: { stack: { type: 'string' }, stretches: { type: 'string', default: '50' } } });
const WIDTH = 8;
const ROUNDS = 500;
const WARMUP = 10;

for (const stack of values.stack === undefined ? ['inet', 'alt'] : [values.stack]) {
  const host = new RawHost(stack);
  const peers = new ShortPeers(host, WIDTH);
  let gcMs = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) gcMs += entry.duration;
  });
  observer.observe({ entryTypes: ['gc'] });
  const times = [];
  let spent = 0;
  for (let k = 0; k < WARMUP + Number(values.stretches); k++) {
    host.world.run(20);
    const t0 = process.hrtime.bigint();
    peers.run(ROUNDS);
    const ns = Number(process.hrtime.bigint() - t0);
    // The observer hears of collections between two turns of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (k < WARMUP) {
      gcMs = 0;
      continue;
    }
    times.push(ns / (ROUNDS * WIDTH));
    spent += ns;
  }
  console.log(
    `${stack.padEnd(5)} ns per connection: least ${Math.min(...times).toFixed(0)}, middle ${median(times).toFixed(0)}; collections ${((gcMs * 1e8) / spent).toFixed(1)} %`,
  );
  observer.disconnect();
}
