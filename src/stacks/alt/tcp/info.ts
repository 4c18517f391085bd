/**
 * TCP_INFO (tcp(4)): what a connection knows, for `ss -ti`, under the names that every stack has. Times in microseconds (this stack's clock
 * has milliseconds), windows in bytes, sequence numbers unsigned; totals of bytes count modulo 2^32. What a row has no word for is left out
 * and not 0: the other stack's `min_rtt`, `delivery_rate`, `delivery_rate_app_limited`, `dsack_dups`, `spurious`, `lost_retrans`. Nothing is
 * paced, so `pacing_rate` is 0; `reordering` is the fixed threshold.
 */
import type { Alt } from '../alt.ts';
import {
  DUPACKS, FLAGS, F_RECOVER, F_RECOVERY, F_SACK, F_TS, F_WSCALE, HIGH_RXT, IRS, ISS, MSS, PMTU, RCV_ADV, RCV_MSS, RCV_NXT, REXMITS, ROUTE,
  ROW_SHIFT, RTTVAR, RXT_SHIFT, SCALE, SND_CWND, SND_MAX, SND_NXT, SND_SSTHRESH, SND_UNA, SND_WND, SRTT, STATE, STATE_NAMES, TS_ESTABLISHED,
  field
} from '../flows.ts'; // prettier-ignore
import { MAX_NETIFS } from '../netif.ts';
import { SACKED, rangeBytes, rangeEnd, rangeHoles } from '../ranges.ts';
import { at } from '../slab.ts';
import { ccName } from './cc.ts';
import { DUPTHRESH, rangeSet } from './recovery.ts';
import { rtoMs } from './rtt.ts';

export interface TcpInfo {
  readonly state: string;
  readonly function_block: string;
  /** Sizes of the socket's buffers now, in bytes. */
  readonly snd_buf: number;
  readonly rcv_buf: number;
  /** Names of the options agreed: `ts`, `sack`, `wscale`. */
  readonly options: readonly string[];
  readonly ca_state: 'open' | 'disorder' | 'recovery' | 'loss';
  readonly snd_wscale: number;
  readonly rcv_wscale: number;
  readonly rto: number;
  readonly rtt: number;
  readonly rttvar: number;
  readonly snd_mss: number;
  readonly rcv_mss: number;
  readonly snd_cwnd: number;
  readonly snd_ssthresh: number;
  readonly snd_wnd: number;
  readonly rcv_wnd: number;
  readonly snd_una: number;
  readonly snd_nxt: number;
  readonly snd_max: number;
  readonly rcv_nxt: number;
  /** Segments sent again, in all; backoffs of the one that waits now. */
  readonly total_retrans: number;
  readonly retransmits: number;
  /** Segments in flight; of them reported by SACK, and taken for lost. */
  readonly unacked: number;
  readonly sacked: number;
  readonly lost: number;
  readonly bytes_acked: number;
  readonly bytes_received: number;
  readonly pmtu: number;
  readonly congestion: string;
  readonly pacing_rate: number;
  readonly reordering: number;
}

export function tcpInfo(s: Alt, i: number): TcpInfo {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  const state = at(w, o + STATE);
  const una = at(w, o + SND_UNA);
  const mss = field(w, o, MSS);
  const so = s.flows.socketOf[i] ?? null;
  const options: string[] = [];
  if ((flags & F_TS) !== 0) options.push('ts');
  if ((flags & F_SACK) !== 0) options.push('sack');
  if ((flags & F_WSCALE) !== 0) options.push('wscale');
  const segments = (bytes: number): number => (mss > 0 ? Math.ceil(bytes / mss) : 0);
  const scale = field(w, o, SCALE);
  const mtu = s.ifs[at(w, o + ROUTE) & (MAX_NETIFS - 1)]?.mtu ?? 0;
  const stands = state >= TS_ESTABLISHED;
  const c = rangeSet(s, i, SACKED);
  return {
    state: STATE_NAMES[state] ?? 'CLOSED',
    function_block: 'alt',
    snd_buf: so === null ? 0 : so.snd.hiwat,
    rcv_buf: so === null ? 0 : so.rcv.hiwat,
    options,
    ca_state: caState(w, o, flags),
    snd_wscale: scale & 15,
    rcv_wscale: scale >>> 4,
    rto: rtoMs(s, i) * 1000,
    rtt: at(w, o + SRTT) * 125,
    rttvar: field(w, o, RTTVAR) * 250,
    snd_mss: mss,
    rcv_mss: field(w, o, RCV_MSS),
    snd_cwnd: at(w, o + SND_CWND),
    snd_ssthresh: at(w, o + SND_SSTHRESH),
    snd_wnd: at(w, o + SND_WND),
    rcv_wnd: Math.max(0, (at(w, o + RCV_ADV) - at(w, o + RCV_NXT)) | 0),
    snd_una: una >>> 0,
    snd_nxt: at(w, o + SND_NXT) >>> 0,
    snd_max: at(w, o + SND_MAX) >>> 0,
    rcv_nxt: at(w, o + RCV_NXT) >>> 0,
    total_retrans: s.flows.side(o, REXMITS),
    retransmits: field(w, o, RXT_SHIFT),
    unacked: segments((at(w, o + SND_MAX) - una) | 0),
    sacked: c < 0 ? 0 : segments(rangeBytes(s.ranges.w, c)),
    lost: segments(lostBytes(s, i)),
    bytes_acked: stands ? (una - at(w, o + ISS) - 1) >>> 0 : 0,
    bytes_received: stands ? (at(w, o + RCV_NXT) - at(w, o + IRS) - 1) >>> 0 : 0,
    pmtu: s.flows.side(o, PMTU) || mtu,
    congestion: ccName(s, i),
    pacing_rate: 0,
    reordering: DUPTHRESH,
  };
}

/** Taken for lost and not yet sent again. */
function lostBytes(s: Alt, i: number): number {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  const una = at(w, o + SND_UNA);
  // Behind a timeout: all that SND_NXT has not passed again.
  if ((flags & F_RECOVERY) === 0) return (at(w, o + SND_MAX) - at(w, o + SND_NXT)) | 0;
  const c = rangeSet(s, i, SACKED);
  if (c < 0 || at(s.ranges.w, c) === 0) return field(w, o, MSS);
  const high = s.flows.side(o, HIGH_RXT);
  const fack = rangeEnd(s.ranges.w, c, una);
  return ((fack - high) | 0) > 0 ? rangeHoles(s.ranges.w, c, high, fack) : 0;
}

function caState(w: Int32Array, o: number, flags: number): TcpInfo['ca_state'] {
  if ((flags & F_RECOVERY) !== 0) return 'recovery';
  if ((flags & F_RECOVER) !== 0 || field(w, o, RXT_SHIFT) > 0) return 'loss';
  return field(w, o, DUPACKS) > 0 ? 'disorder' : 'open';
}
