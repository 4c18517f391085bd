import { describe, expect, it } from 'vitest';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import type { Proc } from '../../src/kern/proc/proc.ts';
import { SyscallTable } from '../../src/kern/syscall.ts';

// The table hands the process through and never looks into it.
const proc = {} as Proc;

const newTable = () => new SyscallTable(new SimWorld().effects('k').log);

/** A call that blocks until it is told to return. */
function blocking() {
  let finish: (value: unknown) => void = () => undefined;
  const promise = new Promise<unknown>((resolve) => (finish = resolve));
  return { fn: () => promise, finish: (value: unknown) => finish(value) };
}

describe('system calls', () => {
  it('calls by name, with the process and the arguments', () => {
    const table = newTable();
    table.register('m', { add: (p: Proc, a: number, b: number) => [p === proc, a + b] });
    expect(table.call(proc, 'add', 1, 2)).toEqual([true, 3]);
  });

  it('answers ENOSYS for what is unknown or reserved, and counts it', () => {
    const table = newTable();
    for (const name of [
      'nope',
      'setfib',
      'sctp_peeloff',
      'sctp_generic_sendmsg',
      'sctp_generic_sendmsg_iov',
      'sctp_generic_recvmsg',
    ]) {
      expect(table.call(proc, name)).toBe('ENOSYS');
    }
    expect(table.counters.nosys).toBe(6);
    expect(table.list().find((call) => call.name === 'setfib')).toMatchObject({ module: null, state: 'reserved' });
  });

  it('lets a stack fill a reserved name; after removal it is reserved again', () => {
    const table = newTable();
    const undo = table.register('netstack_x', { setfib: () => 0 }) as () => void;
    expect(table.call(proc, 'setfib', 1)).toBe(0);
    undo();
    expect(table.call(proc, 'setfib', 1)).toBe('ENOSYS');
    expect(table.list().find((call) => call.name === 'setfib')?.state).toBe('reserved');
    expect(table.reserve('setfib')).toBe('EEXIST');
    expect(table.reserve('mine')).toBeNull();
    expect(table.call(proc, 'mine')).toBe('ENOSYS');
  });

  it('registers all or none', () => {
    const table = newTable();
    table.register('a', { one: () => 1 });
    expect(table.register('b', { zero: () => 0, one: () => 2, two: () => 2 })).toBe('EEXIST');
    expect([table.has('zero'), table.has('two'), table.call(proc, 'one')]).toEqual([false, false, 1]);
  });

  it('has a limit and a season', () => {
    const table = newTable();
    const many = Object.fromEntries(Array.from({ length: 512 }, (_, i) => [`c${i}`, () => i]));
    const undo = table.register('many', many) as () => void;
    expect(table.register('m', { more: () => 0 })).toBe('ENFILE');
    undo();
    table.freeze();
    expect(table.register('m', { more: () => 0 })).toBe('EPERM');
    expect(table.reserve('more')).toBe('EPERM');
  });

  it('drains: new callers get ENOSYS, the name stays taken, and the end comes when the last caller has left', async () => {
    const table = newTable();
    const first = blocking();
    const second = blocking();
    let n = 0;
    const undo = table.register('m', { wait: () => (n++ === 0 ? first.fn() : second.fn()), quick: () => 1 }) as () => void;
    const calls = [table.call(proc, 'wait'), table.call(proc, 'wait')];
    expect(table.inside('m')).toBe(2);
    undo();
    let drained = false;
    const end = table.drainModule('m').then(() => (drained = true));
    expect([table.call(proc, 'wait'), table.call(proc, 'quick')]).toEqual(['ENOSYS', 'ENOSYS']);
    expect(table.register('m2', { wait: () => 0 })).toBe('EEXIST');
    expect(table.register('m2', { quick: () => 2 })).toBeTypeOf('function');
    first.finish('a');
    expect(await calls[0]).toBe('a');
    expect(drained).toBe(false);
    second.finish('b');
    expect(await calls[1]).toBe('b');
    await end;
    expect(drained).toBe(true);
    expect(table.inside('m')).toBe(0);
    expect(table.register('m2', { wait: () => 3 })).toBeTypeOf('function');
    expect([table.call(proc, 'wait'), table.call(proc, 'quick')]).toEqual([3, 2]);
  });

  it('drains at once when nobody is inside, and for a module without calls', async () => {
    const table = newTable();
    table.register('m', { a: () => 0 });
    await table.drainModule('m');
    await table.drainModule('nobody');
    expect(table.has('a')).toBe(false);
  });

  it('an old undo does not take away a later owner', () => {
    const table = newTable();
    const undo = table.register('old', { a: () => 'old' }) as () => void;
    undo();
    table.register('new', { a: () => 'new' });
    undo();
    expect(table.call(proc, 'a')).toBe('new');
  });

  it('counts callers out when a call throws or rejects', async () => {
    const table = newTable();
    table.register('m', {
      throws: () => {
        throw new Error('bug');
      },
      rejects: () => Promise.reject(new Error('bug')),
    });
    expect(() => table.call(proc, 'throws')).toThrow('bug');
    await expect(table.call(proc, 'rejects')).rejects.toThrow('bug');
    expect(table.inside('m')).toBe(0);
  });
});
