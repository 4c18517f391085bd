import { describe, expect, it } from 'vitest';
import { EVENTHANDLER_PRI_FIRST, EVENTHANDLER_PRI_LAST, EventHandlers, Veto } from '../../src/kern/event.ts';

describe('event handlers', () => {
  it('calls by priority, equal ones in the order of registration', () => {
    const events = new EventHandlers();
    const seen: string[] = [];
    events.on('e', () => seen.push('last'), EVENTHANDLER_PRI_LAST);
    events.on('e', () => seen.push('any 1'));
    events.on('e', () => seen.push('first'), EVENTHANDLER_PRI_FIRST);
    events.on('e', () => seen.push('any 2'));
    events.on('other', () => seen.push('never'));
    events.invoke('e');
    expect(seen).toEqual(['first', 'any 1', 'any 2', 'last']);
  });

  it('hands over the arguments', () => {
    const events = new EventHandlers();
    const seen: unknown[] = [];
    events.on('e', (a: number, b: string) => seen.push(a, b));
    events.invoke('e', 1, 'two');
    events.invoke('nobody listens');
    expect(seen).toEqual([1, 'two']);
  });

  it('is safe against handlers that leave and come during a delivery', () => {
    const events = new EventHandlers();
    const seen: string[] = [];
    const undoSelf = events.on('e', () => {
      seen.push('self');
      undoSelf();
      undoLater();
      events.on('e', () => seen.push('new'));
    });
    const undoLater = events.on('e', () => seen.push('later'));
    events.on('e', () => seen.push('stays'));
    events.invoke('e');
    expect(seen).toEqual(['self', 'stays']);
    events.invoke('e');
    expect(seen).toEqual(['self', 'stays', 'stays', 'new']);
  });

  it('takes a handler back once, and forgets empty lists', () => {
    const events = new EventHandlers();
    const undo = events.on('e', () => undefined);
    events.on('e', () => undefined)();
    expect(events.count('e')).toBe(1);
    undo();
    undo();
    expect(events.count('e')).toBe(0);
  });

  it('a veto keeps the first refusal', () => {
    const veto = new Veto();
    veto.refuse('EBUSY', 'first');
    veto.refuse('EPERM', 'second');
    expect([veto.err, veto.reason]).toEqual(['EBUSY', 'first']);
  });
});
