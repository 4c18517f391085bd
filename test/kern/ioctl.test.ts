import { describe, expect, it } from 'vitest';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { IOCGROUP, IOCNUM, IOCPARM_LEN, IOC_VOID, _IO, _IOR, _IOW, _IOWINT, _IOWR } from '../../src/kern/ioccom.ts';
import { IocGroups } from '../../src/kern/ioctl.ts';

describe('ioctl encoding', () => {
  it('makes the numbers that FreeBSD has', () => {
    expect(_IOWR('i', 17, 32)).toBe(0xc0206911); // SIOCGIFFLAGS
    expect(_IOW('i', 16, 32)).toBe(0x80206910); // SIOCSIFFLAGS
    expect(_IOW('f', 126, 4)).toBe(0x8004667e); // FIONBIO
    expect(_IOR('f', 127, 4)).toBe(0x4004667f); // FIONREAD
    expect(_IO('f', 1)).toBe(0x20006601); // FIOCLEX
    expect(_IOWINT('t', 1)).toBe((IOC_VOID | (4 << 16) | 0x7401) >>> 0);
  });

  it('takes them apart again', () => {
    const cmd = _IOWR('i', 51, 8191);
    expect([IOCGROUP(cmd), IOCNUM(cmd), IOCPARM_LEN(cmd)]).toEqual(['i', 51, 8191]);
  });
});

describe('ioctl groups', () => {
  const groups = () => {
    const world = new SimWorld({ log: 'error' });
    return { world, groups: new IocGroups(world.effects('k').log) };
  };

  it('gives a request to the owner of its letter; ENOIOCTL where there is none', () => {
    const { groups: g } = groups();
    const seen: unknown[] = [];
    g.add('i', (so, cmd, data) => (seen.push(so, cmd, data), 'EINVAL'));
    expect(g.dispatch(null, _IO('i', 1), 'data')).toBe('EINVAL');
    expect(seen).toEqual([null, _IO('i', 1), 'data']);
    expect(g.dispatch(null, _IO('r', 1), null)).toBe('ENOIOCTL');
  });

  it('gives a letter one owner, and takes it back', () => {
    const { groups: g } = groups();
    const undo = g.add('i', () => null) as () => void;
    expect(g.add('i', () => null)).toBe('EEXIST');
    for (const letter of ['', 'ab', '\u0100']) expect(g.add(letter, () => null)).toBe('EINVAL');
    undo();
    expect(g.dispatch(null, _IO('i', 1), null)).toBe('ENOIOCTL');
    expect(g.add('i', () => null)).toBeTypeOf('function');
    undo();
    expect(g.dispatch(null, _IO('i', 1), null)).toBeNull();
  });

  it('refuses once frozen, and says who tried; what is there can still leave', () => {
    const { world, groups: g } = groups();
    const undo = g.add('i', () => null) as () => void;
    g.freeze();
    expect(g.add('r', () => null)).toBe('EPERM');
    expect(world.lines.at(-1)).toMatchObject({ level: 'error', fields: { group: 'r' } });
    undo();
    expect(g.dispatch(null, _IO('i', 1), null)).toBe('ENOIOCTL');
  });
});
