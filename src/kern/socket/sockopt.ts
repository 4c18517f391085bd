/**
 * Socket options of level SOL_SOCKET (setsockopt(2)), with FreeBSD's numbers and meanings. An option of another level is the protocol's;
 * one of this level that was set is told to the protocol too, whose answer then does not matter.
 *
 * Values: a number (flags also a boolean) unless said otherwise; SO_LINGER is `{ onoff, linger }` with seconds, SO_RCVTIMEO and
 * SO_SNDTIMEO are milliseconds (0: none), SO_ACCEPTFILTER is `{ name, arg? }` or null, SO_ERROR answers an error's name or null.
 */
import type { Errno } from '../errno.ts';
import { type AcceptFilterArg, accfSet } from './accf.ts';
import type { SockOpt } from './protosw.ts';
import { sorcvlimits, sosndlimits } from './sobuf.ts';
import type { Socket } from './socket.ts';
import {
  SOL_SOCKET,
  SO_ACCEPTCONN,
  SO_ACCEPTFILTER,
  SO_BROADCAST,
  SO_DEBUG,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LISTENINCQLEN,
  SO_LISTENQLEN,
  SO_LISTENQLIMIT,
  SO_NOSIGPIPE,
  SO_OOBINLINE,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_REUSEPORT_LB,
  SO_SETFIB,
  SO_SNDBUF,
  SO_SNDLOWAT,
  SO_SNDTIMEO,
  SO_TIMESTAMP,
  SO_TYPE,
  SO_USELOOPBACK,
  SO_USER_COOKIE,
  type Linger,
  soext,
} from './soconst.ts';
import { accfClear, sotakeerror, sowwakeup } from './upcalls.ts';

export * from './soconst.ts';

/** Longest SO_LINGER in seconds. */
const LINGER_MAX = 65535;

/** ENOPROTOOPT for an unknown one, EINVAL or EDOM for a bad value, ENOBUFS for a buffer over kern.ipc.maxsockbuf. */
export function sosetopt(so: Socket, sopt: SockOpt): Errno | null {
  if (sopt.level !== SOL_SOCKET || sopt.name === SO_SETFIB) return askProtocol(so, sopt);
  const err = setGeneric(so, sopt.name, sopt.value);
  if (err === null) askProtocol(so, sopt);
  return err;
}

/** EINVAL once the protocol has forgotten a connection that is over. */
function askProtocol(so: Socket, sopt: SockOpt): Errno | null {
  return so.pcb === null ? 'EINVAL' : so.methods.ctloutput(so, sopt);
}

function setGeneric(so: Socket, name: number, value: unknown): Errno | null {
  switch (name) {
    case SO_DEBUG:
    case SO_REUSEADDR:
    case SO_KEEPALIVE:
    case SO_DONTROUTE:
    case SO_BROADCAST:
    case SO_USELOOPBACK:
    case SO_OOBINLINE:
    case SO_REUSEPORT:
    case SO_REUSEPORT_LB:
    case SO_TIMESTAMP:
    case SO_NOSIGPIPE:
      return setFlag(so, name, value);
    case SO_LINGER:
      return setLinger(so, value);
    case SO_SNDBUF:
      return setLimit(so, true, true, value);
    case SO_RCVBUF:
      return setLimit(so, false, true, value);
    case SO_SNDLOWAT:
      return setLimit(so, true, false, value);
    case SO_RCVLOWAT:
      return setLimit(so, false, false, value);
    case SO_SNDTIMEO:
    case SO_RCVTIMEO:
      return setTimeo(so, name, value);
    case SO_USER_COOKIE:
      if (typeof value !== 'number' || !Number.isInteger(value)) return 'EINVAL';
      soext(so).userCookie = value >>> 0;
      return null;
    case SO_ACCEPTFILTER:
      return setFilter(so, value);
    default:
      return 'ENOPROTOOPT';
  }
}

/** Fills `sopt.value`. */
export function sogetopt(so: Socket, sopt: SockOpt): Errno | null {
  if (sopt.level !== SOL_SOCKET) return askProtocol(so, sopt);
  const { ext, listen } = so;
  switch (sopt.name) {
    case SO_DEBUG:
    case SO_ACCEPTCONN:
    case SO_REUSEADDR:
    case SO_KEEPALIVE:
    case SO_DONTROUTE:
    case SO_BROADCAST:
    case SO_USELOOPBACK:
    case SO_OOBINLINE:
    case SO_REUSEPORT:
    case SO_REUSEPORT_LB:
    case SO_TIMESTAMP:
    case SO_NOSIGPIPE:
      sopt.value = (so.options & sopt.name) !== 0 ? 1 : 0;
      return null;
    case SO_LINGER:
      sopt.value = { onoff: (so.options & SO_LINGER) !== 0, linger: so.linger } satisfies Linger;
      return null;
    case SO_SNDBUF:
      sopt.value = so.snd.hiwat;
      return null;
    case SO_RCVBUF:
      sopt.value = so.rcv.hiwat;
      return null;
    case SO_SNDLOWAT:
      sopt.value = so.snd.lowat;
      return null;
    case SO_RCVLOWAT:
      sopt.value = so.rcv.lowat;
      return null;
    case SO_SNDTIMEO:
      sopt.value = ext === null ? 0 : ext.sndTimeoMs;
      return null;
    case SO_RCVTIMEO:
      sopt.value = ext === null ? 0 : ext.rcvTimeoMs;
      return null;
    case SO_ERROR:
      sopt.value = sotakeerror(so);
      return null;
    case SO_TYPE:
      sopt.value = so.proto.type;
      return null;
    case SO_PROTOCOL:
      sopt.value = so.proto.protocol;
      return null;
    case SO_DOMAIN:
      sopt.value = so.domain.family;
      return null;
    case SO_SETFIB:
      sopt.value = so.fib;
      return null;
    case SO_USER_COOKIE:
      sopt.value = ext === null ? 0 : ext.userCookie;
      return null;
    case SO_LISTENQLIMIT:
      sopt.value = listen === null ? 0 : listen.qlimit;
      return null;
    case SO_LISTENQLEN:
      sopt.value = listen === null ? 0 : listen.qlen();
      return null;
    case SO_LISTENINCQLEN:
      sopt.value = listen === null ? 0 : listen.incqlen();
      return null;
    case SO_ACCEPTFILTER:
      if (listen === null || listen.filter === null) return 'EINVAL';
      sopt.value = { name: listen.filter.filter.name, arg: listen.filter.arg } satisfies AcceptFilterArg;
      return null;
    default:
      return 'ENOPROTOOPT';
  }
}

/** SO_SETFIB for the protocols that have routing tables: they call it from `ctloutput`. EINVAL for a table the stack lacks. */
export function sosetfib(so: Socket, sopt: SockOpt): Errno | null {
  if (sopt.level !== SOL_SOCKET || sopt.name !== SO_SETFIB || sopt.dir !== 'set') return 'ENOPROTOOPT';
  const fib = sopt.value;
  if (typeof fib !== 'number' || !Number.isInteger(fib) || !so.kernel.netstack.current.validFib(fib)) return 'EINVAL';
  so.fib = fib;
  return null;
}

function setFlag(so: Socket, bit: number, value: unknown): Errno | null {
  if (typeof value !== 'boolean' && typeof value !== 'number') return 'EINVAL';
  so.options = value === false || value === 0 ? so.options & ~bit : so.options | bit;
  return null;
}

function setLinger(so: Socket, value: unknown): Errno | null {
  if (typeof value !== 'object' || value === null) return 'EINVAL';
  const { onoff, linger } = value as Partial<Linger>;
  if (typeof linger !== 'number' || !Number.isInteger(linger) || linger < 0 || linger > LINGER_MAX) return 'EDOM';
  const err = setFlag(so, SO_LINGER, onoff);
  if (err === null) so.linger = linger;
  return err;
}

/** A buffer's size, or its low-water mark, which is at most the size. */
function setLimit(so: Socket, snd: boolean, size: boolean, value: unknown): Errno | null {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) return 'EINVAL';
  if (size && value > so.kernel.domains.limits.maxsockbuf) return 'ENOBUFS';
  const { hiwat, lowat } = snd ? so.snd : so.rcv;
  if (!snd) {
    sorcvlimits(so, size ? value : hiwat, size ? lowat : value);
    return null;
  }
  sosndlimits(so, size ? value : hiwat, size ? lowat : value);
  sowwakeup(so);
  return null;
}

function setTimeo(so: Socket, name: number, value: unknown): Errno | null {
  if (typeof value !== 'number' || !(value >= 0) || !Number.isFinite(value)) return 'EDOM';
  if (name === SO_SNDTIMEO) soext(so).sndTimeoMs = value;
  else soext(so).rcvTimeoMs = value;
  return null;
}

function setFilter(so: Socket, value: unknown): Errno | null {
  if (value === null || value === undefined) return so.listen === null ? 'EINVAL' : accfClear(so);
  if (typeof value !== 'object') return 'EINVAL';
  return accfSet(so.kernel.accfilters, so.listen, value as AcceptFilterArg);
}
