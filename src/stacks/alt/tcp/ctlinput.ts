/**
 * ICMP errors about segments of ours (RFC 1122 §4.2.3.9, RFC 5927, RFC 1191). One counts only if it quotes a number that is on its way. None
 * ends a connection that stands.
 */
import type { Alt } from '../alt.ts';
import { FLAGS, F_TS, MSS, PMTU, ROW_SHIFT, SND_MAX, SND_NXT, SND_UNA, STATE, TS_SYN_SENT, field, setField } from '../flows.ts';
import { CTL_NEEDFRAG, CTL_REFUSED } from '../icmperr.ts';
import { at } from '../slab.ts';
import { endFlow } from './close.ts';

/** Smallest path MTU that is believed (RFC 1191 §3 has 68; below 552 it is an attack). */
const MIN_PMTU = 552;
/** What to try when an old router does not say (RFC 1191 §7.1). */
const PLATEAUS = [1492, 1006, 576] as const;
const HEADERS = 40;

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
  const options = (at(w, o + FLAGS) & F_TS) !== 0 ? 12 : 0;
  const now = field(w, o, MSS) + options + HEADERS;
  let mtu = said;
  if (mtu === 0) mtu = PLATEAUS.find((p) => p < now) ?? MIN_PMTU;
  if (mtu >= now) return;
  if (mtu < MIN_PMTU) mtu = MIN_PMTU;
  s.ct.tcp.pmtuchanged++;
  s.flows.setSide(o, PMTU, mtu);
  setField(w, o, MSS, Math.min(field(w, o, MSS), mtu - HEADERS - options));
  w[o + SND_NXT] = at(w, o + SND_UNA);
  s.mark(i);
}
