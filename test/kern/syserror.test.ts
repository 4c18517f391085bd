import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ERRNO, type Errno, isErrno } from '../../src/kern/errno.ts';
import { hostErrno } from '../../src/kern/effects/hosterrno.ts';
import { SysError } from '../../src/kern/syserror.ts';

describe('errors', () => {
  it('have the shape that Node gives them', () => {
    const err = new SysError('ECONNREFUSED', 'connect', { address: '10.0.0.2', port: 80 });
    expect(err).toBeInstanceOf(Error);
    expect(err.message).toBe('connect ECONNREFUSED 10.0.0.2:80');
    expect(err).toMatchObject({
      code: 'ECONNREFUSED',
      errno: -constants.errno.ECONNREFUSED,
      syscall: 'connect',
      address: '10.0.0.2',
      port: 80,
    });
    expect(String(err)).toBe('Error: connect ECONNREFUSED 10.0.0.2:80');
  });

  it('leave out what there is none of', () => {
    const err = new SysError('EPIPE', 'write');
    expect(err.message).toBe('write EPIPE');
    expect(Object.hasOwn(err, 'address') || Object.hasOwn(err, 'port')).toBe(false);
    expect(new SysError('ENOENT', 'connect', { address: '/a' }).message).toBe('connect ENOENT /a');
  });

  it('take the host its number, and FreeBSD its own for a name that the host lacks', () => {
    expect(hostErrno('EAGAIN')).toBe(-constants.errno.EAGAIN);
    expect(hostErrno('ENOTCAPABLE')).toBe(-93);
    for (const code of Object.keys(ERRNO) as Errno[]) expect(hostErrno(code)).toBeLessThan(0);
  });

  it('are told from values by being names', () => {
    expect([isErrno('ENOENT'), isErrno(0), isErrno(null), isErrno({})]).toEqual([true, false, false, false]);
  });
});
