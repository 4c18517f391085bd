/**
 * Runs inside a namespace: `lro-child.ts JSON`. A TAP without offload is on a bridge with another one, into which frames are written: what
 * one turn of the event loop writes waits in the first one's queue, all of it, until it is read. The input is a list of bursts, the output
 * what came of each. With `join` the first TAP is somebody else's, and nothing is said of what came.
 */
import { text } from 'node:stream/consumers';
import type { Link } from '../../src/kern/ifnet/link.ts';
import { PKT_BACKLOG, PKT_CSUM_OK } from '../../src/kern/packet.ts';
import { loadAddon } from '../../src/driver/tap/addon.ts';
import { type Seen, Upper, put } from '../driver/harness.ts';
import { bridge, openTap, silence } from './bridge.ts';

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

function start(link: Link): Upper {
  const up = new Upper();
  const errors = [link.setCapEnable(link.info().capabilities), link.start(up), link.setUp(true)].filter((err) => err !== null);
  if (errors.length > 0) throw new Error(errors.join());
  return up;
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

const { join, vnetHdr = false } = JSON.parse(process.argv[2]!) as { join?: string; vnetHdr?: boolean };
const found = loadAddon();
if ('error' in found) throw new Error(found.error);
silence();
const sink = join === undefined ? openTap(found, 'lro0', vnetHdr) : null;
const source = openTap(found, 'lro1', false);
const up = sink === null ? null : start(sink.link);
start(source.link);
const removeBridge = bridge([join ?? 'lro0', 'lro1']);

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
removeBridge();
process.stdout.write(JSON.stringify(outcomes));
