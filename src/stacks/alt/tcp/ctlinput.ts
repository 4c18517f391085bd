/**
 * ICMP errors about segments of ours (RFC 1122 §4.2.3.9, RFC 5927, RFC 1191). One counts only if it quotes a number that is on its way. None
 * ends a connection that stands.
 */
import type { Alt } from '../alt.ts';
import {
  FLAGS, F_CUT, F_TRIAL, MSS, PMTU, ROW_SHIFT, SND_MAX, SND_NXT, SND_UNA, STATE, TS_SYN_SENT, field
} from '../flows.ts'; // prettier-ignore
import { CTL_NEEDFRAG, CTL_REFUSED } from '../icmperr.ts';
import { at } from '../slab.ts';
import { endFlow } from './close.ts';
import { endTrial, headers, plWait, setMss } from './plpmtud.ts';

/** Smallest path MTU that segments are cut to: for a narrower path DF is given up, and its routers cut (RFC 1191 §6.5). */
const MIN_PMTU = 552;
/** The least that a link may have (RFC 791): below it is a fake. */
const LEAST = 68;
/** What to try when an old router does not say (RFC 1191 §7.1). */
const PLATEAUS = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 576] as const;

/** `ports`: source and destination of the quoted segment; `src` is ours. False: none of ours. */
export function tcpCtlInput(s: Alt, kind: number, src: number, dst: number, ports: number, seq: number, mtu: number): boolean {
  const id = s.demux.find(src, dst, ports);
  if (id < 0 || id >= s.cfg.flows) return false;
  const { w } = s.flows;
  const o = id << ROW_SHIFT;
  if (((seq - at(w, o + SND_UNA)) | 0) < 0 || ((seq - at(w, o + SND_MAX)) | 0) >= 0) {
    s.ct.tcp.icmpbadseq++;
    return true;
  }
  if (kind === CTL_NEEDFRAG) {
    shrink(s, id, mtu);
    return true;
  }
  if (kind === CTL_REFUSED && at(w, o + STATE) === TS_SYN_SENT) endFlow(s, id, 'ECONNREFUSED');
  return true;
}

/** Sends smaller segments from now on, and what was on its way again in that size. */
function shrink(s: Alt, i: number, said: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  if (said > 0 && said < LEAST) {
    s.ct.tcp.icmpbadmtu++;
    return;
  }
  const now = field(w, o, MSS) + headers(s, i);
  let mtu = said;
  if (mtu === 0) mtu = PLATEAUS.find((p) => p < now) ?? MIN_PMTU;
  if (mtu >= now || ((at(w, o + FLAGS) & F_CUT) !== 0 && now <= MIN_PMTU)) return;
  if (mtu < MIN_PMTU) {
    mtu = MIN_PMTU;
    w[o + FLAGS] = at(w, o + FLAGS) | F_CUT;
  }
  s.ct.tcp.pmtuchanged++;
  if ((at(w, o + FLAGS) & F_TRIAL) !== 0) endTrial(s, i, false);
  s.flows.setSide(o, PMTU, mtu);
  setMss(s, i, Math.min(field(w, o, MSS), mtu - headers(s, i)));
  plWait(s, i);
  w[o + SND_NXT] = at(w, o + SND_UNA);
  s.mark(i);
}
