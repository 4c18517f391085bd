/** Function blocks (tcp_functions(9)): listed, set as default, set per socket, handed over while a connection stands and has data in flight. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isErrno } from '../../src/kern/errno.ts';
import { sogetopt } from '../../src/kern/socket/calls.ts';
import type { SockOpt } from '../../src/kern/socket/protosw.ts';
import { sosetopt } from '../../src/kern/socket/sockopt.ts';
import type { Socket } from '../../src/kern/socket/socket.ts';
import { type Peer, TcpHarness } from './harness.ts';

const TCP = 6;
const TCP_CONGESTION = 64;
const TCP_FUNCTION_BLK = 8192;

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

const set = (so: Socket, name: number, value: unknown) => sosetopt(so, { dir: 'set', level: TCP, name, value });
function get(so: Socket, name: number): unknown {
  const sopt: SockOpt = { dir: 'get', level: TCP, name, value: null };
  return sogetopt(so, sopt) ?? sopt.value;
}
function sysctl(name: string): unknown {
  const r = t.kernel.sysctl.read(`net.inet.tcp.${name}`);
  return isErrno(r) ? r : r.value;
}

describe('the list', () => {
  it('names the blocks, the default, and how many connections each drives', () => {
    const p = t.established();
    expect(sysctl('functions_available')).toBe('default*:2 classic:0');
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBeNull();
    expect(sysctl('functions_available')).toBe('default*:1 classic:1');
  });

  it('net.inet.tcp.functions_default is for new sockets; ENOENT for a name that is not there', () => {
    const before = t.socket();
    t.sysctl('functions_default', 'classic');
    expect(get(before, TCP_FUNCTION_BLK)).toBe('default');
    expect(get(t.socket(), TCP_FUNCTION_BLK)).toBe('classic');
    expect(t.kernel.sysctl.write('net.inet.tcp.functions_default', 'rack')).toBe('ENOENT');
  });
});

describe('TCP_FUNCTION_BLK', () => {
  it('says which one drives a socket; an accepted one has its listener’s', () => {
    const head = t.listen();
    expect(set(head, TCP_FUNCTION_BLK, 'classic')).toBeNull();
    const p = t.established({ mss: 1000 }, head);
    expect(get(p.socket(), TCP_FUNCTION_BLK)).toBe('classic');
    expect(p.info().function_block).toBe('classic');
  });

  it('is refused: ENOENT for an unknown name, EINVAL for none, EBUSY during the handshake', () => {
    const so = t.socket();
    expect(set(so, TCP_FUNCTION_BLK, 'bbr2')).toBe('ENOENT');
    expect(set(so, TCP_FUNCTION_BLK, 7)).toBe('EINVAL');
    const p = t.synSent();
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBe('EBUSY');
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'default')).toBeNull();
  });

  it('classic brings NewReno along and takes no other congestion control', () => {
    const p = t.established();
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBeNull();
    expect(get(p.socket(), TCP_CONGESTION)).toBe('newreno');
    for (const name of String(sysctl('cc.available')).split(' ')) {
      expect(set(p.socket(), TCP_CONGESTION, name)).toBe(name === 'newreno' ? null : 'EINVAL');
    }
  });
});

describe('handing over while connected', () => {
  const SACK = { mss: 1000, sackPermitted: true };

  /** ESTABLISHED with ten segments in flight. */
  function inFlight(): Peer {
    const p = t.established(SACK);
    p.write(20_000);
    expect(p.recvAll()).toHaveLength(10);
    return p;
  }

  /** The peer takes everything; how many distinct bytes came. */
  function finish(p: Peer, have: Map<number, number>): void {
    let next = 1;
    for (let i = 0; i < 200; i++) {
      for (const s of p.recvAll()) have.set(s.seq, Math.max(have.get(s.seq) ?? 0, s.data.length));
      let moved = true;
      while (moved) {
        moved = false;
        for (const [seq, len] of have) {
          if (seq > next || seq + len <= next) continue;
          next = seq + len;
          moved = true;
        }
      }
      p.send({ ack: next });
      t.run(50);
    }
    expect(next).toBe(20_001);
  }

  it('with data in flight and nothing lost, nothing is sent twice', () => {
    const p = inFlight();
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBeNull();
    p.recvNothing();
    p.send({ ack: 10_001 });
    expect(p.recvAll().map((s) => s.seq)[0]).toBe(10_001);
    expect(p.info()).toMatchObject({ total_retrans: 0, function_block: 'classic' });
  });

  it('from SACK to classic in the middle of recovery: three duplicates or the timer mend the rest', () => {
    const p = inFlight();
    const have = new Map<number, number>();
    // The first and the fourth segment are lost.
    for (let i = 1; i < 10; i++) if (i !== 3) have.set(1 + 1000 * i, 1000);
    for (let i = 1; i <= 5; i++) p.send({ ack: 1, opts: { sack: [[p.irs + 1001, p.irs + 1001 + 1000 * i]] } });
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBeNull();
    expect(t.stat('fbswitched')).toBe(1);
    finish(p, have);
    expect(p.info().unacked).toBe(0);
  });

  it('from classic to SACK and back again while segments are lost: every byte arrives', () => {
    const p = inFlight();
    const have = new Map<number, number>();
    for (const seq of [1001, 3001, 5001]) have.set(seq, 1000);
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBeNull();
    for (let i = 0; i < 3; i++) p.send({ ack: 1 });
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'default')).toBeNull();
    p.send({ ack: 1, opts: { sack: [[p.irs + 1001, p.irs + 2001]] } });
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBeNull();
    finish(p, have);
    expect(p.info().unacked).toBe(0);
    expect(t.stat('badstate')).toBe(0);
  });

  it('what was learnt of the path stays: window, threshold, round-trip time', () => {
    const p = inFlight();
    p.send({ ack: 10_001 });
    p.recvAll();
    const { snd_cwnd, snd_ssthresh, rtt } = p.info();
    expect(set(p.socket(), TCP_FUNCTION_BLK, 'classic')).toBeNull();
    expect(p.info()).toMatchObject({ snd_cwnd, snd_ssthresh, rtt });
  });

  it('classic does without SACK: a loss is mended by three duplicates, then by partial ACKs (RFC 6582)', () => {
    const head = t.listen();
    expect(set(head, TCP_FUNCTION_BLK, 'classic')).toBeNull();
    const p = t.established(SACK, head);
    p.write(10_000);
    p.recvAll();
    for (let i = 1; i <= 3; i++) p.send({ ack: 1, opts: { sack: [[p.irs + 1001, p.irs + 1001 + 1000 * i]] } });
    expect(p.recvAll().map((s) => s.seq)).toContain(1);
    p.send({ ack: 5001 });
    expect(p.recvAll().map((s) => s.seq)).toContain(5001);
    expect(t.stat('partialack')).toBe(1);
  });
});
