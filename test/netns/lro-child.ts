/**
 * Runs inside a namespace: `lro-child.ts JSON`. A TAP without offload is on a bridge with another one, into which frames are written: what
 * one turn of the event loop writes waits in the first one's queue, all of it, until it is read. The input is a list of bursts, the output
 * what came of each. With `join` the first TAP is somebody else's, and nothing is said of what came.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Link } from '../../src/kern/ifnet/link.ts';
import { PKT_BACKLOG, PKT_CSUM_OK } from '../../src/kern/packet.ts';
import { type TapAddon, loadAddon } from '../../src/driver/tap/addon.ts';
import { type TapLink, createTapLink } from '../../src/driver/tap/tap.ts';
import { type Seen, Upper, put } from '../driver/harness.ts';

export interface Burst {
  frames: string[];
  /** Set before the frames are written. */
  lro?: boolean;
  caps?: number;
}

export interface Outcome {
  frames: { bytes: string; verified: boolean; gsoSize: number; batch: number; backlog: boolean }[];
  merged: number;
  superFrames: number;
}

const WAIT_MS = 3000;

function openTap(addon: TapAddon, name: string, vnetHdr: boolean): TapLink {
  const device = addon.open({ name, fd: -1, vnetHdr, offload: false });
  const host = { setMtu: () => null, undo: () => {} };
  return createTapLink({ addon, device, host, lladdr: Uint8Array.of(2, 0, 0, 0, 0, 9), mtu: 1500 });
}

function start(link: Link): Upper {
  const up = new Upper();
  const errors = [link.setCapEnable(link.info().capabilities), link.start(up), link.setUp(true)].filter((err) => err !== null);
  if (errors.length > 0) throw new Error(errors.join());
  return up;
}

const ip = (...args: string[]): void => void execFileSync('ip', args);
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

const { join, vnetHdr = false } = JSON.parse(process.argv[2]!) as { join?: string; vnetHdr?: boolean };
const found = loadAddon();
if ('error' in found) throw new Error(found.error);
// Nothing but what is written may cross the bridge, and all of it, the packets too that a filter finds fault with.
for (const [name, value] of [
  ['ipv6/conf/default/disable_ipv6', '1'],
  ['bridge/bridge-nf-call-iptables', '0'],
] as const) {
  const file = `/proc/sys/net/${name}`;
  if (existsSync(file)) writeFileSync(file, value);
}
const sink = join === undefined ? openTap(found, 'lro0', vnetHdr) : null;
const source = openTap(found, 'lro1', false);
const up = sink === null ? null : start(sink.link);
start(source.link);
ip('link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
ip('link', 'set', 'dev', 'br0', 'up');
for (const name of [join ?? 'lro0', 'lro1']) ip('link', 'set', 'dev', name, 'master', 'br0', 'up');

function write(frames: readonly string[]): void {
  frames.forEach((frame, i) => {
    const err = put(source.link, Buffer.from(frame, 'base64'));
    if (err !== null) throw new Error(err);
    if (i % 256 === 255) source.link.flush();
  });
  source.link.flush();
}

function describe({ bytes, flags, gsoSize, batch }: Seen): Outcome['frames'][number] {
  return {
    bytes: Buffer.from(bytes).toString('base64'),
    verified: (flags & PKT_CSUM_OK) !== 0,
    gsoSize,
    batch,
    backlog: (flags & PKT_BACKLOG) !== 0,
  };
}

async function burst({ frames, lro, caps }: Burst): Promise<Outcome | null> {
  if (lro !== undefined) sink?.setLro(lro);
  if (caps !== undefined) sink?.link.setCapEnable(caps);
  if (sink === null || up === null) {
    write(frames);
    return null;
  }
  up.frames.length = 0;
  const { counters } = sink;
  const before = { ...counters };
  write(frames);
  const end = Date.now() + WAIT_MS;
  const seen = (): number => up.frames.length + counters.lro_merged - before.lro_merged;
  while (seen() < frames.length && Date.now() < end) await turn();
  return {
    frames: up.frames.map(describe),
    merged: counters.lro_merged - before.lro_merged,
    superFrames: counters.lro_frames - before.lro_frames,
  };
}

const outcomes: (Outcome | null)[] = [];
for (const one of JSON.parse(await text(process.stdin)) as Burst[]) outcomes.push(await burst(one));
sink?.link.stop();
source.link.stop();
ip('link', 'delete', 'dev', 'br0');
process.stdout.write(JSON.stringify(outcomes));
