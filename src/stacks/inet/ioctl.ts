/**
 * ioctl requests of this stack (netintro(4)): group `i`, addresses of interfaces, after what every interface answers alike; group `r`,
 * routes and neighbours. Arguments are the plain objects of kern/ifnet/ifioctl.ts and neighioctl.ts; a wrong one is EINVAL.
 */
import type { Errno } from '../../kern/errno.ts';
import {
  type IfAddrReq,
  type IfConfReq,
  type RtConfReq,
  type RtReq,
  SIOCADDRT,
  SIOCAIFADDR,
  SIOCDELRT,
  SIOCDIFADDR,
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFCONF,
  SIOCGIFNETMASK,
  SIOCGRTCONF,
  ifhwioctl,
} from '../../kern/ifnet/ifioctl.ts';
import {
  type NeighConfReq,
  type NeighReq,
  type RtGetReq,
  SIOCDNEIGH,
  SIOCGNEIGHCONF,
  SIOCGRT,
  SIOCSNEIGH,
} from '../../kern/ifnet/neighioctl.ts';
import { ENOIOCTL, type IoctlResult } from '../../kern/ioctl.ts';
import { type IpAddr, copyAddr, isHostV4, isV4 } from '../../wire/addr.ts';
import { ETHER_ADDR_LEN, macIsGroup } from '../../wire/ethernet.ts';
import { ARP_PERMANENT, ARP_REACHABLE, ARP_STATE_NAMES, type Arp } from './arp.ts';
import type { Inet } from './inet.ts';
import { type IfAddr, type InetIf, inetIf } from './netif.ts';
import { RTF_GATEWAY, RTF_HOST, RTF_REJECT, RTF_STATIC, RTF_UP } from './routetable.ts';

type Fields = Readonly<Record<string, unknown>>;

/** An argument from outside: nothing about it is known. */
function fieldsOf(data: unknown): Fields | null {
  return typeof data === 'object' && data !== null ? (data as Fields) : null;
}

/** An IPv4 address: words of 32 bits as `IpAddr` has them, and no zone. Null for anything else. */
function addrField(value: unknown): IpAddr | null {
  return isHostV4(value) ? copyAddr(value) : null;
}

function plenField(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 32 ? value : null;
}

function fibField(value: unknown): number {
  return value === undefined ? 0 : typeof value === 'number' ? value : -1;
}

/** ENXIO for a name that is none of our interfaces. */
function namedInterface({ kernel }: Inet, name: unknown): InetIf | Errno {
  if (typeof name !== 'string') return 'EINVAL';
  const ifp = kernel.ifnets.byName(name);
  return (ifp === null ? null : inetIf(ifp)) ?? 'ENXIO';
}

/** Group `i`. */
export function ifIoctl(inet: Inet, cmd: number, data: unknown): IoctlResult {
  const generic = ifhwioctl(inet.kernel, cmd, data);
  if (generic !== ENOIOCTL) return generic;
  if (cmd === SIOCGIFCONF) return ifConf(inet, data);
  if (!ADDR_REQUESTS.includes(cmd)) return ENOIOCTL;
  const req = fieldsOf(data);
  if (req === null) return 'EINVAL';
  const nif = namedInterface(inet, req.name);
  if (typeof nif === 'string') return nif;
  switch (cmd) {
    case SIOCAIFADDR:
      return addAddress(inet, nif, req);
    case SIOCDIFADDR: {
      const addr = addrField(req.addr);
      return addr === null ? 'EINVAL' : inet.removeAddress(nif, addr);
    }
    default:
      return readAddress(nif, req as unknown as IfAddrReq);
  }
}

const ADDR_REQUESTS: readonly number[] = [SIOCAIFADDR, SIOCDIFADDR, SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK];

function addAddress(inet: Inet, nif: InetIf, req: Fields): Errno | null {
  const addr = addrField(req.addr);
  const plen = plenField(req.prefixLen);
  const peer = req.dst === undefined ? null : addrField(req.dst);
  if (addr === null || plen === null || (req.dst !== undefined && peer === null)) return 'EINVAL';
  return inet.addAddress(nif, addr, plen, peer);
}

/** The first IPv4 address, its broadcast address and mask in one. EADDRNOTAVAIL without one. */
function readAddress(nif: InetIf, req: IfAddrReq): Errno | null {
  const ifa = nif.addrs.find(({ addr }) => isV4(addr));
  if (ifa === undefined) return 'EADDRNOTAVAIL';
  Object.assign(req, describeAddress(ifa));
  return null;
}

function describeAddress({ nif, addr, plen, broadcast, peer }: IfAddr): IfAddrReq {
  const req: IfAddrReq = { name: nif.ifp.name(), addr: copyAddr(addr), prefixLen: plen };
  if (broadcast !== null) req.broadcast = copyAddr(broadcast);
  if (peer !== null) req.dst = copyAddr(peer);
  return req;
}

function ifConf(inet: Inet, data: unknown): Errno | null {
  if (fieldsOf(data) === null) return 'EINVAL';
  const list = (nif: InetIf): IfAddrReq[] => [
    ...nif.addrs.map(describeAddress),
    ...inet.candidates(nif).map(({ addr, plen, state }) => ({
      name: nif.ifp.name(),
      addr: copyAddr(addr),
      prefixLen: plen,
      state,
    })),
  ];
  (data as IfConfReq).addrs = inet.interfaces().flatMap(list);
  return null;
}

/** Group `r`. */
export function routeIoctl(inet: Inet, cmd: number, data: unknown): IoctlResult {
  const req = fieldsOf(data);
  const handler = ROUTE_REQUESTS.get(cmd);
  if (handler === undefined) return ENOIOCTL;
  return req === null ? 'EINVAL' : handler(inet, req, data);
}

type Handler = (inet: Inet, req: Fields, data: unknown) => Errno | null;

const ROUTE_REQUESTS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [SIOCADDRT, addRoute],
  [SIOCDELRT, deleteRoute],
  [SIOCGRT, getRoute],
  [SIOCGRTCONF, listRoutes],
  [SIOCGNEIGHCONF, listNeighbours],
  [SIOCSNEIGH, setNeighbour],
  [SIOCDNEIGH, deleteNeighbour],
]);

function addRoute(inet: Inet, req: Fields): Errno | null {
  const dst = addrField(req.dst);
  const plen = plenField(req.prefixLen);
  const gateway = req.gateway === undefined ? null : addrField(req.gateway);
  if (dst === null || plen === null || (req.gateway !== undefined && gateway === null)) return 'EINVAL';
  const nif = req.name === undefined ? null : namedInterface(inet, req.name);
  if (typeof nif === 'string') return nif;
  const flags = RTF_STATIC | (gateway === null ? 0 : RTF_GATEWAY) | (plen === 32 ? RTF_HOST : 0);
  return inet.routes.addStatic(fibField(req.fib), dst, plen, gateway, nif, flags);
}

/** ESRCH for a route that is not there, or that leads elsewhere than the request says. */
function deleteRoute(inet: Inet, req: Fields): Errno | null {
  const dst = addrField(req.dst);
  const plen = plenField(req.prefixLen);
  const fib = fibField(req.fib);
  const table = inet.routes.tables[fib];
  const gateway = req.gateway === undefined ? null : addrField(req.gateway);
  if (dst === null || plen === null || table === undefined || (req.gateway !== undefined && gateway === null)) return 'EINVAL';
  const nif = req.name === undefined ? null : namedInterface(inet, req.name);
  if (typeof nif === 'string') return nif;
  const entry = table.find(dst, plen);
  if (entry === null || (gateway !== null && entry.gateway?.w3 !== gateway.w3) || (nif !== null && entry.nif !== nif))
    return 'ESRCH';
  inet.routes.remove(fib, dst, plen);
  return null;
}

/** netstat(1)'s letters. */
function flagLetters(flags: number): string {
  const letters: readonly [number, string][] = [
    [RTF_UP, 'U'],
    [RTF_GATEWAY, 'G'],
    [RTF_HOST, 'H'],
    [RTF_REJECT, 'R'],
    [RTF_STATIC, 'S'],
  ];
  return letters.map(([bit, letter]) => ((flags & bit) !== 0 ? letter : '')).join('');
}

function getRoute(inet: Inet, req: Fields, data: unknown): Errno | null {
  const dst = addrField(req.dst);
  if (dst === null) return 'EINVAL';
  const fib = fibField(req.fib);
  const route = inet.routes.route(dst, fib);
  if (typeof route === 'string') return route;
  const entry = inet.routes.tables[fib]?.lookup(dst) ?? null;
  const answer = data as RtGetReq;
  answer.gateway = route.local || entry === null || entry.gateway === null ? null : copyAddr(entry.gateway);
  answer.name = route.ifp.name();
  answer.src = copyAddr(route.src);
  answer.mtu = route.mtu;
  answer.flags = route.local ? 'UHL' : flagLetters(entry?.flags ?? RTF_UP);
  return null;
}

function listRoutes(inet: Inet, req: Fields, data: unknown): Errno | null {
  const fib = fibField(req.fib);
  const table = inet.routes.tables[fib];
  if (table === undefined) return 'EINVAL';
  (data as RtConfReq).routes = table.list().map(({ dst, plen, gateway, nif, flags }) => {
    const route: RtReq = { dst: copyAddr(dst), prefixLen: plen, name: nif.ifp.name(), fib };
    return { ...route, ...(gateway === null ? {} : { gateway: copyAddr(gateway) }), flags: flagLetters(flags) };
  });
  return null;
}

function listNeighbours(inet: Inet, _req: Fields, data: unknown): Errno | null {
  (data as NeighConfReq).neighbours = inet.interfaces().flatMap((nif) =>
    (nif.arp?.list() ?? []).map((entry) => ({
      addr: copyAddr(entry.dst),
      name: nif.ifp.name(),
      lladdr: entry.state >= ARP_REACHABLE ? entry.mac.slice() : null,
      state: ARP_STATE_NAMES[entry.state] ?? '',
      expireMs: entry.state === ARP_PERMANENT ? 0 : entry.timer.remainingMs(),
    })),
  );
  return null;
}

/** The neighbours of the interface that is named, or on whose subnet the address is. */
function neighboursFor(inet: Inet, req: Fields, addr: IpAddr): Arp | Errno {
  if (req.name !== undefined) {
    const nif = namedInterface(inet, req.name);
    return typeof nif === 'string' ? nif : (nif.arp ?? 'EINVAL');
  }
  return inet.interfaces().find((nif) => nif.arp !== null && inet.addrs.onLink(nif, addr) !== null)?.arp ?? 'ENETUNREACH';
}

function setNeighbour(inet: Inet, req: Fields): Errno | null {
  const { lladdr, permanent = true } = req as unknown as NeighReq;
  const addr = addrField(req.addr);
  if (addr === null || !(lladdr instanceof Uint8Array) || lladdr.length !== ETHER_ADDR_LEN || macIsGroup(lladdr, 0))
    return 'EINVAL';
  const arp = neighboursFor(inet, req, addr);
  if (typeof arp === 'string') return arp;
  if (inet.addrs.isLocal(addr)) return 'EEXIST';
  arp.set(addr, lladdr, permanent !== false);
  return null;
}

function deleteNeighbour(inet: Inet, req: Fields): Errno | null {
  const addr = addrField(req.addr);
  if (addr === null) return 'EINVAL';
  const arp = neighboursFor(inet, req, addr);
  if (typeof arp === 'string') return arp;
  const entry = arp.find(addr);
  if (entry === null) return 'ENOENT';
  arp.remove(entry);
  return null;
}
