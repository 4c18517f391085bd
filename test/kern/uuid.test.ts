import { describe, expect, it } from 'vitest';
import { SimRandom, SimWorld } from '../../src/kern/effects/sim.ts';
import { UUIDGEN_MAX, UuidSources, formatUuid } from '../../src/kern/uuid.ts';
import { ok } from './support.ts';

const mac = (last: number, first = 0x00): Uint8Array => Uint8Array.of(first, 0x1b, 0x21, 0, 0, last);
const node = (uuid: Uint8Array): number[] => [...uuid.slice(10)];

function setUp() {
  const world = new SimWorld();
  const { clock, random } = world.effects('k');
  return { world, uuid: new UuidSources(clock, random) };
}

/** The 60 bits of time. */
function time(uuid: Uint8Array): bigint {
  const view = new DataView(uuid.buffer);
  return BigInt(view.getUint32(0)) | (BigInt(view.getUint16(4)) << 32n) | (BigInt(view.getUint16(6) & 0xfff) << 48n);
}

const seq = (uuid: Uint8Array): number => new DataView(uuid.buffer).getUint16(8) & 0x3fff;

describe('uuid sources', () => {
  it('takes global unicast addresses only', () => {
    const { uuid } = setUp();
    expect(uuid.etherAdd(mac(1, 0x01))).toBe('EINVAL');
    expect(uuid.etherAdd(mac(1, 0x02))).toBe('EINVAL');
    expect(uuid.etherAdd(new Uint8Array(6))).toBe('EINVAL');
    expect(uuid.etherAdd(new Uint8Array(5))).toBe('EINVAL');
    expect(uuid.etherAdd(mac(1))).toBeNull();
    expect(uuid.etherAdd(mac(1))).toBe('EEXIST');
  });

  it('has four slots', () => {
    const { uuid } = setUp();
    for (let i = 1; i <= 4; i++) expect(uuid.etherAdd(mac(i))).toBeNull();
    expect(uuid.etherAdd(mac(5))).toBe('ENOSPC');
    expect(uuid.etherAdd(mac(2))).toBe('EEXIST');
    expect(uuid.etherDel(mac(5))).toBe('ENOENT');
    expect(uuid.etherDel(mac(1))).toBeNull();
    expect(uuid.etherDel(mac(1))).toBe('ENOENT');
    expect(node(ok(uuid.uuidgen(1))[0]!)).toEqual([...mac(2)]);
    expect(uuid.etherAdd(mac(5))).toBeNull();
  });

  it('falls back to a random group address, and keeps it', () => {
    const { uuid } = setUp();
    const random = node(ok(uuid.uuidgen(1))[0]!);
    expect(random[0]! & 1).toBe(1);
    expect(node(ok(uuid.uuidgen(1))[0]!)).toEqual(random);
    // A real address comes first; when it leaves, the random one is still there.
    uuid.etherAdd(mac(1));
    expect(node(ok(uuid.uuidgen(1))[0]!)).toEqual([...mac(1)]);
    uuid.etherDel(mac(1));
    expect(node(ok(uuid.uuidgen(1))[0]!)).toEqual(random);
    expect(uuid.etherDel(Uint8Array.from(random))).toBe('ENOENT');
  });

  it('lets four addresses push the random one out', () => {
    const { uuid } = setUp();
    ok(uuid.uuidgen(1));
    for (let i = 1; i <= 4; i++) expect(uuid.etherAdd(mac(i))).toBeNull();
    expect(uuid.etherAdd(mac(5))).toBe('ENOSPC');
  });

  it('keeps its own copy of an address', () => {
    const { uuid } = setUp();
    const own = mac(1);
    uuid.etherAdd(own);
    own[5] = 9;
    expect(uuid.etherDel(mac(1))).toBeNull();
  });
});

describe('uuidgen', () => {
  it('makes 1 to 2048', () => {
    const { uuid } = setUp();
    for (const n of [0, -1, UUIDGEN_MAX + 1, 1.5, NaN]) expect(uuid.uuidgen(n)).toBe('EINVAL');
    const all = ok(uuid.uuidgen(UUIDGEN_MAX));
    expect(new Set(all.map(formatUuid)).size).toBe(UUIDGEN_MAX);
  });

  it('has version 1, the variant of RFC 9562, the time since 1582, and the node', () => {
    // The example of RFC 9562 appendix A.1: C232AB00-9414-11EC-B3C8-9F6BDECED846, 22 February 2022, 2:22:22 pm, UTC-05:00.
    const unixMs = Date.UTC(2022, 1, 22, 19, 22, 22);
    const random = new SimRandom(1);
    random.u32 = () => 0x33c8;
    const uuid = new UuidSources({ monotonicMs: () => 0, realtimeMs: () => unixMs }, random);
    uuid.etherAdd(Uint8Array.of(0x9c, 0x6b, 0xde, 0xce, 0xd8, 0x46));
    expect(formatUuid(ok(uuid.uuidgen(1))[0]!)).toBe('c232ab00-9414-11ec-b3c8-9c6bdeced846');
  });

  it('gives the n-th of a call the n-th tick, and a new sequence when time has not passed the last', () => {
    const { world, uuid } = setUp();
    const first = ok(uuid.uuidgen(3));
    expect(first.map((u) => time(u) - time(first[0]!))).toEqual([0n, 1n, 2n]);
    expect(new Set(first.map(seq)).size).toBe(1);
    const second = ok(uuid.uuidgen(1));
    expect(seq(second[0]!)).toBe((seq(first[0]!) + 1) & 0x3fff);
    world.run(1);
    const third = ok(uuid.uuidgen(1));
    expect(seq(third[0]!)).toBe(seq(second[0]!));
    expect(time(third[0]!) - time(first[0]!)).toBe(10000n);
  });

  it('draws a new sequence when the node changes', () => {
    const { uuid } = setUp();
    const before = seq(ok(uuid.uuidgen(1))[0]!);
    uuid.etherAdd(mac(1));
    const after = seq(ok(uuid.uuidgen(1))[0]!);
    expect(after).not.toBe((before + 1) & 0x3fff);
  });

  it('is written in lower case with dashes', () => {
    expect(formatUuid(Uint8Array.from({ length: 16 }, (_, i) => i * 17))).toBe('00112233-4455-6677-8899-aabbccddeeff');
  });
});
