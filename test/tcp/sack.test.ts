/**
 * Loss recovery with SACK: RACK-TLP (RFC 8985), PRR (RFC 6937), limited transmit, lost retransmissions, reneging, and undoing what was
 * no loss (RFC 5682, 3522, 3708). MSS 1000, NewReno's windows where a number of them is checked.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept } from '../../src/kern/socket/calls.ts';
import type { SegmentOptions } from '../support/segments.ts';
import { type HarnessOptions, type Peer, TcpHarness, ok } from './harness.ts';

let t: TcpHarness;
const fresh = (options: HarnessOptions = {}): TcpHarness => {
  const h = new TcpHarness(options);
  h.sysctl('cc.algorithm', 'newreno');
  return h;
};
beforeEach(() => {
  t = fresh();
});
afterEach(() => t.close());

/** Blocks are in segments of 1000 bytes: [2, 4] is the third and the fourth. */
type Block = readonly [number, number];
const seg = (n: number): number => 1 + 1000 * n;

function ack(p: Peer, n: number, ...blocks: Block[]): void {
  p.send({ ack: seg(n), opts: p.withTs({ sack: blocks.map(([a, b]) => [p.irs + seg(a), p.irs + seg(b)] as const) }) });
}

/** Numbers of the segments that were sent. */
const sent = (p: Peer): number[] => p.recvAll().map((s) => (s.seq - 1) / 1000);

const RTT = 40;

/** A connection on a path whose round trip of 40 ms was measured by the handshake. */
function open(opts: SegmentOptions = { mss: 1000, sackPermitted: true }): Peer {
  const p = t.synReceived(opts);
  t.run(RTT);
  p.send({ ack: 1 });
  p.so = ok(soaccept(p.listener!));
  return p;
}

/** Segments 1 to `n` in flight and `more` to send, on a path whose round trip of 40 ms was measured with segment 0. */
function flying(n: number, more = 0): Peer {
  t.sysctl('initcwnd_segments', n);
  const p = open();
  p.write(1000);
  t.run(RTT);
  p.recvAll();
  ack(p, 1);
  p.write((n + more) * 1000);
  expect(sent(p)).toEqual(Array.from({ length: n }, (_, i) => i + 1));
  return p;
}

/** Ten segments 0 to 9 in flight for a round trip. */
function ten(more = 0, ts = false): Peer {
  t.sysctl('initcwnd_segments', 10);
  const p = open({ mss: ts ? 1012 : 1000, sackPermitted: true, ...(ts ? { ts: [5000, 0] } : {}) });
  p.write((10 + more) * 1000);
  expect(sent(p)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.run(RTT);
  return p;
}

describe('finding losses (RFC 8985 §6)', () => {
  it('three segments reported above a hole: the hole goes again at once, and nothing else', () => {
    const p = ten();
    ack(p, 0, [1, 2]);
    ack(p, 0, [1, 3]);
    expect(sent(p)).toEqual([]);
    ack(p, 0, [1, 4]);
    expect(sent(p)).toEqual([0]);
    expect(p.info()).toMatchObject({ ca_state: 'recovery', sacked: 3, lost: 0, snd_ssthresh: 5000 });
    ack(p, 10);
    expect(p.info()).toMatchObject({ ca_state: 'open', unacked: 0, total_retrans: 1 });
    t.run(5000);
    p.recvNothing();
  });

  it('one report, and then silence: the hole goes when the reordering window is over', () => {
    const p = ten();
    ack(p, 0, [1, 2]);
    expect(sent(p)).toEqual([]);
    // A quarter of the least round-trip time.
    expect(p.wait(30)).toBeLessThanOrEqual(RTT / 4 + 2);
    expect(sent(p)).toEqual([0]);
    expect(t.stat('rackreo')).toBe(1);
    expect(t.stat('rexmttimeo')).toBe(0);
  });

  it('a segment that only came late within the window is not sent again', () => {
    const p = ten();
    ack(p, 0, [1, 3]);
    t.run(RTT / 4 - 4);
    ack(p, 3);
    t.run(30);
    expect(p.info()).toMatchObject({ ca_state: 'open', total_retrans: 0 });
  });

  it('several holes in one report: all of them, oldest first', () => {
    const p = ten();
    ack(p, 0, [8, 10], [5, 6], [2, 4]);
    const first = sent(p);
    expect(first[0]).toBe(0);
    for (let i = 1; i <= 6; i++) {
      ack(p, i, [8, 10], [5, 6]);
      first.push(...sent(p));
    }
    expect([...new Set(first)].sort((a, b) => a - b)).toEqual([0, 1, 4, 6, 7]);
    expect(first).toHaveLength(5);
    ack(p, 10);
    expect(p.info().ca_state).toBe('open');
    expect(t.stat('rexmttimeo')).toBe(0);
  });

  it('reordering that was seen widens what is waited for: three reports mean nothing any more', () => {
    const p = ten(20);
    ack(p, 0, [1, 3]);
    ack(p, 3);
    sent(p);
    expect(p.info().reordering).toBe(3);
    t.run(RTT);
    ack(p, 3, [4, 8]);
    expect(sent(p).filter((n) => n === 3)).toEqual([]);
    t.run(RTT / 4 + 3);
    expect(sent(p)).toContain(3);
  });

  it('duplicates that the peer reports widen it further, once in a round trip (§6.2 step 4)', () => {
    const p = ten(40);
    ack(p, 0, [1, 3]);
    ack(p, 3);
    t.run(RTT);
    sent(p);
    // Needlessly sent again three times over: 3 was only late.
    ack(p, 3, [4, 6]);
    t.run(RTT / 4 + 2);
    expect(sent(p)).toContain(3);
    ack(p, 6, [3, 4]);
    expect(p.info().dsack_dups).toBe(1);
    sent(p);
    t.run(RTT);
    ack(p, 6, [7, 9]);
    t.run(RTT / 4 + 4);
    expect(sent(p).filter((n) => n === 6)).toEqual([]);
    t.run(RTT / 4 + 4);
    expect(sent(p)).toContain(6);
  });

  it('a lost retransmission is found by what was sent after it, without a timeout', () => {
    const p = ten(20);
    ack(p, 0, [1, 4]);
    const again = sent(p);
    expect(again[0]).toBe(0);
    t.run(RTT);
    // New data sent behind the retransmission arrives, the retransmission does not.
    ack(p, 0, [1, 10]);
    const more = sent(p);
    expect(more.length).toBeGreaterThan(0);
    t.run(RTT);
    ack(p, 0, [1, 10 + more.length]);
    expect(sent(p)).toContain(0);
    expect(p.info().lost_retrans).toBe(1);
    expect(t.stat('rexmttimeo')).toBe(0);
  });
});

describe('tail loss probe (RFC 8985 §7)', () => {
  it('the last segment goes again after two round trips, and its report repairs the rest without a timeout', () => {
    const p = flying(4);
    expect(p.wait(3 * RTT)).toBeGreaterThanOrEqual(2 * RTT - 2);
    expect(sent(p)).toEqual([4]);
    expect(t.stat('tlpprobe')).toBe(1);
    t.run(RTT);
    ack(p, 1, [4, 5]);
    t.run(RTT);
    expect(sent(p)[0]).toBe(1);
    ack(p, 5);
    expect(p.info()).toMatchObject({ unacked: 0, ca_state: 'open' });
    expect(t.stat('rexmttimeo')).toBe(0);
  });

  it('new data is the better probe', () => {
    const p = flying(4, 10);
    expect(p.wait(3 * RTT)).toBeGreaterThanOrEqual(2 * RTT - 2);
    expect(sent(p)).toEqual([5]);
    expect(p.info().total_retrans).toBe(0);
  });

  it('what a probe repaired was a loss all the same: the window is reduced once (§7.4.1)', () => {
    const p = flying(8);
    ack(p, 7);
    t.run(2 * RTT + 5);
    expect(sent(p)).toEqual([8]);
    const before = p.info().snd_cwnd;
    // Nothing is behind the probe: it cannot be told from a late original yet.
    ack(p, 9);
    expect(p.info().snd_cwnd).toBe(before);
    p.write(1000);
    expect(sent(p)).toEqual([9]);
    ack(p, 10);
    expect(t.stat('tlprecovered')).toBe(1);
    expect(p.info().snd_cwnd).toBeLessThan(before);
  });
});

describe('the window in recovery', () => {
  it('proportional rate reduction: half of what arrives is sent, until half is in flight (RFC 6937)', () => {
    const p = ten(100);
    ack(p, 0, [1, 4]);
    // 3000 bytes arrived, so 3000 * 5 / 10 = 1500 may go: the retransmission, and half of the next.
    expect(sent(p)).toEqual([0]);
    const counts: number[] = [];
    for (let i = 5; i <= 10; i++) {
      ack(p, 0, [1, i]);
      counts.push(sent(p).length);
    }
    expect(counts.reduce((a, b) => a + b)).toBe(4);
    expect(p.info().unacked - p.info().sacked - p.info().lost).toBe(5);
    ack(p, 11);
    expect(p.info()).toMatchObject({ ca_state: 'open', snd_cwnd: 5000 });
  });

  it('with most of the flight lost it grows back to the threshold as in slow start, and no burst', () => {
    const p = ten(100);
    ack(p, 0, [9, 10]);
    t.run(20);
    // Eight of ten are lost; the retransmissions come back one by one.
    const counts = [sent(p).length];
    for (let i = 1; i <= 4; i++) {
      ack(p, i, [9, 10]);
      counts.push(sent(p).length);
    }
    expect(Math.max(...counts)).toBeLessThanOrEqual(2);
    expect(p.info().snd_cwnd).toBeLessThanOrEqual(5000);
  });

  it('what the same batch had let go before the loss showed goes all the same', () => {
    t.sysctl('cc.algorithm', 'cubic');
    const p = ten(60);
    const sack = (to: number): SegmentOptions => p.withTs({ sack: [[p.irs + seg(7), p.irs + seg(to)]] });
    p.sendBatch({ ack: seg(6) }, ...[8, 9, 10].map((to) => ({ ack: seg(6), opts: sack(to) })));
    // Sixteen after the first ACK, seven tenths of that after the loss; nothing is in flight any more.
    expect(sent(p)).toEqual([6, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it('limited transmit is what the scoreboard gives: a new segment for each that is reported', () => {
    const p = ten(100);
    ack(p, 0, [1, 2]);
    expect(sent(p)).toEqual([10]);
    ack(p, 0, [1, 3]);
    expect(sent(p)).toEqual([11]);
  });

  it('a lost range goes again as one super-frame where the link cuts', () => {
    t.close();
    t = fresh({ offload: true });
    t.sysctl('initcwnd_segments', 10);
    const p = open();
    p.write(10_000);
    p.recvAll();
    ack(p, 0, [7, 10]);
    const got = p.recvAll().map((s) => [(s.seq - 1) / 1000, s.data.length]);
    expect(got[0]![0]).toBe(0);
    ack(p, 2, [7, 10]);
    got.push(...p.recvAll().map((s) => [(s.seq - 1) / 1000, s.data.length]));
    expect(Math.max(...got.map(([, len]) => len!))).toBeGreaterThan(1000);
  });
});

describe('the retransmission timer with a scoreboard', () => {
  it('what was reported is not sent again', () => {
    const p = ten();
    ack(p, 0, [5, 10]);
    p.recvAll();
    const again: number[] = [];
    for (let i = 0; i < 12 && p.info().unacked > 0; i++) {
      t.run(700);
      again.push(...sent(p));
      const next = Math.max(...again) + 1;
      ack(p, Math.min(next, 5) === 5 ? 10 : next);
    }
    expect(again.every((n) => n < 5)).toBe(true);
    expect(p.info().unacked).toBe(0);
  });

  it('a peer that reneges: after the timeout all goes again (RFC 2018 §8)', () => {
    t.sysctl('pmtud_blackhole_detection', false);
    const p = ten();
    ack(p, 0, [1, 10]);
    expect(sent(p)).toEqual([0]);
    // It takes the hole, and acknowledges nothing of what it had reported.
    ack(p, 1);
    const again: number[] = [];
    for (let n = 1; n < 10;) {
      t.run(2000);
      again.push(...sent(p));
      n = Math.max(n, ...again) + 1;
      p.send({ ack: seg(n) });
    }
    expect(t.stat('sack_renege')).toBe(1);
    expect([...new Set(again)].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('and one timeout is enough: the answer to it lets the others go as in slow start', () => {
    t.sysctl('pmtud_blackhole_detection', false);
    const p = ten();
    ack(p, 0, [1, 10]);
    sent(p);
    ack(p, 1);
    p.wait(2000);
    expect(sent(p)).toEqual([1]);
    for (let n = 2; n < 10;) {
      ack(p, n);
      const more = sent(p);
      expect(more[0]).toBe(n);
      n = (more.at(-1) ?? 10) + 1;
    }
    expect(t.stat('rexmttimeo')).toBe(1);
  });
});

describe('what was no loss', () => {
  /** The probe goes, with new data, then the timer. */
  function timeout(p: Peer): void {
    p.wait(100);
    expect(sent(p)).toEqual([10]);
    p.wait(1000);
    expect(sent(p)).toEqual([0]);
    expect(t.stat('rexmttimeo')).toBe(1);
  }

  it('F-RTO: a timeout whose first answers are for the originals is taken back (RFC 5682 §3)', () => {
    const p = ten(100);
    const before = p.info();
    timeout(p);
    ack(p, 1);
    const fresh2 = sent(p);
    expect(fresh2).toEqual([11, 12]);
    ack(p, 2);
    expect(p.info()).toMatchObject({ ca_state: 'open', spurious: 1 });
    expect(p.info().snd_cwnd).toBeGreaterThanOrEqual(before.snd_cwnd);
    expect(p.info().snd_ssthresh).toBe(before.snd_ssthresh);
  });

  it('F-RTO: an answer that reports only the new data says that it was a loss', () => {
    const p = ten(100);
    timeout(p);
    ack(p, 1);
    expect(sent(p)).toEqual([11, 12]);
    ack(p, 1, [11, 13]);
    expect(p.info()).toMatchObject({ ca_state: 'loss', spurious: 0 });
    expect(sent(p)).toContain(1);
  });

  it('Eifel: the timestamp shows that the original was answered (RFC 3522)', () => {
    const p = ten(20, true);
    const before = p.tsEcho;
    ack(p, 0, [1, 4]);
    t.run(3);
    expect(sent(p)).toContain(0);
    p.tsEcho = before;
    p.send({ ack: seg(4) });
    expect(p.info()).toMatchObject({ ca_state: 'open', spurious: 1 });
    expect(p.info().snd_cwnd).toBeGreaterThanOrEqual(10_000);
  });

  it('every retransmission reported as a duplicate takes the reduction back (RFC 3708)', () => {
    const p = ten(20);
    ack(p, 0, [1, 4]);
    expect(sent(p)).toContain(0);
    ack(p, 4);
    sent(p);
    ack(p, 4, [0, 1]);
    expect(p.info()).toMatchObject({ spurious: 1, dsack_dups: 1, ca_state: 'open' });
    expect(p.info().snd_cwnd).toBeGreaterThanOrEqual(10_000);
  });

  it('a duplicate of what an earlier loss had sent again says nothing about this one', () => {
    const p = ten(40);
    ack(p, 0, [1, 4]);
    expect(sent(p)).toContain(0);
    ack(p, 10);
    const flight = sent(p);
    t.run(RTT);
    ack(p, flight.at(-1)! + 1);
    const [lost, ...rest] = sent(p);
    t.run(RTT);
    ack(p, lost!, [lost! + 1, rest.at(-1)! + 1]);
    expect(sent(p)[0]).toBe(lost);
    ack(p, lost!, [0, 1], [lost! + 1, rest.at(-1)! + 1]);
    expect(p.info()).toMatchObject({ spurious: 0, dsack_dups: 1, ca_state: 'recovery' });
  });
});

describe('hostile reports', () => {
  it('blocks of what was never sent, upside down, or long acknowledged, are counted and change nothing', () => {
    const p = ten();
    ack(p, 0, [50, 60]);
    ack(p, 0, [5, 3]);
    ack(p, 2, [500_000, 500_001]);
    expect(t.stat('sack_badblock')).toBe(3);
    expect(p.info()).toMatchObject({ sacked: 0, lost: 0, ca_state: 'open' });
  });

  it('a block for every other byte: the records are bounded, and the connection lives', () => {
    t.sysctl('sack.maxranges', 16);
    const p = ten();
    for (let i = 0; i < 400; i++) {
      p.send({ ack: 1, opts: { sack: [[p.irs + 20 * i + 10, p.irs + 20 * i + 11]] } });
    }
    expect(t.stat('sack_limited')).toBeGreaterThan(300);
    p.send({ ack: seg(10) });
    t.run(1000);
    expect(p.info()).toMatchObject({ unacked: 0, state: 'ESTABLISHED' });
  });

  it('optimistic ACKs of a tiny segment size do not make more than the least size', () => {
    const p = t.established({ mss: 48, sackPermitted: true });
    p.write(5000);
    const first = p.recvAll();
    expect(Math.min(...first.map((s) => s.data.length))).toBeGreaterThanOrEqual(216);
    for (let i = 0; i < 100; i++) p.send({ ack: 1, opts: { sack: [[p.irs + 2 + 2 * i, p.irs + 3 + 2 * i]] } });
    t.run(100);
    expect(p.state()).toBe('ESTABLISHED');
  });
});
