/**
 * What happens when a connection's timer goes off: retransmission (RFC 6298 §5, RFC 9293 §3.8.3), zero-window probe (§3.8.6.1),
 * keep-alive (§3.8.4), the end of FIN-WAIT-2, the delayed ACK (§3.8.6.3).
 */
import type { Errno } from '../../../kern/errno.ts';
import { SS_CANTRCVMORE } from '../../../kern/socket/socket.ts';
import { TH_ACK } from '../../../wire/tcp.ts';
import { memoryPressure } from './autotune.ts';
import { ecnBareFlags } from './ecn.ts';
import { keepCnt, keepIdleMs, keepIntvlMs } from './establish.ts';
import { fastOpenTimeout } from './fastopen.ts';
import type { TcpInst } from './inst.ts';
import { plpmtudTimeout } from './plpmtud.ts';
import { rttBackoff } from './rtt.ts';
import { sendBare } from './respond.ts';
import { TCPS_CLOSE_WAIT, TCPS_ESTABLISHED, TCPS_FIN_WAIT_2, TCPS_SYN_SENT } from './states.ts';
import {
  TF_ACKNOW,
  TF_CALLOUT,
  TF_DEAD,
  TF_DETACHED,
  TF_FORCE,
  TF_SYNREXMT,
  TF_TIMING,
  TF_TSTMP,
  T_DELACK,
  T_FINWAIT2,
  T_KEEP,
  T_PACE,
  T_PERSIST,
  T_RACK,
  T_REXMT,
  type Tcb,
} from './tcb.ts';
import { tcpClose, tcpDrop } from './teardown.ts';
import { timerArm, timerRearm, timerStop } from './timerset.ts';
import { userTimeoutOver } from './usertimeout.ts';
import { TCP_MAXWIN, rcvWindow } from './window.ts';

/** The callout of a connection went off: deals with every timer that is due, and sets it anew. */
export function tcpTimer(tcb: Tcb): void {
  const { tcp } = tcb;
  const now = tcp.time.ms;
  tcb.flags &= ~TF_CALLOUT;
  if ((tcb.timers & T_DELACK) !== 0 && ((tcb.tDelack - now) | 0) <= 0) {
    timerStop(tcb, T_DELACK);
    tcp.stats.delack++;
    tcb.flags |= TF_ACKNOW;
    tcp.mark(tcb);
  }
  if ((tcb.timers & T_PACE) !== 0 && ((tcb.tPace - now) | 0) <= 0) {
    timerStop(tcb, T_PACE);
    tcp.mark(tcb);
  }
  if ((tcb.timers & T_RACK) !== 0 && ((tcb.tRack - now) | 0) <= 0) {
    timerStop(tcb, T_RACK);
    tcb.recovery.timer(tcb);
  }
  if ((tcb.timers & (T_REXMT | T_PERSIST)) !== 0 && ((tcb.tRexmt - now) | 0) <= 0) {
    if ((tcb.timers & T_REXMT) !== 0) rexmt(tcp, tcb);
    else persist(tcp, tcb);
  }
  if ((tcb.timers & T_KEEP) !== 0 && ((tcb.tKeep - now) | 0) <= 0) keep(tcp, tcb);
  if ((tcb.timers & T_FINWAIT2) !== 0 && ((tcb.tFinWait2 - now) | 0) <= 0) finWait2(tcp, tcb);
  if ((tcb.flags & TF_DEAD) === 0) timerRearm(tcb);
}

/** Why a connection that got no answer ends: what ICMP said, or just the time. */
function timeoutError(tcb: Tcb): Errno {
  return tcb.softError ?? 'ETIMEDOUT';
}

/** R2 (RFC 9293 §3.8.3), or in its place the user timeout. */
function expired(tcp: TcpInst, tcb: Tcb): boolean {
  return tcb.userTimeoutMs > 0 ? userTimeoutOver(tcb) : tcb.rxtShift > tcp.config.maxrxtshift;
}

function rexmt(tcp: TcpInst, tcb: Tcb): void {
  const { stats, config, time } = tcp;
  timerStop(tcb, T_REXMT);
  const fast = tcb.tfo === null ? 'no' : fastOpenTimeout(tcp, tcb, tcb.tfo);
  if (fast === 'expired') tcpDrop(tcb, timeoutError(tcb));
  if (fast !== 'no') return;
  // Nothing in flight: it was set because there was no slot or no route; try again.
  if (tcb.sndMax === tcb.sndUna) {
    rttBackoff(tcp, tcb);
    if (tcb.rxtShift === 0) tcb.rxtStartMs = time.ms;
    tcb.rxtShift++;
    if (expired(tcp, tcb)) tcpDrop(tcb, timeoutError(tcb));
    else tcp.mark(tcb);
    return;
  }
  stats.rexmttimeo++;
  tcb.rxtShift++;
  if (tcb.rxtShift === 1) tcb.rxtStartMs = (time.ms - tcb.rto) | 0;
  if (expired(tcp, tcb)) {
    stats.timeoutdrop++;
    tcpDrop(tcb, timeoutError(tcb));
    return;
  }
  rttBackoff(tcp, tcb);
  plpmtudTimeout(tcp, tcb);
  // R1: perhaps the route is at fault. Only now, because the size of segments is made from it.
  if (tcb.rxtShift === config.r1shift) tcb.route = null;
  // RFC 6298 §5.4, Karn: what is sent twice is not timed.
  tcb.flags &= ~TF_TIMING;
  if (tcb.state <= TCPS_SYN_SENT || tcb.sndUna === tcb.iss) {
    tcb.flags |= TF_SYNREXMT;
    tcb.sndNxt = tcb.sndUna;
  } else {
    tcb.recovery.rto(tcb);
  }
  tcp.mark(tcb);
}

function persist(tcp: TcpInst, tcb: Tcb): void {
  const { stats, config, time } = tcp;
  timerStop(tcb, T_PERSIST);
  stats.persisttimeo++;
  const silent = (time.ms - tcb.rcvTime) | 0;
  if (tcb.rxtShift === 0) tcb.rxtStartMs = time.ms;
  const waited = (time.ms - tcb.rxtStartMs) | 0;
  // For ever while the peer answers (MUST-37). One that does not is gone; and nobody waits long for a connection without a user.
  const orphan = tcb.state > TCPS_CLOSE_WAIT && (tcb.flags & TF_DETACHED) !== 0;
  if (
    (tcb.rxtShift >= config.maxrxtshift && silent >= (orphan ? config.persmaxMs : config.maxpersistidleMs)) ||
    // RFC 5482 §3: data that is not taken is data that is not acknowledged.
    userTimeoutOver(tcb) ||
    // A peer that keeps its window shut holds our memory, and nobody here is left to mind (RFC 6429).
    (orphan && (waited >= config.persistOrphanMs || memoryPressure(tcp)))
  ) {
    stats.persistdrop++;
    tcpDrop(tcb, timeoutError(tcb));
    return;
  }
  if (tcb.rxtShift < config.maxrxtshift) tcb.rxtShift++;
  const backoff = Math.min(tcb.rto * 2 ** tcb.rxtShift, config.persmaxMs);
  timerArm(tcb, T_PERSIST, Math.max(backoff, config.persminMs));
  tcb.flags |= TF_FORCE;
  tcp.mark(tcb);
}

function keep(tcp: TcpInst, tcb: Tcb): void {
  const { stats, time } = tcp;
  timerStop(tcb, T_KEEP);
  stats.keeptimeo++;
  if (tcb.state < TCPS_ESTABLISHED) {
    stats.keepdrops++;
    tcpDrop(tcb, timeoutError(tcb));
    return;
  }
  const idleMs = keepIdleMs(tcb);
  const idle = (time.ms - tcb.rcvTime) | 0;
  if (idle < idleMs) {
    tcb.keepProbes = 0;
    timerArm(tcb, T_KEEP, idleMs - idle);
    return;
  }
  // RFC 5482 §4.2: not before the user timeout.
  if (tcb.keepProbes >= keepCnt(tcb) && idle >= tcb.userTimeoutMs) {
    stats.keepdrops++;
    tcpDrop(tcb, timeoutError(tcb));
    return;
  }
  tcb.keepProbes++;
  stats.keepprobe++;
  timerArm(tcb, T_KEEP, keepIntvlMs(tcb));
  // One below what the peer expects: it has to answer (RFC 9293 §3.8.4).
  const ts = (tcb.flags & TF_TSTMP) !== 0;
  const win = Math.min(rcvWindow(tcb) >> tcb.rcvScale, TCP_MAXWIN);
  const tsVal = (time.ms + tcb.tsOffset) | 0;
  sendBare(tcp, tcb, tcb.so.fib, (tcb.sndUna - 1) | 0, tcb.rcvNxt, TH_ACK | ecnBareFlags(tcb), win, ts, tsVal, tcb.tsRecent);
}

/** The peer of a closed socket does not close its side. */
function finWait2(tcp: TcpInst, tcb: Tcb): void {
  timerStop(tcb, T_FINWAIT2);
  tcp.stats.finwait2drops++;
  tcpClose(tcb);
}

/** In FIN-WAIT-2 nobody waits for a peer that nobody listens to. */
export function armFinWait2(tcb: Tcb): void {
  if (tcb.state !== TCPS_FIN_WAIT_2) return;
  if ((tcb.so.state & SS_CANTRCVMORE) === 0 && (tcb.flags & TF_DETACHED) === 0) return;
  timerArm(tcb, T_FINWAIT2, tcb.tcp.config.finwait2TimeoutMs);
}
