/** Datagrams: whole, with their sender, or not at all. RFC 768; udp(4), ip(4). */
import { expect } from 'vitest';
import { POLLERR, POLLIN, sobind, soclose, soconnect, sopoll } from '../../../src/kern/socket/calls.ts';
import { MSG_PEEK, soreceivefrom, sosend } from '../../../src/kern/socket/sendrecv.ts';
import { sosetopt } from '../../../src/kern/socket/sockopt.ts';
import { SO_BROADCAST, SO_RCVBUF, SOL_SOCKET } from '../../../src/kern/socket/soconst.ts';
import { sotakeerror } from '../../../src/kern/socket/upcalls.ts';
import { at, pattern } from '../world.ts';
import type { Case } from './case.ts';

export const udpCases: readonly Case[] = [
  {
    name: 'udp: a datagram arrives with its sender, and the answer goes back',
    run(w) {
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      expect(w.sendTo(client, pattern(100), at('10.0.0.2', 7))).toBeNull();
      const got = w.datagram(server);
      expect(got).toEqual({ bytes: pattern(100), from: '10.0.0.1:5353', truncated: false });
      expect(w.sendTo(server, pattern(50, 3), at('10.0.0.1', 5353))).toBeNull();
      expect(w.datagram(client)).toEqual({ bytes: pattern(50, 3), from: '10.0.0.2:7', truncated: false });
    },
  },
  {
    name: 'udp: without bind the sender gets a port of its own',
    run(w) {
      const server = w.b.udp(7);
      const client = w.a.udp();
      expect(w.sendTo(client, pattern(1), at('10.0.0.2', 7))).toBeNull();
      expect(w.datagram(server).from).toBe(`10.0.0.1:${w.local(client).split(':')[1]}`);
    },
  },
  {
    name: 'udp: an empty datagram is a datagram',
    run(w) {
      const server = w.b.udp(7);
      expect(w.sendTo(w.a.udp(5353), pattern(0), at('10.0.0.2', 7))).toBeNull();
      expect(w.datagram(server)).toEqual({ bytes: new Uint8Array(0), from: '10.0.0.1:5353', truncated: false });
    },
  },
  {
    name: 'udp: boundaries and order are kept',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      for (let n = 1; n <= 20; n++) expect(w.sendTo(client, pattern(n * 10, n), at('10.0.0.2', 7))).toBeNull();
      for (let n = 1; n <= 20; n++) expect(w.datagram(server).bytes).toEqual(pattern(n * 10, n));
    },
  },
  {
    name: 'udp: a datagram longer than the buffer is cut, said so, and the rest is gone',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      w.sendTo(client, pattern(100), at('10.0.0.2', 7));
      w.sendTo(client, pattern(5, 9), at('10.0.0.2', 7));
      w.until(() => (sopoll(server) & POLLIN) !== 0);
      const buf = new Uint8Array(40);
      expect(soreceivefrom(server, buf, 0, 40, 0)).toMatchObject({ n: 40, truncated: true });
      expect(buf).toEqual(pattern(40));
      expect(w.datagram(server).bytes).toEqual(pattern(5, 9));
    },
  },
  {
    name: 'udp: MSG_PEEK leaves it there',
    run(w) {
      const server = w.b.udp(7);
      w.sendTo(w.a.udp(5353), pattern(30), at('10.0.0.2', 7));
      w.until(() => (sopoll(server) & POLLIN) !== 0);
      const buf = new Uint8Array(64);
      expect(soreceivefrom(server, buf, 0, 64, MSG_PEEK)).toMatchObject({ n: 30 });
      expect(w.datagram(server).bytes).toEqual(pattern(30));
      expect(soreceivefrom(server, buf, 0, 64, 0)).toBe('EAGAIN');
    },
  },
  {
    name: 'udp: without a destination EDESTADDRREQ, with one too many EISCONN',
    run(w) {
      const so = w.a.udp(5353);
      expect(w.sendTo(so, pattern(1), null)).toBe('EDESTADDRREQ');
      expect(soconnect(so, at('10.0.0.2', 7))).toBeNull();
      expect(w.sendTo(so, pattern(1), at('10.0.0.2', 9))).toBe('EISCONN');
    },
  },
  {
    name: 'udp: a connected socket sends there, and hears only from there',
    run(w) {
      const so = w.a.udp(5353);
      expect(soconnect(so, at('10.0.0.2', 7))).toBeNull();
      expect(w.peer(so)).toBe('10.0.0.2:7');
      const right = w.b.udp(7);
      const wrong = w.b.udp(9);
      expect(sosend(so, pattern(8), 0, 8)).toBe(8);
      expect(w.datagram(right).bytes).toEqual(pattern(8));
      w.sendTo(wrong, pattern(4), at('10.0.0.1', 5353));
      w.sendTo(right, pattern(6), at('10.0.0.1', 5353));
      expect(w.datagram(so)).toMatchObject({ bytes: pattern(6), from: '10.0.0.2:7' });
      expect(soreceivefrom(so, new Uint8Array(9), 0, 9, 0)).toBe('EAGAIN');
    },
  },
  {
    name: 'udp: a connected socket hears that the port is closed',
    run(w) {
      const so = w.a.udp(5353);
      soconnect(so, at('10.0.0.2', 7777));
      expect(sosend(so, pattern(1), 0, 1)).toBe(1);
      w.until(() => (sopoll(so) & POLLERR) !== 0, 3_000, 'ICMP port unreachable');
      expect(sotakeerror(so)).toBe('ECONNREFUSED');
      expect(sotakeerror(so)).toBeNull();
    },
  },
  {
    name: 'udp: connect again changes the peer',
    run(w) {
      const so = w.a.udp(5353);
      const two = w.b.udp(9);
      expect(soconnect(so, at('10.0.0.2', 7))).toBeNull();
      expect(soconnect(so, at('10.0.0.2', 9))).toBeNull();
      expect(sosend(so, pattern(3), 0, 3)).toBe(3);
      expect(w.datagram(two).bytes).toEqual(pattern(3));
    },
  },
  {
    name: 'udp: longer than an IP packet can be is EMSGSIZE',
    run(w) {
      const so = w.a.udp(5353);
      expect(w.sendTo(so, pattern(65508), at('10.0.0.2', 7))).toBe('EMSGSIZE');
    },
  },
  {
    name: 'udp: 9000 bytes over an MTU of 1500 arrive whole (fragments)',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      expect(sosetopt(server, { dir: 'set', level: SOL_SOCKET, name: SO_RCVBUF, value: 262_144 })).toBeNull();
      expect(w.sendTo(w.a.udp(5353), pattern(9_000), at('10.0.0.2', 7))).toBeNull();
      expect(w.datagram(server).bytes).toEqual(pattern(9_000));
    },
  },
  {
    name: 'udp: a full buffer drops the newcomer, counted',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      expect(sosetopt(server, { dir: 'set', level: SOL_SOCKET, name: SO_RCVBUF, value: 3_000 })).toBeNull();
      const client = w.a.udp(5353);
      for (let i = 0; i < 10; i++) {
        w.sendTo(client, pattern(1_000, i), at('10.0.0.2', 7));
        w.run(5);
      }
      expect(w.b.kernel.domains.counters.dgramdropped).toBeGreaterThanOrEqual(7);
      expect(w.datagram(server).bytes).toEqual(pattern(1_000));
    },
  },
  {
    name: 'udp: broadcast needs SO_BROADCAST, and then reaches the others',
    run(w) {
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      expect(w.sendTo(client, pattern(9), at('10.0.0.255', 7))).toBe('EACCES');
      expect(sosetopt(client, { dir: 'set', level: SOL_SOCKET, name: SO_BROADCAST, value: 1 })).toBeNull();
      expect(w.sendTo(client, pattern(9), at('10.0.0.255', 7))).toBeNull();
      expect(w.datagram(server)).toEqual({ bytes: pattern(9), from: '10.0.0.1:5353', truncated: false });
    },
  },
  {
    name: 'udp: without a route it is unreachable',
    run(w) {
      expect(['ENETUNREACH', 'EHOSTUNREACH']).toContain(w.sendTo(w.a.udp(1), pattern(1), at('192.0.2.1', 7)));
    },
  },
  {
    name: 'udp: a datagram for an address bound elsewhere is not ours',
    run(w) {
      const loopOnly = w.b.udp();
      expect(sobind(loopOnly, at('127.0.0.1', 7))).toBeNull();
      w.sendTo(w.a.udp(5353), pattern(1), at('10.0.0.2', 7));
      w.run(500);
      expect(soreceivefrom(loopOnly, new Uint8Array(9), 0, 9, 0)).toBe('EAGAIN');
    },
  },
  {
    name: 'udp: after close the port hears nothing, and nobody is harmed',
    run(w) {
      w.warm();
      const server = w.b.udp(7);
      const client = w.a.udp(5353);
      w.sendTo(client, pattern(1), at('10.0.0.2', 7));
      soclose(server);
      w.run(500);
      const again = w.b.udp(7);
      expect(soreceivefrom(again, new Uint8Array(9), 0, 9, 0)).toBe('EAGAIN');
    },
  },
];
