/** Socket options: FreeBSD's numbers (sys/socket.h), and the way to the state that only sockets with rare options have. */
import { type Socket, SocketExt } from './socket.ts';

export const SOL_SOCKET = 0xffff;

/** Flags: bits of `so.options`. */
export const SO_DEBUG = 0x1;
export const SO_ACCEPTCONN = 0x2;
export const SO_REUSEADDR = 0x4;
export const SO_KEEPALIVE = 0x8;
export const SO_DONTROUTE = 0x10;
export const SO_BROADCAST = 0x20;
export const SO_USELOOPBACK = 0x40;
export const SO_LINGER = 0x80;
export const SO_OOBINLINE = 0x100;
export const SO_REUSEPORT = 0x200;
export const SO_TIMESTAMP = 0x400;
export const SO_NOSIGPIPE = 0x800;
export const SO_REUSEPORT_LB = 0x10000;
/** Numbers. */
export const SO_ACCEPTFILTER = 0x1000;
export const SO_SNDBUF = 0x1001;
export const SO_RCVBUF = 0x1002;
export const SO_SNDLOWAT = 0x1003;
export const SO_RCVLOWAT = 0x1004;
export const SO_SNDTIMEO = 0x1005;
export const SO_RCVTIMEO = 0x1006;
export const SO_ERROR = 0x1007;
export const SO_TYPE = 0x1008;
export const SO_LISTENQLIMIT = 0x1011;
export const SO_LISTENQLEN = 0x1012;
export const SO_LISTENINCQLEN = 0x1013;
export const SO_SETFIB = 0x1014;
export const SO_USER_COOKIE = 0x1015;
export const SO_PROTOCOL = 0x1016;
export const SO_DOMAIN = 0x1019;

/** Value of SO_LINGER. */
export interface Linger {
  readonly onoff: boolean | number;
  /** Seconds; 0 with `onoff`: closing aborts. */
  readonly linger: number;
}

export function soext(so: Socket): SocketExt {
  return (so.ext ??= new SocketExt());
}
