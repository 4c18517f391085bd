/**
 * Runs inside a namespace: `gso-child.ts JSON`. Frames are sent into a TAP without offload, which is on a bridge with another one: what comes
 * out there is what the driver wrote. The input is a list of frames to send, the output what came of each, and what the driver counted.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { type TapAddon, loadAddon } from '../../src/driver/tap/addon.ts';
import { type TapLink, createTapLink } from '../../src/driver/tap/tap.ts';
import { Upper, send } from '../driver/harness.ts';

export interface Sent {
  /** Base64. */
  frame: string;
  flags: number;
  gsoSize: number;
  csumStart: number;
  csumOffset: number;
  /** Bytes in the contiguous part, and in each slice behind it. */
  head: number;
  slices: number[];
  /** Frames that are to come of it. */
  expected: number;
}

export interface Outcome {
  error: string | null;
  frames: string[];
  cut: number;
  invalid: number;
}

const WAIT_MS = 3000;
/** What could come although nothing ought to has come by then. */
const SILENCE_MS = 30;

function openTap(addon: TapAddon, name: string, vnetHdr: boolean): TapLink {
  const device = addon.open({ name, fd: -1, vnetHdr, offload: false });
  const host = { setMtu: () => null, undo: () => {} };
  return createTapLink({ addon, device, host, lladdr: Uint8Array.of(2, 0, 0, 0, 0, 9), mtu: 1500 });
}

const ip = (...args: string[]): void => void execFileSync('ip', args);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const { vnetHdr } = JSON.parse(process.argv[2]!) as { vnetHdr: boolean };
const found = loadAddon();
if ('error' in found) throw new Error(found.error);
// Nothing but what is written may cross the bridge, and all of it.
for (const [name, value] of [
  ['ipv6/conf/default/disable_ipv6', '1'],
  ['bridge/bridge-nf-call-iptables', '0'],
] as const) {
  const file = `/proc/sys/net/${name}`;
  if (existsSync(file)) writeFileSync(file, value);
}
const source = openTap(found, 'gso0', vnetHdr);
const sink = openTap(found, 'gso1', false);
const up = new Upper();
const errors = [source.link.start(new Upper()), source.link.setUp(true), sink.link.start(up), sink.link.setUp(true)];
if (errors.some((error) => error !== null)) throw new Error(errors.join());
ip('link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
ip('link', 'set', 'dev', 'br0', 'up');
for (const name of ['gso0', 'gso1']) ip('link', 'set', 'dev', name, 'txqueuelen', '1000', 'master', 'br0', 'up');

const outcomes: Outcome[] = [];
for (const { frame, expected, ...meta } of JSON.parse(await text(process.stdin)) as Sent[]) {
  up.frames.length = 0;
  const { txcut, txinvalid } = source.counters;
  const error = send(source.link, Buffer.from(frame, 'base64'), meta);
  const end = Date.now() + WAIT_MS;
  if (expected === 0) await pause(SILENCE_MS);
  while (up.frames.length < expected && Date.now() < end) await pause(1);
  outcomes.push({
    error,
    frames: up.frames.map(({ bytes }) => Buffer.from(bytes).toString('base64')),
    cut: source.counters.txcut - txcut,
    invalid: source.counters.txinvalid - txinvalid,
  });
}
source.link.stop();
sink.link.stop();
ip('link', 'delete', 'dev', 'br0');
process.stdout.write(JSON.stringify(outcomes));
