/**
 * Loss recovery towards a peer without SACK: fast retransmit, fast recovery, limited transmit; and NewReno's windows (RFC 5681, 6582,
 * 3042, 3465, 6928). MSS 1000.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HarnessOptions, type Peer, TcpHarness } from './harness.ts';

/** NewReno's windows, with RFC 3465's own limit. */
function fresh(options: HarnessOptions = {}): TcpHarness {
  const h = new TcpHarness(options);
  h.sysctl('cc.algorithm', 'newreno');
  h.sysctl('abc_l_var', 2);
  return h;
}

let t: TcpHarness;
beforeEach(() => {
  t = fresh();
});
afterEach(() => t.close());

/** `n` segments in flight, with more to send. */
function flying(n: number, more = 50): Peer {
  t.sysctl('initcwnd_segments', n);
  const p = t.established({ mss: 1000 });
  p.write((n + more) * 1000);
  expect(p.recvAll().map((s) => s.seq)).toEqual(Array.from({ length: n }, (_, i) => 1 + 1000 * i));
  return p;
}

const seqs = (p: Peer): number[] => p.recvAll().map((s) => s.seq);

describe('initial window (RFC 6928)', () => {
  it('ten segments, but no more than 14600 bytes of large ones', () => {
    const p = t.established({ mss: 1000 });
    p.write(50_000);
    expect(p.recvAll()).toHaveLength(10);
    t.close();
    t = fresh({ mtu: 9000 });
    const q = t.established({ mss: 8960 });
    q.write(100_000);
    expect(q.recvAll()).toHaveLength(2);
  });
});

describe('slow start and congestion avoidance', () => {
  it('each ACK adds what it acknowledges, at most two segments (RFC 3465)', () => {
    const p = flying(4);
    p.send({ ack: 1001 });
    expect(seqs(p)).toEqual([4001, 5001]);
    p.send({ ack: 4001 });
    expect(seqs(p)).toHaveLength(5);
  });

  it('does not grow while the sender leaves it unused (RFC 7661)', () => {
    const p = t.established({ mss: 1000 });
    for (let i = 0; i < 20; i++) {
      p.write(1000);
      p.recv({ len: 1000 });
      p.send({ ack: 1001 + 1000 * i });
    }
    expect(p.info().snd_cwnd).toBe(10_000);
  });

  it('above the threshold one segment for each window acknowledged', () => {
    const p = flying(10, 400);
    p.wait(1000);
    seqs(p);
    p.send({ ack: 10_001 });
    // ssthresh 5000; cwnd 2000, 4000 ...
    let una = 10_001;
    for (let i = 0; i < 4; i++) {
      const sent = p.recvAll();
      una += 1000 * sent.length;
      p.send({ ack: una });
    }
    const before = p.info().snd_cwnd;
    const sent = p.recvAll();
    expect(sent.length * 1000).toBe(before);
    for (const [i] of sent.entries()) p.send({ ack: una + 1000 * (i + 1) });
    expect(p.info().snd_cwnd).toBe(before + 1000);
  });

  it('begins again after idle with no more than the initial window (RFC 5681 §4.1)', () => {
    const p = flying(4, 8);
    p.send({ ack: 1001 });
    p.send({ ack: 3001 });
    p.send({ ack: 5001 });
    seqs(p);
    p.send({ ack: 12_001 });
    expect(p.info().snd_cwnd).toBeGreaterThan(4000);
    t.run(5000);
    p.write(20_000);
    expect(seqs(p)).toHaveLength(4);
  });
});

describe('fast retransmit and recovery', () => {
  it('limited transmit (RFC 3042): one new segment for each of the first two duplicates', () => {
    const p = flying(5);
    p.send({ ack: 1 });
    expect(seqs(p)).toEqual([5001]);
    p.send({ ack: 1 });
    expect(seqs(p)).toEqual([6001]);
  });

  it('the third sends the missing one again; each further one lets a new one go; the full ACK ends it', () => {
    const p = flying(10);
    p.send({ ack: 1 });
    p.send({ ack: 1 });
    expect(seqs(p)).toEqual([10_001, 11_001]);
    p.send({ ack: 1 });
    expect(seqs(p)).toEqual([1]);
    // Half of the 10 in flight without limited transmit's, and the three that have left.
    expect(p.info()).toMatchObject({ snd_ssthresh: 5000, snd_cwnd: 8000, ca_state: 'recovery' });
    for (let i = 0; i < 4; i++) p.send({ ack: 1 });
    expect(seqs(p)).toEqual([]);
    p.send({ ack: 1 });
    expect(seqs(p)).toEqual([12_001]);
    p.send({ ack: 12_001 });
    // Deflated: what is in flight and one more, at most the threshold.
    expect(p.info().ca_state).toBe('open');
    expect(p.info().snd_cwnd).toBeLessThanOrEqual(5000);
    t.run(100);
    expect(t.stat('rexmttimeo')).toBe(0);
  });

  it('a partial ACK sends the next hole at once (RFC 6582)', () => {
    const p = flying(10);
    for (let i = 0; i < 3; i++) p.send({ ack: 1 });
    seqs(p);
    p.send({ ack: 3001 });
    expect(seqs(p)[0]).toBe(3001);
    p.send({ ack: 7001 });
    expect(seqs(p)[0]).toBe(7001);
    expect(t.stat('partialack')).toBe(2);
    p.send({ ack: 12_001 });
    expect(p.info().ca_state).toBe('open');
  });

  it('duplicates of what a timeout sent again begin no recovery (RFC 6582 §3.2)', () => {
    const p = flying(4, 0);
    p.wait(1000);
    expect(seqs(p)).toEqual([1]);
    for (let i = 0; i < 4; i++) p.send({ ack: 1 });
    expect(t.stat('fastrexmit')).toBe(0);
    p.send({ ack: 4001 });
  });

  it('an ACK with data, or with another window, or when nothing is in flight, is no duplicate', () => {
    const p = flying(5, 0);
    for (let i = 0; i < 5; i++) p.sendData(10, { ack: 1 });
    for (let i = 0; i < 5; i++) p.send({ ack: 1, win: 60_000 - 100 * i });
    expect(t.stat('fastrexmit')).toBe(0);
    p.send({ ack: 5001 });
    for (let i = 0; i < 5; i++) p.send({ ack: 5001 });
    expect(t.stat('rcvdupack')).toBe(0);
  });

  it('what is retransmitted fast and lost again is left to the timer', () => {
    const p = flying(5, 0);
    for (let i = 0; i < 4; i++) p.send({ ack: 1 });
    expect(seqs(p)).toEqual([1]);
    p.wait(1000);
    expect(seqs(p)).toEqual([1]);
    expect(p.info()).toMatchObject({ ca_state: 'loss', snd_cwnd: 1000 });
  });

  it('a lost FIN is found by duplicates too', () => {
    const p = t.established({ mss: 1000 });
    p.write(4000);
    p.recvAll();
    p.userClose();
    p.recv({ flags: 'FA', seq: 4001 });
    p.send({ ack: 4001 });
    p.wait(1000);
    p.recv({ flags: 'FA', seq: 4001 });
  });
});

describe('TSO', () => {
  it('one super-frame for all that may go, cut by the link; only full segments before the last', () => {
    t.close();
    t = fresh({ offload: true });
    const p = t.established({ mss: 1000 });
    p.write(9500);
    const got = p.recvAll();
    expect(got.map((s) => [s.data.length, s.gsoSize, s.flags])).toEqual([[9500, 1000, 'PA']]);
    p.write(30_000);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([]);
    p.send({ ack: 9501 });
    expect(p.recvAll().map((s) => [s.data.length, s.gsoSize])).toEqual([[12_000, 1000]]);
  });

  it('what is lost of it goes again in the same way', () => {
    t.close();
    t = fresh({ offload: true });
    const p = t.established({ mss: 1000 });
    p.write(5000);
    p.recvAll();
    p.wait(1000);
    p.recv({ seq: 1, len: 1000 });
    p.send({ ack: 1001 });
    p.recv({ seq: 1001, len: 2000 });
  });
});

describe('what is no duplicate ACK, and no data in flight', () => {
  it('the peer’s own data once more says nothing of ours (RFC 5681 §2)', () => {
    const p = flying(10);
    p.sendData(100);
    p.recvAll();
    for (let i = 0; i < 4; i++) p.send({ flags: 'PA', seq: 1, data: 100 });
    expect(t.stat('rcvdupack')).toBe(0);
    expect(t.stat('fastrexmit')).toBe(0);
  });

  it('what limited transmit sent does not raise the threshold (RFC 5681 §3.2 step 2)', () => {
    const p = flying(10);
    for (let i = 0; i < 3; i++) p.send({ ack: 1 });
    expect(seqs(p)).toEqual([10_001, 11_001, 1]);
    expect(p.info().snd_ssthresh).toBe(5000);
  });
});
