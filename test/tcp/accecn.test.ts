/** AccECN (RFC 9768): negotiation with all its fallbacks, and the receiver: the ACE counter and the option. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept } from '../../src/kern/socket/calls.ts';
import { sosendconnect } from '../../src/kern/socket/sendrecv.ts';
import { ipv4, sockAddr } from '../../src/wire/addr.ts';
import type { SegmentOptions } from '../support/segments.ts';
import { PEER_IP, Peer, bytes, ok } from './harness.ts';
import { ACE, CE, ECT0, ECT1, SACK, asked, boot, client, served, t } from './accecn-peer.ts';

beforeEach(() => boot(3));
afterEach(() => t.close());

describe('negotiation, the server (RFC 9768 table 2)', () => {
  it.each([
    [0, 'SAC'],
    [ECT1, 'SAEC'],
    [ECT0, 'SAN'],
    [CE, 'SACN'],
  ])('the SYN,ACK tells that the SYN was marked %i: %s, itself not marked, with the option', (tos, flags) => {
    const p = asked('SECN', tos);
    expect([p.syn?.flags, p.syn?.tos, p.syn?.opts.accecn]).toEqual([flags, 0, [0, 1, 0, 1]]);
  });

  it.each([
    ['S', 'SA', []],
    ['SEC', 'SAE', ['ecn']],
    ['SECN', 'SAC', ['accecn']],
    // Reserved combinations: §3.1.3.
    ['SN', 'SAC', ['accecn']],
    ['SEN', 'SAC', ['accecn']],
    ['SCN', 'SAC', ['accecn']],
    ['SE', 'SAC', ['accecn']],
    ['SC', 'SAC', ['accecn']],
  ])('a SYN with %s is answered with %s: %j', (syn, answer, options) => {
    const p = asked(syn);
    expect(p.syn?.flags).toBe(answer);
    p.send({ ack: 1, flags: answer === 'SAC' ? ACE[2] : 'A' });
    p.so = ok(soaccept(p.listener as NonNullable<Peer['listener']>));
    expect(p.info().options.filter((o) => o.includes('ecn'))).toEqual(options);
  });

  it.each([
    [0, 'SA'],
    [1, 'SAE'],
    [2, 'SAE'],
    [3, 'SAC'],
    [4, 'SAC'],
  ])('net.inet.tcp.ecn.enable=%i answers a client with AccECN with %s', (enable, flags) => {
    t.sysctl('ecn.enable', enable);
    expect(asked('SECN').syn?.flags).toBe(flags);
  });

  it('§3.2.3.2.2: sent again the SYN,ACK is without the option, then without the flags, and then nothing is marked', () => {
    const p = asked('SECN');
    p.wait(2000);
    let again = p.recv({ flags: 'SAC' });
    expect(again.opts.accecn).toBeUndefined();
    p.wait(3000);
    again = p.recv({ flags: 'SA' });
    p.send({ ack: 1, flags: ACE[2] });
    p.so = ok(soaccept(p.listener as NonNullable<Peer['listener']>));
    expect(p.info().options).toContain('accecn');
    p.write(100);
    expect(p.recv({ len: 100, flags: `P${ACE[5]}` }).tos).toBe(0);
  });

  it('§3.1.5: a SYN once more is answered by how that one was marked; one without flags leaves the mode and ends marking', () => {
    const p = asked('SECN');
    p.send({ flags: 'SECN', seq: 0, opts: SACK, tos: CE });
    expect(p.recv({ flags: 'SACN' }).opts.accecn).toBeUndefined();
    p.send({ flags: 'S', seq: 0, opts: SACK });
    p.recv({ flags: 'SAC' });
    p.send({ ack: 1, flags: ACE[2] });
    p.so = ok(soaccept(p.listener as NonNullable<Peer['listener']>));
    expect(p.info().options).toContain('accecn');
    p.write(100);
    expect(p.recv({ len: 100 }).tos).toBe(0);
  });

  it.each([
    ['SECN', 'SEC'],
    ['SEC', 'SECN'],
  ])('§3.1.5: a SYN with %s and one with %s in one handshake are reset', (first, second) => {
    const p = asked(first);
    p.send({ flags: second, seq: 0, opts: SACK });
    p.recv({ flags: 'RA' });
    expect(t.stat('sc_reset')).toBe(1);
  });

  it('§5.1: by a SYN cookie, which needs to say nothing of it: the client’s ACK does', () => {
    t.sysctl('syncache.cachelimit', 1);
    const head = t.listen(81);
    const other = t.peer(81);
    other.send({ flags: 'S', seq: 0 });
    t.next();
    const p = served();
    expect(t.stat('sc_recvcookie')).toBe(1);
    expect(p.info().options).toContain('accecn');
    expect(head.state).toBeDefined();
    p.sendData(1000, { flags: ACE[5], tos: CE });
    p.recv({ flags: ACE[6] });
  });

  it('and a client without AccECN gets none by its cookie', () => {
    t.sysctl('syncache.cachelimit', 1);
    t.listen(81);
    t.peer(81).send({ flags: 'S', seq: 0 });
    t.next();
    const p = asked('S');
    p.send({ ack: 1 });
    p.so = ok(soaccept(p.listener as NonNullable<Peer['listener']>));
    expect(p.info().options.filter((o) => o.includes('ecn'))).toEqual([]);
  });
});

describe('negotiation, the client', () => {
  it.each([
    ['SAC', ['accecn'], ECT0],
    ['SAEN', ['accecn'], ECT0],
    ['SAE', ['ecn'], ECT0],
    ['SA', [], 0],
    ['SAECN', [], 0],
    // The SYN was not marked: whatever mark it came with is tampering (§3.2.2.3).
    ['SAEC', ['accecn'], 0],
    ['SAN', ['accecn'], 0],
    ['SACN', ['accecn'], 0],
  ])('an answer %s means %j, and data with marking %i', (flags, options, tos) => {
    const p = client(flags);
    const ack = p.recv();
    expect(ack.flags).toBe(options[0] === 'accecn' ? ACE[2] : 'A');
    expect(p.info().options.filter((o) => o.includes('ecn'))).toEqual(options);
    p.write(100);
    expect(p.recv({ len: 100 }).tos).toBe(tos);
  });

  it.each([0, ECT1, ECT0, CE])('table 3: the ACK of a SYN,ACK with mark %i says so, and what follows counts', (tos) => {
    const p = client('SAC', tos);
    p.recv({ flags: [ACE[2], ACE[3], ACE[4], ACE[6]][tos] ?? '' });
    p.write(100);
    p.recv({ len: 100, flags: `P${ACE[tos === CE ? 6 : 5]}`.replace('PA', 'PA') });
  });

  it('§3.2.2.1: with data to send it sends that ACK first, with the option', () => {
    const so = t.socket();
    // What is given to connect along with the address waits for the SYN,ACK.
    expect(sosendconnect(so, bytes(100), 0, 100, sockAddr(ipv4(PEER_IP), 8080))).toBe(100);
    const syn = t.next()?.seg;
    const p = new Peer(t, syn?.sport ?? 0, 8080, 5000, 1460);
    p.so = so;
    p.irs = syn?.seq ?? 0;
    p.send({ flags: 'SAC', seq: 0, ack: 1, opts: SACK });
    p.nxt = 1;
    expect(p.recv({ flags: ACE[2] }).opts.accecn?.[1]).toBe(1);
    expect(p.recv({ len: 100, flags: `P${ACE[5]}` }).opts.accecn?.[1]).toBe(1);
    p.send({ ack: 101, flags: ACE[5] });
    p.write(100);
    expect(p.recv({ len: 100 }).opts.accecn).toBeUndefined();
  });

  it('§3.2.2.1: the ACK of a SYN,ACK that comes again says how that one came; CE counts once', () => {
    const p = client('SAC', CE);
    p.recv({ flags: ACE[6] });
    p.send({ flags: 'SAC', seq: 0, ack: 1, opts: SACK, tos: CE });
    p.recv({ flags: ACE[6] });
    p.send({ flags: 'SAC', seq: 0, ack: 1, opts: SACK });
    p.recv({ flags: ACE[2] });
    expect(p.info().received_ce).toBe(1);
  });

  it('§3.1.4.1: asks twice; the third SYN does not, and yet any answer decides', () => {
    const p = t.synSent();
    p.wait(2000);
    p.recv({ flags: 'SECN' });
    p.wait(5000);
    p.recv({ flags: 'S' });
    p.send({ flags: 'SAC', seq: 0, ack: 1, opts: SACK });
    p.nxt = 1;
    p.recv({ flags: ACE[2] });
    p.write(100);
    expect(p.recv({ len: 100 }).tos).toBe(ECT0);
  });

  it('§3.2.2.2: a SYN that met congestion lowers the first window', () => {
    const plain = client('SAC');
    plain.recv({});
    const cwnd = plain.info().snd_cwnd;
    expect(client('SACN').info().snd_cwnd).toBeLessThan(cwnd);
    expect(t.stat('ace_ce')).toBe(1);
  });

  it('with 4 it does not ask', () => {
    t.sysctl('ecn.enable', 4);
    expect(t.synSent().syn?.flags).toBe('S');
  });

  it('simultaneous open: the SYN,ACK is that of a server', () => {
    const p = t.synSent();
    p.send({ flags: 'SECN', seq: 0, opts: SACK, tos: ECT0 });
    p.nxt = 1;
    p.recv({ flags: 'SAN' });
    p.send({ ack: 1, flags: ACE[2] });
    expect(p.info().options).toContain('accecn');
  });
});

describe('what the server learns from the ACK of its SYN,ACK (table 4)', () => {
  it.each([
    [1, ECT0, true],
    [2, ECT0, true],
    [3, 0, true],
    [4, 0, true],
    [5, ECT0, true],
    [6, 0, true],
    [7, ECT0, true],
    [0, 0, false],
  ])('ACE %i: data goes with marking %i; feedback is answered: %s', (ace, tos, answers) => {
    const p = served({ flags: ACE[ace] as string });
    p.write(20_000);
    expect(p.recvAll()[0]?.tos).toBe(tos);
    const before = t.stat('ecn_rcwnd');
    // One mark more than the counter stands at.
    p.send({ ack: 1001, flags: ACE[ace === 6 ? 7 : 6] });
    expect(t.stat('ecn_rcwnd') - before).toBe(answers ? 1 : 0);
  });

  it('CE on the SYN,ACK lowers the window at once', () => {
    const cwnd = served().info().snd_cwnd;
    t.close();
    boot(3);
    expect(served({ flags: ACE[6] }).info().snd_cwnd).toBeLessThan(cwnd);
    expect([t.stat('ace_ce'), t.stat('ace_mangled')]).toEqual([1, 1]);
  });

  it('an ACK with data is a counter: 0 there is a box that clears it (§3.2.2.4)', () => {
    const p = served({ flags: 'PA', data: 10 });
    p.nxt = 11;
    expect(t.stat('ace_ignored')).toBe(1);
    p.write(100);
    const got = p.recv({ len: 100 });
    expect(got.tos).toBe(0);
    // It goes on telling what comes.
    expect(got.flags).toBe(`P${ACE[5]}`);
  });
});

describe('the receiver', () => {
  it('§3.2.2.2: every segment says how many packets came marked, in three bits', () => {
    const p = served();
    for (const ace of [6, 7, 0, 1, 2]) {
      p.sendData(1000, { flags: ACE[5], tos: CE });
      t.run(50);
      p.recv({ flags: ACE[ace] as string });
    }
    p.write(10);
    p.recv({ len: 10, flags: `P${ACE[2]}` });
    expect(p.info()).toMatchObject({ received_ce: 5, received_ce_bytes: 5000 });
  });

  it('a super-frame counts as its segments', () => {
    const p = served();
    p.sendData(4000, { flags: ACE[5], tos: CE, gsoSize: 1000 });
    p.recv({ flags: ACE[(5 + 4) & 7] as string });
  });

  it('§3.2.2.5.1: a change to CE is acknowledged at once, then every second mark', () => {
    const p = served();
    p.sendData(100, { flags: ACE[5], tos: ECT0 });
    p.recvNothing();
    p.sendData(100, { flags: ACE[5], tos: CE });
    p.recv({ flags: ACE[6] });
    p.sendData(100, { flags: ACE[5], tos: CE });
    p.recvNothing();
    p.sendData(100, { flags: ACE[5], tos: CE });
    p.recv({ flags: ACE[0] });
  });

  it('§3.2.2.5.1: marked ACKs are acknowledged too, every third', () => {
    const p = served();
    p.write(3000);
    p.recvAll();
    p.send({ ack: 1001, flags: ACE[5], tos: CE });
    p.send({ ack: 2001, flags: ACE[5], tos: CE });
    p.recvNothing();
    p.send({ ack: 3001, flags: ACE[5], tos: CE });
    p.recv({ flags: ACE[0] });
  });

  it('§3.2.3.3: bytes by mark go with the next ACK, of every counter that ever changed, and not when none did since', () => {
    const p = served();
    const option = (tos: number): SegmentOptions['accecn'] => {
      p.sendData(1000, { flags: ACE[5], tos });
      t.run(50);
      return p.recv({}).opts.accecn;
    };
    expect(option(0)).toBeUndefined();
    expect(option(ECT0)).toEqual([0, 1001]);
    expect(option(0)).toBeUndefined();
    expect(option(CE)).toEqual([0, 1001, 1000]);
    expect(option(ECT0)).toEqual([0, 2001, 1000]);
    expect(option(ECT1)).toEqual([0, 2001, 1000, 1001]);
    expect(p.info()).toMatchObject({ received_e0_bytes: 2000, received_e1_bytes: 1000, received_ce_bytes: 1000 });
  });

  it('§3.2.3: with ECT(1) only it is the other order', () => {
    const p = served();
    p.sendData(1000, { flags: ACE[5], tos: ECT1 });
    p.sendData(1000, { flags: ACE[5], tos: CE });
    expect(p.recv({}).opts.accecn).toEqual([1, 1001, 1000]);
  });

  it('§3.2.3.3: two SACK blocks come first; where the option does not fit they have the room', () => {
    const p = served({ flags: ACE[2] }, { ...SACK, ts: [1, 0] });
    const early = (seq: number, tos: number): SegmentOptions => {
      p.send({ seq, data: 100, flags: ACE[5], tos });
      return p.recv({}).opts;
    };
    expect(early(1001, ECT0)).toMatchObject({ sack: [[1001, 1101].map((v) => v + p.iss)], accecn: [0, 101] });
    expect(early(2001, CE).sack).toHaveLength(2);
    // Twelve bytes of timestamps, twenty of two blocks, eight of two fields.
    expect(early(3001, CE)).toMatchObject({ accecn: [0, 101, 200] });
    expect(early(4001, CE).sack).toHaveLength(2);
    // All three would need twelve: what did not change since may stay away, and where that is not enough the option does.
    expect(early(5001, ECT1).accecn).toBeUndefined();
    expect(early(6001, 0).sack).toHaveLength(3);
  });

  it('a full segment has no room for it, a smaller one has', () => {
    const p = served();
    p.sendData(100, { flags: ACE[5], tos: ECT0 });
    p.write(1000);
    expect(p.recv({ len: 1000 }).opts.accecn).toBeUndefined();
    p.send({ ack: 1001, flags: ACE[5] });
    p.write(500);
    expect(p.recv({ len: 500 }).opts.accecn).toEqual([0, 101]);
  });

  it('§3.2.3.2.2: data that is sent again goes without it, the next ACK has it', () => {
    const p = served();
    p.write(500);
    p.recv({ len: 500 });
    const ms = p.wait(5000);
    p.recv({ len: 500 });
    t.run(2 * ms - 20);
    p.sendData(100, { flags: ACE[5], tos: ECT0 });
    p.recvNothing();
    t.run(25);
    expect(p.recv({ len: 500, ack: 101 }).opts.accecn).toBeUndefined();
    p.sendData(1, { flags: ACE[5] });
    t.run(50);
    expect(p.recv({ ack: 102 }).opts.accecn).toEqual([0, 101]);
  });

  it('§3.2.3.2.2: when everything that was acknowledged with it comes again, it stays away', () => {
    const p = served();
    p.sendData(1000, { flags: ACE[5], tos: ECT0 });
    t.run(50);
    p.recv({});
    for (let i = 0; i < 3; i++) {
      p.send({ seq: 1, data: 1000, flags: ACE[5] });
      p.recv({});
    }
    p.sendData(1000, { flags: ACE[5], tos: ECT0 });
    t.run(50);
    expect(p.recv({}).opts.accecn).toBeUndefined();
  });

  it('probes of our closed window are no sign that the option gets lost', () => {
    const p = served();
    p.setopt(0xffff, 0x1002, 4000);
    while (p.info().rcv_wnd > 0) {
      p.sendData(Math.min(1000, p.info().rcv_wnd), { flags: ACE[5], tos: ECT0 });
      t.run(50);
      p.recvAll();
    }
    for (let i = 0; i < 4; i++) {
      p.send({ data: 1, flags: ACE[5] });
      expect(p.recv({}).win).toBe(0);
    }
    p.read();
    t.run(50);
    p.recvAll();
    p.sendData(1000, { flags: ACE[5], tos: ECT0 });
    t.run(50);
    expect(p.recv({}).opts.accecn).toBeDefined();
  });

  it('TIME_WAIT and keep-alive probes go on saying the counter', () => {
    t.sysctl('always_keepalive', true);
    const p = served();
    p.sendData(1000, { flags: ACE[5], tos: CE });
    p.recv({ flags: ACE[6] });
    t.run(7_200_000);
    expect(t.next()?.seg.flags).toBe(ACE[6]);
    p.send({ ack: 1, flags: ACE[5] });
    expect(p.read()).toHaveLength(1000);
    p.userClose();
    p.recv({ flags: `F${ACE[6]}` });
    p.send({ ack: 2, flags: `F${ACE[5]}` });
    p.recv({ flags: ACE[6] });
  });
});
