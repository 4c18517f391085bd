/**
 * The host's side of a TAP, configured by iproute2 (ip-link(8), ip-address(8)): address, MTU, queue length, up. A device that was there
 * before is left as it was found; a device of our own goes with its descriptor.
 */
import { execFileSync } from 'node:child_process';
import type { Errno } from '../../kern/errno.ts';
import type { TapHost } from './tap.ts';
import { errorCode } from './addon.ts';

/** Runs `ip` with these arguments: null, or why it failed in one line. */
export type RunIp = (args: readonly string[]) => string | null;

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

export const runIp: RunIp = (args) => {
  try {
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    return null;
  } catch (err) {
    if (errorCode(err) === 'ENOENT') return "the command 'ip' is missing: apt-get install iproute2";
    return `ip ${args.join(' ')}: ${stderrOf(err)}`;
  }
};

/** How a device was found. */
export interface Found {
  readonly mtu: number;
  readonly txqueuelen: number;
  readonly up: boolean;
}

/** Reads how a device is configured; null when it cannot be told. */
export type ShowIp = (name: string) => Found | null;

export const showIp: ShowIp = (name) => {
  try {
    const text = execFileSync('ip', ['-o', 'link', 'show', 'dev', name], {
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
    });
    const [, flags, mtu] = /<([^>]*)> mtu (\d+)/.exec(text) ?? [];
    const [, qlen] = / qlen (\d+)/.exec(text) ?? [];
    if (flags === undefined || mtu === undefined) return null;
    return { mtu: Number(mtu), txqueuelen: Number(qlen ?? 0), up: flags.split(',').includes('UP') };
  } catch {
    return null;
  }
};

function stderrOf(err: unknown): string {
  if (err instanceof Error && 'stderr' in err && err.stderr instanceof Uint8Array) {
    const line = new TextDecoder().decode(err.stderr).trim().split('\n')[0];
    if (line !== undefined && line !== '') return line;
  }
  return err instanceof Error ? err.message : String(err);
}

export class HostSide implements TapHost {
  readonly #name: string;
  readonly #existed: boolean;
  readonly #run: RunIp;
  /** Addresses to remove from a device that stays. */
  readonly #added: string[] = [];
  readonly #show: ShowIp;
  /** How a device that stays was found; null when there is nothing to put back. */
  #found: Found | null = null;

  /** `existed`: the device was there before and will be afterwards. */
  constructor(name: string, existed: boolean, run: RunIp = runIp, show: ShowIp = showIp) {
    this.#name = name;
    this.#existed = existed;
    this.#run = run;
    this.#show = show;
  }

  /** Null, or the first thing that failed; what was done until then is undone. */
  configure({ peers, mtu, txqueuelen }: HostConfig): string | null {
    if (this.#existed) this.#found = this.#show(this.#name);
    const error =
      this.#run(['link', 'set', 'dev', this.#name, 'mtu', String(mtu), 'txqueuelen', String(txqueuelen)]) ??
      this.#addPeers(peers) ??
      this.#run(['link', 'set', 'dev', this.#name, 'up']);
    if (error !== null) this.undo();
    return error;
  }

  #addPeers(peers: readonly string[]): string | null {
    for (const peer of peers) {
      // Nobody else is on this link: an IPv6 address need not wait for duplicate address detection.
      const nodad = peer.includes(':') ? ['nodad'] : [];
      const error = this.#run(['address', 'add', peer, 'dev', this.#name, ...nodad]);
      // An address that is there already stays there afterwards.
      if (error !== null && !/exists|already assigned/i.test(error)) return error;
      if (error === null && this.#existed) this.#added.push(peer);
    }
    return null;
  }

  setMtu(mtu: number): Errno | null {
    return this.#run(['link', 'set', 'dev', this.#name, 'mtu', String(mtu)]) === null ? null : 'EINVAL';
  }

  /** The device may be gone, so that nothing is left to remove: errors do not matter here. */
  undo(): void {
    for (let peer = this.#added.pop(); peer !== undefined; peer = this.#added.pop()) {
      this.#run(['address', 'delete', peer, 'dev', this.#name]);
    }
    const found = this.#found;
    this.#found = null;
    if (found === null) return;
    const sizes = ['mtu', String(found.mtu), 'txqueuelen', String(found.txqueuelen)];
    this.#run(['link', 'set', 'dev', this.#name, ...sizes, found.up ? 'up' : 'down']);
  }
}
