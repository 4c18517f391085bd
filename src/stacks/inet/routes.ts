/**
 * Ways to destinations: routing tables (one per FIB), and in front of each a bounded cache of `InetRoute` per destination, which
 * everyone who sends there shares. Any change of addresses, routes or interfaces raises the generation, and a cached route of an
 * older one is looked up again when it is next used.
 */
import type { Errno, Result } from '../../kern/errno.ts';
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import { IFF_MULTICAST } from '../../kern/ifnet/ifnet.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { ANY4, type IpAddr, copyAddr, inPrefix, isAny, isLoopback, isMulticast, isV4 } from '../../wire/addr.ts';
import { AddrEntry, AddrTable } from './addrtable.ts';
import type { ArpEntry } from './arp.ts';
import type { Route } from './contract.ts';
import { HostCache } from './hostcache.ts';
import { type IfAddrs, LIMITED_BROADCAST } from './ifaddr.ts';
import type { IfAddr, InetIf } from './netif.ts';
import { RTF_HOST, RTF_REJECT, RTF_UP, RouteTable, RtEntry } from './routetable.ts';
import type { RouteStat } from './stats.ts';

/** MTU of the way to ourselves when there is no loopback interface: what FreeBSD's lo0 has. */
const LOCAL_MTU = 16384;
/** A cached route that was taken out of the cache: no table has this generation. */
const GEN_STALE = 0;

export class InetRoute extends AddrEntry implements Route {
  readonly ifp: Ifnet;
  readonly nif: InetIf;
  readonly nextHop: IpAddr;
  readonly src: IpAddr;
  readonly local: boolean;
  /** To ourselves without a loopback interface (loop.ts). */
  readonly looped: boolean;
  readonly broadcast: boolean;
  readonly multicast: boolean;
  readonly fib: number;
  /** What `mtu` reads. */
  pathMtu = 0;
  gen = GEN_STALE;
  /** Routers on the path want less than any path should: send without DF and let them cut. */
  mayFragment = false;
  /** The neighbour, once it was asked for. */
  arp: ArpEntry | null = null;
  readonly #routes: Pick<Routes, 'lowerPathMtu' | 'readMtu'>;

  constructor(
    routes: Pick<Routes, 'lowerPathMtu' | 'readMtu'>,
    dst: IpAddr,
    fib: number,
    nif: InetIf,
    nextHop: IpAddr,
    src: IpAddr,
    kind: 'local' | 'broadcast' | 'multicast' | 'unicast',
  ) {
    super();
    this.dst.set(dst);
    this.ifp = nif.ifp;
    this.nif = nif;
    this.nextHop = nextHop;
    this.src = src;
    this.local = kind === 'local';
    this.looped = this.local && !nif.loopback;
    this.broadcast = kind === 'broadcast';
    this.multicast = kind === 'multicast';
    this.fib = fib;
    this.#routes = routes;
  }

  get mtu(): number {
    return this.pathMtu;
  }

  /** A transport believes a router: noted for all who send there, and forgotten in time like any path MTU. */
  set mtu(mtu: number) {
    this.#routes.lowerPathMtu(this.dst, mtu);
    // Also of a route that has left the cache.
    this.#routes.readMtu(this);
  }
}

export class Routes {
  /** Generation of everything that a route follows from. */
  gen = 1;
  /** Cached destinations of one FIB; the smallest path MTU that is believed, in bytes: sysctls. */
  cacheLimit = 4096;
  minPathMtu = 552;
  readonly tables: RouteTable[] = [];
  readonly hosts: HostCache;
  readonly #addrs: IfAddrs;
  readonly #stat: RouteStat;
  readonly #caches: AddrTable<InetRoute>[] = [];
  /** Where packets to ourselves go; null without a loopback interface. */
  loopback: InetIf | null = null;

  constructor(kernel: Kernel, addrs: IfAddrs, stat: RouteStat, fibs: number) {
    this.#addrs = addrs;
    this.#stat = stat;
    this.hosts = new HostCache(kernel, stat, (dst) => this.#pathMtuForgotten(dst));
    for (let fib = 0; fib < fibs; fib++) {
      this.tables.push(new RouteTable(kernel.random.u32() | 0));
      this.#caches.push(new AddrTable<InetRoute>(kernel.random.u32() | 0));
    }
  }

  fibs(): number {
    return this.tables.length;
  }

  /** Something changed that routes follow from. */
  changed(): void {
    this.gen = (this.gen + 1) | 0;
    if (this.gen === GEN_STALE) this.gen = 1;
  }

  /** The way to `dst`; errors as in `NetworkLayer.route`. */
  route(dst: IpAddr, fib: number): Result<InetRoute> {
    const cache = this.#caches[fib];
    if (cache === undefined) return 'EINVAL';
    const cached = cache.get(dst);
    if (cached !== null) {
      if (cached.gen === this.gen) {
        cache.touch(cached);
        return cached;
      }
      cache.remove(cached);
      cached.gen = GEN_STALE;
    }
    const found = this.#resolve(dst, fib);
    if (typeof found === 'string') {
      this.#stat.unreach++;
      return found;
    }
    this.readMtu(found);
    found.gen = this.gen;
    for (let old = cache.oldest(); old !== null && cache.size >= this.cacheLimit; old = cache.oldest()) {
      this.#stat.evicted++;
      cache.remove(old);
      old.gen = GEN_STALE;
    }
    cache.insert(found);
    return found;
  }

  #resolve(dst: IpAddr, fib: number): Result<InetRoute> {
    this.#stat.lookups++;
    if (!isV4(dst)) return 'EAFNOSUPPORT';
    if (isAny(dst)) return 'ENETUNREACH';
    const own = this.#addrs.find(dst);
    if (own !== null) return new InetRoute(this, dst, fib, this.loopback ?? own.nif, own.addr, own.addr, 'local');
    const broadcast = dst.w3 === LIMITED_BROADCAST ? this.#limitedBroadcast(fib) : this.#addrs.broadcastOwner(dst);
    if (broadcast !== null)
      return new InetRoute(this, dst, fib, broadcast.nif, broadcast.broadcast ?? copyAddr(dst), broadcast.addr, 'broadcast');
    const entry = this.#lookup(dst, fib);
    if (isMulticast(dst)) return this.#multicast(dst, fib, entry);
    if (entry === null || (isLoopback(dst) && !entry.nif.loopback) || dst.w3 === LIMITED_BROADCAST) return 'ENETUNREACH';
    if ((entry.flags & RTF_REJECT) !== 0) return 'EHOSTUNREACH';
    const nextHop = entry.gateway ?? dst;
    const src = this.#addrs.selectSource(entry.nif, nextHop);
    if (src === null) return 'EADDRNOTAVAIL';
    // A copy: `dst` may be a buffer.
    return new InetRoute(this, dst, fib, entry.nif, entry.gateway ?? copyAddr(dst), src, 'unicast');
  }

  #lookup(dst: IpAddr, fib: number): RtEntry | null {
    return this.tables[fib]?.lookup(dst) ?? null;
  }

  /** 255.255.255.255 goes out where the default route does, else on the first link that has a broadcast. */
  #limitedBroadcast(fib: number): IfAddr | null {
    const preferred = this.tables[fib]?.find(ANY4, 0)?.nif ?? null;
    const all = this.#addrs.all().filter((ifa) => ifa.broadcast !== null);
    return all.find((ifa) => ifa.nif === preferred) ?? all.find((ifa) => ifa.nif.up) ?? all[0] ?? null;
  }

  /** A group without a route of its own goes out where the default route does, else on the first link that can. */
  #multicast(dst: IpAddr, fib: number, entry: RtEntry | null): Result<InetRoute> {
    const capable = (ifa: IfAddr): boolean => !ifa.nif.loopback && (ifa.nif.ifp.flags() & IFF_MULTICAST) !== 0;
    const able = entry === null ? this.#addrs.all().filter(capable) : [];
    const nif = entry?.nif ?? (able.find((ifa) => ifa.nif.up) ?? able[0])?.nif ?? null;
    if (nif === null) return 'ENETUNREACH';
    const src = this.#addrs.selectSource(nif, dst);
    if (src === null) return 'EADDRNOTAVAIL';
    return new InetRoute(this, dst, fib, nif, copyAddr(dst), src, 'multicast');
  }

  /** The way to a group over an interface that a user chose: not cached here. EADDRNOTAVAIL without a source address. */
  groupVia(dst: IpAddr, fib: number, nif: InetIf): Result<InetRoute> {
    const src = this.#addrs.selectSource(nif, dst);
    if (src === null) return 'EADDRNOTAVAIL';
    const route = new InetRoute(this, dst, fib, nif, copyAddr(dst), src, 'multicast');
    this.readMtu(route);
    route.gen = this.gen;
    return route;
  }

  /** Gives a route the MTU that is known now. */
  readMtu(route: InetRoute): void {
    const linkMtu = route.looped ? LOCAL_MTU : route.nif.mtu;
    const told = route.local ? 0 : this.hosts.mtu(route.dst);
    route.mayFragment = told !== 0 && told < this.minPathMtu;
    route.pathMtu = told === 0 ? linkMtu : Math.min(linkMtu, Math.max(told, this.minPathMtu));
  }

  /**
   * A router says that packets to `dst` may have `mtu` bytes (RFC 1191 §3): lowers, never raises. Below the smallest MTU that is
   * believed, that one is kept and DF is given up (what a forged message can do ends there).
   */
  lowerPathMtu(dst: IpAddr, mtu: number): void {
    const known = this.hosts.mtu(dst);
    if (mtu < 68 || (known !== 0 && mtu >= known)) {
      this.#stat.pmturefused++;
      return;
    }
    this.#stat.pmtulowered++;
    this.hosts.set(dst, mtu);
    this.#eachCached(dst, (route) => this.readMtu(route));
  }

  #pathMtuForgotten(dst: IpAddr): void {
    this.#eachCached(dst, (route) => this.readMtu(route));
  }

  #eachCached(dst: IpAddr, fn: (route: InetRoute) => void): void {
    for (const cache of this.#caches) {
      const route = cache.get(dst);
      if (route !== null) fn(route);
    }
  }

  /** Adds the subnet of an address to every FIB. One that is there already stays as it is. */
  addConnected(ifa: IfAddr): void {
    for (const table of this.tables) table.add(connectedEntry(ifa));
    this.changed();
  }

  /** An address went: its subnet's routes go too, or over to another address that is in it. */
  removeConnected(ifa: IfAddr): void {
    const [prefix, plen] = connectedPrefix(ifa);
    const heir = this.#addrs.all().find((other) => {
      const [theirs, len] = connectedPrefix(other);
      return len === plen && isV4(theirs) === isV4(prefix) && inPrefix(theirs, prefix, plen);
    });
    for (const table of this.tables) {
      const entry = table.find(prefix, plen);
      if (entry === null || entry.nif !== ifa.nif || entry.gateway !== null) continue;
      table.remove(entry);
      if (heir !== undefined) table.add(connectedEntry(heir));
    }
    this.changed();
  }

  /** Takes out every route over an interface that is going. */
  removeInterface(nif: InetIf): void {
    for (const table of this.tables) for (const entry of table.list()) if (entry.nif === nif) table.remove(entry);
    if (this.loopback === nif) this.loopback = null;
    this.changed();
    // What a socket still holds is stale, and a cache must not keep an interface alive.
    for (const cache of this.#caches) {
      for (const route of cache.list()) {
        if (route.nif !== nif) continue;
        cache.remove(route);
        route.gen = GEN_STALE;
      }
    }
  }

  /** Adds a static route. ENETUNREACH for a gateway on none of our links; else as `RouteTable.add`. EINVAL for a bad FIB. */
  addStatic(fib: number, prefix: IpAddr, plen: number, gateway: IpAddr | null, nif: InetIf | null, flags: number): Errno | null {
    const table = this.tables[fib];
    if (table === undefined || (gateway === null && nif === null)) return 'EINVAL';
    if (gateway !== null && isV4(gateway) !== isV4(prefix)) return 'EINVAL';
    const out = nif ?? (gateway === null ? null : this.#interfaceOf(gateway));
    if (out === null) return 'ENETUNREACH';
    const err = table.add(new RtEntry(prefix, plen, gateway, out, flags | RTF_UP));
    if (err === null) this.changed();
    return err;
  }

  #interfaceOf(gateway: IpAddr): InetIf | null {
    const ifa = this.#addrs.all().find(({ nif }) => this.#addrs.onLink(nif, gateway) !== null);
    const peer = this.#addrs.all().find((a) => a.peer !== null && a.peer.w3 === gateway.w3 && isV4(a.peer) === isV4(gateway));
    return (peer ?? ifa)?.nif ?? null;
  }

  remove(fib: number, prefix: IpAddr, plen: number): RtEntry | null {
    const table = this.tables[fib];
    const entry = table?.find(prefix, plen) ?? null;
    if (table === undefined || entry === null) return null;
    table.remove(entry);
    this.changed();
    return entry;
  }

  /** Forgets cached ways and path MTUs. */
  forgetLearnt(): void {
    this.hosts.clear();
    for (const cache of this.#caches) {
      for (const route of cache.list()) {
        cache.remove(route);
        route.gen = GEN_STALE;
      }
    }
    this.changed();
  }

  stop(): void {
    this.hosts.stop();
  }
}

/** A prefix that an address brings: its subnet, or the other end of a point-to-point link. */
function connectedPrefix(ifa: IfAddr): [prefix: IpAddr, plen: number] {
  return ifa.peer === null ? [ifa.addr, ifa.plen] : [ifa.peer, isV4(ifa.peer) ? 32 : 128];
}

function connectedEntry(ifa: IfAddr): RtEntry {
  const [prefix, plen] = connectedPrefix(ifa);
  return new RtEntry(prefix, plen, null, ifa.nif, RTF_UP | (plen === (isV4(prefix) ? 32 : 128) ? RTF_HOST : 0));
}
