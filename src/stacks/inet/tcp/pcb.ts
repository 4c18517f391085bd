/**
 * Names of sockets: bind(2), listen(2) and connect(2) for TCP, with in_pcb.c's rules about who may share a port (RFC 9293 MUST-42,
 * MUST-43, MUST-46, MUST-63; RFC 6056).
 */
import { isErrno, type Errno } from '../../../kern/errno.ts';
import { AF_INET, AF_INET6, type SockAddr } from '../../../kern/socket/protosw.ts';
import { SO_REUSEADDR, SO_REUSEPORT } from '../../../kern/socket/soconst.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import { soisconnecting } from '../../../kern/socket/upcalls.ts';
import { ANY4, ANY6, type IpAddr, addrEqual, copyAddr, isAny, isLoopback, isMulticast, isV4 } from '../../../wire/addr.ts';
import { wantsScale, wantsTimestamps } from './config.ts';
import { enterTables, keepInitMs, nameConnection, sendSequences } from './establish.ts';
import type { TcpInst } from './inst.ts';
import { TCPS_CLOSED, TCPS_LISTEN, TCPS_SYN_SENT, setState } from './states.ts';
import { TF_BOUND, TF_DEAD, TF_INTABLE, TF_REQ_SCALE, TF_SACK, TF_TSTMP, T_KEEP, type Tcb } from './tcb.ts';
import { timerArm } from './timerset.ts';
import { utoBegin } from './usertimeout.ts';
import { windowScaleFor } from './window.ts';

/** An IPv4 address on an IPv6 socket (RFC 4291 mapped) will be a matter of IPV6_V6ONLY; other families never fit. */
function familyFits(so: Socket, addr: IpAddr): boolean {
  return so.domain.family === (isV4(addr) ? AF_INET : AF_INET6);
}

function anyOf(so: Socket): IpAddr {
  return so.domain.family === AF_INET6 ? ANY6 : ANY4;
}

/** EINVAL (bound already), EAFNOSUPPORT, EADDRNOTAVAIL (not ours), EADDRINUSE. */
export function tcpBind(tcp: TcpInst, tcb: Tcb, addr: SockAddr): Errno | null {
  if (tcb.lport !== 0 || tcb.state !== TCPS_CLOSED || (tcb.flags & TF_DEAD) !== 0) return 'EINVAL';
  if (addr.kind !== 'inet' || !familyFits(tcb.so, addr.addr) || isMulticast(addr.addr)) return 'EAFNOSUPPORT';
  if (!isAny(addr.addr) && !tcp.ip.isLocal(addr.addr)) return 'EADDRNOTAVAIL';
  if (!Number.isInteger(addr.port) || addr.port < 0 || addr.port > 65_535) return 'EINVAL';
  return bindTo(tcp, tcb, copyAddr(addr.addr), addr.port);
}

function bindTo(tcp: TcpInst, tcb: Tcb, laddr: IpAddr, wanted: number): Errno | null {
  let port: number | null = wanted;
  if (wanted === 0) port = tcp.ctx.ephemeralPort(laddr, null, 0, (p) => tcp.ports.free(p));
  else if (portTaken(tcp, tcb.so, laddr, wanted)) return 'EADDRINUSE';
  if (port === null) return 'EADDRNOTAVAIL';
  tcb.laddr = laddr;
  tcb.lport = port;
  tcb.flags |= TF_BOUND;
  tcp.ports.bind(tcb);
  return null;
}

/** in_pcbbind(9): with SO_REUSEADDR only the very same address stands in the way, with SO_REUSEPORT on both not even that. */
function portTaken(tcp: TcpInst, so: Socket, laddr: IpAddr, port: number): boolean {
  const reuse = (so.options & (SO_REUSEADDR | SO_REUSEPORT)) !== 0;
  if (!reuse && tcp.ports.used(port)) return true;
  for (const other of tcp.ports.bound(port)) {
    const same = addrEqual(other.laddr, laddr);
    if (reuse) {
      if (same && other.fport === 0 && (so.options & other.so.options & SO_REUSEPORT) === 0) return true;
    } else if (same || isAny(laddr) || isAny(other.laddr)) {
      return true;
    }
  }
  return false;
}

/** EINVAL on a connection; EADDRINUSE if another socket listens on the same address and port. */
export function tcpListen(tcp: TcpInst, tcb: Tcb): Errno | null {
  if (tcb.state === TCPS_LISTEN) return null;
  if (tcb.state !== TCPS_CLOSED || (tcb.flags & TF_DEAD) !== 0) return 'EINVAL';
  if (tcb.lport === 0) {
    const err = bindTo(tcp, tcb, anyOf(tcb.so), 0);
    if (err !== null) return err;
  }
  for (const other of tcp.ports.bound(tcb.lport)) {
    if (other.state === TCPS_LISTEN && addrEqual(other.laddr, tcb.laddr)) return 'EADDRINUSE';
  }
  setState(tcb, TCPS_LISTEN);
  tcp.ports.listen(tcb);
  return null;
}

/**
 * Begins to connect. EAFNOSUPPORT (also for a multicast address), EADDRNOTAVAIL (port 0, no address, no port left, no way from a loopback
 * address), EACCES (broadcast), ECONNREFUSED (this socket's connection has ended), EISCONN, EADDRINUSE (the connection exists, or would be with
 * itself), and what the route says.
 */
export function tcpConnect(tcp: TcpInst, tcb: Tcb, addr: SockAddr): Errno | null {
  if ((tcb.flags & TF_DEAD) !== 0) return 'ECONNREFUSED';
  if (tcb.state !== TCPS_CLOSED) return tcb.state === TCPS_LISTEN ? 'EOPNOTSUPP' : 'EISCONN';
  if (addr.kind !== 'inet' || !familyFits(tcb.so, addr.addr) || isMulticast(addr.addr)) return 'EAFNOSUPPORT';
  if (addr.port === 0 || isAny(addr.addr)) return 'EADDRNOTAVAIL';
  const route = tcp.ip.route(addr.addr, tcb.so.fib);
  if (isErrno(route)) return route;
  if (route.broadcast || tcp.ip.isGroup(addr.addr)) return 'EACCES';
  const { conns } = tcp;
  const laddr = isAny(tcb.laddr) ? route.src : tcb.laddr;
  // RFC 1122 §3.2.1.3 (g): every SYN would be refused below.
  if (isLoopback(laddr) && !route.local && !isLoopback(addr.addr)) return 'EADDRNOTAVAIL';
  const faddr = copyAddr(addr.addr);
  const fport = addr.port;
  const self = addrEqual(laddr, faddr);
  if (tcb.lport !== 0) {
    if ((self && tcb.lport === fport) || conns.find(laddr, faddr, tcb.lport, fport) !== null) return 'EADDRINUSE';
  } else {
    const free = (p: number): boolean =>
      tcp.ports.bound(p).length === 0 && !(self && p === fport) && conns.find(laddr, faddr, p, fport) === null;
    const port = tcp.ctx.ephemeralPort(laddr, faddr, fport, free);
    if (port === null) return 'EADDRNOTAVAIL';
    tcb.lport = port;
  }
  nameConnection(tcb, laddr, faddr, fport, route);
  enterTables(tcb);
  tcb.flags |= TF_INTABLE;
  const { config } = tcp;
  utoBegin(tcp, tcb);
  if (wantsTimestamps(config)) tcb.flags |= TF_TSTMP;
  if (wantsScale(config)) {
    tcb.flags |= TF_REQ_SCALE;
    // Now, and not when the answer comes: the sysctl may have changed by then.
    tcb.rcvScale = windowScaleFor(config.recvbufMax);
  }
  if (config.sackEnable) tcb.flags |= TF_SACK;
  tcp.touch();
  sendSequences(tcb, tcp.isn.iss(laddr, faddr, tcb.lport, fport));
  tcb.tsOffset = tcp.isn.issTsOffset();
  tcb.rcvTime = tcp.time.ms;
  tcp.stats.connattempt++;
  setState(tcb, TCPS_SYN_SENT);
  soisconnecting(tcb.so);
  timerArm(tcb, T_KEEP, keepInitMs(tcb));
  tcp.mark(tcb);
  return null;
}
