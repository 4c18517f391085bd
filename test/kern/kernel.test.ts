import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Callout } from '../../src/kern/callout.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { KERN_OSRELEASE } from '../../src/kern/mib.ts';
import { KERN_CONTRACT } from '../../src/kern/module.ts';
import { AF_INET, AF_LOCAL, SOCK_STREAM } from '../../src/kern/socket/protosw.ts';
import { TestLink, TestStack, bootedKernel, newKernel, ok, stackModule } from './support.ts';

describe('a kernel without a stack', () => {
  it('boots, with the typed default of every method', () => {
    const { kernel } = bootedKernel();
    expect(kernel.state()).toBe('up');
    const { netstack } = kernel;
    expect(netstack.name).toBe('none');
    const { current } = netstack;
    expect([current.capabilities(), current.validFib(0), current.validFib(1), current.ioctl(0, null), current.busy()]).toEqual([
      0,
      true,
      false,
      'ENXIO',
      false,
    ]);
    expect(current.socreate({} as never, null)).toBeUndefined();
    expect(current.ifAttach({} as never)).toBe('ENXIO');
  });

  it('still has the local domain, its accept filters and its system calls', () => {
    const { kernel } = bootedKernel();
    expect(kernel.domains.find(AF_LOCAL, SOCK_STREAM, 0)).toBeTypeOf('object');
    expect(kernel.domains.find(AF_INET, SOCK_STREAM, 0)).toBe('EAFNOSUPPORT');
    expect(kernel.accfilters.names()).toContain('httpready');
    expect(kernel.syscalls.has('socket')).toBe(true);
    expect(kernel.syscalls.call({} as never, 'setfib', 0)).toBe('ENOSYS');
  });

  it('shows who it is', () => {
    const { world, kernel } = newKernel();
    world.run(5000);
    kernel.boot();
    const read = (name: string) => ok(kernel.sysctl.read(name)).value;
    expect(read('kern.ostype')).toBe('netmod');
    expect(read('kern.version')).toBe(`netmod ${KERN_OSRELEASE} contract ${KERN_CONTRACT} stack none`);
    expect(read('kern.contract')).toBe(KERN_CONTRACT);
    expect(read('kern.netstack.name')).toBe('none');
    expect(read('kern.netstack.capabilities')).toBe(0);
    expect(read('kern.modules')).toBe(`kernel.${KERN_CONTRACT}`);
    expect(read('kern.boottime')).toBe(1735689600);
    expect(read('kern.uptime')).toBe(5);
    expect(kernel.sysctl.write('kern.netstack.name', 'x')).toBe('EPERM');
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(KERN_OSRELEASE).toBe(version);
  });
});

describe('a kernel with a stack', () => {
  it('shows it', () => {
    const { kernel } = newKernel();
    const stack = new TestStack();
    stack.caps = 3;
    kernel.modules.preload(stackModule(stack, 'x'));
    expect(kernel.boot()).toBeNull();
    expect(ok(kernel.sysctl.read('kern.netstack.name')).value).toBe('x');
    expect(ok(kernel.sysctl.read('kern.netstack.capabilities')).value).toBe(3);
    expect(ok(kernel.sysctl.read('kern.modules')).value).toBe(`kernel.${KERN_CONTRACT} netstack_x.1`);
  });

  it('takes one: none is EINVAL, a second is EEXIST', () => {
    const { kernel } = newKernel();
    const first = new TestStack().methods();
    expect(kernel.netstack.register('x', null)).toBe('EINVAL');
    expect(kernel.netstack.register('x', first)).toBeNull();
    expect(kernel.netstack.register('y', new TestStack().methods())).toBe('EEXIST');
    kernel.netstack.unregister(new TestStack().methods());
    expect(kernel.netstack.name).toBe('x');
    kernel.netstack.unregister(first);
    expect(kernel.netstack.name).toBe('none');
  });
});

describe('boot and shutdown', () => {
  it('boots once', () => {
    const { kernel } = bootedKernel();
    expect(kernel.boot()).toEqual({ err: 'EBUSY', message: 'the kernel is up' });
    kernel.shutdown();
    expect(kernel.boot()?.err).toBe('EBUSY');
  });

  it('freezes address families, ioctl groups and system calls', () => {
    const { kernel } = bootedKernel();
    expect(kernel.domains.add({ family: 99, name: 'x', protosw: [] })).toBe('EPERM');
    expect(kernel.iocgroups.add('x', () => null)).toBe('EPERM');
    expect(kernel.syscalls.register('x', { x: () => 0 })).toBe('EPERM');
  });

  it('names the entry that fails, and takes back what ran', () => {
    const { kernel } = newKernel();
    const log: string[] = [];
    kernel.sysinit.add(
      { level: 'DRIVERS', order: 'ANY', name: 'good', run: () => (log.push('good'), null), undo: () => void log.push('-good') },
      { level: 'CONFIGURE', order: 'MIDDLE', name: 'bad', run: () => 'EIO' },
    );
    expect(kernel.boot()).toEqual({ err: 'EIO', message: 'bad (CONFIGURE, MIDDLE): EIO' });
    expect(log).toEqual(['good', '-good']);
    expect(kernel.state()).toBe('down');
  });

  it('shuts down in order: events, pending output, interfaces, stack; once, and no timer goes off later', () => {
    const { world, kernel } = newKernel();
    const stack = new TestStack();
    kernel.modules.preload(stackModule(stack));
    kernel.boot();
    const link = new TestLink();
    const ifp = ok(kernel.ifnets.attach('test', 0, link.link()));
    ifp.setUp(true);
    const log: string[] = [];
    kernel.events.on('shutdown_pre_sync', () => log.push('pre'));
    kernel.events.on('shutdown_post_sync', () => log.push(`post, ${link.flushes} flushed`));
    kernel.events.on('shutdown_final', () =>
      log.push(`final, ${kernel.ifnets.all().length} interfaces, stack ${kernel.netstack.name}`),
    );
    new Callout(kernel.callouts, () => log.push('timer'), null).reset(100);
    ifp.transmit(ifp.txAlloc()!);
    kernel.shutdown();
    kernel.shutdown();
    world.run(1000);
    expect(log).toEqual(['pre', 'post, 1 flushed', 'final, 0 interfaces, stack none']);
    expect(stack.calls).toEqual(['attach test0', 'changed test0', 'detach test0']);
    expect(link.calls.at(-1)).toBe('stop');
    expect(world.pending()).toBe(0);
  });

  it('is idle when nothing happens: no timer, no work', () => {
    const { world } = bootedKernel();
    expect(world.step()).toBe(false);
  });
});

describe('tunables', () => {
  it('set the limits before anything is made, and refuse nonsense in words', () => {
    const { kernel } = bootedKernel({
      'kern.ipc.maxbufbytes': '64m',
      'kern.ipc.soacceptqueue': '5',
      'kern.ipc.maxsockbuf': 'lots',
    });
    expect(kernel.bufpool.limitBytes).toBe(64 * 2 ** 20);
    expect(kernel.domains.limits.soacceptqueue).toBe(5);
    expect(kernel.sysctl.badTunables).toHaveLength(1);
    expect(kernel.sysctl.badTunables[0]).toContain('kern.ipc.maxsockbuf');
    const bad = bootedKernel({ 'kern.ipc.maxbufbytes': '1' }).kernel;
    expect(bad.bufpool.limitBytes).toBe(512 * 2 ** 20);
    expect(bad.sysctl.badTunables[0]).toContain('kern.ipc.maxbufbytes');
  });
});

describe('two kernels in one process', () => {
  it('share nothing', () => {
    const { world, kernel } = bootedKernel();
    const other = new Kernel(world.effects('other'));
    other.modules.preload(stackModule(new TestStack(), 'other'));
    other.boot();
    ok(other.ifnets.attach('x', 0, new TestLink().link()));
    expect([kernel.netstack.name, other.netstack.name]).toEqual(['none', 'other']);
    expect(kernel.ifnets.all()).toEqual([]);
    expect(kernel.random.u32()).not.toBe(other.random.u32());
  });
});
