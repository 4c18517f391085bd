/** The network under the sockets: bad links, interfaces that come and go, a host that talks to itself, accept filters, options. */
import { expect } from 'vitest';
import { POLLERR, soaccept, soconnect, sogetopt, sopoll } from '../../../src/kern/socket/calls.ts';
import { sosend } from '../../../src/kern/socket/sendrecv.ts';
import type { SockOpt } from '../../../src/kern/socket/protosw.ts';
import { sosetopt } from '../../../src/kern/socket/sockopt.ts';
import { SO_ACCEPTFILTER, SO_KEEPALIVE, SO_TYPE, SOL_SOCKET } from '../../../src/kern/socket/soconst.ts';
import { sotakeerror } from '../../../src/kern/socket/upcalls.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { at, pattern } from '../world.ts';
import { impaired } from '../wires.ts';
import type { Case } from './case.ts';

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 256;
const TCP_KEEPINTVL = 512;
const TCP_KEEPCNT = 1024;

function get(so: Socket, level: number, name: number): unknown {
  const sopt: SockOpt = { dir: 'get', level, name, value: undefined };
  const err = sogetopt(so, sopt);
  return err ?? sopt.value;
}
const set = (so: Socket, level: number, name: number, value: unknown) => sosetopt(so, { dir: 'set', level, name, value });
const ascii = (text: string) => new TextEncoder().encode(text);

export const netCases: readonly Case[] = [
  {
    name: 'bad link: 2 % loss each way, 1 MB byte by byte',
    world: { wrap: impaired({ lossPercent: 2 }) },
    run(w) {
      const { client, server } = w.connected();
      w.transfer(client, server, pattern(1_000_000), 3_600_000);
    },
  },
  {
    name: 'bad link: reordered, duplicated and delayed frames',
    world: { wrap: impaired({ reorderPercent: 10, duplicatePercent: 5, delayMs: 5, jitterMs: 3 }) },
    run(w) {
      const { client, server } = w.connected();
      w.transfer(client, server, pattern(500_000), 3_600_000);
      w.transfer(server, client, pattern(500_000, 3), 3_600_000);
    },
  },
  {
    name: 'bad link: corrupted frames are found out by their checksums',
    world: { offload: false, wrap: impaired({ corruptPercent: 2 }) },
    run(w) {
      const { client, server } = w.connected();
      w.transfer(client, server, pattern(500_000), 3_600_000);
    },
  },
  {
    name: 'bad link: 30 % loss each way, and 20 KB still arrive',
    world: { wrap: impaired({ lossPercent: 30 }) },
    run(w) {
      const { client, server } = w.connected(80, 600_000);
      w.transfer(client, server, pattern(20_000), 3_600_000);
    },
  },
  {
    name: 'without offload: segments and checksums are the stack’s own',
    world: { offload: false },
    run(w) {
      const { client, server } = w.connected();
      w.transfer(client, server, pattern(500_000));
      const udp = w.b.udp(7);
      w.sendTo(w.a.udp(5353), pattern(777), at('10.0.0.2', 7));
      expect(w.datagram(udp).bytes).toEqual(pattern(777));
    },
  },
  {
    name: 'interface: down for ten seconds in mid-transfer, up again, nothing is lost',
    run(w) {
      const { client, server } = w.connected();
      w.sim.after(5, () => void w.b.ifp.setUp(false));
      w.sim.after(10_000, () => void w.b.ifp.setUp(true));
      w.transfer(client, server, pattern(2_000_000), 600_000);
    },
  },
  {
    name: 'a connection whose peer is gone gives up with ETIMEDOUT',
    run(w) {
      const { client } = w.connected();
      w.b.ifp.setUp(false);
      expect(sosend(client, pattern(100), 0, 100)).toBe(100);
      w.until(() => (sopoll(client) & POLLERR) !== 0, 3_600_000, 'the timeout');
      expect(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN']).toContain(sotakeerror(client));
    },
  },
  {
    name: 'keep-alive: an idle connection to a peer that is gone ends with ETIMEDOUT',
    run(w) {
      const { client } = w.connected();
      expect(set(client, SOL_SOCKET, SO_KEEPALIVE, 1)).toBeNull();
      expect(set(client, IPPROTO_TCP, TCP_KEEPIDLE, 10)).toBeNull();
      expect(set(client, IPPROTO_TCP, TCP_KEEPINTVL, 5)).toBeNull();
      expect(set(client, IPPROTO_TCP, TCP_KEEPCNT, 3)).toBeNull();
      w.run(120_000);
      expect(sopoll(client) & POLLERR).toBe(0);
      w.b.ifp.setUp(false);
      w.until(() => (sopoll(client) & POLLERR) !== 0, 120_000, 'the end of patience');
      expect(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN']).toContain(sotakeerror(client));
    },
  },
  {
    name: 'own address: a connection and datagrams to oneself',
    run(w) {
      for (const [port, address] of [
        [80, '10.0.0.1'],
        [81, '127.0.0.1'],
      ] as const) {
        const listener = w.a.listener(port);
        const client = w.a.tcp();
        expect([null, 'EINPROGRESS']).toContain(soconnect(client, at(address, port)));
        const server = w.accept(listener);
        w.transfer(client, server, pattern(100_000));
        w.close(client, server, listener);
        const udp = w.a.udp(7);
        w.sendTo(w.a.udp(), pattern(99), at(address, 7));
        expect(w.datagram(udp).bytes).toEqual(pattern(99));
        w.close(udp);
        w.run(1_000);
      }
    },
  },
  {
    name: 'own address: a closed port of one’s own refuses',
    run(w) {
      const client = w.a.tcp();
      expect([null, 'EINPROGRESS', 'ECONNREFUSED']).toContain(soconnect(client, at('127.0.0.1', 81)));
      w.until(() => (sopoll(client) & POLLERR) !== 0);
      expect(sotakeerror(client)).toBe('ECONNREFUSED');
    },
  },
  {
    name: 'options: SO_TYPE, TCP_NODELAY, unknown ones ENOPROTOOPT',
    run(w) {
      const so = w.a.tcp();
      expect(get(so, SOL_SOCKET, SO_TYPE)).toBe(1);
      expect(set(so, IPPROTO_TCP, TCP_NODELAY, 1)).toBeNull();
      expect(get(so, IPPROTO_TCP, TCP_NODELAY)).toBe(1);
      expect(set(so, IPPROTO_TCP, 9999, 1)).toBe('ENOPROTOOPT');
      expect(get(so, SOL_SOCKET, 9999)).toBe('ENOPROTOOPT');
      expect(set(w.a.udp(), IPPROTO_TCP, TCP_NODELAY, 1)).toBe('ENOPROTOOPT');
    },
  },
  {
    name: 'accept filter: dataready holds a connection back until it has said something',
    run(w) {
      const listener = w.b.listener(80);
      expect(set(listener, SOL_SOCKET, SO_ACCEPTFILTER, { name: 'dataready' })).toBeNull();
      const client = w.a.tcp();
      soconnect(client, at('10.0.0.2', 80));
      w.run(1_000);
      expect(soaccept(listener)).toBe('EAGAIN');
      w.sendAll(client, pattern(3));
      expect(w.receive(w.accept(listener), 3)).toEqual(pattern(3));
    },
  },
  {
    name: 'accept filter: httpready waits for the whole request head',
    run(w) {
      const listener = w.b.listener(80);
      expect(set(listener, SOL_SOCKET, SO_ACCEPTFILTER, { name: 'httpready' })).toBeNull();
      const client = w.a.tcp();
      soconnect(client, at('10.0.0.2', 80));
      w.run(100);
      w.sendAll(client, ascii('GET / HTTP/1.1\r\nHost: x\r\n'));
      w.run(1_000);
      expect(soaccept(listener)).toBe('EAGAIN');
      w.sendAll(client, ascii('\r\n'));
      const server = w.accept(listener);
      expect(new TextDecoder().decode(w.receive(server, 27))).toBe('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    },
  },
  {
    name: 'time: 32-bit milliseconds wrap in mid-transfer, under loss',
    world: { startMs: 2 ** 31 - 2_000, wrap: impaired({ lossPercent: 3, delayMs: 5 }) },
    run(w) {
      const { client, server } = w.connected(80, 60_000);
      w.transfer(client, server, pattern(2_000_000), 3_600_000);
      w.transfer(server, client, pattern(300_000), 3_600_000);
    },
  },
  {
    name: 'time: 32-bit milliseconds wrap while a connection is idle and while one is half open',
    world: { startMs: 2 ** 32 - 30_000 },
    run(w) {
      const { client, server } = w.connected();
      w.run(25_000);
      const late = w.a.tcp();
      soconnect(late, at('10.0.0.99', 80));
      w.run(60_000);
      w.transfer(client, server, pattern(100_000));
      w.until(() => (sopoll(late) & POLLERR) !== 0, 300_000);
    },
  },
  {
    name: 'interface: taken away under open connections; nothing throws, and what is left gives up',
    run(w) {
      const { client, server } = w.connected();
      w.sendAll(client, pattern(50_000));
      expect(w.a.kernel.ifnets.detach(w.a.ifp)).toBeNull();
      sosend(client, pattern(10), 0, 10);
      w.sendTo(w.a.udp(5353), pattern(1), at('10.0.0.2', 7));
      w.until(() => (sopoll(client) & POLLERR) !== 0, 3_600_000, 'the end of the connection');
      expect(sotakeerror(client)).not.toBeNull();
      w.close(client);
      w.run(60_000);
      expect(w.a.kernel.netstack.current.busy()).toBe(false);
      expect(w.b.kernel.netstack.current.busy()).toBe(false);
      w.close(server);
    },
  },
  {
    name: 'shutdown of a kernel with open connections: nothing throws, and the peer hears of it or times out',
    run(w) {
      const { client, server } = w.connected();
      w.b.listener(81);
      w.b.udp(7);
      w.sendAll(client, pattern(50_000));
      w.run(1);
      w.b.kernel.shutdown();
      sosend(client, pattern(10), 0, 10);
      w.until(() => (sopoll(client) & POLLERR) !== 0, 3_600_000, 'the end of the connection');
      expect(sosend(server, pattern(1), 0, 1)).not.toBe(1);
    },
  },
];
