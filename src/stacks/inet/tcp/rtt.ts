/**
 * Round-trip times and the retransmission timeout (RFC 6298) in integers: microseconds inside, the timeout in milliseconds. One segment at
 * a time is timed by the clock (Karn: never one that was sent twice); where that cannot be, the timestamp that comes back serves (RFC 7323 §4).
 */
import { seqGt } from '../../../wire/seq.ts';
import type { Segment, TcpInst } from './inst.ts';
import { TF_TIMING, TF_TSTMP, type Tcb } from './tcb.ts';

/** Granularity of the timers in microseconds (RFC 6298's G). */
const G_US = 1000;
/** Samples are cut at a minute, so that nothing overflows. */
const MAX_US = 60_000_000;

/** Takes one measurement in microseconds; the backoff ends. */
export function rttUpdate(tcp: TcpInst, tcb: Tcb, us: number): void {
  const r = us < 1 ? 1 : us > MAX_US ? MAX_US : us;
  if (tcb.srtt === 0) {
    // RFC 6298 §2.2
    tcb.srtt = r << 3;
    tcb.rttvar = r << 1;
  } else {
    // RFC 6298 §2.3: beta 1/4, alpha 1/8
    const err = r - (tcb.srtt >> 3);
    tcb.rttvar += (err < 0 ? -err : err) - (tcb.rttvar >> 2);
    tcb.srtt += err;
    if (tcb.srtt < 1) tcb.srtt = 1;
  }
  tcp.stats.rttupdated++;
  tcb.rto = rttBase(tcp, tcb);
}

/** The timeout without backoff: SRTT + max(G, 4 * RTTVAR), within its bounds. Milliseconds. */
export function rttBase(tcp: TcpInst, tcb: Tcb): number {
  if (tcb.srtt === 0) return tcp.config.rexmitInitialMs;
  const us = (tcb.srtt >> 3) + (tcb.rttvar > G_US ? tcb.rttvar : G_US);
  const ms = Math.ceil(us / 1000);
  const { rexmitMinMs, rexmitMaxMs } = tcp.config;
  return ms < rexmitMinMs ? rexmitMinMs : ms > rexmitMaxMs ? rexmitMaxMs : ms;
}

/** RFC 6298 §5.5: doubles the timeout. */
export function rttBackoff(tcp: TcpInst, tcb: Tcb): void {
  tcb.rto = Math.min(tcb.rto * 2, tcp.config.rexmitMaxMs);
}

/** An ACK of new data: a measurement if it covers the timed segment, or if it echoes a timestamp. */
export function rttOnAck(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  if ((tcb.flags & TF_TIMING) !== 0) {
    if (!seqGt(seg.ack, tcb.rttSeq)) return;
    tcb.flags &= ~TF_TIMING;
    rttUpdate(tcp, tcb, (tcp.time.us - tcb.rttUs) | 0);
    return;
  }
  rttEcho(tcp, tcb, seg);
}

/** A measurement by the timestamp that an ACK echoes: good also for what was sent more than once. */
export function rttEcho(tcp: TcpInst, tcb: Tcb, seg: Segment): void {
  if ((tcb.flags & TF_TSTMP) === 0 || !seg.opts.hasTs || seg.opts.tsEcr === 0) return;
  // RFC 7323 §4.1: the echo tells which of several transmissions was answered.
  const ms = (((tcp.time.ms + tcb.tsOffset) | 0) - seg.opts.tsEcr) | 0;
  if (ms >= 0 && ms <= tcp.config.rexmitMaxMs * 2) rttUpdate(tcp, tcb, ms * 1000);
}
