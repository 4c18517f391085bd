/** SYN-SENT (RFC 9293 §3.10.7.3): the answer to our SYN, or the peer's own SYN that crosses it (simultaneous open). */
import { TH_ACK, TH_FIN, TH_RST, TH_SYN } from '../../../wire/tcp.ts';
import type { Alt } from '../alt.ts';
import {
  FIN_SEQ, FLAGS, F_ACKNOW, F_FIN, ISS, MAX_WND, REXMT_AT, ROW_SHIFT, RTT_AT, SCALE, SND_MAX, SND_NXT, SND_UNA, SND_WL1, SND_WND,
  TS_OFF, TS_SYN_RCVD, field, setField,
} from '../flows.ts'; // prettier-ignore
import { at } from '../slab.ts';
import { endFlow } from './close.ts';
import { takeData, takeFin } from './data.ts';
import { flowMtu, flowNetif } from './emit.ts';
import { agree, established, setPeer } from './listen.ts';
import { respondReset } from './respond.ts';
import { rttSample } from './rtt.ts';
import { setState } from './state.ts';

export function synSentInput(s: Alt, i: number): void {
  const { pkt: p, opt, ct } = s;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const { th } = p;
  if ((th & TH_ACK) !== 0 && (((p.ack - at(w, o + ISS)) | 0) <= 0 || ((p.ack - at(w, o + SND_MAX)) | 0) > 0)) {
    ct.tcp.rcvacktoomuch++;
    respondReset(s);
    return;
  }
  if ((th & TH_RST) !== 0) {
    if ((th & TH_ACK) === 0) {
      ct.tcp.badrst++;
      return;
    }
    ct.tcp.rcvrst++;
    endFlow(s, i, 'ECONNREFUSED');
    return;
  }
  if ((th & TH_SYN) === 0) {
    ct.tcp.badsyn++;
    return;
  }
  const nif = flowNetif(s, i);
  setPeer(s, i, p.seq, opt.mss, nif === null ? 576 : flowMtu(s, i, nif));
  agree(s, i, opt.hasTs, opt.sackPermitted, opt.wscale);
  // The window of a SYN is never scaled (RFC 7323 §2.2).
  w[o + SND_WND] = p.win;
  setField(w, o, MAX_WND, p.win >> (field(w, o, SCALE) & 15));
  w[o + SND_WL1] = p.seq;
  if ((th & TH_ACK) === 0) {
    setState(s, i, TS_SYN_RCVD);
    w[o + SND_NXT] = at(w, o + ISS);
    w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
    s.mark(i);
    return;
  }
  const sentAt = s.flows.side(o, RTT_AT);
  if (sentAt !== 0) rttSample(s, i, (s.time.ms - sentAt) | 0);
  else if (opt.hasTs) rttSample(s, i, Math.max(0, (s.time.ms - ((opt.tsEcr - at(w, o + TS_OFF)) | 0)) | 0));
  s.flows.setSide(o, RTT_AT, 0);
  w[o + SND_UNA] = p.ack;
  w[o + REXMT_AT] = 0;
  w[o + FLAGS] = at(w, o + FLAGS) | F_ACKNOW;
  s.mark(i);
  const { bytes, data, len, seq } = p;
  const fin = (th & TH_FIN) !== 0;
  if (!established(s, i, -1)) return;
  if (fin) {
    w[o + FLAGS] = at(w, o + FLAGS) | F_FIN;
    s.flows.setSide(o, FIN_SEQ, (seq + 1 + len) | 0);
  }
  if (len > 0 && !takeData(s, i, bytes, data, (seq + 1) | 0, len, len)) return;
  if (fin) takeFin(s, i);
}
