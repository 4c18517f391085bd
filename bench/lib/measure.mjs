// @ts-check
/** One run of one test against one target: starts the client, reads its line, and makes a sample of it. */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parsePauses, summarizePauses } from './gclog.mjs';
import { Watch, cpuOf, machineCpu, networkThreads } from './load.mjs';
import { OUT, ROOT } from './need.mjs';
import { TARGET } from './netns.mjs';

/** @typedef {import('./tests.mjs').Test} Test */
/** @typedef {import('./peers.mjs').Instance} Instance */
/** @typedef {import('./stats.mjs').Sample} Sample */
/** @typedef {{ value: number, cpuS?: number, busyS?: number, ops?: number, printed: Record<string, number> }} Reading */

/** What connections cost while nothing happens; V8 tidies up once, eight seconds after so many objects came (`--trace-gc`), and that is not it. */
const IDLE_TIME = ['-t', '2', '-W', '10'];
/** Share of a processor that others may take before a run counts as noisy. */
const FOREIGN_MAX = 0.1;
/** Seconds of requests before the first that count: the compiler needs two on one of two processors that are both busy. */
const HTTP_WARM_UP = 2;
const HTTP_PORT = 8080;
const STACKS = ['inet', 'alt'];
/** A minute of full load in three rounds; a quick run only has a look. */
const GC_SECONDS_PER_ROUND = 20;

export class Measure {
  #children;
  #options;
  #threads = networkThreads();

  /** @param {import('./child.mjs').Children} children @param {import('./options.mjs').Options} options */
  constructor(children, options) {
    this.#children = children;
    this.#options = options;
  }

  /** @param {Test} test @param {Instance} target @returns {Promise<Sample>} */
  async sample(test, target) {
    const watch = new Watch(target.pid, this.#threads);
    try {
      const reading = await this.#run(test, target);
      const noisy = watch.read().foreign > FOREIGN_MAX;
      const { printed } = reading;
      /** @type {Record<string, number>} */
      const fields = {};
      for (const name of ['p50_us', 'p99_us', 'p999_us', ...(test.fields ?? [])]) {
        const value = printed[name];
        if (value !== undefined) fields[name] = value;
      }
      const wrong = printed['wrong'] ?? 0;
      return { ...reading, fields, noisy, ...(wrong > 0 ? { wrong: `${wrong} wrong answers` } : {}) };
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return said.startsWith('wrong bytes') ? { value: NaN, failed: said, wrong: said } : { value: NaN, failed: said };
    }
  }

  /** @param {Test} test @param {Instance} target @returns {Promise<Reading>} */
  async #run(test, target) {
    switch (test.kind) {
      case 'client':
        return this.#client(test, target);
      case 'wrk':
        return this.#http(test, target);
      case 'gc':
        return this.#gc(test, target);
      case 'verify':
        return this.#verify(test, target);
    }
  }

  /** @param {Test} test @param {Instance} target @returns {Promise<Reading>} */
  async #client(test, target) {
    const [mode = '', port = '', ...args] = test.args ?? [];
    const { quick, seconds, idleConns } = this.#options;
    const time = mode === 'idle' ? IDLE_TIME : ['-t', String(seconds), '-W', quick ? '0.3' : '0.5'];
    if (mode === 'idle') args.push('-c', String(idleConns));
    if (test.wire === 'plain') await this.#warmUp(target);
    const argv = [join(OUT, 'client'), mode, `${TARGET}:${port}`, ...args, ...time, '-p', String(target.pid)];
    const unpin = test.cores === undefined ? null : pin(target.pid, 0);
    try {
      const core = test.cores === undefined ? null : cpus().length > 1 ? test.cores - 1 : 0;
      const limitMs = seconds * 1000 + (mode === 'idle' ? 90_000 : 20_000);
      const printed = await this.#ask(target, argv, limitMs, core);
      return {
        value: field(printed, test.value),
        cpuS: printed['cpu_s'] ?? NaN,
        busyS: printed['busy_s'] ?? NaN,
        ops: test.per === '' ? 0 : field(printed, test.per),
        printed,
      };
    } finally {
      unpin?.();
    }
  }

  /**
   * What a target does for a connection is compiled before anything is measured: with many connections at once a first handshake that is slow
   * makes the kernel's side take the way for a long one, and its frames stay small as long as they last (tcp_tso_rtt_log).
   * @param {Instance} target
   */
  async #warmUp(target) {
    if (target.warm) return;
    target.warm = true;
    await this.#ask(
      target,
      [join(OUT, 'client'), 'connect', `${TARGET}:80`, '-c', '8', '-i', '8', '-t', '0.5', '-W', '0.1'],
      15_000,
      null,
    );
  }

  /** @param {Test} test @param {Instance} target @returns {Promise<Reading>} */
  async #http(test, target) {
    const conns = test.conns ?? 1;
    if (!target.warmHttp) {
      await this.#wrk(target, 32, this.#options.quick ? 1 : HTTP_WARM_UP);
      target.warmHttp = true;
    }
    const cpu = cpuOf(target.pid);
    const machine = machineCpu().busy;
    const printed = await this.#wrk(target, conns, Math.max(test.leastSeconds ?? 1, Math.round(this.#options.seconds)));
    return {
      value: field(printed, 'rate'),
      cpuS: cpuOf(target.pid) - cpu,
      busyS: machineCpu().busy - machine,
      ops: field(printed, 'n'),
      printed,
    };
  }

  /** @param {Instance} target @param {number} conns @param {number} seconds */
  #wrk(target, conns, seconds) {
    const script = join(ROOT, 'bench/wrk.lua');
    const argv = ['wrk', '-t1', `-c${conns}`, `-d${seconds}s`, '--timeout', '5s', '-s', script];
    return this.#ask(target, [...argv, `http://${TARGET}/`], seconds * 1000 + 15_000, null);
  }

  /** In, out and requests, one after another; what the collector did meanwhile. @param {Test} test @param {Instance} target @returns {Promise<Reading>} */
  async #gc(test, target) {
    const { quick, seconds } = this.#options;
    const each = Math.max(1, Math.round(quick ? seconds : GC_SECONDS_PER_ROUND / 4));
    const from = target.out.text.length;
    for (const args of [
      ['send', `${TARGET}:9`],
      ['receive', `${TARGET}:19`],
      ['udp', `${TARGET}:7`, '-w', '64'],
    ]) {
      await this.#ask(target, [join(OUT, 'client'), ...args, '-t', String(each), '-W', '0.1'], each * 1000 + 15_000, null);
    }
    await this.#wrk(target, 32, each);
    const printed = summarizePauses(parsePauses(target.out.text.slice(from)));
    return { value: field(printed, test.value), printed };
  }

  /** @param {Test} test @param {Instance} target @returns {Promise<Reading>} */
  async #verify(test, target) {
    const megabytes = this.#options.quick ? '8' : '64';
    const argv = [process.execPath, join(ROOT, 'bench/verify.mjs'), TARGET, megabytes];
    if (STACKS.includes(target.name)) argv.push(String(HTTP_PORT));
    const printed = await this.#ask(target, argv, 60_000, null);
    return { value: field(printed, test.value), printed };
  }

  /** @param {Instance} target @param {string[]} argv @param {number} limitMs @param {number | null} core @returns {Promise<Record<string, number>>} */
  async #ask(target, argv, limitMs, core) {
    const done = await this.#children.client(target.ns, argv, { limitMs, core });
    if (target.child.exitCode !== null || target.child.signalCode !== null) {
      throw new Error(`${target.name} died: ${target.err.text.trim().slice(-300)}`);
    }
    const line = done.stdout.split('\n').find((text) => text.startsWith('{'));
    if (done.status !== 0 || line === undefined) throw new Error(done.stderr.trim().slice(-200) || `status ${done.status}`);
    return JSON.parse(line);
  }
}

/** @param {Record<string, number>} printed @param {string} name */
function field(printed, name) {
  return printed[name] ?? NaN;
}

/** All threads of a process to one core, and back. @param {number} pid @param {number} core */
function pin(pid, core) {
  const set = (/** @type {string} */ list) => spawnSync('taskset', ['-acp', list, String(pid)], { stdio: 'ignore' });
  set(String(core));
  return () => set(`0-${cpus().length - 1}`);
}
