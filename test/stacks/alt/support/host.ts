/** Kernels with the flow stack in virtual time: two of them joined by a pair, or one with its wire in the test's hands. */
import { SimWorld } from '../../../../src/kern/effects/sim.ts';
import { isErrno } from '../../../../src/kern/errno.ts';
import { SIOCAIFADDR, SIOCADDRT } from '../../../../src/kern/ifnet/ifioctl.ts';
import type { Ifnet } from '../../../../src/kern/ifnet/ifnet.ts';
import type { Link } from '../../../../src/kern/ifnet/link.ts';
import { Kernel } from '../../../../src/kern/kernel.ts';
import { type PairOptions, createPair } from '../../../../src/driver/pair.ts';
import { netmodModule } from '../../../../src/stacks/alt/module.ts';
import { soclose, socreate } from '../../../../src/kern/socket/calls.ts';
import { sosendto } from '../../../../src/kern/socket/sendrecv.ts';
import { AF_INET, SOCK_DGRAM } from '../../../../src/kern/socket/protosw.ts';
import { ipv4, sockAddr } from '../../../../src/wire/addr.ts';
import { parseAddr } from '../../../../src/wire/addrtext.ts';

export function ip(text: string): number {
  const a = parseAddr(text);
  if (a === null) throw new Error(text);
  return a.w3;
}

export class Host {
  readonly kernel: Kernel;
  ifp: Ifnet | null = null;

  constructor(world: SimWorld, name: string, env: Record<string, string> = {}) {
    this.kernel = new Kernel(world.effects(name), env);
    const err = this.kernel.modules.preload(netmodModule) ?? this.kernel.boot();
    if (err !== null) throw new Error(err.message);
  }

  attach(link: Link, addr: string, prefixLen = 24, dname = 'pair'): Ifnet {
    const ifp = this.kernel.ifnets.attach(dname, 0, link);
    if (isErrno(ifp)) throw new Error(ifp);
    ifp.setUp(true);
    this.ioctl(SIOCAIFADDR, { name: ifp.name(), addr: ipv4(ip(addr)), prefixLen });
    this.ifp = ifp;
    return ifp;
  }

  gateway(addr: string): void {
    this.ioctl(SIOCADDRT, { dst: ipv4(0), prefixLen: 0, gateway: ipv4(ip(addr)) });
  }

  ioctl(cmd: number, data: unknown): void {
    const err = this.kernel.netstack.current.ioctl(cmd, data);
    if (err !== null) throw new Error(err);
  }

  count(group: string, name: string): number {
    const n = this.kernel.counters.get(group, name);
    if (n === undefined) throw new Error(`no counter ${group}.${name}`);
    return n;
  }

  gauge(name: string): number {
    const r = this.kernel.sysctl.read(name);
    if (isErrno(r)) throw new Error(r);
    return r.value as number;
  }

  set(name: string, value: number | boolean): void {
    const r = this.kernel.sysctl.write(name, value);
    if (isErrno(r)) throw new Error(`${name}: ${r}`);
  }

  /** Rows of every slab that are taken: all zero when nothing leaks. */
  taken(): Record<string, number> {
    return {
      flows: this.gauge('net.alt.flows_used'),
      embryonic: this.gauge('net.alt.embryonic_used'),
      timewait: this.gauge('net.alt.timewait_used'),
      ranges: this.gauge('net.alt.ranges_used'),
      udp: this.gauge('net.alt.udpsockets_used'),
    };
  }
}

export interface Two {
  readonly world: SimWorld;
  readonly a: Host;
  readonly b: Host;
}

/** 10.0.0.1 and 10.0.0.2 on one wire. */
export function twoHosts(
  options: PairOptions & {
    seed?: number;
    env?: Record<string, string>;
    wrap?: (link: Link, world: SimWorld, end: string) => Link;
  } = {},
): Two {
  const world = new SimWorld({ seed: options.seed ?? 1 });
  const { wrap = (link) => link } = options;
  const a = new Host(world, 'a', options.env);
  const b = new Host(world, 'b', options.env);
  const [la, lb] = createPair(world.effects('pair'), options);
  a.attach(wrap(la, world, 'a'), '10.0.0.1');
  b.attach(wrap(lb, world, 'b'), '10.0.0.2');
  // Both know each other's hardware address before a test begins: an entry that is asked for keeps one packet only.
  const so = socreate(a.kernel, AF_INET, SOCK_DGRAM, 0, null);
  if (!isErrno(so)) {
    sosendto(so, new Uint8Array(1), 0, 1, sockAddr(ipv4(ip('10.0.0.2')), 9));
    world.run(1);
    soclose(so);
  }
  world.run(1);
  return { world, a, b };
}
