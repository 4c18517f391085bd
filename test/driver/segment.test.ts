import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Segmenter, completeChecksum, newLayout, recomputeChecksum } from '../../src/driver/segment.ts';
import { MAC_B, faultOf, pattern, tcpFrame, udpFrame, viewTcp } from './frames.ts';

function cut(frame: Uint8Array, gsoSize: number, maxFrame = 65553): { n: number; segments: Uint8Array[] } {
  const segments: Uint8Array[] = [];
  const segmenter = new Segmenter(14, maxFrame, (bytes, off, end) => segments.push(bytes.slice(off, end)));
  // Not at the front of its buffer, so that offsets matter.
  const padded = new Uint8Array(frame.length + 9);
  padded.set(frame, 5);
  return { n: segmenter.segment(padded, 5, 5 + frame.length, gsoSize), segments };
}

describe('segmentation', () => {
  it('gives what a sender without offload would have sent', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(4 as const, 6 as const),
        fc.integer({ min: 1, max: 20000 }),
        fc.integer({ min: 100, max: 9000 }),
        fc.integer(),
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 0, max: 65535 }),
        fc.constantFrom(0, 12, 40),
        (version, len, gsoSize, seq, flags, id, optLen) => {
          const payload = pattern(len);
          const options = new Array<number>(optLen).fill(1);
          const { n, segments } = cut(tcpFrame({ version, payload, seq, flags, id, options, checksum: 'pseudo' }), gsoSize);
          // The reference: each segment built on its own from the same fields.
          const expected: Uint8Array[] = [];
          for (let at = 0, i = 0; at < len; at += gsoSize, i++) {
            const last = at + gsoSize >= len;
            const own = flags & ~(last ? 0 : 0x09) & ~(i > 0 ? 0x80 : 0);
            const piece = payload.subarray(at, at + gsoSize);
            expected.push(tcpFrame({ version, payload: piece, seq: (seq + at) | 0, flags: own, id: (id + i) & 0xffff, options }));
          }
          expect(n).toBe(expected.length);
          expect(segments).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keeps FIN and PSH for the last segment and CWR for the first', () => {
    const { segments } = cut(tcpFrame({ version: 4, payload: pattern(3000), flags: 0x80 | 0x19 }), 1000);
    expect(segments.map((s) => viewTcp(s).flags)).toEqual([0x90, 0x10, 0x19]);
  });

  it('takes no notice of padding behind the IP packet', () => {
    const frame = tcpFrame({ version: 4, payload: pattern(3) });
    const { segments } = cut(Uint8Array.from([...frame, 0, 0, 0]), 1460);
    expect(segments).toEqual([frame]);
  });

  it('leaves alone what is no whole TCP segment', () => {
    expect(cut(udpFrame(pattern(2000)), 1000).n).toBe(0);
    expect(cut(tcpFrame({ version: 4, payload: pattern(100) }).subarray(0, 60), 10).n).toBe(0);
    expect(cut(tcpFrame({ version: 4, payload: pattern(100) }), 0).n).toBe(0);
    const fragment = tcpFrame({ version: 4, payload: pattern(100) });
    fragment[20] = 0x20;
    expect(cut(fragment, 10).n).toBe(0);
    const lying = tcpFrame({ version: 4, payload: pattern(100) });
    lying[34 + 12] = 0xf0;
    lying[17] = 44;
    expect(cut(lying, 10).n).toBe(0);
    expect(cut(tcpFrame({ version: 6, payload: pattern(3000) }), 2000, 1514).n).toBe(0);
    expect(cut(Uint8Array.from([...MAC_B, 1]), 10).n).toBe(0);
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(70000), fc.constantFrom(0x45, 0x60, 0x4f), (bytes, gsoSize, vhl) => {
        const frame = Uint8Array.from([...MAC_B, ...MAC_B, ...(vhl === 0x60 ? [0x86, 0xdd] : [8, 0]), vhl, ...bytes]);
        const { n, segments } = cut(frame, gsoSize);
        expect(segments.length).toBe(n);
      }),
      { numRuns: 500 },
    );
  });
});

describe('checksums', () => {
  it('completes one whose field holds the pseudo-header sum', () => {
    for (const version of [4, 6] as const) {
      for (const len of [0, 1, 47, 1460]) {
        const frame = tcpFrame({ version, payload: pattern(len), checksum: 'pseudo' });
        completeChecksum(frame, version === 4 ? 34 : 54, 16, frame.length);
        expect(faultOf(frame)).toBeNull();
      }
    }
  });

  it('computes TCP and UDP ones anew, whatever the field holds', () => {
    for (const frame of [
      tcpFrame({ version: 4, payload: pattern(9) }),
      tcpFrame({ version: 6, payload: pattern(9) }),
      udpFrame(pattern(5), 6),
    ]) {
      const before = frame.slice();
      frame[frame.length - 1] = frame[frame.length - 1]! ^ 1;
      expect(faultOf(frame)).toBe('transport checksum');
      frame[frame.length - 1] = frame[frame.length - 1]! ^ 1;
      const at = frame[14] === 0x45 ? 34 + 16 : frame[20] === 6 ? 54 + 16 : 54 + 6;
      frame[at] = frame[at]! ^ 0x5a;
      expect(recomputeChecksum(frame, 0, frame.length, 14, newLayout())).toBe(true);
      expect(frame).toEqual(before);
    }
  });

  it('leaves a UDP datagram without a checksum as it is', () => {
    const frame = udpFrame(pattern(5));
    frame[40] = frame[41] = 0;
    const before = frame.slice();
    expect(recomputeChecksum(frame, 0, frame.length, 14, newLayout())).toBe(false);
    expect(frame).toEqual(before);
  });
});
