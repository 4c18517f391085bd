/** The protocol switch of TCP (tcp_usrreq.c): what sockets ask of it. RFC 9293 §3.9.1 and §3.10.1 to §3.10.6. */
import { type KobjClass, defineClass } from '../../../kern/kobj.ts';
import type { Errno } from '../../../kern/errno.ts';
import { type ProtoMethods, protoInterface } from '../../../kern/socket/protosw.ts';
import { sosndbuf } from '../../../kern/socket/sobuf.ts';
import { SO_LINGER } from '../../../kern/socket/soconst.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import { soisdisconnecting, soreserve } from '../../../kern/socket/upcalls.ts';
import { sockAddr } from '../../../wire/addr.ts';
import type { TcpInst } from './inst.ts';
import { tcpBind, tcpConnect, tcpListen } from './pcb.ts';
import { tcpCtloutput } from './sockopts.ts';
import {
  TCPS_CLOSED,
  TCPS_CLOSE_WAIT,
  TCPS_ESTABLISHED,
  TCPS_FIN_WAIT_1,
  TCPS_FIN_WAIT_2,
  TCPS_LAST_ACK,
  TCPS_LISTEN,
  TCPS_SYN_RECEIVED,
  TCPS_SYN_SENT,
  setState,
} from './states.ts';
import { TF_ACKNOW, TF_DEAD, TF_DETACHED, TF_NEEDFIN, TF_URGNOW, Tcb } from './tcb.ts';
import { tcpClose, tcpDrop } from './teardown.ts';
import { armFinWait2 } from './timers.ts';
import { urgentOf, urgentReceive } from './urgent.ts';
import { windowUpdateDue } from './window.ts';

/** MSG_OOB may go this far beyond the buffer's limit, so that it gets through when the buffer is full. */
const OOB_RESERVE = 512;

function tcbOf(so: Socket): Tcb | null {
  return so.pcb instanceof Tcb ? so.pcb : null;
}

/** A block that can still do something. */
function liveOf(so: Socket): Tcb | null {
  const tcb = tcbOf(so);
  return tcb === null || (tcb.flags & TF_DEAD) !== 0 ? null : tcb;
}

/** The user sends no more: RFC 9293 §3.10.4. */
function userClosed(tcp: TcpInst, tcb: Tcb): void {
  switch (tcb.state) {
    case TCPS_CLOSED:
    case TCPS_LISTEN:
      tcpClose(tcb);
      return;
    case TCPS_SYN_SENT:
    case TCPS_SYN_RECEIVED:
      tcb.flags |= TF_NEEDFIN;
      return;
    case TCPS_ESTABLISHED:
      setState(tcb, TCPS_FIN_WAIT_1);
      break;
    case TCPS_CLOSE_WAIT:
      setState(tcb, TCPS_LAST_ACK);
      break;
    default:
      return;
  }
  tcp.mark(tcb);
}

/** close(2) of a connection: in order, or with a reset where the user wants it or leaves data unread (RFC 9293 §3.6.1, SHLD-3). */
function disconnect(tcp: TcpInst, tcb: Tcb): void {
  const { so } = tcb;
  if (tcb.state < TCPS_ESTABLISHED) {
    tcpClose(tcb);
  } else if (((so.options & SO_LINGER) !== 0 && so.linger === 0) || so.rcv.cc > 0) {
    // What was written before goes first, as if it had been sent when it was written.
    tcp.flush(tcb);
    tcpDrop(tcb, null);
  } else {
    soisdisconnecting(so);
    if ((tcb.flags & TF_DEAD) === 0) userClosed(tcp, tcb);
  }
}

function detach(tcp: TcpInst, so: Socket): void {
  const tcb = tcbOf(so);
  if (tcb === null) return;
  so.pcb = null;
  tcb.flags |= TF_DETACHED;
  if ((tcb.flags & TF_DEAD) !== 0) return;
  tcp.touch();
  const { state } = tcb;
  if (state < TCPS_SYN_RECEIVED) tcpClose(tcb);
  // Nobody asked for an orderly end.
  else if (state <= TCPS_CLOSE_WAIT) tcpDrop(tcb, null);
  else if (state === TCPS_FIN_WAIT_2) armFinWait2(tcb);
}

function sendoob(tcp: TcpInst, so: Socket, bytes: Uint8Array, off: number, len: number): Errno | null {
  const tcb = liveOf(so);
  if (tcb === null) return 'ECONNRESET';
  if (so.snd.cc + len > so.snd.hiwat + OOB_RESERVE || !sosndbuf(so).append(bytes, off, len)) return 'ENOBUFS';
  const urgent = urgentOf(tcb);
  urgent.sndUp = (tcb.sndUna + so.snd.cc) | 0;
  urgent.hasSnd = true;
  tcb.flags |= TF_URGNOW;
  tcp.mark(tcb);
  return null;
}

export const tcpProtoClass: KobjClass<TcpInst, ProtoMethods> = defineClass<TcpInst, ProtoMethods>({
  name: 'tcp',
  implements: protoInterface,
  methods: {
    attach: (tcp, so) => {
      if (so.pcb !== null) return 'EISCONN';
      // An accepted socket has its listener's.
      if (so.head === null) {
        const err = soreserve(so, tcp.config.sendspace, tcp.config.recvspace);
        if (err !== null) return err;
      }
      so.pcb = new Tcb(tcp, so);
      return null;
    },

    detach,

    bind: (tcp, so, addr) => {
      const tcb = liveOf(so);
      return tcb === null ? 'EINVAL' : tcpBind(tcp, tcb, addr);
    },

    listen: (tcp, so) => {
      const tcb = liveOf(so);
      return tcb === null ? 'EINVAL' : tcpListen(tcp, tcb);
    },

    connect: (tcp, so, addr) => {
      const tcb = tcbOf(so);
      return tcb === null ? 'EINVAL' : tcpConnect(tcp, tcb, addr);
    },

    disconnect: (tcp, so) => {
      const tcb = liveOf(so);
      if (tcb === null) return 'ENOTCONN';
      tcp.touch();
      disconnect(tcp, tcb);
      return null;
    },

    shutdown: (tcp, so) => {
      const tcb = liveOf(so);
      if (tcb === null) return 'ENOTCONN';
      userClosed(tcp, tcb);
      return null;
    },

    send: (tcp, so) => {
      const tcb = tcbOf(so);
      if (tcb !== null) tcp.mark(tcb);
    },

    sendoob,

    rcvd: (tcp, so) => {
      const tcb = liveOf(so);
      if (tcb === null || tcb.state < TCPS_ESTABLISHED || !windowUpdateDue(tcb)) return;
      tcp.stats.sndwinup++;
      tcb.flags |= TF_ACKNOW;
      tcp.mark(tcb);
    },

    rcvoob: (_tcp, so, peek) => {
      const tcb = tcbOf(so);
      return tcb === null ? 'EINVAL' : urgentReceive(tcb, peek);
    },

    abort: (tcp, so) => {
      const tcb = liveOf(so);
      if (tcb === null) return;
      tcp.touch();
      tcpDrop(tcb, null);
    },

    sockaddr: (_tcp, so) => {
      const tcb = tcbOf(so);
      return tcb === null ? 'EINVAL' : sockAddr(tcb.laddr, tcb.lport);
    },

    peeraddr: (_tcp, so) => {
      const tcb = tcbOf(so);
      if (tcb === null) return 'EINVAL';
      return tcb.fport === 0 ? 'ENOTCONN' : sockAddr(tcb.faddr, tcb.fport);
    },

    ctloutput: (tcp, so, sopt) => {
      const tcb = tcbOf(so);
      return tcb === null ? 'ECONNRESET' : tcpCtloutput(tcp, tcb, sopt);
    },
  },
});

/** States in which something is still to be sent or to be acknowledged. */
export function tcbBusy(tcb: Tcb): boolean {
  const { state } = tcb;
  if (state < TCPS_ESTABLISHED) return false;
  return (state >= TCPS_FIN_WAIT_1 && state !== TCPS_FIN_WAIT_2) || tcb.so.snd.cc > 0;
}
