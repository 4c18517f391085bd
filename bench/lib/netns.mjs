// @ts-check
/** Network namespaces of the bench's own: made, filled and removed here, also those that a killed bench has left behind. */
import { spawnSync } from 'node:child_process';
import { BenchError } from './need.mjs';

const PREFIX = 'nmbench';
/** The target; the client's main address, and those that short and idle connections come from. */
export const TARGET = '10.77.0.2';
const CLIENT = '10.77.0.1';
const SOURCES = Array.from({ length: 8 }, (_, i) => `10.77.0.${10 + i}`);
const LOSS_CLIENT = '10.77.0.20';

/** @param {string[]} argv @param {string} [input] */
export function run(argv, input) {
  const [command = '', ...args] = argv;
  const done = spawnSync(command, args, { encoding: 'utf8', ...(input === undefined ? {} : { input }) });
  if (done.status !== 0) throw new BenchError(`${argv.join(' ')}: ${(done.error?.message ?? done.stderr).trim()}`);
  return done.stdout;
}

export class Namespaces {
  /** @type {string[]} */
  #made = [];
  #cc;

  /** @param {string} cc congestion control of all of them, so that the kernel's side is the same everywhere */
  constructor(cc) {
    this.#cc = cc;
    removeStale();
  }

  /** @param {string} label */
  create(label) {
    const name = `${PREFIX}-${process.pid}-${label}`;
    run(['ip', 'netns', 'add', name]);
    this.#made.push(name);
    run(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
    this.sysctl(name, {
      'net.ipv6.conf.all.disable_ipv6': '1',
      'net.ipv6.conf.default.disable_ipv6': '1',
      'net.ipv4.ip_local_port_range': '1024 65535',
      'net.ipv4.tcp_tw_reuse': '1',
      'net.ipv4.tcp_max_tw_buckets': '200000',
      'net.ipv4.tcp_max_syn_backlog': '8192',
      'net.core.somaxconn': '4096',
    });
    try {
      this.sysctl(name, { 'net.ipv4.tcp_congestion_control': this.#cc });
    } catch {
      const allowed = run(['sysctl', '-n', 'net.ipv4.tcp_allowed_congestion_control']).trim();
      throw new BenchError(`--cc=${this.#cc}: this machine lets a namespace choose only: ${allowed}`);
    }
    return name;
  }

  /** @param {string} ns @param {Record<string, string>} values */
  sysctl(ns, values) {
    run(['ip', 'netns', 'exec', ns, 'sysctl', '-qw', ...Object.entries(values).map(([name, value]) => `${name}=${value}`)]);
  }

  /** Client and server namespace, joined by a veth: `v0` with the client's addresses, `v1` with the target's. @param {string} label */
  veth(label) {
    const client = this.create(label);
    const server = this.create(`${label}-s`);
    run(['ip', '-n', client, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', server]);
    run(['ip', '-n', server, 'addr', 'add', `${TARGET}/24`, 'dev', 'v1']);
    run(['ip', '-n', server, 'link', 'set', 'v1', 'up']);
    run(['ip', '-n', client, 'addr', 'add', `${CLIENT}/24`, 'dev', 'v0']);
    run(['ip', '-n', client, 'link', 'set', 'v0', 'up']);
    this.addSources(client, 'v0');
    return { client, server };
  }

  /** A TAP for a target that does not make its own. @param {string} ns */
  tap(ns) {
    run(['ip', '-n', ns, 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap']);
    run(['ip', '-n', ns, 'addr', 'add', `${CLIENT}/24`, 'dev', 'tap0']);
    run(['ip', '-n', ns, 'link', 'set', 'tap0', 'txqueuelen', '50000', 'up']);
    this.addSources(ns, 'tap0');
  }

  /** @param {string} ns @param {string} dev */
  addSources(ns, dev) {
    for (const address of SOURCES) run(['ip', '-n', ns, 'addr', 'add', `${address}/24`, 'dev', dev]);
  }

  /** @param {string} ns @param {string} dev */
  offloadOff(ns, dev) {
    run([
      'ip',
      'netns',
      'exec',
      ns,
      'ethtool',
      '-K',
      dev,
      'tx',
      'off',
      'rx',
      'off',
      'sg',
      'off',
      'tso',
      'off',
      'gso',
      'off',
      'gro',
      'off',
    ]);
  }

  /**
   * A client behind a router that loses packets: `ns` becomes the router, in the returned namespace is the client. The target keeps
   * its offloads: where the two halves of the wire meet, everything is cut into packets, and those are lost one by one, on the way in
   * to either side, so that no sender is told.
   * @param {string} ns @param {string} dev @param {string} label @param {number} percent
   */
  loss(ns, dev, label, percent) {
    const far = this.create(`${label}-l`);
    run(['ip', '-n', far, 'link', 'add', 'c0', 'type', 'veth', 'peer', 'name', 'c1', 'netns', ns]);
    run(['ip', '-n', far, 'addr', 'add', `${LOSS_CLIENT}/32`, 'dev', 'c0']);
    run(['ip', '-n', far, 'link', 'set', 'c0', 'up']);
    run(['ip', '-n', ns, 'addr', 'add', '10.78.0.1/32', 'dev', 'c1']);
    run(['ip', '-n', ns, 'link', 'set', 'c1', 'up']);
    run(['ip', '-n', far, 'route', 'add', '10.77.0.0/24', 'dev', 'c0']);
    run(['ip', '-n', ns, 'route', 'add', `${LOSS_CLIENT}/32`, 'dev', 'c1']);
    this.sysctl(ns, {
      'net.ipv4.ip_forward': '1',
      [`net.ipv4.conf.${dev}.proxy_arp`]: '1',
      'net.ipv4.conf.c1.proxy_arp': '1',
      'net.ipv4.conf.all.rp_filter': '0',
      'net.ipv4.conf.all.send_redirects': '0',
      [`net.ipv4.conf.${dev}.send_redirects`]: '0',
    });
    for (const [where, name] of /** @type {const} */ ([
      [far, 'c0'],
      [ns, 'c1'],
    ])) {
      run(['ip', 'netns', 'exec', where, 'ethtool', '-K', name, 'tso', 'off', 'gso', 'off', 'gro', 'off']);
      run(['ip', 'netns', 'exec', where, 'nft', '-f', '-'], lossRules(name, percent));
    }
    return far;
  }

  removeAll() {
    for (const name of this.#made.splice(0).reverse()) spawnSync('ip', ['netns', 'del', name]);
  }
}

/** @param {string} dev @param {number} percent */
function lossRules(dev, percent) {
  return `table netdev loss {
  chain drops {
    type filter hook ingress device "${dev}" priority 0; policy accept;
    ip protocol tcp numgen random mod 1000 < ${Math.round(percent * 10)} counter drop
  }
}
`;
}

/** What a bench that was killed could not remove. */
function removeStale() {
  for (const line of run(['ip', 'netns', 'list']).split('\n')) {
    const match = new RegExp(`^(${PREFIX}-(\\d+)-\\S+)`).exec(line);
    if (match !== null && !isAlive(Number(match[2]))) spawnSync('ip', ['netns', 'del', /** @type {string} */ (match[1])]);
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
