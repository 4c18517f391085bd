/** TCP_INFO (tcp(4)): what a connection knows, for `ss -ti`. Times in microseconds, windows in bytes, sequence numbers unsigned. */
import { seqGt } from '../../../wire/seq.ts';
import { accInfo } from './accecn.ts';
import { ECN_MODE_ACC, ECN_MODE_NONE, ecnMode } from './ecn.ts';
import { ccName } from './functions.ts';
import { TCPS_SYN_RECEIVED, stateName } from './states.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, TF_SACK, TF_TSTMP, type Tcb, byteCount } from './tcb.ts';
import { rcvWindow } from './window.ts';

export interface TcpInfo {
  readonly state: string;
  /** What drives it (TCP_FUNCTION_BLK). */
  readonly function_block: string;
  /** Sizes of the socket's buffers now, in bytes. */
  readonly snd_buf: number;
  readonly rcv_buf: number;
  /** Names of the options agreed: `ts`, `sack`, `wscale`, `ecn` or `accecn`. */
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
  /** Name of the congestion control; bytes a second: paced at (0: not), delivered lately. */
  readonly congestion: string;
  readonly pacing_rate: number;
  readonly delivery_rate: number;
  readonly delivery_rate_app_limited: boolean;
  /** Least round-trip time lately, 0: not measured. Segments by which the path reordered at most. */
  readonly min_rtt: number;
  readonly reordering: number;
  /** Duplicates that the peer reported; reductions taken back; retransmissions that were lost too. */
  readonly dsack_dups: number;
  readonly spurious: number;
  readonly lost_retrans: number;
  /** AccECN: packets marked CE, and bytes by mark, that the peer tells of, and that came. 0 without it. */
  readonly delivered_ce: number;
  readonly delivered_ce_bytes: number;
  readonly delivered_e0_bytes: number;
  readonly delivered_e1_bytes: number;
  readonly received_ce: number;
  readonly received_ce_bytes: number;
  readonly received_e0_bytes: number;
  readonly received_e1_bytes: number;
}

export function tcpInfo(tcb: Tcb): TcpInfo {
  const options: string[] = [];
  if ((tcb.flags & TF_TSTMP) !== 0) options.push('ts');
  if ((tcb.flags & TF_SACK) !== 0) options.push('sack');
  if (tcb.sndScale > 0 || tcb.rcvScale > 0) options.push('wscale');
  const mode = ecnMode(tcb);
  if (mode !== ECN_MODE_NONE) options.push(mode === ECN_MODE_ACC ? 'accecn' : 'ecn');
  const { loss } = tcb;
  const fast = (tcb.flags & TF_FASTRECOVERY) !== 0;
  const flight = (tcb.sndMax - tcb.sndUna) | 0;
  const again = seqGt(tcb.sndMax, tcb.sndNxt) ? (tcb.sndMax - tcb.sndNxt) | 0 : 0;
  const segments = (bytes: number): number => (tcb.mss > 0 ? Math.ceil(bytes / tcb.mss) : 0);
  return {
    // One opened by its SYN is for its user what it is not yet for its peer.
    state: stateName(tcb.tfo !== null && tcb.tfo.listener !== null ? TCPS_SYN_RECEIVED : tcb.state),
    function_block: tcb.fb.name,
    snd_buf: tcb.so.snd.hiwat,
    rcv_buf: tcb.so.rcv.hiwat,
    options,
    ca_state: caState(tcb),
    snd_wscale: tcb.sndScale,
    rcv_wscale: tcb.rcvScale,
    rto: tcb.rto * 1000,
    rtt: tcb.srtt >> 3,
    rttvar: tcb.rttvar >> 2,
    snd_mss: tcb.mss,
    rcv_mss: tcb.rcvMss,
    snd_cwnd: tcb.cwnd,
    snd_ssthresh: tcb.ssthresh,
    snd_wnd: tcb.sndWnd,
    rcv_wnd: rcvWindow(tcb),
    snd_una: tcb.sndUna >>> 0,
    snd_nxt: tcb.sndNxt >>> 0,
    snd_max: tcb.sndMax >>> 0,
    rcv_nxt: tcb.rcvNxt >>> 0,
    total_retrans: tcb.retransmits,
    retransmits: tcb.rxtShift,
    unacked: segments(flight),
    sacked: loss === null ? 0 : segments(loss.board.sacked),
    lost: loss !== null ? segments(loss.board.lost) : fast ? Math.max(1, segments(again)) : segments(again),
    bytes_acked: byteCount(tcb.ackedHigh, tcb.ackedLow),
    bytes_received: byteCount(tcb.receivedHigh, tcb.receivedLow),
    pmtu: tcb.mtu,
    congestion: ccName(tcb),
    pacing_rate: Math.floor(tcb.paceRate),
    delivery_rate: loss === null ? 0 : Math.floor(loss.rate),
    delivery_rate_app_limited: loss !== null && loss.rateAppLimited,
    min_rtt: loss === null ? 0 : loss.minRttUs,
    reordering: loss === null ? 0 : segments(loss.reordBytes),
    dsack_dups: loss === null ? 0 : loss.dsacks,
    spurious: loss === null ? 0 : loss.spurious,
    lost_retrans: loss === null ? 0 : loss.lostRexmts,
    ...accInfo(mode === ECN_MODE_ACC && tcb.ecn !== null ? tcb.ecn.acc : null),
  };
}

function caState(tcb: Tcb): TcpInfo['ca_state'] {
  if ((tcb.flags & TF_FASTRECOVERY) !== 0) return 'recovery';
  if ((tcb.flags & TF_RTOLOSS) !== 0) return 'loss';
  return tcb.dupAcks > 0 || (tcb.loss !== null && tcb.loss.board.sacked > 0) ? 'disorder' : 'open';
}
