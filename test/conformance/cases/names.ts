/** Sockets and their addresses: what can be made, bound, listened on. bind(2), listen(2), getsockname(2), getpeername(2). */
import { expect } from 'vitest';
import { isErrno } from '../../../src/kern/errno.ts';
import { sobind, soaccept, soclose, soconnect, socreate, solisten, sopeeraddr } from '../../../src/kern/socket/calls.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { SO_REUSEADDR, SOL_SOCKET } from '../../../src/kern/socket/soconst.ts';
import { sosetopt } from '../../../src/kern/socket/sockopt.ts';
import { at, ok } from '../world.ts';
import type { Case } from './case.ts';

const UNKNOWN_FAMILY = 123;

export const nameCases: readonly Case[] = [
  {
    name: 'socket: an unknown family is EAFNOSUPPORT, a foreign protocol EPROTOTYPE or EPROTONOSUPPORT',
    run(w) {
      expect(socreate(w.a.kernel, UNKNOWN_FAMILY, SOCK_STREAM, 0, null)).toBe('EAFNOSUPPORT');
      expect(socreate(w.a.kernel, AF_INET, SOCK_STREAM, 17, null)).toBe('EPROTOTYPE');
      expect(socreate(w.a.kernel, AF_INET, SOCK_DGRAM, 200, null)).toBe('EPROTONOSUPPORT');
      expect(isErrno(socreate(w.a.kernel, AF_INET, SOCK_STREAM, 6, null))).toBe(false);
    },
  },
  {
    name: 'bind: port 0 takes a free port, getsockname tells which',
    run(w) {
      const one = w.a.tcp();
      const two = w.a.tcp();
      expect(sobind(one, at('10.0.0.1', 0))).toBeNull();
      expect(sobind(two, at('10.0.0.1', 0))).toBeNull();
      const [p1, p2] = [one, two].map((so) => Number(w.local(so).split(':')[1]));
      expect(p1).toBeGreaterThan(0);
      expect(p2).toBeGreaterThan(0);
      expect(p1).not.toBe(p2);
      expect(w.local(one).startsWith('10.0.0.1:')).toBe(true);
    },
  },
  {
    name: 'bind: a port in use is EADDRINUSE, and free again after close',
    run(w) {
      for (const make of [() => w.a.tcp(), () => w.a.udp()]) {
        const one = make();
        expect(sobind(one, at('0.0.0.0', 5000))).toBeNull();
        const two = make();
        expect(sobind(two, at('0.0.0.0', 5000))).toBe('EADDRINUSE');
        soclose(one);
        expect(sobind(two, at('0.0.0.0', 5000))).toBeNull();
        soclose(two);
      }
    },
  },
  {
    name: 'bind: TCP and UDP ports are apart',
    run(w) {
      expect(sobind(w.a.tcp(), at('0.0.0.0', 5000))).toBeNull();
      expect(sobind(w.a.udp(), at('0.0.0.0', 5000))).toBeNull();
    },
  },
  {
    name: 'bind: an address that is not ours is EADDRNOTAVAIL',
    run(w) {
      expect(sobind(w.a.tcp(), at('10.0.0.77', 5000))).toBe('EADDRNOTAVAIL');
      expect(sobind(w.a.udp(), at('192.0.2.1', 5000))).toBe('EADDRNOTAVAIL');
    },
  },
  {
    name: 'bind: a second bind of one socket is EINVAL',
    run(w) {
      for (const so of [w.a.tcp(), w.a.udp()]) {
        expect(sobind(so, at('0.0.0.0', 5000))).toBeNull();
        expect(sobind(so, at('0.0.0.0', 5001))).toBe('EINVAL');
      }
    },
  },
  {
    name: 'bind: a local-domain address is EAFNOSUPPORT',
    run(w) {
      expect(sobind(w.a.tcp(), { kind: 'local', path: '/x' })).toBe('EAFNOSUPPORT');
      expect(sobind(w.a.udp(), { kind: 'local', path: '/x' })).toBe('EAFNOSUPPORT');
    },
  },
  {
    name: 'listen: without bind it takes a port of its own',
    run(w) {
      const so = w.b.tcp();
      expect(solisten(so, 4)).toBeNull();
      const port = Number(w.local(so).split(':')[1]);
      expect(port).toBeGreaterThan(0);
      const client = w.a.tcp();
      expect(soconnect(client, at('10.0.0.2', port))).toBe('EINPROGRESS');
      w.accept(so);
    },
  },
  {
    name: 'listen: on a connected socket EINVAL, on a datagram socket EOPNOTSUPP',
    run(w) {
      const { client } = w.connected();
      expect(solisten(client, 4)).toBe('EINVAL');
      expect(solisten(w.a.udp(6000), 4)).toBe('EOPNOTSUPP');
    },
  },
  {
    name: 'accept: on a socket that does not listen EINVAL, with nobody there EAGAIN',
    run(w) {
      expect(soaccept(w.a.tcp())).toBe('EINVAL');
      expect(soaccept(w.a.listener(80))).toBe('EAGAIN');
    },
  },
  {
    name: 'getsockname and getpeername agree on both ends of a connection',
    run(w) {
      const { client, server } = w.connected(8080);
      expect(w.peer(client)).toBe('10.0.0.2:8080');
      expect(w.local(server)).toBe('10.0.0.2:8080');
      expect(w.peer(server)).toBe(w.local(client));
      expect(w.local(client).startsWith('10.0.0.1:')).toBe(true);
    },
  },
  {
    name: 'getpeername without a connection is ENOTCONN',
    run(w) {
      expect(sopeeraddr(w.a.tcp())).toBe('ENOTCONN');
      expect(sopeeraddr(w.a.listener(80))).toBe('ENOTCONN');
      expect(sopeeraddr(w.a.udp(99))).toBe('ENOTCONN');
    },
  },
  {
    name: 'bind: SO_REUSEADDR takes a listener’s port back while old connections linger',
    run(w) {
      const { client, server, listener } = w.connected(8080);
      // The server closes first: its end stays in TIME-WAIT.
      w.close(server);
      expect(w.receiveOutcome(client)).toBe(0);
      w.close(client, listener);
      w.run(100);
      const again = w.b.tcp();
      expect(sosetopt(again, { dir: 'set', level: SOL_SOCKET, name: SO_REUSEADDR, value: 1 })).toBeNull();
      expect(sobind(again, at('0.0.0.0', 8080))).toBeNull();
      expect(solisten(again, 4)).toBeNull();
      const next = w.a.tcp();
      soconnect(next, at('10.0.0.2', 8080));
      ok(w.accept(again));
    },
  },
];
