/** The scoreboard by itself: RFC 2018's example, RFC 6675's sums, splits and joins, its limit, and that it agrees with a plain model. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../src/kern/effects/sim.ts';
import { type DeliverySink, RangePool, SackBoard, TX_LOST, TX_REXMT, TX_SACKED } from '../../src/stacks/inet/tcp/sackboard.ts';

const sink: DeliverySink = { deliver: () => undefined };
const LIMIT = 1000;

function board(...sent: readonly (readonly [number, number, number])[]): SackBoard {
  const b = new SackBoard(new RangePool());
  for (const [seq, end, us] of sent) b.sent(seq, end, us, LIMIT);
  return b;
}

function show(b: SackBoard): string[] {
  const out: string[] = [];
  for (let r = b.head; r !== null; r = r.next) {
    const flags = `${(r.flags & TX_SACKED) !== 0 ? 'S' : ''}${(r.flags & TX_LOST) !== 0 ? 'L' : ''}${(r.flags & TX_REXMT) !== 0 ? 'R' : ''}`;
    out.push(`${r.start}-${r.end}${flags}@${r.xmitUs}`);
  }
  return out;
}

function timed(b: SackBoard): number[] {
  const out: number[] = [];
  for (let r = b.tHead; r !== null; r = r.tNext) out.push(r.start);
  return out;
}

describe('the scoreboard', () => {
  it('one record for all that a batch sends', () => {
    expect(show(board([0, 1000, 5], [1000, 65_000, 5], [65_000, 70_000, 6]))).toEqual(['0-65000@5', '65000-70000@6']);
  });

  it('RFC 2018’s second example: blocks as segments arrive, each splitting what was sent', () => {
    // Eight segments of 500 bytes from 5000; the first, third, fifth and seventh are lost.
    const b = board([5000, 9000, 1]);
    for (const from of [5500, 6500, 7500, 8500]) b.sack(from, from + 500, sink, LIMIT);
    expect(show(b)).toEqual([
      '5000-5500@1',
      '5500-6000S@1',
      '6000-6500@1',
      '6500-7000S@1',
      '7000-7500@1',
      '7500-8000S@1',
      '8000-8500@1',
      '8500-9000S@1',
    ]);
    expect([b.sacked, b.lost, b.pipe(4000)]).toEqual([2000, 0, 2000]);
    // The fourth is received after all: what is reported is joined.
    b.sack(5500, 7000, sink, LIMIT);
    expect(show(b)[1]).toBe('5500-7000S@1');
    b.ack(7200, sink);
    expect(show(b)).toEqual(['7200-7500@1', '7500-8000S@1', '8000-8500@1', '8500-9000S@1']);
    expect(b.sacked).toBe(1000);
  });

  it('what is lost and sent again is in flight once, in the order of time', () => {
    const b = board([0, 3000, 1], [3000, 5000, 2]);
    b.sack(1000, 2000, sink, LIMIT);
    const head = b.head!;
    b.markLost(head);
    expect([b.lost, b.pipe(5000)]).toEqual([1000, 3000]);
    expect(b.firstLost()).toBe(head);
    b.sent(0, 400, 9, LIMIT);
    expect(show(b)).toEqual(['0-400R@9', '400-1000L@1', '1000-2000S@1', '2000-3000@1', '3000-5000@2']);
    expect(timed(b)).toEqual([2000, 3000, 0]);
    expect([b.lost, b.pipe(5000)]).toEqual([600, 3400]);
  });

  it('a peer that takes back what it reported: all of it is lost', () => {
    const b = board([0, 3000, 1]);
    b.sack(1000, 3000, sink, LIMIT);
    b.renege();
    expect([b.sacked, b.lost, b.pipe(3000)]).toEqual([0, 2000, 1000]);
    expect(b.firstLost()?.start).toBe(1000);
    expect(timed(b)).toEqual([0]);
  });

  it('the limit of records: no split beyond it, and what is new joins the last record', () => {
    const b = new SackBoard(new RangePool());
    b.sent(0, 100_000, 1, 16);
    for (let i = 0; i < 1000; i++) b.sack(100 * i + 10, 100 * i + 20, sink, 16);
    expect(b.count).toBeLessThanOrEqual(18);
    expect(b.refused).toBeGreaterThan(900);
    for (let i = 0; i < 1000; i++) b.sent(100_000 + i, 100_001 + i, 2 + i, 16);
    expect(b.count).toBeLessThanOrEqual(18);
    expect(b.tail!.end).toBe(101_000);
  });

  it('sequence numbers that wrap are numbers as others', () => {
    const b = new SackBoard(new RangePool());
    const at = 0x7fffff00 | 0;
    b.sent(at, (at + 1000) | 0, 1, LIMIT);
    b.sack((at + 400) | 0, (at + 600) | 0, sink, LIMIT);
    expect([b.sacked, b.count]).toEqual([200, 3]);
    b.ack((at + 1000) | 0, sink);
    expect([b.sacked, b.count, b.head]).toEqual([0, 0, null]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('agrees with a table of bytes, whatever comes (seed %i)', (seed) => {
    const random = new SimRandom(seed);
    const b = new SackBoard(new RangePool());
    // Per byte: 0 in flight, 1 reported, 2 lost.
    const model: number[] = [];
    let una = 0;
    let delivered = 0;
    const counting: DeliverySink = { deliver: (_b, _r, _end, len) => void (delivered += len) };
    let expected = 0;
    for (let step = 0; step < 1500; step++) {
      const max = model.length;
      const from = una + random.below(max - una + 1);
      const to = Math.min(max, from + 1 + random.below(50));
      switch (random.below(5)) {
        case 0: {
          const n = 1 + random.below(60);
          b.sent(max, max + n, step, LIMIT);
          for (let i = 0; i < n; i++) model.push(0);
          break;
        }
        case 1:
          if (from >= to) break;
          b.sack(from, to, counting, LIMIT);
          for (let i = from; i < to; i++) {
            if (model[i] !== 1) expected++;
            model[i] = 1;
          }
          break;
        case 2:
          if (random.below(3) > 0) break;
          b.ack(from, counting);
          for (let i = una; i < from; i++) if (model[i] !== 1) expected++;
          una = Math.max(una, from);
          break;
        case 3: {
          const r = b.tHead;
          if (r === null) break;
          b.markLost(r);
          for (let i = r.start; i < r.end; i++) model[i] = 2;
          break;
        }
        case 4: {
          const r = b.firstLost();
          if (r === null) break;
          const end = Math.min(r.end, r.start + 1 + random.below(30));
          b.sent(r.start, end, step, LIMIT);
          for (let i = r.start; i < end; i++) model[i] = 0;
          break;
        }
      }
      const rest = model.slice(una);
      expect([b.sacked, b.lost, delivered]).toEqual([
        rest.filter((x) => x === 1).length,
        rest.filter((x) => x === 2).length,
        expected,
      ]);
      let at = una;
      let last = -1;
      for (let r = b.head; r !== null; r = r.next) {
        expect(r.start).toBe(at);
        at = r.end;
        const state = (r.flags & TX_SACKED) !== 0 ? 1 : (r.flags & TX_LOST) !== 0 ? 2 : 0;
        for (let i = r.start; i < r.end; i++) if (model[i] !== state) throw new Error(`byte ${i}`);
        expect(r.timed).toBe(state === 0);
      }
      expect(at).toBe(b.head === null ? una : model.length);
      for (let r = b.tHead; r !== null; r = r.tNext) {
        expect(r.xmitUs).toBeGreaterThanOrEqual(last);
        last = r.xmitUs;
      }
    }
  });
});
