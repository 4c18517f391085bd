/** Paths that swallow full segments (RFC 2923 §2.1, RFC 4821, RFC 8899): found without ICMP, lived with, and tried again later. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { type Got, type Peer, TcpHarness } from './harness.ts';

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
  // The least timeout keeps the arithmetic of these tests simple.
  t.sysctl('rexmit_min', 1000);
});
afterEach(() => t.close());

/** The peer's end of a path that drops IP packets over `mtu` bytes in silence, for `ms`. What arrived, in order of arrival. */
function path(p: Peer, mtu: number, ms: number, cut = false, sack = false): Got[] {
  const arrived: Got[] = [];
  const end = t.sim.nowMs() + ms;
  let have = p.ack;
  const early = new Map<number, number>();
  while (t.sim.nowMs() < end) {
    t.run(1);
    for (const s of p.recvAll()) {
      const header = 40 + (s.opts.ts === undefined ? 0 : 12);
      if (s.data.length + header > mtu && (s.df || !cut)) continue;
      arrived.push(s);
      if (s.seq <= have && s.seq + s.data.length > have) {
        have = s.seq + s.data.length;
        while (early.has(have)) have = early.get(have) as number;
        p.send({ ack: have });
      } else if (s.seq > have) {
        early.set(s.seq, s.seq + s.data.length);
        const [low] = [...early.keys()].filter((seq) => seq > have).sort((a, b) => a - b);
        let high = low as number;
        while (early.has(high)) high = early.get(high) as number;
        p.send(sack ? { ack: have, opts: { sack: [[p.irs + (low as number), p.irs + high]] } } : { ack: have });
      } else p.send({ ack: have });
    }
  }
  return arrived;
}

function sender(mss = 1460): Peer {
  const p = t.established({ mss });
  p.ack = 1;
  return p;
}

describe('a black hole', () => {
  it('after two timeouts of a full segment smaller ones are sent, and everything arrives', () => {
    const p = sender();
    p.write(20_000);
    const arrived = path(p, 1300, 30_000);
    expect(p.info()).toMatchObject({ unacked: 0, snd_mss: 1200, bytes_acked: 20_000 });
    expect(Math.max(...arrived.map((s) => s.data.length))).toBe(1200);
    expect(t.stat('pmtudblackhole')).toBe(1);
    expect(t.stat('pmtudblackholecut')).toBe(0);
  });

  it('a path of 600 bytes: two steps down', () => {
    const p = sender();
    p.write(5000);
    path(p, 600, 60_000);
    expect(p.info()).toMatchObject({ unacked: 0, snd_mss: 536, bytes_acked: 5000 });
  });

  it('a path of less than 552: DF comes off, and the routers cut', () => {
    const p = sender();
    p.write(3000);
    const arrived = path(p, 300, 200_000, true);
    expect(p.info()).toMatchObject({ unacked: 0, bytes_acked: 3000 });
    expect(arrived.some((s) => !s.df)).toBe(true);
    expect(t.stat('pmtudblackholecut')).toBe(1);
  });

  it('a peer that is only silent: the old size comes back, and the connection is given up in its time', () => {
    const p = sender();
    p.write(5000);
    t.run(400_000);
    expect(t.stat('pmtudblackholefailed')).toBe(1);
    const sent = p.recvAll();
    expect(new Set(sent.filter((s) => s.data.length > 0).map((s) => s.data.length))).toEqual(new Set([1460, 1200, 536, 620]));
    const late = sent.filter((s) => s.ms > 190_000).map((s) => s.data.length);
    expect([late.length > 2, new Set(late)]).toEqual([true, new Set([1460])]);
    t.run(200_000);
    expect(p.recvAll().at(-1)?.flags).toBe('RA');
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
  });

  it('a small segment that is lost says nothing about size', () => {
    const p = sender();
    p.write(100);
    t.run(10_000);
    p.send({ ack: 101 });
    expect(p.info().snd_mss).toBe(1460);
    expect(t.stat('pmtudblackhole')).toBe(0);
  });

  it('is not looked for with net.inet.tcp.pmtud_blackhole_detection=0', () => {
    t.sysctl('pmtud_blackhole_detection', false);
    const p = sender();
    p.write(5000);
    path(p, 1300, 60_000);
    expect(p.info()).toMatchObject({ snd_mss: 1460, bytes_acked: 0 });
  });

  it('two timeouts that were congestion cost little: the size is tried again later', () => {
    t.sysctl('pmtud_probe_interval', 60_000);
    const p = sender();
    p.write(5000);
    path(p, 1300, 30_000);
    expect(p.info().snd_mss).toBe(1200);
    t.run(60_000);
    // The path carries full segments now.
    for (let i = 0; i < 3; i++) {
      p.write(20_000);
      path(p, 1500, 2000);
    }
    expect(p.info()).toMatchObject({ snd_mss: 1460, unacked: 0 });
    expect([t.stat('pmtudprobe'), t.stat('pmtudprobeok'), t.stat('pmtudprobelost')]).toEqual([1, 1, 0]);
  });

  it('no probe goes with less behind it than shows a loss', () => {
    t.sysctl('pmtud_probe_interval', 60_000);
    const p = sender();
    p.write(5000);
    path(p, 1300, 30_000);
    t.run(60_000);
    for (let i = 0; i < 5; i++) {
      p.write(5000);
      path(p, 1300, 1000);
    }
    expect(p.info()).toMatchObject({ snd_mss: 1200, unacked: 0 });
    expect(t.stat('pmtudprobe')).toBe(0);
    expect(t.stat('rexmttimeo')).toBe(2);
  });

  it('each step is taken in its time, also where the route is looked up again then', () => {
    t.sysctl('r1shift', 4);
    const p = sender();
    p.write(5000);
    path(p, 600, 20_000);
    expect(p.info()).toMatchObject({ unacked: 0, snd_mss: 536, bytes_acked: 5000 });
  });

  /** A connection that has found 1200 bytes, with a window of many segments, and its probe due with the next ACK. */
  function settled(options: { mss: number; sackPermitted?: boolean }): Peer {
    t.sysctl('pmtud_probe_interval', 60_000);
    const p = t.established(options);
    p.ack = 1;
    p.write(5000);
    path(p, 1300, 30_000);
    for (let i = 0; i < 4; i++) {
      p.write(20_000);
      path(p, 1300, 2000, false, 'sackPermitted' in options);
    }
    t.run(60_000);
    // What is out of order when the time comes is no moment to try.
    p.write(1200);
    path(p, 1300, 1000);
    expect(p.info()).toMatchObject({ snd_mss: 1200, unacked: 0 });
    expect(t.stat('pmtudprobe')).toBe(0);
    return p;
  }

  it.each([
    ['with SACK', { mss: 1460, sackPermitted: true }],
    ['without', { mss: 1460 }],
  ] as const)('RFC 4821 §7.6.2: a lost probe is one segment, and costs neither a timeout nor window, %s', (_how, options) => {
    const p = settled(options);
    const before = p.info();
    const timeouts = t.stat('rexmttimeo');
    p.write(30_000);
    const arrived = path(p, 1300, 900, false, 'sackPermitted' in options);
    expect([t.stat('pmtudprobe'), t.stat('pmtudprobelost'), t.stat('pmtudprobeok')]).toEqual([1, 1, 0]);
    expect(p.info()).toMatchObject({ snd_mss: 1200, unacked: 0, ca_state: 'open', total_retrans: before.total_retrans + 2 });
    expect(p.info().snd_cwnd).toBeGreaterThanOrEqual(before.snd_cwnd);
    expect(p.info().snd_ssthresh).toBe(before.snd_ssthresh);
    expect([t.stat('rexmttimeo'), t.stat('fastrexmit')]).toEqual([timeouts, 0]);
    expect(Math.max(...arrived.map((s) => s.data.length))).toBe(1200);
    // The next waits twice as long.
    t.run(70_000);
    p.write(30_000);
    path(p, 1300, 2000, false, 'sackPermitted' in options);
    expect(t.stat('pmtudprobe')).toBe(1);
    t.run(60_000);
    for (let i = 0; i < 2; i++) {
      p.write(30_000);
      path(p, 1500, 2000, false, 'sackPermitted' in options);
    }
    expect([t.stat('pmtudprobe'), t.stat('pmtudprobeok'), p.info().snd_mss]).toEqual([2, 1, 1460]);
  });

  it('all segments are of the old size until the probe is acknowledged', () => {
    const p = settled({ mss: 1460, sackPermitted: true });
    p.write(30_000);
    const sent = p.recvAll().map((s) => s.data.length);
    expect([sent[0], new Set(sent.slice(1))]).toEqual([1460, new Set([1200])]);
    p.send({ ack: p.ack + 1460 });
    expect(p.info().snd_mss).toBe(1460);
  });

  it('a loss beside the probe is congestion', () => {
    const p = settled({ mss: 1460, sackPermitted: true });
    const una = p.ack;
    p.write(30_000);
    const sent = p.recvAll();
    expect(sent.length).toBeGreaterThanOrEqual(7);
    // The probe and the segment behind it.
    const from = una + 1460 + 1200;
    p.send({ ack: una, opts: { sack: [[p.irs + from, p.irs + from + 4800]] } });
    t.run(20);
    expect([t.stat('fastrexmit'), p.info().ca_state]).toEqual([1, 'recovery']);
  });
});

describe('a router that does not say its MTU', () => {
  it('RFC 1191 §5: one step down for all packets of a window that it dropped', () => {
    const p = sender();
    p.write(14_600);
    expect(p.recvAll()).toHaveLength(10);
    for (let i = 0; i < 10; i++) p.sendUnreachable(4, 1 + 1460 * i, 0, 1500);
    expect(p.info().snd_mss).toBe(1452);
    // What went in the new size and is too long as well takes it further.
    p.sendUnreachable(4, 1, 0, 1492);
    p.sendUnreachable(4, 1453, 0, 1492);
    expect(p.info().snd_mss).toBe(966);
  });
});

describe('a router that asks for less than any MTU we believe in', () => {
  it('gets packets without DF, and the path is no black hole', () => {
    const p = sender();
    p.write(1000);
    p.recv({ len: 1000 });
    p.sendUnreachable(4, 1, 296);
    const sent = p.recvAll();
    expect(sent.map((s) => [s.data.length, s.df])).toEqual([
      [512, false],
      [488, false],
    ]);
  });
});
