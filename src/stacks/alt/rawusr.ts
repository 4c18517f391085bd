/** What the user of a raw ICMP socket asks for: bind, connect, send. A socket's pcb is the number of its row. */
import type { Errno, Result } from '../../kern/errno.ts';
import { bindObject, defineClass } from '../../kern/kobj.ts';
import {
  PR_ADDR,
  PR_ATOMIC,
  type ProtoMethods,
  type Protosw,
  SOCK_RAW,
  type SockAddr,
  protoInterface,
} from '../../kern/socket/protosw.ts';
import { SO_BROADCAST } from '../../kern/socket/soconst.ts';
import { SS_ISCONNECTED, type Socket } from '../../kern/socket/socket.ts';
import { socantsendmore, soisconnected, soisdisconnected, soreserve } from '../../kern/socket/upcalls.ts';
import { ipv4, isV4, sockAddr } from '../../wire/addr.ts';
import { IPPROTO_ICMP, IP_HDR_LEN, IP_MAXPACKET } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import { ipOption } from './ipopt.ts';
import { ipDatagram } from './ipout.ts';
import { R_FADDR, R_HINT, R_LADDR, R_TTL_TOS } from './raw.ts';
import { at } from './slab.ts';

/** Any other protocol is EPROTONOSUPPORT. */
function attach(s: Alt, so: Socket, protocol: number): Errno | null {
  if (protocol !== IPPROTO_ICMP) return 'EPROTONOSUPPORT';
  const err = soreserve(so, s.cfg.udpSndSpace, s.cfg.udpRcvSpace);
  if (err !== null) return err;
  const i = s.raw.alloc();
  if (i < 0) {
    s.ct.raw.nosock++;
    return 'ENOBUFS';
  }
  so.pcb = i;
  s.raw.socketOf[i] = so;
  return null;
}

function detach(s: Alt, so: Socket): void {
  const i = so.pcb as number;
  s.raw.socketOf[i] = null;
  so.pcb = null;
  s.raw.free(i);
  soisdisconnected(so);
}

function bind(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  const laddr = addr.addr.w3;
  if (laddr !== 0 && !s.routes.isLocal(laddr) && !s.routes.isGroup(laddr)) return 'EADDRNOTAVAIL';
  s.raw.w[s.raw.row(so.pcb as number) + R_LADDR] = laddr;
  return null;
}

function connect(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  if (addr.addr.w3 === 0) return 'EADDRNOTAVAIL';
  s.raw.w[s.raw.row(so.pcb as number) + R_FADDR] = addr.addr.w3;
  soisconnected(so);
  return null;
}

function disconnect(s: Alt, so: Socket): Errno | null {
  if ((so.state & SS_ISCONNECTED) === 0) return 'ENOTCONN';
  s.raw.w[s.raw.row(so.pcb as number) + R_FADDR] = 0;
  so.state &= ~SS_ISCONNECTED;
  return null;
}

/** The bytes are an ICMP message with its checksum. EACCES for a broadcast without SO_BROADCAST; else as `ipDatagram`. */
function sendto(s: Alt, so: Socket, bytes: Uint8Array, off: number, len: number, to: SockAddr | null): Errno | null {
  const { raw, routes } = s;
  const { w } = raw;
  const o = raw.row(so.pcb as number);
  let faddr = at(w, o + R_FADDR);
  if (to !== null) {
    if (faddr !== 0) return 'EISCONN';
    if (to.kind !== 'inet' || !isV4(to.addr)) return 'EAFNOSUPPORT';
    faddr = to.addr.w3;
  } else if (faddr === 0) return 'EDESTADDRREQ';
  if (len > IP_MAXPACKET - IP_HDR_LEN) return 'EMSGSIZE';
  const toGroup = faddr >>> 28 === 0xe;
  if ((so.options & SO_BROADCAST) === 0 && !toGroup && routes.isGroup(faddr)) return 'EACCES';
  const { hdr, how } = s.rawOut;
  const opts = at(w, o + R_TTL_TOS);
  const laddr = at(w, o + R_LADDR);
  how.src = laddr !== 0 && routes.isGroup(laddr) ? 0 : laddr;
  how.dst = faddr;
  how.ttl = (opts & 0xff) === 0 ? (toGroup ? 1 : s.cfg.ttl) : opts & 0xff;
  how.tos = (opts >>> 8) & 0xff;
  how.hint = at(w, o + R_HINT);
  // Outside a batch the clock's last reading is old, and ARP may set a timer.
  if (!s.kernel.netisr.active()) s.time.refresh();
  const err = ipDatagram(s, how, hdr, 0, bytes, off, len);
  w[o + R_HINT] = how.hint;
  if (err === null) s.ct.raw.opackets++;
  return err;
}

function addrOf(s: Alt, so: Socket, word: number): Result<SockAddr> {
  const i = so.pcb as number | null;
  return i === null ? 'EINVAL' : sockAddr(ipv4(at(s.raw.w, s.raw.row(i) + word)), 0);
}

const rawClass = defineClass<Alt, ProtoMethods>({
  name: 'alt_icmp',
  implements: protoInterface,
  methods: {
    attach,
    detach,
    bind,
    connect,
    disconnect,
    sendto,
    shutdown: (_s, so) => {
      socantsendmore(so);
      return null;
    },
    abort: (s, so) => {
      if (so.pcb !== null) detach(s, so);
    },
    sockaddr: (s, so) => addrOf(s, so, R_LADDR),
    peeraddr: (s, so) => ((so.state & SS_ISCONNECTED) === 0 ? 'ENOTCONN' : addrOf(s, so, R_FADDR)),
    ctloutput: (s, so, sopt) => ipOption(s.raw.w, s.raw.row(so.pcb as number) + R_TTL_TOS, s.cfg.ttl, sopt),
  },
});

export function rawProtosw(s: Alt): Protosw {
  return { name: 'icmp', type: SOCK_RAW, protocol: IPPROTO_ICMP, flags: PR_ATOMIC | PR_ADDR, methods: bindObject(rawClass, s) };
}
