/**
 * What a stream socket's user asks for (tcp_usrreq.c): a socket's pcb is the number of its flow. Nothing is sent from here: a call changes
 * the state and marks the flow, and the segment leaves with the batch. So it does not matter from where a call comes, a handler in the
 * middle of input included.
 */
import { type Errno, type Result } from '../../../kern/errno.ts';
import { bindObject, defineClass } from '../../../kern/kobj.ts';
import { type ProtoMethods, type SockAddr, protoInterface } from '../../../kern/socket/protosw.ts';
import { SO_LINGER, SO_REUSEADDR, SO_REUSEPORT } from '../../../kern/socket/soconst.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import { soisconnecting, soisdisconnecting, soreserve, sorcvspace } from '../../../kern/socket/upcalls.ts';
import { ipv4, isV4, sockAddr } from '../../../wire/addr.ts';
import type { Alt } from '../alt.ts';
import {
  FADDR, FLAGS, F_ACKNOW, F_BOUND, F_DETACHED, F_NEEDFIN, F_WSCALE, HEAD, KEEP_CNT, LADDR, LIFE_AT, MSS, PORTS, RCV_ADV,
  RCV_NXT, RCV_TIME, REXMT_AT, ROW_SHIFT, RTT_AT, SCALE, STATE, TS_CLOSED, TS_CLOSE_WAIT, TS_ESTABLISHED, TS_FIN_WAIT_1,
  TS_FIN_WAIT_2, TS_FREE, TS_LAST_ACK, TS_LISTEN, TS_SYN_RCVD, TS_SYN_SENT, field
} from '../flows.ts'; // prettier-ignore
import { ephemeralCount, ephemeralPort, ephemeralStart } from '../ports.ts';
import { at } from '../slab.ts';
import { setCongestion } from './cc.ts';
import { abortFlow, endFlow } from './close.ts';
import { initialSeq } from './isn.ts';
import { begin, hashFlow } from './listen.ts';
import { ctloutput } from './sockopt.ts';
import { setState } from './state.ts';
import { canSend } from './timer.ts';

function attach(s: Alt, so: Socket): Errno | null {
  const { flows } = s;
  let i = s.adopt;
  if (i < 0) {
    const err = soreserve(so, s.cfg.sndSpace, s.cfg.rcvSpace);
    if (err !== null) return err;
    i = flows.alloc();
    if (i < 0) {
      s.ct.alt.noflow++;
      return 'ENOBUFS';
    }
    flows.w[(i << ROW_SHIFT) + STATE] = TS_CLOSED;
    if (s.cfg.ccAlgorithm === 'newreno') setCongestion(s, i, 'newreno');
  }
  so.pcb = i;
  flows.socketOf[i] = so;
  return null;
}

/** The user has closed the socket. A connection that is still closing goes on by itself. */
function detach(s: Alt, so: Socket): void {
  const i = so.pcb as number;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  so.pcb = null;
  if (state < TS_ESTABLISHED || canSend(state)) {
    // Nothing asked for an orderly end: a listener, a bound socket, a connection that does not stand yet.
    if (state === TS_SYN_RCVD) abortFlow(s, i, null);
    else endFlow(s, i, null);
    return;
  }
  w[o + FLAGS] = at(w, o + FLAGS) | F_DETACHED;
  w[o + LIFE_AT] = 0;
  if (state === TS_FIN_WAIT_2) {
    if (!s.kernel.netisr.active()) s.time.refresh();
    s.setTimer(i, LIFE_AT, s.cfg.finwait2Ms);
  }
}

/** FreeBSD's rules (in_pcbbind): what is bound to the port, and what is connected from it. */
function taken(s: Alt, laddr: number, lport: number, options: number): boolean {
  const { flows } = s;
  const { w } = flows;
  let bound = 0;
  for (let n = at(flows.boundTo, lport); n !== 0; n = at(w, ((n - 1) << ROW_SHIFT) + HEAD)) {
    bound++;
    const theirs = at(w, ((n - 1) << ROW_SHIFT) + LADDR);
    if ((options & (flows.socketOf[n - 1]?.options ?? 0) & SO_REUSEPORT) !== 0) continue;
    const clash = theirs === laddr || theirs === 0 || laddr === 0;
    if (clash && ((options & SO_REUSEADDR) === 0 || theirs === laddr)) return true;
  }
  return at(flows.portUse, lport) > bound && (options & (SO_REUSEADDR | SO_REUSEPORT)) === 0;
}

function bindAny(s: Alt, i: number, laddr: number): Errno | null {
  const { flows } = s;
  const start = ephemeralStart(s, laddr, 0, 0);
  for (let k = 0; k < ephemeralCount(s); k++) {
    const port = ephemeralPort(s, start, k);
    if (at(flows.portUse, port) !== 0) continue;
    flows.bindPort(i, laddr, port);
    return null;
  }
  return 'EADDRNOTAVAIL';
}

/** EAFNOSUPPORT, EINVAL (bound already), EADDRNOTAVAIL (not ours), EADDRINUSE. */
function bind(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  const i = so.pcb as number | null;
  if (i === null) return 'EINVAL';
  const o = i << ROW_SHIFT;
  const { w } = s.flows;
  if (at(w, o + STATE) !== TS_CLOSED || (at(w, o + FLAGS) & F_BOUND) !== 0) return 'EINVAL';
  const laddr = addr.addr.w3;
  if (laddr !== 0 && !s.routes.isLocal(laddr)) return laddr >>> 28 === 0xe ? 'EAFNOSUPPORT' : 'EADDRNOTAVAIL';
  if (addr.port === 0) return bindAny(s, i, laddr);
  if (taken(s, laddr, addr.port, so.options)) return 'EADDRINUSE';
  s.flows.bindPort(i, laddr, addr.port);
  return null;
}

function listen(s: Alt, so: Socket): Errno | null {
  const i = so.pcb as number | null;
  if (i === null) return 'EINVAL';
  const o = i << ROW_SHIFT;
  const { w } = s.flows;
  if (at(w, o + STATE) > TS_LISTEN) return 'EINVAL';
  if ((at(w, o + FLAGS) & F_BOUND) === 0) {
    const err = bindAny(s, i, 0);
    if (err !== null) return err;
  }
  setState(s, i, TS_LISTEN);
  return null;
}

/** EAFNOSUPPORT, EINVAL, EADDRNOTAVAIL (port 0, no port left, ourselves), EACCES (a group), ENETUNREACH, EADDRINUSE. */
function connect(s: Alt, so: Socket, addr: SockAddr): Errno | null {
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  const i = so.pcb as number | null;
  if (i === null) return 'EINVAL';
  const { flows, routes } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  if (at(w, o + STATE) !== TS_CLOSED) return 'EINVAL';
  const faddr = addr.addr.w3 === 0 ? at(routes.addr, 0) : addr.addr.w3;
  if (addr.port === 0 || faddr === 0) return 'EADDRNOTAVAIL';
  if (routes.isGroup(faddr)) return faddr >>> 28 === 0xe ? 'EAFNOSUPPORT' : 'EACCES';
  if (!routes.lookup(faddr)) return 'ENETUNREACH';
  if (!s.kernel.netisr.active()) s.time.refresh();
  const bound = (at(w, o + FLAGS) & F_BOUND) !== 0;
  const laddr = bound && at(w, o + LADDR) !== 0 ? at(w, o + LADDR) : routes.src;
  let lport = bound ? at(w, o + PORTS) >>> 16 : 0;
  // RFC 1122 §3.2.1.3 (g): a source in 127/8 never leaves this host.
  if (laddr >>> 24 === 127 && s.ifs[routes.ix]?.loopback !== true) return 'EADDRNOTAVAIL';
  if (bound) {
    if (lport === addr.port && laddr === faddr) return 'EADDRNOTAVAIL';
    if (s.demux.find(laddr, faddr, (lport << 16) | addr.port) >= 0) return 'EADDRINUSE';
    flows.unbindPort(i);
  } else {
    lport = freePort(s, laddr, faddr, addr.port);
    if (lport === 0) return 'EADDRNOTAVAIL';
  }
  w[o + LADDR] = laddr;
  w[o + FADDR] = faddr;
  w[o + PORTS] = (lport << 16) | addr.port;
  w[o + RCV_TIME] = s.time.ms;
  hashFlow(s, i);
  begin(s, i, initialSeq(s, laddr, faddr, at(w, o + PORTS)));
  setState(s, i, TS_SYN_SENT);
  s.flows.setSide(o, RTT_AT, s.time.ms | 1);
  w[o + REXMT_AT] = 0;
  s.setTimer(i, LIFE_AT, (s.flows.side(o, KEEP_CNT) >>> 8) * 1000 || s.cfg.keepInitMs);
  s.ct.tcp.connattempt++;
  s.mark(i);
  soisconnecting(so);
  return null;
}

/** A port from which this peer's port has no connection yet, and to which nobody is bound; 0: none. */
function freePort(s: Alt, laddr: number, faddr: number, fport: number): number {
  const start = ephemeralStart(s, laddr, faddr, fport);
  for (let k = 0; k < ephemeralCount(s); k++) {
    const port = ephemeralPort(s, start, k);
    if (at(s.flows.boundTo, port) !== 0 || (port === fport && laddr === faddr)) continue;
    if (at(s.flows.portUse, port) === 0 || s.demux.find(laddr, faddr, (port << 16) | fport) < 0) return port;
  }
  return 0;
}

/** Our side will send no more (RFC 9293 §3.10.4): the FIN follows the last byte. */
function finish(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  if (state === TS_ESTABLISHED) setState(s, i, TS_FIN_WAIT_1);
  else if (state === TS_CLOSE_WAIT) setState(s, i, TS_LAST_ACK);
  else if (state === TS_SYN_SENT || state === TS_SYN_RCVD) w[o + FLAGS] = at(w, o + FLAGS) | F_NEEDFIN;
  else return;
  s.mark(i);
}

/** Close of a connected socket. With unread data, or SO_LINGER of 0, it is a reset (RFC 2525 §2.17). */
function disconnect(s: Alt, so: Socket): Errno | null {
  const i = so.pcb as number | null;
  if (i === null) return null;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (at(w, o + STATE) < TS_SYN_RCVD) endFlow(s, i, null);
  else if (((so.options & SO_LINGER) !== 0 && so.linger === 0) || so.rcv.cc > 0) abortFlow(s, i, null);
  else {
    soisdisconnecting(so);
    if (at(w, o + STATE) !== TS_FREE && s.flows.socketOf[i] === so) finish(s, i);
  }
  return null;
}

function shutdown(s: Alt, so: Socket): Errno | null {
  const i = so.pcb as number | null;
  if (i === null) return null;
  if (at(s.flows.w, (i << ROW_SHIFT) + STATE) <= TS_LISTEN) return 'ENOTCONN';
  finish(s, i);
  return null;
}

function send(s: Alt, so: Socket): void {
  const i = so.pcb as number | null;
  if (i !== null && at(s.flows.w, (i << ROW_SHIFT) + STATE) >= TS_ESTABLISHED) s.mark(i);
}

/** The user has read: is the window so much wider that the peer should know (RFC 9293 §3.8.6.2.2)? */
function rcvd(s: Alt, so: Socket): void {
  const i = so.pcb as number | null;
  if (i === null) return;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (at(w, o + STATE) < TS_ESTABLISHED) return;
  const left = (at(w, o + RCV_ADV) - at(w, o + RCV_NXT)) | 0;
  // No more than the header can say: else every read would look like an opening.
  const most = 65535 << ((at(w, o + FLAGS) & F_WSCALE) !== 0 ? field(w, o, SCALE) >>> 4 : 0);
  const wider = Math.min(sorcvspace(so), most) - left;
  // A buffer beyond that opens no further.
  const hiwat = Math.min(so.rcv.hiwat, most);
  if (2 * wider < hiwat && (wider < 2 * field(w, o, MSS) || 4 * wider < hiwat)) return;
  w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
  s.mark(i);
}

function abort(s: Alt, so: Socket): void {
  const i = so.pcb as number | null;
  if (i !== null) abortFlow(s, i, null);
}

function sockaddr(s: Alt, so: Socket): Result<SockAddr> {
  const i = so.pcb as number | null;
  if (i === null) return 'EINVAL';
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  return sockAddr(ipv4(at(w, o + LADDR)), at(w, o + PORTS) >>> 16);
}

function peeraddr(s: Alt, so: Socket): Result<SockAddr> {
  const i = so.pcb as number | null;
  if (i === null || at(s.flows.w, (i << ROW_SHIFT) + STATE) < TS_SYN_SENT) return 'ENOTCONN';
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  return sockAddr(ipv4(at(w, o + FADDR)), at(w, o + PORTS) & 0xffff);
}

const tcpClass = defineClass<Alt, ProtoMethods>({
  name: 'alt_tcp',
  implements: protoInterface,
  methods: { attach, detach, bind, listen, connect, disconnect, shutdown, send, rcvd, abort, sockaddr, peeraddr, ctloutput },
});

export function tcpMethods(s: Alt): ProtoMethods {
  return bindObject(tcpClass, s);
}
