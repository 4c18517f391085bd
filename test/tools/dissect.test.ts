/** Frames as lines of text: known ones word by word, and that no bytes whatever make it throw. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Dissector, linkText } from '../../src/tools/dissect.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const ETHER = '020000000002 020000000001';

describe('the dissector', () => {
  const d = new Dissector();

  it.each([
    [
      'ARP request',
      `ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002`,
      'ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28',
    ],
    [
      'ARP reply',
      `${ETHER} 0806 0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002`,
      'ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28',
    ],
    [
      'ICMP echo',
      `${ETHER} 0800 4500001c 00000000 4001 0000 0a000001 0a000002 0800 0000 1234 0007`,
      'IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 4660, seq 7, length 8',
    ],
    [
      'UDP',
      `${ETHER} 0800 45000021 00000000 4011 0000 0a000001 0a000002 1000 0007 000d 0000 68656c6c6f`,
      'IP 10.0.0.1.4096 > 10.0.0.2.7: UDP, length 5',
    ],
    [
      'TCP SYN',
      `${ETHER} 0800 4500003c 00000000 4006 0000 0a000001 0a000002 1000 0050 00000010 00000000 a002 ffff 0000 0000 020405b4 0402 080a00000001 00000000 01 030307`,
      'IP 10.0.0.1.4096 > 10.0.0.2.80: Flags [S], seq 16, win 65535, options [mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7], length 0',
    ],
    [
      'a later fragment',
      `${ETHER} 0800 4500001c 00010010 4011 0000 0a000001 0a000002 0000000000000000`,
      'IP 10.0.0.1 > 10.0.0.2: udp fragment, id 1, offset 128, length 8',
    ],
    ['a strange type', `${ETHER} 88cc 0000`, '02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 0x88cc, length 16'],
    [
      'ICMPv6',
      `${ETHER} 86dd 60000000 0018 3a ff fe800000000000000000000000000001 ff0200000000000000000001ff000002 8700 0000 00000000 fe800000000000000000000000000002`,
      'IP6 fe80::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has fe80::2, length 24',
    ],
    ['nothing much', '0200', '[|ether] 2 bytes'],
  ])('%s', (_, frame, line) => {
    expect(d.ethernet(hex(frame))).toBe(line);
  });

  it('shows numbers relative to the first of the connection, and absolute ones when asked', () => {
    const segment = (from: string, to: string, seq: string, ack: string, flags: string, text = ''): Uint8Array =>
      hex(
        `450000${(40 + text.length / 2).toString(16).padStart(2, '0')} 00000000 4006 0000 ${from} ${to} 1000 1000 ${seq} ${ack} 50${flags} 1000 0000 0000 ${text}`,
      );
    const [a, b] = ['0a000001', '0a000002'];
    for (const absolute of [false, true]) {
      const dissector = new Dissector({ absolute });
      dissector.ip(segment(a, b, 'fffffff0', '00000000', '02'));
      dissector.ip(segment(b, a, '00000064', 'fffffff1', '12'));
      const line = dissector.ip(segment(a, b, 'fffffff1', '00000065', '18', '00'.repeat(32)));
      expect(line).toContain(absolute ? 'seq 4294967281:17, ack 101,' : 'seq 1:33, ack 1,');
    }
  });

  it('never throws, whatever the bytes, and makes one line', () => {
    const frame = fc.uint8Array({ maxLength: 120 });
    const typed = fc
      .tuple(fc.constantFrom('0800', '0806', '86dd'), fc.constantFrom('45', '46', '4f', '60', '00'), frame)
      .map(([type, version, rest]) => Uint8Array.from([...hex(`${ETHER}${type}${version}`), ...rest]));
    const proto = fc
      .tuple(fc.constantFrom(1, 2, 6, 17, 47, 58), fc.nat(0xffff), frame)
      .map(([p, len, rest]) =>
        Uint8Array.from([
          ...hex(`${ETHER}08004500`),
          len >> 8,
          len & 255,
          0,
          0,
          0,
          0,
          64,
          p,
          ...hex('00000a0000010a000002'),
          ...rest,
        ]),
      );
    const dissector = new Dissector();
    fc.assert(
      fc.property(fc.oneof(frame, typed, proto), fc.nat(70000), (bytes, len) => {
        expect(dissector.ethernet(bytes, len)).not.toMatch(/undefined|NaN|\n/);
        expect(dissector.ip(bytes)).not.toMatch(/undefined|NaN|\n/);
        expect(linkText(bytes, len)).toContain(`length ${len}`);
      }),
      { numRuns: 5000 },
    );
  });
});
