/** User timeout: it ends a connection at its time; and its exchange with the peer (RFC 5482). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soaccept, sogetopt } from '../../src/kern/socket/calls.ts';
import type { SockOpt } from '../../src/kern/socket/protosw.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import { type Peer, TcpHarness, ok } from './harness.ts';

const TCP = 6;
const TCP_USER_TIMEOUT = 16_384;
const TCP_UTO = 16_385;
const MINUTES = 0x8000;

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

/** Milliseconds until the connection is gone. */
function lifetime(p: Peer, maxMs: number): number {
  const start = t.sim.nowMs();
  while (p.state() !== 'CLOSED' && t.sim.nowMs() - start < maxMs) t.run(1);
  p.recvAll();
  return t.sim.nowMs() - start;
}

function timeout(p: Peer): unknown {
  const sopt: SockOpt = { dir: 'get', level: TCP, name: TCP_USER_TIMEOUT, value: null };
  expect(sogetopt(p.socket(), sopt)).toBeNull();
  return sopt.value;
}

describe('TCP_USER_TIMEOUT', () => {
  it.each([50, 700, 3000, 10_000])('ends the connection after %i ms, and not at the retransmission behind that', (ms) => {
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, ms);
    p.write(100);
    const lived = lifetime(p, 60_000);
    expect(lived).toBeGreaterThanOrEqual(ms);
    expect(lived).toBeLessThan(ms + 20);
    expect(t.stat('timeoutdrop')).toBe(1);
  });

  it('outlives the count of retransmissions', () => {
    t.sysctl('maxrxtshift', 3);
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, 100_000);
    p.write(100);
    expect(lifetime(p, 200_000)).toBeGreaterThanOrEqual(100_000);
  });

  it('set while the timer runs it counts from the first loss', () => {
    const p = t.established();
    p.write(100);
    t.run(8000);
    p.setopt(TCP, TCP_USER_TIMEOUT, 9000);
    expect(lifetime(p, 60_000)).toBeLessThan(2000);
  });

  it('a closed window ends at its time too', () => {
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, 5000);
    p.write(100);
    p.recv({ len: 100 });
    p.send({ ack: 101, win: 0 });
    p.write(100);
    let lived = 0;
    // Probes are answered all the time.
    while (p.state() !== 'CLOSED' && lived < 20_000) {
      t.run(1);
      lived++;
      for (const s of p.recvAll()) if (s.data.length > 0) p.send({ ack: 101, win: 0 });
    }
    expect(lived).toBeLessThan(6500);
  });

  it('outlives the count of attempts too where there is no way to the peer (RFC 5482 §1)', () => {
    t.sysctl('maxrxtshift', 3);
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, 100_000);
    expect(t.ifp.setUp(false)).toBeNull();
    p.write(100);
    const lived = lifetime(p, 200_000);
    expect(lived).toBeGreaterThanOrEqual(100_000);
    expect(lived).toBeLessThan(102_000);
  });

  it('an answer begins it anew', () => {
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, 2000);
    p.write(100);
    t.run(1500);
    p.recvAll();
    p.send({ ack: 101 });
    p.write(100);
    expect(lifetime(p, 10_000)).toBeGreaterThanOrEqual(2000);
  });

  it('RFC 5482 §4.2: keep-alive waits for it', () => {
    for (const [name, value] of [
      ['keepidle', 1000],
      ['keepintvl', 1000],
      ['keepcnt', 2],
      ['always_keepalive', true],
    ] as const)
      t.sysctl(name, value);
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, 10_000);
    const lived = lifetime(p, 60_000);
    expect(lived).toBeGreaterThanOrEqual(10_000);
    expect(lived).toBeLessThan(11_500);
  });
});

describe('the option (RFC 5482)', () => {
  it('of the reserved value 0 does not undo what the listener’s user set', () => {
    t.sysctl('uto.enable', true);
    const head = t.listen();
    expect(sosetopt(head, { dir: 'set', level: TCP, name: TCP_USER_TIMEOUT, value: 3000 })).toBeNull();
    const p = t.established({ mss: 1460, uto: 0 }, head);
    expect(timeout(p)).toBe(3000);
    p.write(100);
    expect(lifetime(p, 60_000)).toBeLessThan(3020);
  });

  it('is neither sent nor taken unless it is wanted', () => {
    const p = t.established({ mss: 1460, uto: 200 });
    expect(p.syn?.opts.uto).toBeUndefined();
    p.write(10);
    expect(p.recv({ len: 10 }).opts.uto).toBeUndefined();
    expect([timeout(p), t.stat('utorcvd')]).toEqual([0, 0]);
  });

  it('goes in the SYN, once behind it, and when it changes (§3.2)', () => {
    const p = t.synSent(8080, (so) => {
      expect(sosetopt(so, { dir: 'set', level: TCP, name: TCP_UTO, value: 120 })).toBeNull();
    });
    expect(p.syn?.opts.uto).toBe(120);
    p.send({ flags: 'SA', seq: 0, ack: 1, opts: { mss: 1460 } });
    p.nxt = 1;
    expect(p.recv({}).opts.uto).toBe(120);
    p.write(10);
    expect(p.recv({ len: 10 }).opts.uto).toBeUndefined();
    p.setopt(TCP, TCP_UTO, 90_000);
    p.send({ ack: 11 });
    p.write(10);
    expect(p.recv({ len: 10 }).opts.uto).toBe(MINUTES | 1500);
  });

  it('by net.inet.tcp.uto.enable on every connection, with uto.adv; a full segment has no room for it', () => {
    t.sysctl('uto.enable', true);
    t.sysctl('uto.adv', 150);
    const head = t.listen();
    const p = t.synReceived({ mss: 1000, uto: 60 }, head);
    expect(p.syn?.opts.uto).toBe(150);
    p.send({ ack: 1 });
    p.so = ok(soaccept(head));
    p.write(1000);
    expect(p.recv({ len: 1000 }).opts.uto).toBeUndefined();
    p.send({ ack: 1001 });
    p.write(100);
    expect(p.recv({ len: 100 }).opts.uto).toBe(150);
    expect(timeout(p)).toBe(150_000);
  });

  it('turned off on a listener it is off on what it accepts, whatever the sysctl says', () => {
    t.sysctl('uto.enable', true);
    const head = t.listen();
    expect(sosetopt(head, { dir: 'set', level: TCP, name: TCP_UTO, value: 0 })).toBeNull();
    const p = t.established({ mss: 1460, uto: 200 }, head);
    expect(p.syn?.opts.uto).toBeUndefined();
    p.write(10);
    expect(p.recv({ len: 10 }).opts.uto).toBeUndefined();
    expect(timeout(p)).toBe(0);
  });

  it.each([
    [200, 200_000],
    [MINUTES | 5, 300_000],
    // L_LIMIT, what we advertise, and U_LIMIT.
    [10, 120_000],
    [MINUTES | 0x7fff, 3_600_000],
    // Reserved.
    [0, 0],
    [MINUTES, 0],
  ])('%i of the peer’s makes it %i ms: the longest within the limits (§3.1)', (uto, ms) => {
    const head = t.listen();
    expect(sosetopt(head, { dir: 'set', level: TCP, name: TCP_UTO, value: 120 })).toBeNull();
    const p = t.established({ mss: 1460, uto }, head);
    expect(timeout(p)).toBe(ms);
  });

  it('of two short ones neither holds: uto.min does', () => {
    t.sysctl('uto.min', 90_000);
    const head = t.listen();
    expect(sosetopt(head, { dir: 'set', level: TCP, name: TCP_UTO, value: 20 })).toBeNull();
    expect(timeout(t.established({ mss: 1460, uto: 10 }, head))).toBe(90_000);
  });

  it('may come later, in an acceptable segment only', () => {
    t.sysctl('uto.enable', true);
    const p = t.established();
    p.send({ seq: 5_000_000, data: 1, opts: { raw: [28, 4, 0x02, 0x58] } });
    expect(timeout(p)).toBe(0);
    p.sendData(1, { opts: { raw: [28, 4, 0x02, 0x58] } });
    expect(timeout(p)).toBe(600_000);
  });

  it('does not change what the user has set (CHANGEABLE)', () => {
    t.sysctl('uto.enable', true);
    const p = t.established();
    p.setopt(TCP, TCP_USER_TIMEOUT, 5000);
    p.sendData(1, { opts: { raw: [28, 4, 0x02, 0x58] } });
    expect(timeout(p)).toBe(5000);
    p.setopt(TCP, TCP_USER_TIMEOUT, 0);
    expect(timeout(p)).toBe(600_000);
    p.setopt(TCP, TCP_UTO, 0);
    expect(timeout(p)).toBe(0);
  });

  it('what both agreed on decides, and not the count of retransmissions', () => {
    t.sysctl('maxrxtshift', 3);
    t.sysctl('uto.enable', true);
    t.sysctl('uto.adv', 100);
    const p = t.established({ mss: 1460, uto: 100 });
    p.write(10);
    const lived = lifetime(p, 300_000);
    expect(lived).toBeGreaterThanOrEqual(100_000);
    expect(lived).toBeLessThan(100_020);
  });

  it('TCP_UTO takes no more than the option can say', () => {
    const p = t.established();
    expect(sosetopt(p.socket(), { dir: 'set', level: TCP, name: TCP_UTO, value: 0x7fff * 60 + 1 })).toBe('EINVAL');
  });
});
