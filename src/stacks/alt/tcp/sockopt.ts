/** Options of a stream socket (tcp(4)), with FreeBSD's numbers, and TCP_INFO. */
import type { Errno } from '../../../kern/errno.ts';
import type { SockOpt } from '../../../kern/socket/protosw.ts';
import { SOL_SOCKET, SO_KEEPALIVE, SO_RCVBUF } from '../../../kern/socket/soconst.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import type { Alt } from '../alt.ts';
import {
  DUPACKS, FLAGS, F_NODELAY, F_NOPUSH, F_RCVFIXED, F_RECOVERY, F_SACK, F_TS, F_WSCALE, IRS, ISS, KEEP_CNT, KEEP_IDLE, KEEP_INTVL, MAXSEG, MSS, RCV_ADV, RCV_MSS,
  RCV_NXT, REXMITS, ROW_SHIFT, RTTVAR, RXT_SHIFT, SND_CWND, SND_MAX, SND_NXT, SND_SSTHRESH, SND_UNA, SND_WND, SRTT, STATE, STATE_NAMES, TS_ESTABLISHED,
  TTL_TOS, field, setField
} from '../flows.ts'; // prettier-ignore
import { ipOption } from '../ipopt.ts';
import { SACKED, rangeBytes } from '../ranges.ts';
import { at } from '../slab.ts';
import { rangeSet } from './recovery.ts';
import { rtoMs } from './rtt.ts';
import { armKeepalive } from './timer.ts';

export const TCP_NODELAY = 1;
export const TCP_MAXSEG = 2;
export const TCP_NOPUSH = 4;
export const TCP_INFO = 32;
export const TCP_KEEPIDLE = 256;
export const TCP_KEEPINTVL = 512;
export const TCP_KEEPCNT = 1024;

/** Flags of `options` in TCP_INFO. */
export const TCPI_OPT_TIMESTAMPS = 0x1;
export const TCPI_OPT_SACK = 0x2;
export const TCPI_OPT_WSCALE = 0x4;

/** Times in microseconds, the rest in bytes or segments. Byte totals count modulo 2^32. */
export interface TcpInfo {
  state: string;
  snd_cwnd: number;
  snd_ssthresh: number;
  rtt: number;
  rttvar: number;
  rto: number;
  snd_mss: number;
  rcv_mss: number;
  snd_wnd: number;
  rcv_wnd: number;
  snd_una: number;
  snd_nxt: number;
  rcv_nxt: number;
  retransmits: number;
  total_retrans: number;
  unacked: number;
  sacked: number;
  lost: number;
  options: number;
  ca_state: string;
  bytes_acked: number;
  bytes_received: number;
}

/** ENOPROTOOPT for an unknown option, EINVAL for a bad value or a socket that has ended. */
export function ctloutput(s: Alt, so: Socket, sopt: SockOpt): Errno | null {
  const i = so.pcb as number | null;
  if (i === null) return 'EINVAL';
  if (sopt.level === SOL_SOCKET && sopt.name === SO_KEEPALIVE && sopt.dir === 'set') {
    refresh(s);
    armKeepalive(s, i);
    return null;
  }
  if (sopt.level === SOL_SOCKET && sopt.name === SO_RCVBUF && sopt.dir === 'set') {
    const o = i << ROW_SHIFT;
    s.flows.w[o + FLAGS] = at(s.flows.w, o + FLAGS) | F_RCVFIXED;
    return null;
  }
  if (sopt.level !== IPPROTO_TCP) {
    const word = Int32Array.of(s.flows.side(i << ROW_SHIFT, TTL_TOS));
    const err = ipOption(word, 0, s.cfg.ttl, sopt);
    s.flows.setSide(i << ROW_SHIFT, TTL_TOS, at(word, 0));
    return err;
  }
  return sopt.dir === 'get' ? getOption(s, i, sopt) : setOption(s, i, sopt);
}

function refresh(s: Alt): void {
  if (!s.kernel.netisr.active()) s.time.refresh();
}

function getOption(s: Alt, i: number, sopt: SockOpt): Errno | null {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  switch (sopt.name) {
    case TCP_NODELAY:
      sopt.value = (flags & F_NODELAY) !== 0 ? 1 : 0;
      return null;
    case TCP_NOPUSH:
      sopt.value = (flags & F_NOPUSH) !== 0 ? 1 : 0;
      return null;
    case TCP_MAXSEG:
      sopt.value = field(w, o, MSS) || s.flows.side(o, MAXSEG) || 536;
      return null;
    case TCP_KEEPIDLE:
      sopt.value = s.flows.side(o, KEEP_IDLE) || s.cfg.keepIdleMs / 1000;
      return null;
    case TCP_KEEPINTVL:
      sopt.value = s.flows.side(o, KEEP_INTVL) || s.cfg.keepIntvlMs / 1000;
      return null;
    case TCP_KEEPCNT:
      sopt.value = s.flows.side(o, KEEP_CNT) || s.cfg.keepCnt;
      return null;
    case TCP_INFO:
      refresh(s);
      sopt.value = tcpInfo(s, i);
      return null;
    default:
      return 'ENOPROTOOPT';
  }
}

function setOption(s: Alt, i: number, sopt: SockOpt): Errno | null {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const { name } = sopt;
  const v = typeof sopt.value === 'boolean' ? Number(sopt.value) : sopt.value;
  if (typeof v !== 'number' || !Number.isInteger(v)) return 'EINVAL';
  if (name === TCP_NODELAY || name === TCP_NOPUSH) {
    const bit = name === TCP_NODELAY ? F_NODELAY : F_NOPUSH;
    const flags = at(w, o + FLAGS);
    w[o + FLAGS] = v !== 0 ? flags | bit : flags & ~bit;
    // What waited for company leaves now.
    if ((name === TCP_NODELAY) === (v !== 0) && at(w, o + STATE) >= TS_ESTABLISHED) s.mark(i);
    return null;
  }
  if (name === TCP_MAXSEG) {
    if (v < 64 || v > 65495) return 'EINVAL';
    if (field(w, o, MSS) !== 0 && v > field(w, o, MSS)) return 'EINVAL';
    s.flows.setSide(o, MAXSEG, v);
    if (field(w, o, MSS) !== 0) setField(w, o, MSS, v);
    return null;
  }
  const word = name === TCP_KEEPIDLE ? KEEP_IDLE : name === TCP_KEEPINTVL ? KEEP_INTVL : name === TCP_KEEPCNT ? KEEP_CNT : -1;
  if (word < 0) return name === TCP_INFO ? 'EINVAL' : 'ENOPROTOOPT';
  if (v < 1 || v > (word === KEEP_CNT ? 127 : 86_400)) return 'EINVAL';
  s.flows.setSide(o, word, v);
  refresh(s);
  armKeepalive(s, i);
  return null;
}

export function tcpInfo(s: Alt, i: number): TcpInfo {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  const una = at(w, o + SND_UNA);
  const mss = field(w, o, MSS) || 1;
  const c = rangeSet(s, i, SACKED);
  const sacked = c < 0 ? 0 : rangeBytes(s.ranges.w, c);
  const recovering = (flags & F_RECOVERY) !== 0;
  const options =
    ((flags & F_TS) !== 0 ? TCPI_OPT_TIMESTAMPS : 0) |
    ((flags & F_SACK) !== 0 ? TCPI_OPT_SACK : 0) |
    ((flags & F_WSCALE) !== 0 ? TCPI_OPT_WSCALE : 0);
  return {
    state: STATE_NAMES[at(w, o + STATE)] ?? 'CLOSED',
    snd_cwnd: at(w, o + SND_CWND),
    snd_ssthresh: at(w, o + SND_SSTHRESH),
    rtt: at(w, o + SRTT) * 125,
    rttvar: field(w, o, RTTVAR) * 250,
    rto: rtoMs(s, i) * 1000,
    snd_mss: field(w, o, MSS),
    rcv_mss: field(w, o, RCV_MSS),
    snd_wnd: at(w, o + SND_WND),
    rcv_wnd: Math.max(0, (at(w, o + RCV_ADV) - at(w, o + RCV_NXT)) | 0),
    snd_una: una >>> 0,
    snd_nxt: at(w, o + SND_NXT) >>> 0,
    rcv_nxt: at(w, o + RCV_NXT) >>> 0,
    retransmits: field(w, o, RXT_SHIFT),
    total_retrans: s.flows.side(o, REXMITS),
    unacked: Math.ceil(((at(w, o + SND_MAX) - una) | 0) / mss),
    sacked: Math.ceil(sacked / mss),
    lost: recovering ? 1 : 0,
    options,
    ca_state: recovering ? 'recovery' : field(w, o, RXT_SHIFT) > 0 ? 'loss' : field(w, o, DUPACKS) > 0 ? 'disorder' : 'open',
    bytes_acked: at(w, o + STATE) < TS_ESTABLISHED ? 0 : (una - at(w, o + ISS) - 1) >>> 0,
    bytes_received: at(w, o + STATE) < TS_ESTABLISHED ? 0 : (at(w, o + RCV_NXT) - at(w, o + IRS) - 1) >>> 0,
  };
}
