/**
 * Segments of the size that the path takes. ICMP says it (ctlinput.ts), or the interface, or nobody: where full segments vanish without a
 * word (RFC 2923 §2.1) smaller ones are tried after some timeouts, in the manner of RFC 4821 §7.7, at last with DF off; if
 * those are lost as well it was no matter of size. After a time the old size is tried again (RFC 4821 §7.5, RFC 1191 §6.3): a trial
 * that is lost costs one timeout, and the next waits twice as long.
 */
import { IP_HDR_LEN } from '../../../wire/ipv4.ts';
import { TCPOLEN_TSTAMP_APPA, TCP_HDR_LEN, TCP_MSS_DEFAULT_V4 } from '../../../wire/tcp.ts';
import type { Alt } from '../alt.ts';
import {
  FLAGS, F_CUT, F_TRIAL, F_TS, MAXSEG, MSS, PL_AT, PL_FULL, PL_SEQ, PL_WAIT, PMTU, ROUTE, ROW_SHIFT, SND_MAX, SND_NXT, STATE,
  TS_ESTABLISHED, field, setField
} from '../flows.ts'; // prettier-ignore
import { MAX_NETIFS } from '../netif.ts';
import { at } from '../slab.ts';

/** Fruitless timeouts on one size before the next lower one is tried, and after which size is not to blame. */
const RTOS_PER_STEP = 2;
const GIVE_UP_RTOS = 8;
/** Longest wait between trials. */
const WAIT_MAX_MS = 6 * 3600 * 1000;

/** Bytes of a packet of this flow that are not payload. */
export function headers(s: Alt, i: number): number {
  const ts = (at(s.flows.w, (i << ROW_SHIFT) + FLAGS) & F_TS) !== 0;
  return IP_HDR_LEN + TCP_HDR_LEN + (ts ? TCPOLEN_TSTAMP_APPA : 0);
}

/** Smaller segments from now on; what was agreed is remembered for a trial. */
export function setMss(s: Alt, i: number, mss: number): void {
  const { flows } = s;
  const o = i << ROW_SHIFT;
  if (flows.side(o, PL_FULL) === 0) flows.setSide(o, PL_FULL, field(flows.w, o, MSS));
  setField(flows.w, o, MSS, mss);
}

/** The path was found to take less: when to look again. */
export function plWait(s: Alt, i: number): void {
  const { flows } = s;
  const o = i << ROW_SHIFT;
  const waited = flows.side(o, PL_WAIT);
  const wait = waited === 0 ? s.cfg.pmtudProbeMs : Math.min(2 * waited, WAIT_MAX_MS);
  flows.setSide(o, PL_WAIT, wait);
  flows.setSide(o, PL_AT, (s.time.ms + wait) | 1);
}

/** The retransmission timer ran out for the `shift`th time, before anything is sent again. */
export function plTimeout(s: Alt, i: number, shift: number): void {
  const { cfg, flows, ct } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  if (!cfg.pmtudBlackhole || at(w, o + STATE) < TS_ESTABLISHED) return;
  const flags = at(w, o + FLAGS);
  if ((flags & F_TRIAL) !== 0) {
    endTrial(s, i, false);
    return;
  }
  const mss = field(w, o, MSS);
  const full = flows.side(o, PL_FULL);
  if (shift === GIVE_UP_RTOS && full !== 0 && flows.side(o, PL_WAIT) === 0) {
    ct.tcp.pmtudblackholefailed++;
    setField(w, o, MSS, full);
    flows.setSide(o, PL_FULL, 0);
    w[o + FLAGS] = flags & ~F_CUT;
    return;
  }
  if (shift % RTOS_PER_STEP !== 0 || shift >= GIVE_UP_RTOS) return;
  const next = mss > cfg.pmtudBlackholeMss ? cfg.pmtudBlackholeMss : Math.min(mss, TCP_MSS_DEFAULT_V4);
  // Not a full segment: its size is not what it died of.
  if ((flows.socketOf[i]?.snd.cc ?? 0) <= next && mss > next) return;
  if (next < mss) {
    ct.tcp.pmtudblackhole++;
    setMss(s, i, next);
  } else if ((flags & F_CUT) === 0) {
    ct.tcp.pmtudblackholecut++;
    setMss(s, i, mss);
    w[o + FLAGS] = flags | F_CUT;
  }
}

/** New data was acknowledged up to `ack` on a flow that sends less than was agreed. */
export function plAcked(s: Alt, i: number, ack: number): void {
  const { flows } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  if ((flags & F_TRIAL) !== 0) {
    if (((ack - flows.side(o, PL_SEQ)) | 0) > 0) endTrial(s, i, true);
    return;
  }
  if (flows.side(o, PL_WAIT) === 0) {
    // It goes through: this was a black hole.
    plWait(s, i);
    return;
  }
  const waits = ((s.time.ms - flows.side(o, PL_AT)) | 0) < 0;
  if (waits || (flows.socketOf[i]?.snd.cc ?? 0) < 2 * field(w, o, MSS) || at(w, o + SND_NXT) !== at(w, o + SND_MAX)) return;
  const small = field(w, o, MSS);
  const mtu = s.ifs[at(w, o + ROUTE) & (MAX_NETIFS - 1)]?.mtu ?? 0;
  const full = Math.min(flows.side(o, PL_FULL), mtu - headers(s, i));
  if (full <= small && (flags & F_CUT) === 0) {
    plWait(s, i);
    return;
  }
  s.ct.tcp.pmtudprobe++;
  flows.setSide(o, PL_SEQ, at(w, o + SND_MAX));
  w[o + FLAGS] = flags | F_TRIAL;
  setField(w, o, MSS, full > small ? full : small);
  // What it is if the trial fails.
  flows.setSide(o, PL_FULL, small);
}

export function endTrial(s: Alt, i: number, good: boolean): void {
  const { flows, ct } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  w[o + FLAGS] = at(w, o + FLAGS) & ~F_TRIAL;
  if (good) {
    ct.tcp.pmtudprobeok++;
    w[o + FLAGS] = at(w, o + FLAGS) & ~F_CUT;
    flows.setSide(o, PL_FULL, 0);
    flows.setSide(o, PL_WAIT, 0);
    flows.setSide(o, PMTU, 0);
    return;
  }
  ct.tcp.pmtudprobelost++;
  const full = field(w, o, MSS);
  setField(w, o, MSS, flows.side(o, PL_FULL));
  flows.setSide(o, PL_FULL, full);
  plWait(s, i);
}

/** The interface's MTU or the way there may have changed: segments fit it from now on. */
export function fitMtu(s: Alt, i: number, mtu: number): void {
  const { flows } = s;
  const { w } = flows;
  const o = i << ROW_SHIFT;
  if (at(w, o + STATE) < TS_ESTABLISHED) return;
  const most = mtu - headers(s, i);
  if (field(w, o, MSS) > most) {
    setMss(s, i, most);
    plWait(s, i);
  }
  const user = flows.side(o, MAXSEG);
  if (user !== 0 && field(w, o, MSS) > user) setField(w, o, MSS, user);
}
