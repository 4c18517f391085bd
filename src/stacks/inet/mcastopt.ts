/**
 * Socket options about groups (ip(4), RFC 3678 §3), with FreeBSD's numbers. A membership is a plain object with the fields of `struct
 * ip_mreqn` and `struct ip_mreq_source` in words; a socket without an interface of its own choice uses the one that routes say.
 */
import type { Errno, Result } from '../../kern/errno.ts';
import type { SockOpt } from '../../kern/socket/protosw.ts';
import type { Socket } from '../../kern/socket/socket.ts';
import { ANY4, type IpAddr, copyAddr, isAny, isMulticast, isV4 } from '../../wire/addr.ts';
import type { Route } from './contract.ts';
import type { Ip } from './ip.ts';
import { type IpOptions, number } from './ipsockopt.ts';
import type { Multicast } from './mcast.ts';
import { HEAR_NOTHING, type HasGroups, type Membership } from './mcastgroup.ts';
import { type InetIf, inetIf } from './netif.ts';

export const IP_MULTICAST_IF = 9;
export const IP_MULTICAST_TTL = 10;
export const IP_MULTICAST_LOOP = 11;
export const IP_ADD_MEMBERSHIP = 12;
export const IP_DROP_MEMBERSHIP = 13;
export const IP_ADD_SOURCE_MEMBERSHIP = 70;
export const IP_DROP_SOURCE_MEMBERSHIP = 71;
export const IP_BLOCK_SOURCE = 72;
export const IP_UNBLOCK_SOURCE = 73;

/** Value of the options about a membership; of IP_MULTICAST_IF one of the last two. */
export interface GroupReq {
  readonly multiaddr: IpAddr;
  /** Of the options with "source" in their name. */
  readonly sourceaddr?: IpAddr;
  /** An address of the interface, or its index; neither, or 0.0.0.0: by the routes. */
  readonly interface?: IpAddr;
  readonly ifindex?: number;
}

/** A control block whose socket may join groups. */
export interface HasGroupOptions extends HasGroups {
  readonly how: IpOptions;
  route: Route | null;
}

/** What the options work on. */
export interface GroupOptions {
  readonly ip: Ip;
  readonly mcast: Multicast;
}

export function isGroupOption(name: number): boolean {
  return (
    (name >= IP_MULTICAST_IF && name <= IP_DROP_MEMBERSHIP) || (name >= IP_ADD_SOURCE_MEMBERSHIP && name <= IP_UNBLOCK_SOURCE)
  );
}

/** EINVAL for a value that is none, EADDRNOTAVAIL for an interface or a membership that is not there, EADDRINUSE for one that is. */
export function groupCtloutput(self: GroupOptions, so: Socket, pcb: HasGroupOptions, sopt: SockOpt): Errno | null {
  const { how } = pcb;
  switch (sopt.name) {
    case IP_MULTICAST_TTL:
      return number(sopt, 0, 255, how.multicastTtl, (v) => (how.multicastTtl = v));
    case IP_MULTICAST_LOOP:
      return number(sopt, 0, 1, how.loop ? 1 : 0, (v) => (how.loop = v === 1));
    case IP_MULTICAST_IF:
      return sendingInterface(self, so, pcb, sopt);
    default:
      return sopt.dir === 'get' ? 'EOPNOTSUPP' : member(self, so, pcb, sopt);
  }
}

function addrValue(value: unknown): IpAddr | null {
  if (typeof value !== 'object' || value === null) return null;
  const { w0, w1, w2, w3, zone } = value as Readonly<Record<string, unknown>>;
  const words = [w0, w1, w2, w3, zone].every((word) => typeof word === 'number' && (word | 0) === word);
  return words && zone === 0 && isV4(value as IpAddr) ? copyAddr(value as IpAddr) : null;
}

/** Null: the user did not choose. */
function interfaceOf({ ip }: GroupOptions, so: Socket, addr: unknown, index: unknown): Result<InetIf | null> {
  if (index !== undefined && index !== 0) {
    if (!Number.isInteger(index)) return 'EINVAL';
    const ifp = so.kernel.ifnets.byIndex(index as number);
    return (ifp === null ? null : inetIf(ifp)) ?? 'EADDRNOTAVAIL';
  }
  if (addr === undefined) return null;
  const chosen = addrValue(addr);
  if (chosen === null) return 'EINVAL';
  return isAny(chosen) ? null : (ip.addrs.find(chosen)?.nif ?? 'EADDRNOTAVAIL');
}

/** An address of the interface, 0.0.0.0 for none, its index, or an object with either. */
function sendingInterface(self: GroupOptions, so: Socket, pcb: HasGroupOptions, sopt: SockOpt): Errno | null {
  const { how } = pcb;
  const { value } = sopt;
  if (sopt.dir === 'get') {
    sopt.value = how.multicastIf?.addrs.find(({ addr }) => isV4(addr))?.addr ?? ANY4;
    return null;
  }
  const fields = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  const plain = 'w3' in fields;
  const index = typeof value === 'number' ? value : fields.ifindex;
  const addr = plain ? value : fields.interface;
  if (index === undefined && addr === undefined) return 'EINVAL';
  const nif = interfaceOf(self, so, addr, index);
  if (typeof nif === 'string') return nif;
  how.multicastIf = nif;
  pcb.route = null;
  return null;
}

function member(self: GroupOptions, so: Socket, pcb: HasGroupOptions, sopt: SockOpt): Errno | null {
  const { value } = sopt;
  if (typeof value !== 'object' || value === null) return 'EINVAL';
  const req = value as Readonly<Record<string, unknown>>;
  const group = addrValue(req.multiaddr);
  if (group === null || !isMulticast(group)) return 'EINVAL';
  const chosen = interfaceOf(self, so, req.interface, req.ifindex);
  if (typeof chosen === 'string') return chosen;
  const adds = sopt.name === IP_ADD_MEMBERSHIP || sopt.name === IP_ADD_SOURCE_MEMBERSHIP;
  if (!adds) {
    const m = chosen === null ? self.mcast.findAny(pcb, group.w3) : self.mcast.find(pcb, chosen, group.w3);
    return m === null ? 'EADDRNOTAVAIL' : less(self, m, sopt.name, req.sourceaddr);
  }
  const nif = chosen ?? routed(self, so, group);
  if (nif === null) return 'EADDRNOTAVAIL';
  const m = self.mcast.find(pcb, nif, group.w3);
  if (sopt.name === IP_ADD_MEMBERSHIP) {
    if (m !== null) return m.exclude ? 'EADDRINUSE' : 'EINVAL';
    return self.mcast.join(pcb, nif, group.w3, { exclude: true, sources: HEAR_NOTHING.sources });
  }
  const source = sourceOf(req.sourceaddr);
  if (source === null) return 'EINVAL';
  if (m === null) return self.mcast.join(pcb, nif, group.w3, { exclude: false, sources: new Set([source]) });
  if (m.exclude) return 'EINVAL';
  return withSource(self, m, source, true);
}

/** Dropping, blocking, and unblocking: of a membership that is there. */
function less(self: GroupOptions, m: Membership, name: number, sourceaddr: unknown): Errno | null {
  if (name === IP_DROP_MEMBERSHIP) {
    self.mcast.leave(m);
    return null;
  }
  const source = sourceOf(sourceaddr);
  // RFC 3678 §4.1.3: a list of those to hear, or of those not to hear; not both.
  if (source === null || m.exclude !== (name !== IP_DROP_SOURCE_MEMBERSHIP)) return 'EINVAL';
  if (name === IP_DROP_SOURCE_MEMBERSHIP && m.sources.size === 1 && m.sources.has(source)) {
    self.mcast.leave(m);
    return null;
  }
  return withSource(self, m, source, name === IP_BLOCK_SOURCE);
}

/** EADDRNOTAVAIL when the list has the source already, or does not have the one to take out. */
function withSource({ mcast }: GroupOptions, m: Membership, source: number, add: boolean): Errno | null {
  const sources = new Set(m.sources);
  if (add ? sources.has(source) : !sources.delete(source)) return 'EADDRNOTAVAIL';
  if (add) sources.add(source);
  return mcast.change(m, { exclude: m.exclude, sources });
}

function sourceOf(value: unknown): number | null {
  const addr = addrValue(value);
  return addr === null || isAny(addr) || isMulticast(addr) ? null : addr.w3;
}

function routed({ ip }: GroupOptions, so: Socket, group: IpAddr): InetIf | null {
  const route = ip.route(group, so.fib);
  return typeof route === 'string' ? null : route.nif;
}
