import { describe, expect, it, vi } from 'vitest';
import { realEffects } from '../../../src/kern/effects/real.ts';
import { LogLevels, parseLogSpec } from '../../../src/kern/logspec.ts';

function lines() {
  const out: Record<string, unknown>[] = [];
  return { out, logTo: { write: (line: string) => void out.push(JSON.parse(line) as Record<string, unknown>) } };
}

describe('real effects', () => {
  it('have clocks that go on', () => {
    const { clock } = realEffects({ log: 'silent' });
    const a = clock.monotonicMs();
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(a);
    expect(clock.realtimeMs()).toBeGreaterThan(Date.UTC(2024, 0, 1));
  });

  it('tell the time of day with a resolution finer than a millisecond, and follow when it is set', () => {
    const { clock } = realEffects({ log: 'silent' });
    const seen = Array.from({ length: 1000 }, () => clock.realtimeMs());
    expect(seen.some((ms) => !Number.isInteger(ms))).toBe(true);
    expect(Math.abs(clock.realtimeMs() - Date.now())).toBeLessThan(1000);
    vi.spyOn(Date, 'now').mockReturnValue(1_000_000);
    expect(clock.realtimeMs()).toBe(1_000_000);
    vi.restoreAllMocks();
    expect(clock.realtimeMs()).toBeGreaterThan(Date.UTC(2024, 0, 1));
  });

  it('have a timer that replaces its deadline and can be disarmed', async () => {
    const timer = realEffects({ log: 'silent' }).newTimer();
    const fired: string[] = [];
    await new Promise<void>((resolve) => {
      timer.arm(100_000, () => fired.push('never'));
      timer.arm(1, () => {
        fired.push('now');
        resolve();
      });
      // The kernel's timers keep no process alive; the test has to.
      setTimeout(() => undefined, 1000);
    });
    timer.arm(1, () => fired.push('disarmed'));
    timer.disarm();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(fired).toEqual(['now']);
  });

  it('have random numbers that differ', () => {
    const { random } = realEffects({ log: 'silent' });
    // More than one page of the pool.
    const drawn = Array.from({ length: 3000 }, () => random.u32());
    expect(drawn.every((n) => Number.isInteger(n) && n >= 0 && n < 2 ** 32)).toBe(true);
    expect(new Set(drawn).size).toBeGreaterThan(2990);
    const bytes = new Uint8Array(64);
    random.fill(bytes);
    expect(new Set(bytes).size).toBeGreaterThan(16);
  });

  it('defer to the end of the present call, and yield to the host', async () => {
    const { defer, yield: yieldTo } = realEffects({ log: 'silent' });
    const log: string[] = [];
    await new Promise<void>((resolve) => {
      yieldTo(() => {
        log.push('yielded');
        resolve();
      });
      defer(() => log.push('deferred'));
      log.push('call');
    });
    expect(log).toEqual(['call', 'deferred', 'yielded']);
  });

  it('log as lines of JSON with the name of the subsystem, at levels that can change', () => {
    const { out, logTo } = lines();
    const effects = realEffects({ log: 'warn,tcp=debug', name: 'k0', logTo });
    const tcp = effects.log.child('tcp');
    effects.log.info({}, 'no');
    tcp.debug({ seq: 1 }, 'yes');
    tcp.child('cc').error({}, 'too');
    expect(out).toMatchObject([
      { kernel: 'k0', subsys: 'tcp', seq: 1, msg: 'yes', level: 20 },
      { subsys: 'tcp.cc', msg: 'too', level: 50 },
    ]);
    expect(effects.setLog('info,tcp=silent')).toBeNull();
    effects.log.info({}, 'now');
    tcp.error({}, 'no');
    expect(out).toHaveLength(3);
    expect(effects.setLog('tcp=loud')).toContain('levels trace debug info warn error silent');
    expect(effects.logLevels.describe()).toBe('info,tcp=silent');
    expect(() => realEffects({ log: 'x' })).toThrow('bad log level');
  });
});

describe('log specifications', () => {
  it('are a level, subsystems with levels, or both', () => {
    const read = (text: string) => {
      const spec = parseLogSpec(text);
      return 'error' in spec ? 'error' : [spec.level, Object.fromEntries(spec.subsystems)];
    };
    expect(read('info')).toEqual(['info', {}]);
    expect(read('tcp=trace, arp=WARN')).toEqual([null, { tcp: 'trace', arp: 'warn' }]);
    expect(read('error,sysinit=debug')).toEqual(['error', { sysinit: 'debug' }]);
    for (const bad of ['', 'loud', 'tcp=', '=info', 'tcp=info=x', 'info,,', 'a b=info'])
      expect([bad, read(bad)]).toEqual([bad, 'error']);
  });

  it('change only what they name', () => {
    const levels = new LogLevels('info');
    const apply = (text: string) =>
      levels.apply(parseLogSpec(text) as Exclude<ReturnType<typeof parseLogSpec>, { error: string }>);
    apply('tcp=debug');
    apply('warn');
    expect(levels.describe()).toBe('warn,tcp=debug');
    expect(levels.rankOf('tcp.timer')).toBe(levels.rankOf('tcp'));
    expect(levels.rankOf('ip')).toBe(levels.rankOf(''));
  });
});
