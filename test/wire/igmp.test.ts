import { describe, expect, it } from 'vitest';
import { sum16 } from '../../src/wire/checksum.ts';
import { IGMP_V2_REPORT, igmpFloat, igmpQueryVersion, igmpSources, putIgmp } from '../../src/wire/igmp.ts';

describe('IGMP', () => {
  it('codes are plain below 128, then mantissa and exponent (RFC 3376 §4.1.1)', () => {
    expect([0, 1, 127].map(igmpFloat)).toEqual([0, 1, 127]);
    // (mant | 0x10) << (exp + 3)
    expect([0x80, 0x8f, 0x90, 0xff].map(igmpFloat)).toEqual([128, 248, 256, 31744]);
  });

  it('versions of a query are told by length and code (§7.1)', () => {
    const b = new Uint8Array(16);
    expect(igmpQueryVersion(b, 0, 8)).toBe(1);
    b[1] = 1;
    expect([8, 9, 11, 12, 16].map((len) => igmpQueryVersion(b, 0, len))).toEqual([2, 0, 0, 3, 3]);
  });

  it('sources of a query fit its length, or there are -1', () => {
    const b = new Uint8Array(20);
    b[11] = 2;
    expect([igmpSources(b, 0, 20), igmpSources(b, 0, 19)]).toEqual([2, -1]);
  });

  it('a message has its group and checksum', () => {
    const b = new Uint8Array(10).fill(0xee);
    putIgmp(b, 1, IGMP_V2_REPORT, 0xef010203 | 0);
    expect([...b.subarray(1, 3), ...b.subarray(5, 9)]).toEqual([0x16, 0, 239, 1, 2, 3]);
    expect(sum16(b, 1, 8, 0)).toBe(0xffff);
    expect([b[0], b[9]]).toEqual([0xee, 0xee]);
  });
});
