/**
 * Addresses of this host and what follows from them: what is local, what is broadcast, and which source a packet gets
 * (RFC 1122 §3.2.1.3, §3.3.4; RFC 3021 for /31). Any address is accepted on any interface (the weak host model).
 */
import type { Errno } from '../../kern/errno.ts';
import { IFF_BROADCAST, type Ifnet } from '../../kern/ifnet/ifnet.ts';
import { type IpAddr, copyAddr, inPrefix, ipv4, isAny, isMulticast, isV4 } from '../../wire/addr.ts';
import { AddrEntry, AddrTable } from './addrtable.ts';
import type { IfAddr, InetIf } from './netif.ts';

/** Addresses of all interfaces together. */
export const MAX_IFADDRS = 4096;
/** Addresses that are compared one by one for each packet; more are looked up. */
const FEW = 8;
/** 255.255.255.255 (RFC 919). */
export const LIMITED_BROADCAST = -1;
/** 224.0.0.1, the group that every host is in (RFC 1112 §4). */
export const ALL_HOSTS = 0xe0000001 | 0;

class LocalEntry extends AddrEntry {
  readonly ifa: IfAddr;
  constructor(ifa: IfAddr) {
    super();
    this.dst.set(ifa.addr);
    this.ifa = ifa;
  }
}

export class IfAddrs {
  readonly #local: AddrTable<LocalEntry>;
  /** Broadcast addresses of all subnets as words: few, and asked for each packet. */
  #broadcasts: number[] = [];
  /** The IPv4 addresses as words, if they are few enough to be gone through faster than looked up; null otherwise. */
  #few: number[] | null = [];

  constructor(seed: number) {
    this.#local = new AddrTable(seed);
  }

  /** EEXIST for an address this host has already, EINVAL for one that no host can have, ENOBUFS over the limit. */
  check(nif: InetIf, addr: IpAddr, plen: number, peer: IpAddr | null): Errno | null {
    const bits = isV4(addr) ? 32 : 128;
    if (!Number.isInteger(plen) || plen < 0 || plen > bits || isAny(addr) || isMulticast(addr)) return 'EINVAL';
    const broadcast = broadcastFor(nif, addr, plen, peer);
    if (isV4(addr) && (addr.w3 === LIMITED_BROADCAST || addr.w3 >>> 28 === 15 || broadcast?.w3 === addr.w3)) return 'EINVAL';
    if (this.#local.get(addr) !== null) return 'EEXIST';
    return this.#local.size >= MAX_IFADDRS ? 'ENOBUFS' : null;
  }

  /** Errors as `check`. */
  add(nif: InetIf, addr: IpAddr, plen: number, peer: IpAddr | null): IfAddr | Errno {
    const err = this.check(nif, addr, plen, peer);
    if (err !== null) return err;
    const broadcast = broadcastFor(nif, addr, plen, peer);
    const ifa: IfAddr = { nif, addr: copyAddr(addr), plen, broadcast, peer: peer === null ? null : copyAddr(peer) };
    nif.addrs.push(ifa);
    this.#local.insert(new LocalEntry(ifa));
    this.#changed(nif);
    return ifa;
  }

  /** Null for an address that the interface does not have. */
  remove(nif: InetIf, addr: IpAddr): IfAddr | null {
    const entry = this.#local.get(addr);
    if (entry === null || entry.ifa.nif !== nif) return null;
    this.#local.remove(entry);
    nif.addrs.splice(nif.addrs.indexOf(entry.ifa), 1);
    this.#changed(nif);
    return entry.ifa;
  }

  #changed(nif: InetIf): void {
    nif.primary4 = nif.addrs.find((ifa) => isV4(ifa.addr))?.addr.w3 ?? 0;
    const words = this.all().map((ifa) => ifa.broadcast?.w3 ?? 0);
    this.#broadcasts = [...new Set(words)].filter((word) => word !== 0);
    const locals = this.all().filter((ifa) => isV4(ifa.addr));
    this.#few = locals.length <= FEW ? locals.map((ifa) => ifa.addr.w3) : null;
  }

  find(addr: IpAddr): IfAddr | null {
    return this.#local.get(addr)?.ifa ?? null;
  }

  all(): IfAddr[] {
    return this.#local.list().map((entry) => entry.ifa);
  }

  isLocal(addr: IpAddr): boolean {
    const few = this.#few;
    if (few === null || !isV4(addr)) return this.#local.get(addr) !== null;
    for (let i = 0; i < few.length; i++) if (few[i] === addr.w3) return true;
    return false;
  }

  /** The limited broadcast, or that of one of our subnets (RFC 919, RFC 922). */
  isBroadcast4(word: number): boolean {
    if (word === LIMITED_BROADCAST) return true;
    const list = this.#broadcasts;
    for (let i = 0; i < list.length; i++) if (list[i] === word) return true;
    return false;
  }

  /** The address whose subnet has this broadcast address. */
  broadcastOwner(addr: IpAddr): IfAddr | null {
    return this.all().find((ifa) => ifa.broadcast !== null && ifa.broadcast.w3 === addr.w3 && isV4(addr)) ?? null;
  }

  /** The interface's first address in whose subnet `addr` is. */
  onLink(nif: InetIf, addr: IpAddr): IfAddr | null {
    return nif.addrs.find((ifa) => isV4(ifa.addr) === isV4(addr) && inPrefix(addr, ifa.addr, ifa.plen)) ?? null;
  }

  /**
   * Source for a packet to `nextHop` over `nif`: an address of the same subnet, else the interface's first, else the first of
   * another interface that is no loopback. Null without any.
   */
  selectSource(nif: InetIf, nextHop: IpAddr): IpAddr | null {
    const v4 = isV4(nextHop);
    const own = nif.addrs.filter((ifa) => isV4(ifa.addr) === v4);
    const near = own.find((ifa) => inPrefix(nextHop, ifa.addr, ifa.plen)) ?? own[0];
    return (near ?? this.all().find((ifa) => !ifa.nif.loopback && isV4(ifa.addr) === v4))?.addr ?? null;
  }
}

function broadcastFor(nif: InetIf, addr: IpAddr, plen: number, peer: IpAddr | null): IpAddr | null {
  return peer === null && canBroadcast(nif.ifp) ? broadcastOf(addr, plen) : null;
}

function canBroadcast(ifp: Ifnet): boolean {
  return (ifp.flags() & IFF_BROADCAST) !== 0;
}

/** All ones in the host's part. None for a prefix that leaves less than two bits (RFC 3021), or for IPv6. */
export function broadcastOf(addr: IpAddr, plen: number): IpAddr | null {
  if (!isV4(addr) || plen > 30) return null;
  return ipv4(addr.w3 | (0xffffffff >>> plen));
}

/** The netmask of a prefix as a word, and the length of the prefix of a netmask; -1 for bits that are no prefix. */
export function maskOf(plen: number): number {
  return plen === 0 ? 0 : -1 << (32 - plen);
}

export function plenOf(mask: number): number {
  const plen = Math.clz32(~mask);
  return maskOf(plen) === (mask | 0) ? plen : -1;
}
