/** Options of level IPPROTO_IP that datagram and raw sockets have in common (ip(4)), with FreeBSD's numbers. */
import type { Errno } from '../../kern/errno.ts';
import type { SockOpt } from '../../kern/socket/protosw.ts';
import type { Socket } from '../../kern/socket/socket.ts';
import { SOL_SOCKET } from '../../kern/socket/soconst.ts';
import { sosetfib } from '../../kern/socket/sockopt.ts';
import { IPPROTO_IP } from '../../wire/ipv4.ts';
import type { IpOut, Route } from './contract.ts';
import type { InetIf } from './netif.ts';

export const IP_HDRINCL = 2;
export const IP_TOS = 3;
export const IP_TTL = 4;
export const IP_MINTTL = 66;
export const IP_DONTFRAG = 67;

export const IP_RECVDSTADDR = 7;
/** On the way out; the same number. */
export const IP_SENDSRCADDR = 7;
export const IP_RECVIF = 20;
export const IP_RECVTTL = 65;
export const IP_RECVTOS = 68;

/** Options that ask for something, each with its bit in `IpOptions.wants`. */
export const WANTS: ReadonlyMap<number, number> = new Map([
  [IP_RECVDSTADDR, 1],
  [IP_RECVIF, 2],
  [IP_RECVTTL, 4],
  [IP_RECVTOS, 8],
]);

/** What a socket's packets get; its protocol reads it as `IpOut`. */
export class IpOptions implements IpOut {
  tos = 0;
  ttl: number;
  df = false;
  /** Of packets to one host, and to a group (RFC 1112 §6.1). */
  unicastTtl: number;
  multicastTtl = 1;
  /** What the user is told of packets: bits of ipcontrol.ts. */
  wants = 0;
  /** Packets that have come further than this allows are not taken (RFC 5082); 0: any. */
  minTtl = 0;
  /** Where packets to groups go out, if the user chose; members on this host hear them too. */
  multicastIf: InetIf | null = null;
  loop = true;

  constructor(ttl: number) {
    this.ttl = this.unicastTtl = ttl;
  }
}

/** A control block that has these options, and a route that depends on the socket's FIB. */
export interface HasIpOptions {
  readonly how: IpOptions;
  route: Route | null;
}

/** ENOPROTOOPT for an option that is not one of these, EINVAL for a bad value. */
export function ipCtloutput(so: Socket, pcb: HasIpOptions, sopt: SockOpt): Errno | null {
  if (sopt.level === SOL_SOCKET) {
    pcb.route = null;
    return sosetfib(so, sopt);
  }
  if (sopt.level !== IPPROTO_IP) return 'ENOPROTOOPT';
  const { how } = pcb;
  const bit = WANTS.get(sopt.name);
  if (bit !== undefined) {
    return number(sopt, 0, 1, (how.wants & bit) !== 0 ? 1 : 0, (v) => (how.wants = v === 1 ? how.wants | bit : how.wants & ~bit));
  }
  switch (sopt.name) {
    case IP_TOS:
      return number(sopt, 0, 255, how.tos, (v) => (how.tos = v));
    case IP_TTL:
      return number(sopt, 1, 255, how.unicastTtl, (v) => (how.unicastTtl = v));
    case IP_MINTTL:
      return number(sopt, 0, 255, how.minTtl, (v) => (how.minTtl = v));
    case IP_DONTFRAG:
      return number(sopt, 0, 1, how.df ? 1 : 0, (v) => (how.df = v === 1));
    default:
      return 'ENOPROTOOPT';
  }
}

/** Gets or sets a number; a boolean counts as 0 or 1. */
export function number(sopt: SockOpt, min: number, max: number, now: number, set: (value: number) => void): Errno | null {
  if (sopt.dir === 'get') {
    sopt.value = now;
    return null;
  }
  const value = typeof sopt.value === 'boolean' ? Number(sopt.value) : sopt.value;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) return 'EINVAL';
  set(value);
  return null;
}
