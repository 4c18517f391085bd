/** What strangers may not do: RFC 5961 (RST, SYN, ACK, and the limits of its §7), RFC 5927 (ICMP), floods, headers that lie. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { TcpHarness } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

describe('challenge ACKs', () => {
  it('of one connection are limited: ten in five seconds', () => {
    const p = t.established();
    for (let i = 0; i < 30; i++) p.send({ flags: 'R', seq: 100 });
    expect(p.recvAll()).toHaveLength(10);
    expect(t.stat('challengelimited')).toBe(20);
    t.run(5000);
    p.send({ flags: 'S', seq: 5 });
    p.recv({ flags: 'A', seq: 1, ack: 1 });
  });

  it('one for a batch of them', () => {
    const p = t.established();
    p.sendBatch({ flags: 'R', seq: 100 }, { flags: 'R', seq: 200 }, { flags: 'S', seq: 300 });
    p.recv({ flags: 'A', seq: 1, ack: 1 });
    p.recvNothing();
  });

  it('of one connection are not spent by another: the budget is no oracle (CVE-2016-5696)', () => {
    t.sysctl('challengeack_limit', 1);
    const listener = t.listen();
    const victim = t.established({ mss: 1460 }, listener);
    const attacker = t.established({ mss: 1460 }, listener);
    for (let i = 0; i < 50; i++) attacker.send({ flags: 'R', seq: 100 });
    expect(attacker.recvAll()).toHaveLength(10);
    for (let i = 0; i < 50; i++) victim.send({ flags: 'S', seq: 100 });
    expect(victim.recvAll()).toHaveLength(10);
  });

  it('of half-open connections are limited to a number that is drawn anew each second', () => {
    t.sysctl('challengeack_limit', 20);
    t.sysctl('syncache.rexmtlimit', 0);
    t.sysctl('rexmit_initial', 20_000);
    const p = t.synReceived();
    const counts: number[] = [];
    for (let second = 0; second < 8; second++) {
      for (let i = 0; i < 100; i++) p.send({ flags: 'R', seq: 100 });
      counts.push(p.recvAll().length);
      t.run(1000);
    }
    for (const n of counts) {
      expect(n).toBeGreaterThanOrEqual(10);
      expect(n).toBeLessThanOrEqual(31);
    }
    expect(new Set(counts).size).toBeGreaterThan(2);
  });

  it('two ends that disagree do not ACK each other for ever', () => {
    const p = t.established();
    let answers = 0;
    for (let i = 0; i < 1000; i++) {
      p.send({ seq: -5000 });
      answers += p.recvAll().length;
    }
    expect(answers).toBeLessThanOrEqual(10);
  });
});

describe('resets for closed ports', () => {
  it('are limited', () => {
    t.sysctl('rstlim', 50);
    const p = t.peer(9);
    for (let i = 0; i < 200; i++) p.send({ flags: 'S', seq: i });
    expect(p.recvAll()).toHaveLength(50);
    expect(t.stat('rstlimited')).toBe(150);
    t.run(1000);
    p.send({ flags: 'S' });
    p.recv({ flags: 'RA' });
  });
});

describe('ICMP (RFC 5927)', () => {
  it('MUST-56: an error about an established connection ends nothing, whatever its code', () => {
    const p = t.established();
    p.write('x');
    p.recv({ len: 1 });
    for (const code of [0, 1, 2, 3, 5, 13]) p.sendUnreachable(code, 1);
    expect(p.state()).toBe('ESTABLISHED');
    expect(sotakeerror(p.socket())).toBeNull();
  });

  it('in SYN-SENT a hard one refuses (SHLD-26), a soft one does not (SHLD-25)', () => {
    const p = t.synSent();
    p.sendUnreachable(1, 0);
    expect(p.state()).toBe('SYN_SENT');
    p.sendUnreachable(3, 0);
    expect(sotakeerror(p.socket())).toBe('ECONNREFUSED');
  });

  it('about something that is not in flight it is ignored', () => {
    const p = t.synSent();
    p.sendUnreachable(3, 77);
    expect(p.state()).toBe('SYN_SENT');
    expect(t.stat('icmpbadseq')).toBe(1);
  });
});

describe('path MTU (RFC 1191, RFC 5927 §7)', () => {
  it('fragmentation needed: what is in flight goes again in smaller segments', () => {
    const p = t.established();
    p.write(2920);
    expect(p.recvAll().map((s) => s.data.length)).toEqual([1460, 1460]);
    p.sendUnreachable(4, 1, 1000);
    expect(p.recvAll().map((s) => [s.seq, s.data.length])).toEqual([
      [1, 960],
      [961, 960],
      [1921, 960],
      [2881, 40],
    ]);
    expect(p.info()).toMatchObject({ pmtu: 1000, snd_mss: 960 });
  });

  it('a router of before RFC 1191 says nothing: the next plateau', () => {
    const p = t.established();
    p.write(1460);
    p.recv({ len: 1460 });
    p.sendUnreachable(4, 1, 0);
    expect(p.info().pmtu).toBe(1492);
  });

  it('absurdly small ones are not believed', () => {
    const p = t.established();
    p.write(1460);
    p.recv({ len: 1460 });
    p.sendUnreachable(4, 1, 68);
    expect(p.info().pmtu).toBe(552);
  });

  it('with a sequence number that is not in flight, or larger than now, nothing changes', () => {
    const p = t.established();
    p.write(1460);
    p.recv({ len: 1460 });
    p.sendUnreachable(4, 5000, 600);
    p.sendUnreachable(4, 1, 9000);
    expect(p.info().pmtu).toBe(1500);
    p.recvNothing();
  });
});

describe('headers that lie', () => {
  it('are counted by name and dropped', () => {
    const p = t.established();
    p.send({ data: 'bad sum', frame: { badSum: true } });
    p.send({ data: 'offset too small', frame: { doff: 4 } });
    p.send({ data: 'x', frame: { doff: 15 } });
    p.send({ data: 'short', frame: { cut: 12 } });
    expect([t.stat('rcvbadsum'), t.stat('rcvbadoff'), t.stat('rcvshort')]).toEqual([1, 2, 1]);
    t.run(500);
    p.recvNothing();
    expect(p.info().bytes_received).toBe(0);
  });

  it('MUST-57: to a broadcast address of the link nothing is answered', () => {
    const p = t.peer(9);
    p.send({ flags: 'S', frame: { etherDst: new Uint8Array(6).fill(255) } });
    p.recvNothing();
  });

  it('every flag at once, and none, do no harm', () => {
    const p = t.established();
    for (let bits = 0; bits < 256; bits++) {
      const flags = [...'FSRPAUEC'].filter((_, i) => (bits & (1 << i)) !== 0).join('');
      if (flags.includes('R') || (flags.includes('F') && flags.includes('A') && !flags.includes('S'))) continue;
      p.send({ flags, urp: 3 });
    }
    expect(p.state()).toBe('ESTABLISHED');
  });
});

describe('limits after weeks without use', () => {
  it('a budget that was used up is full again', () => {
    t.sysctl('rstlim', 1);
    const p = t.peer(9);
    p.send({ flags: 'S' });
    p.recv({ flags: 'RA' });
    p.send({ flags: 'S' });
    p.recvNothing();
    t.sim.run(30 * 24 * 3600 * 1000);
    p.send({ flags: 'S' });
    p.recv({ flags: 'RA' });
  });
});
