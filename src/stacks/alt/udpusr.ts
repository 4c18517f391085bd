/** What a datagram socket's user asks for: bind, connect, send. A socket's pcb is the number of its row. */
import type { Errno, Result } from '../../kern/errno.ts';
import { bindObject, defineClass } from '../../kern/kobj.ts';
import { type ProtoMethods, type SockAddr, protoInterface } from '../../kern/socket/protosw.ts';
import { SO_BROADCAST, SO_REUSEADDR, SO_REUSEPORT } from '../../kern/socket/soconst.ts';
import { SS_ISCONNECTED, type Socket } from '../../kern/socket/socket.ts';
import { soisconnected, soisdisconnected, soreserve } from '../../kern/socket/upcalls.ts';
import { ipv4, isV4, sockAddr } from '../../wire/addr.ts';
import { UDP_HDR_LEN, UDP_SUM, putUdp } from '../../wire/udp.ts';
import type { Alt } from './alt.ts';
import { ipOption } from './ipopt.ts';
import { ipDatagram } from './ipout.ts';
import { ephemeralCount, ephemeralPort, ephemeralStart } from './ports.ts';
import { at } from './slab.ts';
import { U_AUTO, U_FADDR, U_FPORT, U_HINT, U_LADDR, U_LPORT, U_NEXT, U_TTL_TOS } from './udpslab.ts';

/** Longest payload: what an IP datagram holds (RFC 768). */
const UDP_MAX = 65507;

function attach(s: Alt, so: Socket): Errno | null {
  const err = soreserve(so, s.cfg.udpSndSpace, s.cfg.udpRcvSpace);
  if (err !== null) return err;
  const i = s.udp.alloc();
  if (i < 0) {
    s.ct.alt.noudpsock++;
    return 'ENOBUFS';
  }
  so.pcb = i;
  s.udp.socketOf[i] = so;
  return null;
}

function detach(s: Alt, so: Socket): void {
  const i = so.pcb as number;
  s.udp.unbindPort(i);
  s.udp.socketOf[i] = null;
  so.pcb = null;
  s.udp.free(i);
  soisdisconnected(so);
}

/** Would a socket with these options clash with those bound there? FreeBSD's rules (in_pcbbind). */
function taken(s: Alt, self: number, laddr: number, lport: number, options: number): boolean {
  const { udp } = s;
  for (let n = at(udp.boundTo, lport); n !== 0; n = at(udp.w, udp.row(n - 1) + U_NEXT)) {
    if (n - 1 === self) continue;
    const theirs = at(udp.w, udp.row(n - 1) + U_LADDR);
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
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  if (at(s.udp.w, s.udp.row(i) + U_LPORT) !== 0) return 'EINVAL';
  const laddr = addr.addr.w3;
  if (laddr !== 0 && !s.routes.isLocal(laddr) && !s.routes.isGroup(laddr)) return 'EADDRNOTAVAIL';
  return bindTo(s, so, i, laddr, addr.port, 0, 0);
}

function connect(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  const { udp, routes } = s;
  const i = so.pcb as number;
  const o = udp.row(i);
  const faddr = addr.addr.w3 === 0 ? at(routes.addr, 0) : addr.addr.w3;
  if (addr.port === 0 || faddr === 0) return 'EADDRNOTAVAIL';
  if (!routes.lookup(faddr)) return 'ENETUNREACH';
  if (routes.group && (so.options & SO_BROADCAST) === 0 && faddr >>> 28 !== 0xe) return 'EACCES';
  const { src } = routes;
  if (at(udp.w, o + U_LPORT) === 0) {
    const err = bindTo(s, so, i, src, 0, faddr, addr.port);
    if (err !== null) return err;
    udp.w[o + U_AUTO] = 1;
  } else if (at(udp.w, o + U_LADDR) === 0) {
    udp.w[o + U_LADDR] = src;
    udp.w[o + U_AUTO] = 1;
  }
  udp.w[o + U_FADDR] = faddr;
  udp.w[o + U_FPORT] = addr.port;
  soisconnected(so);
  return null;
}

function disconnect(s: Alt, so: Socket): Errno | null {
  const o = s.udp.row(so.pcb as number);
  const { w } = s.udp;
  if (at(w, o + U_FPORT) === 0) return 'ENOTCONN';
  w[o + U_FADDR] = 0;
  w[o + U_FPORT] = 0;
  if (at(w, o + U_AUTO) !== 0) w[o + U_LADDR] = 0;
  w[o + U_AUTO] = 0;
  so.state &= ~SS_ISCONNECTED;
  return null;
}

/** EAFNOSUPPORT, EADDRNOTAVAIL for port 0, EACCES for a broadcast without SO_BROADCAST, EMSGSIZE, ENETUNREACH, ENOBUFS. */
function sendto(s: Alt, so: Socket, bytes: Uint8Array, off: number, len: number, to: SockAddr | null): Errno | null {
  const { udp, routes } = s;
  const i = so.pcb as number;
  const o = udp.row(i);
  const { w } = udp;
  let faddr = at(w, o + U_FADDR);
  let fport = at(w, o + U_FPORT);
  if (to !== null) {
    if (fport !== 0) return 'EISCONN';
    if (to.kind !== 'inet' || !isV4(to.addr)) return 'EAFNOSUPPORT';
    faddr = to.addr.w3 === 0 ? at(routes.addr, 0) : to.addr.w3;
    fport = to.port;
  }
  if (fport === 0 || faddr === 0) return to === null ? 'EDESTADDRREQ' : 'EADDRNOTAVAIL';
  if (len > UDP_MAX) return 'EMSGSIZE';
  if ((so.options & SO_BROADCAST) === 0 && faddr >>> 28 !== 0xe && routes.isGroup(faddr)) return 'EACCES';
  if (at(w, o + U_LPORT) === 0) {
    const err = bindTo(s, so, i, 0, 0, faddr, fport);
    if (err !== null) return err;
  }
  const { hdr, how } = s.udpOut;
  const opts = at(w, o + U_TTL_TOS);
  how.src = at(w, o + U_LADDR);
  if (how.src !== 0 && routes.isGroup(how.src)) how.src = 0;
  how.dst = faddr;
  how.ttl = (opts & 0xff) === 0 ? (faddr >>> 28 === 0xe ? 1 : s.cfg.ttl) : opts & 0xff;
  how.tos = (opts >>> 8) & 0xff;
  how.sumField = UDP_SUM;
  how.hint = at(w, o + U_HINT);
  putUdp(hdr, 0, at(w, o + U_LPORT), fport, UDP_HDR_LEN + len, 0);
  s.ct.udp.opackets++;
  // Outside a batch the clock's last reading is old, and ARP may set a timer.
  if (!s.kernel.netisr.active()) s.time.refresh();
  const err = ipDatagram(s, how, hdr, UDP_HDR_LEN, bytes, off, len);
  w[o + U_HINT] = how.hint;
  return err;
}

function addrOf(s: Alt, so: Socket, addr: number, port: number): Result<SockAddr> {
  const i = so.pcb as number | null;
  if (i === null) return 'EINVAL';
  const o = s.udp.row(i);
  return sockAddr(ipv4(at(s.udp.w, o + addr)), at(s.udp.w, o + port));
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
    sockaddr: (s, so) => addrOf(s, so, U_LADDR, U_LPORT),
    peeraddr: (s, so) => addrOf(s, so, U_FADDR, U_FPORT),
    ctloutput: (s, so, sopt) => ipOption(s.udp.w, s.udp.row(so.pcb as number) + U_TTL_TOS, s.cfg.ttl, sopt),
  },
});

export function udpMethods(s: Alt): ProtoMethods {
  return bindObject(udpClass, s);
}
