/**
 * Answers without a control block: resets (RFC 9293 §3.5.2), and bare segments for half-open connections and those in TIME-WAIT. Also the
 * limits on answers that a stranger can provoke: challenge ACKs (RFC 5961 §7) and resets.
 */
import type { TxPacket } from '../../../kern/packet.ts';
import { TX_CSUM } from '../../../kern/packet.ts';
import { isErrno } from '../../../kern/errno.ts';
import type { IpAddr } from '../../../wire/addr.ts';
import { put16 } from '../../../wire/bytes.ts';
import { pseudoSum } from '../../../wire/checksum.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import {
  TCP_HDR_LEN,
  TCP_SUM,
  TH_ACK,
  TH_FIN,
  TH_RST,
  TH_SYN,
  TCPOLEN_TSTAMP_APPA,
  putTcp,
  putTstamp,
} from '../../../wire/tcp.ts';
import type { Route } from '../contract.ts';
import type { Conn } from './conn.ts';
import type { Segment, TcpInst } from './inst.ts';
import type { Tcb } from './tcb.ts';

/** The way to a peer, or null: counted. */
export function bareRoute(tcp: TcpInst, faddr: IpAddr, fib: number): Route | null {
  const route = tcp.ip.route(faddr, fib);
  if (!isErrno(route)) return route;
  tcp.stats.snderror++;
  return null;
}

/** Sends a segment without data whose header of `hdrLen` bytes is written at `pkt.off`. */
export function bareSend(tcp: TcpInst, pkt: TxPacket, route: Route, laddr: IpAddr, faddr: IpAddr, hdrLen: number): void {
  put16(pkt.bytes, pkt.off + TCP_SUM, pseudoSum(laddr, faddr, IPPROTO_TCP, hdrLen));
  pkt.csumStart = pkt.off;
  pkt.csumOffset = TCP_SUM;
  pkt.flags |= TX_CSUM;
  tcp.stats.sndtotal++;
  if (tcp.ip.output(pkt, route, laddr, faddr, IPPROTO_TCP, tcp.how) !== null) tcp.stats.snderror++;
}

/** A bare segment of a connection that has no control block; with `ts` it carries a timestamp. */
export function sendBare(
  tcp: TcpInst,
  conn: Conn,
  fib: number,
  seq: number,
  ack: number,
  flags: number,
  win: number,
  ts: boolean,
  tsVal: number,
  tsEcr: number,
): void {
  const route = bareRoute(tcp, conn.faddr, fib);
  if (route === null) return;
  const pkt = route.ifp.txAlloc();
  if (pkt === null) {
    tcp.stats.sndnobufs++;
    return;
  }
  const hdrLen = TCP_HDR_LEN + (ts ? TCPOLEN_TSTAMP_APPA : 0);
  const o = pkt.prepend(hdrLen);
  putTcp(pkt.bytes, o, conn.lport, conn.fport, seq, ack, hdrLen, flags, win);
  if (ts) putTstamp(pkt.bytes, o + TCP_HDR_LEN, tsVal, tsEcr);
  bareSend(tcp, pkt, route, conn.laddr, conn.faddr, hdrLen);
}

/** Refuses a segment: RFC 9293 §3.5.2, groups 1 and 2. Never answers a reset, a group, or a source that cannot be (MUST-57). */
export function sendReset(tcp: TcpInst, seg: Segment): void {
  if ((seg.flags & TH_RST) !== 0 || seg.ip.group || tcp.ip.isGroup(seg.ip.src)) return;
  const { limits, config, stats } = tcp;
  if ((tcp.time.ms - limits.rstMs) >>> 0 >= 1000) {
    limits.rstMs = tcp.time.ms;
    limits.rstsLeft = config.rstLimit;
  }
  if (limits.rstsLeft <= 0) {
    stats.rstlimited++;
    return;
  }
  limits.rstsLeft--;
  const route = bareRoute(tcp, seg.ip.src, seg.pkt.ifp === null ? 0 : seg.pkt.ifp.fib());
  if (route === null) return;
  const pkt = route.ifp.txAlloc();
  if (pkt === null) {
    stats.sndnobufs++;
    return;
  }
  const o = pkt.prepend(TCP_HDR_LEN);
  const b = seg.bytes;
  const lport = ((b[seg.off + 2] as number) << 8) | (b[seg.off + 3] as number);
  const fport = ((b[seg.off] as number) << 8) | (b[seg.off + 1] as number);
  if ((seg.flags & TH_ACK) !== 0) {
    putTcp(pkt.bytes, o, lport, fport, seg.ack, 0, TCP_HDR_LEN, TH_RST, 0);
  } else {
    const ack = (seg.seq + seg.len + ((seg.flags & TH_SYN) !== 0 ? 1 : 0) + ((seg.flags & TH_FIN) !== 0 ? 1 : 0)) | 0;
    putTcp(pkt.bytes, o, lport, fport, 0, ack, TCP_HDR_LEN, TH_RST | TH_ACK, 0);
  }
  stats.sndrst++;
  bareSend(tcp, pkt, route, seg.ip.dst, seg.ip.src, TCP_HDR_LEN);
}

/** Time of a connection's own budget of challenge ACKs, in milliseconds (RFC 5961 §7). */
const CHALLENGE_WINDOW_MS = 5000;

/**
 * May an ACK be sent that only answers something odd? A connection has a budget of its own and nothing else, so that what is spent
 * on one says nothing about another (RFC 5961 §7 asks for a limit; CVE-2016-5696 is what a shared one tells). Records that are no
 * connection yet, or no more (null), share one.
 */
export function challengeAllowed(tcp: TcpInst, tcb: Tcb | null): boolean {
  const { config, limits, stats, time } = tcp;
  if (tcb !== null) {
    if (tcb.challenges === 0 || (time.ms - tcb.challengeMs) >>> 0 >= CHALLENGE_WINDOW_MS) {
      tcb.challengeMs = time.ms;
      tcb.challenges = 0;
    }
    if (tcb.challenges >= config.ackWarCnt) {
      stats.challengelimited++;
      return false;
    }
    tcb.challenges++;
    stats.challengeack++;
    return true;
  }
  if ((time.ms - limits.challengeMs) >>> 0 >= 1000) {
    // Drawn anew each second, from half to one and a half: a count that strangers can see must not tell (CVE-2016-5696).
    limits.challengeMs = time.ms;
    limits.challengesLeft = (config.challengeLimit >>> 1) + (tcp.kernel.random.u32() % config.challengeLimit) + 1;
  }
  if (limits.challengesLeft <= 0) {
    stats.challengelimited++;
    return false;
  }
  limits.challengesLeft--;
  stats.challengeack++;
  return true;
}
