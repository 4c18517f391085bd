/** The same through a process's system calls: descriptors, blocking calls as promises, poll, errors by name. */
import { expect } from 'vitest';
import { type Result, isErrno } from '../../../src/kern/errno.ts';
import { Proc } from '../../../src/kern/proc/proc.ts';
import { POLLIN, POLLNVAL, POLLOUT } from '../../../src/kern/socket/calls.ts';
import { MSG_DONTWAIT, MSG_WAITALL } from '../../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { SO_RCVTIMEO, SOL_SOCKET } from '../../../src/kern/socket/soconst.ts';
import { type World, at, ok, pattern } from '../world.ts';
import type { Case } from './case.ts';

/** The value of a promise that virtual time must settle. */
async function settled<T>(w: World, what: T | Promise<T>, maxMs = 60_000): Promise<T> {
  const box: { done: boolean; value?: T; error?: unknown } = { done: false };
  void Promise.resolve(what).then(
    (value) => Object.assign(box, { done: true, value }),
    (error: unknown) => Object.assign(box, { done: true, error }),
  );
  if (!(await w.sim.runUntilAsync(() => box.done, maxMs))) throw new Error(`still blocked after ${maxMs} ms`);
  if (box.error !== undefined) throw box.error as Error;
  return box.value as T;
}

interface Pair {
  client: Proc;
  server: Proc;
  /** Descriptors of the connection's two ends, and of the listener. */
  c: number;
  s: number;
  l: number;
}

async function connected(w: World): Promise<Pair> {
  const client = new Proc(w.a.kernel, 'client');
  const server = new Proc(w.b.kernel, 'server');
  const l = ok(server.socket(AF_INET, SOCK_STREAM));
  expect(server.bind(l, at('0.0.0.0', 80))).toBeNull();
  expect(server.listen(l, 8)).toBeNull();
  const accepting = server.accept(l);
  const c = ok(client.socket(AF_INET, SOCK_STREAM));
  expect(await settled(w, client.connect(c, at('10.0.0.2', 80)))).toBeNull();
  const s = ok(await settled(w, accepting));
  return { client, server, c, s, l };
}

export const procCases: readonly Case[] = [
  {
    name: 'proc: accept, connect, send and recv block until they are done',
    async run(w) {
      const { client, server, c, s } = await connected(w);
      const buf = new Uint8Array(100);
      const reading = server.recv(s, buf);
      expect(await settled(w, client.send(c, pattern(100)))).toBe(100);
      expect(await settled(w, reading)).toBe(100);
      expect(buf).toEqual(pattern(100));
      expect(await settled(w, client.close(c))).toBeNull();
      expect(await settled(w, server.recv(s, buf))).toBe(0);
    },
  },
  {
    name: 'proc: a blocking send takes everything, MSG_WAITALL reads everything',
    async run(w) {
      const { client, server, c, s } = await connected(w);
      const bytes = pattern(1_000_000);
      const got = new Uint8Array(bytes.length);
      const sending = client.send(c, bytes);
      expect(await settled(w, server.recv(s, got, MSG_WAITALL), 600_000)).toBe(bytes.length);
      expect(await settled(w, sending)).toBe(bytes.length);
      expect(Buffer.compare(got, bytes)).toBe(0);
    },
  },
  {
    name: 'proc: what is not a descriptor is EBADF',
    run(w) {
      const proc = new Proc(w.a.kernel);
      expect(proc.bind(3, at('0.0.0.0', 1))).toBe('EBADF');
      expect(proc.listen(99, 1)).toBe('EBADF');
      expect(proc.send(-1, pattern(1))).toBe('EBADF');
      expect(proc.close(0)).toBe('EBADF');
      const fd = ok(proc.socket(AF_INET, SOCK_DGRAM));
      expect(proc.close(fd)).toBeNull();
      expect(proc.close(fd)).toBe('EBADF');
    },
  },
  {
    name: 'proc: a blocked reader whose descriptor is closed is woken with an error',
    async run(w) {
      const { server, s } = await connected(w);
      const reading = server.recv(s, new Uint8Array(10));
      await w.sim.runAsync(100);
      expect(await settled(w, server.close(s))).toBeNull();
      expect(isErrno(await settled(w, reading))).toBe(true);
    },
  },
  {
    name: 'proc: a blocked accept whose listener is closed is woken with an error',
    async run(w) {
      const { server, l } = await connected(w);
      const accepting = server.accept(l);
      await w.sim.runAsync(100);
      expect(await settled(w, server.close(l))).toBeNull();
      expect(isErrno(await settled(w, accepting))).toBe(true);
    },
  },
  {
    name: 'proc: a blocking connect to a closed port is ECONNREFUSED',
    async run(w) {
      const proc = new Proc(w.a.kernel);
      const fd = ok(proc.socket(AF_INET, SOCK_STREAM));
      expect(await settled(w, proc.connect(fd, at('10.0.0.2', 81)))).toBe('ECONNREFUSED');
    },
  },
  {
    name: 'proc: MSG_DONTWAIT and SO_RCVTIMEO are EAGAIN when there is nothing',
    async run(w) {
      const { server, s } = await connected(w);
      expect(server.recv(s, new Uint8Array(1), MSG_DONTWAIT)).toBe('EAGAIN');
      expect(server.setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, 250)).toBeNull();
      const started = w.sim.nowMs();
      expect(await settled(w, server.recv(s, new Uint8Array(1)))).toBe('EAGAIN');
      expect(w.sim.nowMs() - started).toBeGreaterThanOrEqual(250);
      expect(w.sim.nowMs() - started).toBeLessThan(300);
    },
  },
  {
    name: 'proc: poll waits for the first of several, up to its time',
    async run(w) {
      const { client, server, c, s, l } = await connected(w);
      const fds = [
        { fd: l, events: POLLIN, revents: 0 },
        { fd: s, events: POLLIN, revents: 0 },
        { fd: 77, events: POLLIN, revents: 0 },
      ];
      expect(await settled(w, server.poll(fds.slice(0, 2), 200))).toBe(0);
      const polling = server.poll(fds.slice(0, 2), -1);
      await settled(w, client.send(c, pattern(1)));
      expect(await settled(w, polling)).toBe(1);
      expect(fds.map((f) => f.revents)).toEqual([0, POLLIN, 0]);
      expect(await settled(w, server.poll(fds, 0))).toBe(2);
      expect(fds[2]!.revents).toBe(POLLNVAL);
      expect(await settled(w, client.poll([{ fd: c, events: POLLOUT }], 0))).toBe(1);
    },
  },
  {
    name: 'proc: sendto and recvfrom carry addresses',
    async run(w) {
      const client = new Proc(w.a.kernel);
      const server = new Proc(w.b.kernel);
      const c = ok(client.socket(AF_INET, SOCK_DGRAM));
      const s = ok(server.socket(AF_INET, SOCK_DGRAM));
      expect(server.bind(s, at('0.0.0.0', 7))).toBeNull();
      const buf = new Uint8Array(100);
      const reading = server.recvfrom(s, buf);
      expect(await settled(w, client.sendto(c, pattern(33), 0, at('10.0.0.2', 7)))).toBe(33);
      const got = ok(await settled(w, reading as Promise<Result<{ n: number; from: unknown }>>));
      expect(got.n).toBe(33);
      expect(got.from).toMatchObject({ kind: 'inet' });
      expect(buf.subarray(0, 33)).toEqual(pattern(33));
    },
  },
  {
    name: 'proc: one that exits closes all it had, and its peers hear of it',
    async run(w) {
      const { client, server, s } = await connected(w);
      client.exit();
      expect(await settled(w, server.recv(s, new Uint8Array(1)))).toBe(0);
      expect(client.socket(AF_INET, SOCK_STREAM)).toBe('EMFILE');
    },
  },
];
