/**
 * TCP input (RFC 9293 §3.10.7): one pass from the demultiplexer to what the segment does; the reply leaves at the end of the batch. The
 * order is the RFC's: sequence number, RST, SYN, ACK, text, FIN, with the checks of RFC 5961 and RFC 7323.
 */
import { PKT_CSUM_OK } from '../../../kern/packet.ts';
import { get16, get32, get8 } from '../../../wire/bytes.ts';
import { sum16 } from '../../../wire/checksum.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import {
  TCP_ACK, TCP_DPORT, TCP_FLAGS, TCP_HDR_LEN, TCP_OFF, TCP_SEQ, TCP_SPORT, TCP_WIN, TH_ACK, TH_FIN, TH_RST, TH_SYN, parseTcpOptions,
} from '../../../wire/tcp.ts'; // prettier-ignore
import type { Alt } from '../alt.ts';
import {
  CHALLENGED, FIN_SEQ, FLAGS, F_ACKNOW, F_DETACHED, F_FIN, F_TS, HEAD, IRS, LAST_ACK, MAX_WND, RCV_ADV, RCV_NXT, RCV_TIME,
  ROW_SHIFT, RXT_SHIFT, SCALE, SND_MAX, SND_UNA, SND_WL1, SND_WND, SRTT, STATE, TS_FREE, TS_RECENT, TS_SYN_RCVD, TS_SYN_SENT,
  TTL_TOS, field
} from '../flows.ts'; // prettier-ignore
import { MINTTL_SHIFT } from '../ipopt.ts';
import type { NetIf } from '../netif.ts';
import { pseudo4 } from '../offload.ts';
import { at } from '../slab.ts';
import { processAck } from './ack.ts';
import { abortFlow, endFlow } from './close.ts';
import { takeData, takeFin } from './data.ts';
import { emitAck } from './emit.ts';
import { established, listenInput } from './listen.ts';
import { respondReset } from './respond.ts';
import { rttSample } from './rtt.ts';
import { synSentInput } from './synsent.ts';
import { timewaitInput } from './twinput.ts';

/** Shortest time between two challenge ACKs of one flow (RFC 5961 §7; per flow, so that no other flow can see it). */
const CHALLENGE_MS = 100;
/** RFC 7323 §5.5: a timestamp older than this is no reason to drop. */
const PAWS_IDLE_MS = 24 * 24 * 3600 * 1000;

/** The packet at hand is TCP. */
export function tcpInput(s: Alt, nif: NetIf): void {
  const { pkt: p, ct, flows } = s;
  const b = p.bytes;
  const o = p.off;
  const len = p.end - o;
  ct.tcp.rcvtotal++;
  if (len < TCP_HDR_LEN) {
    ct.tcp.rcvshort++;
    return;
  }
  const hdrLen = (get8(b, o + TCP_OFF) >>> 4) << 2;
  if (hdrLen < TCP_HDR_LEN || hdrLen > len) {
    ct.tcp.rcvbadoff++;
    return;
  }
  if ((p.flags & PKT_CSUM_OK) === 0 && sum16(b, o, len, pseudo4(p.src, p.dst, IPPROTO_TCP, len)) !== 0xffff) {
    ct.tcp.rcvbadsum++;
    return;
  }
  // RFC 9293 MUST-57: no connection with a group.
  if (p.group) {
    ct.tcp.rcvbadaddr++;
    return;
  }
  p.ports = (get16(b, o + TCP_DPORT) << 16) | get16(b, o + TCP_SPORT);
  p.seq = get32(b, o + TCP_SEQ);
  p.ack = get32(b, o + TCP_ACK);
  p.th = get8(b, o + TCP_FLAGS);
  p.win = get16(b, o + TCP_WIN);
  p.data = o + hdrLen;
  p.len = len - hdrLen;
  parseTcpOptions(b, o + TCP_HDR_LEN, o + hdrLen, s.opt);
  const id = s.demux.find(p.dst, p.src, p.ports);
  if (id >= 0) {
    if (id < s.cfg.flows) {
      if (at(flows.w, (id << ROW_SHIFT) + FLAGS) < 0 && tooFar(s, id)) return;
      flowInput(s, id);
      return;
    }
    if (!timewaitInput(s, id - s.cfg.flows)) return;
  }
  const listener = flows.listener(p.dst, p.ports >>> 16);
  if (listener >= 0) {
    if (tooFar(s, listener)) return;
    const i = listenInput(s, nif, listener);
    if (i >= 0) flowInput(s, i);
    return;
  }
  ct.tcp.closedport++;
  respondReset(s);
}

/** It came further than the socket allows (RFC 5082 §3). Not even an answer: its sender may be anybody. */
function tooFar(s: Alt, i: number): boolean {
  if (s.pkt.ttl >= ((s.flows.side(i << ROW_SHIFT, TTL_TOS) >>> MINTTL_SHIFT) & 0xff)) return false;
  s.ct.tcp.minttl++;
  return true;
}

function flowInput(s: Alt, i: number): void {
  const { pkt: p, ct, opt } = s;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const state = at(w, o + STATE);
  if (state === TS_SYN_SENT) {
    w[o + RCV_TIME] = s.time.ms;
    synSentInput(s, i);
    return;
  }
  const rcvNxt = at(w, o + RCV_NXT);
  // Below 0 behind a FIN that came at a closed window.
  const wnd = Math.max(0, (at(w, o + RCV_ADV) - rcvNxt) | 0);
  const { th } = p;
  if ((th & (TH_RST | TH_SYN)) !== 0) {
    const crossed = state === TS_SYN_RCVD && (th & (TH_RST | TH_SYN | TH_ACK)) === (TH_SYN | TH_ACK) && p.seq === at(w, o + IRS);
    if (!crossed) {
      resetOrSyn(s, i, state, rcvNxt, wnd);
      return;
    }
    // Simultaneous open: the SYN we have, its acknowledgment is news. The window of a SYN is not scaled.
    p.seq = rcvNxt;
    p.win >>= field(w, o, SCALE) & 15;
  }
  const tracked = (at(w, o + FLAGS) & F_TS) !== 0;
  if (tracked && !timestampOk(s, i)) return;
  const quiet = (s.time.ms - at(w, o + RCV_TIME)) | 0;
  w[o + RCV_TIME] = s.time.ms;

  // Cut the text to the window (RFC 9293 §3.10.7.4, first check).
  let { seq, len, data } = p;
  let fin = (th & TH_FIN) !== 0;
  const owed = at(w, o + FLAGS) & F_ACKNOW;
  let cut = false;
  const early = (rcvNxt - seq) | 0;
  if (early > 0) {
    if (early > len || (early === len && !fin)) {
      // Nothing new in it: a duplicate, or a probe for our life. It is acknowledged, and its own acknowledgment counts.
      if (len > 0 || fin || early === 1) {
        ct.tcp.rcvduppack++;
        ct.tcp.rcvdupbyte += len;
        owe(s, i);
      } else {
        challenge(s, i);
      }
      // RFC 9293 §3.10.7.4: what is not acceptable completes no handshake.
      if (state === TS_SYN_RCVD) return;
      len = 0;
      fin = false;
    } else {
      ct.tcp.rcvpartdupbyte += early;
      cut = true;
      owe(s, i);
      seq = rcvNxt;
      data += early;
      len -= early;
    }
  }
  const late = (seq + len - rcvNxt - wnd) | 0;
  if (late > 0) {
    if (late >= len) {
      if (wnd === 0 && seq === rcvNxt) {
        ct.tcp.rcvwinprobe++;
      } else if (len > 0 || ((seq - rcvNxt - wnd) | 0) > 0) {
        ct.tcp.rcvpackafterwin++;
        challenge(s, i);
        return;
      }
      owe(s, i);
      len = 0;
    } else {
      ct.tcp.rcvbyteafterwin += late;
      cut = true;
      owe(s, i);
      len -= late;
    }
    fin = false;
  }
  if (tracked && ((p.seq - at(w, o + LAST_ACK)) | 0) <= 0) {
    // RFC 7323 §4.3: of a segment that covers what was acknowledged last.
    w[o + TS_RECENT] = opt.tsVal;
  }
  if ((th & TH_ACK) === 0) {
    ct.tcp.rcvnoack++;
    if (cut && owed === 0) w[o + FLAGS] = at(w, o + FLAGS) & ~F_ACKNOW;
    return;
  }
  if (state === TS_SYN_RCVD && !synReceived(s, i, quiet)) {
    // It was answered by a reset, or not at all.
    if (owed === 0 && at(w, o + STATE) === TS_SYN_RCVD) w[o + FLAGS] = at(w, o + FLAGS) & ~F_ACKNOW;
    return;
  }

  // RFC 5961 §5.2: nothing we have not sent, and nothing older than a window.
  const una = at(w, o + SND_UNA);
  if (((p.ack - at(w, o + SND_MAX)) | 0) > 0) {
    ct.tcp.rcvacktoomuch++;
    challenge(s, i);
    return;
  }
  if (((p.ack - una) | 0) >= 0) {
    p.len = len;
    if (!processAck(s, i)) return;
  } else if (((una - p.ack) | 0) > field(w, o, MAX_WND) << (field(w, o, SCALE) & 15)) {
    ct.tcp.rcvacktooold++;
    challenge(s, i);
    return;
  }
  if (len > 0 || fin) textAndFin(s, i, seq, data, len, fin);
}

function textAndFin(s: Alt, i: number, seq: number, data: number, len: number, fin: boolean): void {
  const { pkt: p, ct } = s;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  if (len > 0 && (flags & F_DETACHED) !== 0) {
    // RFC 9293 §3.6 and RFC 2525 §2.17: data for a user that has gone is a reset.
    ct.tcp.rcvafterclose++;
    abortFlow(s, i, null);
    return;
  }
  if (fin && (flags & F_FIN) === 0) {
    w[o + FLAGS] = flags | F_FIN;
    s.flows.setSide(o, FIN_SEQ, (seq + len) | 0);
  }
  if (len > 0) {
    if (!takeData(s, i, p.bytes, data, seq, len, p.gso !== 0 ? p.gso : len)) return;
  } else if (fin && seq !== at(w, o + RCV_NXT)) {
    owe(s, i);
  }
  if ((at(w, o + FLAGS) & F_FIN) !== 0) takeFin(s, i);
}

/** An acknowledgment is owed at the end of the batch. */
function owe(s: Alt, i: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
  s.mark(i);
}

/** RFC 5961: says what we expect, to a peer that may be a forger; not often. */
function challenge(s: Alt, i: number): void {
  const o = i << ROW_SHIFT;
  const now = s.time.ms | 1;
  const last = s.flows.side(o, CHALLENGED);
  if (last !== 0 && (now - last) >>> 0 < CHALLENGE_MS) {
    s.ct.tcp.challengeacklimited++;
    return;
  }
  s.flows.setSide(o, CHALLENGED, now);
  s.ct.tcp.challengeack++;
  emitAck(s, i);
}

/** RFC 5961 §3.2 and §4.2: a reset only at the exact number, a SYN never, for a connection that stands. */
function resetOrSyn(s: Alt, i: number, state: number, rcvNxt: number, wnd: number): void {
  const { pkt: p, ct } = s;
  const { w, socketOf } = s.flows;
  const o = i << ROW_SHIFT;
  const ahead = (p.seq - rcvNxt) | 0;
  if ((p.th & TH_RST) !== 0) {
    if (ahead === 0 || p.seq === at(w, o + LAST_ACK)) {
      ct.tcp.rcvrst++;
      if (state === TS_SYN_RCVD && (socketOf[i] ?? null) === null) {
        ct.tcp.sc_reset++;
        endFlow(s, i, null);
      } else {
        endFlow(s, i, state === TS_SYN_RCVD ? 'ECONNREFUSED' : 'ECONNRESET');
      }
    } else {
      ct.tcp.badrst++;
      if (ahead > 0 && ahead < wnd) challenge(s, i);
    }
    return;
  }
  if (state === TS_SYN_RCVD && p.seq === at(w, o + IRS)) {
    // The SYN again: so is our answer.
    ct.tcp.sc_dupsyn++;
    owe(s, i);
    return;
  }
  ct.tcp.badsyn++;
  challenge(s, i);
}

/** PAWS (RFC 7323 §5.3), and §3.2: once agreed, every segment has timestamps. */
function timestampOk(s: Alt, i: number): boolean {
  const { opt, ct } = s;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (!opt.hasTs) {
    ct.tcp.tsmissing++;
    return false;
  }
  if (((opt.tsVal - at(w, o + TS_RECENT)) | 0) >= 0) return true;
  if (((s.time.ms - at(w, o + RCV_TIME)) | 0) > PAWS_IDLE_MS) return true;
  ct.tcp.pawsdrop++;
  if (s.pkt.len > 0 || (s.pkt.th & TH_FIN) !== 0) {
    emitAck(s, i);
  }
  return false;
}

/**
 * SYN-RECEIVED and a segment with an acknowledgment: does the connection stand now? `quiet`: ms since the SYN, which was answered at once, so
 * that this is the first round trip unless the answer had to be repeated. False: the segment is done with.
 */
function synReceived(s: Alt, i: number, quiet: number): boolean {
  const { pkt: p } = s;
  const { flows } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  if (((p.ack - at(w, o + SND_UNA)) | 0) <= 0 || ((p.ack - at(w, o + SND_MAX)) | 0) > 0) {
    s.ct.tcp.rcvacktoomuch++;
    respondReset(s);
    return false;
  }
  w[o + SND_UNA] = (at(w, o + SND_UNA) + 1) | 0;
  w[o + SND_WND] = p.win << (field(w, o, SCALE) & 15);
  w[o + SND_WL1] = (p.seq - 1) | 0;
  if (field(w, o, RXT_SHIFT) === 0 && at(w, o + SRTT) === 0) rttSample(s, i, quiet);
  if (!established(s, i, flows.socketOf[i] === null ? at(w, o + HEAD) : -1)) {
    // No room in the queue of complete ones: as if the segment had not come.
    if (at(w, o + STATE) !== TS_FREE) w[o + SND_UNA] = (at(w, o + SND_UNA) - 1) | 0;
    return false;
  }
  return at(w, o + STATE) !== TS_FREE;
}
