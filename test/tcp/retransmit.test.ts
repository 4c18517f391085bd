/** Retransmission (RFC 6298, RFC 9293 §3.8): the timeout, its backoff and bounds, Karn, measurements, R1 and R2, go-back-N. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { TcpHarness, bytes } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

describe('timeout', () => {
  it('what is not acknowledged is sent again, each time after twice the time', () => {
    const p = t.established();
    p.write('lost');
    p.recv({ flags: 'PA', seq: 1, data: 'lost' });
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      waits.push(p.wait(60_000));
      p.recv({ flags: 'PA', seq: 1, data: 'lost' });
    }
    expect(waits.map((w) => Math.round(w / 200))).toEqual([1, 2, 4, 8, 16, 32]);
  });

  it('never more than the greatest, then ETIMEDOUT after R2 (over 100 s)', () => {
    const p = t.established();
    p.write('lost');
    const start = t.sim.nowMs();
    const times: number[] = [];
    while (p.state() !== 'CLOSED') {
      t.run(1000);
      times.push(...p.recvAll().map((s) => s.ms));
    }
    const gaps = times.slice(1).map((ms, i) => ms - (times[i] as number));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(64_001);
    expect(t.sim.nowMs() - start).toBeGreaterThan(100_000);
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
    expect(t.stat('timeoutdrop')).toBe(1);
  });

  it('the timer starts anew with each ACK of something new (RFC 6298 §5.3), and stops when all is acknowledged', () => {
    const p = t.established();
    p.write(2920);
    p.recvAll();
    t.run(150);
    p.send({ ack: 1461 });
    t.run(150);
    p.recvNothing();
    p.send({ ack: 2921 });
    t.run(60_000);
    p.recvNothing();
  });

  it('goes back to the first byte that is missing, in slow start', () => {
    const p = t.established();
    p.write(5840);
    expect(p.recvAll()).toHaveLength(4);
    p.wait(1000);
    p.recv({ seq: 1, len: 1460 });
    p.recvNothing();
    // The rest had arrived: nothing is sent twice.
    p.send({ ack: 5841 });
    t.run(10_000);
    p.recvNothing();
    expect(p.info()).toMatchObject({ unacked: 0, total_retrans: 1 });
  });

  it('after a timeout the congestion window is one segment, then doubles', () => {
    t.sysctl('cc.algorithm', 'newreno');
    const p = t.established();
    p.write(14_600);
    expect(p.recvAll()).toHaveLength(10);
    p.wait(1000);
    p.recv({ seq: 1, len: 1460 });
    p.send({ ack: 1461 });
    expect(p.recvAll().map((s) => s.seq)).toEqual([1461, 2921]);
    p.send({ ack: 4381 });
    expect(p.recvAll().map((s) => s.seq)).toEqual([4381, 5841, 7301]);
    expect(p.info().snd_ssthresh).toBe(7300);
  });

  it('MUST-18 (Karn): the ACK of what was sent twice is no measurement; the backoff stays until there is one', () => {
    const p = t.established();
    p.write('a');
    p.recv({ len: 1 });
    p.wait(1000);
    p.recv({ len: 1 });
    p.wait(1000);
    p.recv({ len: 1 });
    const { rtt, rto } = p.info();
    t.run(50);
    p.send({ ack: 2 });
    expect(p.info()).toMatchObject({ rtt, rto, retransmits: 0 });
    p.write('b');
    p.recv({ data: 'b' });
    t.run(10);
    p.send({ ack: 3 });
    expect(p.info().rto).toBe(200_000);
    expect(p.info().rtt).toBeGreaterThan(0);
  });

  it('RFC 7323 §4: with timestamps the ACK of what was sent twice is one', () => {
    const p = t.established({ mss: 1460, ts: [100, 0] });
    p.write('a');
    p.recv({ len: 1 });
    p.wait(1000);
    p.recv({ len: 1 });
    expect(p.info().rto).toBeGreaterThanOrEqual(400_000);
    t.run(5);
    p.send({ ack: 2 });
    expect(p.info().rto).toBe(200_000);
  });

  it('RFC 6298 §2.2, §2.3: SRTT and RTTVAR', () => {
    const p = t.connected();
    const sample = (ms: number): void => {
      const { snd_una: una } = p.info();
      const rel = (una - p.irs) | 0;
      p.write('x');
      p.recv({ len: 1 });
      t.run(ms);
      p.send({ ack: rel + 1 });
    };
    // The handshake took no time.
    sample(100);
    expect(p.info().rtt).toBe(12_500);
    expect(p.info().rttvar).toBe(25_000);
    sample(100);
    expect(Math.abs(p.info().rtt - 23_437)).toBeLessThan(3);
    expect(Math.abs(p.info().rttvar - (18_750 + 87_500 / 4))).toBeLessThan(3);
    expect(p.info().rto).toBe(Math.max(200_000, Math.ceil((p.info().rtt + 4 * p.info().rttvar) / 1000) * 1000));
  });

  it('the least timeout is a sysctl', () => {
    t.sysctl('rexmit_min', 1000);
    const p = t.established();
    p.write('x');
    p.recv({ len: 1 });
    expect(p.wait(3000)).toBeGreaterThanOrEqual(999);
  });

  it('TCP_USER_TIMEOUT ends it sooner', () => {
    const p = t.established();
    p.setopt(6, 16_384, 2000);
    p.write('x');
    p.recv({ len: 1 });
    t.run(1500);
    expect(p.state()).toBe('ESTABLISHED');
    t.run(2500);
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
  });

  it('MUST-20: what ICMP said last is why it timed out; before that it ends nothing (MUST-56)', () => {
    const p = t.established();
    p.write('x');
    p.recv({ len: 1 });
    p.sendUnreachable(1, 1);
    t.run(10_000);
    expect(p.state()).toBe('ESTABLISHED');
    p.recvAll();
    t.run(600_000);
    expect(sotakeerror(p.socket())).toBe('EHOSTUNREACH');
  });

  it('a full ring: nothing is lost, and it goes on by the timer', () => {
    t.close();
    t = new TcpHarness({ slots: 4 });
    const p = t.established();
    t.link.refuse = 'ENOBUFS';
    p.write(1000);
    p.recvNothing();
    t.link.refuse = null;
    p.wait(1000);
    p.recv({ seq: 1, data: bytes(1000) });
  });

  it('the interface goes down and comes back', () => {
    const p = t.established();
    t.ifp.setUp(false);
    p.write(1000);
    t.run(3000);
    p.recvNothing();
    t.ifp.setUp(true);
    p.wait(60_000);
    p.recv({ seq: 1, data: bytes(1000) });
  });
});

describe('windows that shrink (SHLD-14..17, MUST-34)', () => {
  it('what is beyond the new edge is not sent again, and does not time the connection out', () => {
    const p = t.established();
    p.write(4380);
    expect(p.recvAll()).toHaveLength(3);
    p.send({ ack: 1, win: 1460 });
    p.wait(1000);
    p.recv({ seq: 1, len: 1460 });
    p.send({ ack: 1461, win: 1460 });
    p.recv({ seq: 1461, len: 1460 });
    p.send({ ack: 2921, win: 65_535 });
    p.recv({ seq: 2921, len: 1460 });
  });

  it('shut altogether with data in flight: it is probed for', () => {
    const p = t.established();
    p.write(2920);
    expect(p.recvAll()).toHaveLength(2);
    p.send({ ack: 1, win: 0 });
    p.wait(2000);
    const probe = p.recv({ seq: 1, len: 1 });
    expect(probe.flags).toBe('A');
    p.send({ ack: 1, win: 65_535 });
    expect(p.recvAll().map((s) => s.seq)).toEqual([1, 1461]);
  });
});

describe('Karn’s rule (RFC 6298 §3)', () => {
  it('holds for a segment that was sent again with new data behind it', () => {
    const p = t.established({ mss: 1460 });
    t.run(1000);
    p.write(100);
    p.recv({ len: 100 });
    p.write(500);
    p.wait(5000);
    p.recv({ seq: 1, len: 600 });
    const before = t.stat('rttupdated');
    // Answers the first transmission, late.
    p.send({ ack: 101 });
    expect(t.stat('rttupdated')).toBe(before);
    p.send({ ack: 601 });
    expect(t.stat('rttupdated')).toBe(before);
  });
});
