/** TCP_INFO (tcp(4)): what a connection knows, for `ss -ti`. Times in microseconds, windows in bytes, sequence numbers unsigned. */
import { seqGt } from '../../../wire/seq.ts';
import { stateName } from './states.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, TF_SACK, TF_TSTMP, type Tcb } from './tcb.ts';
import { rcvWindow } from './window.ts';

export interface TcpInfo {
  readonly state: string;
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
}

export function tcpInfo(tcb: Tcb): TcpInfo {
  const options: string[] = [];
  if ((tcb.flags & TF_TSTMP) !== 0) options.push('ts');
  if ((tcb.flags & TF_SACK) !== 0) options.push('sack');
  if (tcb.sndScale > 0 || tcb.rcvScale > 0) options.push('wscale');
  const flight = (tcb.sndMax - tcb.sndUna) | 0;
  const again = seqGt(tcb.sndMax, tcb.sndNxt) ? (tcb.sndMax - tcb.sndNxt) | 0 : 0;
  const segments = (bytes: number): number => (tcb.mss > 0 ? Math.ceil(bytes / tcb.mss) : 0);
  return {
    state: stateName(tcb.state),
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
    sacked: 0,
    lost: (tcb.flags & TF_FASTRECOVERY) !== 0 ? Math.max(1, segments(again)) : segments(again),
    bytes_acked: tcb.bytesAcked,
    bytes_received: tcb.bytesReceived,
    pmtu: tcb.mtu,
  };
}

function caState(tcb: Tcb): TcpInfo['ca_state'] {
  if ((tcb.flags & TF_FASTRECOVERY) !== 0) return 'recovery';
  if ((tcb.flags & TF_RTOLOSS) !== 0) return 'loss';
  return tcb.dupAcks > 0 ? 'disorder' : 'open';
}
