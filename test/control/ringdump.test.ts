/** The ring of the last frames over the control socket: read in place, however many read it, and however slowly. */
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Client, connect } from 'netmod/client';
import { UNREAD_MAX } from '../../src/control/limits.ts';
import { ringFile } from '../../src/control/ringdump.ts';
import { type ControlServer, startControl } from '../../src/control/server.ts';
import { createPair } from '../../src/driver/pair.ts';
import { realEffects } from '../../src/kern/effects/real.ts';
import type { Ifnet } from '../../src/kern/ifnet/ifnet.ts';
import { Kernel } from '../../src/kern/kernel.ts';

const RING_MB = 16;
const FRAME = 1400;

/** The packets of a file: the number that each begins with, and the comments of all blocks. */
function readFile(file: Buffer): { serials: number[]; comments: string[]; lostInStatistics: number } {
  const serials: number[] = [];
  const comments: string[] = [];
  let lostInStatistics = 0;
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    const type = file.readUInt32LE(at);
    const block = file.subarray(at, at + file.readUInt32LE(at + 4));
    if (type === 6) {
      serials.push(block.readUInt32BE(28));
      expect(block.readUInt32LE(20)).toBe(FRAME);
      expect(block.subarray(32, 28 + FRAME).every((byte) => byte === 0xa5)).toBe(true);
    }
    if (type === 5) lostInStatistics += Number(block.readBigUInt64LE(block.length - 4 - 4 - 8));
    const comment = /missed: \d+ packets/.exec(block.subarray(type === 6 ? 28 + FRAME : 8).toString('latin1'));
    if (comment !== null) comments.push(comment[0]);
  }
  return { serials, comments, lostInStatistics };
}

describe('the ring over the control socket', () => {
  let dir: string;
  let file: string;
  let kernel: Kernel;
  let control: ControlServer;
  let client: Client;
  let ifp: Ifnet;
  let serial = 0;

  /** Frames that the interface sends, and so the ring keeps. */
  async function send(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const pkt = ifp.txAlloc();
      if (pkt === null) throw new Error('no packet');
      const at = pkt.append(FRAME);
      pkt.bytes.fill(0xa5, at, at + FRAME);
      new DataView(pkt.bytes.buffer, pkt.bytes.byteOffset).setUint32(at, serial++);
      ifp.transmit(pkt);
      if (i % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  beforeEach(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'netmod-ring-'));
    file = path.join(dir, 'ctl.sock');
    kernel = new Kernel(realEffects({ log: 'silent' }));
    expect(kernel.boot()).toBeNull();
    const [link] = createPair(realEffects({ log: 'silent' }));
    const attached = kernel.ifnets.attach('pair', 0, link);
    if (typeof attached === 'string') throw new Error(attached);
    ifp = attached;
    ifp.setUp(true);
    control = await startControl(kernel, file);
    client = await connect(file);
    serial = 0;
    await client.sysctlWrite('kern.capture.ring_mb', RING_MB);
  });
  afterEach(async () => {
    client.close();
    await control.close();
    kernel.shutdown();
    fs.rmSync(dir, { recursive: true });
  });

  it('sixty readers that do not read hold what they left unread, and no copy of the ring', async () => {
    await send(13_000);
    const total = kernel.bpf.ring.count;
    expect(kernel.bpf.ring.used()).toBeGreaterThan(15 * 1024 * 1024);
    const slow = net.connect(file);
    await new Promise((resolve) => slow.once('data', resolve));
    slow.pause();
    for (let id = 1; id <= 60; id++) slow.write(`${JSON.stringify({ id, call: 'capturering', args: [{}] })}\n`);
    const held = async (): Promise<number> =>
      (await client.counters('control')).find(({ name }) => name === 'membytes')?.value ?? 0;
    let most = 0;
    for (let i = 0; i < 40; i++) {
      most = Math.max(most, await held());
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(most).toBeGreaterThan(UNREAD_MAX / 2);
    expect(most).toBeLessThan(UNREAD_MAX + 64 * 1024);

    // What they then read is all of it, in order.
    const files = new Map<number, Buffer[]>();
    const ends = new Map<number, unknown>();
    let rest = '';
    slow.on('data', (chunk) => {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { id, item, end } = JSON.parse(line) as { id: number; item?: { data?: string }; end?: object };
        // One in twenty is compared: sixty times sixteen megabytes take long.
        if (item?.data !== undefined && id % 20 === 0)
          files.set(id, [...(files.get(id) ?? []), Buffer.from(item.data, 'base64')]);
        if (end !== undefined) ends.set(id, end);
        if (id % 20 !== 0 && item !== undefined && !ends.has(id)) {
          ends.set(id, null);
          slow.write(`${JSON.stringify({ id: 1000 + id, call: 'cancel', args: [id] })}\n`);
        }
      }
    });
    slow.resume();
    for (let i = 0; i < 3000 && ![20, 40, 60].every((id) => ends.has(id)); i++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    for (const id of [20, 40, 60]) {
      expect(ends.get(id)).toEqual({ captured: total, lost: 0, reason: 'all' });
      const { serials, comments } = readFile(Buffer.concat(files.get(id) ?? []));
      expect(serials).toEqual(Array.from({ length: total }, (_, i) => serial - total + i));
      expect(comments).toEqual([]);
    }
    slow.destroy();
  }, 60_000);

  it('a slow reader that the ring overtakes is told how much it missed, in the stream and in the file', async () => {
    await send(13_000);
    const total = kernel.bpf.ring.count;
    const ring = client.captureRing();
    const file: Uint8Array[] = [];
    let first = true;
    for await (const bytes of ring) {
      file.push(bytes);
      if (!first) continue;
      first = false;
      // Its own side stops reading when enough items wait; meanwhile the ring goes round by half.
      await new Promise((resolve) => setTimeout(resolve, 300));
      await send(6000);
    }
    const { serials, comments, lostInStatistics } = readFile(Buffer.concat(file));
    expect(ring.result?.reason).toBe('all');
    expect(ring.result?.captured).toBe(serials.length);
    expect(serials.length + (ring.result?.lost ?? 0)).toBe(total);
    expect(ring.lost).toBe(ring.result?.lost);
    expect(ring.lost).toBeGreaterThan(1000);
    expect(lostInStatistics).toBe(ring.lost);
    // The gap is where the comment says, and as wide: one in the packet after it, one in the statistics.
    const gaps = serials.flatMap((n, i) => (i > 0 && n !== serials[i - 1]! + 1 ? [n - serials[i - 1]! - 1] : []));
    expect(gaps.reduce((sum, n) => sum + n, 0)).toBe(ring.lost);
    expect(comments).toEqual([...gaps, ring.lost].map((n) => `missed: ${n} packets`));
  }, 60_000);

  it('is written to a file in pieces, while it goes on turning', async () => {
    await send(13_000);
    const total = kernel.bpf.ring.count;
    const pieces: Buffer[] = [];
    const reading = ringFile(kernel, 64 * 1024);
    let step = reading.next();
    for (; step.done !== true; step = reading.next()) {
      pieces.push(Buffer.from(step.value));
      expect(step.value.length).toBeLessThan(66 * 1024);
      if (pieces.length === 20) await send(2000);
    }
    const { serials, comments } = readFile(Buffer.concat(pieces));
    expect(serials.length).toBe(step.value);
    expect(comments.at(-1)).toBe(`missed: ${total - serials.length} packets`);
  });
});
