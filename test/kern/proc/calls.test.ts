/** System calls on descriptors: numbers, flags, and the errors of bad arguments. */
import { describe, expect, it } from 'vitest';
import { Proc } from '../../../src/kern/proc/proc.ts';
import { F_GETFL, F_SETFL, O_NONBLOCK, O_RDWR, PROC_SYSCALLS, SOCK_NONBLOCK } from '../../../src/kern/proc/syscalls.ts';
import { MSG_DONTWAIT, MSG_PEEK } from '../../../src/kern/socket/sendrecv.ts';
import { AF_INET, AF_LOCAL, SOCK_DGRAM, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { FIONBIO, FIONREAD } from '../../../src/kern/socket/soioctl.ts';
import { SOL_SOCKET, SO_RCVBUF, SO_TYPE } from '../../../src/kern/socket/soconst.ts';
import { bytes, local, ok, text } from '../socket/support.ts';
import { procBench, server, streams } from './support.ts';

const NB = SOCK_STREAM | SOCK_NONBLOCK;

describe('descriptors', () => {
  it('are the lowest free numbers', () => {
    const { proc } = procBench();
    const open = (): unknown => proc.socket(AF_LOCAL, SOCK_STREAM);
    expect([open(), open(), open(), open()]).toEqual([0, 1, 2, 3]);
    expect([proc.close(2), proc.close(0)]).toEqual([null, null]);
    expect([open(), open(), open()]).toEqual([0, 2, 4]);
    expect(proc.close(99)).toBe('EBADF');
  });

  it('are limited: EMFILE, and a connection then stays in the queue', async () => {
    const b = procBench();
    const { proc } = b;
    proc.maxFiles = 3;
    const srv = server(b);
    const client = ok(proc.socket(AF_LOCAL, SOCK_STREAM));
    expect(await proc.connect(client, local('srv'))).toBeNull();
    const third = ok(proc.socket(AF_LOCAL, SOCK_STREAM));
    expect(proc.socket(AF_LOCAL, SOCK_STREAM)).toBe('EMFILE');
    expect(proc.socketpair(AF_LOCAL, SOCK_STREAM)).toBe('EMFILE');
    expect(await proc.accept(srv)).toBe('EMFILE');
    void proc.close(third);
    expect(await proc.accept(srv)).toBe(third);
    b.kernel.sysctl.write('kern.maxfilesperproc', 16);
    proc.maxFiles = 100;
    while (typeof proc.socket(AF_LOCAL, SOCK_STREAM) === 'number');
    expect(proc.files.count()).toBe(16);
  });

  it('of one process are not another’s', () => {
    const { kernel, proc } = procBench();
    const fd = ok(proc.socket(AF_LOCAL, SOCK_STREAM));
    expect(new Proc(kernel).close(fd)).toBe('EBADF');
  });

  it('are closed by exit, and none is given after it', async () => {
    const b = procBench();
    const { proc } = b;
    const [x] = streams(b);
    const blocked = proc.recv(x, new Uint8Array(1));
    server(b);
    proc.exit();
    expect(await blocked).toBe('EBADF');
    expect(proc.files.count()).toBe(0);
    expect(proc.socket(AF_LOCAL, SOCK_STREAM)).toBe('EMFILE');
    b.world.run(1);
    const { created, closed } = b.kernel.domains.counters;
    expect(created - closed).toBe(0);
    expect(b.kernel.bufpool.used).toBe(0);
  });
});

describe('every call', () => {
  it('is in the table by name', () => {
    const { kernel, proc } = procBench();
    for (const name of Object.keys(PROC_SYSCALLS)) expect(kernel.syscalls.has(name)).toBe(true);
    expect(proc.call('nosuch')).toBe('ENOSYS');
    expect(proc.call('setfib', 0)).toBe('ENOSYS');
  });

  it('says EBADF for a bad descriptor', () => {
    const { proc } = procBench();
    const one = new Uint8Array(1);
    const args: Record<string, unknown[]> = { sendto: [one, 0, null], send: [one], recv: [one], recvfrom: [one] };
    for (const name of Object.keys(PROC_SYSCALLS)) {
      if (['socket', 'socketpair', 'poll', 'uuidgen'].includes(name)) continue;
      for (const fd of [-1, 7, 1.5, NaN, undefined, 'x'])
        expect([name, proc.call(name, fd, ...(args[name] ?? []))]).toEqual([name, 'EBADF']);
    }
  });

  it('says what is wrong with other arguments', () => {
    const { proc } = procBench();
    const fd = ok(proc.socket(AF_LOCAL, NB));
    expect(proc.call('send', fd, 'text')).toBe('EFAULT');
    expect(proc.call('recv', fd, null)).toBe('EFAULT');
    expect(proc.call('recvfrom', fd, [])).toBe('EFAULT');
    expect(proc.call('bind', fd, 'path')).toBe('EFAULT');
    expect(proc.call('connect', fd, null)).toBe('EFAULT');
    expect(proc.call('shutdown', fd, 3)).toBe('EINVAL');
    expect(proc.call('poll', null, 0)).toBe('EINVAL');
    expect(proc.call('fcntl', fd, 99, 0)).toBe('EINVAL');
    expect(proc.socket(AF_INET, SOCK_STREAM)).toBe('EAFNOSUPPORT');
    expect(proc.socket(AF_LOCAL, 77)).toBe('EPROTOTYPE');
    expect(proc.uuidgen(0)).toBe('EINVAL');
    expect(ok(proc.uuidgen(2))).toHaveLength(2);
  });
});

describe('non-blocking descriptors', () => {
  it('answer at once', () => {
    const b = procBench();
    const { proc, world } = b;
    const srv = ok(proc.socket(AF_LOCAL, NB));
    proc.bind(srv, local('srv'));
    proc.listen(srv, 5);
    expect(proc.accept(srv)).toBe('EAGAIN');
    const client = ok(proc.socket(AF_LOCAL, NB));
    const buf = new Uint8Array(10);
    expect(proc.recv(client, buf)).toBe('ENOTCONN');
    expect(proc.send(client, buf)).toBe('ENOTCONN');
    expect(proc.connect(client, local('srv'))).toBeNull();
    const fd = proc.accept(srv) as number;
    expect(proc.fcntl(fd, F_GETFL)).toBe(O_RDWR | O_NONBLOCK);
    expect(proc.recv(fd, buf)).toBe('EAGAIN');
    expect(proc.send(client, bytes('hello'))).toBe(5);
    world.run(1);
    expect(proc.recv(fd, buf, MSG_PEEK)).toBe(5);
    expect(proc.recv(fd, buf)).toBe(5);
    expect(text(buf.subarray(0, 5))).toBe('hello');
    expect(proc.getpeername(client)).toEqual(local('srv'));
    expect(proc.getsockname(srv)).toEqual(local('srv'));
    expect(proc.getpeername(srv)).toBe('ENOTCONN');
    expect(proc.sendto(fd, buf, 0, local('x'))).toBe('EISCONN');
    expect(proc.shutdown(client, 'wr')).toBeNull();
    world.run(1);
    expect(proc.recv(fd, buf)).toBe(0);
    expect(proc.close(fd)).toBeNull();
  });

  it('are made so by fcntl, ioctl, a flag of socket, or for one call', () => {
    const b = procBench();
    const { proc } = b;
    const [x] = streams(b);
    const buf = new Uint8Array(1);
    expect(proc.recv(x, buf, MSG_DONTWAIT)).toBe('EAGAIN');
    expect(proc.fcntl(x, F_GETFL)).toBe(O_RDWR);
    expect(proc.fcntl(x, F_SETFL, O_NONBLOCK)).toBe(0);
    expect(proc.recv(x, buf)).toBe('EAGAIN');
    expect(proc.ioctl(x, FIONBIO, { value: 0 })).toBeNull();
    expect(proc.fcntl(x, F_GETFL)).toBe(O_RDWR);
    expect(proc.fcntl(ok(proc.socket(AF_LOCAL, NB)), F_GETFL)).toBe(O_RDWR | O_NONBLOCK);
  });
});

describe('options, ioctl, messages', () => {
  it('go through to the socket', () => {
    const { proc } = procBench();
    const [x, y] = ok(proc.socketpair(AF_LOCAL, SOCK_DGRAM));
    expect(proc.getsockopt(x, SOL_SOCKET, SO_TYPE)).toEqual({ value: SOCK_DGRAM });
    expect(proc.setsockopt(x, SOL_SOCKET, SO_RCVBUF, 9999)).toBeNull();
    expect(proc.getsockopt(x, SOL_SOCKET, SO_RCVBUF)).toEqual({ value: 9999 });
    expect(proc.getsockopt(x, SOL_SOCKET, 0x7777)).toBe('ENOPROTOOPT');
    expect(proc.send(x, bytes('message'), MSG_DONTWAIT)).toBe(7);
    const data = { value: 0 };
    expect(proc.ioctl(y, FIONREAD, data)).toBeNull();
    expect(data.value).toBe(7);
    expect(proc.recvfrom(y, new Uint8Array(4), MSG_DONTWAIT)).toMatchObject({ n: 4, truncated: true, from: local('') });
    expect(proc.recvfrom(y, new Uint8Array(4), MSG_DONTWAIT)).toBe('EAGAIN');
  });
});
