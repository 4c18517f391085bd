/**
 * The full stack as a kernel module: the netstack's class, the domain AF_INET, the ioctl groups `i` and `r`, setfib(2), counters and
 * sysctls. What it registers is taken back by `own`, last first.
 */
import type { Errno } from '../../kern/errno.ts';
import { ENOIOCTL } from '../../kern/ioctl.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { type KobjClass, bindObject, defineClass } from '../../kern/kobj.ts';
import { KERN_CONTRACT, type ModuleInstance, type ModuleSpec } from '../../kern/module.ts';
import { NETSTACK_CAP_LRO, type NetstackMethods, netstackInterface } from '../../kern/netstack.ts';
import type { Proc } from '../../kern/proc/proc.ts';
import { AF_INET, type Domain } from '../../kern/socket/protosw.ts';
import type { Undo } from '../../kern/undo.ts';
import type { InetContext } from './contract.ts';
import { Inet, MAX_FIBS, type StreamProtocol } from './inet.ts';
import { ifIoctl, routeIoctl } from './ioctl.ts';
import { IGMP_COUNTER_META } from './stats.ts';
import { addSysctls } from './sysctls.ts';

/** Makes TCP, or another stream protocol. */
export type MakeStream = (ctx: InetContext) => StreamProtocol;

const inetClass: KobjClass<Inet, NetstackMethods> = defineClass<Inet, NetstackMethods>({
  name: 'inet',
  implements: netstackInterface,
  methods: {
    capabilities: () => NETSTACK_CAP_LRO,
    socreate: (inet, so, proc) => {
      if (so.domain.family === AF_INET) so.fib = proc !== null && validFib(inet, proc.fib) ? proc.fib : 0;
    },
    validFib,
    ifAttach: (inet, ifp) => inet.ifAttach(ifp),
    ifDetach: (inet, ifp) => inet.ifDetach(ifp),
    ifChanged: (inet, ifp) => inet.ifChanged(ifp),
    ioctl: (inet, cmd, data) => {
      const err = ioctl(inet, cmd, data);
      return err === ENOIOCTL ? 'EOPNOTSUPP' : err;
    },
    orphans: (inet, protocol) => inet.orphans(protocol),
    fibs: (inet) => inet.routes.fibs(),
    reset: (inet) => inet.reset(),
    busy: (inet) => inet.busy(),
  },
});

function validFib(inet: Inet, fib: number): boolean {
  return Number.isInteger(fib) && fib >= 0 && fib < inet.routes.fibs();
}

function ioctl(inet: Inet, cmd: number, data: unknown): ReturnType<typeof ifIoctl> {
  const err = ifIoctl(inet, cmd, data);
  return err === ENOIOCTL ? routeIoctl(inet, cmd, data) : err;
}

/** The tunable net.fibs, held within what there can be. */
function tunedFibs(kernel: Kernel): number {
  const fibs = kernel.kenv.getInt('net.fibs');
  return typeof fibs === 'number' && fibs >= 1 && fibs <= MAX_FIBS ? fibs : 1;
}

/** Keeps an undo, or passes on the error that stood in its way. */
function keep(own: (undo: Undo) => void, undo: Undo | Errno): Errno | null {
  if (typeof undo === 'string') return undo;
  own(undo);
  return null;
}

function addCounters(kernel: Kernel, inet: Inet, own: (undo: Undo) => void): void {
  const { stats } = inet;
  own(kernel.counters.add('ether', stats.ether));
  own(kernel.counters.add('arp', stats.arp));
  own(kernel.counters.add('ip', stats.ip));
  own(kernel.counters.add('frag', stats.frag));
  own(kernel.counters.add('route', stats.route));
  own(kernel.counters.add('icmp', stats.icmp));
  own(kernel.counters.add('igmp', stats.igmp, IGMP_COUNTER_META));
  own(kernel.counters.add('udp', stats.udp));
  own(kernel.counters.add('raw', stats.raw));
}

function load(kernel: Kernel, own: (undo: Undo) => void, inet: Inet, makeStream: MakeStream | null): Errno | null {
  const stack = bindObject(inetClass, inet);
  const err = kernel.netstack.register('inet', stack);
  if (err !== null) return err;
  own(() => kernel.netstack.unregister(stack));
  own(() => inet.destroy());
  if (makeStream !== null) inet.addStream(makeStream(inet.ctx));
  addSysctls(kernel, inet, own);
  addCounters(kernel, inet, own);
  return null;
}

function addDomain(kernel: Kernel, own: (undo: Undo) => void, inet: Inet): Errno | null {
  const domain: Domain = { family: AF_INET, name: 'internet', protosw: inet.protosws };
  return (
    keep(own, kernel.domains.add(domain)) ??
    keep(
      own,
      kernel.iocgroups.add('i', (_so, cmd, data) => ifIoctl(inet, cmd, data)),
    ) ??
    keep(
      own,
      kernel.iocgroups.add('r', (so, cmd, data) => routeIoctl(inet, cmd, withFib(so?.fib, data))),
    )
  );
}

/** A request about routes without a table of its own is about the socket's. */
function withFib(fib: number | undefined, data: unknown): unknown {
  if (fib !== undefined && typeof data === 'object' && data !== null && !('fib' in data)) (data as { fib?: number }).fib = fib;
  return data;
}

/** setfib(2): the routing table of the process's later sockets. EINVAL for one that is not there. */
function addSyscalls(kernel: Kernel, own: (undo: Undo) => void, inet: Inet): Errno | null {
  const setfib = (proc: Proc, fib: number): Errno | null => {
    if (!validFib(inet, fib)) return 'EINVAL';
    proc.fib = fib;
    return null;
  };
  const undo = kernel.syscalls.register('netstack_inet', { setfib });
  if (typeof undo === 'string') return undo;
  own(() => void undo());
  return null;
}

/** The module's specification; `makeStream` makes the stream protocol, null for a stack without one. */
export function inetModule(makeStream: MakeStream | null): ModuleSpec {
  return {
    name: 'netstack_inet',
    version: 1,
    contract: KERN_CONTRACT,
    create(kernel, own): ModuleInstance {
      const inet = new Inet(kernel, tunedFibs(kernel));
      return {
        event: (what) => {
          if (what === 'load') return load(kernel, own, inet, makeStream);
          return what === 'unload' && inet.busy() ? 'EBUSY' : null;
        },
        sysinits: [
          { level: 'PROTO_DOMAIN', order: 'SECOND', name: 'inet domain', run: () => addDomain(kernel, own, inet) },
          { level: 'SYSCALLS', order: 'MIDDLE', name: 'inet setfib', run: () => addSyscalls(kernel, own, inet) },
        ],
      };
    },
  };
}
