/** The ring of the last frames, read where it lies by cursors. */
import { describe, expect, it } from 'vitest';
import { type BpfDesc, BpfFrame, type BpfOptions } from '../../../src/kern/ifnet/bpf.ts';
import { BpfRing } from '../../../src/kern/ifnet/bpfring.ts';
import type { Ifnet } from '../../../src/kern/ifnet/ifnet.ts';
import { SimRandom } from '../../../src/kern/effects/sim.ts';

const MIB = 1024 * 1024;
const ifp = { index: 7 } as Ifnet;

/** A ring of a megabyte, and what puts a frame into it. */
function ringOf(): { ring: BpfRing; put(serial: number, length: number, drop?: string | null): void } {
  let options: BpfOptions | null = null;
  const ring = new BpfRing((given) => {
    options = given;
    return { captured: 0, close: () => undefined } as BpfDesc;
  });
  ring.resize(1);
  return {
    ring,
    put: (serial, length, drop = null) => {
      const frame = new BpfFrame(ifp, new Uint8Array(length).fill(serial));
      new DataView(frame.bytes.buffer).setUint32(0, serial);
      Object.assign(frame, { len: length, caplen: length, timeMs: serial, drop });
      options!.deliver(frame);
    },
  };
}

const serialOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);

describe('the ring of frames', () => {
  it('is read in order, whole, from the oldest to the newest that was there', () => {
    const { ring, put } = ringOf();
    for (let i = 0; i < 100; i++) put(i, 64 + i, i % 3 === 0 ? 'ip.badsum' : null);
    const cursor = ring.cursor();
    put(100, 64);
    for (let i = 0; i < 100; i++) {
      const frame = ring.read(cursor)!;
      expect(serialOf(frame.bytes)).toBe(i);
      expect(frame).toMatchObject({ ifIndex: 7, timeMs: i, len: 64 + i, drop: i % 3 === 0 ? 'ip.badsum' : null });
      expect(frame.bytes.length).toBe(64 + i);
    }
    expect(ring.read(cursor)).toBeNull();
    expect(ring.read(cursor)).toBeNull();
    expect(cursor.missed).toBe(0);
  });

  it('is not copied by who reads it', () => {
    const { ring, put } = ringOf();
    for (let i = 0; i < 10; i++) put(i, 1000);
    const buffers = new Set<ArrayBufferLike>();
    for (let reader = 0; reader < 60; reader++) {
      const cursor = ring.cursor();
      for (let frame = ring.read(cursor); frame !== null; frame = ring.read(cursor)) buffers.add(frame.bytes.buffer);
    }
    expect([...buffers].map((buffer) => buffer.byteLength)).toEqual([MIB]);
  });

  it('tells a reader that is overtaken how many frames it missed', () => {
    const { ring, put } = ringOf();
    for (let i = 0; i < 3000; i++) put(i, 1000);
    const cursor = ring.cursor();
    const first = serialOf(ring.read(cursor)!.bytes);
    expect(first).toBe(3000 - ring.count);
    for (let i = 3000; i < 3100; i++) put(i, 1000);
    // The oldest that is there; what came after the cursor was made is not its own.
    expect(serialOf(ring.read(cursor)!.bytes)).toBe(3100 - ring.count);
    expect(cursor.missed).toBe(3100 - ring.count - first - 1);
    for (let i = 3100; i < 9000; i++) put(i, 1000);
    const before = cursor.missed;
    expect(ring.read(cursor)).toBeNull();
    expect(cursor.missed - before).toBe(3000 - (3100 - ring.count) - 1);
    expect(ring.missed).toBe(cursor.missed);
  });

  it('counts what is thrown away under a reader when the ring gets another size', () => {
    const { ring, put } = ringOf();
    for (let i = 0; i < 10; i++) put(i, 1000);
    const cursor = ring.cursor();
    ring.read(cursor);
    ring.resize(2);
    put(10, 1000);
    expect(ring.read(cursor)).toBeNull();
    expect(cursor.missed).toBe(9);
    expect(serialOf(ring.read(ring.cursor())!.bytes)).toBe(10);
  });

  it.each([1, 2, 3, 4])('readers at any pace get each frame of theirs exactly once or told as missed (seed %i)', (seed) => {
    const random = new SimRandom(seed, 'ring');
    const { ring, put } = ringOf();
    const readers: { cursor: ReturnType<BpfRing['cursor']>; next: number; got: number; size: number }[] = [];
    const lengths: number[] = [];
    let serial = 0;
    for (let step = 0; step < 20_000; step++) {
      if (random.below(3) > 0) {
        lengths.push(16 + random.below(random.below(10) === 0 ? 65_000 : 1500));
        put(serial, lengths[serial++]!, random.below(5) === 0 ? 'x'.repeat(random.below(40)) : null);
      } else if (readers.length < 20 && random.below(50) === 0) {
        readers.push({ cursor: ring.cursor(), next: serial - ring.count, got: 0, size: ring.count });
      } else if (readers.length > 0) {
        const at = random.below(readers.length);
        const reader = readers[at]!;
        const missed = reader.cursor.missed;
        const frame = ring.read(reader.cursor);
        reader.next += reader.cursor.missed - missed;
        if (frame === null) {
          expect(reader.got + reader.cursor.missed).toBe(reader.size);
          readers.splice(at, 1);
        } else {
          expect(serialOf(frame.bytes)).toBe(reader.next);
          expect(frame.bytes.length).toBe(lengths[reader.next]);
          expect(frame.bytes.at(-1)).toBe(reader.next & 0xff);
          reader.next++;
          reader.got++;
        }
      }
    }
    expect(ring.missed).toBeGreaterThan(0);
  });
});
