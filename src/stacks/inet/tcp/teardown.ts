/** The end of a connection: in order, by an error, by the user's abort. After `tcpClose` its control block is in no table. */
import type { Errno } from '../../../kern/errno.ts';
import { socantrcvmore, soisdisconnected, soseterror } from '../../../kern/socket/upcalls.ts';
import { TH_ACK, TH_RST } from '../../../wire/tcp.ts';
import { sendBare } from './respond.ts';
import { TCPS_CLOSED, TCPS_ESTABLISHED, TCPS_LISTEN, TCPS_SYN_RECEIVED, TCPS_TIME_WAIT, setState } from './states.ts';
import { TF_BOUND, TF_DEAD, TF_INTABLE, TF_TSTMP, type Tcb } from './tcb.ts';
import { bareSeq } from './window.ts';

/** Takes a connection out of all tables and stops its timers. Its socket is not told. */
function release(tcb: Tcb): void {
  const { tcp } = tcb;
  tcb.flags |= TF_DEAD;
  tcb.timers = 0;
  tcb.callout.stop();
  if (tcb.state === TCPS_LISTEN) {
    tcp.ports.unlisten(tcb);
    tcp.syncache.forgetListener(tcb);
  }
  if ((tcb.flags & TF_INTABLE) !== 0) {
    tcb.flags &= ~TF_INTABLE;
    tcp.conns.remove(tcb);
    tcp.ports.leave(tcb.lport);
  }
  if ((tcb.flags & TF_BOUND) !== 0) {
    tcb.flags &= ~TF_BOUND;
    tcp.ports.unbind(tcb);
  }
  tcb.tfo?.release(tcp.time.ms);
  tcp.remains.keepTcb(tcb);
  tcb.reass = null;
  tcb.route = null;
  tcb.cc.destroy(tcb);
  tcb.ccData = null;
}

/** The connection is over; the socket is told. */
export function tcpClose(tcb: Tcb): void {
  if ((tcb.flags & TF_DEAD) !== 0) return;
  end(tcb);
  soisdisconnected(tcb.so);
}

/** Ends a connection at once, with a reset if the peer knows of it. `err`, if there is one, is the socket's. */
export function tcpDrop(tcb: Tcb, err: Errno | null): void {
  if ((tcb.flags & TF_DEAD) !== 0) return;
  tcb.tcp.stats.drops++;
  if (tcb.state >= TCPS_SYN_RECEIVED && tcb.state !== TCPS_TIME_WAIT) sendAbort(tcb);
  tcpFail(tcb, err);
}

/** Ends a connection at once, without a word to the peer. */
export function tcpFail(tcb: Tcb, err: Errno | null): void {
  if ((tcb.flags & TF_DEAD) !== 0) return;
  end(tcb);
  // It is out of the tables by now: the user may do anything when told.
  if (err !== null) soseterror(tcb.so, err);
  soisdisconnected(tcb.so);
}

function end(tcb: Tcb): void {
  const { stats } = tcb.tcp;
  stats.closed++;
  if (tcb.state > TCPS_LISTEN && tcb.state < TCPS_ESTABLISHED) stats.conndrops++;
  release(tcb);
  setState(tcb, TCPS_CLOSED);
}

/** RFC 9293 §3.10.5: <SEQ=SND.NXT><CTL=RST>, SND.NXT being what the peer expects when all has arrived, whatever is sent again. */
function sendAbort(tcb: Tcb): void {
  const { tcp } = tcb;
  tcp.stats.sndrst++;
  const ts = (tcb.flags & TF_TSTMP) !== 0;
  const tsVal = (tcp.time.ms + tcb.tsOffset) | 0;
  sendBare(tcp, tcb, tcb.so.fib, bareSeq(tcb), tcb.rcvNxt, TH_RST | TH_ACK, 0, ts, tsVal, tcb.tsRecent);
}

/**
 * Both directions are done: a small record takes the connection's place, and the socket is told. RFC 9293 §3.6: the side that
 * closed first waits.
 */
export function tcpTimeWait(tcb: Tcb): void {
  const { tcp } = tcb;
  setState(tcb, TCPS_TIME_WAIT);
  tcp.stats.closed++;
  tcp.timewait.enter(tcb);
  release(tcb);
  // Readers hear of the end of the stream before everyone hears of the end of the connection.
  socantrcvmore(tcb.so);
  soisdisconnected(tcb.so);
}
