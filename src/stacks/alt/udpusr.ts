/** What a datagram socket's user asks for: bind, connect, send. A socket's pcb is the number of its row. */
import type { Errno } from '../../kern/errno.ts';
import { bindObject, defineClass } from '../../kern/kobj.ts';
import { type ControlMsg, type ProtoMethods, type SockAddr, protoInterface } from '../../kern/socket/protosw.ts';
import { SO_BROADCAST, SO_REUSEADDR, SO_REUSEPORT } from '../../kern/socket/soconst.ts';
import type { Socket } from '../../kern/socket/socket.ts';
import { soisconnected } from '../../kern/socket/upcalls.ts';
import { UDP_HDR_LEN, UDP_SUM, putUdp } from '../../wire/udp.ts';
import type { Alt } from './alt.ts';
import { D_FADDR, D_HOW, D_LADDR, D_NEXT, bindWord, forgetPeer, inetWord, isMulticast, reserve, sendDgram } from './dgram.ts';
import { ipOption } from './ipopt.ts';
import { ephemeralCount, ephemeralPort, ephemeralStart } from './ports.ts';
import { at } from './slab.ts';
import { U_AUTO, U_FPORT, U_LPORT } from './udpslab.ts';

/** Longest payload: what an IP datagram holds (RFC 768). */
const UDP_MAX = 65507;

function attach(s: Alt, so: Socket): Errno | null {
  const err = reserve(s, so);
  if (err !== null || s.udp.take(so)) return err;
  s.ct.alt.noudpsock++;
  return 'ENOBUFS';
}

function detach(s: Alt, so: Socket): void {
  s.udp.unbindPort(so.pcb as number);
  s.udp.leave(so);
}

/** Would a socket with these options clash with those bound there? FreeBSD's rules (in_pcbbind). */
function taken(s: Alt, self: number, laddr: number, lport: number, options: number): boolean {
  const { udp } = s;
  for (let n = at(udp.boundTo, lport); n !== 0; n = at(udp.w, udp.row(n - 1) + D_NEXT)) {
    if (n - 1 === self) continue;
    const theirs = at(udp.w, udp.row(n - 1) + D_LADDR);
    const both = options & (udp.socketOf[n - 1]?.options ?? 0);
    if ((both & SO_REUSEPORT) !== 0) continue;
    if (theirs === laddr || ((theirs === 0 || laddr === 0) && (options & SO_REUSEADDR) === 0)) return true;
  }
  return false;
}

function bindTo(s: Alt, so: Socket, i: number, laddr: number, lport: number, faddr: number, fport: number): Errno | null {
  if (lport !== 0) {
    if (taken(s, i, laddr, lport, so.options)) return 'EADDRINUSE';
    s.udp.bindPort(i, laddr, lport);
    return null;
  }
  const start = ephemeralStart(s, laddr, faddr, fport);
  for (let k = 0; k < ephemeralCount(s); k++) {
    const port = ephemeralPort(s, start, k);
    if (at(s.udp.boundTo, port) !== 0) continue;
    s.udp.bindPort(i, laddr, port);
    return null;
  }
  return 'EADDRNOTAVAIL';
}

function bind(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  const i = so.pcb as number;
  const laddr = bindWord(s, addr);
  if (laddr === 'EAFNOSUPPORT') return laddr;
  if (at(s.udp.w, s.udp.row(i) + U_LPORT) !== 0) return 'EINVAL';
  if (typeof laddr === 'string' || addr.kind !== 'inet') return 'EADDRNOTAVAIL';
  return bindTo(s, so, i, laddr, addr.port, 0, 0);
}

function connect(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  const word = inetWord(addr);
  if (typeof word === 'string' || addr.kind !== 'inet') return 'EAFNOSUPPORT';
  const { udp, routes } = s;
  const i = so.pcb as number;
  const o = udp.row(i);
  const faddr = word === 0 ? at(routes.addr, 0) : word;
  if (addr.port === 0 || faddr === 0) return 'EADDRNOTAVAIL';
  if (!routes.lookup(faddr)) return 'ENETUNREACH';
  if (routes.group && (so.options & SO_BROADCAST) === 0 && !isMulticast(faddr)) return 'EACCES';
  const { src } = routes;
  if (at(udp.w, o + U_LPORT) === 0) {
    const err = bindTo(s, so, i, src, 0, faddr, addr.port);
    if (err !== null) return err;
    udp.w[o + U_AUTO] = 1;
  } else if (at(udp.w, o + D_LADDR) === 0) {
    udp.w[o + D_LADDR] = src;
    udp.w[o + U_AUTO] = 1;
  }
  udp.w[o + D_FADDR] = faddr;
  udp.w[o + U_FPORT] = addr.port;
  soisconnected(so);
  return null;
}

function disconnect(s: Alt, so: Socket): Errno | null {
  const { w } = s.udp;
  const o = s.udp.row(so.pcb as number);
  if (at(w, o + U_FPORT) === 0) return 'ENOTCONN';
  forgetPeer(so, s.udp);
  w[o + U_FPORT] = 0;
  if (at(w, o + U_AUTO) !== 0) w[o + D_LADDR] = 0;
  w[o + U_AUTO] = 0;
  return null;
}

/** EAFNOSUPPORT, EADDRNOTAVAIL for port 0, EMSGSIZE; else as `sendDgram`. */
function sendto(
  s: Alt,
  so: Socket,
  bytes: Uint8Array,
  off: number,
  len: number,
  to: SockAddr | null,
  control: readonly ControlMsg[] | null,
): Errno | null {
  const { udp, routes, udpOut } = s;
  const i = so.pcb as number;
  const o = udp.row(i);
  const { w } = udp;
  let faddr = at(w, o + D_FADDR);
  let fport = at(w, o + U_FPORT);
  if (to !== null) {
    if (fport !== 0) return 'EISCONN';
    const word = inetWord(to);
    if (typeof word === 'string' || to.kind !== 'inet') return 'EAFNOSUPPORT';
    faddr = word === 0 ? at(routes.addr, 0) : word;
    fport = to.port;
  }
  if (fport === 0 || faddr === 0) return to === null ? 'EDESTADDRREQ' : 'EADDRNOTAVAIL';
  if (len > UDP_MAX) return 'EMSGSIZE';
  if (at(w, o + U_LPORT) === 0) {
    const err = bindTo(s, so, i, 0, 0, faddr, fport);
    if (err !== null) return err;
  }
  putUdp(udpOut.hdr, 0, at(w, o + U_LPORT), fport, UDP_HDR_LEN + len, 0);
  udpOut.how.sumField = UDP_SUM;
  const err = sendDgram(s, so, w, o, udpOut, UDP_HDR_LEN, faddr, bytes, off, len, control);
  if (err === null) s.ct.udp.opackets++;
  return err;
}

const udpClass = defineClass<Alt, ProtoMethods>({
  name: 'alt_udp',
  implements: protoInterface,
  methods: {
    attach,
    detach,
    bind,
    connect,
    disconnect,
    shutdown: () => null,
    sendto,
    abort: (s, so) => {
      if (so.pcb !== null) detach(s, so);
    },
    sockaddr: (s, so) => s.udp.addrOf(so, D_LADDR, U_LPORT),
    peeraddr: (s, so) => s.udp.addrOf(so, D_FADDR, U_FPORT),
    ctloutput: (s, so, sopt) => ipOption(s.udp.w, s.udp.row(so.pcb as number) + D_HOW, s.cfg.ttl, sopt),
  },
});

export function udpMethods(s: Alt): ProtoMethods {
  return bindObject(udpClass, s);
}
