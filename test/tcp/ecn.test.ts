/** Explicit congestion notification (RFC 3168, RFC 8311): agreement, marks and their echo, the answer to them, what is never marked. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept } from '../../src/kern/socket/calls.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import type { Ecn } from '../../src/stacks/inet/tcp/ecn.ts';
import type { Tcb } from '../../src/stacks/inet/tcp/tcb.ts';
import { type Peer, TcpHarness, ok } from './harness.ts';

const CE = 3;
const ECT0 = 2;

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

/** ESTABLISHED by a passive open with ECN. */
function agreed(): Peer {
  const head = t.listen();
  const p = t.peer();
  p.listener = head;
  p.send({ flags: 'SEC', seq: 0, opts: { mss: 1000 } });
  const syn = t.next();
  expect(syn?.seg.flags).toBe('SAE');
  expect(syn?.seg.tos).toBe(0);
  p.irs = syn?.seg.seq ?? 0;
  p.nxt = 1;
  p.send({ ack: 1 });
  p.so = ok(soaccept(head));
  return p;
}

/** ESTABLISHED by an active open; the peer's SYN,ACK has `flags`. */
function asked(flags: string): Peer {
  t.sysctl('ecn.enable', 1);
  const p = t.synSent();
  expect(p.syn?.flags).toBe('SEC');
  expect(p.syn?.tos).toBe(0);
  p.send({ flags, seq: 0, ack: 1, opts: { mss: 1000 } });
  p.nxt = 1;
  p.recv({ flags: 'A' });
  return p;
}

describe('agreement', () => {
  it('RFC 3168 §6.1.1: a SYN with ECE and CWR is answered with ECE; by default only then', () => {
    const p = agreed();
    expect(p.info().options).toContain('ecn');
    expect(t.stat('ecn_server_setup')).toBe(1);
    expect(t.synSent().syn?.flags).toBe('S');
  });

  it('RFC 3168 §6.1.1: a peer that sends its SYN again without asking gets none, and nothing is marked', () => {
    const head = t.listen();
    const p = t.peer();
    p.send({ flags: 'SEC', seq: 0, opts: { mss: 1000 } });
    p.irs = t.next()?.seg.seq ?? 0;
    p.send({ flags: 'S', seq: 0, opts: { mss: 1000 } });
    expect(t.next()?.seg.flags).toBe('SA');
    p.nxt = 1;
    p.send({ ack: 1 });
    p.so = ok(soaccept(head));
    expect(p.info().options).not.toContain('ecn');
    p.write(1000);
    expect(p.recv({ len: 1000 }).tos).toBe(0);
  });

  it('with net.inet.tcp.ecn.enable=0 never', () => {
    t.sysctl('ecn.enable', 0);
    t.listen();
    const p = t.peer();
    p.send({ flags: 'SEC', seq: 0, opts: { mss: 1000 } });
    expect(t.next()?.seg.flags).toBe('SA');
    expect(t.synSent(9090).syn?.flags).toBe('S');
  });

  it('with 1 our SYN asks; a SYN,ACK with ECE agrees', () => {
    expect(asked('SAE').info().options).toContain('ecn');
    expect(t.stat('ecn_client_setup')).toBe(1);
  });

  it.each(['SA', 'SAEC'])('an answer %s does not agree, and nothing is marked', (flags) => {
    const p = asked(flags);
    expect(p.info().options).not.toContain('ecn');
    p.write(1000);
    expect(p.recv({ len: 1000 }).tos).toBe(0);
  });

  it('RFC 3168 §6.1.1.1: a SYN that is sent again does not ask, and no answer to it agrees', () => {
    t.sysctl('ecn.enable', 1);
    const p = t.synSent();
    p.wait(2000);
    p.recv({ flags: 'S' });
    p.send({ flags: 'SAE', seq: 0, ack: 1, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'A' });
    expect(p.info().options).not.toContain('ecn');
  });

  it('both ends ask at once', () => {
    t.sysctl('ecn.enable', 1);
    const p = t.synSent();
    p.send({ flags: 'SEC', seq: 0, opts: { mss: 1000 } });
    p.nxt = 1;
    p.recv({ flags: 'SAE', seq: 0, ack: 1 });
    p.send({ ack: 1 });
    p.write(1000);
    expect(p.recv({ len: 1000 }).tos).toBe(ECT0);
  });

  it.each([
    [true, 'SAE', true],
    [false, 'SA', false],
  ])('by a SYN cookie, whose bits have room for it next to SACK (%s): the answer is %s', (sackPermitted, flags, agreed) => {
    t.sysctl('syncache.cachelimit', 1);
    const head = t.listen();
    t.peer().send({ flags: 'S', seq: 0 });
    t.next();
    const p = t.peer();
    p.send({ flags: 'SEC', seq: 0, opts: { mss: 1000, sackPermitted, wscale: 7 } });
    const syn = t.next();
    expect(syn?.seg.flags).toBe(flags);
    expect(t.stat('sc_sendcookie')).toBe(1);
    p.irs = syn?.seg.seq ?? 0;
    p.nxt = 1;
    p.send({ ack: 1 });
    p.so = ok(soaccept(head));
    const { options, snd_wscale } = p.info();
    expect([options.includes('ecn'), options.includes('sack'), snd_wscale]).toEqual([agreed, sackPermitted, 7]);
    p.write(100);
    expect(p.recv({ len: 100 }).tos).toBe(agreed ? ECT0 : 0);
  });
});

describe('what is marked', () => {
  it('new data is ECT(0), with the DSCP that the user gave; ACKs and FINs without data are not', () => {
    const p = agreed();
    p.setopt(0, 3, 0xb8 | 1);
    p.write(1000);
    expect(p.recv({ len: 1000 }).tos).toBe(0xb8 | ECT0);
    p.send({ ack: 1001 });
    p.sendData(10);
    t.run(500);
    expect(p.recv({ flags: 'A' }).tos).toBe(0xb8);
    p.userClose();
    expect(p.recv({ flags: 'RA' }).tos).toBe(0);
  });

  it('RFC 3168 §6.1.5: nothing that is sent again', () => {
    const p = agreed();
    p.write(1000);
    p.recv({ len: 1000 });
    p.wait(3000);
    expect(p.recv({ seq: 1, len: 1000 }).tos).toBe(0);
  });

  it('RFC 3168 §6.1.6: no window probe', () => {
    const p = agreed();
    p.send({ win: 0 });
    p.write(1000);
    p.wait(5000);
    expect(p.recv({ len: 1 }).tos).toBe(0);
  });
});

describe('the receiver', () => {
  it('§6.1.3: CE is echoed by every ACK until CWR comes', () => {
    const p = agreed();
    p.sendData(1000, { tos: CE });
    p.sendData(1000, { tos: ECT0 });
    p.recv({ flags: 'AE' });
    p.sendData(1000, { tos: ECT0 });
    p.sendData(1000, { tos: ECT0 });
    p.recv({ flags: 'AE' });
    p.sendData(1000, { flags: 'AC', tos: ECT0 });
    p.sendData(1000, { tos: ECT0 });
    p.recv({ flags: 'A' });
    expect(t.stat('ecn_rcvce')).toBe(1);
  });

  it('CWR and CE on one segment: the echo begins anew', () => {
    const p = agreed();
    p.sendData(1000, { tos: CE });
    p.sendData(1000, { flags: 'AC', tos: CE });
    p.recv({ flags: 'AE' });
  });

  it('a mark on a segment outside of the window means nothing', () => {
    const p = agreed();
    p.send({ seq: 5_000_000, data: 10, tos: CE });
    p.recv({ flags: 'A' });
    expect(t.stat('ecn_rcvce')).toBe(0);
  });

  it('a super-frame that was marked is a mark', () => {
    const p = agreed();
    p.sendData(4000, { tos: CE, gsoSize: 1000 });
    p.recv({ flags: 'AE' });
  });

  it('without ECN marks are passed over', () => {
    const p = t.established();
    p.sendData(1000, { tos: CE });
    p.sendData(1000, { tos: CE });
    p.recv({ flags: 'A' });
  });
});

describe('the sender', () => {
  it('§6.1.2: ECE halves the window, once in a round trip, and the next new data says CWR', () => {
    const p = agreed();
    p.write(20_000);
    expect(p.recvAll()).toHaveLength(10);
    const before = p.info().snd_cwnd;
    p.send({ flags: 'AE', ack: 1001 });
    const lowered = p.info().snd_cwnd;
    expect(lowered).toBeLessThanOrEqual(0.85 * before);
    p.send({ flags: 'AE', ack: 2001 });
    p.send({ flags: 'AE', ack: 3001 });
    expect(t.stat('ecn_rcwnd')).toBe(1);
    p.send({ flags: 'A', ack: 10_001 });
    const sent = p.recvAll();
    expect(sent.filter((s) => s.flags.includes('C'))).toHaveLength(1);
    expect(sent[0]?.flags).toBe('AC');
    expect(sent.every((s) => s.tos === ECT0)).toBe(true);
    // A round trip later it counts again.
    p.send({ flags: 'AE', ack: (sent.at(-1)?.seq ?? 0) + (sent.at(-1)?.data.length ?? 0) });
    expect(t.stat('ecn_rcwnd')).toBe(2);
  });

  it('nothing is sent again for it', () => {
    const p = agreed();
    p.write(5000);
    p.recvAll();
    p.send({ flags: 'AE', ack: 2001 });
    t.run(10);
    expect(p.recvAll().filter((s) => s.seq < 5001)).toEqual([]);
  });

  it('a window that loss recovery lowered is told of by CWR too', () => {
    const p = agreed();
    p.write(20_000);
    p.recvAll();
    for (let i = 0; i < 3; i++) p.send({ ack: 1 });
    const again = p.recvAll();
    expect(again.find((s) => s.seq === 1)?.tos).toBe(0);
    p.send({ ack: Math.max(...again.map((s) => s.seq + s.data.length)) });
    const told = [...again, ...p.recvAll()].filter((s) => s.flags.includes('C'));
    expect(told.map((s) => s.tos)).toEqual([ECT0]);
    expect(t.stat('ecn_rcwnd')).toBe(0);
  });

  it('slow start that ends because the round trips grow is no congestion: no CWR, which would end an echo unheard', () => {
    const p = agreed();
    p.write(60_000);
    p.recvAll();
    p.send({ ack: 5001 });
    p.recvAll();
    // What HyStart++ does at its end (RFC 9406 §4.2).
    const tcb = p.socket().pcb as Tcb;
    tcb.ssthresh = tcb.cwnd;
    p.send({ ack: 10_001 });
    const sent = p.recvAll();
    expect(sent.length).toBeGreaterThan(4);
    expect(sent.filter((s) => s.flags.includes('C'))).toEqual([]);
  });

  it('a super-frame carries CWR once: on the first segment that the link cuts', () => {
    t.close();
    t = new TcpHarness({ offload: true });
    const p = agreed();
    p.write(20_000);
    p.recvAll();
    p.send({ flags: 'AE', ack: 10_001 });
    const sent = p.recvAll();
    expect(sent.map((s) => [s.flags.includes('C'), s.gsoSize])).toEqual([[true, 1000]]);
  });

  it('after two GiB without a mark one counts as ever', () => {
    const p = agreed();
    const { ecn, sndUna } = p.socket().pcb as Tcb;
    // As it would be if so much had been acknowledged since the connection began.
    (ecn as Ecn).recover = (sndUna - 0x7ffff000) | 0;
    p.write(20_000);
    p.recvAll();
    p.send({ ack: 2001 });
    p.send({ flags: 'AE', ack: 8001 });
    expect(t.stat('ecn_rcwnd')).toBe(1);
  });

  it('RFC 5961 §5.2: ECE in an ACK of what was never sent means nothing', () => {
    const p = agreed();
    p.write(20_000);
    p.recvAll();
    p.send({ flags: 'AE', ack: 1001 });
    expect(t.stat('ecn_rcwnd')).toBe(1);
    p.sendBatch({ flags: 'AE', ack: 900_001 });
    expect(t.stat('ecn_rcwnd')).toBe(1);
  });

  it('ECE without anything in flight is passed over', () => {
    const p = agreed();
    p.send({ flags: 'AE', ack: 1 });
    expect(t.stat('ecn_rcwnd')).toBe(0);
  });
});

describe('IP_TOS', () => {
  it('leaves the two bits of ECN to TCP', () => {
    const p = t.established();
    expect(sosetopt(p.socket(), { dir: 'set', level: 0, name: 3, value: 0xff })).toBeNull();
    p.write(10);
    expect(p.recv({ len: 10 }).tos).toBe(0xfc);
  });
});
