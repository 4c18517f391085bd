// @ts-check
/**
 * `node bench/scale.mjs [--stack=inet|alt] [--max=10000]`: what a segment costs, in and its answer out, over 1 to 10,000 connections in random
 * order: demultiplexing, the state's cache misses and the timers, without a device. All sizes stand at the same time and are measured in turns;
 * the medians are printed with their ratio to a batch's worth of connections. The last figure is that of the largest size when only a batch's
 * worth of its connections talk: what the tables and timers cost by themselves, without the cache. Set BENCH_DIST for another build.
 */
import { parseArgs } from 'node:util';
import { EchoPeers, RawHost } from './lib/rawhost.mjs';
import { median } from './lib/stats.mjs';

const { values } = parseArgs({ options: { stack: { type: 'string' }, max: { type: 'string', default: '10000' } } });
const BATCH = 32;
const BATCHES = 400;
const TURNS = 25;
const WARMUP = 5;
const LEN = 64;

for (const stack of values.stack === undefined ? ['inet', 'alt'] : [values.stack]) {
  const sizes = [32, 100, 1000, 10_000, 100_000].filter((n) => n <= Number(values.max));
  const peers = sizes.map((n) => new EchoPeers(new RawHost(stack, { 'net.alt.flows': '131072' }), n, LEN));
  const largest = peers[peers.length - 1];
  if (largest === undefined) throw new Error('--max is too small');
  const labels = [...sizes.map(String), `${BATCH} of ${largest.conns}`];
  const times = labels.map(() => /** @type {number[]} */ ([]));
  for (let turn = 0; turn < TURNS + WARMUP; turn++) {
    const turns = peers.map((peer) => turnOf(peer));
    turns.push(turnOfFew(largest));
    if (turn >= WARMUP) turns.forEach((ns, k) => times[k]?.push(ns));
  }
  const medians = times.map((t) => median(t));
  const first = medians[0] ?? 1;
  const figures = medians.map((m, k) => `${labels[k]}: ${m.toFixed(0)} (${(m / first).toFixed(2)})`);
  console.log(`${stack.padEnd(5)} ns per request and answer: ${figures.join('  ')}`);
}

/** Nanoseconds for a request and its answer. @param {EchoPeers} peer */
function turnOf(peer) {
  peer.host.world.run(1);
  const t0 = process.hrtime.bigint();
  peer.run(BATCHES, BATCH);
  return Number(process.hrtime.bigint() - t0) / (BATCHES * BATCH);
}

/** The same over the first connections of its order alone; all others stand and are silent. @param {EchoPeers} peer */
function turnOfFew(peer) {
  const { conns, next } = peer;
  peer.conns = Math.min(BATCH, conns);
  peer.next = 0;
  const ns = turnOf(peer);
  peer.conns = conns;
  peer.next = next;
  return ns;
}
