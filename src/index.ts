/**
 * The library: kernels, stacks, links and the Node-shaped API, for programs that bring their own network. The loader (`boot.ts`) is one
 * such program; `docs/guides/library.md` has a smaller one. Stacks and drivers of one's own are built from `netmod/kit`.
 */
import type { Errno } from './kern/errno.ts';
import { type IfAddrReq, type RtReq, SIOCADDRT, SIOCAIFADDR } from './kern/ifnet/ifioctl.ts';
import type { Ifnet } from './kern/ifnet/ifnet.ts';
import type { Kernel } from './kern/kernel.ts';
import { parseAddr, parsePrefix } from './wire/addrtext.ts';

export { Kernel } from './kern/kernel.ts';
export { type Errno, type Result, isErrno } from './kern/errno.ts';
export type { ModuleSpec } from './kern/module.ts';
export type { Ifnet } from './kern/ifnet/ifnet.ts';
export type { Link } from './kern/ifnet/link.ts';
export { Proc } from './kern/proc/proc.ts';
export { type RealOptions, realEffects } from './kern/effects/real.ts';
export { SimWorld } from './kern/effects/sim.ts';
export type { Effects } from './kern/effects.ts';
export { createNet, type Net, NetServer, NetSocket } from './node/net.ts';
export { createDgram, type Dgram, DgramSocket } from './node/dgram.ts';
export { listenHttp, NetAgent } from './node/http.ts';
export { type ControlServer, startControl } from './control/server.ts';
export { publishDiagnostics } from './control/diagnostics.ts';
export { createLo } from './driver/lo.ts';
export { createPair, type PairOptions } from './driver/pair.ts';
export { impair, type ImpairConfig } from './driver/impair.ts';
export { drivers, DRIVER_DEFAULTS } from './driver/registry.ts';
export { netmodModule as inet } from './stacks/inet/module.ts';
export { netmodModule as alt } from './stacks/alt/module.ts';

/** Gives an interface the address `10.0.0.2/24` and brings it up. EINVAL for what is no prefix, or what the stack answers. */
export function ifconfig(kernel: Kernel, ifp: Ifnet, prefix: string): Errno | null {
  const parsed = parsePrefix(prefix);
  if (parsed === null) return 'EINVAL';
  const req: IfAddrReq = { name: ifp.name(), addr: parsed.addr, prefixLen: parsed.len };
  return ifp.setUp(true) ?? kernel.netstack.current.ioctl(SIOCAIFADDR, req);
}

/** Adds a route to `192.0.2.0/24` by way of a neighbour. EINVAL for what is no prefix or address, or what the stack answers. */
export function routeAdd(kernel: Kernel, prefix: string, gateway: string): Errno | null {
  const parsed = parsePrefix(prefix);
  const via = parseAddr(gateway);
  if (parsed === null || via === null) return 'EINVAL';
  const req: RtReq = { dst: parsed.addr, prefixLen: parsed.len, gateway: via };
  return kernel.netstack.current.ioctl(SIOCADDRT, req);
}
