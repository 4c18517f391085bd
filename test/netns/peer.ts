/** Runs a command of `peer.mjs` in a namespace and returns what it found. */
import { join } from 'node:path';
import { type Netns, ROOT } from '../support/netns.ts';

const PEER = join(ROOT, 'test/netns/peer.mjs');

export async function peer(ns: Netns, ...args: (string | number)[]): Promise<Record<string, unknown>> {
  const done = await ns.exec([process.execPath, PEER, ...args.map(String)], { timeoutMs: 150_000 });
  if (done.status !== 0) throw new Error(`peer ${args.join(' ')}: ${done.stderr}`);
  return JSON.parse(done.stdout) as Record<string, unknown>;
}
