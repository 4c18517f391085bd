/** Calls that block: what ends them, in what order, and when their time is over. */
import { describe, expect, it } from 'vitest';
import { MSG_OOB, MSG_PEEK, MSG_WAITALL } from '../../../src/kern/socket/sendrecv.ts';
import { AF_LOCAL, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { SOL_SOCKET, SO_LINGER, SO_RCVBUF, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO } from '../../../src/kern/socket/soconst.ts';
import { soisconnected, soisdisconnected, soseterror } from '../../../src/kern/socket/upcalls.ts';
import { AF_FAKE, bytes, local, ok, pattern, text } from '../socket/support.ts';
import { procBench, server, streams, track } from './support.ts';

describe('accept and connect', () => {
  it('accept waits for a connection', async () => {
    const b = procBench();
    const srv = server(b);
    const [first, second] = [track(b, b.proc.accept(srv)), track(b, b.proc.accept(srv))];
    await b.world.runAsync(5);
    expect(first.answer).toBe('waits');
    const client = ok(b.proc.socket(AF_LOCAL, SOCK_STREAM));
    expect(await b.proc.connect(client, local('srv'))).toBeNull();
    await b.world.runAsync(5);
    expect([first.answer, second.answer]).toEqual([2, 'waits']);
  });

  it('connect waits for the protocol, and hands on its refusal', async () => {
    const b = procBench();
    const fds = [1, 2].map(() => ok(b.proc.socket(AF_FAKE, SOCK_STREAM)));
    const [one, two] = fds.map((fd) => b.proc.files.get(fd)!.so);
    const calls = fds.map((fd) => track(b, b.proc.connect(fd, local('x'))));
    await b.world.runAsync(5);
    expect(calls.map((c) => c.answer)).toEqual(['waits', 'waits']);
    expect(await b.proc.connect(fds[0]!, local('x'))).toBe('EALREADY');
    soisconnected(one!);
    soseterror(two!, 'ECONNREFUSED');
    soisdisconnected(two!);
    await b.world.runAsync(5);
    expect(calls.map((c) => c.answer)).toEqual([null, 'ECONNREFUSED']);
    expect(await b.proc.recv(fds[1]!, new Uint8Array(1))).toBe(0);
  });
});

describe('receive', () => {
  it('waits for bytes, the end, or an error', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const buf = new Uint8Array(10);
    const first = track(b, b.proc.recv(y, buf));
    await b.world.runAsync(5);
    expect(first.answer).toBe('waits');
    await b.proc.send(x, bytes('hi'));
    await b.world.runAsync(5);
    expect([first.answer, text(buf.subarray(0, 2))]).toEqual([2, 'hi']);
    const end = track(b, b.proc.recv(y, buf));
    b.proc.shutdown(x, 'wr');
    await b.world.runAsync(5);
    expect(end.answer).toBe(0);
    const error = track(b, b.proc.recv(x, buf));
    b.proc.setsockopt(y, SOL_SOCKET, SO_LINGER, { onoff: 1, linger: 0 });
    void b.proc.close(y);
    await b.world.runAsync(5);
    expect(error.answer).toBe('ECONNRESET');
  });

  it('the first that waits is served first', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const bufs = [1, 2, 3].map(() => new Uint8Array(2));
    const calls = bufs.map((buf) => track(b, b.proc.recv(y, buf)));
    await b.proc.send(x, bytes('abcd'));
    await b.world.runAsync(5);
    expect(calls.map((c) => c.answer)).toEqual([2, 2, 'waits']);
    expect(bufs.map(text)).toEqual(['ab', 'cd', '\0\0']);
  });

  it('MSG_WAITALL fills the buffer, and nobody gets in between', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const bufs = [new Uint8Array(6), new Uint8Array(2)];
    const all = track(b, b.proc.recv(y, bufs[0]!, MSG_WAITALL));
    const next = track(b, b.proc.recv(y, bufs[1]!));
    for (const part of ['abc', 'de', 'fgh']) {
      expect(all.answer).toBe('waits');
      await b.proc.send(x, bytes(part));
      await b.world.runAsync(5);
    }
    expect([all.answer, next.answer]).toEqual([6, 2]);
    expect(bufs.map(text)).toEqual(['abcdef', 'gh']);
  });

  it('MSG_WAITALL takes less at the end, and keeps an error for the next call', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const all = track(b, b.proc.recv(y, new Uint8Array(9), MSG_WAITALL));
    await b.proc.send(x, bytes('abc'));
    await b.world.runAsync(1);
    soseterror(b.proc.files.get(y)!.so, 'ECONNRESET');
    await b.world.runAsync(1);
    expect(all.answer).toBe(3);
    expect(await b.proc.recv(y, new Uint8Array(9))).toBe('ECONNRESET');
    const more = track(b, b.proc.recv(y, new Uint8Array(9), MSG_WAITALL));
    await b.proc.send(x, bytes('de'));
    b.proc.shutdown(x, 'wr');
    await b.world.runAsync(1);
    expect(more.answer).toBe(2);
  });

  it('waits for the low-water mark, or less if it asked for less', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    b.proc.setsockopt(y, SOL_SOCKET, SO_RCVLOWAT, 5);
    const call = track(b, b.proc.recv(y, new Uint8Array(10)));
    await b.proc.send(x, bytes('abc'));
    await b.world.runAsync(1);
    expect(call.answer).toBe('waits');
    await b.proc.send(x, bytes('de'));
    await b.world.runAsync(1);
    expect(call.answer).toBe(5);
    await b.proc.send(x, bytes('xy'));
    await b.world.runAsync(1);
    expect(await b.proc.recv(y, new Uint8Array(2))).toBe(2);
  });

  it('SO_RCVTIMEO: EAGAIN after the time, or what has come by then', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    b.proc.setsockopt(y, SOL_SOCKET, SO_RCVTIMEO, 250);
    const call = track(b, b.proc.recv(y, new Uint8Array(10)));
    await b.world.runAsync(240);
    expect(call.answer).toBe('waits');
    await b.world.runAsync(20);
    expect(call).toMatchObject({ answer: 'EAGAIN' });
    expect(Math.round(call.atMs)).toBe(250);
    const all = track(b, b.proc.recv(y, new Uint8Array(10), MSG_WAITALL));
    const behind = track(b, b.proc.recvfrom(y, new Uint8Array(10)));
    await b.proc.send(x, bytes('abc'));
    await b.world.runAsync(300);
    expect([all.answer, behind.answer]).toEqual([3, 'EAGAIN']);
    const srv = server(b);
    b.proc.setsockopt(srv, SOL_SOCKET, SO_RCVTIMEO, 100);
    const accept = track(b, b.proc.accept(srv));
    await b.world.runAsync(101);
    expect(accept.answer).toBe('EAGAIN');
    expect(b.kernel.callouts.count()).toBe(0);
  });

  it('recvfrom waits for a message and its sender; urgent data is never waited for', async () => {
    const b = procBench();
    const [x, y] = [1, 2].map(() => ok(b.proc.socket(AF_LOCAL, SOCK_DGRAM))) as [number, number];
    b.proc.bind(x, local('x'));
    b.proc.bind(y, local('y'));
    const call = track(b, b.proc.recvfrom(y, new Uint8Array(10)));
    await b.proc.sendto(x, bytes('msg'), 0, local('y'));
    await b.world.runAsync(1);
    expect(call.answer).toMatchObject({ n: 3, from: local('x'), truncated: false });
    expect(b.proc.recv(streams(b)[0], new Uint8Array(1), MSG_OOB)).toBe('EOPNOTSUPP');
  });

  it('peeking waits too, and leaves the bytes', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const call = track(b, b.proc.recv(y, new Uint8Array(9), MSG_PEEK | MSG_WAITALL));
    await b.proc.send(x, bytes('abc'));
    await b.world.runAsync(1);
    expect(call.answer).toBe(3);
    expect(await b.proc.recv(y, new Uint8Array(9))).toBe(3);
  });
});

describe('send', () => {
  it('of a stream takes all of it, as fast as the reader reads', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const data = pattern(500_000);
    const call = track(b, b.proc.send(x, data));
    const got = new Uint8Array(500_000);
    let at = 0;
    while (at < got.length) {
      expect(call.answer === 'waits' || at > 300_000).toBe(true);
      const n = b.proc.recv(y, got.subarray(at, at + 20_000));
      await b.world.runAsync(1);
      at += ok((await n) as number);
    }
    await b.world.runAsync(1);
    expect(call.answer).toBe(500_000);
    expect(Buffer.compare(got, data)).toBe(0);
  });

  it('SO_SNDTIMEO: what was taken by then, or EAGAIN', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    b.proc.setsockopt(y, SOL_SOCKET, SO_RCVBUF, 1000);
    b.proc.setsockopt(x, SOL_SOCKET, SO_SNDTIMEO, 100);
    const call = track(b, b.proc.send(x, pattern(200_000)));
    await b.world.runAsync(101);
    // A thousand went on to the reader; the room they left is below the low-water mark.
    expect(call.answer).toBe(65536);
    const again = track(b, b.proc.send(x, pattern(5000)));
    await b.world.runAsync(101);
    expect(again.answer).toBe('EAGAIN');
  });

  it('that waits gets EPIPE when sending is over', async () => {
    const b = procBench();
    const [x] = streams(b);
    const call = track(b, b.proc.send(x, pattern(200_000)));
    await b.world.runAsync(1);
    expect(call.answer).toBe('waits');
    b.proc.shutdown(x, 'wr');
    await b.world.runAsync(1);
    expect(call.answer).toBe('EPIPE');
  });

  it('of a message waits for room for all of it', async () => {
    const b = procBench();
    const [x, y] = ok(b.proc.socketpair(AF_LOCAL, SOCK_SEQPACKET));
    let calls = [];
    for (let i = 0; i < 8; i++) calls.push(track(b, b.proc.send(x, pattern(20_000, i))));
    await b.world.runAsync(1);
    expect(calls.map((c) => c.answer)).toEqual([20000, 20000, 20000, 20000, 20000, 20000, 'waits', 'waits']);
    const buf = new Uint8Array(30_000);
    for (let i = 0; i < 8; i++) {
      expect(await b.proc.recv(y, buf)).toBe(20_000);
      expect(buf.subarray(0, 20_000)).toEqual(pattern(20_000, i));
      await b.world.runAsync(1);
    }
    calls = calls.slice(6);
    expect(calls.map((c) => c.answer)).toEqual([20000, 20000]);
  });
});

describe('close', () => {
  it('wakes what is blocked on the descriptor with EBADF, and only that', async () => {
    const b = procBench();
    const [x] = streams(b);
    const [p] = streams(b);
    const srv = server(b);
    const calls = [
      track(b, b.proc.recv(x, new Uint8Array(1))),
      track(b, b.proc.send(x, pattern(200_000))),
      track(b, b.proc.accept(srv)),
    ];
    const other = track(b, b.proc.recv(p, new Uint8Array(1)));
    await b.world.runAsync(1);
    expect(b.proc.close(x)).toBeNull();
    expect(b.proc.close(srv)).toBeNull();
    await b.world.runAsync(1);
    expect(calls.map((c) => c.answer)).toEqual(['EBADF', 'EBADF', 'EBADF']);
    expect(other.answer).toBe('waits');
  });

  it('lingers until the peer has everything', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    b.proc.setsockopt(y, SOL_SOCKET, SO_RCVBUF, 1000);
    b.proc.setsockopt(x, SOL_SOCKET, SO_LINGER, { onoff: 1, linger: 5 });
    await b.proc.send(x, pattern(3000));
    const call = track(b, b.proc.close(x));
    expect(b.proc.close(x)).toBe('EBADF');
    await b.world.runAsync(1000);
    expect(call.answer).toBe('waits');
    expect(await b.proc.recv(y, new Uint8Array(2000))).toBe(1000);
    await b.world.runAsync(1);
    expect(await b.proc.recv(y, new Uint8Array(2000))).toBe(1000);
    await b.world.runAsync(1);
    expect(call.answer).toBeNull();
    expect(b.kernel.callouts.count()).toBe(0);
  });

  it('lingers no longer than asked, and the bytes still arrive', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    b.proc.setsockopt(y, SOL_SOCKET, SO_RCVBUF, 1000);
    b.proc.setsockopt(x, SOL_SOCKET, SO_LINGER, { onoff: 1, linger: 2 });
    await b.proc.send(x, pattern(3000));
    const call = track(b, b.proc.close(x));
    await b.world.runAsync(1999);
    expect(call.answer).toBe('waits');
    await b.world.runAsync(2);
    expect(call.answer).toBe('EAGAIN');
    let got = 0;
    for (let i = 0; i < 3; i++) {
      got += ok((await b.proc.recv(y, new Uint8Array(2000))) as number);
      await b.world.runAsync(1);
    }
    expect(got).toBe(3000);
    expect(await b.proc.recv(y, new Uint8Array(1))).toBe(0);
  });
});

describe('receive, at its edges', () => {
  it('wakes who wants less than the low-water mark, also for the rest of MSG_WAITALL', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    b.proc.setsockopt(y, SOL_SOCKET, SO_RCVLOWAT, 100);
    const little = track(b, b.proc.recv(y, new Uint8Array(2)));
    const all = track(b, b.proc.recv(y, new Uint8Array(205), MSG_WAITALL));
    for (const n of [2, 200, 5]) {
      await b.world.runAsync(1);
      await b.proc.send(x, pattern(n));
    }
    await b.world.runAsync(1);
    expect([little.answer, all.answer]).toEqual([2, 205]);
  });

  it('of nothing does not wait, and takes nothing', async () => {
    const b = procBench();
    const [, y] = streams(b);
    expect(await b.proc.recv(y, new Uint8Array(0))).toBe(0);
    const [, q] = ok(b.proc.socketpair(AF_LOCAL, SOCK_DGRAM));
    expect(await b.proc.recvfrom(q, new Uint8Array(0))).toMatchObject({ n: 0, from: null });
  });

  it('and send say EFAULT when their buffer is taken away meanwhile; no byte is lost', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const [into, from] = [new Uint8Array(10), pattern(200_000)];
    const calls = [track(b, b.proc.recv(y, into)), track(b, b.proc.send(y, from))];
    await b.world.runAsync(1);
    for (const { buffer } of [into, from]) structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    await b.proc.send(x, bytes('hi'));
    void b.proc.recv(x, new Uint8Array(60_000));
    await b.world.runAsync(1);
    expect(calls.map((c) => c.answer)).toEqual(['EFAULT', 'EFAULT']);
    expect(await b.proc.recv(y, new Uint8Array(5))).toBe(2);
  });
});
