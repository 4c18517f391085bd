/** Keep-alive (RFC 9293 §3.8.4): MUST-24..29, SHLD-12. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SOL_SOCKET, SO_KEEPALIVE } from '../../src/kern/socket/soconst.ts';
import { sotakeerror } from '../../src/kern/socket/upcalls.ts';
import { TcpHarness } from './harness.ts';

const TCP = 6;
const [KEEPIDLE, KEEPINTVL, KEEPCNT] = [256, 512, 1024];

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

describe('keep-alive', () => {
  it('MUST-25: is off by default', () => {
    const p = t.established();
    t.sim.run(10 * 3600 * 1000);
    p.recvNothing();
    expect(p.state()).toBe('ESTABLISHED');
  });

  it('MUST-26, MUST-28: two hours by default; the probe is one byte before, without data', () => {
    const p = t.established();
    p.setopt(SOL_SOCKET, SO_KEEPALIVE, true);
    t.sim.run(7_199_000);
    p.recvNothing();
    t.sim.run(2000);
    p.recv({ flags: 'A', seq: 0, ack: 1 });
    p.send({});
    t.sim.run(7_190_000);
    p.recvNothing();
  });

  it('MUST-27: its times are the user’s to choose; MUST-29: it tolerates lost probes, then ETIMEDOUT', () => {
    const p = t.established();
    p.setopt(TCP, KEEPIDLE, 10);
    p.setopt(TCP, KEEPINTVL, 2);
    p.setopt(TCP, KEEPCNT, 3);
    p.setopt(SOL_SOCKET, SO_KEEPALIVE, true);
    t.run(30_000);
    expect(p.recvAll().map((s) => [Math.round(s.ms / 1000), s.flags, s.seq])).toEqual([
      [10, 'A', 0],
      [12, 'A', 0],
      [14, 'A', 0],
      [16, 'RA', 1],
    ]);
    expect(sotakeerror(p.socket())).toBe('ETIMEDOUT');
    expect(t.stat('keepdrops')).toBe(1);
  });

  it('an answer to the last probe keeps it, and the count begins anew', () => {
    const p = t.established();
    p.setopt(TCP, KEEPIDLE, 10);
    p.setopt(TCP, KEEPINTVL, 2);
    p.setopt(TCP, KEEPCNT, 2);
    p.setopt(SOL_SOCKET, SO_KEEPALIVE, true);
    t.run(13_000);
    expect(p.recvAll()).toHaveLength(2);
    p.send({});
    t.run(9900);
    p.recvNothing();
    t.run(2200);
    expect(p.recvAll()).toHaveLength(2);
    expect(p.state()).toBe('ESTABLISHED');
  });

  it('the peer’s probes are answered', () => {
    const p = t.established();
    for (let i = 0; i < 30; i++) {
      t.run(10);
      p.send({ seq: 0 });
      p.recv({ flags: 'A', seq: 1, ack: 1 });
    }
    p.send({ seq: 0, data: 1 });
    p.recv({ flags: 'A', seq: 1, ack: 1 });
  });

  it('a segment from outside of the window does not put it off', () => {
    const p = t.established();
    p.setopt(TCP, KEEPIDLE, 10);
    p.setopt(SOL_SOCKET, SO_KEEPALIVE, 1);
    t.run(8000);
    // A stranger's guesses: far ahead, and far behind.
    p.send({ seq: 500_000_000, data: 1 });
    p.send({ seq: -500_000_000, data: 1 });
    p.recvAll();
    t.run(2100);
    p.recv({ flags: 'A', seq: 0, ack: 1 });
    // One that can only be the peer's does.
    p.send({});
    t.run(9000);
    p.recvNothing();
  });

  it('can be taken off again, and set for all connections by sysctl', () => {
    const p = t.established();
    p.setopt(TCP, KEEPIDLE, 10);
    p.setopt(SOL_SOCKET, SO_KEEPALIVE, 1);
    p.setopt(SOL_SOCKET, SO_KEEPALIVE, 0);
    t.run(20_000);
    p.recvNothing();
    t.sysctl('always_keepalive', true);
    t.sysctl('keepidle', 5000);
    const q = t.established({}, p.listener);
    t.run(5100);
    q.recv({ flags: 'A', seq: 0 });
  });
});
