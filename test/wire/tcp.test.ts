/** TCP headers and options: RFC 9293 §3.1 and §3.2, RFC 7323, RFC 2018. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { get16, get32, get8 } from '../../src/wire/bytes.ts';
import {
  TCP_ACK,
  TCP_DPORT,
  TCP_FLAGS,
  TCP_SEQ,
  TCP_SPORT,
  TCP_SUM,
  TCP_WIN,
  TcpOptions,
  parseTcpOptions,
} from '../../src/wire/tcp.ts';
import { putTcp, putTstamp, tcpHdrLen } from '../../src/wire/tcp.ts';

const parse = (...bytes: number[]): { ok: boolean; o: TcpOptions } => {
  const o = new TcpOptions();
  const b = Uint8Array.from(bytes);
  return { ok: parseTcpOptions(b, 0, b.length, o), o };
};
const word = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];

describe('header', () => {
  it('writes what reads back, and leaves checksum and urgent pointer zero', () => {
    const port = fc.nat(65535);
    fc.assert(
      fc.property(
        port,
        port,
        fc.integer(),
        fc.integer(),
        fc.integer({ min: 5, max: 15 }),
        fc.nat(255),
        port,
        (sp, dp, seq, ack, words, flags, win) => {
          const b = new Uint8Array(64).fill(0xee);
          putTcp(b, 2, sp, dp, seq, ack, words * 4, flags, win);
          expect([get16(b, 2 + TCP_SPORT), get16(b, 2 + TCP_DPORT), get32(b, 2 + TCP_SEQ), get32(b, 2 + TCP_ACK)]).toEqual([
            sp,
            dp,
            seq,
            ack,
          ]);
          expect([tcpHdrLen(b, 2), get8(b, 2 + TCP_FLAGS), get16(b, 2 + TCP_WIN), get32(b, 2 + TCP_SUM)]).toEqual([
            words * 4,
            flags,
            win,
            0,
          ]);
        },
      ),
    );
  });
});

describe('options', () => {
  it('reads those of a typical SYN in any order, with and without padding', () => {
    const groups = [[2, 4, 5, 0xb4], [4, 2], [8, 10, ...word(7), ...word(9)], [3, 3, 7], [1], [1]];
    fc.assert(
      fc.property(fc.shuffledSubarray(groups, { minLength: 6, maxLength: 6 }), fc.nat(3), (order, pad) => {
        const { ok, o } = parse(...order.flat(), ...new Array<number>(pad).fill(0));
        expect(ok).toBe(true);
        expect([o.mss, o.sackPermitted, o.hasTs, o.tsVal, o.tsEcr, o.wscale]).toEqual([1460, true, true, 7, 9, 7]);
      }),
    );
  });

  it('MUST-6: passes over unknown kinds, MUST-64: and stops at the end of the list', () => {
    expect(parse(253, 6, 1, 2, 3, 4, 2, 4, 1, 0).o.mss).toBe(256);
    expect(parse(0, 2, 4, 1, 0).o.mss).toBe(0);
  });

  it('MUST-7: copes with a length that cannot be, and keeps what came before', () => {
    for (const bad of [[8, 0], [8, 1], [8, 11, 0], [5], [253, 255, 0]]) {
      const { ok, o } = parse(2, 4, 1, 0, ...bad);
      expect(ok, String(bad)).toBe(false);
      expect(o.mss).toBe(256);
    }
  });

  it('ignores a known kind of the wrong length', () => {
    const { ok, o } = parse(2, 3, 1, 3, 4, 1, 1, 4, 3, 1, 8, 4, 0, 0, 5, 9, 0, 0, 0, 0, 0, 0, 0);
    expect(ok).toBe(true);
    expect([o.mss, o.wscale, o.sackPermitted, o.hasTs, o.nsack]).toEqual([0, -1, false, false, 0]);
  });

  it('RFC 7323 §2.3: a shift above 14 counts as 14', () => {
    expect(parse(3, 3, 15).o.wscale).toBe(14);
    expect(parse(3, 3, 255).o.wscale).toBe(14);
    expect(parse(3, 3, 0).o.wscale).toBe(0);
  });

  it('reads up to four SACK blocks, signed, in their order', () => {
    const edges = [0xfffffff0, 5, 100, 200, 300, 400, 500, 600];
    const { o } = parse(5, 34, ...edges.flatMap(word));
    expect(o.nsack).toBe(4);
    expect([...o.sack]).toEqual(edges.map((e) => e | 0));
  });

  it('reads the usual timestamp fast, also with a SACK behind it', () => {
    const b = new Uint8Array(24);
    putTstamp(b, 0, -1, 0x7fffffff);
    b.set([1, 1, 5, 10, ...word(10), ...word(20)], 12);
    const o = new TcpOptions();
    expect(parseTcpOptions(b, 0, 24, o)).toBe(true);
    expect([o.hasTs, o.tsVal, o.tsEcr, o.nsack, o.sack[0], o.sack[1]]).toEqual([true, -1, 0x7fffffff, 1, 10, 20]);
    expect(parseTcpOptions(b, 0, 12, o)).toBe(true);
    expect(o.nsack).toBe(0);
  });

  it('forgets the options of the segment before', () => {
    const o = new TcpOptions();
    parseTcpOptions(Uint8Array.of(2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 0), 0, 10, o);
    parseTcpOptions(new Uint8Array(0), 0, 0, o);
    expect([o.mss, o.wscale, o.sackPermitted, o.hasTs, o.nsack]).toEqual([0, -1, false, false, 0]);
  });

  it('ends on any bytes, within them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const o = new TcpOptions();
        const padded = new Uint8Array(bytes.length + 8).fill(2);
        padded.set(bytes);
        parseTcpOptions(padded, 0, bytes.length, o);
        expect(o.nsack).toBeLessThanOrEqual(4);
        expect(o.wscale).toBeLessThanOrEqual(14);
      }),
    );
  });
});
