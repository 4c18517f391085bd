/** What the ways into ESTABLISHED have in common: the connection's name, its agreed options, its first windows and timers. */
import { SO_KEEPALIVE } from '../../../kern/socket/soconst.ts';
import { type IpAddr, addrEqual, copyAddr } from '../../../wire/addr.ts';
import { pseudoSum } from '../../../wire/checksum.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import type { Route } from '../contract.ts';
import { mssUpdate } from './mss.ts';
import { rttUpdate } from './rtt.ts';
import { TF_SYNREXMT, TF_TSTMP, T_KEEP, T_REXMT, type Tcb } from './tcb.ts';
import { timerArm, timerStop } from './timerset.ts';

/** RFC 6298 §5.7: the timeout after a handshake that needed a retransmission and gave no measurement. */
const RTO_AFTER_SYN_LOSS_MS = 3000;

/** An address to keep: the route's own object where it is the same, so that connections to one place share it. */
export function keepAddr(a: IpAddr, known: IpAddr): IpAddr {
  return addrEqual(a, known) ? known : copyAddr(a);
}

/** Gives a connection its name; its route must be known. */
export function nameConnection(tcb: Tcb, laddr: IpAddr, faddr: IpAddr, fport: number, route: Route): void {
  tcb.laddr = keepAddr(laddr, route.src);
  tcb.faddr = keepAddr(faddr, route.dst);
  tcb.fport = fport;
  tcb.route = route;
  tcb.phSum = pseudoSum(laddr, faddr, IPPROTO_TCP, 0);
}

/** Enters a named connection into the tables. */
export function enterTables(tcb: Tcb): void {
  const { conns, ports } = tcb.tcp;
  conns.insert(tcb);
  ports.enter(tcb.lport);
}

/** Sequence numbers on our side, before our SYN is sent. */
export function sendSequences(tcb: Tcb, iss: number): void {
  tcb.iss = tcb.sndUna = tcb.sndNxt = tcb.sndMax = tcb.recover = iss;
}

/** And on the peer's side: its SYN has come. `adv` is the window it was told, in bytes. */
export function receiveSequences(tcb: Tcb, irs: number, adv: number): void {
  tcb.irs = irs;
  tcb.rcvNxt = tcb.lastAckSent = (irs + 1) | 0;
  tcb.rcvAdv = (tcb.rcvNxt + adv) | 0;
  tcb.tuneSeq = (tcb.rcvNxt + 1) | 0;
}

/** The handshake is done and the options are agreed. `rttUs`: its round-trip time in microseconds, or below 0. */
export function startConnection(tcb: Tcb, route: Route | null, rttUs: number): void {
  const { tcp } = tcb;
  if (route !== null) mssUpdate(tcb, route);
  // The way is lost just now: output makes it right when it finds one.
  else tcb.mss = Math.min(tcb.peerMss, tcp.config.mssdflt);
  tcb.rcvMss = tcb.rcvMss === 0 ? Math.min(tcb.mss, 536) : tcb.rcvMss;
  if (rttUs >= 0) rttUpdate(tcp, tcb, rttUs);
  else if ((tcb.flags & (TF_SYNREXMT | TF_TSTMP)) === TF_SYNREXMT) tcb.rto = RTO_AFTER_SYN_LOSS_MS;
  tcb.rxtShift = 0;
  tcb.cc.connInit(tcb);
  tcb.rcvTime = tcb.sndTime = tcp.time.ms;
  timerStop(tcb, T_REXMT);
  startKeepalive(tcb);
}

/** The keep-alive timer, if the user or the administrator wants it. */
export function startKeepalive(tcb: Tcb): void {
  const { config } = tcb.tcp;
  if ((tcb.so.options & SO_KEEPALIVE) === 0 && !config.alwaysKeepalive) {
    timerStop(tcb, T_KEEP);
    return;
  }
  tcb.keepProbes = 0;
  timerArm(tcb, T_KEEP, keepIdleMs(tcb));
}

export function keepIdleMs(tcb: Tcb): number {
  const own = tcb.options === null ? 0 : tcb.options.keepIdleMs;
  return own > 0 ? own : tcb.tcp.config.keepidleMs;
}

export function keepIntvlMs(tcb: Tcb): number {
  const own = tcb.options === null ? 0 : tcb.options.keepIntvlMs;
  return own > 0 ? own : tcb.tcp.config.keepintvlMs;
}

export function keepCnt(tcb: Tcb): number {
  const own = tcb.options === null ? 0 : tcb.options.keepCnt;
  return own > 0 ? own : tcb.tcp.config.keepcnt;
}

export function keepInitMs(tcb: Tcb): number {
  const own = tcb.options === null ? 0 : tcb.options.keepInitMs;
  return own > 0 ? own : tcb.tcp.config.keepinitMs;
}
