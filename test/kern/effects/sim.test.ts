import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { SimRandom, SimWorld } from '../../../src/kern/effects/sim.ts';

describe('simulated world', () => {
  it('runs events by time, equal ones in the order in which they were made', () => {
    const world = new SimWorld();
    const log: string[] = [];
    for (const [ms, name] of [
      [30, 'd'],
      [10, 'a'],
      [20, 'c'],
      [10, 'b'],
    ] as const)
      world.at(ms, () => log.push(`${name}@${world.nowMs()}`));
    world.run(25);
    expect(log).toEqual(['a@10', 'b@10', 'c@20']);
    expect(world.nowMs()).toBe(25);
    world.run(5);
    expect(log.at(-1)).toBe('d@30');
  });

  it('runs deferred work after the present event, before the next; yielded work is the next event of the same time', () => {
    const world = new SimWorld();
    const { defer, yield: yieldTo } = world.effects('k');
    const log: string[] = [];
    world.at(10, () => {
      log.push('event 1');
      defer(() => {
        log.push('deferred');
        defer(() => log.push('deferred again'));
      });
      yieldTo(() => log.push('yielded'));
    });
    world.at(10, () => log.push('event 2'));
    world.at(11, () => log.push('event 3'));
    world.run(20);
    expect(log).toEqual(['event 1', 'deferred', 'deferred again', 'event 2', 'yielded', 'event 3']);
  });

  it('runs what was deferred outside of events with the next step or run', () => {
    const world = new SimWorld();
    const log: string[] = [];
    world.effects('k').defer(() => log.push('x'));
    world.run(0);
    expect(log).toEqual(['x']);
    expect(world.step()).toBe(false);
  });

  it('cancels, also very many', () => {
    const world = new SimWorld();
    let n = 0;
    const cancel = world.after(10, () => n++);
    cancel();
    cancel();
    for (let i = 0; i < 5000; i++) {
      const undo = world.after(1000 + i, () => n++);
      if (i % 10 !== 0) undo();
    }
    expect(world.pending()).toBe(500);
    world.run(10_000);
    expect(n).toBe(500);
    expect(world.pending()).toBe(0);
  });

  it('gives timers that replace their deadline', () => {
    const world = new SimWorld();
    const timer = world.effects('k').newTimer();
    const log: number[] = [];
    timer.arm(10, () => log.push(world.nowMs()));
    timer.arm(20, () => log.push(world.nowMs()));
    world.run(50);
    timer.arm(5, () => log.push(-1));
    timer.disarm();
    world.run(50);
    expect(log).toEqual([20]);
  });

  it('runs until something holds, or not', () => {
    const world = new SimWorld();
    let n = 0;
    const tick = (): void => {
      n++;
      world.after(10, tick);
    };
    tick();
    expect(world.runUntil(() => n === 5, 1000)).toBe(true);
    expect(world.nowMs()).toBe(40);
    expect(world.runUntil(() => n === 1000, 100)).toBe(false);
    expect(world.nowMs()).toBe(140);
  });

  it('says so when time stands still', () => {
    const world = new SimWorld();
    const again = (): void => void world.after(0, again);
    again();
    expect(() => world.run(1)).toThrow('time stands still at 0 ms');
  });

  it('is the same run with the same seed, another with another; kernels have streams of their own', () => {
    const draw = (seed: number, name: string) => {
      const { random } = new SimWorld({ seed }).effects(name);
      const bytes = new Uint8Array(8);
      random.fill(bytes);
      return [random.u32(), random.u32(), ...bytes];
    };
    expect(draw(1, 'a')).toEqual(draw(1, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'));
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'));
    expect(new SimWorld(3).random.u32()).toBe(new SimWorld({ seed: 3 }).random.u32());
  });

  it('draws evenly', () => {
    const random = new SimRandom(5);
    const bins = new Array<number>(16).fill(0);
    for (let i = 0; i < 64_000; i++) bins[random.below(16)]!++;
    for (const n of bins) expect(Math.abs(n - 4000)).toBeLessThan(300);
    const x = random.float();
    expect(x >= 0 && x < 1).toBe(true);
  });

  it('has two clocks', () => {
    const world = new SimWorld({ startMs: 1000 });
    const { clock } = world.effects('k');
    world.run(500);
    expect([clock.monotonicMs(), new Date(clock.realtimeMs()).toISOString()]).toEqual([1500, '2025-01-01T00:00:00.500Z']);
  });

  it('is silent, or collects the log by level and subsystem', () => {
    const silent = new SimWorld();
    silent.effects('k').log.error({}, 'unheard');
    expect(silent.lines).toEqual([]);
    const world = new SimWorld({ log: 'warn,tcp=debug' });
    const { log } = world.effects('k');
    const tcp = log.child('tcp');
    world.run(7);
    log.info({}, 'no');
    log.warn({ a: 1 }, 'yes');
    tcp.debug({}, 'yes');
    tcp.child('cc').debug({}, 'inherits');
    tcp.trace({}, 'no');
    expect(world.lines).toEqual([
      { ms: 7, kernel: 'k', subsystem: '', level: 'warn', msg: 'yes', fields: { a: 1 } },
      { ms: 7, kernel: 'k', subsystem: 'tcp', level: 'debug', msg: 'yes', fields: {} },
      { ms: 7, kernel: 'k', subsystem: 'tcp.cc', level: 'debug', msg: 'inherits', fields: {} },
    ]);
    expect([log.enabled('info'), tcp.enabled('debug')]).toEqual([false, true]);
    world.setLog('tcp=error');
    expect(tcp.enabled('debug')).toBe(false);
    expect(() => world.setLog('loud')).toThrow('bad log level');
  });

  it('lets promises and streams of the host settle between events', async () => {
    const world = new SimWorld();
    const stream = new PassThrough();
    const seen: string[] = [];
    stream.on('data', (chunk: Buffer) => seen.push(`${chunk.toString()}@${world.nowMs()}`));
    stream.on('end', () => seen.push(`end@${world.nowMs()}`));
    world.at(10, () => stream.write('a'));
    world.at(20, () => stream.end('b'));
    world.at(30, () => undefined);
    await world.runAsync(100);
    expect(seen).toEqual(['a@10', 'b@20', 'end@20']);
    expect(world.nowMs()).toBe(100);
    world.after(5, () => void Promise.resolve().then(() => seen.push('later')));
    expect(await world.runUntilAsync(() => seen.includes('later'), 100)).toBe(true);
    expect(world.nowMs()).toBe(105);
    expect(await world.runUntilAsync(() => false, 10)).toBe(false);
  });
});
