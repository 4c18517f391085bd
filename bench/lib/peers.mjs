// @ts-check
/** The targets: each stack and peer, on each kind of wire, started when a test first needs it and stopped at the end of the round. */
import { join } from 'node:path';
import { OUT, ROOT } from './need.mjs';
import { TARGET } from './netns.mjs';

/**
 * @typedef {object} Instance
 * @property {string} name
 * @property {string} ns where the client runs
 * @property {number} pid
 * @property {import('node:child_process').ChildProcess} child
 * @property {{ text: string }} out standard output so far, with the lines of --trace-gc
 * @property {{ text: string }} err
 * @property {boolean} warm it has served connections; `warmHttp`: and the client that has no warm-up of its own
 * @property {boolean} warmHttp
 */

const LOSS_PERCENT = 1;
const NODE = [process.execPath, '--trace-gc'];

export class Peers {
  /** @type {Map<string, Instance>} */
  #instances = new Map();
  #namespaces;
  #children;
  #boot;
  #idleConns;

  /**
   * @param {import('./netns.mjs').Namespaces} namespaces
   * @param {import('./child.mjs').Children} children
   * @param {{ boot: string, idleConns: number }} options
   */
  constructor(namespaces, children, { boot, idleConns }) {
    this.#namespaces = namespaces;
    this.#children = children;
    this.#boot = boot;
    this.#idleConns = idleConns;
  }

  /** @param {string} name @param {import('./tests.mjs').Test['wire']} wire */
  async get(name, wire) {
    const key = `${name}-${wire}`;
    const there = this.#instances.get(key);
    if (there !== undefined && there.child.exitCode === null && there.child.signalCode === null) return there;
    const instance = await (name === 'kernel' || name === 'node' ? this.#startKernel(name, wire) : this.#startTap(name, wire));
    this.#instances.set(key, instance);
    return instance;
  }

  /** A server on the kernel's own stack, across a veth. @param {string} name @param {import('./tests.mjs').Test['wire']} wire */
  async #startKernel(name, wire) {
    const label = `${name}-${wire}`;
    const { client, server } = this.#namespaces.veth(label);
    if (wire === 'nooffload') {
      this.#namespaces.offloadOff(client, 'v0');
      this.#namespaces.offloadOff(server, 'v1');
    }
    const argv = name === 'kernel' ? [join(OUT, 'server')] : [...NODE, join(ROOT, 'bench/peers/nodesrv.mjs')];
    const started = await this.#children.target(server, argv);
    return this.#instance(name, wire, client, 'v0', started);
  }

  /** A stack of its own on a TAP. @param {string} name @param {import('./tests.mjs').Test['wire']} wire */
  async #startTap(name, wire) {
    const ns = this.#namespaces.create(`${name}-${wire}`);
    if (name === 'gvisor' || name === 'floor') {
      this.#namespaces.tap(ns);
      const argv = [join(OUT, name), 'tap0'];
      if (name === 'floor' && wire === 'nooffload') argv.push('--offload=off');
      const started = await this.#children.target(ns, argv);
      return this.#instance(name, wire, ns, 'tap0', started);
    }
    const started = await this.#children.target(ns, [...NODE, this.#boot, ...this.#bootOptions(name, wire)]);
    this.#namespaces.addSources(ns, 'tap0');
    return this.#instance(name, wire, ns, 'tap0', started);
  }

  /** @param {string} name @param {import('./tests.mjs').Test['wire']} wire */
  #bootOptions(name, wire) {
    const options = bootOptions(name);
    if (wire === 'nooffload') options.push('--offload=off');
    if (wire === 'memory') options.push(`--set=net.alt.flows=${this.#idleConns + 1000}`);
    return name === 'alt' ? options : options.filter((option) => !option.includes('net.alt.'));
  }

  /**
   * @param {string} name @param {import('./tests.mjs').Test['wire']} wire @param {string} ns @param {string} dev
   * @param {Awaited<ReturnType<import('./child.mjs').Children['target']>>} started
   * @returns {Instance}
   */
  #instance(name, wire, ns, dev, { child, pid, out, err }) {
    const clientNs = wire === 'loss' ? this.#namespaces.loss(ns, dev, `${name}-${wire}`, LOSS_PERCENT) : ns;
    return { name, ns: clientNs, pid, child, out, err, warm: false, warmHttp: false };
  }

  /** Ends all targets and removes their namespaces: the next round starts afresh. */
  async stopAll() {
    const all = [...this.#instances.values()];
    this.#instances.clear();
    await Promise.all(all.map(({ child }) => this.#children.stop(child)));
    this.#namespaces.removeAll();
  }
}

/** How a stack is booted for the clients. @param {string} stack */
export function bootOptions(stack) {
  return [
    `--stack=${stack}`,
    `--addr=${TARGET}/24`,
    '--peer=10.77.0.1/24',
    '--service=hello:80,echo:7,discard:9,chargen:19,http:8080',
    '--ctl=none',
    '--log=error',
  ];
}
