import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CALLOUT_MAX_MS, Callout, CalloutWheel } from '../../src/kern/callout.ts';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { Netisr } from '../../src/kern/netisr.ts';
import { KernTime } from '../../src/kern/time.ts';

function setUp(startMs = 0) {
  const world = new SimWorld({ startMs });
  const effects = world.effects('k');
  const time = new KernTime(effects.clock);
  const netisr = new Netisr(effects, () => time.refresh());
  const wheel = new CalloutWheel(time, netisr, effects.newTimer());
  const log: [name: string, ms: number][] = [];
  const callout = (name: string) => new Callout(wheel, () => log.push([name, world.nowMs()]), null);
  return { world, time, netisr, wheel, log, callout };
}

describe('callout wheel', () => {
  it('calls each at its time, from one millisecond to days', () => {
    const { world, log, callout } = setUp();
    const delays = [1, 2, 31, 32, 33, 200, 1023, 1024, 1025, 60_000, 7_200_000, 86_400_000 * 3];
    for (const ms of delays) callout(`${ms}`).reset(ms);
    world.run(86_400_000 * 4);
    expect(log).toEqual(delays.map((ms) => [`${ms}`, ms]));
  });

  it('keeps its time when 32-bit milliseconds wrap, and across the sign bit', () => {
    for (const startMs of [2 ** 32 - 50, 2 ** 31 - 50, 2 ** 30 - 50]) {
      const { world, log, callout } = setUp(startMs);
      const delays = [10, 49, 50, 51, 100, 5000, 100_000];
      for (const ms of delays) callout(`${ms}`).reset(ms);
      world.run(200_000);
      expect(log).toEqual(delays.map((ms) => [`${ms}`, ms]));
    }
  });

  it('hands over the argument, and is not pending any more when it is called', () => {
    const { world, wheel } = setUp();
    const seen: unknown[] = [];
    const c: Callout<{ id: number }> = new Callout(wheel, (arg) => seen.push(arg.id, c.pending), { id: 42 });
    c.reset(5);
    expect(c.pending).toBe(true);
    world.run(5);
    expect(seen).toEqual([42, false]);
  });

  it('stops: true once, false when there is nothing to stop', () => {
    const { world, log, callout, wheel } = setUp();
    const c = callout('c');
    expect(c.stop()).toBe(false);
    c.reset(10);
    expect(c.stop()).toBe(true);
    expect(c.stop()).toBe(false);
    world.run(100);
    expect(log).toEqual([]);
    expect(wheel.count()).toBe(0);
  });

  it('moves later and earlier', () => {
    const { world, log, callout } = setUp();
    const later = callout('later');
    const earlier = callout('earlier');
    later.reset(100);
    earlier.reset(1000);
    world.run(50);
    later.reset(100);
    earlier.reset(10);
    world.run(1000);
    expect(log).toEqual([
      ['earlier', 60],
      ['later', 150],
    ]);
  });

  it('says how long is left', () => {
    const { world, callout } = setUp();
    const c = callout('c');
    expect(c.remainingMs()).toBe(0);
    c.reset(1000);
    world.run(300);
    expect(c.remainingMs()).toBe(700);
    c.reset(2000);
    expect(c.remainingMs()).toBe(2000);
  });

  it('takes at least one tick, and at most its longest delay', () => {
    const { world, log, callout } = setUp();
    callout('zero').reset(0);
    callout('negative').reset(-5);
    callout('nan').reset(NaN);
    const far = callout('far');
    far.reset(1e12);
    expect(far.remainingMs()).toBe(CALLOUT_MAX_MS);
    world.run(1);
    expect(log.map(([name]) => name)).toEqual(['zero', 'negative', 'nan']);
    expect(log.every(([, ms]) => ms === 1)).toBe(true);
  });

  it('is never early where the clock has fractions', () => {
    const { world, log, callout } = setUp(0.7);
    callout('c').reset(10);
    world.run(20);
    expect(log[0]![1]).toBeGreaterThanOrEqual(10);
    expect(log[0]![1]).toBeLessThan(11.01);
  });

  it('counts from now when it is set outside a batch, after a quiet time', () => {
    const { world, log, callout } = setUp();
    world.run(12_345);
    callout('c').reset(10);
    world.run(100);
    expect(log).toEqual([['c', 12_355]]);
  });

  it('lets a callout set itself again, stop others and set others, from inside', () => {
    const { world, wheel, log, callout } = setUp();
    const victim = callout('victim');
    const friend = callout('friend');
    let rounds = 0;
    const periodic: Callout<null> = new Callout(
      wheel,
      () => {
        log.push([`round ${++rounds}`, world.nowMs()]);
        victim.stop();
        if (rounds === 1) friend.reset(5);
        if (rounds < 3) periodic.reset(10);
      },
      null,
    );
    periodic.reset(10);
    victim.reset(10);
    world.run(100);
    expect(log).toEqual([
      ['round 1', 10],
      ['friend', 15],
      ['round 2', 20],
      ['round 3', 30],
    ]);
  });

  it('runs callouts of one tick in the order in which they were set, inside one batch', () => {
    const { world, wheel, netisr } = setUp();
    const seen: string[] = [];
    for (const name of ['a', 'b', 'c']) new Callout(wheel, () => seen.push(`${name}${netisr.active()}`), null).reset(7);
    netisr.schedule({ level: 0, queued: false, run: () => void seen.push('work') });
    new Callout(wheel, () => netisr.schedule({ level: 0, queued: false, run: () => void seen.push('output') }), null).reset(7);
    world.run(7);
    expect(seen).toEqual(['work', 'atrue', 'btrue', 'ctrue', 'output']);
  });

  it('leaves the host alone when it is empty, and arms it only for an earlier time', () => {
    const world = new SimWorld();
    const effects = world.effects('k');
    const time = new KernTime(effects.clock);
    const netisr = new Netisr(effects, () => time.refresh());
    const arms: number[] = [];
    const timer = effects.newTimer();
    const wheel = new CalloutWheel(time, netisr, {
      arm: (ms, fire) => {
        arms.push(ms);
        timer.arm(ms, fire);
      },
      disarm: () => timer.disarm(),
    });
    const noop = () => undefined;
    expect(wheel.armed()).toBe(false);
    const rto = new Callout(wheel, noop, null);
    const keepalive = new Callout(wheel, noop, null);
    rto.reset(20);
    keepalive.reset(7_200_000);
    // A busy connection: every packet pushes both.
    for (let i = 0; i < 10; i++) {
      rto.reset(20);
      keepalive.reset(7_200_000);
    }
    expect(arms).toEqual([20]);
    rto.stop();
    keepalive.stop();
    world.run(10_000);
    expect(wheel.armed()).toBe(false);
    expect(world.pending()).toBe(0);
    expect(wheel.counters.wakeups).toBe(1);
  });

  it('wakes seldom for a far time, and for a timer that is pushed all the time', () => {
    const { world, wheel, callout } = setUp();
    callout('far').reset(86_400_000);
    world.run(86_400_000);
    expect(wheel.counters.fired).toBe(1);
    expect(wheel.counters.wakeups).toBeLessThan(10);
    const pushed = callout('pushed');
    const before = wheel.counters.wakeups;
    for (let i = 0; i < 10_000; i++) {
      pushed.reset(200);
      world.run(1);
    }
    // A wake-up for each time that the timer would have gone off, and a few to come down the levels.
    expect(wheel.counters.wakeups - before).toBeLessThan(200);
    expect(wheel.counters.fired).toBe(1);
  });

  it('runDue calls what is late, in the order of time, and halt ends everything', () => {
    const world = new SimWorld();
    const effects = world.effects('k');
    const time = new KernTime(effects.clock);
    const netisr = new Netisr(effects, () => time.refresh());
    // A host whose timer never comes.
    const wheel = new CalloutWheel(time, netisr, { arm: () => undefined, disarm: () => undefined });
    const seen: string[] = [];
    const callout = (name: string) => new Callout(wheel, () => seen.push(name), null);
    callout('b').reset(2000);
    callout('a').reset(10);
    callout('c').reset(5000);
    world.run(3000);
    wheel.runDue();
    expect(seen).toEqual(['a', 'b']);
    wheel.halt();
    world.run(3000);
    wheel.runDue();
    expect(seen).toEqual(['a', 'b']);
  });

  it('a callout that throws leaves wheel and batch in order', () => {
    const { world, wheel, netisr, log, callout } = setUp();
    new Callout(
      wheel,
      () => {
        throw new Error('bug');
      },
      null,
    ).reset(5);
    callout('next').reset(5);
    expect(() => world.run(5)).toThrow('bug');
    expect(netisr.active()).toBe(false);
    world.run(5);
    expect(log).toEqual([['next', 5]]);
  });

  it('agrees with a plain sorted list, whatever is done to it', () => {
    const op = fc.oneof(
      fc.record({ op: fc.constant('reset' as const), i: fc.nat(9), ms: fc.oneof(fc.nat(40), fc.nat(5000), fc.nat(3_000_000)) }),
      fc.record({ op: fc.constant('stop' as const), i: fc.nat(9), ms: fc.constant(0) }),
      fc.record({
        op: fc.constant('run' as const),
        i: fc.constant(0),
        ms: fc.oneof(fc.nat(50), fc.nat(10_000), fc.nat(2_000_000)),
      }),
    );
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), fc.constantFrom(0, 2 ** 32 - 1000, 2 ** 31 - 77), (ops, startMs) => {
        const { world, wheel } = setUp(startMs);
        const fired: string[] = [];
        const expected: string[] = [];
        const due = new Map<number, number>();
        const callouts = Array.from(
          { length: 10 },
          (_, i) => new Callout(wheel, () => fired.push(`${i}@${world.nowMs()}`), null),
        );
        const advance = (ms: number): void => {
          const end = world.nowMs() + ms;
          const ready = [...due].filter(([, at]) => at <= end).sort((a, b) => a[1] - b[1]);
          world.run(ms);
          for (const [i, at] of ready) {
            expected.push(`${i}@${at}`);
            due.delete(i);
          }
        };
        for (const { op: what, i, ms } of ops) {
          if (what === 'run') advance(ms);
          else if (what === 'reset') {
            callouts[i]!.reset(ms);
            due.set(i, world.nowMs() + Math.max(1, ms));
          } else {
            expect(callouts[i]!.stop()).toBe(due.delete(i));
          }
          expect(wheel.count()).toBe(due.size);
        }
        advance(4_000_000);
        // Order within a tick may differ after moves; times may not.
        const byTime = (s: string[]) =>
          [...s].sort((a, b) => Number(a.split('@')[1]) - Number(b.split('@')[1]) || (a < b ? -1 : 1));
        expect(fired.map((s) => Number(s.split('@')[1]))).toEqual(expected.map((s) => Number(s.split('@')[1])));
        expect(byTime(fired)).toEqual(byTime(expected));
        expect(wheel.count()).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
