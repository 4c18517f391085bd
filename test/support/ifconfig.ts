/** Interface configuration for tests, by the same requests that the loader and the commands use. */
import type { Errno } from '../../src/kern/errno.ts';
import { type IfAddrReq, SIOCADDRT, SIOCAIFADDR, type RtReq } from '../../src/kern/ifnet/ifioctl.ts';
import type { Ifnet } from '../../src/kern/ifnet/ifnet.ts';
import type { Kernel } from '../../src/kern/kernel.ts';
import { parseAddr, parsePrefix } from '../../src/wire/addrtext.ts';

/** Gives `ifp` the address `10.0.0.2/24`, and brings it up. */
export function ifconfig(kernel: Kernel, ifp: Ifnet, prefix: string): void {
  const parsed = parsePrefix(prefix);
  if (parsed === null) throw new Error(`not a prefix: ${prefix}`);
  must(ifp.setUp(true), `up ${ifp.name()}`);
  const req: IfAddrReq = { name: ifp.name(), addr: parsed.addr, prefixLen: parsed.len };
  must(kernel.netstack.current.ioctl(SIOCAIFADDR, req), `${ifp.name()} ${prefix}`);
}

/** A route to `prefix` by way of `gateway`. */
export function routeAdd(kernel: Kernel, prefix: string, gateway: string): void {
  const parsed = parsePrefix(prefix);
  const via = parseAddr(gateway);
  if (parsed === null || via === null) throw new Error(`not a route: ${prefix} ${gateway}`);
  const req: RtReq = { dst: parsed.addr, prefixLen: parsed.len, gateway: via };
  must(kernel.netstack.current.ioctl(SIOCADDRT, req), `route ${prefix}`);
}

function must(err: Errno | null, what: string): void {
  if (err !== null) throw new Error(`${what}: ${err}`);
}
