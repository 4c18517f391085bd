/**
 * Paths that swallow full segments without a word (black holes, RFC 2923 §2.1), found without ICMP in the manner of RFC 4821 §7.7: when a full
 * segment was sent again in vain, smaller ones are tried, at last with DF off, so that a path narrower than any MTU we believe in
 * still carries. If those are lost as well it was no matter of size, and the old one comes back. After a time the full size is tried
 * again (RFC 4821 §7.5), by a single segment of it with others of the old size behind it; when that is acknowledged all are so large. A
 * probe that alone is lost says nothing of congestion (§7.6.2, RFC 8899 §3): what was in it goes again in the old size as soon as the
 * segments behind it are reported, the window stays as it is, and the next probe waits twice as long.
 */
import { seqGeq, seqGt, seqLeq } from '../../../wire/seq.ts';
import type { Route } from '../contract.ts';
import type { TcpInst } from './inst.ts';
import { mssOfPath, mssUpdate } from './mss.ts';
import type { RackState } from './rackstate.ts';
import type { RateSample } from './ratesample.ts';
import type { Hole } from './recovery.ts';
import { TX_REXMT } from './sackboard.ts';
import { TCPS_ESTABLISHED } from './states.ts';
import { TF_FASTRECOVERY, TF_FASTREXMT, TF_RTOLOSS, TF_TIMING, type Tcb } from './tcb.ts';

/** Fruitless retransmissions on one size before the next lower one is tried, and after which size is not to blame. */
const RTOS_PER_STEP = 2;
const GIVE_UP_RTOS = 8;
/** Segments behind a probe: as many as show a loss (RFC 4821 §7.4). */
const BEHIND = 3;
/** Longest wait between upward probes. */
const PROBE_MAX_MS = 6 * 3600 * 1000;

export class Plpmtud {
  /** Payload of a segment at most, in bytes; 0: no limit. */
  limit = 0;
  /** DF is off. */
  cut = false;
  /** The time has come for an upward probe; one is under way; the last one, [probeSeq, probeEnd). */
  due = false;
  probing = false;
  probeSeq = 0;
  probeEnd = 0;
  /** The last one is lost, and is to go again; without SACK: from here on. */
  resend = false;
  resendSeq = 0;
  /** When the next probe may be sent, and how long the wait was. */
  probeAtMs = 0;
  waitMs = 0;
}

/** The retransmission timer went off, `tcb.rxtShift` being the count: before anything is sent again. */
export function plpmtudTimeout(tcp: TcpInst, tcb: Tcb): void {
  const { config, stats } = tcp;
  if (!config.pmtudBlackhole || !config.pathMtuDiscovery || tcb.state < TCPS_ESTABLISHED) return;
  let pl = tcb.plpmtud;
  if (pl !== null && pl.probing) {
    // More than the probe is missing, or the ACKs are: congestion, and no verdict on size but that it did not get through.
    probeLost(tcp, pl);
    return;
  }
  const shift = tcb.rxtShift;
  if (shift === GIVE_UP_RTOS && pl !== null && pl.limit > 0 && pl.waitMs === 0) {
    stats.pmtudblackholefailed++;
    pl.limit = 0;
    resize(tcb, pl, false);
    tcb.plpmtud = null;
    return;
  }
  if (shift === 0 || shift % RTOS_PER_STEP !== 0 || shift >= GIVE_UP_RTOS) return;
  const next = nextStep(tcb);
  // Not a full segment: its size is not what it died of.
  if (tcb.so.snd.cc <= next && tcb.mss > next) return;
  pl = tcb.plpmtud ??= new Plpmtud();
  if (next < tcb.mss) {
    pl.limit = next;
    stats.pmtudblackhole++;
    resize(tcb, pl, pl.cut);
  } else if (!pl.cut) {
    stats.pmtudblackholecut++;
    resize(tcb, pl, true);
  }
}

/** The next smaller size below the present one: net.inet.tcp.pmtud_blackhole_mss, then the default MSS. */
function nextStep(tcb: Tcb): number {
  const { config } = tcb.tcp;
  return tcb.mss > config.pmtudBlackholeMss ? config.pmtudBlackholeMss : Math.min(tcb.mss, config.mssdflt);
}

/** New data was acknowledged on a connection that has a limit. */
export function plpmtudAcked(tcp: TcpInst, tcb: Tcb, pl: Plpmtud, ack: number): void {
  if (pl.limit === 0 && !pl.cut) return;
  if (pl.probing) {
    if (!seqGeq(ack, pl.probeEnd)) return;
    tcp.stats.pmtudprobeok++;
    pl.limit = 0;
    resize(tcb, pl, false);
    tcb.plpmtud = null;
    return;
  }
  if (pl.resend && seqGt(ack, pl.probeSeq)) pl.resend = false;
  if (pl.waitMs === 0) {
    // It goes through: this was a black hole.
    pl.waitMs = tcp.config.pmtudProbeMs;
    pl.probeAtMs = (tcp.time.ms + pl.waitMs) | 0;
    return;
  }
  if (((tcp.time.ms - pl.probeAtMs) | 0) >= 0) pl.due = true;
}

/**
 * Size of the probe that is to go now, in bytes of payload; 0: none. Only while nothing is in doubt, and with segments enough behind it to
 * tell its loss by (`room`: bytes that may go now).
 */
export function plpmtudDue(tcb: Tcb, pl: Plpmtud, route: Route, room: number): number {
  if (!pl.due) return 0;
  const { loss } = tcb;
  if (tcb.sndNxt !== tcb.sndMax || tcb.dupAcks > 0 || tcb.rxtShift > 0) return 0;
  if ((tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS | TF_FASTREXMT)) !== 0) return 0;
  if (loss !== null && loss.board.sacked + loss.board.lost > 0) return 0;
  const size = mssOfPath(tcb, route);
  return room >= size + BEHIND * tcb.mss ? size : 0;
}

/** The probe went out as [seq, end). */
export function plpmtudSent(tcb: Tcb, pl: Plpmtud, seq: number, end: number): void {
  tcb.tcp.stats.pmtudprobe++;
  pl.due = false;
  pl.probing = true;
  pl.resend = false;
  pl.probeSeq = seq;
  pl.probeEnd = end;
}

function probeLost(tcp: TcpInst, pl: Plpmtud): void {
  tcp.stats.pmtudprobelost++;
  pl.probing = false;
  pl.resendSeq = pl.probeSeq;
  pl.waitMs = Math.min(2 * pl.waitMs, PROBE_MAX_MS);
  pl.probeAtMs = (tcp.time.ms + pl.waitMs) | 0;
}

/**
 * With SACK: is all that is taken for lost the probe, sent once? Then it is sent again, and congestion control does not hear of it. Asked
 * again until it has gone, and no more: a retransmission that is lost is a loss as any other.
 */
export function plpmtudOnlyProbe(tcb: Tcb, pl: Plpmtud, st: RackState, rs: RateSample): boolean {
  const { board } = st;
  const first = board.firstLost();
  if (first === null || (first.flags & TX_REXMT) !== 0) return false;
  if (!seqGeq(first.start, pl.probeSeq) || !seqLeq(first.end, pl.probeEnd)) return false;
  const len = (first.end - first.start) | 0;
  if (board.lost !== len) return false;
  if (!pl.probing) return pl.resend;
  probeLost(tcb.tcp, pl);
  pl.resend = true;
  rs.lost -= len;
  st.lostBytes = (st.lostBytes - len) | 0;
  return true;
}

/** Without SACK, at the third duplicate ACK: is the probe what is missing? Then its bytes go again, and nothing else happens. */
export function plpmtudDupAcks(tcb: Tcb, pl: Plpmtud): boolean {
  if (!pl.probing || tcb.sndUna !== pl.probeSeq) return false;
  probeLost(tcb.tcp, pl);
  pl.resend = true;
  tcb.flags = (tcb.flags | TF_FASTREXMT) & ~TF_TIMING;
  return true;
}

/** The next piece of a lost probe, in the old size; when there is none left TF_FASTREXMT is off. */
export function plpmtudNext(tcb: Tcb, pl: Plpmtud, hole: Hole): void {
  const left = (pl.probeEnd - pl.resendSeq) | 0;
  hole.seq = pl.resendSeq;
  hole.len = left < tcb.mss ? left : tcb.mss;
  pl.resendSeq = (pl.resendSeq + hole.len) | 0;
  if (pl.resendSeq !== pl.probeEnd) return;
  pl.resend = false;
  tcb.flags &= ~TF_FASTREXMT;
}

function resize(tcb: Tcb, pl: Plpmtud, cut: boolean): void {
  if (cut !== pl.cut) {
    pl.cut = cut;
    tcb.how = { ...tcb.how, df: !cut && tcb.tcp.config.pathMtuDiscovery };
  }
  if (tcb.route !== null) mssUpdate(tcb, tcb.route);
}
