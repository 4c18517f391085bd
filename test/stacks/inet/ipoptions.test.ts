/** Options of an ICMP request that come back in the answer (RFC 791 §3.1, RFC 1122 §3.2.2.6, §3.2.2.8), and those that cannot be. */
import { describe, expect, it } from 'vitest';
import { readIp, icmp, ip, ipOf, pattern, ping, ether, cut } from './frames.ts';
import { Host } from './harness.ts';

const DATA = pattern(40);
const US = [10, 0, 0, 2];
const ROUTER = [192, 0, 2, 7];

/** Options of the first packet that left. */
function answered(host: Host, options: readonly number[], fields: { dst?: string } = {}): number[] | null {
  const [frame] = host.exchange(ping(DATA, { options, ...fields }));
  if (frame === undefined) return null;
  const packet = frame.subarray(14);
  const { sumOk, data } = readIp(packet);
  expect(sumOk).toBe(true);
  expect(data).toEqual(icmp(0, 0, (0x1234 << 16) | 1, DATA));
  return [...packet.subarray(20, (packet[0]! & 15) * 4)];
}

/** Milliseconds since midnight, as the option has them. */
const NOW = (host: Host): number[] => {
  const ms = Math.floor(host.kernel.clock.realtimeMs()) % 86_400_000;
  return [ms >>> 24, (ms >> 16) & 255, (ms >> 8) & 255, ms & 255];
};

describe('record route', () => {
  it('comes back with our address behind those of the routers', () => {
    const host = new Host();
    expect(answered(host, [7, 11, 8, ...ROUTER, 0, 0, 0, 0, 0])).toEqual([7, 11, 12, ...ROUTER, ...US, 0]);
    expect(host.count('icmp', 'outoptions')).toBe(1);
  });

  it('that is full comes back as it is', () => {
    expect(answered(new Host(), [7, 7, 8, ...ROUTER, 0])).toEqual([7, 7, 8, ...ROUTER, 0]);
  });

  it('comes back from the address that was asked, behind padding, and without what else there was', () => {
    const host = new Host();
    host.addAddr(host.ifp, '10.0.0.3/24');
    host.run(5000);
    host.sent();
    expect(answered(host, [1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0], { dst: '10.0.0.3' })).toEqual([7, 7, 8, 10, 0, 0, 3, 0]);
  });
});

describe('timestamps', () => {
  it('come back with ours; with addresses; at the address that is named', () => {
    const host = new Host();
    expect(answered(host, [68, 12, 9, 0, 1, 2, 3, 4, 0, 0, 0, 0])).toEqual([68, 12, 13, 0, 1, 2, 3, 4, ...NOW(host)]);
    expect(answered(host, [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0])).toEqual([68, 12, 13, 1, ...US, ...NOW(host)]);
    expect(answered(host, [68, 12, 5, 3, ...US, 0, 0, 0, 0])).toEqual([68, 12, 13, 3, ...US, ...NOW(host)]);
    expect(answered(host, [68, 12, 5, 3, ...ROUTER, 0, 0, 0, 0])).toEqual([68, 12, 5, 3, ...ROUTER, 0, 0, 0, 0]);
  });

  it('that find no room are counted in the option', () => {
    expect(answered(new Host(), [68, 8, 9, 0x20, 1, 2, 3, 4])).toEqual([68, 8, 9, 0x30, 1, 2, 3, 4]);
  });
});

describe('an answer', () => {
  it('has no options when the request had none of these', () => {
    const host = new Host();
    expect(answered(host, [1, 1, 1, 0])).toEqual([]);
    expect(answered(host, [148, 4, 0, 0])).toEqual([]);
    expect(host.count('icmp', 'outoptions')).toBe(0);
  });

  it('to a timestamp request has them too', () => {
    const host = new Host();
    const request = ether(ip(icmp(13, 0, 0x00010001, new Uint8Array(12)), { proto: 1, options: [7, 7, 4, 0, 0, 0, 0, 0] }));
    const [frame] = host.exchange(request);
    expect([...frame!.subarray(34, 42)]).toEqual([7, 7, 8, ...US, 0]);
    expect(ipOf(frame!).data[0]).toBe(14);
  });

  it('that must be cut, or to a request in pieces, goes without them', () => {
    const host = new Host();
    // The widest that goes in one piece, then a narrower link.
    const big = ip(icmp(8, 0, 1, pattern(1452)), { proto: 1, options: [7, 7, 4, 0, 0, 0, 0, 0] });
    expect(big.length).toBe(1488);
    expect(host.exchange(ether(big)).map((f) => f[14]! & 15)).toEqual([7]);
    host.ifp.setMtu(1000);
    expect(host.exchange(ether(big)).map((f) => f[14]! & 15)).toEqual([5, 5]);
    host.ifp.setMtu(1500);
    const whole = ip(icmp(8, 0, 1, pattern(3000)), { proto: 1 });
    const answers = host.exchange(...cut(whole, 1500).map((piece) => ether(piece)));
    expect(answers.map((f) => f[14]! & 15)).toEqual([5, 5, 5]);
  });
});

describe('options that cannot be', () => {
  const cases: readonly [what: string, pointer: number, options: readonly number[]][] = [
    ['record route without a pointer', 21, [7, 2, 0, 0]],
    ['record route whose pointer is inside its own header', 22, [7, 7, 3, 0, 0, 0, 0, 0]],
    ['record route with half a place left', 22, [7, 9, 8, 1, 2, 3, 4, 0, 0, 0, 0, 0]],
    ['timestamps without flags', 21, [68, 3, 5, 0]],
    ['timestamps of an unknown kind', 23, [68, 8, 5, 2, 0, 0, 0, 0]],
    ['timestamps whose pointer is inside its own header', 22, [68, 8, 4, 0, 0, 0, 0, 0]],
    ['timestamps with half a place left', 22, [68, 8, 5, 1, 0, 0, 0, 0]],
    ['timestamps that were missed by more hosts than can be counted', 23, [68, 8, 9, 0xf0, 0, 0, 0, 0]],
  ];
  for (const [what, pointer, options] of cases) {
    it(`${what}: parameter problem at ${pointer}`, () => {
      const host = new Host();
      const [frame] = host.exchange(ping(DATA, { options }));
      expect([...ipOf(frame!).data.subarray(0, 5)].filter((_, i) => i !== 2 && i !== 3)).toEqual([12, 0, pointer]);
      expect(host.count('ip', 'badoptions')).toBe(1);
    });
  }

  it('a source route is refused, loose or strict (RFC 7126): ip.srcroute', () => {
    const host = new Host();
    for (const kind of [131, 137]) expect(host.exchange(ping(DATA, { options: [kind, 7, 4, ...US, 0] }))).toEqual([]);
    expect(host.count('ip', 'srcroute')).toBe(2);
  });
});
