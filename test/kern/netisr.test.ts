import { describe, expect, it } from 'vitest';
import { SimWorld } from '../../src/kern/effects/sim.ts';
import { NETISR_LAST, NETISR_LINK, NETISR_STACK, Netisr, type NetisrWork } from '../../src/kern/netisr.ts';
import { KernTime } from '../../src/kern/time.ts';
import { bootedKernel } from './support.ts';

function setUp() {
  const world = new SimWorld();
  let refreshed = 0;
  const netisr = new Netisr(world.effects('k'), () => refreshed++);
  const log: string[] = [];
  const work = (name: string, level: NetisrWork['level'], also: () => void = () => undefined): NetisrWork => ({
    level,
    queued: false,
    run: () => {
      log.push(name);
      also();
    },
  });
  return { world, netisr, log, work, refreshed: () => refreshed };
}

describe('netisr', () => {
  it('runs work at the end of the outermost batch: stack, then links, then the rest', () => {
    const { netisr, log, work } = setUp();
    netisr.begin();
    netisr.begin();
    netisr.schedule(work('last', NETISR_LAST));
    netisr.schedule(work('link', NETISR_LINK));
    netisr.schedule(work('stack 1', NETISR_STACK));
    netisr.schedule(work('stack 2', NETISR_STACK));
    netisr.end();
    expect(log).toEqual([]);
    expect(netisr.active()).toBe(true);
    netisr.end();
    expect(netisr.active()).toBe(false);
    expect(log).toEqual(['stack 1', 'stack 2', 'link', 'last']);
  });

  it('queues a piece of work once, and again after it has begun', () => {
    const { netisr, log, work } = setUp();
    let again = true;
    const w = work('w', NETISR_STACK, () => {
      if (again) netisr.schedule(w);
      again = false;
    });
    netisr.begin();
    netisr.schedule(w);
    netisr.schedule(w);
    netisr.end();
    expect(log).toEqual(['w', 'w']);
  });

  it('lets what a flush delivers be answered in the same run', () => {
    const { netisr, log, work } = setUp();
    netisr.begin();
    const stack = work('stack', NETISR_STACK);
    netisr.schedule(work('lo', NETISR_LINK, () => netisr.schedule(stack)));
    netisr.schedule(work('tap', NETISR_LINK));
    netisr.end();
    expect(log).toEqual(['lo', 'stack', 'tap']);
  });

  it('outside a batch waits until the present call has returned', () => {
    const { world, netisr, log, work } = setUp();
    netisr.schedule(work('a', NETISR_STACK));
    netisr.schedule(work('b', NETISR_LINK));
    expect(log).toEqual([]);
    world.settle();
    expect(log).toEqual(['a', 'b']);
  });

  it('yields when work never ends, so that the host has its turn, and counts it', () => {
    const { world, netisr, log, work } = setUp();
    let stop = false;
    const loop = work('loop', NETISR_STACK, () => {
      if (!stop) netisr.schedule(loop);
    });
    netisr.begin();
    netisr.schedule(loop);
    netisr.end();
    expect(log).toHaveLength(512);
    expect(netisr.counters.overbudget).toBe(1);
    stop = true;
    world.run(0);
    expect(log).toHaveLength(513);
    expect(world.pending()).toBe(0);
  });

  it('reads the clock once for a batch', () => {
    const { netisr, refreshed } = setUp();
    netisr.begin();
    netisr.begin();
    netisr.end();
    netisr.end();
    expect(refreshed()).toBe(1);
  });

  it('closes the batch even when work throws', () => {
    const { netisr, log, work } = setUp();
    netisr.begin();
    netisr.schedule(
      work('bad', NETISR_STACK, () => {
        throw new Error('bug');
      }),
    );
    netisr.schedule(work('link', NETISR_LINK));
    expect(() => netisr.end()).toThrow('bug');
    expect(netisr.active()).toBe(false);
    netisr.begin();
    netisr.end();
    expect(log).toEqual(['bad', 'link']);
  });
});

describe('time of the batch', () => {
  it('is 32-bit milliseconds and microseconds that wrap, and the exact time', () => {
    let now = 2 ** 31 - 0.5;
    const time = new KernTime({ monotonicMs: () => now, realtimeMs: () => 0 });
    const { ms } = time;
    expect([time.ms, time.exactMs]).toEqual([0x7fffffff, 2 ** 31 - 0.5]);
    now += 1;
    time.refresh();
    expect(time.ms).toBe(-0x80000000);
    expect((time.ms - ms) | 0).toBe(1);
    now = 1.25;
    time.refresh();
    expect([time.ms, time.us]).toEqual([1, 1250]);
  });
});

describe('work that throws', () => {
  it('does not hold up what was scheduled behind it', () => {
    const { world, kernel } = bootedKernel();
    const ran: string[] = [];
    const work = (name: string, run = (): void => undefined): NetisrWork => ({
      level: NETISR_STACK,
      queued: false,
      run: () => (ran.push(name), run()),
    });
    const boom = (): never => {
      throw new Error('boom');
    };
    kernel.netisr.schedule(work('a', boom));
    kernel.netisr.schedule(work('b'));
    expect(() => world.run(1)).toThrow('boom');
    world.run(1);
    expect(ran).toEqual(['a', 'b']);
    expect(kernel.netisr.counters.overbudget).toBe(0);
  });
});
