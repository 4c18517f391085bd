/** Segments by hand: the handshake, resets, challenges, PAWS, closing in every order, TIME-WAIT (RFC 9293, 5961, 7323, 6191, 1337). */
import { describe, expect, test } from 'vitest';
import { soclose, soshutdown } from '../../../src/kern/socket/calls.ts';
import { sosend } from '../../../src/kern/socket/sendrecv.ts';
import { SIOCAIFADDR, SIOCDIFADDR } from '../../../src/kern/ifnet/ifioctl.ts';
import { ipv4 } from '../../../src/wire/addr.ts';
import { ip } from './support/host.ts';
import { type Peer, Server, dial, pattern } from './support/sockets.ts';
import {
  ACK,
  FIN,
  PSH,
  RST,
  SYN,
  PEER,
  PEER_MAC,
  type Seg,
  US,
  Wire,
  mssOpt,
  sackOkOpt,
  text,
  tsOpt,
  wsOpt,
} from './support/wire.ts';

const ISN = 1000;

interface Est {
  w: Wire;
  server: Server;
  peer: Peer;
  /** What we acknowledge next, what the peer sends next. */
  snd: number;
  rcv: number;
}

/** A connection that the peer opened; without options unless given. */
function established(o: number[] = mssOpt(1460), env: Record<string, string> = {}): Est {
  const w = new Wire(env);
  const server = new Server(w.host, 80);
  w.put({ seq: ISN, flags: SYN, o });
  const sa = w.one();
  expect(sa.flags).toBe(SYN | ACK);
  expect(sa.ack).toBe(ISN + 1);
  const more = sa.opts.hasTs ? { o: tsOpt(101, sa.opts.tsVal) } : {};
  w.put({ seq: ISN + 1, ack: (sa.seq + 1) | 0, ...more });
  expect(w.sent()).toEqual([]);
  return { w, server, peer: server.peers[0]!, snd: (sa.seq + 1) | 0, rcv: ISN + 1 };
}

const flagsOf = (segs: Seg[]): number[] => segs.map((s) => s.flags);

describe('without a route', () => {
  test('what is owed and unsent waits, at the price of a try a second, and goes out when the way is back', () => {
    const { w, peer, snd, rcv } = established();
    const conf = { name: 'raw0', addr: ipv4(ip(US)), prefixLen: 24 };
    expect(w.host.kernel.netstack.current.ioctl(SIOCDIFADDR, conf)).toBeNull();
    const before = w.host.count('ip', 'noroute');
    sosend(peer.so, text('later'), 0, 5);
    w.world.run(10_000);
    expect(w.sent()).toEqual([]);
    expect(w.host.count('ip', 'noroute') - before).toBeLessThan(60);
    expect(w.host.kernel.netstack.current.ioctl(SIOCAIFADDR, conf)).toBeNull();
    w.world.run(70_000);
    expect(w.sent()[0]).toMatchObject({ seq: snd, ack: rcv, data: text('later') });
  });
});

describe('handshake', () => {
  test('a SYN/ACK offers what the SYN did, and nothing else', () => {
    const w = new Wire();
    new Server(w.host, 80);
    w.put({ seq: 1, flags: SYN, o: [...mssOpt(1400), ...sackOkOpt, ...tsOpt(77, 0), ...wsOpt(3)] });
    const all = w.one();
    expect(all.opts).toMatchObject({ mss: 1460, wscale: 7, sackPermitted: true, hasTs: true, tsEcr: 77 });
    w.put({ sport: 4001, seq: 1, flags: SYN });
    expect(w.one().opts).toMatchObject({ mss: 1460, wscale: -1, sackPermitted: false, hasTs: false });
  });

  test('a SYN again gets the same SYN/ACK; without an answer it is sent again and given up', () => {
    const w = new Wire();
    new Server(w.host, 80);
    w.put({ seq: 1, flags: SYN });
    const first = w.one();
    w.put({ seq: 1, flags: SYN });
    expect(w.one()).toMatchObject({ seq: first.seq, flags: SYN | ACK });
    w.world.run(60_000);
    expect(w.sent().length).toBe(4);
    expect(w.host.taken()).toMatchObject({ flows: 1, embryonic: 0 });
  });

  test('a peer that no route leads to costs a try for each retransmission, and is given up', () => {
    const w = new Wire();
    new Server(w.host, 80);
    w.raw.inject(w.segment({ seq: 1, flags: SYN }, '192.0.2.1'));
    w.world.run(60_000);
    expect(w.sent()).toEqual([]);
    expect(w.host.count('ip', 'noroute')).toBeLessThan(10);
    expect(w.host.count('tcp', 'delack')).toBe(0);
    expect(w.host.taken()).toMatchObject({ flows: 1, embryonic: 0 });
  });

  test('a wrong acknowledgment of a SYN/ACK is reset', () => {
    const w = new Wire();
    const server = new Server(w.host, 80);
    w.put({ seq: 1, flags: SYN });
    const sa = w.one();
    w.put({ seq: 2, ack: sa.seq + 5 });
    expect(w.one()).toMatchObject({ flags: RST, seq: (sa.seq + 5) | 0 });
    expect(server.peers.length).toBe(0);
  });

  test('closed ports: a SYN gets RST and ACK, an ACK gets RST, a RST nothing; SYN with FIN nothing', () => {
    const w = new Wire();
    w.put({ dport: 81, seq: 5, flags: SYN });
    expect(w.one()).toMatchObject({ flags: RST | ACK, ack: 6, seq: 0 });
    w.put({ dport: 81, seq: 5, ack: 99 });
    expect(w.one()).toMatchObject({ flags: RST, seq: 99 });
    w.put({ dport: 81, seq: 5, flags: RST });
    expect(w.sent()).toEqual([]);
    new Server(w.host, 80);
    w.put({ seq: 5, flags: SYN | FIN });
    expect(w.sent()).toEqual([]);
    expect(w.host.count('tcp', 'badsyn')).toBe(1);
  });

  test('a cookie made up by a stranger opens nothing', () => {
    const w = new Wire({ 'net.alt.embryonic': '0' });
    const server = new Server(w.host, 80);
    for (let k = 0; k < 200; k++) w.put({ sport: 5000 + k, seq: k, ack: (k * 7919 * 104729) | 0 });
    expect(server.peers.length).toBe(0);
    expect(w.host.count('tcp', 'sc_badcookie')).toBe(200);
    w.put({ seq: 1, flags: SYN, o: mssOpt(1460) });
    const sa = w.sent().find((s) => s.flags === (SYN | ACK))!;
    expect(w.host.taken()).toMatchObject({ flows: 1, embryonic: 0 });
    // The data that comes with the acknowledgment counts.
    w.put({ seq: 2, ack: (sa.seq + 1) | 0, data: text('GET') });
    expect(server.peers[0]?.text()).toBe('GET');
  });

  test('a cookie is good for two minutes and not again when its clock of 35 minutes comes round, whoever else gets one', () => {
    const w = new Wire({ 'net.alt.embryonic': '0' });
    const server = new Server(w.host, 80);
    const cookie = (sport: number): Seg => {
      w.put({ sport, seq: 1, flags: SYN, o: mssOpt(1460) });
      return w.sent().find((s) => s.flags === (SYN | ACK))!;
    };
    const old = cookie(4001);
    w.world.run(32 * 65_536);
    w.teach(PEER, PEER_MAC);
    // A flood may be on, so that cookies are being sent.
    cookie(4002);
    w.put({ sport: 4001, seq: 2, ack: (old.seq + 1) | 0, data: text('GET') });
    expect(server.peers.length).toBe(0);
    expect(w.host.count('tcp', 'sc_badcookie')).toBe(1);
    const fresh = cookie(4003);
    w.world.run(60_000);
    w.put({ sport: 4003, seq: 2, ack: (fresh.seq + 1) | 0, data: text('GET') });
    expect(server.peers.length).toBe(1);
  });

  test('an active open: SYN with all options, ECONNREFUSED by a reset, ETIMEDOUT by silence', () => {
    const w = new Wire();
    const refused = dial(w.host, '10.0.0.9', 99);
    const syn = w.one();
    expect(syn.flags).toBe(SYN);
    expect(syn.opts).toMatchObject({ mss: 1460, wscale: 7, sackPermitted: true, hasTs: true });
    w.put({ sport: 99, dport: syn.sport, flags: RST | ACK, ack: (syn.seq + 2) | 0 });
    expect(refused.isClosed).toBe(false);
    w.put({ sport: 99, dport: syn.sport, flags: RST | ACK, ack: (syn.seq + 1) | 0 });
    expect([refused.isClosed, refused.error]).toEqual([true, 'ECONNREFUSED']);
    const silent = dial(w.host, '10.0.0.9', 98);
    w.sent();
    w.world.run(190_000);
    expect(w.sent().length).toBeGreaterThan(4);
    expect(silent.error).toBe('ETIMEDOUT');
    soclose(refused.so);
    soclose(silent.so);
    w.world.run(10);
    expect(w.host.taken()).toMatchObject({ flows: 0 });
  });
});

describe('resets and forged segments (RFC 5961)', () => {
  test.each([
    ['at the exact number it ends the connection', 0, true, 0],
    ['inside the window it is challenged', 100, false, 1],
    ['left of the window it is dropped', -1000, false, 0],
    ['right of the window it is dropped', 5_000_000, false, 0],
  ])('RST %s', (_name, shift, ends, acks) => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv + shift, ack: snd, flags: RST | ACK });
    expect(peer.isClosed).toBe(ends);
    if (ends) expect(peer.error).toBe('ECONNRESET');
    expect(w.sent().length).toBe(acks);
  });

  test('a SYN never ends it: one challenge in a while, and no more', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv, flags: SYN });
    expect(w.one()).toMatchObject({ flags: ACK, ack: rcv, seq: snd });
    for (let k = 0; k < 10; k++) w.put({ seq: rcv + k, flags: SYN });
    expect(w.sent()).toEqual([]);
    expect(w.host.count('tcp', 'challengeacklimited')).toBe(10);
    expect(peer.isClosed).toBe(false);
  });

  test('an acknowledgment of what was never sent, or of long ago, is challenged', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv, ack: snd + 1000, data: text('evil') });
    expect(w.one().ack).toBe(rcv);
    w.world.run(200);
    w.put({ seq: rcv, ack: (snd - 100_000) | 0, data: text('evil') });
    expect(w.one().ack).toBe(rcv);
    expect(peer.gotBytes).toBe(0);
  });

  test('PAWS: an older timestamp is dropped and answered; a segment without one is dropped', () => {
    const { w, peer, snd, rcv } = established([...mssOpt(1460), ...tsOpt(100, 0)]);
    w.put({ seq: rcv, ack: snd, data: text('one'), o: tsOpt(200, 0) });
    w.sent();
    w.put({ seq: rcv + 3, ack: snd, data: text('old'), o: tsOpt(150, 0) });
    expect(w.one().ack).toBe(rcv + 3);
    w.put({ seq: rcv + 3, ack: snd, data: text('none') });
    expect(w.sent()).toEqual([]);
    w.put({ seq: rcv + 3, ack: snd, data: text('two'), o: tsOpt(200, 0) });
    expect(peer.text()).toBe('onetwo');
    expect([w.host.count('tcp', 'pawsdrop'), w.host.count('tcp', 'tsmissing')]).toEqual([1, 1]);
  });
});

describe('data', () => {
  test('an answer and the acknowledgment leave in one segment; what comes alone is acknowledged later', () => {
    const { w, peer, snd, rcv } = established();
    const reply = text('200 OK');
    peer.data = (so, _b, _o, len) => {
      sosend(so, reply, 0, reply.length);
      return len;
    };
    w.put({ seq: rcv, ack: snd, data: text('GET /'), flags: ACK | PSH });
    expect(w.one()).toMatchObject({ flags: ACK | PSH, ack: rcv + 5, data: reply });
    peer.data = (_so, _b, _o, len) => len;
    w.put({ seq: rcv + 5, ack: snd + 6, data: text('x') });
    expect(w.sent()).toEqual([]);
    w.world.run(60);
    expect(w.one()).toMatchObject({ flags: ACK, ack: rcv + 6 });
  });

  test('after a hole that was filled each segment gets an acknowledgment of its own, in one batch too', () => {
    const { w, snd, rcv } = established();
    const data = pattern(1000);
    w.put({ seq: rcv + 1000, ack: snd, data });
    expect(w.one().ack).toBe(rcv);
    w.put({ seq: rcv, ack: snd, data }, { seq: rcv + 2000, ack: snd, data }, { seq: rcv + 3000, ack: snd, data });
    expect(w.sent().map((s) => s.ack - rcv)).toEqual([2000, 3000, 4000]);
  });

  test('a batch of segments gets one acknowledgment; each out of order gets one, with SACK blocks newest first', () => {
    const { w, peer, snd, rcv } = established([...mssOpt(1460), ...sackOkOpt]);
    const seg = (k: number): Partial<Seg> => ({ seq: rcv + 1000 * k, ack: snd, data: pattern(1000, k) });
    w.put(seg(0), seg(1), seg(2), seg(3));
    expect(w.one().ack).toBe(rcv + 4000);
    w.put(seg(5), seg(7));
    const [first, second] = w.sent() as [Seg, Seg];
    expect([...first.opts.sack.subarray(0, 2)]).toEqual([rcv + 5000, rcv + 6000]);
    expect([...second.opts.sack.subarray(0, 4)]).toEqual([rcv + 7000, rcv + 8000, rcv + 5000, rcv + 6000]);
    w.put(seg(4));
    expect(w.one().ack).toBe(rcv + 6000);
    w.put(seg(6));
    expect(w.one().ack).toBe(rcv + 8000);
    const all = Buffer.concat([0, 1, 2, 3, 4, 5, 6, 7].map((k) => pattern(1000, k)));
    expect(Buffer.compare(peer.bytes(), all)).toBe(0);
    expect(w.host.taken().ranges).toBe(0);
  });

  test('overlaps are cut, and what is beyond the window is not taken', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv, ack: snd, data: text('abcdef') });
    w.put({ seq: rcv + 3, ack: snd, data: text('defghi') });
    w.put({ seq: rcv - 4, ack: snd, data: text('old!') });
    expect(peer.text()).toBe('abcdefghi');
    w.sent();
    w.put({ seq: rcv + 9 + 70_000, ack: snd, data: text('far') });
    expect(w.one().ack).toBe(rcv + 9);
    expect(w.host.taken().ranges).toBe(0);
  });

  test('a flood of holes is bounded: ranges beyond 32 are dropped, counted, and come again', () => {
    const { w, peer, snd, rcv } = established([...mssOpt(1460), ...sackOkOpt]);
    for (let k = 0; k < 40; k++) w.put({ seq: rcv + 1 + 2 * k, ack: snd, data: text('x') });
    expect(w.host.count('tcp', 'rcvoodrop')).toBe(8);
    w.put({ seq: rcv, ack: snd, data: pattern(100) });
    expect(Buffer.compare(peer.bytes(), pattern(100))).toBe(0);
    expect(w.host.taken().ranges).toBe(0);
  });

  test('three duplicate acknowledgments: the lost segment again at once; then by SACK the next hole', () => {
    const { w, peer, snd, rcv } = established([...mssOpt(1000), ...sackOkOpt]);
    peer.send(pattern(10_000));
    expect(w.sent().length).toBe(10);
    const sack = (from: number, to: number): number[] => [1, 1, 5, 10, ...be(snd + from), ...be(snd + to)];
    for (let k = 1; k <= 2; k++) w.put({ seq: rcv, ack: snd, o: sack(1000, 1000 + 1000 * k) });
    expect(w.sent()).toEqual([]);
    w.put({ seq: rcv, ack: snd, o: sack(1000, 4000) });
    expect(w.one()).toMatchObject({ seq: snd });
    // The second hole, at 4000: what is behind it has arrived.
    w.put({ seq: rcv, ack: snd, o: sack(5000, 9000) });
    expect(w.sent().map((s) => (s.seq - snd) | 0)).toEqual([4000]);
    w.put({ seq: rcv, ack: (snd + 10_000) | 0 });
    expect(w.host.taken().ranges).toBe(0);
  });

  test('the ACK that ends a recovery and reports a hole behind it begins the next one', () => {
    const { w, peer, snd, rcv } = established([...mssOpt(1000), ...sackOkOpt]);
    peer.send(pattern(40_000));
    expect(w.sent().length).toBe(10);
    const sack = (from: number, to: number): number[] => [1, 1, 5, 10, ...be(snd + from), ...be(snd + to)];
    w.put({ seq: rcv, ack: snd, o: sack(1000, 5000) });
    expect(w.sent()[0]?.seq).toBe(snd);
    w.put({ seq: rcv, ack: snd, o: sack(1000, 10_000) });
    expect(w.sent().map((s) => (s.seq - snd) | 0)).toContain(14_000);
    // The first segment got through this time; of what left behind it the first is lost.
    w.put({ seq: rcv, ack: (snd + 10_000) | 0, o: sack(11_000, 15_000) });
    expect(w.sent().map((s) => (s.seq - snd) | 0)).toContain(10_000);
    expect(w.host.count('tcp', 'newreno_episode')).toBe(2);
  });

  test('the timer: backed off twice as long each time, and one segment at a time', () => {
    const { w, peer, snd, rcv } = established(mssOpt(1000), { 'net.inet.tcp.pmtud_blackhole_detection': '0' });
    peer.send(pattern(5000));
    w.sent();
    const at: number[] = [];
    for (let t = 0; t < 16_000; t += 8) {
      w.world.run(8);
      const segs = w.sent();
      if (segs.length > 0) {
        expect(segs.length).toBe(1);
        expect(segs[0]!.seq).toBe(snd);
        at.push(t);
      }
    }
    const gaps = at.slice(1).map((t, k) => t - at[k]!);
    for (let k = 1; k < gaps.length; k++) expect(gaps[k]! / gaps[k - 1]!).toBeCloseTo(2, 0);
    w.put({ seq: rcv, ack: (snd + 1000) | 0 });
    expect(w.sent().map((s) => (s.seq - snd) | 0)).toEqual([1000, 2000]);
  });

  test('Nagle: a second small segment waits for the first; TCP_NODELAY does not', () => {
    const { w, peer, snd, rcv } = established();
    sosend(peer.so, text('a'), 0, 1);
    expect(w.one().data).toEqual(text('a'));
    sosend(peer.so, text('b'), 0, 1);
    sosend(peer.so, text('c'), 0, 1);
    expect(w.sent()).toEqual([]);
    w.put({ seq: rcv, ack: snd + 1 });
    expect(w.one().data).toEqual(text('bc'));
    w.put({ seq: rcv, ack: snd + 3 });
    peer.so.methods.ctloutput(peer.so, { dir: 'set', level: 6, name: 1, value: 1 });
    sosend(peer.so, text('d'), 0, 1);
    w.world.settle();
    sosend(peer.so, text('e'), 0, 1);
    expect(w.sent().map((s) => s.data)).toEqual([text('d'), text('e')]);
  });

  test('a closed window is asked for, and what opens it lets the rest go', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv, ack: snd, win: 0 });
    peer.send(text('waiting'));
    expect(w.sent()).toEqual([]);
    w.world.run(300);
    expect(w.one()).toMatchObject({ seq: snd, data: text('w') });
    w.put({ seq: rcv, ack: snd, win: 0 });
    w.world.run(10_000);
    expect(w.sent().length).toBeGreaterThan(1);
    w.put({ seq: rcv, ack: snd, win: 1000 });
    expect(w.sent().at(-1)).toMatchObject({ seq: snd, data: text('waiting') });
  });
});

const be = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];

describe('closing', () => {
  test('the peer first: CLOSE-WAIT, LAST-ACK, gone', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv, ack: snd, flags: FIN | ACK });
    expect(peer.eof).toBe(true);
    expect(w.one()).toMatchObject({ flags: ACK, ack: rcv + 1 });
    soclose(peer.so);
    expect(w.one()).toMatchObject({ flags: FIN | ACK, seq: snd });
    w.put({ seq: rcv + 1, ack: snd + 1 });
    expect(w.host.taken()).toMatchObject({ flows: 1, timewait: 0 });
  });

  test('we first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT for two lifetimes', () => {
    const { w, peer, snd, rcv } = established();
    soclose(peer.so);
    expect(w.one()).toMatchObject({ flags: FIN | ACK, seq: snd });
    w.put({ seq: rcv, ack: snd + 1 });
    w.put({ seq: rcv, ack: snd + 1, flags: FIN | ACK });
    expect(w.one()).toMatchObject({ flags: ACK, ack: rcv + 1, seq: snd + 1 });
    expect(w.host.taken()).toMatchObject({ flows: 1, timewait: 1 });
    w.world.run(59_000);
    expect(w.host.taken().timewait).toBe(1);
    w.world.run(1500);
    expect(w.host.taken().timewait).toBe(0);
  });

  test('both at once: CLOSING, and the acknowledgment of the FIN is not lost when all comes in one batch', () => {
    const { w, peer, snd, rcv } = established();
    soclose(peer.so);
    w.sent();
    w.put({ seq: rcv, ack: snd, flags: FIN | ACK }, { seq: rcv + 1, ack: snd + 1 });
    expect(w.one()).toMatchObject({ flags: ACK, ack: rcv + 1 });
    expect(w.host.taken()).toMatchObject({ flows: 1, timewait: 1 });
  });

  test('a FIN with data, before its turn: it counts when the hole is filled', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv + 3, ack: snd, flags: FIN | ACK, data: text('def') });
    expect(peer.eof).toBe(false);
    w.put({ seq: rcv, ack: snd, data: text('abc') });
    expect([peer.text(), peer.eof]).toEqual(['abcdef', true]);
    expect(w.sent().at(-1)?.ack).toBe(rcv + 7);
  });

  test('half closed: the peer can still send', () => {
    const { w, peer, snd, rcv } = established();
    soshutdown(peer.so, 'wr');
    w.sent();
    w.put({ seq: rcv, ack: snd + 1, data: text('still here') });
    expect(peer.text()).toBe('still here');
  });

  test('data for a user that has closed is a reset; so is close with unread data, and SO_LINGER of 0', () => {
    const one = established();
    soclose(one.peer.so);
    one.w.sent();
    one.w.put({ seq: one.rcv, ack: one.snd, data: text('late') });
    expect(flagsOf(one.w.sent())).toEqual([RST | ACK]);
    const two = established();
    two.peer.reading = false;
    two.w.put({ seq: two.rcv, ack: two.snd, data: text('unread') });
    two.w.sent();
    soclose(two.peer.so);
    expect(flagsOf(two.w.sent())).toEqual([RST | ACK]);
    const three = established();
    three.peer.so.options |= 0x80;
    soclose(three.peer.so);
    expect(flagsOf(three.w.sent())).toEqual([RST | ACK]);
    for (const { w } of [one, two, three]) expect(w.host.taken().flows).toBe(1);
  });

  test('FIN-WAIT-2 without a socket ends by itself', () => {
    const { w, peer, snd, rcv } = established();
    const busy = (): boolean => w.host.kernel.netstack.current.busy();
    soclose(peer.so);
    w.sent();
    expect(busy()).toBe(true);
    w.put({ seq: rcv, ack: snd + 1 });
    // Only the peer's end is missing: who shuts down need not wait for it.
    expect(busy()).toBe(false);
    w.world.run(61_000);
    expect(w.host.taken()).toMatchObject({ flows: 1, timewait: 0 });
    expect(w.host.count('tcp', 'finwait2_drops')).toBe(1);
  });
});

describe('TIME-WAIT', () => {
  function waiting(): Est {
    const e = established();
    soclose(e.peer.so);
    e.w.sent();
    e.w.put({ seq: e.rcv, ack: e.snd + 1, flags: FIN | ACK });
    e.w.sent();
    expect(e.w.host.taken().timewait).toBe(1);
    return e;
  }

  test('the FIN again is acknowledged again, and the time begins anew', () => {
    const { w, snd, rcv } = waiting();
    w.world.run(50_000);
    w.put({ seq: rcv, ack: snd + 1, flags: FIN | ACK });
    expect(w.one()).toMatchObject({ flags: ACK, ack: rcv + 1, seq: snd + 1 });
    w.world.run(50_000);
    expect(w.host.taken().timewait).toBe(1);
  });

  test('a reset does not end it (RFC 1337), a plain acknowledgment is not answered', () => {
    const { w, snd, rcv } = waiting();
    w.put({ seq: rcv + 1, ack: snd + 1, flags: RST | ACK });
    w.put({ seq: rcv + 1, ack: snd + 1 });
    expect(w.sent()).toEqual([]);
    expect(w.host.taken().timewait).toBe(1);
  });

  test('a new SYN beyond the old numbers opens a new connection (RFC 6191); an old one does not', () => {
    const { w, snd, rcv, server } = waiting();
    w.put({ seq: rcv - 100, flags: SYN });
    expect(w.one()).toMatchObject({ flags: ACK, ack: rcv + 1, seq: snd + 1 });
    w.put({ seq: rcv + 100_000, flags: SYN });
    const sa = w.one();
    expect(sa.flags).toBe(SYN | ACK);
    w.put({ seq: rcv + 100_001, ack: (sa.seq + 1) | 0 });
    expect(server.peers.length).toBe(2);
    expect(w.host.count('tcp', 'timewaitreused')).toBe(1);
  });
});

test('a handler may close or abort in the middle of everything', () => {
  for (const how of ['close', 'linger'] as const) {
    const { w, peer, snd, rcv } = established();
    peer.data = (so, _b, _o, len) => {
      if (how === 'linger') so.options |= 0x80;
      soclose(so);
      return len;
    };
    w.put(
      { seq: rcv + 3, ack: snd, data: text('def') },
      { seq: rcv, ack: snd, data: text('abc') },
      { seq: rcv + 6, ack: snd, flags: FIN | ACK },
    );
    w.world.run(200);
    const flags = flagsOf(w.sent());
    expect(flags.some((f) => (f & (FIN | RST)) !== 0)).toBe(true);
    w.put({ seq: rcv + 7, ack: snd + 1 });
    w.world.run(100_000);
    expect(w.host.taken()).toMatchObject({ flows: 1, ranges: 0, timewait: 0 });
  }
});
