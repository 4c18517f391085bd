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
function path(p: Peer, mtu: number, ms: number, cut = false): Got[] {
  const arrived: Got[] = [];
  const end = t.sim.nowMs() + ms;
  let have = p.ack;
  while (t.sim.nowMs() < end) {
    t.run(1);
    for (const s of p.recvAll()) {
      const header = 40 + (s.opts.ts === undefined ? 0 : 12);
      if (s.data.length + header > mtu && (s.df || !cut)) continue;
      arrived.push(s);
      if (s.seq <= have && s.seq + s.data.length > have) {
        have = s.seq + s.data.length;
        p.send({ ack: have });
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

  it('a small segment is no probe: what was not tried is not found to be wide enough', () => {
    t.sysctl('pmtud_probe_interval', 60_000);
    const p = sender();
    p.write(5000);
    path(p, 1300, 30_000);
    t.run(60_000);
    // All of it is in flight in the small size when its first ACK comes; what follows is no full segment.
    p.write(5000);
    path(p, 1300, 1000);
    p.write(100);
    path(p, 1300, 1000);
    p.write(5000);
    path(p, 1300, 10_000);
    expect(p.info()).toMatchObject({ snd_mss: 1200, unacked: 0 });
    expect([t.stat('pmtudprobeok'), t.stat('pmtudprobelost'), t.stat('pmtudblackhole')]).toEqual([0, 1, 1]);
  });

  it('each step is taken in its time, also where the route is looked up again then', () => {
    t.sysctl('r1shift', 4);
    const p = sender();
    p.write(5000);
    path(p, 600, 20_000);
    expect(p.info()).toMatchObject({ unacked: 0, snd_mss: 536, bytes_acked: 5000 });
  });

  it('a probe upward that is lost costs one timeout, and the next waits twice as long', () => {
    t.sysctl('pmtud_probe_interval', 60_000);
    const p = sender();
    p.write(5000);
    path(p, 1300, 30_000);
    t.run(60_000);
    p.write(30_000);
    path(p, 1300, 10_000);
    expect(p.info()).toMatchObject({ snd_mss: 1200, unacked: 0 });
    expect([t.stat('pmtudprobe'), t.stat('pmtudprobelost')]).toEqual([1, 1]);
    t.run(70_000);
    p.write(30_000);
    path(p, 1300, 5000);
    expect(t.stat('pmtudprobe')).toBe(1);
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
