import { describe, expect, it } from 'vitest';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import type { Errno } from '../../src/kern/errno.ts';
import { SI_SUB, Sysinit, type SysinitEntry, type SysinitLevel, type SysinitOrder } from '../../src/kern/sysinit.ts';

function setUp(log = 'silent') {
  const world = new SimWorld({ log });
  const sysinit = new Sysinit(world.effects('k').log.child('sysinit'));
  const done: string[] = [];
  const entry = (
    name: string,
    level: SysinitLevel,
    order: SysinitOrder = 'ANY',
    more: { err?: Errno; also?: () => void } = {},
  ): SysinitEntry => ({
    level,
    order,
    name,
    run: () => {
      done.push(name);
      more.also?.();
      return more.err ?? null;
    },
    undo: () => void done.push(`-${name}`),
  });
  return { world, sysinit, done, entry };
}

describe('sysinit', () => {
  it('runs by level, then order, then registration', () => {
    const { sysinit, done, entry } = setUp();
    sysinit.add(entry('syscalls', 'SYSCALLS'), entry('any 1', 'PROTO_DOMAIN'), entry('tunables', 'TUNABLES'));
    sysinit.add(
      entry('middle', 'PROTO_DOMAIN', 'MIDDLE'),
      entry('any 2', 'PROTO_DOMAIN'),
      entry('first', 'PROTO_DOMAIN', 'FIRST'),
    );
    expect(sysinit.run()).toBeNull();
    expect(done).toEqual(['tunables', 'first', 'middle', 'any 1', 'any 2', 'syscalls']);
  });

  it('has the levels in the order that the network stack needs', () => {
    const order: SysinitLevel[] = [
      'TUNABLES',
      'NETSTACK_PRELINK',
      'KLD',
      'NETSTACK',
      'VNET',
      'INIT_IF',
      'DRIVERS',
      'CONFIGURE',
      'PROTO_DOMAININIT',
      'PROTO_DOMAIN',
      'PROTO_IFATTACHDOMAIN',
      'SYSCALLS',
      'VNET_DONE',
      'LAST',
    ];
    expect([...order].sort((a, b) => SI_SUB[a] - SI_SUB[b])).toEqual(order);
    expect(SI_SUB.NETSTACK).toBe(0x2040000);
  });

  it('merges what is added while it runs; what belongs before the present runs next', () => {
    const { sysinit, done, entry } = setUp();
    sysinit.add(
      entry('kld', 'KLD', 'ANY', {
        also: () => void sysinit.add(entry('late', 'DRIVERS'), entry('early', 'TUNABLES'), entry('between', 'NETSTACK')),
      }),
      entry('drivers', 'DRIVERS'),
      entry('last', 'LAST'),
    );
    sysinit.run();
    expect(done).toEqual(['kld', 'early', 'between', 'drivers', 'late', 'last']);
  });

  it('says which entry failed, runs nothing behind it, and takes back only what ran', () => {
    const { sysinit, done, entry } = setUp();
    sysinit.add(entry('a', 'KLD'), entry('b', 'DRIVERS', 'ANY', { err: 'ENXIO' }), entry('c', 'LAST'));
    const failure = sysinit.run();
    expect([failure?.entry.name, failure?.err]).toEqual(['b', 'ENXIO']);
    sysinit.shutdown();
    expect(done).toEqual(['a', 'b', '-a']);
  });

  it('takes back in reverse, once', () => {
    const { sysinit, done, entry } = setUp();
    sysinit.add(entry('b', 'DRIVERS'), entry('a', 'KLD'), { ...entry('no undo', 'MAC'), undo: undefined as never });
    sysinit.run();
    done.length = 0;
    sysinit.shutdown();
    sysinit.shutdown();
    expect(done).toEqual(['-b', '-a']);
  });

  it('forgets entries that are taken back before they run', () => {
    const { sysinit, done, entry } = setUp();
    const undo = sysinit.add(entry('gone', 'KLD'), entry('gone too', 'LAST'));
    sysinit.add(entry('stays', 'KLD'));
    undo();
    undo();
    sysinit.run();
    expect(done).toEqual(['stays']);
  });

  it('runs the entries of a late module alone, at once, and undoes just those', () => {
    const { sysinit, done, entry } = setUp();
    sysinit.add(entry('boot', 'KLD'));
    sysinit.run();
    const late = [entry('late syscalls', 'SYSCALLS'), entry('late domain', 'PROTO_DOMAIN')];
    expect(sysinit.runNow(late)).toBeNull();
    expect(done).toEqual(['boot', 'late domain', 'late syscalls']);
    sysinit.undo(late);
    sysinit.shutdown();
    expect(done.slice(3)).toEqual(['-late syscalls', '-late domain', '-boot']);
  });

  it('traces each step at debug level under its own name', () => {
    const { world, sysinit, entry } = setUp('info,sysinit=debug');
    sysinit.add(entry('hello', 'KLD', 'MIDDLE'));
    sysinit.run();
    sysinit.shutdown();
    expect(world.lines.map(({ subsystem, level, msg, fields }) => [subsystem, level, msg, fields])).toEqual([
      ['sysinit', 'debug', 'run hello', { at: 'KLD', order: 'MIDDLE' }],
      ['sysinit', 'debug', 'undo hello', { at: 'KLD', order: 'MIDDLE' }],
    ]);
  });
});
