/** Arguments of system calls come from anyone: whatever they are, a call answers, and no descriptor is lost by it. */
import { describe, expect, it } from 'vitest';
import { PROC_SYSCALLS, SOCK_NONBLOCK } from '../../../src/kern/proc/syscalls.ts';
import { AF_LOCAL, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from '../../../src/kern/socket/protosw.ts';
import { FIONBIO, FIONREAD } from '../../../src/kern/socket/soioctl.ts';
import {
  SOL_SOCKET,
  SO_ACCEPTFILTER,
  SO_LINGER,
  SO_RCVBUF,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_USER_COOKIE,
} from '../../../src/kern/socket/soconst.ts';
import { local, ok } from '../socket/support.ts';
import { procBench } from './support.ts';

const boom = (): never => {
  throw new Error('boom');
};
const getter = Object.defineProperty({}, 'kind', { enumerable: true, get: boom });
const thrower = new Proxy({}, { get: boom, has: boom, ownKeys: boom });

const VALUES: readonly unknown[] = [
  ...[undefined, null, NaN, Infinity, -Infinity, -1, -0, 0, 1, 2, 3, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, 1n, true],
  ...['', 'x', 'length', '0', '__proto__', Symbol('s'), boom],
  ...[{}, [], [null], [0], getter, thrower, [thrower], new Uint8Array(3), new Uint16Array(2), new ArrayBuffer(3)],
  ...[{ kind: 'local' }, { kind: 'local', path: 5 }, { kind: 'inet' }, { kind: 'inet', addr: null, port: 'x' }],
  ...[{ name: 1 }, Object.freeze({ value: 0 }), { onoff: 1, linger: NaN }],
  ...[[{ fd: 0 }], [{}], [{ fd: 0, events: 1n }], [Object.freeze({ fd: 1, events: 1 })]],
];
const OPTIONS = [SO_LINGER, SO_ACCEPTFILTER, SO_RCVBUF, SO_RCVTIMEO, SO_REUSEADDR, SO_USER_COOKIE];

/** Lists of arguments with a bad one, two bad ones, or a bad one behind good ones. */
function* argumentLists(): Generator<unknown[]> {
  for (const v of VALUES) {
    for (const rest of [[], [0], [1]]) yield [v, ...rest];
    for (const fd of [0, 1, 2]) {
      yield [fd, v];
      for (const cmd of [FIONREAD, FIONBIO]) yield [fd, cmd, v];
      for (const option of OPTIONS) yield [fd, SOL_SOCKET, option, v];
      for (const w of VALUES) for (const mid of [[], [new Uint8Array(2)], [SOL_SOCKET]]) yield [fd, ...mid, v, w];
    }
  }
}

describe('bad arguments', () => {
  it.each(Object.keys(PROC_SYSCALLS))('of %s', async (name) => {
    const { kernel, proc } = procBench();
    const fill = (): void => {
      for (const type of [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET])
        if (proc.files.count() < 3) proc.call('socket', AF_LOCAL, type | SOCK_NONBLOCK, 0);
    };
    for (const args of argumentLists()) {
      fill();
      const before = proc.files.count();
      const answer = proc.call(name, ...args);
      if (answer instanceof Promise) answer.catch(boom);
      expect(proc.files.count() - before).toBeGreaterThanOrEqual(-1);
      if (proc.files.count() > 50) for (const [fd] of proc.files.entries()) void proc.close(fd);
    }
    proc.exit();
    expect(proc.files.count()).toBe(0);
    const { created, closed } = kernel.domains.counters;
    expect(created - closed).toBe(0);
  });

  it('are not taken for descriptors: the table is as it was', () => {
    const { proc } = procBench();
    for (let i = 0; i < 3; i++) ok(proc.socket(AF_LOCAL, SOCK_STREAM));
    for (const fd of ['length', '0', [0], true, 'push']) expect(proc.call('close', fd)).toBe('EBADF');
    expect(proc.files.entries().map(([fd]) => fd)).toEqual([0, 1, 2]);
  });

  it('in addresses, flags and entries of poll have their errors', () => {
    const { proc } = procBench();
    const fd = ok(proc.socket(AF_LOCAL, SOCK_STREAM | SOCK_NONBLOCK));
    expect(proc.call('bind', fd, { kind: 'local' })).toBe('EFAULT');
    expect(proc.call('bind', fd, getter)).toBe('EFAULT');
    expect(proc.call('connect', fd, { kind: 'inet', addr: { w0: 0, w1: 0, w2: 0, w3: 'x', zone: 0 }, port: 1 })).toBe('EINVAL');
    expect(proc.call('socket', AF_LOCAL, 1.5)).toBe('EINVAL');
    expect(proc.call('listen', fd, 'many')).toBe('EINVAL');
    expect(proc.call('recv', fd, new Uint8Array(1), 0.5)).toBe('EINVAL');
    expect(proc.call('ioctl', fd, FIONREAD, Object.freeze({ value: 5 }))).toBe('EFAULT');
    expect(proc.call('poll', [{ fd, events: 'in' }], 0)).toBe('EINVAL');
    expect(proc.call('poll', [null], 0)).toBe('EFAULT');
    expect(proc.call('poll', [{ fd, events: 0 }], NaN)).toBe('EINVAL');
    expect(proc.call('poll', new Array(70_000).fill({ fd, events: 0 }), 0)).toBe('EINVAL');
    const path = { kind: 'local', path: 'a' };
    expect(proc.call('bind', fd, path)).toBeNull();
    path.path = 'b';
    expect(proc.getsockname(fd)).toEqual(local('a'));
  });
});
