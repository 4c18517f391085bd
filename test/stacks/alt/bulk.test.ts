/** Congestion control, path MTU, limits in time: what a user sees of the words beside the row. */
import { describe, expect, test } from 'vitest';
import { soclose, sogetopt, sosetopt } from '../../../src/kern/socket/calls.ts';
import type { SockOpt } from '../../../src/kern/socket/protosw.ts';
import type { TcpInfo } from '../../../src/stacks/alt/tcp/info.ts';
import { TCP_CONGESTION, TCP_INFO, TCP_KEEPINIT, TCP_USER_TIMEOUT } from '../../../src/stacks/alt/tcp/sockopt.ts';
import { Server, type Peer, pattern } from './support/sockets.ts';
import { SYN, Wire, mssOpt, sackOkOpt } from './support/wire.ts';

const ISN = 1000;
const IPPROTO_TCP = 6;

function established(env: Record<string, string> = {}): { w: Wire; peer: Peer; snd: number; rcv: number } {
  const w = new Wire(env);
  const server = new Server(w.host, 80);
  w.put({ seq: ISN, flags: SYN, o: [...mssOpt(1000), ...sackOkOpt] });
  const sa = w.one();
  const [snd, rcv] = [(sa.seq + 1) | 0, ISN + 1];
  w.put({ seq: rcv, ack: snd });
  return { w, peer: server.peers[0]!, snd, rcv };
}

function getopt(p: Peer, name: number): unknown {
  const sopt: SockOpt = { dir: 'get', level: IPPROTO_TCP, name, value: null };
  const err = sogetopt(p.so, sopt);
  return err ?? sopt.value;
}

const setopt = (p: Peer, name: number, value: unknown): unknown =>
  sosetopt(p.so, { dir: 'set', level: IPPROTO_TCP, name, value });
const info = (p: Peer): TcpInfo => getopt(p, TCP_INFO) as TcpInfo;
const be = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];
const sack = (from: number, to: number): number[] => [1, 1, 5, 10, ...be(from), ...be(to)];

describe('congestion control', () => {
  test('cubic by default, newreno by sysctl and by option', () => {
    expect(info(established().peer).congestion).toBe('cubic');
    const { peer } = established({ 'net.inet.tcp.cc.algorithm': 'newreno' });
    expect(getopt(peer, TCP_CONGESTION)).toBe('newreno');
    expect(setopt(peer, TCP_CONGESTION, 'cubic')).toBeNull();
    expect(info(peer).congestion).toBe('cubic');
    expect(setopt(peer, TCP_CONGESTION, 'vegas')).toBe('ENOENT');
  });

  test('a loss leaves seven tenths with cubic, a half with newreno', () => {
    for (const [name, left] of [
      ['cubic', 7000],
      ['newreno', 5000],
    ] as const) {
      const { w, peer, snd, rcv } = established({ 'net.inet.tcp.cc.algorithm': name });
      peer.send(pattern(10_000));
      w.sent();
      w.put({ seq: rcv, ack: snd, o: sack(snd + 1000, snd + 9000) });
      expect(info(peer)).toMatchObject({ snd_ssthresh: left, ca_state: 'recovery' });
    }
  });

  // Peers whose segments come in bursts answer a whole window with an acknowledgment or two, and those come in one batch.
  test('slow start doubles the window of a peer that acknowledges in bursts', () => {
    const { w, peer, snd, rcv } = established();
    peer.send(pattern(60_000));
    w.sent();
    w.put(...[2, 4, 6, 8, 10].map((n) => ({ seq: rcv, ack: snd + n * 1000 })));
    expect(info(peer).snd_cwnd).toBe(20_000);
  });

  test('a loss in the middle of a batch leaves seven tenths of the window, and not of what is left of the flight', () => {
    const { w, peer, snd, rcv } = established();
    peer.send(pattern(60_000));
    w.sent();
    w.put({ seq: rcv, ack: snd + 5000 }, { seq: rcv, ack: snd + 5000, o: sack(snd + 6000, snd + 10_000) });
    expect(info(peer)).toMatchObject({ snd_ssthresh: 10_500, ca_state: 'recovery' });
  });

  test('one acknowledgment of everything ends recovery with the window that it began with', () => {
    const { w, peer, snd, rcv } = established();
    peer.send(pattern(70_000));
    w.sent();
    w.put({ seq: rcv, ack: snd + 10_000 });
    w.put({ seq: rcv, ack: snd + 30_000 });
    expect(w.sent().at(-1)!.seq).toBe((snd + 69_000) | 0);
    w.put({ seq: rcv, ack: snd + 30_000, o: sack(snd + 31_000, snd + 70_000) });
    expect(info(peer)).toMatchObject({ snd_ssthresh: 28_000, ca_state: 'recovery' });
    w.put({ seq: rcv, ack: snd + 70_000 });
    expect(info(peer)).toMatchObject({ snd_cwnd: 28_000, ca_state: 'open' });
  });

  test('a window that the user leaves unused is not what a loss is taken from', () => {
    const { w, peer, snd, rcv } = established();
    peer.send(pattern(30_000));
    w.sent();
    w.put({ seq: rcv, ack: snd + 10_000 });
    w.put({ seq: rcv, ack: snd + 30_000 });
    peer.send(pattern(6000));
    w.sent();
    w.put({ seq: rcv, ack: snd + 30_000, o: sack(snd + 31_000, snd + 36_000) });
    expect(info(peer)).toMatchObject({ snd_ssthresh: 4200, ca_state: 'recovery' });
  });

  test('a retransmission that is lost again is sent again without the timeout', () => {
    const { w, peer, snd, rcv } = established();
    peer.send(pattern(10_000));
    w.sent();
    w.put({ seq: rcv, ack: snd, o: sack(snd + 1000, snd + 9000) });
    expect(w.sent().some((s) => s.seq === snd)).toBe(true);
    w.world.run(50);
    expect(w.sent()).toMatchObject([{ seq: snd }]);
    expect(w.host.count('tcp', 'rexmttimeo')).toBe(0);
  });
});

describe('time', () => {
  test('TCP_USER_TIMEOUT ends it sooner', () => {
    const { w, peer } = established();
    expect(setopt(peer, TCP_USER_TIMEOUT, 3000)).toBeNull();
    expect(getopt(peer, TCP_USER_TIMEOUT)).toBe(3000);
    peer.send(pattern(100));
    w.world.run(2500);
    expect(peer.error).toBeNull();
    w.world.run(6000);
    expect(peer.error).toBe('ETIMEDOUT');
  });

  test('TCP_KEEPINIT: three minutes unless the user says otherwise (MUST-23)', () => {
    const { peer } = established();
    expect(getopt(peer, TCP_KEEPINIT)).toBe(180);
    expect(setopt(peer, TCP_KEEPINIT, 7)).toBeNull();
    expect(getopt(peer, TCP_KEEPINIT)).toBe(7);
  });

  test('a closed window holds a closed socket for two minutes, however well the peer answers', () => {
    const { w, peer, snd, rcv } = established();
    w.put({ seq: rcv, ack: snd, win: 0 });
    peer.send(pattern(1000), true);
    soclose(peer.so);
    for (let s = 0; s < 200; s++) {
      w.world.run(1000);
      if (w.sent().length > 0) w.put({ seq: rcv, ack: snd, win: 0 });
    }
    expect(w.host.taken().flows).toBe(1);
    expect(w.host.count('tcp', 'persistdrop')).toBe(1);
  });
});
