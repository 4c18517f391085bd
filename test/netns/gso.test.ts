/**
 * Checksums and cutting in software, on a real TAP without offload: what the driver writes of a super-frame is, byte for byte, the row of
 * segments that a stack without offload would have sent.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TX_CSUM, TX_TSO4 } from '../../src/kern/packet.ts';
import { pattern, plainSum } from '../driver/frames.ts';
import { Netns, ROOT, describeNetns } from '../support/netns.ts';
import type { Outcome, Sent } from './gso-child.ts';
import * as F from './lro-frames.ts';
import { counter } from './ctl.ts';
import { peer } from './peer.ts';

const CHILD = [
  process.execPath,
  '--import',
  join(ROOT, 'test/support/ts-register.mjs'),
  '--disable-warning=ExperimentalWarning',
  join(ROOT, 'test/netns/gso-child.ts'),
];
const TCP_SUM = 16;
const UDP_SUM = 6;
const BYTES = 3_000_000;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const headers = ({ options = F.timestamp(5000), ipOptions = [] }: Partial<F.SegSpec>): number =>
  14 + 20 + ipOptions.length + 20 + options.length;

interface Given {
  sent: Omit<Sent, 'frame' | 'expected'> & { frame: Uint8Array };
  expected: Uint8Array[];
}

/** A super-frame and its segments. The first `head` bytes of payload lie with the headers, the rest in slices. */
function cutting(spec: F.SegSpec, gsoSize: number, head = 0, slices: number[] = []): Given {
  const { payload, flags = F.TH_ACK, id = 7, seq } = spec;
  const csumStart = 34 + (spec.ipOptions?.length ?? 0);
  const expected: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < payload.length; at += gsoSize) {
    const last = at + gsoSize >= payload.length;
    const drop = (last ? 0 : F.TH_FIN | F.TH_PUSH) | (at > 0 ? F.TH_CWR : 0);
    const piece = payload.subarray(at, at + gsoSize);
    expected.push(
      F.segment({ ...spec, seq: (seq + at) | 0, id: (id + expected.length) & 0xffff, flags: flags & ~drop, payload: piece }),
    );
  }
  const frame = F.segment({ ...spec, id });
  // What the field holds does not matter: the sum of each segment is another.
  const sent = { frame, flags: TX_TSO4 | TX_CSUM, gsoSize, csumStart, csumOffset: TCP_SUM, head: headers(spec) + head, slices };
  return { sent, expected };
}

/** A frame whose checksum field holds the pseudo-header's sum, as a stack leaves it. */
function summing(frame: Uint8Array, csumOffset: number, head: number, slices: number[] = []): Given {
  const partial = frame.slice();
  const len = frame.length - 34;
  const pseudo = plainSum(Uint8Array.from([...frame.subarray(26, 34), 0, frame[23]!, len >> 8, len & 255]));
  partial[34 + csumOffset] = pseudo >> 8;
  partial[35 + csumOffset] = pseudo & 255;
  return { sent: { frame: partial, flags: TX_CSUM, gsoSize: 0, csumStart: 34, csumOffset, head, slices }, expected: [frame] };
}

async function run(ns: Netns, given: readonly Given[], vnetHdr = false): Promise<Outcome[]> {
  const list = given.map(({ sent, expected }): Sent => ({
    ...sent,
    frame: Buffer.from(sent.frame).toString('base64'),
    expected: expected.length,
  }));
  return JSON.parse(await ns.must([...CHILD, JSON.stringify({ vnetHdr })], { input: JSON.stringify(list), timeoutMs: 120_000 }));
}

/** All of them left as they should. */
function check(given: readonly Given[], outcomes: readonly Outcome[]): void {
  given.forEach(({ sent, expected }, k) => {
    const { error, frames, cut, invalid } = outcomes[k]!;
    expect([k, error, invalid, cut]).toEqual([k, null, 0, sent.gsoSize === 0 ? 0 : expected.length]);
    const came = frames.map((frame) => Buffer.from(frame, 'base64').toString('hex'));
    const wrong = expected.findIndex((frame, i) => came[i] !== hex(frame));
    expect([k, came.length, wrong, came[wrong]]).toEqual([k, expected.length, -1, undefined]);
  });
}

describeNetns('a TAP without offload, sending', () => {
  let ns: Netns;
  beforeAll(async () => {
    ns = await Netns.create();
  });
  afterAll(() => ns?.remove());

  it.each([false, true])('cuts super-frames into what would have been sent (virtio headers: %s)', async (vnetHdr) => {
    const all = F.TH_ACK | F.TH_PUSH | F.TH_FIN | F.TH_CWR | F.TH_ECE;
    const given = [
      cutting({ seq: 100, payload: pattern(3 * 1448) }, 1448),
      cutting({ seq: 0x7ffffff0, payload: pattern(3 * 1448 + 1), flags: all }, 1448, 700, [701, 1449]),
      // Sequence numbers and identifications wrap.
      cutting({ seq: -20, id: 0xfffe, payload: pattern(5 * 100), flags: all }, 100, 3, [1, 1, 255]),
      cutting({ seq: 1, payload: pattern(65_000) }, 1448, 0, [30_001, 20_001]),
      cutting({ seq: 1, payload: pattern(2000), options: [] }, 536, 1),
      cutting({ seq: 1, payload: pattern(2000), ipOptions: [7, 3, 4, 0], options: F.timestamp(9) }, 999, 5, [500]),
      // One byte each, and no more than one segment's worth.
      cutting({ seq: 1, payload: pattern(9), flags: all }, 1),
      cutting({ seq: 1, payload: pattern(500), flags: all }, 1448, 250),
      cutting({ seq: 1, payload: new Uint8Array(0), flags: all }, 1448),
    ];
    check(given, await run(ns, given, vnetHdr));
  });

  it('completes checksums, of slices with odd lengths too', async () => {
    const tcp = (n: number): Uint8Array => F.segment({ seq: 5, payload: pattern(n) });
    const given = [
      summing(tcp(0), TCP_SUM, 66),
      summing(tcp(1), TCP_SUM, 66),
      summing(tcp(1448), TCP_SUM, 1514),
      summing(tcp(1448), TCP_SUM, 67, [333, 1, 500]),
      summing(tcp(1447), TCP_SUM, 66, [1, 1, 1]),
    ];
    // A datagram whose sum is zero says 0xffff (RFC 768).
    const udp = Uint8Array.from([...tcp(0).subarray(0, 34), 0, 53, 0, 7, 0, 10, 0, 0, 0, 0]);
    udp[17] = 30;
    udp[23] = 17;
    const fixSum = (at: number, from: number, to: number): void => {
      udp[at] = udp[at + 1] = 0;
      const sum = ~plainSum(udp.subarray(from, to)) & 0xffff;
      udp[at] = sum >> 8;
      udp[at + 1] = sum & 255;
    };
    fixSum(24, 14, 34);
    const pseudo = plainSum(Uint8Array.from([...udp.subarray(26, 34), 0, 17, 0, 10, ...udp.subarray(34, 40)]));
    udp[42] = (~pseudo >> 8) & 0xff;
    udp[43] = ~pseudo & 0xff;
    udp[40] = udp[41] = 0xff;
    given.push(summing(udp, UDP_SUM, udp.length));
    check(given, await run(ns, given));
  });

  it('cuts what chance makes, as often as one likes', async () => {
    let state = 0x2545f491;
    const random = (n: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    const given = Array.from({ length: 200 }, () => {
      const payload = pattern(1 + random(12_000));
      const options = Array.from({ length: 4 * random(11) }, () => 1);
      const slices = Array.from({ length: random(4) }, () => 1 + random(4000));
      const flags = F.TH_ACK | random(256);
      const gsoSize = 1 + Math.max(Math.floor(payload.length / 100), random(1400));
      const spec = { seq: random(2 ** 32) | 0, id: random(65_536), payload, options, flags, reserved: random(2) };
      return cutting(spec, gsoSize, Math.min(payload.length, random(1500)), slices);
    });
    check(given, await run(ns, given));
  });

  it('refuses and counts what is no super-frame of TCP, and writes none of it', async () => {
    const good = cutting({ seq: 1, payload: pattern(3000) }, 1448);
    const bad = (change: (frame: Uint8Array) => void): Given => {
      const frame = good.sent.frame.slice();
      change(frame);
      return { sent: { ...good.sent, frame }, expected: [] };
    };
    const given = [
      bad((f) => (f[23] = 17)),
      bad((f) => (f[14] = 0x65)),
      bad((f) => (f[14] = 0x46)),
      bad((f) => (f[12] = 0x86)),
      // The data offset says more, and less, than there is.
      bad((f) => (f[46] = 0xf0)),
      bad((f) => (f[46] = 0x40)),
      { sent: { ...good.sent, csumStart: 30 }, expected: [] },
    ];
    for (const [k, { frames, cut, invalid }] of (await run(ns, given)).entries())
      expect([k, frames, cut, invalid]).toEqual([k, [], 0, 1]);
  });

  it.each(['inet', 'alt'])(
    '%s sends bulk in super-frames that the driver cuts, and segments when it is told to',
    async (stack) => {
      const boot = await ns.boot([
        `--stack=${stack}`,
        '--service=echo',
        '--log=warn',
        '--offload=off',
        `--ctl=${join(ns.dir, 'ctl.sock')}`,
      ]);
      expect(await peer(ns, 'tcpecho', '10.0.0.2', 7, BYTES)).toEqual({ echoed: BYTES });
      const cut = await counter(boot, 'txcut');
      expect(cut).toBeGreaterThan(BYTES / 1460 / 2);
      const tools = [process.execPath, join(ROOT, 'dist/tools/main.js'), `--ctl=${boot.ctl}`, 'ifconfig', 'tap0'];
      await ns.must([...tools, '-tso4', '-txcsum']);
      expect(await peer(ns, 'tcpecho', '10.0.0.2', 7, BYTES)).toEqual({ echoed: BYTES });
      expect(await counter(boot, 'txcut')).toBe(cut);
      await boot.stop();
    },
  );
});
