import { describe, expect, it, vi } from 'vitest';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDHUP } from '../../../src/kern/socket/calls.ts';
import { MSG_DONTWAIT } from '../../../src/kern/socket/sendrecv.ts';
import { AF_LOCAL, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { soseterror } from '../../../src/kern/socket/upcalls.ts';
import { bytes, local, ok, pattern } from '../socket/support.ts';
import { procBench, server, streams, track } from './support.ts';

describe('poll', () => {
  it('tells at once what holds now', () => {
    const b = procBench();
    const [x, y] = streams(b);
    const fds = [
      { fd: x, events: POLLIN | POLLOUT },
      { fd: y, events: POLLIN },
      { fd: 99, events: POLLIN },
      { fd: -1, events: POLLIN },
    ];
    expect(b.proc.poll(fds, 0)).toBe(2);
    expect(fds).toMatchObject([{ revents: POLLOUT }, { revents: 0 }, { revents: POLLNVAL }, { revents: 0 }]);
  });

  it('waits for the first of several, then has forgotten them all', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const srv = server(b);
    const fds = [
      { fd: srv, events: POLLIN },
      { fd: y, events: POLLIN },
    ];
    const call = track(b, b.proc.poll(fds, -1));
    await b.world.runAsync(1000);
    expect(call.answer).toBe('waits');
    await b.proc.send(x, bytes('a'));
    await b.world.runAsync(1);
    expect(call.answer).toBe(1);
    expect(fds).toMatchObject([{ revents: 0 }, { revents: POLLIN }]);
    for (const fd of [srv, y]) expect(b.proc.files.get(fd)?.pollers.size).toBe(0);
    const again = track(b, b.proc.poll(fds, 500));
    await b.world.runAsync(1);
    expect(again.answer).toBe(1);
  });

  it('looks at the others only when a descriptor has something', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const [, z] = streams(b);
    const fds = [{ fd: y, events: POLLRDHUP }, ...Array.from({ length: 1000 }, () => ({ fd: z, events: POLLIN }))];
    const call = track(b, b.proc.poll(fds, -1));
    const lookups = vi.spyOn(b.proc.files, 'get');
    for (let i = 0; i < 50; i++) {
      await b.proc.send(x, bytes('a'));
      await b.world.runAsync(1);
    }
    expect(lookups.mock.calls.length).toBeLessThan(200);
    expect(call.answer).toBe('waits');
    b.proc.shutdown(x, 'wr');
    await b.world.runAsync(1);
    expect(call.answer).toBe(1);
    expect(b.proc.files.get(z)?.pollers.size).toBe(0);
  });

  it('a listening descriptor is readable with a connection', async () => {
    const b = procBench();
    const srv = server(b);
    const fds = [{ fd: srv, events: POLLIN | POLLOUT }];
    const call = track(b, b.proc.poll(fds, -1));
    await b.world.runAsync(1);
    expect(call.answer).toBe('waits');
    await b.proc.connect(ok(b.proc.socket(AF_LOCAL, SOCK_STREAM)), local('srv'));
    await b.world.runAsync(1);
    expect(fds).toMatchObject([{ revents: POLLIN }]);
  });

  it('answers 0 when the time is over', async () => {
    const b = procBench();
    const [, y] = streams(b);
    const call = track(b, b.proc.poll([{ fd: y, events: POLLIN }], 300));
    const idle = track(b, b.proc.poll([], 100));
    await b.world.runAsync(301);
    expect([call.answer, Math.round(call.atMs)]).toEqual([0, 300]);
    expect([idle.answer, Math.round(idle.atMs)]).toEqual([0, 100]);
    expect(b.proc.files.get(y)?.pollers.size).toBe(0);
    expect(b.kernel.callouts.count()).toBe(0);
  });

  it('room to write', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    while (b.proc.send(x, pattern(50_000), MSG_DONTWAIT) !== 'EAGAIN') b.world.run(1);
    const call = track(b, b.proc.poll([{ fd: x, events: POLLOUT }], -1));
    await b.world.runAsync(1);
    expect(call.answer).toBe('waits');
    void b.proc.recv(y, new Uint8Array(60_000), MSG_DONTWAIT);
    await b.world.runAsync(1);
    expect(call.answer).toBe(1);
  });

  it('half closed, hung up, failed, closed under it', async () => {
    const b = procBench();
    const [x, y] = streams(b);
    const fds = [{ fd: y, events: POLLRDHUP, revents: 0 }];
    const half = track(b, b.proc.poll(fds, -1));
    b.proc.shutdown(x, 'wr');
    await b.world.runAsync(1);
    expect([half.answer, fds[0]?.revents]).toEqual([1, POLLRDHUP]);
    fds[0] = { fd: y, events: 0, revents: 0 };
    const hup = track(b, b.proc.poll(fds, -1));
    await b.world.runAsync(1);
    expect(hup.answer).toBe('waits');
    void b.proc.close(x);
    await b.world.runAsync(1);
    expect([hup.answer, fds[0].revents]).toEqual([1, POLLHUP]);

    const [p] = streams(b);
    fds[0] = { fd: p, events: 0, revents: 0 };
    const failed = track(b, b.proc.poll(fds, -1));
    soseterror(b.proc.files.get(p)!.so, 'ETIMEDOUT');
    await b.world.runAsync(1);
    expect([failed.answer, fds[0].revents]).toEqual([1, POLLERR]);

    const [q] = streams(b);
    fds[0] = { fd: q, events: POLLIN, revents: 0 };
    const gone = track(b, b.proc.poll(fds, -1));
    void b.proc.close(q);
    await b.world.runAsync(1);
    expect([gone.answer, fds[0].revents]).toEqual([1, POLLNVAL]);
  });
});
