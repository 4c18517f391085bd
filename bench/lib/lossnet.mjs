// @ts-check
/** Namespaces with a relay in the middle (`c/relay.c`): a client on one side, a stack's TAP or the kernel's veth on the other. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '../..');
const OUT = join(ROOT, 'build/bench');
export const TARGET = '10.77.0.2';
/** Time to boot, to stop. */
const READY_MS = 15_000;

/** @param {string} command @param {string[]} args */
export function must(command, args) {
  const done = spawnSync(command, args, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${(done.error?.message ?? done.stderr).trim()}`);
  return done.stdout;
}

/** Builds the two programs; answers where they are. */
export function buildPeers() {
  mkdirSync(OUT, { recursive: true });
  const built = { relay: join(OUT, 'relay'), losspeer: join(OUT, 'losspeer') };
  for (const [name, path] of Object.entries(built)) must('cc', ['-O2', '-o', path, join(ROOT, 'bench/c', `${name}.c`)]);
  return built;
}

/** @typedef {{ child: import('node:child_process').ChildProcess, name: string }} Running */

/** A link under test: client namespace, relay, and whatever stands behind it. Removed by `close`. */
export class LossNet {
  /** @type {string[]} */
  #spaces = [];
  /** @type {Running[]} */
  #running = [];
  #built;
  #seq = 0;

  /** @param {{ relay: string, losspeer: string }} built */
  constructor(built) {
    this.#built = built;
  }

  #space() {
    const name = `nmloss-${process.pid}-${this.#seq++}`;
    must('ip', ['netns', 'add', name]);
    this.#spaces.push(name);
    must('ip', [
      'netns',
      'exec',
      name,
      'sysctl',
      '-qw',
      'net.ipv6.conf.all.disable_ipv6=1',
      'net.ipv6.conf.default.disable_ipv6=1',
    ]);
    must('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    return name;
  }

  /** A pair of interfaces: `inner` with an address in `space`, `outer` bare in `middle`; nothing is offloaded. */
  #veth(/** @type {string} */ space, /** @type {string} */ middle, /** @type {string} */ label, /** @type {string} */ addr) {
    must('ip', ['-n', space, 'link', 'add', label, 'type', 'veth', 'peer', 'name', `${label}r`, 'netns', middle]);
    must('ip', ['-n', space, 'addr', 'add', addr, 'dev', label]);
    for (const [ns, dev] of /** @type {const} */ ([
      [space, label],
      [middle, `${label}r`],
    ])) {
      must('ip', ['netns', 'exec', ns, 'ethtool', '-K', dev, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off']);
      must('ip', ['-n', ns, 'link', 'set', dev, 'txqueuelen', '10000', 'up']);
    }
  }

  /** @param {string} name @param {string} space @param {string[]} argv */
  async #start(name, space, argv) {
    const child = spawn('ip', ['netns', 'exec', space, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#running.push({ child, name });
    let errors = '';
    child.stderr.on('data', (chunk) => void (errors += chunk));
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${name}: not ready: ${errors}`)), READY_MS);
      child.once('exit', () => reject(new Error(`${name}: ${errors}`)));
      child.stdout.on('data', (chunk) => {
        if (!String(chunk).includes('ready')) return;
        clearTimeout(timer);
        resolve(undefined);
      });
    });
    return { child, name, errors: () => errors };
  }

  /**
   * Makes the link. `target`: `kernel`, or a stack's name. `impair`: the relay's arguments.
   * @param {{ target: string, cc: string, impair: string[], boot: string, set?: string[] }} options
   */
  async open({ target, cc, impair, boot, set = [] }) {
    const middle = this.#space();
    const client = this.#space();
    this.#veth(client, middle, 'c0', '10.77.0.1/24');
    let device = 'tap0';
    if (target === 'kernel') {
      const peer = this.#space();
      this.#veth(peer, middle, 'k0', `${TARGET}/24`);
      device = 'k0r';
      await this.#start('kernel', peer, [this.#built.losspeer, 'serve', cc]);
    } else {
      const sets = [...(target === 'inet' ? [`net.inet.tcp.cc.algorithm=${cc}`] : []), ...set].map((s) => `--set=${s}`);
      const args = [`--stack=${target}`, '--offload=off', `--addr=${TARGET}/24`, '--no-peer', '--service=chargen:19,discard:9'];
      await this.#start(target, middle, [process.execPath, boot, ...args, '--ctl=none', '--log=error', ...sets]);
    }
    await this.#start('relay', middle, [this.#built.relay, device, 'c0r', ...impair]);
    return { client, middle };
  }

  /**
   * A stack and the kernel behind one bottleneck, joined by a bridge: the stack is 10.77.0.2, the kernel 10.77.0.3.
   * @param {{ target: string, cc: string, impair: string[], boot: string }} options
   */
  async openShared({ target, cc, impair, boot }) {
    const middle = this.#space();
    const client = this.#space();
    const peer = this.#space();
    this.#veth(client, middle, 'c0', '10.77.0.1/24');
    this.#veth(peer, middle, 'k0', '10.77.0.3/24');
    must('ip', ['-n', middle, 'link', 'add', 'br0', 'type', 'bridge']);
    must('ip', ['-n', middle, 'link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'm1']);
    await this.#start('kernel', peer, [this.#built.losspeer, 'serve', cc]);
    const args = [`--stack=${target}`, '--offload=off', `--addr=${TARGET}/24`, '--no-peer', '--service=chargen:19'];
    const set = target === 'inet' ? [`--set=net.inet.tcp.cc.algorithm=${cc}`] : [];
    await this.#start(target, middle, [process.execPath, boot, ...args, '--ctl=none', '--log=error', ...set]);
    for (const dev of ['tap0', 'k0r', 'm0']) must('ip', ['-n', middle, 'link', 'set', dev, 'master', 'br0']);
    for (const dev of ['br0', 'm0', 'm1']) must('ip', ['-n', middle, 'link', 'set', dev, 'up']);
    await this.#start('relay', middle, [this.#built.relay, 'm1', 'c0r', ...impair]);
    return { client };
  }

  /**
   * A client's run: bits a second.
   * @param {string} client @param {string[]} args of losspeer
   * @returns {Promise<number>}
   */
  measure(client, args) {
    return new Promise((resolve, reject) => {
      const child = spawn('ip', ['netns', 'exec', client, this.#built.losspeer, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      this.#running.push({ child, name: 'client' });
      let out = '';
      let errors = '';
      child.stdout.on('data', (chunk) => void (out += chunk));
      child.stderr.on('data', (chunk) => void (errors += chunk));
      child.once('exit', () => (out.trim() === '' ? reject(new Error(`client: ${errors}`)) : resolve(Number(out))));
    });
  }

  async close() {
    for (const { child } of this.#running.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await Promise.race([gone, sleep(2000, undefined, { ref: false })]);
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    }
    this.#running = [];
    for (const name of this.#spaces.reverse()) spawnSync('ip', ['netns', 'del', name]);
    this.#spaces = [];
  }
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[mid] ?? NaN) : ((sorted[mid - 1] ?? NaN) + (sorted[mid] ?? NaN)) / 2;
}
