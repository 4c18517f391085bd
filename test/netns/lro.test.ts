/**
 * Large receive in software, on a real TAP without offload: what is merged, what is not, and that a stack could not tell: each merged
 * frame, cut again, is byte for byte what was sent, and the order within a connection is the one that it had.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pattern } from '../driver/frames.ts';
import { type Boot, Netns, ROOT, describeNetns } from '../support/netns.ts';
import type { Burst, Outcome } from './lro-child.ts';
import * as F from './lro-frames.ts';
import { ask, counter } from './ctl.ts';
import { peer } from './peer.ts';

const CHILD = [
  process.execPath,
  '--import',
  join(ROOT, 'test/support/ts-register.mjs'),
  '--disable-warning=ExperimentalWarning',
  join(ROOT, 'test/netns/lro-child.ts'),
];
/** Frames of a batch: its table, and what it reads at most where frames go into others. */
const TABLE = 64;
const READS = 256;

interface Came extends F.Received {
  batch: number;
  backlog: boolean;
}

interface Result {
  frames: Came[];
  /** How many segments each of them was made of. */
  groups: number[];
  merged: number;
  superFrames: number;
}

type Given = readonly Uint8Array[] | { frames: readonly Uint8Array[]; lro?: boolean; caps?: number };

/** Writes bursts into a TAP, each at once, and says what the driver handed over of each. */
async function bursts(ns: Netns, given: readonly Given[], options: { join?: string; vnetHdr?: boolean } = {}): Promise<Result[]> {
  const list = given.map((one): Burst => {
    const { frames, ...rest } = 'frames' in one ? one : { frames: one };
    return { ...rest, frames: frames.map((bytes) => Buffer.from(bytes).toString('base64')) };
  });
  const out = await ns.must([...CHILD, JSON.stringify(options)], { input: JSON.stringify(list), timeoutMs: 120_000 });
  return (JSON.parse(out) as (Outcome | null)[]).map((outcome) => {
    const { frames, merged, superFrames } = outcome ?? { frames: [], merged: 0, superFrames: 0 };
    const came = frames.map((frame) => ({ ...frame, bytes: Uint8Array.from(Buffer.from(frame.bytes, 'base64')) }));
    return { frames: came, groups: came.map((frame) => F.split(frame).length), merged, superFrames };
  });
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Each connection's segments, in order, are those that were sent, and each merged frame is one that a stack can take. */
function sameAsSent(sent: readonly Uint8Array[], { frames, groups, merged, superFrames }: Result): void {
  const perFlow = (list: readonly Uint8Array[]): Map<string, string[]> => {
    const flows = new Map<string, string[]>();
    for (const frame of list) {
      const flow = F.flowOf(frame);
      flows.set(flow, [...(flows.get(flow) ?? []), hex(frame)]);
    }
    return flows;
  };
  expect(perFlow(frames.flatMap(F.split))).toEqual(perFlow(sent));
  const supers = frames.filter(({ gsoSize }) => gsoSize > 0);
  expect(supers.map(F.faultOfMerged).filter((fault) => fault !== null)).toEqual([]);
  expect([superFrames, merged]).toEqual([supers.length, groups.reduce((sum, n) => sum + n - 1, 0)]);
}

/** `n` segments one behind the other; `change` alters the one with its number. */
function row(n: number, change: (i: number) => Partial<F.SegSpec> = () => ({}), first = 0x7ffff000): Uint8Array[] {
  let seq = first;
  return Array.from({ length: n }, (_, i) => {
    const spec = { seq, payload: pattern(100 + i).subarray(i), ...change(i) };
    seq = (spec.seq + spec.payload.length) >>> 0;
    return F.segment(spec);
  });
}

/** Three segments, the second altered: of how many segments the frames are, and which are marked (all, if not said). */
const MIDDLE: readonly [string, Partial<F.SegSpec>, number[], boolean[]?][] = [
  ['nothing', {}, [3]],
  ['its type of service', { tos: 0x10 }, [1, 1, 1]],
  ['its ECN bits', { tos: 3 }, [1, 1, 1]],
  ['its TTL', { ttl: 63 }, [1, 1, 1]],
  ['DF', { fragment: 0 }, [1, 1, 1]],
  ['a fragment', { fragment: 0x2000 }, [1, 1, 1], [true, false, true]],
  ['a later fragment', { fragment: 0x0010 }, [1, 1, 1], [true, false, true]],
  ['options of IP', { ipOptions: [1, 1, 1, 0] }, [1, 1, 1], [true, false, true]],
  ['the station that sent it', { smac: [2, 0, 0, 0, 0, 3] }, [1, 1, 1]],
  ['the station that it is for', { dmac: [2, 0, 0, 0, 0, 7] }, [1, 1, 1]],
  ['its acknowledgment', { ack: 100 }, [1, 1, 1]],
  ['its window', { window: 501 }, [1, 1, 1]],
  ['its timestamp', { options: F.timestamp(5001) }, [1, 1, 1]],
  ['its options', { options: [] }, [1, 1, 1]],
  ['FIN', { flags: F.TH_ACK | F.TH_FIN }, [1, 1, 1], [true, false, true]],
  ['SYN', { flags: F.TH_ACK | F.TH_SYN }, [1, 1, 1], [true, false, true]],
  ['RST', { flags: F.TH_ACK | F.TH_RST }, [1, 1, 1], [true, false, true]],
  ['URG', { flags: F.TH_ACK | F.TH_URG }, [1, 1, 1], [true, false, true]],
  ['ECE', { flags: F.TH_ACK | F.TH_ECE }, [1, 1, 1], [true, false, true]],
  ['CWR', { flags: F.TH_ACK | F.TH_CWR }, [1, 1, 1], [true, false, true]],
  ['AE', { reserved: 1 }, [1, 1, 1], [true, false, true]],
  ['a reserved bit', { reserved: 8 }, [1, 1, 1], [true, false, true]],
  ['no ACK', { flags: 0 }, [1, 1, 1], [true, false, true]],
  ['PSH', { flags: F.TH_ACK | F.TH_PUSH }, [2, 1]],
  ['no data', { payload: new Uint8Array(0) }, [1, 1, 1], [true, false, true]],
  ['less data', { payload: pattern(99) }, [2, 1]],
  ['more data', { payload: pattern(101) }, [1, 2]],
  ['an odd number of bytes, one', { payload: pattern(1) }, [2, 1]],
  ['a gap in front of it', { seq: 0x7ffff000 + 101 }, [1, 2]],
  ['the first again', { seq: 0x7ffff000 }, [1, 2]],
  ['a wrong TCP checksum', { badTcpSum: true }, [1, 1, 1], [true, false, true]],
  ['a wrong IP checksum', { badIpSum: true }, [1, 1, 1], [true, false, true]],
  ['bytes behind the packet', { padding: 4 }, [1, 1, 1], [true, false, true]],
  ['a header that is too short', { dataOffset: 4 }, [1, 1, 1], [true, false, true]],
  ['a header beyond its end', { dataOffset: 15, payload: pattern(20) }, [1, 1, 1], [true, false, true]],
];

describeNetns('large receive in software', () => {
  let ns: Netns;
  beforeAll(async () => {
    ns = await Netns.create();
  });
  afterAll(() => ns?.remove());

  it.each([false, true])('merges what belongs together, and nothing else (virtio headers: %s)', async (vnetHdr) => {
    const sent = MIDDLE.map(([, spec]) => row(3, (i) => (i === 1 ? spec : {})));
    const results = await bursts(ns, sent, { vnetHdr });
    const got = results.map(({ groups, frames }, i) => [MIDDLE[i]![0], groups, frames.map(({ verified }) => verified)]);
    expect(got).toEqual(MIDDLE.map(([what, , groups, marks]) => [what, groups, marks ?? groups.map(() => true)]));
    results.forEach((result, i) => sameAsSent(sent[i]!, result));
    // Of one connection nothing overtakes anything.
    results.forEach(({ frames }, i) => expect(frames.flatMap(F.split).map(hex)).toEqual(sent[i]!.map(hex)));
  });

  it('ends with PSH, a short segment, or what is longer than the first', async () => {
    const sizes = (list: readonly number[], push: readonly number[] = []): Uint8Array[] =>
      row(list.length, (i) => ({ payload: pattern(list[i]!), flags: F.TH_ACK | (push.includes(i) ? F.TH_PUSH : 0) }));
    const cases: [Uint8Array[], number[]][] = [
      [sizes([100, 100, 100, 100], [0]), [1, 3]],
      [sizes([100, 100, 100, 100], [3]), [4]],
      [sizes([100, 100, 50, 100, 100, 100], [4]), [3, 2, 1]],
      [sizes([50, 100, 100, 101]), [1, 2, 1]],
      [sizes([1448, 1448, 1447]), [3]],
      [sizes([1, 1, 1]), [3]],
      [row(5, (i) => ({ flags: F.TH_ACK | (i === 3 ? F.TH_FIN | F.TH_PUSH : 0) })), [3, 1, 1]],
      // Sequence numbers begin again from 0.
      [row(4, () => ({}), 0xffffff00), [4]],
    ];
    const results = await bursts(
      ns,
      cases.map(([sent]) => sent),
    );
    expect(results.map(({ groups }) => groups)).toEqual(cases.map(([, groups]) => groups));
    results.forEach((result, i) => sameAsSent(cases[i]![0], result));
    expect(results.slice(0, 4).map(({ frames }) => frames.map(({ bytes }) => bytes[47]! & F.TH_PUSH))).toEqual([
      [8, 0],
      [8],
      [0, 8, 0],
      [0, 0, 0],
    ]);
  });

  it('does not look at the identification, which means nothing for what is whole', async () => {
    const [result] = await bursts(ns, [row(3, (i) => ({ id: 100 - i }))]);
    expect(result!.groups).toEqual([3]);
    expect(result!.frames.map(F.faultOfMerged)).toEqual([null]);
  });

  it('makes no packet longer than 65535 bytes', async () => {
    const full = 45;
    const rest = 65535 - 20 - 32 - full * 1448;
    const lengths = [
      Array<number>(50).fill(1448),
      [...Array<number>(full).fill(1448), rest, 5],
      [...Array<number>(full).fill(1448), rest + 1, 5],
    ];
    const sent = lengths.map((list) => row(list.length, (i) => ({ payload: pattern(list[i]!) })));
    const results = await bursts(ns, sent);
    expect(results.map(({ groups }) => groups)).toEqual([
      [45, 5],
      [46, 1],
      [45, 2],
    ]);
    results.forEach((result, i) => sameAsSent(sent[i]!, result));
    expect(results[1]!.frames[0]!.bytes.length).toBe(14 + 65535);
  });

  it('keeps connections apart, twelve at a time', async () => {
    const interleaved = (flows: number, rounds: number, spec: (flow: number) => Partial<F.SegSpec>): Uint8Array[] => {
      const rows = Array.from({ length: flows }, (_, flow) => row(rounds, () => spec(flow)));
      return Array.from({ length: rounds }, (_, i) => rows.map((list) => list[i]!)).flat();
    };
    const two = interleaved(2, 4, (flow) => ({ sport: 4000 + flow }));
    const others = [17, 132].map((protocol) => F.segment({ seq: 1, payload: pattern(60), protocol }));
    const sent = [
      two,
      interleaved(2, 4, (flow) => ({ dport: 80 + flow })),
      interleaved(2, 4, (flow) => ({ src: [10, 0, 0, 5 + flow] })),
      interleaved(2, 4, (flow) => ({ dst: [10, 0, 0, 5 + flow] })),
      interleaved(12, 3, (flow) => ({ sport: 5000 + flow })),
      interleaved(30, 3, (flow) => ({ sport: 5000 + flow })),
      // What is of no connection goes by without an end; a fragment ends all between its addresses, as it could be of any.
      [...two.slice(0, 4), ...others, ...two.slice(4)],
      [...two.slice(0, 4), F.segment({ seq: 1, payload: pattern(60), fragment: 5 }), ...two.slice(4)],
      // More frames than have room to grow.
      Array.from({ length: 30 }, (_, flow) => row(2, () => ({ sport: 6000 + flow, payload: pattern(1400) }))).flat(),
    ];
    const results = await bursts(ns, sent);
    expect(results.map(({ groups }) => groups).slice(0, 5)).toEqual([[4, 4], [4, 4], [4, 4], [4, 4], Array<number>(12).fill(3)]);
    expect(results[6]!.groups).toEqual([4, 4, 1, 1]);
    expect(results[7]!.groups).toEqual([2, 2, 1, 2, 2]);
    expect(results[8]!.groups.length).toBeLessThan(60);
    results.forEach((result, i) => sameAsSent(sent[i]!, result));
  });

  it('hands over a segment by itself when the frame in front of it has no room to grow', async () => {
    const PSH = F.TH_ACK | F.TH_PUSH;
    const pairs = Array.from({ length: 14 }, (_, flow) => row(2, () => ({ sport: 6000 + flow, payload: pattern(1400) })));
    const lone = row(41, () => ({ payload: pattern(1448), flags: PSH }));
    const [first, second] = row(2, () => ({ sport: 7000, payload: pattern(1448) }));
    // Of 1 MiB the pairs keep 65600 bytes each and the lone ones 1536; the last is read where there is room for it, and for no more.
    const sent = [...pairs.flat(), ...lone.slice(1), first!, lone[0]!, second!];
    const [result] = await bursts(ns, [sent]);
    expect(result!.groups).toEqual([...pairs.map(() => 2), ...lone.map(() => 1), 1, 1]);
    expect(result!.frames.map(({ batch }) => batch - result!.frames[0]!.batch)).toEqual(result!.groups.map(() => 0));
    expect(result!.frames.at(-1)).toMatchObject({ verified: true, backlog: true });
  });

  it('says which batches ended before the device was empty', async () => {
    const one = row(300, () => ({ payload: pattern(100) }));
    const many = row(100, () => ({ flags: F.TH_ACK | F.TH_PUSH }));
    const few = row(TABLE - 1, () => ({ flags: F.TH_ACK | F.TH_PUSH }));
    const [merged, alone, rest] = await bursts(ns, [one, many, few]);
    expect(merged!.groups).toEqual([READS, 300 - READS]);
    expect(merged!.frames.map(({ backlog }) => backlog)).toEqual([true, false]);
    expect(alone!.frames.map(({ backlog }) => backlog)).toEqual(many.map((_, i) => i < TABLE));
    expect(alone!.frames.every(({ verified }) => verified)).toBe(true);
    expect(rest!.frames.map(({ backlog }) => backlog)).toEqual(few.map(() => false));
    sameAsSent(one, merged!);
  });

  it('can be turned off, by the driver’s setting or as a capability', async () => {
    const sent = row(3);
    const results = await bursts(ns, [
      { frames: sent, lro: false },
      { frames: sent, lro: true },
      { frames: sent, caps: 0 },
      { frames: sent, caps: 0x400 },
    ]);
    expect(results.map(({ groups }) => groups)).toEqual([[1, 1, 1], [3], [1, 1, 1], [3]]);
    for (const i of [0, 2]) expect(results[i]!.frames.map(({ verified }) => verified)).toEqual([false, false, false]);
    results.forEach((result) => sameAsSent(sent, result));
  });

  it('loses, changes and reorders nothing in any mixture', async () => {
    let state = 0x2545f491;
    const random = (below: number): number => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % below;
    };
    const OFTEN: Partial<F.SegSpec>[] = [{ flags: F.TH_ACK | F.TH_PUSH }, { payload: pattern(random(60) + 1) }];
    const change = (): Partial<F.SegSpec> => {
      if (random(100) < 75) return {};
      if (random(2) === 0) return OFTEN[random(OFTEN.length)]!;
      return MIDDLE[random(MIDDLE.length)]![1];
    };
    const mixture = (): Uint8Array[] => {
      const flows = Array.from({ length: 1 + random(5) }, (_, i) => ({
        seq: random(2 ** 31) * 2,
        sport: 4000 + i,
        mss: 1 + random(120),
      }));
      return Array.from({ length: 1 + random(24) }, () => {
        const flow = flows[random(flows.length)]!;
        const { seq, ...spec } = change();
        const payload = spec.payload ?? pattern(flow.mss);
        // Where the alteration is in the number, it is one of no row: a repetition or a gap.
        const at = seq === undefined ? flow.seq : (flow.seq + random(3) - 1) >>> 0;
        flow.seq = (at + payload.length) >>> 0;
        // The identification is not kept by what merges; a cut frame would show another.
        return F.segment({ ...spec, id: 0, seq: at, payload, sport: flow.sport });
      });
    };
    const sent = Array.from({ length: 3000 }, mixture);
    const results = await bursts(ns, sent);
    results.forEach((result, i) => sameAsSent(sent[i]!, result));
    const merged = results.reduce((sum, result) => sum + result.merged, 0);
    expect(merged).toBeGreaterThan(sent.flat().length / 5);
  });
});

describeNetns('large receive under a stack', () => {
  const BYTES = 8_000_000;
  const MAC = '02:00:00:00:00:01';

  describe.each(['inet', 'alt'])('%s', (stack) => {
    let ns: Netns;
    beforeAll(async () => {
      ns = await Netns.create();
    });
    afterAll(() => ns?.remove());
    const start = (...more: string[]): Promise<Boot> =>
      ns.boot([`--stack=${stack}`, '--service=echo', '--log=warn', `--mac=${MAC}`, `--ctl=${join(ns.dir, 'ctl.sock')}`, ...more]);

    it('takes a stream without offload, byte by byte, and can be told not to merge', async () => {
      const boot = await start('--offload=off');
      expect(await peer(ns, 'tcpecho', '10.0.0.2', 7, BYTES)).toEqual({ echoed: BYTES });
      const [merged, frames] = [await counter(boot, 'lro_merged'), await counter(boot, 'lro_frames')];
      expect(merged).toBeGreaterThan(frames);
      expect(frames).toBeGreaterThan(0);
      expect(await ask(boot.ctl, 'sysctl', ['net.link.tap.lro', false])).toMatchObject({ ret: true });
      expect(await peer(ns, 'tcpecho', '10.0.0.2', 7, BYTES)).toEqual({ echoed: BYTES });
      expect(await counter(boot, 'lro_merged')).toBe(merged);
      await boot.stop();
    });

    it('merges nothing where the device does, or when the boot says so', async () => {
      for (const options of [['--offload=on'], ['--offload=off', '--set=net.link.tap.lro=0']]) {
        const boot = await start(...options);
        expect(await peer(ns, 'tcpecho', '10.0.0.2', 7, BYTES)).toEqual({ echoed: BYTES });
        expect(await counter(boot, 'lro_merged')).toBe(0);
        await boot.stop();
      }
    });

    it('still finds a wrong checksum', async () => {
      const boot = await start('--offload=off');
      const bad = row(3, (i) => (i === 1 ? { badTcpSum: true } : {}));
      await bursts(ns, [bad], { join: 'tap0' });
      // Nobody answers for a segment that is dropped: the count is all that there is to wait for.
      for (let i = 0; i < 100 && (await counter(boot, 'rcvbadsum')) === 0; i++) await new Promise((done) => setTimeout(done, 20));
      expect(await counter(boot, 'rcvbadsum')).toBe(1);
      await boot.stop();
    });
  });
});
