/** Headers as the standards draw them: what is written can be read back, and published packets read right. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ARP_LEN,
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SHA,
  ARP_THA,
  arpIsInet,
  arpOper,
  arpSpa,
  arpTpa,
  putArp,
} from '../../src/wire/arp.ts';
import { get16, get32, get8, put16, put32 } from '../../src/wire/bytes.ts';
import { complement, pseudoSum, sum16 } from '../../src/wire/checksum.ts';
import { ipv4 } from '../../src/wire/addr.ts';
import {
  ETHERTYPE_ARP,
  ETHER_BROADCAST,
  etherType,
  macEqual,
  macIsBroadcast,
  macIsGroup,
  macToString,
  parseMac,
  putEther,
} from '../../src/wire/ethernet.ts';
import {
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_PARAMPROB,
  ICMP_REDIRECT,
  ICMP_SOURCEQUENCH,
  ICMP_TIMXCEED,
  ICMP_TSTAMP,
  ICMP_UNREACH,
  icmpIsError,
  icmpNextMtu,
  putIcmpSum,
} from '../../src/wire/icmp.ts';
import {
  IP_HDR_LEN,
  IP_ID,
  IP_OFF,
  IP_PROTO,
  IP_TOS,
  IP_TTL,
  ipDst,
  ipHdrLen,
  ipLen,
  ipSrc,
  ipSumOk,
  ipVersion,
} from '../../src/wire/ipv4.ts';
import { putIpSum, putIpv4 } from '../../src/wire/ipv4.ts';
import { seqGeq, seqGt, seqLeq, seqLt, seqMax, seqMin } from '../../src/wire/seq.ts';
import { UDP_HDR_LEN, putUdp } from '../../src/wire/udp.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('bytes', () => {
  it('writes and reads big-endian, 32 bits as a signed number', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(0xffff), fc.nat(8), (v, w, at) => {
        const b = new Uint8Array(16);
        put32(b, at, v);
        expect(get32(b, at)).toBe(v);
        expect(new DataView(b.buffer).getInt32(at)).toBe(v);
        put16(b, at, w);
        expect(get16(b, at)).toBe(w);
      }),
    );
    expect(get32(hex('ffffffff'), 0)).toBe(-1);
  });

  it('reads zero behind the end and writes nothing there', () => {
    const b = new Uint8Array(4);
    put32(b, 2, 0x11223344);
    expect(toHex(b)).toBe('00001122');
    expect([get8(b, 9), get16(b, 9), get32(b, 9)]).toEqual([0, 0, 0]);
    expect(get32(b, 2)).toBe(0x11220000);
  });
});

describe('Ethernet (RFC 894)', () => {
  it('writes destination, source, type', () => {
    const b = new Uint8Array(16);
    putEther(b, 1, ETHER_BROADCAST, parseMac('02:00:5e:10:00:01')!, ETHERTYPE_ARP);
    expect(toHex(b)).toBe('00ffffffffffff02005e100001080600');
    expect(etherType(b, 1)).toBe(ETHERTYPE_ARP);
    expect([macIsBroadcast(b, 1), macIsGroup(b, 1), macIsGroup(b, 7)]).toEqual([true, true, false]);
  });

  it('reads and writes addresses as text', () => {
    const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(mac, mac, (a, b) => {
        expect(parseMac(macToString(a))).toEqual(a);
        expect(macEqual(a, 0, b)).toBe(toHex(a) === toHex(b));
      }),
    );
    for (const bad of ['', '1:2:3:4:5', '1:2:3:4:5:6:7', '100:2:3:4:5:6', 'g:2:3:4:5:6', '1-2-3-4-5-6'])
      expect(parseMac(bad)).toBeNull();
  });
});

describe('ARP (RFC 826)', () => {
  const request = hex('0001 0800 0604 0001 020000000001 0a000001 000000000000 0a000002');

  it('reads a request', () => {
    expect(arpIsInet(request, 0)).toBe(true);
    expect([arpOper(request, 0), arpSpa(request, 0), arpTpa(request, 0)]).toEqual([ARP_REQUEST, 0x0a000001, 0x0a000002]);
    expect(macEqual(request, ARP_SHA, parseMac('02:00:00:00:00:01')!)).toBe(true);
  });

  it('writes the same bytes', () => {
    const b = new Uint8Array(ARP_LEN);
    putArp(b, 0, ARP_REQUEST, parseMac('2:0:0:0:0:1')!, 0x0a000001, new Uint8Array(6), 0x0a000002);
    expect(toHex(b)).toBe(toHex(request));
    putArp(b, 0, ARP_REPLY, parseMac('2:0:0:0:0:2')!, 0x0a000002, parseMac('2:0:0:0:0:1')!, 0x0a000001);
    expect(arpOper(b, 0)).toBe(ARP_REPLY);
    expect(macEqual(b, ARP_THA, parseMac('2:0:0:0:0:1')!)).toBe(true);
  });

  it('refuses another hardware, protocol or length', () => {
    for (const at of [1, 2, 4, 5]) {
      const other = request.slice();
      other[at] = (other[at] ?? 0) + 1;
      expect(arpIsInet(other, 0), `byte ${at}`).toBe(false);
    }
  });
});

describe('IPv4 (RFC 791)', () => {
  it('writes a header that reads back and sums up', () => {
    const byte = fc.nat(255);
    const word = fc.nat(65535);
    fc.assert(
      fc.property(word, word, word, byte, byte, byte, fc.integer(), fc.integer(), (len, id, off, tos, ttl, proto, src, dst) => {
        const b = new Uint8Array(30);
        putIpv4(b, 5, len, id, off, tos, ttl, proto, src, dst);
        expect([ipVersion(b, 5), ipHdrLen(b, 5), ipLen(b, 5), ipSrc(b, 5), ipDst(b, 5)]).toEqual([4, 20, len, src, dst]);
        expect([
          get16(b, 5 + IP_ID),
          get16(b, 5 + IP_OFF),
          get8(b, 5 + IP_TOS),
          get8(b, 5 + IP_TTL),
          get8(b, 5 + IP_PROTO),
        ]).toEqual([id, off, tos, ttl, proto]);
        expect(ipSumOk(b, 5, IP_HDR_LEN)).toBe(true);
        const fast = get16(b, 15);
        putIpSum(b, 5, IP_HDR_LEN);
        expect(get16(b, 15) % 0xffff).toBe(fast % 0xffff);
      }),
    );
  });

  it('notices any single changed byte of a header', () => {
    const b = new Uint8Array(20);
    putIpv4(b, 0, 84, 1, 0x4000, 0, 64, 1, 0x0a000001, 0x0a000002);
    for (let i = 0; i < 20; i++) {
      const changed = b.slice();
      changed[i] = (changed[i] ?? 0) ^ 0x10;
      expect(ipSumOk(changed, 0, 20)).toBe(false);
    }
  });
});

describe('ICMP (RFC 792)', () => {
  it('knows errors from queries (RFC 1122 §3.2.2)', () => {
    for (const type of [ICMP_UNREACH, ICMP_SOURCEQUENCH, ICMP_REDIRECT, ICMP_TIMXCEED, ICMP_PARAMPROB])
      expect(icmpIsError(type)).toBe(true);
    for (const type of [ICMP_ECHO, ICMP_ECHOREPLY, ICMP_TSTAMP, 14, 17, 18, 255]) expect(icmpIsError(type)).toBe(false);
  });

  it('sums a message, whatever the field held', () => {
    const b = hex('0800 ffff 0001 0002 61626364');
    putIcmpSum(b, 0, b.length);
    expect(sum16(b, 0, b.length, 0)).toBe(0xffff);
  });

  it('reads the MTU of "fragmentation needed" (RFC 1191 §4)', () => {
    expect(icmpNextMtu(hex('0304 0000 0000 05dc'), 0)).toBe(1500);
  });
});

describe('UDP (RFC 768)', () => {
  it('writes a header whose checksum a receiver finds right', () => {
    const data = Buffer.from('some data');
    const b = new Uint8Array(UDP_HDR_LEN + data.length);
    const pseudo = pseudoSum(ipv4(0x0a000001), ipv4(0x0a000002), 17, b.length);
    b.set(data, UDP_HDR_LEN);
    putUdp(b, 0, 7, 5353, b.length, 0);
    putUdp(b, 0, 7, 5353, b.length, complement(sum16(b, 0, b.length, pseudo)));
    expect(toHex(b.subarray(0, 6))).toBe('000714e90011');
    expect(sum16(b, 0, b.length, pseudo)).toBe(0xffff);
  });
});

describe('sequence numbers (RFC 9293 §3.4)', () => {
  it('orders what is less than half the space apart, across the wrap', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 0x7fffffff }), (a, n) => {
        const b = (a + n) | 0;
        expect([seqLt(a, b), seqLeq(a, b), seqGt(b, a), seqGeq(b, a)]).toEqual([true, true, true, true]);
        expect([seqLt(b, a), seqGt(a, b), seqLt(a, a), seqGeq(a, a)]).toEqual([false, false, false, true]);
        expect([seqMax(a, b), seqMin(a, b)]).toEqual([b, a]);
      }),
    );
  });
});
