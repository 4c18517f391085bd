/** Bytes on a connection: all of them, in order, both ways, under flow control. RFC 9293 §3.7, §3.8. */
import { expect } from 'vitest';
import { POLLIN, POLLOUT, POLLRDHUP, sopoll, soshutdown } from '../../../src/kern/socket/calls.ts';
import { MSG_PEEK, soreceive, sosend } from '../../../src/kern/socket/sendrecv.ts';
import { sosetopt } from '../../../src/kern/socket/sockopt.ts';
import { SO_RCVBUF, SO_RCVLOWAT, SO_SNDBUF, SOL_SOCKET } from '../../../src/kern/socket/soconst.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { at, ok, pattern } from '../world.ts';
import type { Case } from './case.ts';

const set = (so: Socket, name: number, value: unknown) => sosetopt(so, { dir: 'set', level: SOL_SOCKET, name, value });

export const streamCases: readonly Case[] = [
  {
    name: 'data: a few bytes there and back',
    run(w) {
      const { client, server } = w.connected();
      w.sendAll(client, pattern(10));
      expect(w.receive(server, 10)).toEqual(pattern(10));
      w.sendAll(server, pattern(20, 5));
      expect(w.receive(client, 20)).toEqual(pattern(20, 5));
    },
  },
  {
    name: 'data: 4 MB each way, byte by byte',
    run(w) {
      const { client, server } = w.connected();
      w.transfer(client, server, pattern(4_000_000));
      w.transfer(server, client, pattern(4_000_000, 99));
    },
  },
  {
    name: 'data: both ways at the same time',
    run(w) {
      const { client, server } = w.connected();
      const one = pattern(500_000, 1);
      const two = pattern(500_000, 2);
      const state = { s1: 0, s2: 0, r1: 0, r2: 0 };
      const got1 = new Uint8Array(one.length);
      const got2 = new Uint8Array(two.length);
      const send = (so: Socket, bytes: Uint8Array, off: number) => {
        if (off === bytes.length) return 0;
        const n = sosend(so, bytes, off, bytes.length - off);
        return n === 'EAGAIN' ? 0 : ok(n);
      };
      const receive = (so: Socket, into: Uint8Array, off: number) => {
        if (off === into.length) return 0;
        const n = soreceive(so, into, off, into.length - off, 0);
        return n === 'EAGAIN' ? 0 : ok(n);
      };
      w.until(() => {
        state.s1 += send(client, one, state.s1);
        state.s2 += send(server, two, state.s2);
        state.r1 += receive(server, got1, state.r1);
        state.r2 += receive(client, got2, state.r2);
        return state.r1 === one.length && state.r2 === two.length;
      }, 600_000);
      expect(Buffer.compare(got1, one)).toBe(0);
      expect(Buffer.compare(got2, two)).toBe(0);
    },
  },
  {
    name: 'data: 500 writes of one byte arrive in order',
    run(w) {
      const { client, server } = w.connected();
      const bytes = pattern(500);
      for (let i = 0; i < bytes.length; i++) {
        expect(sosend(client, bytes, i, 1)).toBe(1);
        if (i % 50 === 0) w.run(3);
      }
      expect(w.receive(server, 500)).toEqual(bytes);
    },
  },
  {
    name: 'data: a write of nothing takes nothing and sends nothing',
    run(w) {
      const { client, server } = w.connected();
      expect(sosend(client, pattern(1), 0, 0)).toBe(0);
      w.run(1_000);
      expect(soreceive(server, new Uint8Array(1), 0, 1, 0)).toBe('EAGAIN');
    },
  },
  {
    name: 'data: MSG_PEEK leaves it there',
    run(w) {
      const { client, server } = w.connected();
      w.sendAll(client, pattern(10));
      const buf = new Uint8Array(10);
      w.until(() => (sopoll(server) & POLLIN) !== 0);
      expect(soreceive(server, buf, 0, 4, MSG_PEEK)).toBe(4);
      expect(soreceive(server, buf, 0, 10, 0)).toBe(10);
      expect(buf).toEqual(pattern(10));
    },
  },
  {
    name: 'flow control: a reader that does not read stops the writer, and nothing is lost',
    run(w) {
      const { client, server } = w.connected();
      const bytes = pattern(3_000_000);
      const state = { sent: 0 };
      const push = () => {
        while (state.sent < bytes.length) {
          const n = sosend(client, bytes, state.sent, bytes.length - state.sent);
          if (n === 'EAGAIN') return;
          state.sent += ok(n);
        }
      };
      for (let i = 0; i < 100; i++) {
        push();
        w.run(100);
      }
      push();
      expect(state.sent).toBeLessThan(bytes.length);
      expect(sopoll(client) & POLLOUT).toBe(0);
      // The window stays shut for two minutes: probes keep the connection.
      w.run(120_000);
      const got = new Uint8Array(bytes.length);
      const read = { at: 0 };
      w.until(() => {
        push();
        const n = soreceive(server, got, read.at, got.length - read.at, 0);
        if (n === 'EAGAIN') return false;
        read.at += ok(n);
        return read.at === got.length;
      }, 600_000);
      expect(Buffer.compare(got, bytes)).toBe(0);
    },
  },
  {
    name: 'flow control: a slow reader of small bites gets every byte',
    run(w) {
      const { client, server } = w.connected();
      const bytes = pattern(200_000);
      const state = { sent: 0, got: 0 };
      const got = new Uint8Array(bytes.length);
      while (state.got < bytes.length) {
        if (state.sent < bytes.length) {
          const n = sosend(client, bytes, state.sent, bytes.length - state.sent);
          if (n !== 'EAGAIN') state.sent += ok(n);
        }
        w.run(5);
        const n = soreceive(server, got, state.got, Math.min(777, got.length - state.got), 0);
        if (n !== 'EAGAIN') state.got += ok(n);
        expect(w.sim.nowMs()).toBeLessThan(600_000);
      }
      expect(Buffer.compare(got, bytes)).toBe(0);
    },
  },
  {
    name: 'flow control: buffers of 4 KB on both sides',
    run(w) {
      const listener = w.b.listener(80);
      expect(set(listener, SO_RCVBUF, 4096)).toBeNull();
      const client = w.a.tcp();
      expect(set(client, SO_SNDBUF, 4096)).toBeNull();
      expect([null, 'EINPROGRESS']).toContain(client.methods.connect(client, at('10.0.0.2', 80)));
      const server = w.accept(listener);
      w.transfer(client, server, pattern(100_000));
    },
  },
  {
    name: 'SO_RCVLOWAT: readable only from that many bytes on, or at the end',
    run(w) {
      const { client, server } = w.connected();
      expect(set(server, SO_RCVLOWAT, 100)).toBeNull();
      w.sendAll(client, pattern(50));
      w.run(1_000);
      expect(sopoll(server) & POLLIN).toBe(0);
      w.sendAll(client, pattern(50, 50));
      w.until(() => (sopoll(server) & POLLIN) !== 0);
      expect(w.receive(server, 100)).toEqual(pattern(100));
      w.sendAll(client, pattern(10));
      soshutdown(client, 'wr');
      w.until(() => (sopoll(server) & (POLLIN | POLLRDHUP)) === (POLLIN | POLLRDHUP));
      expect(w.receive(server, 10)).toEqual(pattern(10));
    },
  },
  {
    name: 'small MTU: 576 bytes',
    world: { mtu: 576 },
    run(w) {
      const { client, server } = w.connected();
      w.transfer(client, server, pattern(100_000));
    },
  },
  {
    name: 'large MTU: 9000 bytes',
    world: { mtu: 9000 },
    run(w) {
      const { client, server } = w.connected();
      w.transfer(client, server, pattern(1_000_000));
    },
  },
];
