import { describe, expect, it } from 'vitest';
import { KENV_MNAMELEN, KENV_MVALLEN, KENV_SIZE, Kenv } from '../../src/kern/kenv.ts';

describe('kenv', () => {
  it('gets, sets, unsets and dumps', () => {
    const kenv = new Kenv({ b: '2', a: '1' });
    expect(kenv.set('c', '3')).toBeNull();
    expect(kenv.unset('b')).toBeNull();
    expect(kenv.unset('b')).toBe('ENOENT');
    expect(kenv.get('b')).toBeNull();
    expect(kenv.dump()).toEqual([
      ['a', '1'],
      ['c', '3'],
    ]);
  });

  it('has bounds', () => {
    const kenv = new Kenv();
    expect(kenv.set('x'.repeat(KENV_MNAMELEN + 1), '')).toBe('ENAMETOOLONG');
    expect(kenv.set('x', 'v'.repeat(KENV_MVALLEN + 1))).toBe('EINVAL');
    expect(kenv.set('', 'v')).toBe('EINVAL');
    expect(kenv.set('a b', 'v')).toBe('EINVAL');
    for (let i = 0; i < KENV_SIZE; i++) expect(kenv.set(`n${i}`, '')).toBeNull();
    expect(kenv.set('more', '')).toBe('ENOSPC');
    expect(kenv.set('n0', 'changed')).toBeNull();
  });

  it('reads integers as strtoq(3) with suffixes', () => {
    const cases: [string, number | string][] = [
      ['0', 0],
      ['-0', 0],
      ['42', 42],
      ['-7', -7],
      ['0x10', 16],
      ['010', 8],
      ['1k', 1024],
      ['2M', 2 * 2 ** 20],
      ['3g', 3 * 2 ** 30],
      ['1T', 2 ** 40],
      ['0x10k', 16384],
      ['', 'EINVAL'],
      ['k', 'EINVAL'],
      ['08', 'EINVAL'],
      ['1kk', 'EINVAL'],
      ['1.5', 'EINVAL'],
      ['12x', 'EINVAL'],
      ['99999999999999999', 'EINVAL'],
    ];
    for (const [text, value] of cases) expect([text, new Kenv({ n: text }).getInt('n')]).toEqual([text, value]);
    expect(new Kenv().getInt('n')).toBe('ENOENT');
  });

  it('reads booleans in any case, and nothing else', () => {
    for (const [text, value] of Object.entries({
      1: true,
      TRUE: true,
      0: false,
      False: false,
      yes: 'EINVAL',
      '': 'EINVAL',
      2: 'EINVAL',
    })) {
      expect([text, new Kenv({ b: text }).getBool('b')]).toEqual([text, value]);
    }
    expect(new Kenv().getBool('b')).toBe('ENOENT');
  });
});
