/**
 * ICMP about a connection (RFC 9293 §3.9.2.2, RFC 1122 §4.2.3.9). RFC 5927: only a message that quotes something in flight is
 * believed; and an error ends a connection only while it is being opened.
 */
import type { Errno } from '../../../kern/errno.ts';
import { get16, get32 } from '../../../wire/bytes.ts';
import { isV4 } from '../../../wire/addr.ts';
import { seqGeq, seqLt } from '../../../wire/seq.ts';
import { ipLen } from '../../../wire/ipv4.ts';
import { TCP_DPORT, TCP_SEQ, TCP_SPORT } from '../../../wire/tcp.ts';
import type { CtlKind, IpIn } from '../contract.ts';
import { CONN_SYN, CONN_TIMEWAIT } from './conn.ts';
import type { TcpInst } from './inst.ts';
import { mssUpdate } from './mss.ts';
import { TCPS_ESTABLISHED, TCPS_SYN_SENT } from './states.ts';
import type { SynConn } from './syncache.ts';
import type { Tcb } from './tcb.ts';
import { tcpFail } from './teardown.ts';

/** Steps down when a router does not say its MTU (RFC 1191 §7). */
const PLATEAUS = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 576] as const;
/** The least that a router can ask for (RFC 1191 §3). What is too narrow to be believed is the route's to say (net.inet.ip.pmtu_min). */
const MIN_PMTU = 68;

const SOFT: Readonly<Record<CtlKind, Errno | null>> = {
  'unreach-net': 'ENETUNREACH',
  'unreach-host': 'EHOSTUNREACH',
  'unreach-protocol': 'ECONNREFUSED',
  'unreach-port': 'ECONNREFUSED',
  timxceed: 'EHOSTUNREACH',
  paramprob: 'ENOPROTOOPT',
  needfrag: null,
  quench: null,
};

export function tcpCtlinput(
  tcp: TcpInst,
  kind: CtlKind,
  quoted: IpIn,
  bytes: Uint8Array,
  off: number,
  end: number,
  mtu: number,
): void {
  const { stats } = tcp;
  // RFC 6633, MUST-55.
  if (kind === 'quench') {
    stats.quenchignored++;
    return;
  }
  if (end - off < 8) return;
  const conn = tcp.conns.find(quoted.src, quoted.dst, get16(bytes, off + TCP_SPORT), get16(bytes, off + TCP_DPORT));
  if (conn === null || conn.kind === CONN_TIMEWAIT) {
    stats.icmpnoconn++;
    return;
  }
  const seq = get32(bytes, off + TCP_SEQ);
  if (conn.kind === CONN_SYN) {
    embryo(tcp, conn as SynConn, kind, seq);
    return;
  }
  const tcb = conn as Tcb;
  // RFC 5927 §4.1
  if (!seqGeq(seq, tcb.sndUna) || !seqLt(seq, tcb.sndMax)) {
    stats.icmpbadseq++;
    return;
  }
  stats.icmptaken++;
  if (kind === 'needfrag') {
    if (tcp.config.pathMtuDiscovery) lowerMtu(tcp, tcb, mtu, ipLen(bytes, quoted.hdrOff));
    return;
  }
  const err = SOFT[kind];
  if (err === null) return;
  if (tcb.state === TCPS_SYN_SENT && (kind === 'unreach-port' || kind === 'unreach-protocol')) {
    tcpFail(tcb, err);
    return;
  }
  // MUST-56: others say only why it may take long.
  tcb.softError = err;
}

/** The way back to who wants to connect is closed: what is half open is not worth keeping after a few such messages. */
function embryo(tcp: TcpInst, sc: SynConn, kind: CtlKind, seq: number): void {
  if (seq !== sc.iss) {
    tcp.stats.icmpbadseq++;
    return;
  }
  tcp.stats.icmptaken++;
  if (kind === 'needfrag' || sc.rexmts < 2) return;
  tcp.stats.sc_unreach++;
  tcp.syncache.drop(sc);
}

/** RFC 1191 §6: smaller segments from now on; what is in flight goes again in the new size. `len` is that of the packet that did not fit. */
function lowerMtu(tcp: TcpInst, tcb: Tcb, told: number, len: number): void {
  const { route } = tcb;
  if (route === null) return;
  const least = isV4(tcb.faddr) ? MIN_PMTU : 1280;
  let mtu = told;
  if (mtu > 0 && mtu < least) {
    // No link has it: a fake.
    tcp.stats.icmpbadmtu++;
    return;
  }
  // Of a window that was dropped each packet comes back: those that are longer than is sent now were answered (RFC 1191 §5).
  if (mtu === 0 && len > route.mtu) return;
  if (mtu === 0) mtu = PLATEAUS.find((p) => p < route.mtu) ?? MIN_PMTU;
  // Not a lowering for us: another connection's message did it, or it is a fake. Below the smallest that is believed the route keeps
  // that one, and gives up DF: the router that wants less cuts (RFC 1191 §6.5).
  if (mtu < route.mtu) route.mtu = mtu;
  if (tcb.mtu <= route.mtu || tcb.state < TCPS_ESTABLISHED) return;
  mssUpdate(tcb, route);
  tcp.stats.mturesent++;
  tcb.recovery.resend(tcb);
}
