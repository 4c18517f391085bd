// @ts-check
/**
 * `node bench/dispatch.mjs [DIST]`: does a call through kobj cost what a direct call costs? Calls the same routine three ways, in turns, in
 * one run: directly with its state, through an object that `bindObject` made (its own class, an inherited method), and through the
 * object that the interface's default filled. Status 1 when a bound call takes more than `LIMIT` of a direct one's time.
 */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median } from './lib/stats.mjs';

const dist = resolve(process.argv[2] ?? join(import.meta.dirname, '../dist'));
/** @type {typeof import('../src/kern/kobj.ts')} */
const { bindObject, defineClass, defineInterface } = await import(pathToFileURL(join(dist, 'kern/kobj.js')).href);

const CALLS = 2e6;
const TURNS = 41;
const LIMIT = 1.25;

/** @typedef {{ sum: number }} State */
/** A routine of the size of a link's: a few words of its state. @param {State} self @param {number} len */
function transmit(self, len) {
  self.sum = (self.sum + (len ^ (self.sum >>> 3))) | 0;
  return self.sum;
}

/** @typedef {{ transmit(len: number): number }} LinkMethods */
/** @type {import('../src/kern/kobj.ts').Routines<unknown, LinkMethods>} */
const defaults = { transmit: (_self, len) => len | 0 };
const link = defineInterface('link', defaults);
/** @type {import('../src/kern/kobj.ts').KobjClass<State, LinkMethods>} */
const base = defineClass({ name: 'base', implements: link, methods: { transmit } });
/** @type {import('../src/kern/kobj.ts').KobjClass<State, LinkMethods>} */
const derived = defineClass({ name: 'derived', implements: link, methods: {}, bases: [base] });
const state = { sum: 1 };
const own = bindObject(base, state);
const inherited = bindObject(derived, state);

/**
 * The callers are functions of their own, so that each has a call site of its own, as in the stacks.
 * @type {Readonly<Record<string, () => number>>}
 */
const WAYS = {
  direct: () => {
    let n = 0;
    for (let i = 0; i < CALLS; i++) n = transmit(state, i);
    return n;
  },
  bound: () => {
    let n = 0;
    for (let i = 0; i < CALLS; i++) n = own.transmit(i);
    return n;
  },
  inherited: () => {
    let n = 0;
    for (let i = 0; i < CALLS; i++) n = inherited.transmit(i);
    return n;
  },
};

/** @type {Record<string, number[]>} */
const times = {};
let kept = 0;
for (let turn = 0; turn < TURNS; turn++) {
  for (const [name, call] of Object.entries(WAYS)) {
    const start = performance.now();
    kept ^= call();
    // The first turns compile.
    if (turn >= 3) (times[name] ??= []).push(((performance.now() - start) * 1e6) / CALLS);
  }
}

const direct = median(times['direct'] ?? []);
for (const [name, all] of Object.entries(times)) {
  const ns = median(all);
  process.stdout.write(`${name.padEnd(10)} ${ns.toFixed(2)} ns a call, ${(ns / direct).toFixed(2)} of a direct call\n`);
  if (ns > LIMIT * direct) process.exitCode = 1;
}
process.stdout.write(kept === Number.MIN_SAFE_INTEGER ? '!' : '');
