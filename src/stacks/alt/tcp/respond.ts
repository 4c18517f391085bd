/**
 * Segments that belong to no flow: resets (RFC 9293 §3.10.7.1), acknowledgments from TIME-WAIT, SYN/ACKs with cookies. And what the
 * segments of flows have in common with them: the headers.
 */
import { PKT_BCAST, PKT_MCAST, type TxPacket } from '../../../kern/packet.ts';
import { put16, put32 } from '../../../wire/bytes.ts';
import { IPPROTO_TCP, IP_DF, IP_HDR_LEN, putIpv4 } from '../../../wire/ipv4.ts';
import {
  TCPOLEN_TSTAMP_APPA,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK_PERMITTED,
  TCPOPT_WSCALE,
  TCP_HDR_LEN,
  TCP_SUM,
  TH_ACK,
  TH_FIN,
  TH_RST,
  TH_SYN,
  putTcp,
  putTstamp,
} from '../../../wire/tcp.ts';
import type { Alt } from '../alt.ts';
import { pseudo4, putTxSum } from '../offload.ts';

/** Our window shift: windows of up to 8 MiB in steps of 128 bytes. */
export const RCV_WSCALE = 7;

/** Writes the options of a SYN in front of everything else in `pkt`. Answers their length. A shift below 0, no scale option. */
export function putSynOptions(
  pkt: TxPacket,
  mss: number,
  wscale: number,
  sack: boolean,
  ts: boolean,
  tsVal: number,
  tsEcr: number,
): number {
  const start = pkt.off;
  if (wscale >= 0) put32(pkt.bytes, pkt.prepend(4), (TCPOPT_NOP << 24) | (TCPOPT_WSCALE << 16) | (3 << 8) | wscale);
  if (ts) putTstamp(pkt.bytes, pkt.prepend(TCPOLEN_TSTAMP_APPA), tsVal, tsEcr);
  if (sack) put32(pkt.bytes, pkt.prepend(4), (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_SACK_PERMITTED << 8) | 2);
  const h = pkt.prepend(4);
  put16(pkt.bytes, h, (TCPOPT_MSS << 8) | 4);
  put16(pkt.bytes, h + 2, mss);
  return start - pkt.off;
}

/** A segment without payload; its options are in `pkt` already, `optLen` bytes. To whoever sent the packet at hand. */
function respond(
  s: Alt,
  pkt: TxPacket,
  ix: number,
  nexthop: number,
  seq: number,
  ack: number,
  flags: number,
  win: number,
  optLen: number,
): void {
  const { pkt: p, ct } = s;
  const nif = s.ifs[ix] ?? null;
  if (nif === null) return;
  const hdrLen = TCP_HDR_LEN + optLen;
  const th = pkt.prepend(TCP_HDR_LEN);
  putTcp(pkt.bytes, th, p.ports >>> 16, p.ports & 0xffff, seq, ack, hdrLen, flags, win);
  putTxSum(pkt, nif.txcsum, th, TCP_SUM, pseudo4(p.dst, p.src, IPPROTO_TCP, hdrLen));
  putIpv4(pkt.bytes, pkt.prepend(IP_HDR_LEN), IP_HDR_LEN + hdrLen, 0, IP_DF, 0, s.cfg.ttl, IPPROTO_TCP, p.dst, p.src);
  ct.tcp.sndtotal++;
  ct.tcp.sndctrl++;
  ct.ip.localout++;
  s.arp.output(nif, nexthop, false, pkt, 0);
}

/** A slot for an answer to the packet at hand; the way is left in `s.routes`. Null, counted: no route or no slot. */
function slotForReply(s: Alt): TxPacket | null {
  if (!s.routes.lookup(s.pkt.src)) {
    s.ct.ip.noroute++;
    return null;
  }
  const pkt = s.ifs[s.routes.ix]?.alloc() ?? null;
  if (pkt === null) s.ct.alt.txblocked++;
  return pkt;
}

/** Resets whoever sent the segment at hand (RFC 9293 §3.5.2), within a rate, and never for a reset or a group. */
export function respondReset(s: Alt): void {
  const { pkt: p, ct } = s;
  if ((p.th & TH_RST) !== 0 || (p.flags & (PKT_BCAST | PKT_MCAST)) !== 0 || p.group) return;
  if (!s.errLimit.take(s.time.ms, s.cfg.icmpLimit)) {
    ct.tcp.rstlimited++;
    return;
  }
  const pkt = slotForReply(s);
  if (pkt === null) return;
  const { ix, nexthop } = s.routes;
  if ((p.th & TH_ACK) !== 0) {
    respond(s, pkt, ix, nexthop, p.ack, 0, TH_RST, 0, 0);
  } else {
    const n = p.len + ((p.th & TH_SYN) !== 0 ? 1 : 0) + ((p.th & TH_FIN) !== 0 ? 1 : 0);
    respond(s, pkt, ix, nexthop, 0, (p.seq + n) | 0, TH_RST | TH_ACK, 0, 0);
  }
}

/** An acknowledgment for a connection that is no flow any more. */
export function respondAck(s: Alt, seq: number, ack: number, win: number, ts: boolean, tsVal: number, tsEcr: number): void {
  const pkt = slotForReply(s);
  if (pkt === null) return;
  if (ts) putTstamp(pkt.bytes, pkt.prepend(TCPOLEN_TSTAMP_APPA), tsVal, tsEcr);
  s.ct.tcp.sndacks++;
  respond(s, pkt, s.routes.ix, s.routes.nexthop, seq, ack, TH_ACK, win, ts ? TCPOLEN_TSTAMP_APPA : 0);
}

/** The SYN/ACK for the SYN at hand whose number is a cookie. */
export function respondSynAck(
  s: Alt,
  iss: number,
  mss: number,
  win: number,
  wscale: number,
  sack: boolean,
  ts: boolean,
  tsVal: number,
  tsEcr: number,
): void {
  const pkt = slotForReply(s);
  if (pkt === null) return;
  const { ix, nexthop } = s.routes;
  const optLen = putSynOptions(pkt, mss, wscale, sack, ts, tsVal, tsEcr);
  respond(s, pkt, ix, nexthop, iss, (s.pkt.seq + 1) | 0, TH_SYN | TH_ACK, win, optLen);
}
