/**
 * UDP sockets (udp_usrreq.c, in_pcb.c): binding with FreeBSD's meaning of SO_REUSEADDR and SO_REUSEPORT, peers, addresses, options.
 */
import type { Errno, Result } from '../../kern/errno.ts';
import { type KobjClass, bindObject, defineClass } from '../../kern/kobj.ts';
import {
  type ControlMsg,
  PR_ADDR,
  PR_ATOMIC,
  PR_CONTROL,
  type ProtoMethods,
  type Protosw,
  SOCK_DGRAM,
  type SockAddr,
  protoInterface,
} from '../../kern/socket/protosw.ts';
import { SO_REUSEADDR, SO_REUSEPORT } from '../../kern/socket/soconst.ts';
import { SS_ISCONNECTED, type Socket } from '../../kern/socket/socket.ts';
import { socantsendmore, soisconnected, soisdisconnected, soreserve } from '../../kern/socket/upcalls.ts';
import { ANY4, type InetSockAddr, type IpAddr, addrEqual, copyAddr, isAny, isV4, sockAddr } from '../../wire/addr.ts';
import { IPPROTO_IP, IPPROTO_UDP } from '../../wire/ipv4.ts';
import type { InetContext, IpOut } from './contract.ts';
import { ipCtloutput } from './ipsockopt.ts';
import type { Multicast } from './mcast.ts';
import { groupCtloutput, isGroupOption } from './mcastopt.ts';
import { type Udp, UdpPcb } from './udp.ts';

/** What the methods work on. */
export interface UdpState {
  readonly udp: Udp;
  readonly ctx: InetContext;
  readonly mcast: Multicast;
  /** How new sockets send. */
  readonly how: IpOut;
}

function pcbOf(so: Socket): UdpPcb {
  return so.pcb as UdpPcb;
}

/** EAFNOSUPPORT for an address of another family than the socket's. */
function inetAddr(addr: SockAddr): Result<InetSockAddr> {
  return addr.kind === 'inet' && isV4(addr.addr) ? addr : 'EAFNOSUPPORT';
}

function attach({ udp, how }: UdpState, so: Socket): Errno | null {
  const err = soreserve(so, udp.sendspace, udp.recvspace);
  if (err !== null) return err;
  const pcb = new UdpPcb(so, how.ttl);
  pcb.laddr.set(ANY4);
  pcb.faddr.set(ANY4);
  so.pcb = pcb;
  return null;
}

function detach({ udp, mcast }: UdpState, so: Socket): void {
  const pcb = pcbOf(so);
  if (pcb.groups.length > 0) mcast.leaveAll(pcb);
  udp.table.disconnect(pcb);
  if (pcb.lport !== 0) udp.table.unbind(pcb);
  pcb.lport = 0;
}

function bind(self: UdpState, so: Socket, addr: SockAddr): Errno | null {
  const to = inetAddr(addr);
  if (typeof to === 'string') return to;
  const pcb = pcbOf(so);
  if (pcb.lport !== 0) return 'EINVAL';
  const group = self.ctx.ip.isGroup(to.addr);
  if (!isAny(to.addr) && !group && !self.ctx.ip.isLocal(to.addr)) return 'EADDRNOTAVAIL';
  if (to.port !== 0) {
    const err = conflict(self.udp, so, to.addr, to.port, group);
    if (err !== null) return err;
  }
  pcb.laddr.set(to.addr);
  const err = place(self, pcb, to.port, null, 0);
  if (err !== null) {
    pcb.laddr.set(ANY4);
    return err;
  }
  pcb.bound.set(to.addr);
  pcb.group = group;
  return null;
}

/** Gives a control block its local port; 0: a fresh one for the peer at hand. EADDRNOTAVAIL when all are taken. */
function place({ udp, ctx }: UdpState, pcb: UdpPcb, port: number, remote: IpAddr | null, remotePort: number): Errno | null {
  const free = (candidate: number): boolean => udp.table.onPort(candidate).length === 0;
  const lport = port !== 0 ? port : ctx.ephemeralPort(pcb.laddr, remote, remotePort, free);
  if (lport === null) return 'EADDRNOTAVAIL';
  pcb.lport = lport;
  udp.table.bind(pcb);
  return null;
}

/**
 * in_pcbbind: without an option any socket on the port whose address is the same, or any, stands in the way. SO_REUSEADDR leaves only
 * the same address; SO_REUSEPORT (for a group SO_REUSEADDR too) on both sockets leaves none.
 */
function conflict(udp: Udp, so: Socket, addr: IpAddr, port: number, group: boolean): Errno | null {
  const both = group && (so.options & SO_REUSEADDR) !== 0 ? SO_REUSEADDR | SO_REUSEPORT : so.options & SO_REUSEPORT;
  const exactOnly = (so.options & (SO_REUSEADDR | SO_REUSEPORT)) !== 0;
  for (const other of udp.table.onPort(port)) {
    if ((other.so.options & both) !== 0) continue;
    const same = addrEqual(other.laddr, addr);
    const stands = exactOnly ? same && !other.connected : same || isAny(other.laddr) || isAny(addr);
    if (stands) return 'EADDRINUSE';
  }
  return null;
}

function connect(self: UdpState, so: Socket, addr: SockAddr): Errno | null {
  const { udp, ctx } = self;
  const to = inetAddr(addr);
  if (typeof to === 'string') return to;
  const pcb = pcbOf(so);
  if (pcb.connected) return 'EISCONN';
  if (to.port === 0) return 'EADDRNOTAVAIL';
  const route = ctx.ip.route(isAny(to.addr) ? pcb.laddr : to.addr, so.fib);
  if (typeof route === 'string') return route;
  const laddr = isAny(pcb.laddr) || pcb.group ? route.src : pcb.laddr;
  // 0.0.0.0 as a destination is this host (in_pcbconnect).
  const faddr = isAny(to.addr) ? laddr : to.addr;
  if (pcb.lport !== 0 && udp.table.findConnected(laddr, pcb.lport, faddr, to.port) !== null) return 'EADDRINUSE';
  pcb.laddr.set(laddr);
  if (pcb.lport === 0) {
    const err = place(self, pcb, 0, faddr, to.port);
    if (err !== null) {
      pcb.laddr.set(ANY4);
      return err;
    }
  }
  pcb.faddr.set(faddr);
  pcb.fport = to.port;
  pcb.route = null;
  udp.table.connect(pcb);
  soisconnected(so);
  return null;
}

function disconnect({ udp }: UdpState, so: Socket): Errno | null {
  const pcb = pcbOf(so);
  if (!pcb.connected) return 'ENOTCONN';
  udp.table.disconnect(pcb);
  pcb.faddr.set(ANY4);
  pcb.fport = 0;
  // Deviation: FreeBSD forgets an address given by bind(2) too.
  pcb.laddr.set(pcb.bound);
  so.state &= ~SS_ISCONNECTED;
  return null;
}

function sendto(
  self: UdpState,
  so: Socket,
  bytes: Uint8Array,
  off: number,
  len: number,
  to: SockAddr | null,
  control: readonly ControlMsg[] | null,
): Errno | null {
  const pcb = pcbOf(so);
  if (to === null) {
    if (!pcb.connected) return 'ENOTCONN';
    return self.udp.output(pcb, bytes, off, len, pcb.faddr, pcb.fport, control);
  }
  if (to.kind !== 'inet' || !isV4(to.addr)) return 'EAFNOSUPPORT';
  if (pcb.connected) return 'EISCONN';
  if (to.port === 0) return 'EADDRNOTAVAIL';
  if (pcb.lport === 0) {
    const err = place(self, pcb, 0, to.addr, to.port);
    if (err !== null) return err;
  }
  return self.udp.output(pcb, bytes, off, len, to.addr, to.port, control);
}

function shutdown(_self: UdpState, so: Socket): null {
  socantsendmore(so);
  return null;
}

function abort(self: UdpState, so: Socket): void {
  disconnect(self, so);
  soisdisconnected(so);
}

function sockaddr(_self: UdpState, so: Socket): Result<SockAddr> {
  const pcb = pcbOf(so);
  return sockAddr(copyAddr(pcb.laddr), pcb.lport);
}

function peeraddr(_self: UdpState, so: Socket): Result<SockAddr> {
  const pcb = pcbOf(so);
  return pcb.connected ? sockAddr(copyAddr(pcb.faddr), pcb.fport) : 'ENOTCONN';
}

const udpClass: KobjClass<UdpState, ProtoMethods> = defineClass<UdpState, ProtoMethods>({
  name: 'udp',
  implements: protoInterface,
  methods: {
    attach,
    detach,
    bind,
    connect,
    disconnect,
    sendto,
    shutdown,
    abort,
    sockaddr,
    peeraddr,
    ctloutput: (self, so, sopt) => {
      const pcb = pcbOf(so);
      if (sopt.level !== IPPROTO_IP || !isGroupOption(sopt.name)) return ipCtloutput(so, pcb, sopt);
      return groupCtloutput({ ip: self.udp.ip, mcast: self.mcast }, so, pcb, sopt);
    },
  },
});

export function udpProtosw(state: UdpState): Protosw {
  const methods = bindObject(udpClass, state);
  return { name: 'udp', type: SOCK_DGRAM, protocol: IPPROTO_UDP, flags: PR_ATOMIC | PR_ADDR | PR_CONTROL, methods };
}
