import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsoCutter } from '../../src/driver/tap/uso.ts';
import { RxPacket } from '../../src/kern/packet.ts';
import { get16, put16 } from '../../src/wire/bytes.ts';
import { pattern } from './frames.ts';

const MACS = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
const PORTS = [0x30, 0x39, 0, 7];
const SUM_OF_ALL = 0x1234;

/** A frame as the host hands it over: `ihl` words of IPv4 header, or IPv6 for 0; the checksum field holds a sum over its whole length. */
function superFrame(payload: Uint8Array, ihl: number, id = 0xfffe): Uint8Array {
  const udpLen = 8 + payload.length;
  const ip = new Uint8Array(ihl === 0 ? 40 : ihl * 4);
  if (ihl === 0) {
    ip.set([0x60, 0, 0, 0, 0, 0, 17, 64]);
    put16(ip, 4, udpLen);
  } else {
    ip.set([0x40 | ihl, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    put16(ip, 2, ip.length + udpLen);
    put16(ip, 4, id);
  }
  const udp = Uint8Array.from([...PORTS, 0, 0, 0, 0]);
  put16(udp, 4, udpLen);
  put16(udp, 6, SUM_OF_ALL);
  return Uint8Array.from([...MACS, ...(ihl === 0 ? [0x86, 0xdd] : [8, 0]), ...ip, ...udp, ...payload]);
}

/** What the stack gets, copied as it comes. */
function cut(frame: Uint8Array, gsoSize: number): Uint8Array[] | null {
  const rx = new RxPacket(new Uint8Array(frame.length + 64));
  rx.bytes.set(frame, 10);
  rx.off = 10;
  rx.end = 10 + frame.length;
  rx.gsoSize = gsoSize;
  const cutter = new UsoCutter();
  if (!cutter.begin(rx)) return null;
  const out: Uint8Array[] = [];
  while (cutter.next(rx)) {
    expect(rx.gsoSize).toBe(0);
    out.push(rx.bytes.slice(rx.off, rx.end));
  }
  return out;
}

/** One's complement sum of 16-bit words. */
function wordSum(b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < b.length; i += 2) sum += get16(b, i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

describe('UDP super-frames', () => {
  it.each([5, 8, 0])('are cut into the datagrams that were sent (IHL %i; 0 is IPv6)', (ihl) => {
    const hdr = 14 + (ihl === 0 ? 40 : ihl * 4) + 8;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4000 }), fc.integer({ min: 1, max: 1472 }), (total, size) => {
        const payload = pattern(total);
        const got = cut(superFrame(payload, ihl), size)!;
        const lengths = got.map((f) => f.length - hdr);
        expect(got).toHaveLength(Math.ceil(total / size));
        expect(lengths.slice(0, -1).every((len) => len === size)).toBe(true);
        expect(Uint8Array.from(got.flatMap((f) => [...f.subarray(hdr)]))).toEqual(payload);
        got.forEach((f, nth) => {
          const udpLen = f.length - hdr + 8;
          expect([...f.subarray(0, 12)]).toEqual(MACS);
          expect([...f.subarray(hdr - 8, hdr - 4)]).toEqual(PORTS);
          expect(get16(f, hdr - 4)).toBe(udpLen);
          // The sum of the addresses is the same; the length in it is this datagram's.
          expect((get16(f, hdr - 2) + 8 + total) % 0xffff).toBe((SUM_OF_ALL + udpLen) % 0xffff);
          if (ihl === 0) expect(get16(f, 18)).toBe(udpLen);
          else {
            expect(get16(f, 16)).toBe(f.length - 14);
            expect(get16(f, 18)).toBe((0xfffe + nth) & 0xffff);
            expect(wordSum(f.subarray(14, 14 + ihl * 4))).toBe(0xffff);
          }
        });
      }),
      { numRuns: 60 },
    );
  });

  it('without a header or a size to cut by are refused', () => {
    const good = superFrame(pattern(3000), 5);
    expect(cut(good, 0)).toBeNull();
    expect(cut(good.subarray(0, 42), 1000)).toBeNull();
    expect(cut(good.subarray(0, 20), 1000)).toBeNull();
    for (const [at, value] of [
      [12, 0x81],
      [14, 0x4f],
      [14, 0x43],
      [23, 6],
    ] as const) {
      const bad = good.slice(0, 80);
      bad[at] = value;
      expect(cut(bad, 1000), `byte ${at}`).toBeNull();
    }
    const v6 = superFrame(pattern(100), 0);
    v6[20] = 0;
    expect(cut(v6, 50)).toBeNull();
  });
});
