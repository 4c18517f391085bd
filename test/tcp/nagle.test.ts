/** What is worth a segment: Nagle (RFC 9293 §3.7.4), the sender's silly window avoidance (§3.8.6.2.1), TCP_NOPUSH, PSH (MUST-60, MUST-61). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Peer, TcpHarness } from './harness.ts';

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_NOPUSH = 4;

let t: TcpHarness;
let p: Peer;
beforeEach(() => {
  t = new TcpHarness();
  p = t.established({ mss: 1000 });
});
afterEach(() => t.close());

const sizes = (q: Peer): number[] => q.recvAll().map((s) => s.data.length);

describe('Nagle', () => {
  it('a small piece goes when nothing is in flight, the next ones wait for its ACK and go together', () => {
    p.write('a');
    expect(sizes(p)).toEqual([1]);
    p.write('b');
    p.write('c');
    expect(sizes(p)).toEqual([]);
    p.send({ ack: 2 });
    p.recv({ flags: 'PA', data: 'bc' });
  });

  it('a full segment does not wait', () => {
    p.write('a');
    expect(sizes(p)).toEqual([1]);
    p.write(1000);
    expect(sizes(p)).toEqual([1000]);
  });

  it('two writes in one turn of the loop are one segment', () => {
    p.write('a');
    p.write('b');
    p.recv({ data: 'ab' });
  });

  it('one write of more than a segment goes whole when nothing was in flight', () => {
    p.write(2500);
    expect(sizes(p)).toEqual([1000, 1000, 500]);
  });

  it('TCP_NODELAY sends everything at once, and what waited when it is set (MUST-17)', () => {
    p.write('a');
    expect(sizes(p)).toEqual([1]);
    p.write('b');
    expect(sizes(p)).toEqual([]);
    p.setopt(IPPROTO_TCP, TCP_NODELAY, 1);
    expect(sizes(p)).toEqual([1]);
    p.write('c');
    expect(sizes(p)).toEqual([1]);
  });

  it('a listener’s TCP_NODELAY is its connections’', () => {
    const listener = t.listen(81);
    listener.methods.ctloutput(listener, { dir: 'set', level: IPPROTO_TCP, name: TCP_NODELAY, value: true });
    const q = t.peer(81);
    q.send({ flags: 'S', opts: { mss: 1000 } });
    q.irs = t.next()!.seg.seq;
    q.send({ seq: 1, ack: 1 });
    const so = listener.listen!.shift()!;
    so.head = null;
    q.so = so;
    q.write('a');
    sizes(q);
    q.write('b');
    expect(sizes(q)).toEqual([1]);
  });

  it('FIN takes a waiting piece along', () => {
    p.write('a');
    sizes(p);
    p.write('b');
    p.userClose();
    p.recv({ flags: 'FPA', data: 'b' });
  });
});

describe('TCP_NOPUSH', () => {
  it('only full segments, until it is taken off', () => {
    p.setopt(IPPROTO_TCP, TCP_NOPUSH, 1);
    p.write(1500);
    expect(sizes(p)).toEqual([1000]);
    p.send({ ack: 1001 });
    expect(sizes(p)).toEqual([]);
    p.setopt(IPPROTO_TCP, TCP_NOPUSH, 0);
    expect(sizes(p)).toEqual([500]);
  });
});

describe('silly windows (MUST-38)', () => {
  it('a window of less than a segment is used only for the last piece, or by half of the largest one', () => {
    p.send({ win: 1000 });
    p.write(5000);
    expect(sizes(p)).toEqual([1000]);
    // 900 of 65535 are not worth it.
    p.send({ ack: 1001, win: 900 });
    expect(sizes(p)).toEqual([]);
    p.send({ ack: 1001, win: 2000 });
    expect(sizes(p)).toEqual([1000, 1000]);
  });

  it('a peer whose largest window is small gets halves of it', () => {
    const q = t.peer(80);
    q.win = 600;
    q.send({ flags: 'S', opts: { mss: 1000 } });
    q.irs = t.next()!.seg.seq;
    q.nxt = 1;
    q.send({ ack: 1 });
    const so = p.listener!.listen!.shift()!;
    so.head = null;
    q.so = so;
    q.write(2000);
    expect(sizes(q)).toEqual([600]);
    q.send({ ack: 601, win: 300 });
    expect(sizes(q)).toEqual([300]);
    q.send({ ack: 901, win: 299 });
    expect(sizes(q)).toEqual([]);
  });

  it('what is held back that way goes after a while all the same', () => {
    p.send({ win: 900 });
    p.write(5000);
    expect(sizes(p)).toEqual([]);
    expect(p.wait(2000)).toBeGreaterThanOrEqual(199);
    p.recv({ seq: 1, len: 900 });
  });
});

describe('PSH', () => {
  it('is on the last segment of what the user has written', () => {
    p.write(2500);
    expect(p.recvAll().map((s) => s.flags)).toEqual(['A', 'A', 'PA']);
  });
});
