/** How connections end: half close, full close, reset, and what each side then hears. RFC 9293 §3.6; shutdown(2), close(2). */
import { expect } from 'vitest';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  soclose,
  soconnect,
  sopoll,
  soshutdown,
} from '../../../src/kern/socket/calls.ts';
import { soreceive, sosend } from '../../../src/kern/socket/sendrecv.ts';
import { sosetopt } from '../../../src/kern/socket/sockopt.ts';
import { SO_LINGER, SOL_SOCKET } from '../../../src/kern/socket/soconst.ts';
import { sotakeerror } from '../../../src/kern/socket/upcalls.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { at, pattern } from '../world.ts';
import type { Case } from './case.ts';

const linger = (so: Socket, onoff: boolean, seconds: number) =>
  sosetopt(so, { dir: 'set', level: SOL_SOCKET, name: SO_LINGER, value: { onoff, linger: seconds } });

export const closeCases: readonly Case[] = [
  {
    name: 'half close: the client ends, the server still sends',
    run(w) {
      const { client, server } = w.connected();
      w.sendAll(client, pattern(1_000));
      expect(soshutdown(client, 'wr')).toBeNull();
      expect(sosend(client, pattern(1), 0, 1)).toBe('EPIPE');
      expect(w.receive(server, 1_000)).toEqual(pattern(1_000));
      expect(w.receiveOutcome(server)).toBe(0);
      w.run(120_000);
      w.transfer(server, client, pattern(300_000));
      soshutdown(server, 'wr');
      expect(w.receiveOutcome(client)).toBe(0);
    },
  },
  {
    name: 'half close: the server ends, the client still sends',
    run(w) {
      const { client, server } = w.connected();
      expect(soshutdown(server, 'wr')).toBeNull();
      expect(w.receiveOutcome(client)).toBe(0);
      w.transfer(client, server, pattern(300_000));
      w.close(client);
      expect(w.receiveOutcome(server)).toBe(0);
      w.close(server);
    },
  },
  {
    name: 'close: what was written before is delivered, then the end',
    run(w) {
      const { client, server } = w.connected();
      const bytes = pattern(30_000);
      w.sendAll(client, bytes);
      soclose(client);
      expect(w.receive(server, bytes.length)).toEqual(bytes);
      expect(w.receiveOutcome(server)).toBe(0);
      expect(w.receiveOutcome(server)).toBe(0);
      w.close(server);
    },
  },
  {
    name: 'close: both at the same instant',
    run(w) {
      const { client, server } = w.connected();
      soshutdown(client, 'wr');
      soshutdown(server, 'wr');
      expect(w.receiveOutcome(client)).toBe(0);
      expect(w.receiveOutcome(server)).toBe(0);
      w.close(client, server);
      w.run(300_000);
      expect(w.a.kernel.netstack.current.busy()).toBe(false);
      expect(w.b.kernel.netstack.current.busy()).toBe(false);
    },
  },
  {
    name: 'close: with unread bytes in the buffer the peer is reset',
    run(w) {
      const { client, server } = w.connected();
      w.sendAll(client, pattern(1_000));
      w.until(() => (sopoll(server) & POLLIN) !== 0);
      soclose(server);
      expect(w.receiveOutcome(client)).toBe('ECONNRESET');
    },
  },
  {
    name: 'close: SO_LINGER of 0 resets at once',
    run(w) {
      const { client, server } = w.connected();
      expect(linger(client, true, 0)).toBeNull();
      soclose(client);
      expect(w.receiveOutcome(server)).toBe('ECONNRESET');
    },
  },
  {
    name: 'reset: the error is told once, then the end; writing is EPIPE',
    run(w) {
      const { client, server } = w.connected();
      linger(client, true, 0);
      soclose(client);
      w.until(() => (sopoll(server) & POLLERR) !== 0);
      expect(sopoll(server) & POLLHUP).toBe(POLLHUP);
      const buf = new Uint8Array(1);
      expect(soreceive(server, buf, 0, 1, 0)).toBe('ECONNRESET');
      expect(soreceive(server, buf, 0, 1, 0)).toBe(0);
      expect(sosend(server, buf, 0, 1)).toBe('EPIPE');
    },
  },
  {
    name: 'reset: bytes that were in order before it can still be read',
    run(w) {
      const { client, server } = w.connected();
      w.sendAll(client, pattern(100));
      w.until(() => (sopoll(server) & POLLIN) !== 0);
      linger(client, true, 0);
      soclose(client);
      w.until(() => (sopoll(server) & POLLERR) !== 0);
      expect(w.receive(server, 100)).toEqual(pattern(100));
      expect(w.receiveOutcome(server)).toBe('ECONNRESET');
    },
  },
  {
    name: 'write to a peer that is gone: a reset comes back, then EPIPE',
    run(w) {
      const { client, server } = w.connected();
      soclose(server);
      expect(w.receiveOutcome(client)).toBe(0);
      expect(sosend(client, pattern(10), 0, 10)).toBe(10);
      w.until(() => (sopoll(client) & POLLERR) !== 0 || sosend(client, pattern(1), 0, 1) === 'EPIPE', 5_000, 'the reset');
      expect(['ECONNRESET', 'EPIPE', null]).toContain(sotakeerror(client));
      expect(sosend(client, pattern(1), 0, 1)).toBe('EPIPE');
    },
  },
  {
    name: 'shutdown: without a connection ENOTCONN',
    run(w) {
      expect(soshutdown(w.a.tcp(), 'wr')).toBe('ENOTCONN');
      expect(soshutdown(w.a.tcp(), 'rd')).toBe('ENOTCONN');
    },
  },
  {
    name: 'shutdown for reading: the reader is at the end, the connection goes on the other way',
    run(w) {
      const { client, server } = w.connected();
      expect(soshutdown(server, 'rd')).toBeNull();
      expect(w.receiveOutcome(server)).toBe(0);
      w.transfer(server, client, pattern(10_000));
    },
  },
  {
    name: 'shutdown both ways: the peer gets the end',
    run(w) {
      const { client, server } = w.connected();
      expect(soshutdown(client, 'rdwr')).toBeNull();
      expect(w.receiveOutcome(server)).toBe(0);
      expect(sosend(client, pattern(1), 0, 1)).toBe('EPIPE');
      expect(w.receiveOutcome(client)).toBe(0);
    },
  },
  {
    name: 'poll: what each state shows',
    run(w) {
      const { client, server, listener } = w.connected();
      expect(sopoll(client) & (POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR)).toBe(POLLOUT);
      expect(sopoll(listener) & POLLIN).toBe(0);
      w.sendAll(server, pattern(1));
      w.until(() => (sopoll(client) & POLLIN) !== 0);
      expect(w.receive(client, 1)).toEqual(pattern(1));
      soshutdown(server, 'wr');
      w.until(() => (sopoll(client) & POLLRDHUP) !== 0);
      expect(sopoll(client) & (POLLIN | POLLOUT | POLLHUP | POLLERR)).toBe(POLLIN | POLLOUT);
      soshutdown(client, 'wr');
      w.until(() => (sopoll(client) & POLLHUP) !== 0);
      expect(sopoll(client) & POLLERR).toBe(0);
    },
  },
  {
    name: 'close while connecting: nothing is left, and nobody hears of it again',
    run(w) {
      const client = w.a.tcp();
      expect(soconnect(client, at('10.0.0.99', 80))).toBe('EINPROGRESS');
      w.run(500);
      soclose(client);
      w.run(600_000);
      const { created, closed } = w.a.kernel.domains.counters;
      expect(created).toBe(closed);
      expect(w.a.kernel.netstack.current.busy()).toBe(false);
    },
  },
  {
    name: 'close with a silent peer: it is given up in the end',
    run(w) {
      const { client } = w.connected();
      w.b.ifp.setUp(false);
      w.sendAll(client, pattern(100));
      soclose(client);
      w.run(3_600_000);
      expect(w.a.kernel.netstack.current.busy()).toBe(false);
    },
  },
];
