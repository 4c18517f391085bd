/** Helpers of the service tests: a world that is run until something has happened, and a raw client. */
import { expect } from 'vitest';
import type { NetSocket } from '../../src/node/net.ts';
import type { Place } from '../node/places.ts';

const SLICE_MS = 50;

/** Runs the world until `what` is settled. */
export async function settle<T>({ sim }: Place, what: Promise<T>, maxMs = 60_000): Promise<T> {
  let done = false;
  const seen = what.finally(() => (done = true));
  seen.catch(() => undefined);
  for (let ms = 0; ms < maxMs && !done; ms += SLICE_MS) await sim.runUntilAsync(() => done, SLICE_MS);
  expect(done, 'still waiting at the end of the time for it').toBe(true);
  return seen;
}

export async function run({ sim }: Place, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += SLICE_MS) await sim.runAsync(SLICE_MS);
}

/** Everything that comes, until the end. */
export async function collect(socket: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Sends `bytes` in pieces of `size`, each a little later than the one before. */
export function drip(place: Place, socket: NetSocket, bytes: Buffer, size: number): void {
  for (let at = 0; at < bytes.length; at += size) {
    place.sim.after(1 + at, () => socket.write(bytes.subarray(at, at + size)));
  }
}
