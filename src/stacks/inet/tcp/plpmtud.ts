/**
 * Paths that swallow full segments without a word (black holes, RFC 2923 §2.1), found without ICMP in the manner of RFC 4821 §7.7: when a full
 * segment was sent again in vain, smaller ones are tried, at last with DF off, so that a path narrower than any MTU we believe in
 * still carries. If those are lost as well it was no matter of size, and the old one comes back. After a time the size is tried
 * upward again (RFC 4821 §7.5); a probe that is lost costs one timeout, and the next one waits twice as long.
 */
import { seqLt } from '../../../wire/seq.ts';
import type { TcpInst } from './inst.ts';
import { mssUpdate } from './mss.ts';
import { TCPS_ESTABLISHED } from './states.ts';
import type { Tcb } from './tcb.ts';

/** Fruitless retransmissions on one size before the next lower one is tried, and after which size is not to blame. */
const RTOS_PER_STEP = 2;
const GIVE_UP_RTOS = 8;
/** Longest wait between upward probes. */
const PROBE_MAX_MS = 6 * 3600 * 1000;

export class Plpmtud {
  /** Payload of a segment at most, in bytes; 0: no limit. */
  limit = 0;
  /** DF is off. */
  cut = false;
  /** An upward probe is under way: the limit that holds if it is lost; whether a segment went that shows something, and its end. */
  probing = false;
  before = 0;
  cutBefore = false;
  probed = false;
  probeEnd = 0;
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
    stats.pmtudprobelost++;
    pl.probing = false;
    pl.limit = pl.before;
    pl.waitMs = Math.min(2 * pl.waitMs, PROBE_MAX_MS);
    pl.probeAtMs = (tcp.time.ms + pl.waitMs) | 0;
    resize(tcb, pl, pl.cutBefore);
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
  if (pl.limit === 0 && !pl.cut && !pl.probing) return;
  if (pl.probing) {
    if (!pl.probed || seqLt(ack, pl.probeEnd)) return;
    tcp.stats.pmtudprobeok++;
    tcb.plpmtud = null;
    return;
  }
  if (pl.waitMs === 0) {
    // It goes through: this was a black hole.
    pl.waitMs = tcp.config.pmtudProbeMs;
    pl.probeAtMs = (tcp.time.ms + pl.waitMs) | 0;
    return;
  }
  if (((tcp.time.ms - pl.probeAtMs) | 0) < 0 || tcb.so.snd.cc < 2 * tcb.mss || tcb.sndNxt !== tcb.sndMax) return;
  tcp.stats.pmtudprobe++;
  pl.probing = true;
  pl.before = pl.limit;
  pl.cutBefore = pl.cut;
  pl.probed = false;
  pl.limit = 0;
  resize(tcb, pl, false);
}

/** New data goes out while a probe is under way: only a segment larger than the old ones shows that the path carries such. */
export function plpmtudSent(tcb: Tcb, pl: Plpmtud, seq: number, len: number): void {
  if (!pl.probing || pl.probed || (pl.before > 0 ? len <= pl.before : len < tcb.mss)) return;
  pl.probed = true;
  pl.probeEnd = (seq + len) | 0;
}

function resize(tcb: Tcb, pl: Plpmtud, cut: boolean): void {
  if (cut !== pl.cut) {
    pl.cut = cut;
    tcb.how = { ...tcb.how, df: !cut && tcb.tcp.config.pathMtuDiscovery };
  }
  if (tcb.route !== null) mssUpdate(tcb, tcb.route);
}
