/** CUBIC against the formulas of RFC 9438, HyStart++ against RFC 9406's steps, and choosing the algorithm of a connection. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sogetopt } from '../../src/kern/socket/calls.ts';
import type { SockOpt } from '../../src/kern/socket/protosw.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import { CUBIC_BETA, CUBIC_C, cubicK, cubicWindow } from '../../src/stacks/inet/tcp/cubic.ts';
import { HyStart } from '../../src/stacks/inet/tcp/hystart.ts';
import { TCP_CONGESTION } from '../../src/stacks/inet/tcp/sockopts.ts';
import type { Tcb } from '../../src/stacks/inet/tcp/tcb.ts';
import { type Peer, TcpHarness } from './harness.ts';

describe('the curve (RFC 9438 §4.2)', () => {
  it('begins at the reduced window, is flat at the old one, and goes on beyond it', () => {
    const wMax = 100;
    const k = cubicK(wMax, wMax * CUBIC_BETA);
    expect(k).toBeCloseTo(Math.cbrt((100 * 0.3) / 0.4), 10);
    expect(cubicWindow(0, k, wMax)).toBeCloseTo(70, 10);
    expect(cubicWindow(k, k, wMax)).toBeCloseTo(100, 10);
    expect(cubicWindow(2 * k, k, wMax)).toBeCloseTo(130, 10);
    expect(CUBIC_C).toBe(0.4);
  });

  it('no window to come back to: it grows from where it is', () => {
    expect(cubicK(10, 20)).toBe(0);
    expect(cubicWindow(5, 0, 20)).toBeCloseTo(70, 10);
  });
});

describe('HyStart++ (RFC 9406 §4.2)', () => {
  /** Rounds of `n` samples of `us` each. */
  function rounds(h: HyStart, tcb: { sndUna: number; sndMax: number }, us: number, n: number, count = 1): boolean {
    let over = false;
    for (let i = 0; i < count; i++) {
      tcb.sndUna = tcb.sndMax;
      tcb.sndMax += 10;
      for (let j = 0; j < n; j++) over = h.sample(tcb as Tcb, us) || over;
    }
    return over;
  }
  const start = (): { h: HyStart; tcb: { sndUna: number; sndMax: number } } => {
    const tcb = { sndUna: 0, sndMax: 1 };
    return { h: new HyStart(tcb as Tcb), tcb };
  };

  it('an eighth more delay for eight samples begins conservative slow start; five such rounds end slow start', () => {
    const { h, tcb } = start();
    expect(rounds(h, tcb, 80_000, 8, 3)).toBe(false);
    expect(h.css).toBe(false);
    rounds(h, tcb, 91_000, 7);
    expect(h.css).toBe(false);
    const second = start();
    rounds(second.h, second.tcb, 80_000, 8, 2);
    rounds(second.h, second.tcb, 90_000, 8);
    expect(second.h.css).toBe(true);
    expect(rounds(second.h, second.tcb, 91_000, 8, 4)).toBe(false);
    expect(rounds(second.h, second.tcb, 91_000, 8)).toBe(true);
    expect(second.h.active).toBe(false);
  });

  it('delay that goes away again brings slow start back', () => {
    const { h, tcb } = start();
    rounds(h, tcb, 80_000, 8, 2);
    rounds(h, tcb, 95_000, 8);
    expect(h.css).toBe(true);
    rounds(h, tcb, 81_000, 8);
    expect(h.css).toBe(false);
  });

  it('less than four milliseconds more are noise, more than sixteen never are', () => {
    const { h, tcb } = start();
    rounds(h, tcb, 1000, 8, 2);
    rounds(h, tcb, 4900, 8);
    expect(h.css).toBe(false);
    const slow = start();
    rounds(slow.h, slow.tcb, 400_000, 8, 2);
    rounds(slow.h, slow.tcb, 416_000, 8);
    expect(slow.h.css).toBe(true);
  });
});

describe('a connection', () => {
  let t: TcpHarness;
  beforeEach(() => {
    t = new TcpHarness();
  });
  afterEach(() => t.close());

  const algorithm = (p: Peer): unknown => {
    const opt: SockOpt = { dir: 'get', level: 6, name: TCP_CONGESTION, value: undefined };
    expect(sogetopt(p.socket(), opt)).toBeNull();
    return opt.value;
  };
  const choose = (p: Peer, value: unknown): unknown =>
    sosetopt(p.socket(), { dir: 'set', level: 6, name: TCP_CONGESTION, value });

  it('is driven by CUBIC, and by another when told so, also with data in flight', () => {
    const p = t.established({ mss: 1000, sackPermitted: true });
    expect(algorithm(p)).toBe('cubic');
    p.write(50_000);
    for (const name of ['newreno', 'bbr', 'cubic', 'bbr', 'newreno']) {
      expect(choose(p, name)).toBeNull();
      expect(algorithm(p)).toBe(name);
    }
    expect(choose(p, 'vegas')).toBe('ENOENT');
    for (let una = 1; una < 50_001;) {
      t.run(20);
      for (const s of p.recvAll()) una = Math.max(una, s.seq + s.data.length);
      p.send({ ack: una });
    }
    expect(p.info()).toMatchObject({ unacked: 0, congestion: 'newreno', pacing_rate: 0 });
  });

  it('a loss leaves seven tenths, the next one below it fast convergence; the curve brings the window back (§4.6, §4.7)', () => {
    t.sysctl('initcwnd_segments', 100);
    const p = t.established({ mss: 1000, sackPermitted: true });
    p.write(400_000);
    const n = p.recvAll().length;
    t.run(100);
    p.send({ ack: 1, opts: { sack: [[p.irs + 1001, p.irs + 1 + 1000 * n]] } });
    expect(p.info().snd_ssthresh).toBe(Math.floor(n * 1000 * CUBIC_BETA));
    t.run(100);
    let una = 1 + 1000 * n;
    for (const s of p.recvAll()) una = Math.max(una, s.seq + s.data.length);
    p.send({ ack: una });
    expect(p.info()).toMatchObject({ ca_state: 'open', snd_cwnd: Math.floor(n * 1000 * CUBIC_BETA) });
    const k = cubicK(n, n * CUBIC_BETA);
    const began = t.sim.nowMs();
    p.write(400_000);
    while (t.sim.nowMs() - began < 1000 * k) {
      t.run(100);
      for (const s of p.recvAll()) una = Math.max(una, s.seq + s.data.length);
      p.send({ ack: una });
      if (p.info().snd_buf > 0) p.write(100_000);
    }
    expect(Math.abs(p.info().snd_cwnd / 1000 / n - 1)).toBeLessThan(0.1);
  });

  it('after a pause it begins again with the initial window', () => {
    const p = t.established({ mss: 1000, sackPermitted: true });
    p.write(100_000);
    let una = 1;
    for (let i = 0; i < 3; i++) {
      t.run(20);
      for (const s of p.recvAll()) una = Math.max(una, s.seq + s.data.length);
      p.send({ ack: una });
    }
    while (p.info().unacked > 0) {
      for (const s of p.recvAll()) una = Math.max(una, s.seq + s.data.length);
      p.send({ ack: una });
    }
    t.run(5000);
    p.write(50_000);
    expect(p.recvAll()).toHaveLength(10);
  });

  it('BBR paces: what goes out in a millisecond is what the rate gives, not the window at once', () => {
    const p = t.established({ mss: 1000, sackPermitted: true });
    expect(choose(p, 'bbr')).toBeNull();
    let una = 1;
    let most = 0;
    for (let ms = 0; ms < 600; ms++) {
      if (ms % 10 === 0) p.write(20_000);
      t.run(1);
      const got = p.recvAll();
      most = ms > 100 ? Math.max(most, got.length) : 0;
      for (const s of got) {
        una = Math.max(una, s.seq + s.data.length);
        t.sim.after(20, () => undefined);
      }
      if (ms % 5 === 0) p.send({ ack: una });
    }
    expect(p.info().pacing_rate).toBeGreaterThan(0);
    expect(p.info().delivery_rate).toBeGreaterThan(0);
    expect(p.info().state).toBe('ESTABLISHED');
  });
});
