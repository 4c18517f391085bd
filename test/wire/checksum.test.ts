/** The Internet checksum against RFC 1071, RFC 1624 and a sum computed the slow way. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IpAddrBuf, ipv4 } from '../../src/wire/addr.ts';
import { adjust, complement, fold, pseudoSum, sum16 } from '../../src/wire/checksum.ts';

/** One's-complement sum with unbounded integers (RFC 1071 §1). */
function naiveSum(bytes: readonly number[], start = 0): number {
  let sum = BigInt(start);
  for (let i = 0; i < bytes.length; i += 2) sum += BigInt(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum);
}

describe('sum16', () => {
  it('gives the sum of the example of RFC 1071 §3', () => {
    expect(sum16(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8, 0)).toBe(0xddf2);
  });

  it('verifies a header as published (IPv4, 20 bytes, checksum b861)', () => {
    const header = Uint8Array.from(Buffer.from('45000073000040004011b861c0a80001c0a800c7', 'hex'));
    expect(sum16(header, 0, 20, 0)).toBe(0xffff);
    header[10] = header[11] = 0;
    expect(complement(sum16(header, 0, 20, 0))).toBe(0xb861);
  });

  it('agrees with the slow sum at every length, alignment and start', () => {
    const arb = fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.nat(7), fc.nat(0xffff));
    fc.assert(
      fc.property(arb, ([data, off, start]) => {
        const bytes = new Uint8Array(off + data.length + 3).fill(0xa5);
        bytes.set(data, off);
        expect(sum16(bytes, off, data.length, start)).toBe(naiveSum([...data], start));
      }),
    );
  });

  it('does not overflow on the longest packet of ones', () => {
    for (const len of [65535, 65534, 70001]) {
      const bytes = new Uint8Array(len).fill(0xff);
      expect(sum16(bytes, 0, len, 0xffff)).toBe(naiveSum([...bytes], 0xffff));
    }
  });

  it('reads a view into a larger buffer where the view begins', () => {
    const whole = Uint8Array.from({ length: 200 }, (_, i) => i);
    const view = whole.subarray(3, 150);
    expect(sum16(view, 5, 101, 0)).toBe(naiveSum([...view.subarray(5, 106)]));
  });
});

describe('pieces of a sum', () => {
  it('adds up over a split at an even place', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 400 }), fc.nat(200), (data, half) => {
        const cut = Math.min(data.length, half * 2);
        const first = sum16(data, 0, cut, 0);
        expect(sum16(data, cut, data.length - cut, first)).toBe(naiveSum([...data]));
      }),
    );
  });

  it('folds any sum below 2^32 into 16 bits', () => {
    fc.assert(
      fc.property(fc.nat(0x7fffffff), (n) => {
        expect(fold(n)).toBeLessThanOrEqual(0xffff);
        expect(fold(n) % 0xffff).toBe(n % 0xffff);
      }),
    );
    expect(fold(0xffffffff)).toBe(0xffff);
  });
});

describe('adjust', () => {
  it('gives the example of RFC 1624 §4, and not zero', () => {
    expect(adjust(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  it('does what a fresh sum does', () => {
    const arb = fc.tuple(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.integer({ min: 1, max: 9 }), fc.nat(0xffff));
    fc.assert(
      fc.property(arb, ([data, word, value]) => {
        const bytes = Uint8Array.from(data);
        bytes[0] = bytes[1] = 0;
        const before = ((bytes[word * 2] ?? 0) << 8) | (bytes[word * 2 + 1] ?? 0);
        const field = complement(sum16(bytes, 0, 20, 0));
        bytes[word * 2] = value >>> 8;
        bytes[word * 2 + 1] = value & 0xff;
        const fresh = complement(sum16(bytes, 0, 20, 0));
        // The two zeros of one's complement are one number.
        expect(adjust(field, before, value) % 0xffff).toBe(fresh % 0xffff);
      }),
    );
  });
});

describe('pseudoSum', () => {
  it('covers the twelve bytes of RFC 9293 §3.1', () => {
    const words = fc.integer();
    fc.assert(
      fc.property(words, words, fc.nat(255), fc.nat(65535), (src, dst, protocol, len) => {
        const bytes = Buffer.alloc(12);
        bytes.writeInt32BE(src, 0);
        bytes.writeInt32BE(dst, 4);
        bytes[9] = protocol;
        bytes.writeUInt16BE(len, 10);
        expect(pseudoSum(ipv4(src), ipv4(dst), protocol, len)).toBe(naiveSum([...bytes]));
      }),
    );
  });

  it('covers the forty bytes of RFC 8200 §8.1', () => {
    const words = fc.array(fc.integer(), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(words, fc.nat(255), fc.nat(70000), (w, protocol, len) => {
        const [src, dst] = [0, 4].map((at) => {
          const a = new IpAddrBuf();
          [a.w0 = 0, a.w1 = 0, a.w2 = 0, a.w3 = 0] = w.slice(at, at + 4);
          a.w0 |= 0x20000000;
          return a;
        }) as [IpAddrBuf, IpAddrBuf];
        const bytes = Buffer.alloc(40);
        [src, dst].forEach((a, i) => [a.w0, a.w1, a.w2, a.w3].forEach((v, j) => bytes.writeInt32BE(v, i * 16 + j * 4)));
        bytes.writeUInt32BE(len, 32);
        bytes[39] = protocol;
        expect(pseudoSum(src, dst, protocol, len)).toBe(naiveSum([...bytes]));
      }),
    );
  });
});
