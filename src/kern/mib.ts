/** The sysctls and counters of the kernel itself (sysctl(3), `kern.*`). */
import type { Kernel } from './kernel.ts';
import { KERN_CONTRACT } from './modlink.ts';
import type { SysctlLeaf } from './sysctl.ts';

export const KERN_OSTYPE = 'netmod';
/** The package's version. */
export const KERN_OSRELEASE = '0.1.0';

/** Limits of the socket buffers' memory, in bytes. */
export const BUF_LIMIT = { name: 'kern.ipc.maxbufbytes', min: 2 ** 20, max: 2 ** 40, initial: 512 * 2 ** 20 } as const;

/** The limit that the environment asks for; a wrong one is reported when the leaf of the same name is registered. */
export function bufLimit(kernel: Pick<Kernel, 'kenv'>): number {
  const wanted = kernel.kenv.getInt(BUF_LIMIT.name);
  return typeof wanted === 'number' && wanted >= BUF_LIMIT.min && wanted <= BUF_LIMIT.max ? wanted : BUF_LIMIT.initial;
}

function text(name: string, descr: string, get: () => string): SysctlLeaf {
  return { name, descr, flags: 'rd', type: 'string', get };
}

function number(name: string, descr: string, get: () => number): SysctlLeaf {
  return { name, descr, flags: 'rd', type: 'int', get };
}

/** A number of an object that may be tuned and written. */
function variable<K extends string>(
  name: string,
  descr: string,
  of: Record<K, number>,
  key: K,
  min: number,
  max: number,
): SysctlLeaf {
  return { name, descr, flags: 'rwtun', type: 'int', min, max, get: () => of[key], set: (value) => void (of[key] = value) };
}

export function kernelLeaves(kernel: Kernel): SysctlLeaf[] {
  const { bufpool, netstack, callouts, domains } = kernel;
  const modules = (): string =>
    kernel.modules
      .list()
      .map(({ name, version }) => `${name}.${version}`)
      .join(' ');
  return [
    text('kern.ostype', 'Name of the system', () => KERN_OSTYPE),
    text('kern.osrelease', 'Release of the system', () => KERN_OSRELEASE),
    text('kern.version', 'System, release, contract and network stack', () => {
      return `${KERN_OSTYPE} ${KERN_OSRELEASE} contract ${KERN_CONTRACT} stack ${netstack.name}`;
    }),
    number('kern.contract', 'Version of the contracts with modules', () => KERN_CONTRACT),
    number('kern.boottime', 'Start of the kernel, seconds since the Unix epoch', () => Math.floor(kernel.bootTimeMs / 1000)),
    number('kern.uptime', 'Seconds since the start of the kernel', () =>
      Math.floor((kernel.clock.realtimeMs() - kernel.bootTimeMs) / 1000),
    ),
    text('kern.netstack.name', 'Network stack in use', () => netstack.name),
    number('kern.netstack.capabilities', 'NETSTACK_CAP_* bits of the stack', () => netstack.current.capabilities()),
    text('kern.modules', 'Modules that are loaded, with their versions', modules),
    number('kern.callout.pending', 'Timers that are set', () => callouts.count()),
    {
      ...number(BUF_LIMIT.name, 'Limit of all socket buffers together, bytes', () => bufpool.limitBytes),
      type: 'int',
      flags: 'rdtun',
      min: BUF_LIMIT.min,
      max: BUF_LIMIT.max,
      get: () => bufpool.limitBytes,
      // Taken before the pool was made (`bufLimit`); here it is only checked.
      set: () => null,
    },
    number('kern.ipc.bufbytes', 'Socket buffers in use, bytes', () => bufpool.used),
    variable('kern.ipc.soacceptqueue', 'Longest queue of complete connections', domains.limits, 'soacceptqueue', 1, 65535),
    variable('kern.ipc.maxsockbuf', 'Largest socket buffer, bytes', domains.limits, 'maxsockbuf', 4096, 2 ** 23),
    ...captureLeaves(kernel),
    variable('kern.maxfilesperproc', 'Descriptors of one process', domains.limits, 'maxfilesperproc', 16, 2 ** 24),
  ];
}

/** Largest ring of captured frames in MiB. */
const RING_MAX_MB = 4096;

function captureLeaves({ bpf: { ring } }: Kernel): SysctlLeaf[] {
  return [
    {
      name: 'kern.capture.ring_mb',
      descr: 'Memory for the last frames of all interfaces, MiB; 0 for none',
      flags: 'rwtun',
      type: 'int',
      min: 0,
      max: RING_MAX_MB,
      get: () => ring.sizeMb(),
      set: (mb) => ring.resize(mb),
    },
    number('kern.capture.ring_bytes', 'Bytes that the captured frames take', () => ring.used()),
    number('kern.capture.ring_frames', 'Frames that are kept', () => ring.count),
  ];
}

/** Shows the kernel's own counters. */
export function addKernelCounters(kernel: Kernel): void {
  const { counters, callouts, netisr, sysctl, syscalls, domains, bufpool } = kernel;
  counters.add('callout', callouts.counters);
  counters.add('netisr', netisr.counters);
  counters.add('sysctl', sysctl.counters);
  counters.add('syscall', syscalls.counters);
  counters.add('socket', domains.counters);
  counters.add('bufpool', () => ({ used: bufpool.used, cached: bufpool.cached, denied: bufpool.denied }));
}
