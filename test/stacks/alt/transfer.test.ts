/** Two ends, a bad link between them, and every byte where it belongs; then nothing is left in any slab. */
import { describe, expect, test } from 'vitest';
import { type ImpairConfig, impair } from '../../../src/driver/impair.ts';
import type { Link } from '../../../src/kern/ifnet/link.ts';
import type { SimWorld } from '../../../src/kern/effects/sim.ts';
import { soclose, sogetopt } from '../../../src/kern/socket/calls.ts';
import type { TcpInfo } from '../../../src/stacks/alt/tcp/info.ts';
import { TCP_INFO } from '../../../src/stacks/alt/tcp/sockopt.ts';
import { type Host, type Two, twoHosts } from './support/host.ts';
import { type Peer, Server, dial, pattern } from './support/sockets.ts';

const NOTHING = { flows: 0, embryonic: 0, timewait: 0, ranges: 0, udp: 0 };

/** Both directions at once; answers the virtual milliseconds it took. */
function exchange(two: Two, bytes: number, maxMs = 600_000): number {
  const { world, a, b } = two;
  const out = pattern(bytes, 1);
  const back = pattern(bytes, 2);
  const server = new Server(b, 80);
  server.onPeer = (p) => void p.send(back, true);
  const began = world.nowMs();
  const c = dial(a, '10.0.0.2', 80).send(out, true);
  const s = (): Peer | undefined => server.peers[0];
  const done = world.runUntil(() => c.eof && (s()?.eof ?? false), maxMs);
  const took = world.nowMs() - began;
  expect(done).toBe(true);
  expect(Buffer.compare(s()!.bytes(), out)).toBe(0);
  expect(Buffer.compare(c.bytes(), back)).toBe(0);
  soclose(c.so);
  soclose(s()!.so);
  soclose(server.so);
  world.run(130_000);
  expect(a.taken()).toEqual(NOTHING);
  expect(b.taken()).toEqual(NOTHING);
  return took;
}

for (const offload of [true, false]) {
  for (const mtu of [576, 1500, 9000]) {
    test(`a clean link, MTU ${mtu}, offload ${offload}: exact bytes, and no segment twice`, () => {
      const two = twoHosts({ offload, mtu });
      exchange(two, 700_000);
      expect(two.a.count('tcp', 'sndrexmitpack')).toBe(0);
      expect(two.b.count('tcp', 'sndrexmitpack')).toBe(0);
      expect(two.a.count('tcp', 'rcvbadsum')).toBe(0);
    });
  }
}

describe('a bad link', () => {
  const kinds: Record<string, Partial<ImpairConfig>> = {
    loss: { lossPercent: 5 },
    'loss and delay': { lossPercent: 2, delayMs: 10 },
    reordering: { reorderPercent: 20, reorderMs: 3, delayMs: 2 },
    duplication: { duplicatePercent: 20 },
    everything: { lossPercent: 3, duplicatePercent: 3, reorderPercent: 10, reorderMs: 4, corruptPercent: 2, delayMs: 3 },
  };
  /** The same both ways: each end's output goes through it. */
  const through =
    (config: Partial<ImpairConfig>) =>
    (link: Link, world: SimWorld, end: string): Link =>
      impair(link, world.effects(`impair-${end}`), { tx: config }).link;
  for (const [name, config] of Object.entries(kinds)) {
    for (let seed = 1; seed <= 6; seed++) {
      test(`${name}, seed ${seed}: exact bytes both ways`, () => {
        const env = {
          'net.inet.tcp.sack.enable': seed % 3 === 0 ? '0' : '1',
          'net.inet.tcp.rfc1323': seed % 3 === 1 ? '0' : '1',
        };
        exchange(twoHosts({ seed, offload: seed % 2 === 0, env, wrap: through(config) }), 200_000);
      });
    }
  }

  test('1 % loss: SACK recovers without many timeouts', () => {
    const two = twoHosts({ seed: 3, offload: true, wrap: through({ lossPercent: 1 }) });
    exchange(two, 8_000_000);
    const timeouts = two.a.count('tcp', 'rexmttimeo') + two.b.count('tcp', 'rexmttimeo');
    expect(two.a.count('tcp', 'sack_recovery_episode')).toBeGreaterThan(5);
    expect(timeouts).toBeLessThan(6);
  });
});

test('many connections, many times: every row comes back', () => {
  const two = twoHosts({ env: { 'net.alt.flows': '64', 'net.alt.timewait': '16' } });
  const { world, a, b } = two;
  const server = new Server(b, 80);
  server.onPeer = (p) => {
    p.closeOnEof = true;
    p.send(pattern(3000), false);
  };
  for (let round = 0; round < 20; round++) {
    const peers = Array.from({ length: 30 }, () => dial(a, '10.0.0.2', 80));
    world.run(200);
    for (const [k, p] of peers.entries()) {
      expect(p.gotBytes).toBe(3000);
      // Ends in all ways: orderly, by reset, half and then whole.
      if (k % 3 === 0) p.so.options |= 0x80;
      soclose(p.so);
    }
    world.run(200);
    for (const p of server.peers.splice(0)) soclose(p.so);
    world.run(200);
    expect(a.gauge('net.alt.flows_used')).toBe(0);
    expect(b.gauge('net.alt.flows_used')).toBe(1);
  }
  expect(a.count('tcp', 'timewaitrecycled')).toBeGreaterThan(0);
  soclose(server.so);
  world.run(70_000);
  expect(a.taken()).toEqual(NOTHING);
  expect(b.taken()).toEqual(NOTHING);
});

test('a full slab refuses a socket with ENOBUFS, and a SYN gets a cookie that is honoured when there is room', () => {
  const { world, a, b } = twoHosts({ env: { 'net.alt.flows': '16', 'net.alt.embryonic': '0' } });
  const server = new Server(b, 80);
  const peers = Array.from({ length: 16 }, () => dial(a, '10.0.0.2', 80));
  expect(() => dial(a, '10.0.0.2', 80)).toThrow('ENOBUFS');
  world.run(100);
  // Fifteen rows are left beside the listener's.
  expect(server.peers.length).toBe(15);
  expect(b.count('tcp', 'sc_sendcookie')).toBeGreaterThanOrEqual(16);
  expect(b.count('alt', 'noflow')).toBeGreaterThan(0);
  for (const p of server.peers) p.send(pattern(50_000), true);
  world.run(1000);
  expect(peers.filter((p) => p.gotBytes === 50_000).length).toBe(15);
  soclose(server.peers[0]!.so);
  const info = infoOf(peers[0]!);
  // The options survive in the cookie's timestamp.
  expect(info.options).toEqual(['ts', 'sack', 'wscale']);
});

function infoOf(p: Peer): TcpInfo {
  const sopt = { dir: 'get' as const, level: 6, name: TCP_INFO, value: null as unknown };
  expect(sogetopt(p.so, sopt)).toBe(null);
  return sopt.value as TcpInfo;
}

test('TCP_INFO says how it goes', () => {
  const { world, a, b } = twoHosts({ delayMs: 5 });
  const server = new Server(b, 80);
  const c = dial(a, '10.0.0.2', 80).send(pattern(100_000));
  world.run(500);
  const info = infoOf(c);
  expect(info).toMatchObject({
    state: 'ESTABLISHED',
    bytes_acked: 100_000,
    unacked: 0,
    snd_mss: 1448,
    ca_state: 'open',
    retransmits: 0,
  });
  expect(info.rtt).toBeGreaterThanOrEqual(8_000);
  expect(info.rtt).toBeLessThanOrEqual(60_000);
  expect(infoOf(server.peers[0]!).bytes_received).toBe(100_000);
});

test('a reader that stops closes the window; probes keep it alive, and it goes on', () => {
  const { world, a, b } = twoHosts();
  const server = new Server(b, 80);
  server.onPeer = (p) => {
    p.reading = false;
  };
  const out = pattern(900_000);
  const c = dial(a, '10.0.0.2', 80).send(out);
  world.run(60_000);
  const s = server.peers[0]!;
  // Full but for the steps in which a scaled window is told.
  expect(s.so.rcv.hiwat - s.so.rcv.cc).toBeLessThan(128);
  expect(a.count('tcp', 'persisttimeo')).toBeGreaterThan(3);
  expect(infoOf(c).rcv_wnd).toBeGreaterThan(0);
  s.reading = true;
  s.drain();
  world.run(60_000);
  expect(Buffer.compare(s.bytes(), out)).toBe(0);
});

test('idle connections cost no timer', () => {
  const { world, a, b } = twoHosts();
  new Server(b, 80);
  for (let k = 0; k < 50; k++) dial(a, '10.0.0.2', 80);
  world.run(120_000);
  const hosts: Host[] = [a, b];
  for (const h of hosts) h.kernel.callouts.counters.wakeups = 0;
  // Only ARP's expiry is left, at which the wheel looks once a turn.
  world.run(600_000);
  for (const h of hosts) expect(h.kernel.callouts.counters.wakeups).toBeLessThan(100);
});
