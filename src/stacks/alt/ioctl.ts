/**
 * The ioctl groups of the stack: `i` (addresses of interfaces; what every stack answers alike is the kernel's) and `r`
 * (routes and neighbours). Shapes of the arguments: kern/ifnet/ifioctl.ts and neighioctl.ts.
 */
import type { Errno } from '../../kern/errno.ts';
import {
  type IfAddrReq, type IfConfReq, type RtConfReq, type RtReq, SIOCADDRT, SIOCAIFADDR, SIOCDELRT, SIOCDIFADDR, SIOCGIFADDR, SIOCGIFBRDADDR,
  SIOCGIFCONF, SIOCGIFNETMASK, SIOCGRTCONF, ifhwioctl,
} from '../../kern/ifnet/ifioctl.ts'; // prettier-ignore
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
import { type IpAddr, ipv4, isV4 } from '../../wire/addr.ts';
import type { Alt } from './alt.ts';
import type { NetIf } from './netif.ts';
import { lenOf } from './route.ts';
import { at } from './slab.ts';

/** Requests of group `i`. */
export function ifIoctl(s: Alt, cmd: number, data: unknown): IoctlResult {
  const hw = ifhwioctl(s.kernel, cmd, data);
  if (hw !== ENOIOCTL) return hw;
  if (typeof data !== 'object' || data === null) return 'EINVAL';
  if (cmd === SIOCGIFCONF) {
    (data as IfConfReq).addrs = listAddrs(s);
    return null;
  }
  const req = data as Partial<IfAddrReq>;
  if (typeof req.name !== 'string') return 'EINVAL';
  const ifp = s.kernel.ifnets.byName(req.name);
  if (ifp === null) return 'ENXIO';
  const nif = s.ifs.find((n) => n !== null && n.ifp === ifp) ?? null;
  switch (cmd) {
    case SIOCAIFADDR:
      return nif === null ? 'ENXIO' : addAddr(s, nif, req);
    case SIOCDIFADDR:
      return nif === null ? 'ENXIO' : delAddr(s, nif, req);
    case SIOCGIFADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFBRDADDR:
      return getAddr(s, req as IfAddrReq);
    default: {
      // As ifioctl(9): what the protocol does not know is the driver's.
      const err = ifp.driverIoctl(cmd, data);
      return err;
    }
  }
}

function v4(addr: IpAddr | undefined): number | null {
  return addr !== undefined && isV4(addr) ? addr.w3 : null;
}

function prefixOk(len: unknown): len is number {
  return typeof len === 'number' && Number.isInteger(len) && len >= 0 && len <= 32;
}

/** EAFNOSUPPORT, EINVAL, EEXIST, ENOSPC. The address is announced (RFC 5227 §2.3); with net.inet.ip.dad_count it is asked for before. */
function addAddr(s: Alt, nif: NetIf, req: Partial<IfAddrReq>): Errno | null {
  const addr = v4(req.addr);
  if (addr === null) return req.addr === undefined ? 'EINVAL' : 'EAFNOSUPPORT';
  if (!prefixOk(req.prefixLen) || addr === 0 || addr === -1 || addr >>> 28 >= 0xe) return 'EINVAL';
  // A loopback or a point-to-point link has no broadcast address.
  const bcast = nif.ethernet ? (v4(req.broadcast) ?? 0) : -1;
  if (s.routes.find(addr) >= 0) return 'EEXIST';
  if (s.cfg.dadCount > 0 && nif.ethernet) return s.dad.probe(nif, addr, req.prefixLen, bcast);
  s.dad.forget(nif.ix, addr);
  const err = s.routes.addAddr(nif.ix, addr, req.prefixLen, bcast);
  if (err === null) s.dad.announce(nif, addr);
  return err;
}

function delAddr(s: Alt, nif: NetIf, req: Partial<IfAddrReq>): Errno | null {
  const addr = v4(req.addr);
  if (addr === null) return req.addr === undefined ? 'EINVAL' : 'EAFNOSUPPORT';
  return s.dad.forget(nif.ix, addr) ? null : s.routes.delAddr(nif.ix, addr);
}

function getAddr(s: Alt, req: IfAddrReq): Errno | null {
  const found = listAddrs(s).find((a) => a.name === req.name && a.state === undefined);
  if (found === undefined) return 'EADDRNOTAVAIL';
  Object.assign(req, found);
  return null;
}

function listAddrs(s: Alt): IfAddrReq[] {
  const { routes } = s;
  const addrs: IfAddrReq[] = [];
  for (let k = 0; k < routes.naddrs; k++) {
    const name = s.ifs[at(routes.addrIx, k)]?.ifp?.name();
    if (name === undefined) continue;
    const req: IfAddrReq = { name, addr: ipv4(at(routes.addr, k)), prefixLen: lenOf(at(routes.mask, k)) };
    if (at(routes.bcast, k) !== -1) req.broadcast = ipv4(at(routes.bcast, k));
    addrs.push(req);
  }
  for (const { addr, ix, prefixLen, state } of s.dad.list()) {
    const name = s.ifs[ix]?.ifp?.name();
    if (name !== undefined) addrs.push({ name, addr: ipv4(addr), prefixLen, state });
  }
  return addrs;
}

/** Requests of group `r`. The stack has one table: a fib but 0 is EINVAL. */
export function rtIoctl(s: Alt, cmd: number, data: unknown): IoctlResult {
  if (!RT_REQUESTS.includes(cmd)) return ENOIOCTL;
  if (typeof data !== 'object' || data === null) return 'EINVAL';
  if (((data as { fib?: number }).fib ?? 0) !== 0) return 'EINVAL';
  switch (cmd) {
    case SIOCGRTCONF:
      (data as RtConfReq).routes = listRoutes(s);
      return null;
    case SIOCGNEIGHCONF:
      (data as NeighConfReq).neighbours = listNeighbours(s);
      return null;
    case SIOCSNEIGH:
      return setNeighbour(s, data as Partial<NeighReq>);
    case SIOCDNEIGH:
      return deleteNeighbour(s, data as Partial<NeighReq>);
    case SIOCGRT:
      return getRoute(s, data as RtGetReq);
    default:
      return changeRoute(s, cmd, data as Partial<RtReq>);
  }
}

const RT_REQUESTS: readonly number[] = [SIOCADDRT, SIOCDELRT, SIOCGRTCONF, SIOCGRT, SIOCGNEIGHCONF, SIOCSNEIGH, SIOCDNEIGH];

function changeRoute(s: Alt, cmd: number, req: Partial<RtReq>): Errno | null {
  const dst = v4(req.dst);
  if (dst === null || !prefixOk(req.prefixLen)) return req.dst !== undefined && dst === null ? 'EAFNOSUPPORT' : 'EINVAL';
  if (cmd === SIOCDELRT) {
    const k = s.routes.findRoute(dst, req.prefixLen);
    if (k < 0) return 'ESRCH';
    s.routes.delRoute(k);
    return null;
  }
  const gateway = req.gateway === undefined ? 0 : v4(req.gateway);
  if (gateway === null) return 'EAFNOSUPPORT';
  let ix = -1;
  if (req.name !== undefined) {
    const nif = s.ifs.find((n) => n?.ifp?.name() === req.name) ?? null;
    if (nif === null) return 'ENXIO';
    ix = nif.ix;
  }
  if (gateway === 0 && ix < 0) return 'EINVAL';
  return s.routes.addRoute(dst, req.prefixLen, gateway, ix);
}

function listRoutes(s: Alt): RtConfReq['routes'] {
  const { routes } = s;
  const list: RtConfReq['routes'] = [];
  const nameOf = (ix: number): string => s.ifs[ix]?.ifp?.name() ?? 'lo';
  for (let k = 0; k < routes.naddrs; k++) {
    const mask = at(routes.mask, k);
    list.push({ dst: ipv4(at(routes.addr, k) & mask), prefixLen: lenOf(mask), name: nameOf(at(routes.addrIx, k)), flags: 'U' });
  }
  for (let k = 0; k < routes.nroutes; k++) {
    const mask = at(routes.dstMask, k);
    const gateway = at(routes.gateway, k);
    list.push({
      dst: ipv4(at(routes.dst, k)),
      prefixLen: lenOf(mask),
      name: nameOf(at(routes.routeIx, k)),
      ...(gateway === 0 ? { flags: 'US' } : { gateway: ipv4(gateway), flags: 'UGS' }),
    });
  }
  return list;
}

/** The way a packet takes. ENETUNREACH. */
function getRoute(s: Alt, req: RtGetReq): Errno | null {
  const { routes } = s;
  const dst = v4(req.dst);
  if (dst === null) return req.dst === undefined ? 'EINVAL' : 'EAFNOSUPPORT';
  if (!routes.lookup(dst)) return 'ENETUNREACH';
  const nif = s.ifs[routes.ix] ?? null;
  const gateway = routes.nexthop === dst ? null : ipv4(routes.nexthop);
  req.gateway = gateway;
  req.src = ipv4(routes.src);
  req.name = nif?.ifp?.name() ?? 'lo';
  req.mtu = nif?.mtu ?? 0;
  req.flags = routes.isLocal(dst) ? 'UHL' : gateway === null ? 'U' : 'UGS';
  return null;
}

function listNeighbours(s: Alt): NeighConfReq['neighbours'] {
  return s.arp.list().map(({ addr, mac, ix, leftMs, state }) => ({
    addr: ipv4(addr),
    name: s.ifs[ix]?.ifp?.name() ?? '',
    lladdr: mac,
    state,
    expireMs: leftMs,
  }));
}

/** The interface that is named, or the one whose subnet has the address. */
function neighbourIf(s: Alt, req: Partial<NeighReq>, addr: number): NetIf | Errno {
  if (req.name !== undefined) return s.ifs.find((n) => n?.ifp?.name() === req.name) ?? 'ENXIO';
  const { routes } = s;
  if (!routes.lookup(addr) || routes.group || routes.nexthop !== addr) return 'ENETUNREACH';
  return s.ifs[routes.ix] ?? 'ENETUNREACH';
}

/** EINVAL, EEXIST for an address of our own, EOPNOTSUPP for one that would run out: what is set here stays. */
function setNeighbour(s: Alt, req: Partial<NeighReq>): Errno | null {
  const addr = v4(req.addr);
  if (addr === null || !(req.lladdr instanceof Uint8Array)) return 'EINVAL';
  if (req.permanent === false) return 'EOPNOTSUPP';
  if (s.routes.isLocal(addr)) return 'EEXIST';
  const nif = neighbourIf(s, req, addr);
  return typeof nif === 'string' ? nif : s.arp.setPermanent(nif, addr, req.lladdr);
}

function deleteNeighbour(s: Alt, req: Partial<NeighReq>): Errno | null {
  const addr = v4(req.addr);
  if (addr === null || addr === 0) return 'EINVAL';
  const nif = neighbourIf(s, req, addr);
  return typeof nif === 'string' ? nif : s.arp.forget(nif.ix, addr);
}
