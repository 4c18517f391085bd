import { describe, expect, it } from 'vitest';
import { Counters } from '../../src/kern/counters.ts';

describe('counters', () => {
  it('shows the present numbers of objects, and nothing but numbers', () => {
    const counters = new Counters();
    const ip = { badsum: 0, name: 'ip' };
    counters.add('ip', ip);
    ip.badsum++;
    expect(counters.snapshot()).toEqual({ ip: { badsum: 1 } });
    expect(counters.get('ip', 'badsum')).toBe(1);
    expect(counters.get('ip', 'nope')).toBeUndefined();
  });

  it('adds up what shares a group and a name; functions are asked', () => {
    const counters = new Counters();
    counters.add('tcp', { rcvpack: 2, badsum: 1 });
    counters.add('tcp', () => ({ rcvpack: 3 }));
    expect(counters.snapshot()).toEqual({ tcp: { rcvpack: 5, badsum: 1 } });
  });

  it('takes groups back, one by one', () => {
    const counters = new Counters();
    const undo = counters.add('a', { n: 1 });
    counters.add('a', { n: 2 });
    undo();
    undo();
    expect(counters.snapshot()).toEqual({ a: { n: 2 } });
  });

  it('keeps to a prefix, in order of groups', () => {
    const counters = new Counters();
    for (const group of ['if.tap1', 'tcp', 'if.tap0']) counters.add(group, { n: 0 });
    expect(Object.keys(counters.snapshot('if.'))).toEqual(['if.tap0', 'if.tap1']);
  });
});
