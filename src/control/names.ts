/**
 * The names that the control protocol uses for what C programs have numbers for: families, types, flags, options, events and ioctl
 * requests. Numbers are FreeBSD's (sys/socket.h, netinet/in.h, netinet/tcp.h, sys/sockio.h).
 */
import * as ifioctl from '../kern/ifnet/ifioctl.ts';
import * as neighioctl from '../kern/ifnet/neighioctl.ts';
import * as calls from '../kern/socket/calls.ts';
import { AF_INET, AF_INET6, AF_LOCAL, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM } from '../kern/socket/protosw.ts';
import * as sendrecv from '../kern/socket/sendrecv.ts';
import * as soconst from '../kern/socket/soconst.ts';
import * as soioctl from '../kern/socket/soioctl.ts';

export type NameTable = ReadonlyMap<string, number>;

/** The numeric exports of a module whose names fit. */
function numbersOf(exports: object, pattern: RegExp): NameTable {
  const table = new Map<string, number>();
  for (const [name, value] of Object.entries(exports)) {
    if (typeof value === 'number' && pattern.test(name)) table.set(name, value);
  }
  return table;
}

const tableOf = (entries: Readonly<Record<string, number>>): NameTable => new Map(Object.entries(entries));

export const DOMAINS = tableOf({ local: AF_LOCAL, unix: AF_LOCAL, inet: AF_INET, inet6: AF_INET6 });
export const TYPES = tableOf({ stream: SOCK_STREAM, dgram: SOCK_DGRAM, raw: SOCK_RAW, seqpacket: SOCK_SEQPACKET });
export const MSG_FLAGS = numbersOf(sendrecv, /^MSG_/);
export const IOCTLS: ReadonlyMap<string, number> = new Map([
  ...numbersOf(ifioctl, /^SIOC/),
  ...numbersOf(neighioctl, /^SIOC/),
  ...numbersOf(soioctl, /^(FIO|SIOC)/),
]);

/** Events of `poll` by the protocol's short names. */
export const POLL_EVENTS = tableOf({
  in: calls.POLLIN,
  pri: calls.POLLPRI,
  out: calls.POLLOUT,
  err: calls.POLLERR,
  hup: calls.POLLHUP,
  nval: calls.POLLNVAL,
  rdhup: calls.POLLRDHUP,
});

interface Level {
  readonly level: number;
  readonly options: NameTable;
}

const SOL_LOCAL = 0;

/** Socket options by level. */
export const LEVELS: ReadonlyMap<string, Level> = new Map(
  Object.entries({
    SOL_SOCKET: { level: soconst.SOL_SOCKET, options: numbersOf(soconst, /^SO_/) },
    SOL_LOCAL: { level: SOL_LOCAL, options: new Map() },
    IPPROTO_IP: {
      level: 0,
      options: tableOf({
        IP_OPTIONS: 1,
        IP_HDRINCL: 2,
        IP_TOS: 3,
        IP_TTL: 4,
        IP_RECVDSTADDR: 7,
        IP_MULTICAST_IF: 9,
        IP_MULTICAST_TTL: 10,
        IP_MULTICAST_LOOP: 11,
        IP_ADD_MEMBERSHIP: 12,
        IP_DROP_MEMBERSHIP: 13,
        IP_ADD_SOURCE_MEMBERSHIP: 70,
        IP_DROP_SOURCE_MEMBERSHIP: 71,
        IP_BLOCK_SOURCE: 72,
        IP_UNBLOCK_SOURCE: 73,
        IP_PORTRANGE: 19,
        IP_RECVIF: 20,
        IP_RECVTTL: 65,
        IP_MINTTL: 66,
        IP_DONTFRAG: 67,
        IP_RECVTOS: 68,
      }),
    },
    IPPROTO_ICMP: { level: 1, options: new Map() },
    IPPROTO_TCP: {
      level: 6,
      options: tableOf({
        TCP_NODELAY: 0x1,
        TCP_MAXSEG: 0x2,
        TCP_NOPUSH: 0x4,
        TCP_NOOPT: 0x8,
        TCP_MD5SIG: 0x10,
        TCP_INFO: 0x20,
        TCP_CONGESTION: 0x40,
        TCP_KEEPINIT: 0x80,
        TCP_KEEPIDLE: 0x100,
        TCP_KEEPINTVL: 0x200,
        TCP_KEEPCNT: 0x400,
        TCP_FASTOPEN: 0x401,
      }),
    },
    IPPROTO_UDP: { level: 17, options: new Map() },
    IPPROTO_IPV6: {
      level: 41,
      options: tableOf({
        IPV6_UNICAST_HOPS: 4,
        IPV6_MULTICAST_IF: 9,
        IPV6_MULTICAST_HOPS: 10,
        IPV6_MULTICAST_LOOP: 11,
        IPV6_JOIN_GROUP: 12,
        IPV6_LEAVE_GROUP: 13,
        IPV6_V6ONLY: 27,
        IPV6_RECVPKTINFO: 36,
        IPV6_RECVHOPLIMIT: 37,
        IPV6_TCLASS: 61,
      }),
    },
  } satisfies Record<string, Level>),
);

/** The names of the bits that are set. */
export function namesOfBits(bits: number, table: NameTable): string[] {
  const names: string[] = [];
  for (const [name, bit] of table) if ((bits & bit) !== 0) names.push(name);
  return names;
}
