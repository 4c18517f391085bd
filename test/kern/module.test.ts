import { describe, expect, it } from 'vitest';
import { type Errno, isErrno } from '../../src/kern/errno.ts';
import type { Kernel } from '../../src/kern/kernel.ts';
import {
  KERN_CONTRACT,
  type ModuleDepend,
  type ModuleEvent,
  type ModuleInstance,
  type ModuleSpec,
  chooseVersion,
} from '../../src/kern/module.ts';
import { bindObject, defineClass } from '../../src/kern/kobj.ts';
import { Proc } from '../../src/kern/proc/proc.ts';
import { AF_INET, type ProtoMethods, SOCK_STREAM, protoInterface } from '../../src/kern/socket/protosw.ts';
import { SI_SUB, type SysinitEntry } from '../../src/kern/sysinit.ts';
import type { Undo } from '../../src/kern/undo.ts';
import { TestLink, TestStack, bootedKernel, mod, newKernel, ok, stackModule } from './support.ts';

const need = (name: string, min = 1, preferred = min, max = preferred): ModuleDepend => ({ name, min, preferred, max });

/** A module that notes its events in `log` and answers them from `answers`. */
function noting(
  log: string[],
  name: string,
  more: Partial<ModuleSpec> = {},
  answers: Partial<Record<ModuleEvent, Errno>> = {},
): ModuleSpec {
  return mod(name, more, (_kernel, own) => ({
    event: (what) => {
      log.push(`${name} ${what}`);
      if (what === 'load') own(() => log.push(`${name} undone`));
      return answers[what] ?? null;
    },
    sysinits: [
      {
        level: 'DRIVERS',
        order: 'ANY',
        name: 'start',
        run: () => (log.push(`${name} start`), null),
        undo: () => void log.push(`${name} stop`),
      },
    ],
  }));
}

describe('choice of a version', () => {
  const versions = [1, 2, 3, 5].map((version) => ({ version }));
  it('takes the preferred one at once, else the highest in range', () => {
    expect(chooseVersion(need('m', 1, 2, 5), versions)?.version).toBe(2);
    expect(chooseVersion(need('m', 1, 4, 4), versions)?.version).toBe(3);
    expect(chooseVersion(need('m', 1, 4, 9), versions)?.version).toBe(5);
    expect(chooseVersion(need('m', 6, 6, 9), versions)).toBeNull();
  });
});

describe('preload', () => {
  it('loads in the order of dependencies, whatever the order of preloading; shutdown is the reverse', () => {
    const log: string[] = [];
    const { kernel } = newKernel();
    kernel.modules.preload(noting(log, 'c', { depends: [need('b')] }));
    kernel.modules.preload(noting(log, 'a'));
    kernel.modules.preload(noting(log, 'b', { depends: [need('a'), need('kernel', KERN_CONTRACT)] }));
    expect(kernel.boot()).toBeNull();
    expect(log).toEqual(['a load', 'b load', 'c load', 'a start', 'b start', 'c start']);
    expect(kernel.modules.list()).toEqual([
      { id: 1, refs: 4, name: 'kernel', version: KERN_CONTRACT },
      { id: 2, refs: 2, name: 'a', version: 1 },
      { id: 3, refs: 2, name: 'b', version: 1 },
      { id: 4, refs: 1, name: 'c', version: 1 },
    ]);
    log.length = 0;
    kernel.shutdown();
    expect(log).toEqual([
      ...['c shutdown', 'b shutdown', 'a shutdown', 'c stop', 'b stop', 'a stop'],
      ...['c undone', 'b undone', 'a undone'],
    ]);
  });

  it('does not load before what it needs, even at an earlier level', () => {
    const log: string[] = [];
    const { kernel } = newKernel();
    kernel.modules.preload(noting(log, 'early', { level: 'KLD', depends: [need('late')] }));
    kernel.modules.preload(noting(log, 'late', { level: 'CONFIGURE' }));
    expect(kernel.boot()).toBeNull();
    expect(log.filter((line) => line.endsWith('load'))).toEqual(['late load', 'early load']);
  });

  it('refuses a name twice, another contract, and what is no module', () => {
    const { kernel } = newKernel();
    expect(kernel.modules.preload(mod('a'))).toBeNull();
    expect(kernel.modules.preload(mod('a', { version: 2 }))).toEqual({
      err: 'EEXIST',
      message: 'cannot register a; already loaded',
    });
    expect(kernel.modules.preload(mod('old', { contract: KERN_CONTRACT + 1 }))).toEqual({
      err: 'ENOEXEC',
      message: `module old was built for kernel contract ${KERN_CONTRACT + 1}; this kernel has contract ${KERN_CONTRACT}`,
    });
    expect(kernel.modules.preload({} as ModuleSpec)?.message).toContain('not a module');
    expect(kernel.modules.preload(null as unknown as ModuleSpec)?.err).toBe('ENOEXEC');
    expect(kernel.modules.preload(mod('kernel'))?.message).toContain("cannot be a module's name");
    expect(kernel.modules.preload(mod('v', { version: NaN }))?.message).toContain('has no version');
    expect(kernel.modules.preload(mod('r', { depends: [need('a', 3, 2, 4)] }))?.message).toContain('range');
    kernel.boot();
    expect(kernel.modules.preload(mod('b'))?.err).toBe('EBUSY');
  });

  it.each<[string, ModuleSpec[], string]>([
    ['missing', [mod('x', { depends: [need('y', 1, 2, 3)] })], 'module x depends on y version 1 to 3, which is missing'],
    ['too old', [mod('x', { depends: [need('y', 2)] }), mod('y')], 'module x needs y version 2, found version 1'],
    [
      'wrong kernel',
      [mod('x', { depends: [need('kernel', 99)] })],
      `module x needs kernel version 99, found version ${KERN_CONTRACT}`,
    ],
    [
      'circle',
      [mod('x', { depends: [need('y')] }), mod('y', { depends: [need('x')] })],
      'module x depends on y, which waits for it or cannot be loaded',
    ],
  ])('says what stands in the way: %s', (_what, specs, message) => {
    const { kernel } = newKernel();
    for (const spec of specs) kernel.modules.preload(spec);
    expect(kernel.boot()).toEqual({ err: 'ENOEXEC', message });
    expect(kernel.state()).toBe('down');
    expect(kernel.modules.list()).toHaveLength(1);
  });

  it('boots without an optional module that fails, and says why it is missing', () => {
    const log: string[] = [];
    const { kernel } = newKernel();
    kernel.modules.preload(noting(log, 'fails', {}, { load: 'ENXIO' }), { optional: true });
    kernel.modules.preload(mod('alone', { depends: [need('fails')] }), { optional: true });
    kernel.modules.preload(mod('lost', { depends: [need('nowhere')] }), { optional: true });
    kernel.modules.preload(noting(log, 'good'));
    expect(kernel.boot()).toBeNull();
    expect(log).toEqual(['fails load', 'fails unload', 'fails undone', 'good load', 'good start']);
    expect(kernel.modules.failures.map((failure) => failure.message)).toEqual([
      'module lost depends on nowhere version 1, which is missing',
      'module fails failed to load: ENXIO',
      'module alone lost fails, which failed',
    ]);
    expect(kernel.modules.list().map(({ name }) => name)).toEqual(['kernel', 'good']);
  });

  it('takes an optional module back when one of its start-up entries fails; a required one that needs it ends the boot', () => {
    const failing = mod('failing', {}, () => ({
      event: () => null,
      sysinits: [{ level: 'DRIVERS', order: 'FIRST', name: 'start', run: () => 'EIO' }],
    }));
    const log: string[] = [];
    const alone = newKernel();
    alone.kernel.modules.preload(failing, { optional: true });
    expect(alone.kernel.boot()).toBeNull();
    expect(alone.kernel.modules.failures[0]?.message).toBe('module failing: start: EIO at DRIVERS');
    const needed = newKernel();
    needed.kernel.modules.preload(failing, { optional: true });
    needed.kernel.modules.preload(noting(log, 'user', { depends: [need('failing')] }));
    expect(needed.kernel.boot()?.message).toBe('module failing: start: EIO at DRIVERS');
    expect(log).toEqual(['user load', 'user unload', 'user undone']);
  });

  it('pulls in what is offered and needed, and nothing else', () => {
    const { kernel } = newKernel();
    for (const version of [1, 2, 3]) expect(kernel.modules.offer(mod('lib', { version }))).toBeNull();
    expect(kernel.modules.offer(mod('lib', { version: 2 }))?.message).toBe('module lib version 2 already present');
    kernel.modules.offer(mod('unused'));
    kernel.modules.preload(mod('a', { depends: [need('lib', 1, 5, 9)] }));
    kernel.modules.preload(mod('b', { depends: [need('lib', 1, 1, 9)] }));
    expect(kernel.boot()).toBeNull();
    expect(kernel.modules.list().map(({ name, version, refs }) => `${name}.${version} ${refs}`)).toEqual([
      'kernel.1 4',
      'lib.3 3',
      'a.1 1',
      'b.1 1',
    ]);
    expect(kernel.modules.offers()).toEqual(['lib', 'unused']);
  });

  it('turns a throw into a failure', () => {
    const boom = (): never => {
      throw new Error('boom');
    };
    const { kernel } = newKernel();
    kernel.modules.preload(mod('create', {}, boom), { optional: true });
    kernel.modules.preload(
      mod('event', {}, () => ({ event: boom })),
      { optional: true },
    );
    kernel.modules.preload(
      mod('entry', {}, () => ({ sysinits: [{ level: 'DRIVERS', order: 'ANY', name: 'e', run: boom }] })),
      { optional: true },
    );
    expect(kernel.boot()).toBeNull();
    expect(kernel.modules.failures.map((failure) => failure.message)).toEqual([
      'module create cannot be created: Error: boom',
      'module event failed to load: ENOEXEC',
      'module entry: e: ENOEXEC at DRIVERS',
    ]);
  });
});

describe('load at run time', () => {
  it('runs all start-up levels at once, announces the module, and shutdown takes it back', () => {
    const log: string[] = [];
    const { kernel } = bootedKernel();
    kernel.events.on('kld_load', ({ name }) => log.push(`kld_load ${name}`));
    expect(kernel.modules.load(noting(log, 'a'))).toBeNull();
    expect(log).toEqual(['a load', 'a start', 'kld_load a']);
    log.length = 0;
    kernel.shutdown();
    expect(log).toEqual(['a shutdown', 'a stop', 'a undone']);
  });

  it('is refused when the module is there, or the kernel is not up', () => {
    const { kernel } = bootedKernel();
    kernel.modules.load(mod('a'));
    expect(kernel.modules.load(mod('a'))).toEqual({ err: 'EEXIST', message: 'cannot register a; already loaded' });
    expect(newKernel().kernel.modules.load(mod('a'))?.err).toBe('EBUSY');
  });

  it('brings what it needs along, and takes it back when it fails itself', () => {
    const log: string[] = [];
    const { kernel } = bootedKernel();
    kernel.modules.offer(noting(log, 'base'));
    kernel.modules.offer(noting(log, 'lib', { depends: [need('base')] }));
    expect(kernel.modules.load(noting(log, 'bad', { depends: [need('lib')] }, { load: 'EIO' }))).toEqual({
      err: 'ENOEXEC',
      message: 'module bad failed to load: EIO',
    });
    expect(kernel.modules.list()).toHaveLength(1);
    expect(log.filter((line) => line.endsWith('undone'))).toEqual(['bad undone', 'lib undone', 'base undone']);
    expect(kernel.modules.load(mod('good', { depends: [need('lib')] }))).toBeNull();
    expect(kernel.modules.list().map(({ name }) => name)).toEqual(['kernel', 'base', 'lib', 'good']);
    expect(kernel.modules.load(mod('x', { depends: [need('lib', 7)] }))?.message).toBe(
      'module x needs lib version 7, found version 1',
    );
    kernel.modules.offer(mod('ring', { depends: [need('ringed')] }));
    kernel.modules.offer(mod('ringed', { depends: [need('ring')] }));
    expect(kernel.modules.load(mod('y', { depends: [need('ring')] }))?.message).toBe(
      'module ring depends on itself: y -> ring -> ringed -> ring',
    );
    expect(kernel.modules.list()).toHaveLength(4);
  });
});

/** Registers with everything that a kernel has; `fail` is what the last start-up entry answers. */
function everything(fail: Errno | null): ModuleSpec {
  return mod('everything', { level: 'NETSTACK' }, (kernel, own) => {
    const keep = (undo: Undo | Errno): Errno | null => {
      if (typeof undo === 'string') return undo;
      own(undo);
      return null;
    };
    const proto = { name: 'p', type: SOCK_STREAM, protocol: 6, flags: 0, methods: protoMethods() };
    const entry = (level: SysinitEntry['level'], name: string, run: () => Errno | null): SysinitEntry => ({
      level,
      order: 'ANY',
      name,
      run,
    });
    return {
      event: (what) => {
        if (what !== 'load') return null;
        const stack = new TestStack().methods();
        own(() => kernel.netstack.unregister(stack));
        return kernel.netstack.register('everything', stack);
      },
      sysinits: [
        entry('INIT_IF', 'interface', () => {
          const ifp = ok(kernel.ifnets.attach('every', 0, new TestLink({ lladdr: Uint8Array.of(0, 1, 2, 3, 4, 5) }).link()));
          own(() => void kernel.ifnets.detach(ifp));
          return null;
        }),
        entry('DRIVERS', 'sysctl', () => {
          return keep(kernel.sysctl.add({ name: 'net.every.thing', descr: '', flags: 'rd', type: 'int', get: () => 1 }));
        }),
        entry('DRIVERS', 'counters', () => keep(kernel.counters.add('every', { n: 1 }))),
        entry('DRIVERS', 'event', () => keep(kernel.events.on('every_event', () => undefined))),
        entry('DRIVERS', 'filter', () => keep(kernel.accfilters.add({ name: 'every', ready: () => true }))),
        entry('DRIVERS', 'uuid', () => {
          const mac = Uint8Array.of(0, 9, 9, 9, 9, 9);
          const err = kernel.uuid.etherAdd(mac);
          if (err === null) own(() => void kernel.uuid.etherDel(mac));
          return err;
        }),
        entry('PROTO_DOMAIN', 'domain', () => keep(kernel.domains.add({ family: AF_INET, name: 'inet', protosw: [proto] }))),
        entry('PROTO_DOMAIN', 'ioctls', () => keep(kernel.iocgroups.add('i', () => null))),
        entry('SYSCALLS', 'syscalls', () => keep(kernel.syscalls.register('everything', { setfib: () => 0, every: () => 1 }))),
        entry('VNET_DONE', 'fail', () => fail),
      ],
    };
  });
}

function protoMethods(): ProtoMethods {
  return bindObject(defineClass<null, ProtoMethods>({ name: 'p', implements: protoInterface, methods: {} }), null);
}

/** What a look at every registry finds. */
function traces(kernel: Kernel): Record<string, unknown> {
  return {
    stack: kernel.netstack.name,
    sysctl: kernel.sysctl.walk('net.every'),
    counters: [kernel.counters.get('every', 'n'), kernel.counters.get('if.every0', 'ipackets')],
    events: kernel.events.count('every_event'),
    filter: kernel.accfilters.find('every'),
    uuid: [kernel.uuid.etherDel(Uint8Array.of(0, 9, 9, 9, 9, 9)), kernel.uuid.etherDel(Uint8Array.of(0, 1, 2, 3, 4, 5))],
    domain: kernel.domains.find(AF_INET, SOCK_STREAM, 0),
    ioctl: kernel.iocgroups.dispatch(null, 'i'.charCodeAt(0) << 8, null),
    syscalls: [kernel.syscalls.has('setfib'), kernel.syscalls.has('every')],
    ifnets: kernel.ifnets.all(),
    modules: kernel.modules.list().length,
  };
}

const NOTHING = {
  stack: 'none',
  sysctl: [],
  counters: [undefined, undefined],
  events: 0,
  filter: null,
  uuid: ['ENOENT', 'ENOENT'],
  domain: 'EAFNOSUPPORT',
  ioctl: 'ENOIOCTL',
  syscalls: [false, false],
  ifnets: [],
  modules: 1,
};

describe('a module that fails leaves nothing behind', () => {
  it('registers with everything when it does not fail', () => {
    const { kernel } = newKernel();
    kernel.modules.preload(everything(null));
    expect(kernel.boot()).toBeNull();
    const found = traces(kernel);
    for (const [what, value] of Object.entries(NOTHING)) expect([what, found[what]]).not.toEqual([what, value]);
  });

  it('at start-up, optional', () => {
    const { kernel } = newKernel();
    kernel.modules.preload(everything('EIO'), { optional: true });
    expect(kernel.boot()).toBeNull();
    expect(kernel.modules.failures[0]?.message).toBe('module everything: fail: EIO at VNET_DONE');
    expect(traces(kernel)).toEqual(NOTHING);
  });

  it('at start-up, required', () => {
    const { kernel } = newKernel();
    kernel.modules.preload(everything('EIO'));
    expect(kernel.boot()?.message).toBe('module everything: fail: EIO at VNET_DONE');
    expect(traces(kernel)).toEqual(NOTHING);
  });

  it('at run time, where the frozen registries refuse it', () => {
    const { world, kernel } = bootedKernel();
    expect(kernel.modules.load(everything(null))).toEqual({
      err: 'ENOEXEC',
      message: 'module everything: domain: EPERM at PROTO_DOMAIN',
    });
    expect(world.lines.some((line) => line.level === 'error' && line.subsystem === 'domain')).toBe(true);
    expect(traces(kernel)).toEqual(NOTHING);
  });

  it('after an ordinary shutdown', () => {
    const { kernel } = newKernel();
    kernel.modules.preload(everything(null));
    kernel.boot();
    kernel.shutdown();
    expect(traces(kernel)).toEqual(NOTHING);
  });

  it('a second stack: EEXIST, rolled back, the first one stays', () => {
    const { kernel } = newKernel();
    kernel.modules.preload(stackModule(new TestStack(), 'one'));
    kernel.modules.preload(stackModule(new TestStack(), 'two'), { optional: true });
    expect(kernel.boot()).toBeNull();
    expect(kernel.modules.failures[0]?.message).toBe('module netstack_two failed to load: EEXIST');
    expect(kernel.netstack.name).toBe('one');
    expect(kernel.modules.load(stackModule(new TestStack(), 'three'))?.err).toBe('ENOEXEC');
  });
});

describe('unload', () => {
  it('asks, drains, undoes in reverse, and announces', async () => {
    const log: string[] = [];
    const { kernel } = bootedKernel();
    kernel.events.on('kld_unload', ({ name, id }) => log.push(`kld_unload ${name} ${id}`));
    kernel.modules.load(noting(log, 'a'));
    log.length = 0;
    expect(await kernel.modules.unload('a')).toBeNull();
    expect(log).toEqual(['a quiesce', 'a unload', 'a stop', 'a undone', 'kld_unload a 2']);
    expect(await kernel.modules.unload('a')).toEqual({ err: 'ENOENT', message: 'module a is not loaded' });
    expect(kernel.modules.load(noting(log, 'a'))).toBeNull();
    kernel.shutdown();
    expect(log.filter((line) => line === 'a undone')).toHaveLength(2);
  });

  it('works for a preloaded module too, which a shutdown then leaves alone', async () => {
    const log: string[] = [];
    const { kernel } = newKernel();
    kernel.modules.preload(noting(log, 'a'));
    kernel.boot();
    expect(await kernel.modules.unload('a')).toBeNull();
    log.length = 0;
    kernel.shutdown();
    expect(log).toEqual([]);
  });

  it('is refused while somebody needs it, by name', async () => {
    const { kernel } = bootedKernel();
    const log: string[] = [];
    kernel.modules.load(noting(log, 'lib'));
    kernel.modules.load(noting(log, 'user', { depends: [need('lib')] }));
    const undo = kernel.modules.hold('lib', 'interface tap0') as Undo;
    expect(kernel.modules.hold('nope', 'x')).toBe('ENOENT');
    expect(await kernel.modules.unload('lib')).toEqual({ err: 'EBUSY', message: 'module lib is in use by user, interface tap0' });
    expect(kernel.modules.list().find(({ name }) => name === 'lib')?.refs).toBe(3);
    await kernel.modules.unload('user');
    expect((await kernel.modules.unload('lib'))?.message).toBe('module lib is in use by interface tap0');
    undo();
    undo();
    expect(await kernel.modules.unload('lib')).toBeNull();
  });

  it('is refused by a handler of kld_unload_try', async () => {
    const { kernel } = bootedKernel();
    const log: string[] = [];
    kernel.modules.load(noting(log, 'a'));
    const undo = kernel.events.on('kld_unload_try', (stat, veto) => veto.refuse('EPERM', `keep ${stat.name}`));
    expect(await kernel.modules.unload('a')).toEqual({ err: 'EBUSY', message: 'unloading a was refused: keep a' });
    expect(log).not.toContain('a quiesce');
    undo();
    expect(await kernel.modules.unload('a')).toBeNull();
  });

  it('is refused by quiesce unless forced, and by unload always; EOPNOTSUPP and EINVAL of quiesce count as yes', async () => {
    const load = (answers: Partial<Record<ModuleEvent, Errno>>) => {
      const { kernel } = bootedKernel();
      kernel.modules.load(noting([], 'a', {}, answers));
      return kernel.modules;
    };
    expect((await load({ quiesce: 'EBUSY' }).unload('a'))?.message).toBe('module a does not come to rest: EBUSY');
    expect(await load({ quiesce: 'EBUSY' }).unload('a', true)).toBeNull();
    expect(await load({ quiesce: 'EOPNOTSUPP' }).unload('a')).toBeNull();
    expect(await load({ quiesce: 'EINVAL' }).unload('a')).toBeNull();
    expect(await load({ unload: 'EBUSY' }).unload('a', true)).toEqual({
      err: 'EBUSY',
      message: 'module a refused to unload: EBUSY',
    });
    const silent = bootedKernel().kernel.modules;
    silent.load(mod('silent'));
    expect((await silent.unload('silent'))?.err).toBe('EBUSY');
  });

  it('is refused for a stack and for the kernel', async () => {
    const { kernel } = newKernel();
    kernel.modules.preload(stackModule(new TestStack(), 'x'));
    kernel.boot();
    expect((await kernel.modules.unload('netstack_x'))?.err).toBe('EOPNOTSUPP');
    expect((await kernel.modules.unload('kernel'))?.err).toBe('EBUSY');
    expect(kernel.netstack.name).toBe('x');
  });

  it('waits for callers inside its system calls before it takes anything apart', async () => {
    const log: string[] = [];
    let finish = (): void => undefined;
    const spec = mod('slow', {}, (kernel, own): ModuleInstance => ({
      event: (what) => {
        if (what === 'load') own(() => log.push('undone'));
        return null;
      },
      sysinits: [
        {
          level: 'SYSCALLS',
          order: 'ANY',
          name: 'calls',
          run: () => {
            const undo = kernel.syscalls.register('slow', { wait: () => new Promise<void>((resolve) => (finish = resolve)) });
            if (typeof undo === 'string') return undo;
            own(undo);
            return null;
          },
        },
      ],
    }));
    const { kernel } = newKernel();
    kernel.modules.preload(spec);
    kernel.boot();
    const call = kernel.syscalls.call({} as never, 'wait') as Promise<void>;
    const gone = kernel.modules.unload('slow');
    expect(kernel.syscalls.call({} as never, 'wait')).toBe('ENOSYS');
    expect((await kernel.modules.unload('slow'))?.message).toBe('module slow is being unloaded');
    expect(kernel.modules.hold('slow', 'x')).toBe('EBUSY');
    expect(log).toEqual([]);
    finish();
    await call;
    expect(await gone).toBeNull();
    expect(log).toEqual(['undone']);
  });
});

describe('order', () => {
  it('a stack loads at NETSTACK, before drivers and domains', () => {
    const { world, kernel } = newKernel({}, 'info,sysinit=debug');
    kernel.modules.preload(stackModule(new TestStack(), 'x'));
    kernel.boot();
    const levels = world.lines
      .filter((line) => line.subsystem === 'sysinit')
      .map((line) => [line.msg, (line.fields as { at: keyof typeof SI_SUB }).at] as const);
    expect(levels).toContainEqual(['run load netstack_x', 'NETSTACK']);
    const order = levels.map(([, level]) => SI_SUB[level]);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });
});

describe('what is easily got wrong', () => {
  it('a start-up entry that failed is not undone, at shutdown neither', () => {
    const log: string[] = [];
    const { kernel } = newKernel();
    const failing = mod('failing', {}, () => ({
      event: () => null,
      sysinits: [
        { level: 'DRIVERS', order: 'FIRST', name: 'one', run: () => null, undo: () => void log.push('undo one') },
        { level: 'DRIVERS', order: 'SECOND', name: 'two', run: () => 'EIO', undo: () => void log.push('undo two') },
      ],
    }));
    kernel.modules.preload(failing, { optional: true });
    expect(kernel.boot()).toBeNull();
    expect(log).toEqual(['undo one']);
    kernel.shutdown();
    expect(log).toEqual(['undo one']);
  });

  it('a module of the wrong shape is refused, and nothing throws', () => {
    const { kernel } = bootedKernel();
    const entry = { level: 'NOWHERE' as never, order: 'ANY' as const, name: 'n', run: () => null };
    for (const spec of [
      mod('x', {}, () => undefined as never),
      mod('x', {}, () => ({ sysinits: [entry] })),
      mod('x', { depends: 'y' as never }),
      mod('x', { depends: [null] as never }),
      mod('x', { level: 'NOWHERE' as never }),
    ])
      expect(kernel.modules.load(spec)?.err).toBe('ENOEXEC');
    expect(kernel.modules.list()).toHaveLength(1);
  });

  it('routines of plain JavaScript that return nothing have nothing to complain of', () => {
    const { kernel } = bootedKernel();
    const quiet = (() => undefined) as never;
    const sysinits = [{ level: 'DRIVERS' as const, order: 'ANY' as const, name: 'n', run: quiet }];
    expect(kernel.modules.load(mod('plain', {}, () => ({ event: quiet, sysinits })))).toBeNull();
    expect(kernel.modules.list().map(({ name }) => name)).toContain('plain');
  });

  it('nothing can be loaded on top of a module that is being unloaded', async () => {
    const { kernel } = newKernel();
    let leave = (): void => undefined;
    const slow = (): Promise<void> => new Promise((resolve) => (leave = resolve));
    const base = mod('base', {}, (k, own) => ({
      event: () => null,
      sysinits: [
        {
          level: 'SYSCALLS',
          order: 'MIDDLE',
          name: 'calls',
          run: () => {
            const undo = k.syscalls.register('base', { slow });
            if (isErrno(undo)) return undo;
            own(undo);
            return null;
          },
        },
      ],
    }));
    kernel.modules.preload(base);
    expect(kernel.boot()).toBeNull();
    const inside = kernel.syscalls.call(new Proc(kernel), 'slow');
    const unloading = kernel.modules.unload('base');
    expect(kernel.modules.load(mod('user', { depends: [need('base')] }))?.message).toBe(
      'module user depends on base, which is being unloaded',
    );
    leave();
    await inside;
    expect(await unloading).toBeNull();
    expect(kernel.modules.list()).toHaveLength(1);
  });
});
