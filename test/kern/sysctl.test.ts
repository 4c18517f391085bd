import { describe, expect, it } from 'vitest';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { Kenv } from '../../src/kern/kenv.ts';
import { type SysctlFlags, type SysctlLeaf, SysctlTree } from '../../src/kern/sysctl.ts';

function setUp(env: Record<string, string> = {}) {
  const world = new SimWorld({ log: 'info' });
  const tree = new SysctlTree(new Kenv(env), world.effects('k').log);
  return { world, tree };
}

function int(name: string, flags: SysctlFlags = 'rw', start = 1, min?: number, max?: number) {
  const box = { value: start };
  const leaf: SysctlLeaf = {
    name,
    descr: `about ${name}`,
    flags,
    type: 'int',
    get: () => box.value,
    set: (value) => void (box.value = value),
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
  };
  return { box, leaf };
}

const text = (name: string, value: string): SysctlLeaf => ({ name, descr: '', flags: 'rd', type: 'string', get: () => value });

describe('sysctl tree', () => {
  it('reads and writes by name, and answers the old value', () => {
    const { tree } = setUp();
    const { leaf, box } = int('net.inet.tcp.mssdflt', 'rw', 536);
    expect(tree.add(leaf)).toBeTypeOf('function');
    expect(tree.read('net.inet.tcp.mssdflt')).toEqual({
      name: leaf.name,
      value: 536,
      descr: leaf.descr,
      type: 'int',
      flags: 'rw',
    });
    expect(tree.write('net.inet.tcp.mssdflt', 1460)).toMatchObject({ value: 536 });
    expect(tree.write('net.inet.tcp.mssdflt', '2k')).toMatchObject({ value: 1460 });
    expect(box.value).toBe(2048);
  });

  it('answers the errors of sysctl(3)', () => {
    const { tree } = setUp();
    tree.add(int('a.b.c').leaf);
    tree.add(text('a.ro', 'x'));
    tree.add(int('a.tun', 'rdtun').leaf);
    expect(tree.read('a.nope')).toBe('ENOENT');
    expect(tree.read('nope')).toBe('ENOENT');
    expect(tree.read('a.b')).toBe('EISDIR');
    expect(tree.read('a.b.c.d')).toBe('ENOTDIR');
    expect(tree.write('a.b', 1)).toBe('EISDIR');
    expect(tree.write('a.ro', 'y')).toBe('EPERM');
    expect(tree.write('a.tun', 5)).toBe('EPERM');
    expect(tree.write('a.nope', 1)).toBe('ENOENT');
  });

  it('checks type and range before it sets, and passes on what the leaf answers', () => {
    const { tree } = setUp();
    const { leaf, box } = int('a.n', 'rw', 5, 1, 10);
    tree.add(leaf);
    for (const bad of [0, 11, 1.5, NaN, 'abc', '', true]) expect([bad, tree.write('a.n', bad)]).toEqual([bad, 'EINVAL']);
    expect(box.value).toBe(5);
    let on = false;
    tree.add({ name: 'a.b', descr: '', flags: 'rw', type: 'bool', get: () => on, set: (v) => void (on = v) });
    for (const [value, result] of [
      [true, true],
      [0, false],
      ['TRUE', true],
      ['0', false],
    ] as const) {
      tree.write('a.b', value);
      expect(on).toBe(result);
    }
    expect(tree.write('a.b', 'maybe')).toBe('EINVAL');
    tree.add({ name: 'a.s', descr: '', flags: 'rw', type: 'string', get: () => '', set: () => 'EBUSY' });
    expect(tree.write('a.s', 'x')).toBe('EBUSY');
    expect(tree.write('a.s', 3)).toBe('EINVAL');
    expect(tree.write('a.s', 'x'.repeat(1025))).toBe('EINVAL');
    expect(tree.counters.badwrite).toBe(11);
  });

  it('refuses names in use, names through a leaf, and malformed leaves', () => {
    const { tree } = setUp();
    tree.add(int('a.b.c').leaf);
    expect(tree.add(int('a.b.c').leaf)).toBe('EEXIST');
    expect(tree.add(int('a.b').leaf)).toBe('EEXIST');
    expect(tree.add(int('a.b.c.d').leaf)).toBe('ENOTDIR');
    for (const name of ['', 'single', 'a..b', '.a', 'a.', 'a b.c'])
      expect([name, tree.add(int(name).leaf)]).toEqual([name, 'EINVAL']);
    expect(tree.add({ name: 'x.y', descr: '', flags: 'rw', type: 'int', get: () => 1 })).toBe('EINVAL');
    // A refused name leaves no nodes.
    expect(tree.walk().map(({ name }) => name)).toEqual(['a.b.c']);
  });

  it('gives names back, with the nodes that nobody else uses', () => {
    const { tree } = setUp();
    const undo = tree.add(int('a.b.c').leaf) as () => void;
    tree.add(int('a.x').leaf);
    undo();
    undo();
    expect(tree.read('a.b.c')).toBe('ENOENT');
    expect(tree.read('a.b')).toBe('ENOENT');
    expect(tree.add(int('a.b').leaf)).toBeTypeOf('function');
  });

  it('walks in order of names, at and below a prefix', () => {
    const { tree } = setUp();
    for (const name of ['b.y', 'a.z', 'a.b.q', 'a.b.c']) tree.add(text(name, name));
    expect(tree.walk().map((r) => r.value)).toEqual(['a.b.c', 'a.b.q', 'a.z', 'b.y']);
    expect(tree.walk('a.b').map((r) => r.value)).toEqual(['a.b.c', 'a.b.q']);
    expect(tree.walk('a.z').map((r) => r.value)).toEqual(['a.z']);
    expect(tree.walk('nope')).toEqual([]);
  });

  it('fetches a tunable once, when it is registered', () => {
    const { tree } = setUp({ 'a.tun': '64k', 'a.plain': '9' });
    const tun = int('a.tun', 'rwtun', 1);
    const plain = int('a.plain', 'rw', 1);
    tree.add(tun.leaf);
    tree.add(plain.leaf);
    expect([tun.box.value, plain.box.value]).toEqual([65536, 1]);
    expect([tree.isTuned('a.tun'), tree.isTuned('a.plain')]).toEqual([true, false]);
    expect(tree.write('a.tun', 7)).toMatchObject({ value: 65536 });
  });

  it('refuses a bad tunable in words, counts it, and keeps the default', () => {
    const { world, tree } = setUp({ 'a.n': '99', 'a.b': 'perhaps' });
    const { leaf, box } = int('a.n', 'rdtun', 5, 1, 10);
    expect(tree.add(leaf)).toBeTypeOf('function');
    tree.add({ name: 'a.b', descr: '', flags: 'rdtun', type: 'bool', get: () => false, set: () => null });
    expect(box.value).toBe(5);
    expect(tree.counters.badtunable).toBe(2);
    expect(tree.badTunables[0]).toBe(
      'tunable a.n: "99" is refused (EINVAL); accepted: an integer from 1 to 10, with k m g t for powers of 1024',
    );
    expect(tree.badTunables[1]).toContain('0, 1, true, false');
    expect(world.lines.filter((line) => line.level === 'error')).toHaveLength(2);
  });
});
