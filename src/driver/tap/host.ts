/**
 * The host's side of a TAP, configured by iproute2 (ip-link(8), ip-address(8), tc(8)): address, MTU, queue length, queueing discipline,
 * up. A device that was there before is left as it was found; a device of our own goes with its descriptor.
 */
import { execFileSync } from 'node:child_process';
import type { Errno } from '../../kern/errno.ts';
import type { TapHost } from './tap.ts';
import { errorCode } from './addon.ts';

/** Runs `ip` or `tc` with these arguments: null, or why it failed in one line. */
export type Run = (args: readonly string[]) => string | null;

/**
 * Frames the host queues towards the stack while it is busy: Linux's own 1000 are few for bursts, and a thousand connections with windows of
 * 64 KiB fill 45,000 of 1500 bytes. Whoever loses one of those sends smaller ones, and so more.
 */
export const TXQUEUELEN = 50_000;

export interface HostConfig {
  /** `A/LEN`, IPv4 or IPv6. */
  readonly peers: readonly string[];
  readonly mtu: number;
  readonly txqueuelen: number;
}

function runner(command: 'ip' | 'tc'): Run {
  return (args) => {
    try {
      execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      return null;
    } catch (err) {
      if (errorCode(err) === 'ENOENT') return `the command '${command}' is missing: apt-get install iproute2`;
      return `${command} ${args.join(' ')}: ${stderrOf(err)}`;
    }
  };
}

export const runIp = runner('ip');

/** How a device was found. */
export interface Found {
  readonly mtu: number;
  readonly txqueuelen: number;
  readonly up: boolean;
}

/** Reads how a device is configured; null when it cannot be told. */
export type ShowIp = (name: string) => Found | null;

const showIp: ShowIp = (name) => {
  const text = output('ip', ['-o', 'link', 'show', 'dev', name]);
  const [, flags, mtu] = /<([^>]*)> mtu (\d+)/.exec(text) ?? [];
  const [, qlen] = / qlen (\d+)/.exec(text) ?? [];
  if (flags === undefined || mtu === undefined) return null;
  return { mtu: Number(mtu), txqueuelen: Number(qlen ?? 0), up: flags.split(',').includes('UP') };
};

/** Has nobody chosen a queueing discipline for the device? Linux numbers its own choice 0. */
export type ShowsDefaultQdisc = (name: string) => boolean;

const showsDefaultQdisc: ShowsDefaultQdisc = (name) => / 0: .*\broot\b/.test(output('tc', ['qdisc', 'show', 'dev', name]));

/** What a command prints; nothing when it fails. */
function output(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' });
  } catch {
    return '';
  }
}

/** The commands that configure the host's side. */
export interface HostCommands {
  readonly ip: Run;
  readonly tc: Run;
  readonly show: ShowIp;
  readonly defaultQdisc: ShowsDefaultQdisc;
}

const HOST_COMMANDS: HostCommands = { ip: runIp, tc: runner('tc'), show: showIp, defaultQdisc: showsDefaultQdisc };

function stderrOf(err: unknown): string {
  if (err instanceof Error && 'stderr' in err && err.stderr instanceof Uint8Array) {
    const line = new TextDecoder().decode(err.stderr).trim().split('\n')[0];
    if (line !== undefined && line !== '') return line;
  }
  return err instanceof Error ? err.message : String(err);
}

export class HostSide implements TapHost {
  /** What went wrong and costs only speed; null when nothing did. */
  warning: string | null = null;
  readonly #name: string;
  readonly #existed: boolean;
  readonly #commands: HostCommands;
  /** Addresses to remove from a device that stays. */
  readonly #added: string[] = [];
  /** How a device that stays was found; null when there is nothing to put back. */
  #found: Found | null = null;
  #qdiscReplaced = false;

  /** `existed`: the device was there before and will be afterwards. */
  constructor(name: string, existed: boolean, commands: HostCommands = HOST_COMMANDS) {
    this.#name = name;
    this.#existed = existed;
    this.#commands = commands;
  }

  /** Null, or the first thing that failed; what was done until then is undone. */
  configure({ peers, mtu, txqueuelen }: HostConfig): string | null {
    const { ip, show } = this.#commands;
    if (this.#existed) this.#found = show(this.#name);
    const error =
      ip(['link', 'set', 'dev', this.#name, 'mtu', String(mtu), 'txqueuelen', String(txqueuelen)]) ??
      this.#addPeers(peers) ??
      ip(['link', 'set', 'dev', this.#name, 'up']);
    if (error !== null) this.undo();
    else this.#removeQdisc();
    return error;
  }

  /**
   * Frames go from the sender straight into the device's queue, as on a veth: a queueing discipline in front of that, which never fills, only
   * costs each of them time. One that somebody has chosen for a device that was there stays. (A device has none before it is up.)
   */
  #removeQdisc(): void {
    const { tc, defaultQdisc } = this.#commands;
    if (this.#existed && !defaultQdisc(this.#name)) return;
    this.warning = tc(['qdisc', 'replace', 'dev', this.#name, 'root', 'noqueue']);
    this.#qdiscReplaced = this.#existed && this.warning === null;
  }

  #addPeers(peers: readonly string[]): string | null {
    for (const peer of peers) {
      // Nobody else is on this link: an IPv6 address need not wait for duplicate address detection.
      const nodad = peer.includes(':') ? ['nodad'] : [];
      const error = this.#commands.ip(['address', 'add', peer, 'dev', this.#name, ...nodad]);
      // An address that is there already stays there afterwards.
      if (error !== null && !/exists|already assigned/i.test(error)) return error;
      if (error === null && this.#existed) this.#added.push(peer);
    }
    return null;
  }

  setMtu(mtu: number): Errno | null {
    return this.#commands.ip(['link', 'set', 'dev', this.#name, 'mtu', String(mtu)]) === null ? null : 'EINVAL';
  }

  /** The device may be gone, so that nothing is left to remove: errors do not matter here. */
  undo(): void {
    const { ip, tc } = this.#commands;
    for (let peer = this.#added.pop(); peer !== undefined; peer = this.#added.pop()) {
      ip(['address', 'delete', peer, 'dev', this.#name]);
    }
    if (this.#qdiscReplaced) tc(['qdisc', 'delete', 'dev', this.#name, 'root']);
    this.#qdiscReplaced = false;
    const found = this.#found;
    this.#found = null;
    if (found === null) return;
    const sizes = ['mtu', String(found.mtu), 'txqueuelen', String(found.txqueuelen)];
    ip(['link', 'set', 'dev', this.#name, ...sizes, found.up ? 'up' : 'down']);
  }
}
