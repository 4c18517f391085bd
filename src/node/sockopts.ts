/** Socket options as the Node API needs them (setsockopt(2), tcp(4), ip(4)); numbers of the protocols' levels are FreeBSD's. */
import type { Errno } from '../kern/errno.ts';
import { sogetopt, sosetopt } from '../kern/socket/calls.ts';
import type { SockOpt } from '../kern/socket/protosw.ts';
import {
  SOL_SOCKET,
  SO_ACCEPTFILTER,
  SO_BROADCAST,
  SO_KEEPALIVE,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
} from '../kern/socket/soconst.ts';
import type { Socket } from '../kern/socket/socket.ts';
import type { IpAddr } from '../wire/addr.ts';

const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IP_TTL = 4;
const IP_MULTICAST_IF = 9;
const IP_MULTICAST_TTL = 10;
const IP_MULTICAST_LOOP = 11;
const GROUP_OPTIONS = { add: 12, drop: 13, addSource: 70, dropSource: 71 } as const;
const TCP_NODELAY = 1;
/** Seconds. */
const TCP_KEEPIDLE = 256;

function setOption(so: Socket, level: number, name: number, value: unknown): Errno | null {
  return sosetopt(so, { dir: 'set', level, name, value });
}

/** A protocol without small segments to hold back has no such option, which is fine. */
export function setNoDelayOption(so: Socket, on: boolean): void {
  setOption(so, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

/** `delayMs` 0 leaves the time before the first probe as it is. */
export function setKeepAliveOption(so: Socket, on: boolean, delayMs: number): void {
  const seconds = Math.floor(delayMs / 1000);
  if (on && seconds > 0) setOption(so, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  setOption(so, SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0);
}

export function setReuseAddrOption(so: Socket): void {
  setOption(so, SOL_SOCKET, SO_REUSEADDR, 1);
}

export function setReusePortOption(so: Socket): void {
  setOption(so, SOL_SOCKET, SO_REUSEPORT, 1);
}

/** ENOENT for a filter that the kernel does not have. */
export function setAcceptFilterOption(so: Socket, name: string): Errno | null {
  return setOption(so, SOL_SOCKET, SO_ACCEPTFILTER, { name });
}

export function setBroadcastOption(so: Socket, on: boolean): Errno | null {
  return setOption(so, SOL_SOCKET, SO_BROADCAST, on ? 1 : 0);
}

export function setTtlOption(so: Socket, ttl: number): Errno | null {
  return Number.isInteger(ttl) && ttl >= 1 && ttl <= 255 ? setOption(so, IPPROTO_IP, IP_TTL, ttl) : 'EINVAL';
}

/** What may be asked about a group. */
export type GroupChange = keyof typeof GROUP_OPTIONS;

/** Joins or leaves `group`; `via` is an address of the interface, null: as routes say. */
export function setGroupOption(
  so: Socket,
  what: GroupChange,
  group: IpAddr,
  via: IpAddr | null,
  source: IpAddr | null,
): Errno | null {
  const value = {
    multiaddr: group,
    ...(via === null ? {} : { interface: via }),
    ...(source === null ? {} : { sourceaddr: source }),
  };
  return setOption(so, IPPROTO_IP, GROUP_OPTIONS[what], value);
}

export function setMulticastTtlOption(so: Socket, ttl: number): Errno | null {
  return Number.isInteger(ttl) && ttl >= 0 && ttl <= 255 ? setOption(so, IPPROTO_IP, IP_MULTICAST_TTL, ttl) : 'EINVAL';
}

export function setMulticastLoopOption(so: Socket, on: boolean): Errno | null {
  return setOption(so, IPPROTO_IP, IP_MULTICAST_LOOP, on ? 1 : 0);
}

export function setMulticastIfOption(so: Socket, addr: IpAddr): Errno | null {
  return setOption(so, IPPROTO_IP, IP_MULTICAST_IF, addr);
}

export function setBufferSizeOption(so: Socket, which: 'rcv' | 'snd', bytes: number): Errno | null {
  return setOption(so, SOL_SOCKET, which === 'rcv' ? SO_RCVBUF : SO_SNDBUF, bytes);
}

export function getBufferSizeOption(so: Socket, which: 'rcv' | 'snd'): number {
  const sopt: SockOpt = { dir: 'get', level: SOL_SOCKET, name: which === 'rcv' ? SO_RCVBUF : SO_SNDBUF, value: 0 };
  return sogetopt(so, sopt) === null ? (sopt.value as number) : 0;
}
