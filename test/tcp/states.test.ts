/**
 * RFC 9293 §3.10.7.4 as a table: in every synchronised state, each kind of segment left of the window, at its left edge, inside, at its
 * last byte, just behind it and far behind it; what is answered, and which state follows. With RFC 5961's rules for RST and SYN.
 */
import { describe, expect, it } from 'vitest';
import { type Got, type Peer, type Say, TcpHarness } from './harness.ts';
import { MAKE } from './states-run.ts';

type State = 'ESTABLISHED' | 'FIN_WAIT_1' | 'FIN_WAIT_2' | 'CLOSE_WAIT' | 'CLOSING' | 'LAST_ACK' | 'TIME_WAIT';
type Place = 'left' | 'exact' | 'inside' | 'last' | 'behind' | 'far';
type Kind = 'ack' | 'data' | 'fin' | 'rst' | 'syn';

const PLACES: readonly Place[] = ['left', 'exact', 'inside', 'last', 'behind', 'far'];
const KINDS: readonly Kind[] = ['ack', 'data', 'fin', 'rst', 'syn'];
const SYNCED: readonly State[] = ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2', 'CLOSE_WAIT', 'CLOSING', 'LAST_ACK'];
/** States in which the peer may still send. */
const RECEIVING: readonly State[] = ['ESTABLISHED', 'FIN_WAIT_1', 'FIN_WAIT_2'];
const W = 65_535;

function offset(place: Place): number {
  return { left: -10, exact: 0, inside: 100, last: W - 1, behind: W, far: W + 1000 }[place];
}

function segment(p: Peer, kind: Kind, place: Place): Say {
  const seq = p.nxt + offset(place);
  switch (kind) {
    case 'ack':
      return { flags: 'A', seq };
    case 'data':
      return { flags: 'PA', seq, data: 1 };
    case 'fin':
      return { flags: 'FA', seq };
    case 'rst':
      return { flags: 'R', seq };
    case 'syn':
      return { flags: 'S', seq };
  }
}

/** What comes back: nothing, an ACK of where we are, or an ACK of something new. */
function expected(state: State, kind: Kind, place: Place): 'nothing' | 'ack' | 'advance' {
  const inWindow = place === 'exact' || place === 'inside' || place === 'last';
  switch (kind) {
    case 'ack':
      // At the right edge a pure ACK is taken: it comes when the peer has filled the window (RFC 9293 appendix A.2).
      return inWindow || place === 'behind' ? 'nothing' : 'ack';
    case 'rst':
      return place === 'inside' || place === 'last' ? 'ack' : 'nothing';
    case 'syn':
      return 'ack';
    case 'data':
      if (place === 'exact' && RECEIVING.includes(state)) return 'nothing';
      return 'ack';
    case 'fin':
      if (place === 'exact' && RECEIVING.includes(state)) return 'advance';
      if (place === 'behind') return 'ack';
      return 'ack';
  }
}

function next(state: State, kind: Kind, place: Place): string {
  if (place === 'exact' && kind === 'rst') return 'CLOSED';
  if (place === 'exact' && kind === 'fin') {
    if (state === 'ESTABLISHED') return 'CLOSE_WAIT';
    if (state === 'FIN_WAIT_1') return 'CLOSING';
    if (state === 'FIN_WAIT_2') return 'TIME_WAIT';
  }
  return state;
}

describe.each(SYNCED)('%s', (state) => {
  for (const kind of KINDS) {
    for (const place of PLACES) {
      it(`${kind} ${place}: ${expected(state, kind, place)}, then ${next(state, kind, place)}`, () => {
        const t = new TcpHarness();
        const p = MAKE[state](t);
        p.recvNothing();
        p.send(segment(p, kind, place));
        const got = p.recvAll();
        const wanted = expected(state, kind, place);
        expect(got.map((s: Got) => s.flags)).toEqual(wanted === 'nothing' ? [] : ['A']);
        for (const s of got) expect(s.ack).toBe(wanted === 'advance' ? p.nxt + 1 : p.nxt);
        expect(p.state()).toBe(next(state, kind, place));
        expect(t.stat('badstate')).toBe(0);
        t.close();
      });
    }
  }

  it('a segment without ACK is dropped', () => {
    const t = new TcpHarness();
    const p = MAKE[state](t);
    p.send({ flags: '', seq: p.nxt, data: 5 });
    p.recvNothing();
    expect(p.state()).toBe(state);
    t.close();
  });

  it('an ACK of what was never sent is answered, and nothing else of the segment is used (RFC 5961 §5)', () => {
    const t = new TcpHarness();
    const p = MAKE[state](t);
    p.send({ flags: 'PA', ack: p.ack + 100_000, data: 'inject' });
    p.ack -= 100_000;
    expect(p.recvAll().map((s) => s.flags)).toEqual(['A']);
    expect(t.stat('rcvacktoomuch')).toBe(1);
    expect(p.read()).not.toEqual(new TextEncoder().encode('inject'));
    t.close();
  });

  it('an ACK older than the largest window is answered, and nothing else of the segment is used (RFC 5961 §5)', () => {
    const t = new TcpHarness();
    const p = MAKE[state](t);
    p.send({ flags: 'PA', ack: -70_000, data: 'inject' });
    expect(p.recvAll().map((s) => s.flags)).toEqual(['A']);
    expect(t.stat('rcvacktooold')).toBe(1);
    t.close();
  });
});

describe('ACK of our FIN', () => {
  it('FIN_WAIT_1 becomes FIN_WAIT_2, CLOSING becomes TIME_WAIT, LAST_ACK ends', () => {
    const t = new TcpHarness();
    const a = t.finWait1();
    a.send({ ack: 2 });
    expect(a.state()).toBe('FIN_WAIT_2');
    t.close();
    const u = new TcpHarness();
    const b = u.closing();
    b.send({ ack: 2 });
    expect(b.state()).toBe('TIME_WAIT');
    b.recvNothing();
    u.close();
    const v = new TcpHarness();
    const c = v.lastAck();
    c.send({ ack: 2 });
    expect(c.state()).toBe('CLOSED');
    v.close();
  });

  it('FIN_WAIT_1: FIN with the ACK of ours goes straight to TIME_WAIT', () => {
    const t = new TcpHarness();
    const p = t.finWait1();
    p.send({ flags: 'FA', ack: 2 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    expect(p.state()).toBe('TIME_WAIT');
    t.close();
  });
});

describe('TIME_WAIT', () => {
  it.each([
    ['ack exact', { flags: 'A', seq: 2 }, 0],
    ['ack elsewhere', { flags: 'A', seq: 50 }, 1],
    ['data', { flags: 'PA', seq: 2, data: 5 }, 1],
    ['FIN again', { flags: 'FA', seq: 1 }, 1],
    ['RST (RFC 1337)', { flags: 'R', seq: 2 }, 0],
    ['old SYN', { flags: 'S', seq: -500 }, 1],
    ['SYN,ACK', { flags: 'SA', seq: 0 }, 1],
  ] as const)('%s', (_name, say, answers) => {
    const t = new TcpHarness();
    const p = t.timeWait();
    p.send(say);
    expect(p.recvAll().map((s) => [s.flags, s.seq, s.ack])).toEqual(Array.from({ length: answers }, () => ['A', 2, 2]));
    // Still there.
    p.send({ flags: 'FA', seq: 1 });
    p.recv({ flags: 'A', seq: 2, ack: 2 });
    t.close();
  });
});
