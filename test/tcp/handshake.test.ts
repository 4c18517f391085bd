/** Opening (RFC 9293 §3.5, §3.7.1; RFC 7323 §2; RFC 2018 §2; RFC 6528). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  soaccept,
  soconnect,
  sopoll,
  POLLOUT,
  sosockaddr,
  sopeeraddr,
  sobind,
  solisten,
  soclose,
} from '../../src/kern/socket/calls.ts';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { ipv4, sockAddr } from '../../src/wire/addr.ts';
import { PEER_IP, STACK_IP, TcpHarness, ok } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

describe('passive open', () => {
  it('answers a SYN with its own, and is accepted by the ACK', () => {
    const listener = t.listen();
    const p = t.synReceived({ mss: 1460 }, listener);
    expect(p.syn!.ack).toBe(1001);
    expect(soaccept(listener)).toBe('EAGAIN');
    p.send({ ack: 1 });
    const so = ok(soaccept(listener));
    p.so = so;
    expect(p.state()).toBe('ESTABLISHED');
    expect(sosockaddr(so)).toMatchObject({ port: 80, addr: { w3: STACK_IP } });
    expect(sopeeraddr(so)).toMatchObject({ port: p.fport, addr: { w3: PEER_IP } });
    p.recvNothing();
  });

  it('MUST-14: its SYN says its MSS; only what the peer offered is answered', () => {
    expect(t.synReceived({ mss: 1460 }).syn!.opts).toEqual({ mss: 1460 });
    t.kernel.sysctl.write('net.inet.tcp.sack.enable', true);
    const all = t.peer();
    all.send({ flags: 'S', opts: { mss: 1460, wscale: 7, sackPermitted: true, ts: [77, 0] } });
    const { seg } = t.next()!;
    expect(seg.opts).toMatchObject({ mss: 1460, wscale: 8, sackPermitted: true });
    expect(seg.opts.ts![1]).toBe(77);
  });

  it('MUST-15: without an MSS option it sends segments of 536 bytes', () => {
    const p = t.established({});
    p.write(1500);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([536, 536, 428]);
  });

  it('MUST-16: the timestamp option is taken off the MSS', () => {
    const p = t.established({ mss: 1000, ts: [5, 0] });
    p.write(1500);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([988, 512]);
  });

  it('a silly MSS is raised to the least that the administrator allows', () => {
    const p = t.established({ mss: 8 });
    p.write(300);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([216, 84]);
  });

  it('MUST-5, MUST-6, MUST-7: options in any order, unaligned, unknown ones passed over, a bad length coped with', () => {
    const p = t.peer();
    p.send({ flags: 'S', opts: { raw: [1, 254, 5, 9, 9, 9, 2, 4, 2, 88, 1, 0] } });
    p.irs = t.next()!.seg.seq;
    t.listen(81);
    const q = t.peer(81);
    q.send({ flags: 'S', opts: { raw: [2, 4, 2, 88, 99, 0, 1, 1] } });
    expect(t.next()!.seg.flags).toBe('SA');
    expect(t.stat('rcvbadopt')).toBe(1);
    const r = t.peer(81);
    r.send({ flags: 'S', opts: { raw: [3, 40, 1, 1] } });
    expect(t.next()!.seg.flags).toBe('SA');
  });

  it('windows are scaled by what both SYNs said, SYNs are not', () => {
    t.sysctl('recvspace', 512 * 1024);
    const p = t.established({ mss: 1460, wscale: 3 });
    expect(p.info()).toMatchObject({ snd_wscale: 3, rcv_wscale: 8, snd_wnd: 65_535 * 8 });
    p.sendData(3000);
    // What is left of 512 KiB, in units of 256.
    expect(p.recv({ ack: 3001 }).win).toBe((512 * 1024 - 3000) >> 8);
  });

  it('a window scale above 14 is taken as 14', () => {
    expect(t.established({ mss: 1460, wscale: 99 }).info().snd_wscale).toBe(14);
  });

  it('without scaling the window is what fits 16 bits', () => {
    t.sysctl('recvspace', 512 * 1024);
    const p = t.established();
    expect(p.syn!.win).toBe(65_535);
    p.sendData(3000);
    expect(p.recv({ ack: 3001 }).win).toBe(65_535);
  });

  it('data and FIN with the ACK that completes the handshake are taken', () => {
    const p = t.synReceived();
    p.send({ flags: 'FPA', ack: 1, data: 'hello' });
    p.so = ok(soaccept(p.listener!));
    p.recv({ flags: 'A', ack: 7 });
    expect(p.read()).toEqual(new TextEncoder().encode('hello'));
    expect(p.read()).toEqual(new Uint8Array(0));
    expect(p.state()).toBe('CLOSE_WAIT');
  });

  it('a lost ACK: the first data completes the handshake', () => {
    const p = t.synReceived();
    p.sendData('late', { ack: 1 });
    p.so = ok(soaccept(p.listener!));
    expect(p.read()).toEqual(new TextEncoder().encode('late'));
  });

  it('the SYN,ACK is sent again after 1, 2, 4 seconds, then it is forgotten', () => {
    const p = t.synReceived();
    t.run(16_000);
    expect(p.recvAll().map((s) => [s.ms, s.flags])).toEqual([
      [1000, 'SA'],
      [3000, 'SA'],
      [7000, 'SA'],
    ]);
    expect(t.stat('sc_stale')).toBe(1);
    p.send({ ack: 1 });
    p.recv({ flags: 'R', seq: 1 });
  });

  it('a repeated SYN is answered again with the same sequence number', () => {
    const p = t.synReceived();
    p.send({ flags: 'S', seq: 0, opts: { mss: 1460 } });
    p.recv({ flags: 'SA', seq: 0, ack: 1 });
    p.send({ ack: 1 });
    expect(isSocket(soaccept(p.listener!))).toBe(true);
  });

  it('SYN-RECEIVED: a wrong ACK is reset, and the right one still works (§3.10.7.4)', () => {
    const p = t.synReceived();
    p.send({ ack: 77 });
    p.recv({ flags: 'R', seq: 77 });
    p.send({ ack: 1 });
    expect(isSocket(soaccept(p.listener!))).toBe(true);
  });

  it('SYN-RECEIVED: an exact RST takes it back, one in the window is challenged, one outside is nothing', () => {
    const p = t.synReceived();
    p.send({ flags: 'R', seq: 500 });
    p.recv({ flags: 'A', seq: 1, ack: 1 });
    p.send({ flags: 'R', seq: 100_000 });
    p.recvNothing();
    p.send({ flags: 'R', seq: 1 });
    p.recvNothing();
    p.send({ ack: 1 });
    p.recv({ flags: 'R', seq: 1 });
    expect(soaccept(p.listener!)).toBe('EAGAIN');
  });

  it('MUST-41, MUST-42: listeners do not interfere, and many connections share a port', () => {
    const a = t.established({ mss: 1460 }, t.listen(80));
    const b = t.established({ mss: 1460 }, a.listener);
    a.sendData('for a');
    b.sendData('for b');
    expect(a.read()).toEqual(new TextEncoder().encode('for a'));
    expect(b.read()).toEqual(new TextEncoder().encode('for b'));
  });

  it('a listener on an address is chosen before one on any', () => {
    t.listen(80);
    const so = t.socket();
    expect(sobind(so, sockAddr(ipv4(STACK_IP), 81))).toBeNull();
    expect(solisten(so, 1)).toBeNull();
    const p = t.peer(81);
    p.send({ flags: 'S' });
    p.irs = t.next()!.seg.seq;
    p.send({ seq: 1, ack: 1 });
    expect(isSocket(soaccept(so))).toBe(true);
  });
});

describe('bad SYNs', () => {
  it('from its own address and port ("land") is dropped', () => {
    t.listen();
    const p = t.peer(80);
    p.send({ flags: 'S', src: STACK_IP });
    p.recvNothing();
  });

  it('MUST-57: from a broadcast or multicast address is dropped', () => {
    t.listen();
    const p = t.peer(80);
    p.send({ flags: 'S', src: 0x0a0000ff });
    p.send({ flags: 'S', src: 0xe0000001 });
    p.recvNothing();
  });

  it('a listener resets an ACK, and ignores RST and what has neither', () => {
    t.listen();
    const p = t.peer(80);
    p.send({ flags: 'A', seq: 5, ack: 99 });
    p.recv({ flags: 'R', seq: 99 });
    p.send({ flags: 'R', seq: 5 });
    p.send({ flags: 'F', seq: 5 });
    p.send({ flags: '', seq: 5, data: 5 });
    p.recvNothing();
  });

  it('CLOSED: everything but RST is reset (§3.10.7.1)', () => {
    const p = t.peer(9);
    p.send({ flags: 'S', seq: 0 });
    p.recv({ flags: 'RA', seq: 0, ack: 1 });
    p.send({ flags: 'FA', seq: 0, ack: 44, data: 10 });
    p.recv({ flags: 'R', seq: 44 });
    p.send({ flags: 'F', seq: 0, data: 10 });
    p.recv({ flags: 'RA', seq: 0, ack: 11 });
    p.send({ flags: 'R', seq: 0 });
    p.recvNothing();
  });
});

describe('active open', () => {
  it('sends a SYN with all options, and is connected by the SYN,ACK', () => {
    const p = t.synSent();
    expect(p.syn!.flags).toBe('S');
    expect(p.syn!.opts).toMatchObject({ mss: 1460, wscale: 8, sackPermitted: true });
    expect(p.syn!.opts.ts![1]).toBe(0);
    expect(p.state()).toBe('SYN_SENT');
    p.send({ flags: 'SA', ack: 1, opts: { mss: 1400, wscale: 2, sackPermitted: true, ts: [9, p.syn!.opts.ts![0]] } });
    const ack = p.recv({ flags: 'A', seq: 1, ack: 1 });
    expect(ack.opts.ts![1]).toBe(9);
    expect(sopoll(p.socket()) & POLLOUT).toBe(POLLOUT);
    expect(p.info()).toMatchObject({ state: 'ESTABLISHED', snd_mss: 1388, snd_wscale: 2, options: ['ts', 'sack', 'wscale'] });
  });

  it('a SYN,ACK without options agrees to none', () => {
    const p = t.connected({});
    expect(p.info()).toMatchObject({ options: [], snd_mss: 536, snd_wscale: 0, rcv_wscale: 0 });
  });

  it('RST with the right ACK: ECONNREFUSED; without one, or with a wrong one: nothing', () => {
    const p = t.synSent();
    p.send({ flags: 'R', seq: 0 });
    p.send({ flags: 'RA', seq: 0, ack: 9 });
    expect(p.state()).toBe('SYN_SENT');
    p.send({ flags: 'RA', seq: 0, ack: 1 });
    expect(sotakeerror(p.socket())).toBe('ECONNREFUSED');
    expect(p.state()).toBe('CLOSED');
    p.recvNothing();
  });

  it('a wrong ACK is reset (§3.10.7.3), and the right answer still works', () => {
    const p = t.synSent();
    p.send({ flags: 'SA', seq: 0, ack: 500 });
    p.recv({ flags: 'R', seq: 500 });
    p.send({ flags: 'SA', seq: 0, ack: 1 });
    p.recv({ flags: 'A', seq: 1, ack: 1 });
  });

  it('an ACK without SYN is ignored', () => {
    const p = t.synSent();
    p.send({ flags: 'A', seq: 0, ack: 1 });
    p.recvNothing();
    expect(p.state()).toBe('SYN_SENT');
  });

  it('the SYN is sent again with backoff; MUST-22: it gives up with ETIMEDOUT after keepinit', () => {
    const p = t.synSent();
    t.run(179_000);
    expect(p.recvAll().map((s) => [s.ms, s.flags])).toEqual([1, 3, 7, 15, 31, 63, 127].map((s) => [s * 1000, 'S']));
    expect(p.state()).toBe('SYN_SENT');
    t.run(2000);
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
  });

  it('MUST-23: three minutes unless the user says otherwise, by TCP_KEEPINIT', () => {
    const p = t.synSent(8080, (so) => so.methods.ctloutput(so, { dir: 'set', level: 6, name: 128, value: 200 }));
    t.run(199_000);
    expect(p.state()).toBe('SYN_SENT');
    expect(p.recvAll()).toHaveLength(8);
  });

  it('RFC 5681 §3.1: after a lost SYN the first window is one segment', () => {
    const p = t.synSent();
    t.run(1000);
    p.recv({ flags: 'S', seq: 0 });
    p.send({ flags: 'SA', ack: 1, opts: { mss: 1460 } });
    p.recv({ flags: 'A' });
    p.write(5000);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([1460]);
    // RFC 6298 §5.7: and the timeout three seconds.
    expect(p.info().rto).toBe(3_000_000);
  });

  it('MUST-10: simultaneous open', () => {
    const p = t.synSent();
    p.send({ flags: 'S', seq: 0, opts: { mss: 1460 } });
    p.recv({ flags: 'SA', seq: 0, ack: 1 });
    expect(p.state()).toBe('SYN_RECEIVED');
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: { mss: 1460 } });
    expect(p.state()).toBe('ESTABLISHED');
    p.nxt = 1;
    p.sendData('both', { ack: 1 });
    expect(p.read()).toEqual(new TextEncoder().encode('both'));
  });

  it('simultaneous open: the ACK alone establishes too, a lost SYN,ACK is sent again', () => {
    const p = t.synSent();
    p.send({ flags: 'S', seq: 0 });
    p.recv({ flags: 'SA', seq: 0, ack: 1 });
    p.wait(1500);
    p.recv({ flags: 'SA', seq: 0, ack: 1 });
    p.send({ seq: 1, ack: 1 });
    expect(p.state()).toBe('ESTABLISHED');
  });

  it('simultaneous open: RST refuses', () => {
    const p = t.synSent();
    p.send({ flags: 'S', seq: 0 });
    p.recv({ flags: 'SA' });
    p.send({ flags: 'R', seq: 1 });
    expect(sotakeerror(p.socket())).toBe('ECONNREFUSED');
  });

  it('data in the SYN,ACK is delivered', () => {
    const p = t.synSent();
    p.send({ flags: 'SA', ack: 1, data: 'eager' });
    p.recv({ flags: 'A', ack: 6 });
    expect(p.read()).toEqual(new TextEncoder().encode('eager'));
  });

  it('MUST-46, MUST-63: what cannot be a peer is refused', () => {
    expect(soconnect(t.socket(), sockAddr(ipv4(0xe0000001), 80))).toBe('EAFNOSUPPORT');
    expect(soconnect(t.socket(), sockAddr(ipv4(0x0a0000ff), 80))).toBe('EACCES');
    expect(soconnect(t.socket(), sockAddr(ipv4(0), 80))).toBe('EADDRNOTAVAIL');
    expect(soconnect(t.socket(), sockAddr(ipv4(PEER_IP), 0))).toBe('EADDRNOTAVAIL');
  });

  it('a socket does not connect to itself, nor twice to the same place from the same port', () => {
    const so = t.socket();
    expect(sobind(so, sockAddr(ipv4(STACK_IP), 7777))).toBeNull();
    expect(soconnect(so, sockAddr(ipv4(STACK_IP), 7777))).toBe('EADDRINUSE');
    const p = t.synSent();
    expect(soconnect(p.socket(), sockAddr(ipv4(PEER_IP), 8080))).toBe('EALREADY');
  });

  it('closing while it connects takes the SYN back without a word', () => {
    const p = t.synSent();
    soclose(p.socket());
    t.run(5000);
    p.recvNothing();
    p.send({ flags: 'SA', ack: 1 });
    p.recv({ flags: 'R', seq: 1 });
  });
});

describe('initial sequence numbers (RFC 6528)', () => {
  it('rise by 250 a millisecond for one name, and differ between names', () => {
    const listener = t.listen();
    const p = t.synReceived({}, listener);
    p.send({ flags: 'R', seq: 1 });
    t.run(1000);
    p.send({ flags: 'S', seq: 0 });
    expect((t.next()!.seg.seq - p.irs) | 0).toBe(250_000);
    const q = t.synReceived({}, listener);
    expect(Math.abs((q.irs - p.irs) | 0)).toBeGreaterThan(1_000_000);
  });
});

describe('the round trip of a simultaneous open', () => {
  it('is not measured from the first SYN when a second one went (Karn)', () => {
    const p = t.synSent();
    t.run(500);
    p.send({ flags: 'S', seq: 0, opts: { mss: 1460 } });
    p.recv({ flags: 'SA', seq: 0, ack: 1 });
    p.nxt = 1;
    p.send({ ack: 1 });
    expect(p.state()).toBe('ESTABLISHED');
    expect(p.info().rtt).toBe(0);
  });
});

describe('the window of a SYN is not scaled (RFC 7323 §2.2)', () => {
  it('nor is that of a SYN,ACK with data', () => {
    const p = t.synSent();
    p.send({ flags: 'SA', seq: 0, ack: 1, win: 5000, data: 'hello', opts: { mss: 1460, wscale: 7 } });
    expect(p.info().snd_wnd).toBe(5000);
    p.nxt = 6;
    p.send({ ack: 1, win: 5000 });
    expect(p.info().snd_wnd).toBe(5000 << 7);
  });

  it('nor that of the SYN,ACK that ends a simultaneous open', () => {
    const p = t.synSent();
    p.send({ flags: 'S', seq: 0, win: 5000, opts: { mss: 1460, wscale: 7 } });
    p.recv({ flags: 'SA', seq: 0, ack: 1 });
    p.send({ flags: 'SA', seq: 0, ack: 1, win: 5000, opts: { mss: 1460, wscale: 7 } });
    expect(p.state()).toBe('ESTABLISHED');
    expect(p.info().snd_wnd).toBe(5000);
  });
});

function isSocket(r: unknown): boolean {
  return typeof r === 'object';
}
