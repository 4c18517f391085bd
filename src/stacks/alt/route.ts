/**
 * Addresses and routes (RFC 1122 §3.3.1): the addresses of the interfaces with their prefixes, and a small table of static routes, the
 * default among them. Fixed tables of words, read in a line: a host has a handful of each. IPv4 addresses are 32-bit integers.
 */
import type { Errno } from '../../kern/errno.ts';
import { at } from './slab.ts';

/** Addresses of all interfaces. */
export const MAX_ADDRS = 32;
const MAX_ROUTES = 64;

/** The mask of a prefix length. */
export function maskOf(len: number): number {
  return len <= 0 ? 0 : -1 << (32 - len);
}

/** The length of a mask. */
export function lenOf(mask: number): number {
  return Math.clz32(~mask);
}

export class Routes {
  /** Changes whenever an answer could: what holds a cached way compares it. */
  gen = 1;
  naddrs = 0;
  readonly addr = new Int32Array(MAX_ADDRS);
  readonly mask = new Int32Array(MAX_ADDRS);
  readonly bcast = new Int32Array(MAX_ADDRS);
  readonly addrIx = new Int32Array(MAX_ADDRS);
  nroutes = 0;
  readonly dst = new Int32Array(MAX_ROUTES);
  readonly dstMask = new Int32Array(MAX_ROUTES);
  /** 0: on the interface's own link. */
  readonly gateway = new Int32Array(MAX_ROUTES);
  readonly routeIx = new Int32Array(MAX_ROUTES);
  /** Number of the loopback among the interfaces. */
  loopIx = 0;

  /** Answer of `lookup`: the interface, whom to hand the packet to, the source address. Good until the next lookup. */
  ix = 0;
  nexthop = 0;
  src = 0;
  group = false;

  /** Index of one of our own addresses, or -1. */
  find(addr: number): number {
    for (let k = 0; k < this.naddrs; k++) if (at(this.addr, k) === addr) return k;
    return -1;
  }

  /** One of our own addresses. */
  isLocal(addr: number): boolean {
    return at(this.addr, 0) === addr ? this.naddrs > 0 : this.find(addr) >= 0;
  }

  /** 255.255.255.255, a broadcast address of one of our links, or a multicast address. */
  isGroup(addr: number): boolean {
    if (addr === -1 || addr >>> 28 === 0xe) return true;
    for (let k = 0; k < this.naddrs; k++) if (at(this.bcast, k) === addr && at(this.mask, k) !== -1) return true;
    return false;
  }

  /** Can a packet come from there (RFC 1122 §3.2.1.3)? Not from a group, and not from 0/8 or class E. */
  isSource(addr: number): boolean {
    return addr >>> 24 !== 0 && addr >>> 28 < 0xe && !this.isGroup(addr);
  }

  /** EEXIST, ENOSPC. A broadcast address of 0 is computed. */
  addAddr(ix: number, addr: number, prefixLen: number, bcast: number): Errno | null {
    if (this.find(addr) >= 0) return 'EEXIST';
    if (this.naddrs === MAX_ADDRS) return 'ENOSPC';
    const k = this.naddrs++;
    const mask = maskOf(prefixLen);
    this.addr[k] = addr;
    this.mask[k] = mask;
    // A prefix of 31 bits or more has no broadcast address (RFC 3021).
    this.bcast[k] = bcast !== 0 ? bcast : prefixLen < 31 ? addr | ~mask : -1;
    this.addrIx[k] = ix;
    this.gen++;
    return null;
  }

  /** EADDRNOTAVAIL. */
  delAddr(ix: number, addr: number): Errno | null {
    const k = this.find(addr);
    if (k < 0 || at(this.addrIx, k) !== ix) return 'EADDRNOTAVAIL';
    for (const column of [this.addr, this.mask, this.bcast, this.addrIx]) column.copyWithin(k, k + 1, this.naddrs);
    this.naddrs--;
    this.addr[this.naddrs] = 0;
    this.gen++;
    return null;
  }

  /** EEXIST, ENOSPC, ENETUNREACH for a gateway on no link. `ix` -1: the gateway's address says it. */
  addRoute(dst: number, prefixLen: number, gateway: number, ix: number): Errno | null {
    if (ix < 0) {
      if (!this.#connected(gateway)) return 'ENETUNREACH';
      ix = this.ix;
    }
    if (this.findRoute(dst, prefixLen) >= 0) return 'EEXIST';
    if (this.nroutes === MAX_ROUTES) return 'ENOSPC';
    const k = this.nroutes++;
    const mask = maskOf(prefixLen);
    this.dst[k] = dst & mask;
    this.dstMask[k] = mask;
    this.gateway[k] = gateway;
    this.routeIx[k] = ix;
    this.gen++;
    return null;
  }

  findRoute(dst: number, prefixLen: number): number {
    const mask = maskOf(prefixLen);
    for (let k = 0; k < this.nroutes; k++) if (at(this.dst, k) === (dst & mask) && at(this.dstMask, k) === mask) return k;
    return -1;
  }

  delRoute(k: number): void {
    for (const column of [this.dst, this.dstMask, this.gateway, this.routeIx]) column.copyWithin(k, k + 1, this.nroutes);
    this.nroutes--;
    this.gen++;
  }

  /** Forgets everything of an interface. */
  purge(ix: number): void {
    for (let k = this.naddrs - 1; k >= 0; k--) if (at(this.addrIx, k) === ix) this.delAddr(ix, at(this.addr, k));
    for (let k = this.nroutes - 1; k >= 0; k--) if (at(this.routeIx, k) === ix) this.delRoute(k);
    this.gen++;
  }

  /** Finds the way to `dst`: fills `ix`, `nexthop`, `src`, `group`. False without one. */
  lookup(dst: number): boolean {
    this.group = this.isGroup(dst);
    if (!this.group) {
      if (this.find(dst) >= 0) {
        this.ix = this.loopIx;
        this.nexthop = this.src = dst;
        return true;
      }
    }
    let best = -1;
    const connected = this.#connected(dst);
    if (connected) best = at(this.mask, this.#via) >>> 0;
    let via = -1;
    for (let k = 0; k < this.nroutes; k++) {
      const mask = at(this.dstMask, k);
      if ((dst & mask) === at(this.dst, k) && mask >>> 0 > best) {
        best = mask >>> 0;
        via = k;
      }
    }
    if (via >= 0) {
      const gateway = at(this.gateway, via);
      this.ix = at(this.routeIx, via);
      this.nexthop = gateway !== 0 && !this.group ? gateway : dst;
      this.src = this.sourceOf(this.ix, this.nexthop);
      return this.src !== 0;
    }
    if (connected) {
      this.nexthop = dst;
      return true;
    }
    if (!this.group) return false;
    // A group without a route leaves by the first link that is not the loopback.
    for (let k = 0; k < this.naddrs; k++) {
      if (at(this.addrIx, k) === this.loopIx) continue;
      this.ix = at(this.addrIx, k);
      this.src = at(this.addr, k);
      this.nexthop = dst;
      return true;
    }
    return false;
  }

  #via = 0;

  /** Is `dst` on one of our links? The longest prefix. Fills `ix` and `src`. */
  #connected(dst: number): boolean {
    let found = false;
    let best = -1;
    for (let k = 0; k < this.naddrs; k++) {
      const mask = at(this.mask, k);
      if (((dst ^ at(this.addr, k)) & mask) !== 0 || mask >>> 0 <= best) continue;
      best = mask >>> 0;
      this.#via = k;
      this.ix = at(this.addrIx, k);
      this.src = at(this.addr, k);
      found = true;
    }
    return found;
  }

  /** The interface's address on the neighbour's own net, or its first. 0: it has none. */
  sourceOf(ix: number, neighbour: number): number {
    let first = 0;
    for (let k = 0; k < this.naddrs; k++) {
      if (at(this.addrIx, k) !== ix) continue;
      if (first === 0) first = at(this.addr, k);
      if (((neighbour ^ at(this.addr, k)) & at(this.mask, k)) === 0) return at(this.addr, k);
    }
    return first;
  }
}
