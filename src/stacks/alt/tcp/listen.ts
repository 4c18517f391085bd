/**
 * Passive opens (RFC 9293 §3.10.7.2, RFC 4987). A SYN takes a row of the slab, without a socket; while there are too many of those, or no
 * row, the answer is a cookie and nothing is kept. The socket comes with the acknowledgment that completes the handshake.
 */
import { SO_KEEPALIVE } from '../../../kern/socket/soconst.ts';
import { soisconnected, solistenfull, sonewconn } from '../../../kern/socket/upcalls.ts';
import { TCP_HDR_LEN, TCP_MSS_DEFAULT_V4, TCPOLEN_TSTAMP_APPA, TH_ACK, TH_FIN, TH_RST, TH_SYN } from '../../../wire/tcp.ts';
import { IP_HDR_LEN } from '../../../wire/ipv4.ts';
import type { Alt } from '../alt.ts';
import {
  FADDR, FLAGS, F_HASHED, F_MINTTL, F_NEEDFIN, F_NEWRENO, F_NODELAY, F_NOPUSH, F_PASSIVE, F_RCVFIXED, F_SACK, F_SNDFIXED, F_TS, F_WSCALE,
  HEAD, IRS, ISS, KEEP_CNT, KEEP_IDLE, KEEP_INTVL, LADDR, LAST_ACK, LIFE_AT, MAXSEG, MAX_WND, MSS, PORTS, RCV_ADV, RCV_MSS,
  RCV_NXT, RCV_TIME, REXMT_AT, ROW_SHIFT, RXT_SHIFT, SCALE, SND_CWND, SND_MAX, SND_NXT, SND_SML, SND_SSTHRESH, SND_UNA,
  SND_WL1, SND_WND, STATE, TS_ESTABLISHED, TS_FIN_WAIT_1, TS_FREE, TS_LISTEN, TS_OFF, TS_RECENT, TS_SYN_RCVD, TTL_TOS,
  USER_TIMEOUT, field, setField
} from '../flows.ts'; // prettier-ignore
import type { NetIf } from '../netif.ts';
import { at } from '../slab.ts';
import { endFlow } from './close.ts';
import { checkCookie, cookieTs, cookieTsSack, cookieTsWscale, initialSeq, makeCookie, tsOffset } from './isn.ts';
import { RCV_WSCALE, respondReset, respondSynAck } from './respond.ts';
import { initialWindow } from './rtt.ts';
import { setState } from './state.ts';
import { armKeepalive } from './timer.ts';

/** Smallest MSS that we send with, whatever the peer offers: a tiny one is an attack on our processor. */
const MIN_MSS = 216;
/** Initial slow start threshold: none. */
const SSTHRESH_INITIAL = 1 << 30;

/** A segment for listener `li` that belongs to no flow. Answers the flow that it has just completed, to go on with, or -1. */
export function listenInput(s: Alt, nif: NetIf, li: number): number {
  const { pkt: p, ct } = s;
  if ((p.th & TH_RST) !== 0) {
    ct.tcp.badrst++;
    return -1;
  }
  if ((p.th & TH_ACK) !== 0) {
    return (p.th & TH_SYN) === 0 ? cookieAck(s, nif, li) : refuse(s);
  }
  // A SYN with FIN is no way to begin.
  if ((p.th & TH_SYN) === 0 || (p.th & TH_FIN) !== 0) {
    ct.tcp.badsyn++;
    return -1;
  }
  const head = s.flows.socketOf[li] ?? null;
  if (head === null || solistenfull(head)) {
    ct.tcp.listendrop++;
    return -1;
  }
  const i = s.flows.embryonic < s.cfg.embryonic ? s.flows.alloc() : -1;
  if (i < 0) {
    sendCookie(s, nif, head.rcv.hiwat);
    return -1;
  }
  s.flows.embryonic++;
  ct.tcp.sc_added++;
  const { opt } = s;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  fillFlow(s, i, nif, initialSeq(s, p.dst, p.src, p.ports), p.seq, opt.mss);
  setState(s, i, TS_SYN_RCVD);
  w[o + HEAD] = li;
  w[o + SND_WND] = p.win;
  inherit(s, i, li);
  agree(s, i, opt.hasTs, opt.sackPermitted, opt.wscale);
  s.mark(i);
  return -1;
}

function refuse(s: Alt): number {
  s.ct.tcp.closedport++;
  respondReset(s);
  return -1;
}

/** The fields that every new connection has, from the packet at hand. */
export function fillFlow(s: Alt, i: number, nif: NetIf, iss: number, irs: number, peerMss: number): void {
  const { pkt: p, flows, time } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  w[o + LADDR] = p.dst;
  w[o + FADDR] = p.src;
  w[o + PORTS] = p.ports;
  w[o + FLAGS] = F_PASSIVE;
  w[o + RCV_TIME] = time.ms;
  hashFlow(s, i);
  begin(s, i, iss);
  setPeer(s, i, irs, peerMss, nif.mtu);
}

/** Enters the flow in the demultiplexer. */
export function hashFlow(s: Alt, i: number): void {
  const { w, portUse } = s.flows;
  const o = i << ROW_SHIFT;
  const ports = at(w, o + PORTS);
  s.demux.set(at(w, o + LADDR), at(w, o + FADDR), ports, i);
  portUse[ports >>> 16] = at(portUse, ports >>> 16) + 1;
  w[o + FLAGS] = at(w, o + FLAGS) | F_HASHED;
}

/** Our side of a connection, before anything was sent. */
export function begin(s: Alt, i: number, iss: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  w[o + ISS] = w[o + SND_UNA] = w[o + SND_NXT] = w[o + SND_MAX] = iss;
  w[o + SND_SML] = iss;
  w[o + SND_SSTHRESH] = SSTHRESH_INITIAL;
  setField(w, o, RCV_MSS, TCP_MSS_DEFAULT_V4);
  w[o + TS_OFF] = tsOffset(s, at(w, o + LADDR), at(w, o + FADDR), at(w, o + PORTS));
}

/** The peer's side, from its SYN. RFC 9293 §3.7.1: without an MSS option it is 536. */
export function setPeer(s: Alt, i: number, irs: number, peerMss: number, mtu: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  w[o + IRS] = irs;
  w[o + RCV_NXT] = w[o + RCV_ADV] = w[o + LAST_ACK] = (irs + 1) | 0;
  let mss = Math.max(peerMss === 0 ? TCP_MSS_DEFAULT_V4 : peerMss, MIN_MSS);
  mss = Math.min(mss, mtu - IP_HDR_LEN - TCP_HDR_LEN);
  const user = s.flows.side(o, MAXSEG);
  setField(w, o, MSS, user !== 0 && user < mss ? user : mss);
}

/** What both sides want (RFC 7323, RFC 2018). `wscale` below 0: the peer has no window scaling. */
export function agree(s: Alt, i: number, ts: boolean, sack: boolean, wscale: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  let flags = at(w, o + FLAGS);
  if (ts && s.cfg.rfc1323) {
    flags |= F_TS;
    w[o + TS_RECENT] = s.opt.tsVal;
    // RFC 9293 §3.7.1: the options that every segment has are taken off.
    setField(w, o, MSS, field(w, o, MSS) - TCPOLEN_TSTAMP_APPA);
  }
  if (sack && s.cfg.sack) flags |= F_SACK;
  if (wscale >= 0 && s.cfg.rfc1323) {
    flags |= F_WSCALE;
    setField(w, o, SCALE, wscale | (RCV_WSCALE << 4));
  }
  w[o + FLAGS] = flags;
  w[o + SND_CWND] = initialWindow(field(w, o, MSS));
}

/** A connection has its listener's options. */
function inherit(s: Alt, i: number, li: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const h = li << ROW_SHIFT;
  w[o + FLAGS] = at(w, o + FLAGS) | (at(w, h + FLAGS) & (F_NODELAY | F_NOPUSH | F_RCVFIXED | F_SNDFIXED | F_NEWRENO | F_MINTTL));
  s.flows.setSide(o, KEEP_IDLE, s.flows.side(h, KEEP_IDLE));
  s.flows.setSide(o, KEEP_INTVL, s.flows.side(h, KEEP_INTVL));
  s.flows.setSide(o, KEEP_CNT, s.flows.side(h, KEEP_CNT));
  s.flows.setSide(o, TTL_TOS, s.flows.side(h, TTL_TOS));
  s.flows.setSide(o, USER_TIMEOUT, s.flows.side(h, USER_TIMEOUT));
  const user = s.flows.side(h, MAXSEG);
  s.flows.setSide(o, MAXSEG, user);
  if (user !== 0 && user < field(w, o, MSS)) setField(w, o, MSS, user);
}

function sendCookie(s: Alt, nif: NetIf, space: number): void {
  const { pkt: p, opt, ct, cfg } = s;
  ct.tcp.sc_sendcookie++;
  const mss = Math.min(opt.mss === 0 ? TCP_MSS_DEFAULT_V4 : opt.mss, nif.mtu - IP_HDR_LEN - TCP_HDR_LEN);
  const iss = makeCookie(s, p.dst, p.src, p.ports, p.seq, mss);
  // Without timestamps there is no room to remember the other options, so they are not offered.
  const ts = opt.hasTs && cfg.rfc1323;
  const wscale = ts ? opt.wscale : -1;
  const sack = ts && opt.sackPermitted && cfg.sack;
  const tsVal = ts ? (cookieTs(s.time.ms, wscale, sack) + tsOffset(s, p.dst, p.src, p.ports)) | 0 : 0;
  respondSynAck(
    s,
    iss,
    nif.mtu - IP_HDR_LEN - TCP_HDR_LEN,
    Math.min(space, 65535),
    wscale >= 0 ? RCV_WSCALE : -1,
    sack,
    ts,
    tsVal,
    opt.tsVal,
  );
}

/** An acknowledgment for no flow: of a cookie? Answers the flow that it makes, or -1. */
function cookieAck(s: Alt, nif: NetIf, li: number): number {
  const { pkt: p, opt, ct } = s;
  const irs = (p.seq - 1) | 0;
  const iss = (p.ack - 1) | 0;
  const mss = checkCookie(s, p.dst, p.src, p.ports, irs, iss);
  if (mss === 0) {
    ct.tcp.sc_badcookie++;
    return refuse(s);
  }
  const i = s.flows.alloc();
  if (i < 0) {
    ct.alt.noflow++;
    return -1;
  }
  ct.tcp.sc_recvcookie++;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  fillFlow(s, i, nif, iss, irs, mss);
  s.flows.embryonic++;
  setState(s, i, TS_SYN_RCVD);
  const { hasTs, tsEcr } = opt;
  const said = (tsEcr - at(w, o + TS_OFF)) | 0;
  inherit(s, i, li);
  agree(s, i, hasTs, hasTs && cookieTsSack(said), hasTs ? cookieTsWscale(said) : -1);
  w[o + SND_UNA] = w[o + SND_NXT] = w[o + SND_MAX] = p.ack;
  w[o + SND_SML] = p.ack;
  w[o + RCV_ADV] = (p.seq + Math.min(s.flows.socketOf[li]?.rcv.hiwat ?? 0, 65535)) | 0;
  w[o + SND_WND] = p.win << (field(w, o, SCALE) & 15);
  setField(w, o, MAX_WND, p.win);
  w[o + SND_WL1] = p.seq;
  w[o + HEAD] = li;
  if (established(s, i, li)) return i;
  endFlow(s, i, null);
  return -1;
}

/**
 * The handshake is complete. `li`: the listener whose connection it is, -1 for one of our own. False: there is no socket for it.
 * The user is told, and may have ended the flow when this returns.
 */
export function established(s: Alt, i: number, li: number): boolean {
  const { flows, ct } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  if (li >= 0) {
    const head = flows.socketOf[li] ?? null;
    if (head === null || at(w, (li << ROW_SHIFT) + STATE) !== TS_LISTEN) {
      endFlow(s, i, null);
      respondReset(s);
      return false;
    }
    s.adopt = i;
    const so = sonewconn(head);
    s.adopt = -1;
    if (so === null) {
      ct.tcp.listendrop++;
      return false;
    }
    flows.embryonic--;
    ct.tcp.accepts++;
  }
  ct.tcp.connects++;
  setState(s, i, TS_ESTABLISHED);
  // Before, this word was HEAD.
  w[o + SND_SML] = at(w, o + SND_UNA);
  w[o + REXMT_AT] = 0;
  w[o + LIFE_AT] = 0;
  if (field(w, o, RXT_SHIFT) > 0) {
    // RFC 5681 §3.1: a lost SYN is a sign of congestion.
    w[o + SND_CWND] = field(w, o, MSS);
    setField(w, o, RXT_SHIFT, 0);
  }
  const win = at(w, o + SND_WND) >> (field(w, o, SCALE) & 15);
  if (win > field(w, o, MAX_WND)) setField(w, o, MAX_WND, win);
  const so = flows.socketOf[i] ?? null;
  if (so === null) return false;
  if ((so.options & SO_KEEPALIVE) !== 0 || s.cfg.alwaysKeepalive) armKeepalive(s, i);
  if ((at(w, o + FLAGS) & F_NEEDFIN) !== 0) {
    setState(s, i, TS_FIN_WAIT_1);
    s.mark(i);
  }
  soisconnected(so);
  return at(w, o + STATE) !== TS_FREE;
}
