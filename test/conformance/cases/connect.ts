/** How connections come about: connect(2), accept(2), the backlog, refusals. RFC 9293 §3.5. */
import { expect } from 'vitest';
import { isErrno } from '../../../src/kern/errno.ts';
import { POLLERR, POLLIN, POLLOUT, soaccept, soclose, soconnect, sopoll } from '../../../src/kern/socket/calls.ts';
import { soreceive, sosend } from '../../../src/kern/socket/sendrecv.ts';
import { sotakeerror } from '../../../src/kern/socket/upcalls.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { at, ok, pattern } from '../world.ts';
import type { Case } from './case.ts';

export const connectCases: readonly Case[] = [
  {
    name: 'connect: EINPROGRESS, EALREADY meanwhile, EISCONN afterwards',
    run(w) {
      const listener = w.b.listener(80);
      const client = w.a.tcp();
      expect(soconnect(client, at('10.0.0.2', 80))).toBe('EINPROGRESS');
      expect(sopoll(client) & POLLOUT).toBe(0);
      expect(soconnect(client, at('10.0.0.2', 80))).toBe('EALREADY');
      w.accept(listener);
      w.until(() => (sopoll(client) & POLLOUT) !== 0);
      expect(soconnect(client, at('10.0.0.2', 80))).toBe('EISCONN');
      expect(sotakeerror(client)).toBeNull();
    },
  },
  {
    name: 'connect: a closed port refuses; the error is told once',
    run(w) {
      const client = w.a.tcp();
      expect(soconnect(client, at('10.0.0.2', 81))).toBe('EINPROGRESS');
      w.until(() => (sopoll(client) & POLLERR) !== 0, 2_000, 'the refusal');
      expect(sotakeerror(client)).toBe('ECONNREFUSED');
      expect(sotakeerror(client)).toBeNull();
    },
  },
  {
    name: 'connect: from a listening socket EOPNOTSUPP',
    run(w) {
      expect(soconnect(w.a.listener(80), at('10.0.0.2', 80))).toBe('EOPNOTSUPP');
    },
  },
  {
    name: 'connect: without a route to there it is unreachable',
    run(w) {
      expect(['ENETUNREACH', 'EHOSTUNREACH']).toContain(soconnect(w.a.tcp(), at('192.0.2.1', 80)));
    },
  },
  {
    name: 'connect: to a host that does not answer ARP it fails in the end',
    run(w) {
      const client = w.a.tcp();
      expect(soconnect(client, at('10.0.0.99', 80))).toBe('EINPROGRESS');
      w.until(() => (sopoll(client) & POLLERR) !== 0, 300_000, 'the failure');
      expect(['EHOSTUNREACH', 'EHOSTDOWN', 'ETIMEDOUT']).toContain(sotakeerror(client));
    },
  },
  {
    name: 'connect: a peer that stays silent times out',
    run(w) {
      // It has answered ARP once, and then no more frames come out of it.
      w.warm();
      w.b.ifp.setUp(false);
      const client = w.a.tcp();
      expect(soconnect(client, at('10.0.0.2', 80))).toBe('EINPROGRESS');
      w.until(() => (sopoll(client) & POLLERR) !== 0, 300_000, 'the timeout');
      expect(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN']).toContain(sotakeerror(client));
    },
  },
  {
    name: 'connect: port 0 and a local-domain address are errors at once',
    run(w) {
      expect(soconnect(w.a.tcp(), at('10.0.0.2', 0))).toBe('EADDRNOTAVAIL');
      expect(soconnect(w.a.tcp(), { kind: 'local', path: '/x' })).toBe('EAFNOSUPPORT');
    },
  },
  {
    name: 'connect: to a multicast address is an error at once',
    run(w) {
      expect(isErrno(soconnect(w.a.tcp(), at('224.0.0.1', 80)))).toBe(true);
    },
  },
  {
    name: 'send and receive without a connection are ENOTCONN',
    run(w) {
      const so = w.a.tcp();
      expect(sosend(so, pattern(1), 0, 1)).toBe('ENOTCONN');
      expect(soreceive(so, new Uint8Array(1), 0, 1, 0)).toBe('ENOTCONN');
    },
  },
  {
    name: 'accept: connections come in the order in which they were made',
    run(w) {
      const listener = w.b.listener(80, 16);
      const clients = Array.from({ length: 5 }, () => {
        const so = w.a.tcp();
        soconnect(so, at('10.0.0.2', 80));
        w.until(() => (sopoll(so) & POLLOUT) !== 0);
        return so;
      });
      w.run(10);
      for (const client of clients) expect(w.peer(w.accept(listener))).toBe(w.local(client));
      expect(soaccept(listener)).toBe('EAGAIN');
    },
  },
  {
    name: 'accept: what was sent before accept is there afterwards',
    run(w) {
      const listener = w.b.listener(80);
      const client = w.a.tcp();
      soconnect(client, at('10.0.0.2', 80));
      w.until(() => (sopoll(client) & POLLOUT) !== 0);
      w.sendAll(client, pattern(5_000));
      w.run(100);
      expect(sopoll(listener) & POLLIN).toBe(POLLIN);
      expect(w.receive(w.accept(listener), 5_000)).toEqual(pattern(5_000));
    },
  },
  {
    name: 'backlog: more than it holds wait, and all of them are served in the end',
    run(w) {
      const listener = w.b.listener(80, 2);
      const clients = Array.from({ length: 12 }, () => {
        const so = w.a.tcp();
        soconnect(so, at('10.0.0.2', 80));
        return so;
      });
      w.run(500);
      expect(listener.listen?.qlen() ?? 0).toBeLessThanOrEqual(4);
      const served = new Set<string>();
      for (let i = 0; i < clients.length; i++) {
        const so = w.accept(listener, 120_000);
        served.add(w.peer(so));
      }
      expect(served.size).toBe(clients.length);
    },
  },
  {
    name: 'many: 300 connections at once, each with its own bytes',
    run(w) {
      const listener = w.b.listener(80, 512);
      const clients: Socket[] = [];
      for (let i = 0; i < 300; i++) {
        const so = w.a.tcp();
        soconnect(so, at('10.0.0.2', 80));
        clients.push(so);
      }
      const servers = new Map<string, Socket>();
      for (let i = 0; i < 300; i++) {
        const so = w.accept(listener, 60_000);
        servers.set(w.peer(so), so);
      }
      clients.forEach((so, i) => w.sendAll(so, pattern(100, i)));
      clients.forEach((so, i) => expect(w.receive(servers.get(w.local(so))!, 100)).toEqual(pattern(100, i)));
      for (const so of [...clients, ...servers.values()]) soclose(so);
      w.run(120_000);
    },
  },
  {
    name: 'again and again: 400 connections one after the other leave nothing behind',
    run(w) {
      const listener = w.b.listener(80);
      for (let i = 0; i < 400; i++) {
        const client = w.a.tcp();
        expect([null, 'EINPROGRESS']).toContain(soconnect(client, at('10.0.0.2', 80)));
        const server = w.accept(listener);
        w.sendAll(client, pattern(10, i));
        expect(w.receive(server, 10)).toEqual(pattern(10, i));
        w.close(client);
        expect(w.receiveOutcome(server)).toBe(0);
        w.close(server);
      }
      w.run(300_000);
      const { created, closed } = w.b.kernel.domains.counters;
      // Only the listener is left.
      expect(created - closed).toBe(1);
    },
  },
  {
    name: 'a listener that closes resets what it had not accepted, and refuses newcomers',
    run(w) {
      const listener = w.b.listener(80);
      const client = w.a.tcp();
      soconnect(client, at('10.0.0.2', 80));
      w.until(() => (sopoll(client) & POLLOUT) !== 0);
      w.run(10);
      soclose(listener);
      expect(w.receiveOutcome(client)).toBe('ECONNRESET');
      const late = w.a.tcp();
      soconnect(late, at('10.0.0.2', 80));
      w.until(() => (sopoll(late) & POLLERR) !== 0);
      expect(sotakeerror(late)).toBe('ECONNREFUSED');
    },
  },
  {
    name: 'simultaneous open: both connect to each other and become one connection',
    run(w) {
      const one = w.a.tcp();
      const two = w.b.tcp();
      ok(bindTo(one, '10.0.0.1', 7001));
      ok(bindTo(two, '10.0.0.2', 7002));
      // Addresses are known to both, so that the SYNs cross.
      w.warm();
      expect(soconnect(one, at('10.0.0.2', 7002))).toBe('EINPROGRESS');
      expect(soconnect(two, at('10.0.0.1', 7001))).toBe('EINPROGRESS');
      w.until(() => (sopoll(one) & POLLOUT) !== 0 && (sopoll(two) & POLLOUT) !== 0);
      w.transfer(one, two, pattern(3_000));
      w.transfer(two, one, pattern(3_000, 7));
    },
  },
];

function bindTo(so: Socket, addr: string, port: number): true {
  expect(so.methods.bind(so, at(addr, port))).toBeNull();
  return true;
}
