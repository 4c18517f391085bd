/**
 * The constants that scripts write, by Linux's names, with the numbers that our sockets use for them (FreeBSD's). A name of Linux's that
 * has no counterpart here is known too, so that a script that needs it is refused by name.
 */
import { ERRNO } from '../kern/errno.ts';
import { F_GETFL, F_SETFL, O_NONBLOCK, O_RDWR, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../kern/proc/syscalls.ts';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP } from '../kern/socket/calls.ts';
import { MSG_DONTROUTE, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL } from '../kern/socket/sendrecv.ts';
import { AF_INET, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '../kern/socket/protosw.ts';
import * as so from '../kern/socket/soconst.ts';
import { FIONREAD, FIONWRITE, SIOCATMARK } from '../kern/socket/soioctl.ts';
import { IPPROTO_ICMP, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP } from '../wire/ipv4.ts';

/** Linux's: connect, with this data in the SYN where a cookie is known. */
export const MSG_FASTOPEN = 0x20000000;

/** FreeBSD's numbers (netinet/tcp.h, netinet/in.h), as the stacks have them; TCP_USER_TIMEOUT is Linux's option and has a number of ours, as TCP_UTO has. */
export const TCP_INFO = 32;
const TCP: Readonly<Record<string, number>> = {
  TCP_NODELAY: 1,
  TCP_MAXSEG: 2,
  TCP_NOPUSH: 4,
  TCP_CORK: 4,
  TCP_INFO,
  TCP_CONGESTION: 64,
  TCP_KEEPINIT: 128,
  TCP_KEEPIDLE: 256,
  TCP_KEEPINTVL: 512,
  TCP_KEEPCNT: 1024,
  TCP_FASTOPEN: 1025,
  TCP_USER_TIMEOUT: 16_384,
  TCP_UTO: 16_385,
  IP_TOS: 3,
  IP_TTL: 4,
  IP_MINTTL: 66,
};

export const CONSTANTS: ReadonlyMap<string, number> = new Map<string, number>([
  ['AF_INET', AF_INET],
  ['PF_INET', AF_INET],
  ['SOCK_STREAM', SOCK_STREAM],
  ['SOCK_DGRAM', SOCK_DGRAM],
  ['SOCK_RAW', SOCK_RAW],
  ['SOCK_NONBLOCK', SOCK_NONBLOCK],
  ['SOCK_CLOEXEC', SOCK_CLOEXEC],
  ['IPPROTO_IP', IPPROTO_IP],
  ['IPPROTO_ICMP', IPPROTO_ICMP],
  ['IPPROTO_TCP', IPPROTO_TCP],
  ['IPPROTO_UDP', IPPROTO_UDP],
  ['SOL_IP', IPPROTO_IP],
  ['SOL_TCP', IPPROTO_TCP],
  ['SOL_UDP', IPPROTO_UDP],
  ['SOL_SOCKET', so.SOL_SOCKET],
  ['SO_REUSEADDR', so.SO_REUSEADDR],
  ['SO_REUSEPORT', so.SO_REUSEPORT],
  ['SO_KEEPALIVE', so.SO_KEEPALIVE],
  ['SO_BROADCAST', so.SO_BROADCAST],
  ['SO_LINGER', so.SO_LINGER],
  ['SO_OOBINLINE', so.SO_OOBINLINE],
  ['SO_SNDBUF', so.SO_SNDBUF],
  ['SO_RCVBUF', so.SO_RCVBUF],
  ['SO_SNDLOWAT', so.SO_SNDLOWAT],
  ['SO_RCVLOWAT', so.SO_RCVLOWAT],
  ['SO_SNDTIMEO', so.SO_SNDTIMEO],
  ['SO_RCVTIMEO', so.SO_RCVTIMEO],
  ['SO_ERROR', so.SO_ERROR],
  ['SO_TYPE', so.SO_TYPE],
  ['SO_ACCEPTCONN', so.SO_ACCEPTCONN],
  ['SO_PROTOCOL', so.SO_PROTOCOL],
  ['SO_DOMAIN', so.SO_DOMAIN],
  ...Object.entries(TCP),
  ['F_GETFL', F_GETFL],
  ['F_SETFL', F_SETFL],
  ['O_RDWR', O_RDWR],
  ['O_NONBLOCK', O_NONBLOCK],
  ['MSG_OOB', MSG_OOB],
  ['MSG_PEEK', MSG_PEEK],
  ['MSG_DONTROUTE', MSG_DONTROUTE],
  ['MSG_TRUNC', MSG_TRUNC],
  ['MSG_WAITALL', MSG_WAITALL],
  ['MSG_DONTWAIT', MSG_DONTWAIT],
  ['MSG_NOSIGNAL', MSG_NOSIGNAL],
  ['MSG_FASTOPEN', MSG_FASTOPEN],
  ['POLLIN', POLLIN],
  ['POLLPRI', POLLPRI],
  ['POLLOUT', POLLOUT],
  ['POLLERR', POLLERR],
  ['POLLHUP', POLLHUP],
  ['POLLNVAL', POLLNVAL],
  ['POLLRDHUP', POLLRDHUP],
  ['SHUT_RD', 0],
  ['SHUT_WR', 1],
  ['SHUT_RDWR', 2],
  ['FIONREAD', FIONREAD],
  ['SIOCINQ', FIONREAD],
  ['SIOCOUTQ', FIONWRITE],
  ['SIOCATMARK', SIOCATMARK],
  ['INADDR_ANY', 0],
  ['NULL', 0],
]);

/** Linux's, without a counterpart in this kernel or its stacks. */
const LINUX_ONLY =
  /^(TCP_(DEFER_ACCEPT|LINGER2|SYNCNT|QUICKACK|WINDOW_CLAMP|FASTOPEN_\w+|NOTSENT_LOWAT|INQ|REPAIR\w*|TX_DELAY|ULP|MD5SIG|THIN_\w+|SAVE\w*|TIMESTAMP|CC_INFO|ZEROCOPY\w*)|SO_(ZEROCOPY|TXTIME|TIMESTAMPING\w*|MAX_PACING_RATE|BUSY_POLL|INCOMING_\w+|MARK|PRIORITY)|MSG_(ZEROCOPY|ERRQUEUE|MORE|EOR|NO_SHARED_FRAGS|SPLICE_PAGES)|EPOLL\w*|AF_INET6|IPV6_\w+|IPPROTO_(MPTCP|IPV6|SCTP)|IP_(RECV\w+|MTU\w*|PKTINFO)|SOL_IPV6|FIONBIO)$/;

/** EWOULDBLOCK and its like are other names of an error. */
const ALIASES: Readonly<Record<string, string>> = { EWOULDBLOCK: 'EAGAIN', ENOTSUP: 'EOPNOTSUPP' };

export function errnoName(word: string): string | null {
  const name = ALIASES[word] ?? word;
  return Object.hasOwn(ERRNO, name) ? name : null;
}

/** Why a word is no constant, for a message. */
export function unknownConstant(word: string): string {
  if (LINUX_ONLY.test(word)) return `${word} is Linux's and has no counterpart here`;
  return `unknown constant ${word}; known are ${[...CONSTANTS.keys()].join(' ')}`;
}
