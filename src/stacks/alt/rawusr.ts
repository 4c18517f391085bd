/** What the user of a raw ICMP socket asks for: bind, connect, send. A socket's pcb is the number of its row. */
import type { Errno } from '../../kern/errno.ts';
import { bindObject, defineClass } from '../../kern/kobj.ts';
import {
  type ControlMsg,
  PR_ADDR,
  PR_ATOMIC,
  PR_CONTROL,
  type ProtoMethods,
  type Protosw,
  SOCK_RAW,
  type SockAddr,
  protoInterface,
} from '../../kern/socket/protosw.ts';
import { SS_ISCONNECTED, type Socket } from '../../kern/socket/socket.ts';
import { socantsendmore, soisconnected } from '../../kern/socket/upcalls.ts';
import { IPPROTO_ICMP, IP_HDR_LEN, IP_MAXPACKET } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import { D_FADDR, D_HOW, D_LADDR, bindWord, forgetPeer, inetWord, reserve, sendDgram } from './dgram.ts';
import { ipOption } from './ipopt.ts';
import { at } from './slab.ts';

/** Any other protocol is EPROTONOSUPPORT. */
function attach(s: Alt, so: Socket, protocol: number): Errno | null {
  if (protocol !== IPPROTO_ICMP) return 'EPROTONOSUPPORT';
  const err = reserve(s, so);
  if (err !== null || s.raw.take(so)) return err;
  s.ct.raw.nosock++;
  return 'ENOBUFS';
}

function bind(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  const laddr = bindWord(s, addr);
  if (typeof laddr === 'string') return laddr;
  s.raw.w[s.raw.row(so.pcb as number) + D_LADDR] = laddr;
  return null;
}

function connect(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  const faddr = inetWord(addr);
  if (typeof faddr === 'string') return faddr;
  if (faddr === 0) return 'EADDRNOTAVAIL';
  s.raw.w[s.raw.row(so.pcb as number) + D_FADDR] = faddr;
  soisconnected(so);
  return null;
}

/** The bytes are an ICMP message with its checksum. */
function sendto(
  s: Alt,
  so: Socket,
  bytes: Uint8Array,
  off: number,
  len: number,
  to: SockAddr | null,
  control: readonly ControlMsg[] | null,
): Errno | null {
  const { w } = s.raw;
  const o = s.raw.row(so.pcb as number);
  let faddr = at(w, o + D_FADDR);
  if (to !== null) {
    if (faddr !== 0) return 'EISCONN';
    const word = inetWord(to);
    if (typeof word === 'string') return word;
    faddr = word;
  } else if (faddr === 0) return 'EDESTADDRREQ';
  if (len > IP_MAXPACKET - IP_HDR_LEN) return 'EMSGSIZE';
  const err = sendDgram(s, so, w, o, s.rawOut, 0, faddr, bytes, off, len, control);
  if (err === null) s.ct.raw.opackets++;
  return err;
}

const rawClass = defineClass<Alt, ProtoMethods>({
  name: 'alt_icmp',
  implements: protoInterface,
  methods: {
    attach,
    detach: (s, so) => s.raw.leave(so),
    bind,
    connect,
    disconnect: (s, so) => {
      if ((so.state & SS_ISCONNECTED) === 0) return 'ENOTCONN';
      forgetPeer(so, s.raw);
      return null;
    },
    sendto,
    shutdown: (_s, so) => {
      socantsendmore(so);
      return null;
    },
    abort: (s, so) => {
      if (so.pcb !== null) s.raw.leave(so);
    },
    sockaddr: (s, so) => s.raw.addrOf(so, D_LADDR, -1),
    peeraddr: (s, so) => ((so.state & SS_ISCONNECTED) === 0 ? 'ENOTCONN' : s.raw.addrOf(so, D_FADDR, -1)),
    ctloutput: (s, so, sopt) => ipOption(s.raw.w, s.raw.row(so.pcb as number) + D_HOW, s.cfg.ttl, sopt),
  },
});

export function rawProtosw(s: Alt): Protosw {
  const flags = PR_ATOMIC | PR_ADDR | PR_CONTROL;
  return { name: 'icmp', type: SOCK_RAW, protocol: IPPROTO_ICMP, flags, methods: bindObject(rawClass, s) };
}
