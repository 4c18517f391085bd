/**
 * Runs inside a namespace: `gso-child.ts JSON`. Frames are sent into a TAP without offload, which is on a bridge with another one: what comes
 * out there is what the driver wrote. The input is a list of frames to send, the output what came of each, and what the driver counted.
 */
import { text } from 'node:stream/consumers';
import { loadAddon } from '../../src/driver/tap/addon.ts';
import { Upper, send } from '../driver/harness.ts';
import { bridge, openTap, silence } from './bridge.ts';

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

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const { vnetHdr } = JSON.parse(process.argv[2]!) as { vnetHdr: boolean };
const found = loadAddon();
if ('error' in found) throw new Error(found.error);
silence();
const source = openTap(found, 'gso0', vnetHdr);
const sink = openTap(found, 'gso1', false);
const up = new Upper();
const errors = [source.link.start(new Upper()), source.link.setUp(true), sink.link.start(up), sink.link.setUp(true)];
if (errors.some((error) => error !== null)) throw new Error(errors.join());
const removeBridge = bridge(['gso0', 'gso1']);

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
removeBridge();
process.stdout.write(JSON.stringify(outcomes));
