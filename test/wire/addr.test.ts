/** Addresses: RFC 4291 and RFC 5952 text, prefixes, kinds; IPv4 as the mapped address. */
import fc from 'fast-check';
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import {
  ANY4,
  ANY6,
  type IpAddr,
  IpAddrBuf,
  addrEqual,
  copyAddr,
  inPrefix,
  ipv4,
  isAny,
  isLoopback,
  isMulticast,
  isV4,
} from '../../src/wire/addr.ts';
import { addrToString, parseAddr, parsePrefix } from '../../src/wire/addrtext.ts';

const addr = (text: string): IpAddr => parseAddr(text)!;
const anyV6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer()), { minLength: 4, maxLength: 4 })
  .map(([a = 0, b = 0, c = 0, d = 0]) => {
    const buf = new IpAddrBuf();
    buf.w0 = a | 0;
    buf.w1 = b | 0;
    buf.w2 = c | 0;
    buf.w3 = d | 0;
    return buf;
  });

describe('text', () => {
  it('writes what RFC 5952 §4 asks', () => {
    const pairs: [string, string][] = [
      ['2001:0db8::0001', '2001:db8::1'],
      ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:DB8::AbCd', '2001:db8::abcd'],
      ['::', '::'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['fe80::1%3', 'fe80::1%3'],
      ['::ffff:192.0.2.1', '192.0.2.1'],
    ];
    for (const [text, canonical] of pairs) expect(addrToString(addr(text))).toBe(canonical);
  });

  it('refuses what is no address', () => {
    const bad = [
      ...['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4 ', '0x7f.0.0.1', '1.2.3.-4'],
      ...[':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::', '12345::', 'g::', '1:', ':1'],
      ...['1.2.3.4::', '1.2.3.4::1', '::1.2.3.4:5', '::1.2.3', 'fe80::1%', 'fe80::1%eth0', '%1', '::%1%2', '::ffff:10.0.0.2%3'],
    ];
    for (const text of bad) expect(parseAddr(text), text).toBeNull();
  });

  it('reads back what it writes, and agrees with two other parsers', () => {
    fc.assert(
      fc.property(fc.oneof(anyV6, fc.integer().map(ipv4)), (a) => {
        const text = addrToString(a);
        expect(addrEqual(addr(text), a)).toBe(true);
        expect(isV4(a) ? isIPv4(text) : isIPv6(text)).toBe(true);
        const other = ipaddr.parse(text);
        expect(other instanceof ipaddr.IPv6 ? other.toRFC5952String() : other.toString()).toBe(text);
      }),
    );
  });

  it('takes exactly the texts that Node takes', () => {
    const piece = fc.constantFrom(':', '::', '.', '0', '1', 'ff', '255', '256', '1.2.3.4', 'abcd', '%1');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (parts) => {
        const text = parts.join('');
        fc.pre(!text.includes('%'));
        expect(parseAddr(text) !== null, text).toBe(isIPv4(text) || isIPv6(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('reads prefixes', () => {
    expect(parsePrefix('10.0.0.2/24')).toEqual({ addr: addr('10.0.0.2'), len: 24 });
    expect(parsePrefix('2001:db8::/128')?.len).toBe(128);
    for (const bad of ['10.0.0.2', '10.0.0.2/33', '::/129', '10.0.0.2/', '10.0.0.2/2/4', '10.0.0.2/-1', 'x/8']) {
      expect(parsePrefix(bad), bad).toBeNull();
    }
  });
});

describe('kinds', () => {
  it('knows any, loopback and multicast in both families', () => {
    for (const a of [ANY4, ANY6, addr('0.0.0.0'), addr('::')]) expect(isAny(a)).toBe(true);
    for (const text of ['127.0.0.1', '127.255.0.1', '::1']) expect(isLoopback(addr(text))).toBe(true);
    for (const text of ['224.0.0.1', '239.255.255.255', 'ff02::1']) expect(isMulticast(addr(text))).toBe(true);
    for (const text of ['0.0.0.1', '10.0.0.1', '223.255.255.255', '240.0.0.1', '::2', '2001:db8::1']) {
      const a = addr(text);
      expect([isAny(a), isLoopback(a), isMulticast(a)]).toEqual([false, false, false]);
    }
  });

  it('copies an address so that the buffer can be used again', () => {
    const buf = new IpAddrBuf().setV4(0x0a000001);
    const copy = copyAddr(buf);
    buf.setV4(1);
    expect(addrToString(copy)).toBe('10.0.0.1');
  });
});

describe('inPrefix', () => {
  it('compares the first bits and no others', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.nat(32), (a, b, len) => {
        const bits = (v: number): string => (v >>> 0).toString(2).padStart(32, '0').slice(0, len);
        expect(inPrefix(ipv4(a), ipv4(b), len)).toBe(bits(a) === bits(b));
      }),
    );
    fc.assert(
      fc.property(anyV6, anyV6, fc.nat(128), (a, b, len) => {
        fc.pre(!isV4(b));
        const bits = (v: IpAddr): string =>
          [v.w0, v.w1, v.w2, v.w3]
            .map((w) => (w >>> 0).toString(2).padStart(32, '0'))
            .join('')
            .slice(0, len);
        expect(inPrefix(a, b, len)).toBe(bits(a) === bits(b));
      }),
    );
  });
});
