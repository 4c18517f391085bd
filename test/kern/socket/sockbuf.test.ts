import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_FRAGS, TX_SLOT, TxPacket } from '../../../src/kern/packet.ts';
import { BufPool } from '../../../src/kern/socket/bufpool.ts';
import { RECORD_OVERHEAD, Sockbuf } from '../../../src/kern/socket/sockbuf.ts';
import { local, pattern } from './support.ts';

const immediately = { schedule: (w: { run(): void }) => w.run() };
const never = { schedule: () => {} };
const pool = (limit = 2 ** 24): BufPool => new BufPool(limit, immediately);

function read(sb: Sockbuf, at: number, n: number): number[] {
  const dst = new Uint8Array(n + 2);
  sb.copyOut(at, n, dst, 1);
  expect([dst[0], dst[n + 1]]).toEqual([0, 0]);
  return [...dst.subarray(1, n + 1)];
}

function frags(sb: Sockbuf, at: number, n: number): number[] {
  const pkt = new TxPacket(new Uint8Array(TX_SLOT), 0, 0);
  sb.addFrags(at, n, pkt);
  expect(pkt.nfrags).toBeLessThanOrEqual(2);
  const dst = new Uint8Array(n);
  expect(pkt.copyTo(dst, 0)).toBe(n);
  return [...dst];
}

type Op =
  | { op: 'append'; n: number }
  | { op: 'place'; at: number; n: number }
  | { op: 'commit' }
  | { op: 'drop'; n: number }
  | { op: 'skip'; n: number }
  | { op: 'look'; at: number; n: number };

const size = fc.integer({ min: 0, max: 3000 });
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ op: fc.constant('append' as const), n: size }),
  fc.record({ op: fc.constant('place' as const), at: size, n: size }),
  fc.record({ op: fc.constant('commit' as const) }),
  fc.record({ op: fc.constant('drop' as const), n: size }),
  fc.record({ op: fc.constant('skip' as const), n: size }),
  fc.record({ op: fc.constant('look' as const), at: size, n: size }),
);

describe('Sockbuf of references', () => {
  const base = pattern(300_000);
  const long = fc.integer({ min: 0, max: 120_000 });
  type RefOp = { op: 'ref' | 'go-on' | 'append' | 'drop' | 'look'; at: number; n: number };
  const kinds = fc.constantFrom('ref', 'ref', 'go-on', 'append', 'drop', 'drop', 'look', 'look');
  const refOp = fc.record({ op: kinds, at: long, n: long }) as fc.Arbitrary<RefOp>;

  it('agrees with plain bytes, and a super-frame always finds its payload in the slices of one frame', () => {
    fc.assert(
      fc.property(fc.array(refOp, { maxLength: 40 }), (ops) => {
        const sb = new Sockbuf(pool(), 2 ** 22, 1);
        let model = Buffer.alloc(0);
        let next = 0;
        for (const { op, at, n } of ops) {
          if (op === 'ref' || op === 'go-on') {
            const from = op === 'ref' ? at : next;
            const len = Math.min(n, base.length - from, sb.space());
            expect(sb.appendRef(base, from, len)).toBe(true);
            model = Buffer.concat([model, base.subarray(from, from + len)]);
            next = from + len;
          } else if (op === 'append') {
            const len = Math.min(n >> 6, sb.space());
            expect(sb.append(base, at, len)).toBe(true);
            model = Buffer.concat([model, base.subarray(at, at + len)]);
          } else if (op === 'drop') {
            const len = Math.min(n, model.length);
            sb.drop(len);
            model = model.subarray(len);
          } else {
            const from = Math.min(at, model.length);
            const len = Math.min(n, 65_535, model.length - from);
            const pkt = new TxPacket(new Uint8Array(TX_SLOT), 0, 0);
            sb.addFrags(from, len, pkt);
            expect(pkt.nfrags).toBeLessThanOrEqual(MAX_FRAGS);
            const got = Buffer.alloc(len);
            expect(pkt.copyTo(got, 0)).toBe(len);
            expect(got.equals(model.subarray(from, from + len))).toBe(true);
            if (len > 0) expect(sb.byteAt(from)).toBe(model[from]);
          }
          expect(sb.cc).toBe(model.length);
          expect(sb.idle()).toBe(model.length === 0);
          const first = sb.contiguous(sb.cc);
          if (first > 0) {
            const piece = sb.buffer()!.subarray(sb.front(), sb.front() + first);
            expect(Buffer.compare(piece, model.subarray(0, first))).toBe(0);
          }
        }
        const all = Buffer.alloc(model.length);
        sb.copyOut(0, model.length, all, 0);
        expect(all.equals(model)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('short slices are copied before a super-frame would need more of them than it has room for', () => {
    const sb = new Sockbuf(pool(), 2 ** 20, 1);
    let model = Buffer.alloc(0);
    for (const n of [10, 40_000, 32_767, 100, 100, 100, 50_000]) {
      expect(sb.appendRef(base, n, n)).toBe(true);
      model = Buffer.concat([model, base.subarray(n, 2 * n)]);
      for (let at = 0; at < model.length; at += 999) {
        const len = Math.min(65_535, model.length - at);
        const pkt = new TxPacket(new Uint8Array(TX_SLOT), 0, 0);
        sb.addFrags(at, len, pkt);
        expect(pkt.nfrags).toBeLessThanOrEqual(3);
        const got = Buffer.alloc(len);
        pkt.copyTo(got, 0);
        expect(got.equals(model.subarray(at, at + len))).toBe(true);
      }
    }
  });

  it('more slices than there is room for at first, when the front has moved', () => {
    const sb = new Sockbuf(pool(), 2 ** 22, 1);
    const froms = Array.from({ length: 30 }, (_, k) => 1 + k * 7001);
    for (const from of froms.slice(0, 8)) sb.appendRef(base, from, 40_000);
    sb.drop(5 * 40_000 + 1);
    for (const from of froms.slice(8)) sb.appendRef(base, from, 40_000);
    const model = Buffer.concat(froms.slice(5).map((from) => base.subarray(from, from + 40_000))).subarray(1);
    const got = Buffer.alloc(model.length);
    sb.copyOut(0, model.length, got, 0);
    expect(got.equals(model)).toBe(true);
  });

  it('takes no memory and no copy: a frame refers to the very bytes', () => {
    const bufs = pool();
    const sb = new Sockbuf(bufs, 2 ** 20, 1);
    for (let k = 0; k < 20; k++) sb.appendRef(base, 0, 40_000);
    expect([sb.cc, bufs.used]).toEqual([800_000, 0]);
    const pkt = new TxPacket(new Uint8Array(TX_SLOT), 0, 0);
    sb.addFrags(39_000, 2000, pkt);
    expect(pkt.nfrags).toBe(2);
    expect(pkt.fragBytes.slice(0, 2).every((bytes) => bytes === base)).toBe(true);
    sb.clear();
    expect([sb.cc, sb.idle()]).toEqual([0, true]);
  });
});

describe('Sockbuf as a stream', () => {
  it('agrees with a plain array, whatever is done to it', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), fc.integer({ min: 1, max: 9000 }), (ops, hiwat) => {
        const bufs = pool();
        const sb = new Sockbuf(bufs, hiwat, 1);
        let model: number[] = [];
        /** Behind the end: a byte, or undefined where none has come. */
        let early: (number | undefined)[] = [];
        let stream = 0;
        for (const o of ops) {
          if (o.op === 'append') {
            const n = Math.min(o.n, sb.space());
            const data = pattern(n + 3, stream);
            expect(sb.append(data, 2, n)).toBe(true);
            model.push(...data.subarray(2, 2 + n));
            early = early.slice(n);
            stream += n + 11;
          } else if (o.op === 'place') {
            const data = pattern(o.n + 1, stream);
            const fits = model.length + o.at + o.n <= hiwat;
            expect(sb.place(o.at, data, 1, o.n)).toBe(fits);
            if (fits) for (let i = 0; i < o.n; i++) early[o.at + i] = data[1 + i]!;
            stream += 5;
          } else if (o.op === 'commit') {
            let n = 0;
            while (n < early.length && early[n] !== undefined) n++;
            sb.commit(n);
            model.push(...(early.slice(0, n) as number[]));
            early = early.slice(n);
          } else if (o.op === 'drop') {
            const n = Math.min(o.n, model.length);
            sb.drop(n);
            model = model.slice(n);
          } else if (o.op === 'skip') {
            if (model.length > 0) continue;
            sb.skip(o.n);
            early = early.slice(o.n);
          } else {
            const at = Math.min(o.at, model.length);
            const n = Math.min(o.n, model.length - at);
            const want = model.slice(at, at + n);
            expect(read(sb, at, n)).toEqual(want);
            expect(frags(sb, at, n)).toEqual(want);
            if (n > 0) expect(sb.byteAt(at)).toBe(want[0]);
          }
          expect(sb.cc).toBe(model.length);
          expect(sb.placed).toBe(early.length);
          expect(sb.space()).toBe(Math.max(0, hiwat - model.length));
          expect(bufs.used > 0).toBe(sb.cc + sb.placed > 0);
        }
        expect(read(sb, 0, model.length)).toEqual(model);
        early.forEach((b, i) => b !== undefined && expect(sb.byteAt(model.length + i)).toBe(b));
      }),
      { numRuns: 400 },
    );
  });

  it('holds no buffer while it is empty', () => {
    const bufs = pool();
    const sb = new Sockbuf(bufs, 65536, 1);
    expect(bufs.used).toBe(0);
    sb.append(pattern(10), 0, 10);
    expect(bufs.used).toBe(2048);
    sb.drop(10);
    expect(bufs.used).toBe(0);
    sb.place(100, pattern(10), 0, 10);
    expect(bufs.used).toBe(2048);
    sb.clear();
    expect(bufs.used).toBe(0);
  });

  it('grows by doubling up to hiwat and keeps what was placed', () => {
    const bufs = pool();
    const sb = new Sockbuf(bufs, 16384, 1);
    const data = pattern(16384);
    sb.append(data, 0, 1500);
    sb.drop(1000);
    sb.place(1000, data, 2500, 100);
    sb.append(data, 1500, 1000);
    sb.commit(100);
    sb.append(data, 2600, 3000);
    expect(bufs.used).toBe(8192);
    expect(read(sb, 0, sb.cc)).toEqual([...data.subarray(1000, 5600)]);
  });

  it('leaves the bytes of a waiting frame alone when it grows, empties or is cleared', () => {
    const bufs = new BufPool(2 ** 20, never);
    const sb = new Sockbuf(bufs, 65536, 1);
    const data = pattern(2000);
    sb.append(data, 0, 2000);
    const pkt = new TxPacket(new Uint8Array(TX_SLOT), 0, 0);
    sb.addFrags(0, 2000, pkt);
    sb.append(pattern(4000, 99), 0, 4000);
    sb.drop(6000);
    const other = new Sockbuf(bufs, 65536, 1);
    for (let i = 0; i < 8; i++) other.append(new Uint8Array(2000).fill(255), 0, 2000);
    const dst = new Uint8Array(2000);
    pkt.copyTo(dst, 0);
    expect(dst).toEqual(data);
  });

  it('says so when the pool has nothing, and is as it was', () => {
    const bufs = pool(4096);
    const sb = new Sockbuf(bufs, 65536, 1);
    const data = pattern(9000);
    expect(sb.append(data, 0, 4000)).toBe(true);
    expect(sb.append(data, 4000, 1000)).toBe(false);
    expect(sb.place(500, data, 0, 100)).toBe(false);
    expect(bufs.denied).toBe(2);
    expect(read(sb, 0, sb.cc)).toEqual([...data.subarray(0, 4000)]);
  });
});

describe('Sockbuf with datagrams', () => {
  it('keeps messages, their senders and their order', () => {
    const sb = new Sockbuf(pool(), 10000, 1);
    for (let i = 0; i < 300; i++) {
      expect(sb.appendRecord(local(`s${i}`), pattern(i % 90, i), 0, i % 90, false)).toBe(true);
      if (i % 10 === 0) continue;
      const record = sb.record();
      if (record === null) continue;
      const n = Number((record.from as { path: string }).path.slice(1));
      expect(record.len).toBe(n % 90);
      expect(read(sb, 0, record.len)).toEqual([...pattern(n % 90, n)]);
      sb.dropRecord();
    }
  });

  it('charges for empty messages, so that they cannot pile up', () => {
    const sb = new Sockbuf(pool(), 1000, 1);
    let n = 0;
    while (sb.appendRecord(local('a'), pattern(0), 0, 0, false)) n++;
    expect(n).toBe(Math.floor(1000 / RECORD_OVERHEAD));
    expect(sb.cc).toBe(0);
    sb.dropRecord();
    expect(sb.appendRecord(local('a'), pattern(0), 0, 0, false)).toBe(true);
  });

  it('cuts off only what it may', () => {
    const sb = new Sockbuf(pool(), 500, 1);
    expect(sb.appendRecord(null, pattern(600), 0, 600, false)).toBe(false);
    expect(sb.appendRecord(null, pattern(600), 0, 600, true)).toBe(true);
    expect(sb.record()).toMatchObject({ len: 500 - RECORD_OVERHEAD, truncated: true });
    expect(sb.appendRecord(null, pattern(1), 0, 1, true)).toBe(false);
  });

  it('copies the address', () => {
    const sb = new Sockbuf(pool(), 500, 1);
    const from = { kind: 'local' as const, path: 'before' };
    sb.appendRecord(from, pattern(1), 0, 1, false);
    from.path = 'after';
    expect(sb.record()?.from).toEqual(local('before'));
  });
});
