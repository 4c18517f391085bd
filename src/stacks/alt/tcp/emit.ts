/**
 * One segment of a flow, from the TCP header to the Ethernet frame in one go. Payload is copied into the slot where it fits, and
 * referred to where it does not: a super-frame is headers and slices of `so.snd`, which the link cuts (TX_TSO4).
 */
import { sorcvspace } from '../../../kern/socket/upcalls.ts';
import { TX_CSUM, TX_TSO4 } from '../../../kern/packet.ts';
import { put32 } from '../../../wire/bytes.ts';
import { IPPROTO_TCP, IP_DF, IP_HDR_LEN, putIpv4 } from '../../../wire/ipv4.ts';
import {
  TCPOLEN_TSTAMP_APPA,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCP_HDR_LEN,
  TCP_MAX_SACK,
  TCP_SUM,
  TH_ACK,
  TH_FIN,
  TH_RST,
  TH_SYN,
  putTcp,
  putTstamp,
} from '../../../wire/tcp.ts';
import type { TxPacket } from '../../../kern/packet.ts';
import type { Alt } from '../alt.ts';
import {
  DELACK_AT, FADDR, FLAGS, F_ACKNOW, F_CUT, F_SACK, F_TS, F_VIA, F_WSCALE, HEAD, LADDR, LAST_ACK, MAXSEG, MSS, NEIGHBOUR,
  NEXTHOP, PMTU, PORTS, RANGES, RCV_ADV, RCV_NXT, ROUTE, ROUTE_GEN_MASK, ROUTE_IX_BITS, ROW_SHIFT, SCALE, SND_MAX, SND_UNA,
  SND_WND, STATE, TS_ESTABLISHED, TS_OFF, TS_RECENT, TS_SYN_RCVD, TS_SYN_SENT, TTL_TOS, field, setField
} from '../flows.ts'; // prettier-ignore
import { MAX_NETIFS, type NetIf } from '../netif.ts';
import { pseudo4, putTxSum } from '../offload.ts';
import { NEWEST, RANGE_WORDS, RCVD } from '../ranges.ts';
import { at } from '../slab.ts';
import { fitMtu } from './plpmtud.ts';
import { RCV_WSCALE, putSynOptions } from './respond.ts';

/** The flow's interface, found again when the routes have changed. Null without a route. */
export function flowNetif(s: Alt, i: number): NetIf | null {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const { routes } = s;
  const gen = routes.gen & ROUTE_GEN_MASK;
  if (at(w, o + ROUTE) >>> ROUTE_IX_BITS !== gen) {
    if (!routes.lookup(at(w, o + FADDR))) {
      s.ct.ip.noroute++;
      return null;
    }
    w[o + ROUTE] = (gen << ROUTE_IX_BITS) | routes.ix;
    const via = routes.nexthop !== at(w, o + FADDR);
    if (via) s.flows.setSide(o, NEXTHOP, routes.nexthop);
    w[o + FLAGS] = via ? at(w, o + FLAGS) | F_VIA : at(w, o + FLAGS) & ~F_VIA;
    setField(w, o, NEIGHBOUR, 0);
    const found = s.ifs[routes.ix] ?? null;
    if (found !== null) fitMtu(s, i, found.mtu);
  }
  return s.ifs[at(w, o + ROUTE) & (MAX_NETIFS - 1)] ?? null;
}

/** Largest packet of the flow's path, bytes. */
export function flowMtu(s: Alt, i: number, nif: NetIf): number {
  const pmtu = s.flows.side(i << ROW_SHIFT, PMTU);
  return pmtu !== 0 && pmtu < nif.mtu ? pmtu : nif.mtu;
}

/** The MSS that we offer: what the interface takes, or less if the user says so (RFC 9293 §3.7.1). */
function offeredMss(s: Alt, i: number, nif: NetIf): number {
  const mss = nif.mtu - IP_HDR_LEN - TCP_HDR_LEN;
  const user = s.flows.side(i << ROW_SHIFT, MAXSEG);
  return user !== 0 && user < mss ? user : mss;
}

/**
 * The window field of the next segment. Never takes back what was offered, and is 0 below a useful size (RFC 9293 §3.8.6.2.2).
 */
function window(s: Alt, i: number, syn: boolean): number {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const so = socketOf[i] ?? (at(w, o + STATE) === TS_SYN_RCVD ? socketOf[at(w, o + HEAD)] : null) ?? null;
  const rcvNxt = at(w, o + RCV_NXT);
  let space = so === null ? 0 : sorcvspace(so);
  if (so !== null && space < so.rcv.hiwat >> 2 && space < field(w, o, MSS)) space = 0;
  const left = (at(w, o + RCV_ADV) - rcvNxt) | 0;
  if (syn) {
    const win = space < 65535 ? space : 65535;
    w[o + RCV_ADV] = (rcvNxt + win) | 0;
    return win;
  }
  if (space < left) space = left;
  const shift = (at(w, o + FLAGS) & F_WSCALE) !== 0 ? field(w, o, SCALE) >>> 4 : 0;
  let win = space >> shift;
  if (win > 65535) win = 65535;
  const edge = (rcvNxt + (win << shift)) | 0;
  if (((edge - at(w, o + RCV_ADV)) | 0) > 0) w[o + RCV_ADV] = edge;
  return win;
}

/** Blocks of a SACK option (RFC 2018 §4): first the one with the newest data, then the others. Answers the option's length. */
function putSack(s: Alt, i: number, pkt: TxPacket, max: number): number {
  const r = (at(s.flows.w, (i << ROW_SHIFT) + RANGES) - 1) * RANGE_WORDS;
  const { w } = s.ranges;
  const n = at(w, r + RCVD);
  if (n === 0) return 0;
  const blocks = n < max ? n : max;
  const len = 4 + 8 * blocks;
  const b = pkt.bytes;
  const h = pkt.prepend(len);
  put32(b, h, (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_SACK << 8) | (2 + 8 * blocks));
  const newest = at(w, r + NEWEST);
  let first = 0;
  for (let k = 0; k < n; k++) if (((at(w, r + RCVD + 1 + 2 * k) - newest) | 0) <= 0) first = k;
  for (let k = 0, from = first; k < blocks; k++) {
    const pair = r + RCVD + 1 + 2 * from;
    put32(b, h + 4 + 8 * k, at(w, pair));
    put32(b, h + 8 + 8 * k, at(w, pair + 1));
    from = from === 0 ? n - 1 : from - 1;
  }
  s.ct.tcp.sack_send_blocks++;
  return len;
}

/**
 * Sends [seq, seq + len) of the flow with these flags, or with `len` 0 none of it. The caller moves `SND_NXT`. False: no route or no
 * slot; nothing was sent.
 */
export function emit(s: Alt, i: number, seq: number, len: number, flags: number): boolean {
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const { ct } = s;
  const nif = flowNetif(s, i);
  if (nif === null) return false;
  const pkt = nif.alloc();
  if (pkt === null) {
    ct.alt.txblocked++;
    return false;
  }
  const fl = at(w, o + FLAGS);
  const b = pkt.bytes;
  let optLen = 0;
  const tsVal = (s.time.ms + at(w, o + TS_OFF)) | 0;
  if ((flags & TH_SYN) !== 0) {
    // A SYN offers what we have; a SYN/ACK what the peer's SYN had.
    const offer = (flags & TH_ACK) === 0;
    const ts = offer ? s.cfg.rfc1323 : (fl & F_TS) !== 0;
    const wscale = (offer ? s.cfg.rfc1323 : (fl & F_WSCALE) !== 0) ? RCV_WSCALE : -1;
    optLen = putSynOptions(
      pkt,
      offeredMss(s, i, nif),
      wscale,
      offer ? s.cfg.sack : (fl & F_SACK) !== 0,
      ts,
      tsVal,
      at(w, o + TS_RECENT),
    );
  } else {
    if (len > 0) {
      const so = socketOf[i] ?? null;
      if (so === null) {
        nif.free(pkt);
        return false;
      }
      const from = (seq - at(w, o + SND_UNA)) | 0;
      if (len <= pkt.room()) so.snd.copyOut(from, len, b, pkt.append(len));
      else so.snd.addFrags(from, len, pkt);
    } else if ((fl & F_SACK) !== 0 && at(w, o + RANGES) !== 0 && (flags & TH_RST) === 0) {
      optLen = putSack(s, i, pkt, (fl & F_TS) !== 0 ? TCP_MAX_SACK - 1 : TCP_MAX_SACK);
    }
    if ((fl & F_TS) !== 0) {
      putTstamp(b, pkt.prepend(TCPOLEN_TSTAMP_APPA), tsVal, at(w, o + TS_RECENT));
      optLen += TCPOLEN_TSTAMP_APPA;
    }
  }
  const hdrLen = TCP_HDR_LEN + optLen;
  const th = pkt.prepend(TCP_HDR_LEN);
  const laddr = at(w, o + LADDR);
  const faddr = at(w, o + FADDR);
  const ports = at(w, o + PORTS);
  const win = (flags & TH_RST) !== 0 ? 0 : window(s, i, (flags & TH_SYN) !== 0);
  const ack = (flags & TH_ACK) !== 0 ? at(w, o + RCV_NXT) : 0;
  putTcp(b, th, ports >>> 16, ports & 0xffff, seq, ack, hdrLen, flags, win);
  putTxSum(pkt, nif.txcsum, th, TCP_SUM, pseudo4(laddr, faddr, IPPROTO_TCP, hdrLen + len));
  const mss = field(w, o, MSS);
  if (len > mss) {
    pkt.flags |= TX_TSO4 | TX_CSUM;
    pkt.gsoSize = mss;
  }
  const opts = s.flows.side(o, TTL_TOS);
  const ttl = (opts & 0xff) === 0 ? s.cfg.ttl : opts & 0xff;
  const cut = (fl & F_CUT) !== 0;
  const id = cut ? (s.ipId = (s.ipId + 1) & 0xffff) : 0;
  const off = cut ? 0 : IP_DF;
  putIpv4(b, pkt.prepend(IP_HDR_LEN), IP_HDR_LEN + hdrLen + len, id, off, (opts >>> 8) & 0xff, ttl, IPPROTO_TCP, laddr, faddr);
  count(s, len, flags, seq, at(w, o + SND_MAX));
  if ((flags & TH_ACK) !== 0) {
    w[o + LAST_ACK] = at(w, o + RCV_NXT);
    w[o + FLAGS] = at(w, o + FLAGS) & ~F_ACKNOW;
    w[o + DELACK_AT] = 0;
  }
  setField(
    w,
    o,
    NEIGHBOUR,
    s.arp.output(nif, (fl & F_VIA) === 0 ? faddr : s.flows.side(o, NEXTHOP), false, pkt, field(w, o, NEIGHBOUR)),
  );
  return true;
}

function count(s: Alt, len: number, flags: number, seq: number, sndMax: number): void {
  const { ct } = s;
  ct.ip.localout++;
  ct.tcp.sndtotal++;
  if (len > 0) {
    if (((seq - sndMax) | 0) < 0) {
      ct.tcp.sndrexmitpack++;
      ct.tcp.sndrexmitbyte += len;
    } else {
      ct.tcp.sndpack++;
      ct.tcp.sndbyte += len;
    }
  } else if ((flags & (TH_SYN | TH_FIN | TH_RST)) !== 0) ct.tcp.sndctrl++;
  else ct.tcp.sndacks++;
}

/** The number of a segment without text: behind all that was sent, but in the peer's window, or the peer takes nothing from it. */
function emptySeq(s: Alt, i: number): number {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const max = at(w, o + SND_MAX);
  const edge = (at(w, o + SND_UNA) + at(w, o + SND_WND)) | 0;
  return at(w, o + STATE) >= TS_ESTABLISHED && ((edge - max) | 0) < 0 ? edge : max;
}

/** An acknowledgment, at once. */
export function emitAck(s: Alt, i: number): boolean {
  return emit(s, i, emptySeq(s, i), 0, TH_ACK);
}

/** A reset that the peer takes: at its own idea of what comes next. */
export function emitReset(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  if (state === TS_SYN_SENT) return;
  emit(s, i, emptySeq(s, i), 0, TH_RST | TH_ACK);
}
