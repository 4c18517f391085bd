import { sosndbuf, sosndlimits } from '../../../src/kern/socket/sobuf.ts';
import { describe, expect, it } from 'vitest';
import { solisten } from '../../../src/kern/socket/calls.ts';
import * as opt from '../../../src/kern/socket/sockopt.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { soseterror } from '../../../src/kern/socket/upcalls.ts';
import { AF_FAKE, bench, fakeSocket, localSocket, watch } from './support.ts';

const set = (so: Socket, name: number, value: unknown, level = opt.SOL_SOCKET): unknown =>
  opt.sosetopt(so, { dir: 'set', level, name, value });

function get(so: Socket, name: number, level = opt.SOL_SOCKET): unknown {
  const sopt = { dir: 'get' as const, level, name, value: 'unset' as unknown };
  return opt.sogetopt(so, sopt) ?? { value: sopt.value };
}

describe('options of SOL_SOCKET', () => {
  it('flags go on and off', () => {
    const so = fakeSocket(bench());
    for (const flag of [
      opt.SO_DEBUG,
      opt.SO_REUSEADDR,
      opt.SO_KEEPALIVE,
      opt.SO_DONTROUTE,
      opt.SO_BROADCAST,
      opt.SO_USELOOPBACK,
      opt.SO_OOBINLINE,
      opt.SO_REUSEPORT,
      opt.SO_REUSEPORT_LB,
      opt.SO_TIMESTAMP,
      opt.SO_NOSIGPIPE,
    ]) {
      expect(get(so, flag)).toEqual({ value: 0 });
      expect(set(so, flag, true)).toBeNull();
      expect(so.options).toBe(flag);
      expect(get(so, flag)).toEqual({ value: 1 });
      expect(set(so, flag, 0)).toBeNull();
      expect(so.options).toBe(0);
      expect(set(so, flag, 'yes')).toBe('EINVAL');
    }
  });

  it('linger has a flag and seconds', () => {
    const so = fakeSocket(bench());
    expect(set(so, opt.SO_LINGER, { onoff: 1, linger: 30 })).toBeNull();
    expect(get(so, opt.SO_LINGER)).toEqual({ value: { onoff: true, linger: 30 } });
    expect(set(so, opt.SO_LINGER, { onoff: 1, linger: -1 })).toBe('EDOM');
    expect(set(so, opt.SO_LINGER, { onoff: 1, linger: 70000 })).toBe('EDOM');
    expect(set(so, opt.SO_LINGER, 5)).toBe('EINVAL');
    expect(set(so, opt.SO_LINGER, { onoff: false, linger: 0 })).toBeNull();
    expect(so.options).toBe(0);
  });

  it('buffers have a largest size; low-water marks stay within them', () => {
    const b = bench();
    const so = fakeSocket(b);
    expect(set(so, opt.SO_SNDBUF, 100000)).toBeNull();
    expect(get(so, opt.SO_SNDBUF)).toEqual({ value: 100000 });
    expect(set(so, opt.SO_SNDBUF, 1000)).toBeNull();
    expect(get(so, opt.SO_SNDLOWAT)).toEqual({ value: 1000 });
    expect(set(so, opt.SO_RCVLOWAT, 1e6)).toBeNull();
    expect(get(so, opt.SO_RCVLOWAT)).toEqual({ value: 65536 });
    expect(get(so, opt.SO_RCVBUF)).toEqual({ value: 65536 });
    for (const name of [opt.SO_SNDBUF, opt.SO_RCVBUF, opt.SO_SNDLOWAT, opt.SO_RCVLOWAT]) {
      for (const bad of [0, -1, 1.5, 'x', null]) expect(set(so, name, bad)).toBe('EINVAL');
    }
    b.kernel.sysctl.write('kern.ipc.maxsockbuf', 50000);
    expect(set(so, opt.SO_RCVBUF, 50001)).toBe('ENOBUFS');
  });

  it('more room wakes the writer', () => {
    const so = fakeSocket(bench());
    so.state |= 0x2;
    sosndlimits(so, 2000, so.snd.lowat);
    sosndbuf(so).append(new Uint8Array(2000), 0, 2000);
    const seen = watch(so);
    set(so, opt.SO_SNDBUF, 3000);
    expect(seen.log).toEqual([]);
    set(so, opt.SO_SNDLOWAT, 1000);
    expect(seen.log).toEqual(['writable']);
  });

  it('timeouts are milliseconds', () => {
    const so = fakeSocket(bench());
    expect(get(so, opt.SO_RCVTIMEO)).toEqual({ value: 0 });
    expect(set(so, opt.SO_RCVTIMEO, 250)).toBeNull();
    expect(set(so, opt.SO_SNDTIMEO, 500)).toBeNull();
    expect([get(so, opt.SO_RCVTIMEO), get(so, opt.SO_SNDTIMEO)]).toEqual([{ value: 250 }, { value: 500 }]);
    for (const bad of [-1, Infinity, NaN, 'x']) expect(set(so, opt.SO_SNDTIMEO, bad)).toBe('EDOM');
  });

  it('what a socket is can be read and not be written', () => {
    const so = fakeSocket(bench());
    expect(get(so, opt.SO_TYPE)).toEqual({ value: 1 });
    expect(get(so, opt.SO_PROTOCOL)).toEqual({ value: 6 });
    expect(get(so, opt.SO_DOMAIN)).toEqual({ value: AF_FAKE });
    for (const name of [opt.SO_TYPE, opt.SO_PROTOCOL, opt.SO_DOMAIN, opt.SO_ERROR, opt.SO_ACCEPTCONN, opt.SO_LISTENQLEN]) {
      expect(set(so, name, 1)).toBe('ENOPROTOOPT');
    }
  });

  it('SO_ERROR is taken by reading it', () => {
    const so = fakeSocket(bench());
    soseterror(so, 'ECONNRESET');
    expect(get(so, opt.SO_ERROR)).toEqual({ value: 'ECONNRESET' });
    expect(get(so, opt.SO_ERROR)).toEqual({ value: null });
  });

  it('a cookie is any 32 bits', () => {
    const so = fakeSocket(bench());
    expect(set(so, opt.SO_USER_COOKIE, 0xffffffff)).toBeNull();
    expect(get(so, opt.SO_USER_COOKIE)).toEqual({ value: 0xffffffff });
  });

  it('an unknown one is ENOPROTOOPT', () => {
    const so = fakeSocket(bench());
    expect(set(so, 0x7777, 1)).toBe('ENOPROTOOPT');
    expect(get(so, 0x7777)).toBe('ENOPROTOOPT');
  });
});

describe('the protocol', () => {
  it('hears of every option that was set, whatever it answers', () => {
    const b = bench();
    const so = fakeSocket(b);
    set(so, opt.SO_KEEPALIVE, 1);
    set(so, opt.SO_RCVBUF, -1);
    expect(b.fake.opts.map(({ name }) => name)).toEqual([opt.SO_KEEPALIVE]);
  });

  it('answers other levels itself', () => {
    const b = bench();
    const so = fakeSocket(b);
    expect(set(so, 1, 1, 6)).toBe('ENOPROTOOPT');
    expect(get(so, 1, 6)).toBe('ENOPROTOOPT');
    expect(b.fake.opts).toHaveLength(2);
  });

  it('decides on SO_SETFIB: ENOPROTOOPT where it has no routing tables', () => {
    const b = bench();
    expect(set(localSocket(b), opt.SO_SETFIB, 0)).toBe('ENOPROTOOPT');
    const so = fakeSocket(b);
    const sopt = { dir: 'set' as const, level: opt.SOL_SOCKET, name: opt.SO_SETFIB };
    expect(opt.sosetfib(so, { ...sopt, value: 0 })).toBeNull();
    expect(opt.sosetfib(so, { ...sopt, value: 1 })).toBe('EINVAL');
    expect(opt.sosetfib(so, { ...sopt, value: 'x' })).toBe('EINVAL');
    expect(opt.sosetfib(so, { ...sopt, name: 4, value: 0 })).toBe('ENOPROTOOPT');
    expect(get(so, opt.SO_SETFIB)).toEqual({ value: 0 });
  });
});

describe('SO_ACCEPTFILTER', () => {
  it('has the errors of accept_filter(9)', () => {
    const so = fakeSocket(bench());
    expect(set(so, opt.SO_ACCEPTFILTER, { name: 'dataready' })).toBe('EINVAL');
    expect(set(so, opt.SO_ACCEPTFILTER, null)).toBe('EINVAL');
    expect(get(so, opt.SO_ACCEPTFILTER)).toBe('EINVAL');
    solisten(so, 5);
    expect(get(so, opt.SO_ACCEPTFILTER)).toBe('EINVAL');
    expect(set(so, opt.SO_ACCEPTFILTER, { name: 'nosuch' })).toBe('ENOENT');
    expect(set(so, opt.SO_ACCEPTFILTER, { name: 'x'.repeat(16) })).toBe('EINVAL');
    expect(set(so, opt.SO_ACCEPTFILTER, 'dataready')).toBe('EINVAL');
    expect(set(so, opt.SO_ACCEPTFILTER, { name: 'dataready', arg: 'a' })).toBeNull();
    expect(get(so, opt.SO_ACCEPTFILTER)).toEqual({ value: { name: 'dataready', arg: 'a' } });
    expect(set(so, opt.SO_ACCEPTFILTER, { name: 'httpready' })).toBe('EINVAL');
    expect(set(so, opt.SO_ACCEPTFILTER, null)).toBeNull();
    expect(get(so, opt.SO_ACCEPTFILTER)).toBe('EINVAL');
    expect(set(so, opt.SO_ACCEPTFILTER, { name: 'httpready' })).toBeNull();
  });
});
