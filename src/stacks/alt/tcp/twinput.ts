/** A segment for a connection in TIME-WAIT (RFC 9293 §3.10.7.4, RFC 6191, RFC 1337). */
import { TH_ACK, TH_FIN, TH_RST, TH_SYN } from '../../../wire/tcp.ts';
import type { Alt } from '../alt.ts';
import { at } from '../slab.ts';
import { endTimeWait } from './close.ts';
import { RCV_WSCALE, respondAck } from './respond.ts';
import { W_HOW, W_RCV_NXT, W_SND_NXT, W_TS_OFF, W_TS_RECENT, W_WIN } from './timewait.ts';

/** True: the record is gone and the segment is a SYN of a new connection, for the listener. */
export function timewaitInput(s: Alt, k: number): boolean {
  const { pkt: p, opt, timewait, ct } = s;
  const { w } = timewait;
  const r = timewait.row(k);
  ct.tcp.timewaitrcv++;
  const how = at(w, r + W_HOW);
  if (p.ttl < how >>> 1) {
    ct.tcp.minttl++;
    return false;
  }
  // RFC 1337: a reset cannot end TIME-WAIT.
  if ((p.th & TH_RST) !== 0) {
    ct.tcp.badrst++;
    return false;
  }
  const hasTs = (how & 1) !== 0;
  const ahead = (p.seq - at(w, r + W_RCV_NXT)) | 0;
  if ((p.th & (TH_SYN | TH_ACK)) === TH_SYN) {
    const newer = hasTs && opt.hasTs ? (opt.tsVal - at(w, r + W_TS_RECENT)) | 0 : 0;
    if (newer > 0 || (newer === 0 && ahead > 0)) {
      ct.tcp.timewaitreused++;
      endTimeWait(s, k);
      return true;
    }
  } else if (p.len === 0 && (p.th & TH_FIN) === 0 && ahead === 0) {
    // A plain acknowledgment asks for nothing.
    return false;
  } else if ((p.th & TH_FIN) !== 0) {
    // The last acknowledgment was lost: it is sent again, and the time begins anew.
    timewait.unlink(k);
    timewait.append(k, (s.time.ms + 2 * s.cfg.mslMs) | 0);
  }
  const win = at(w, r + W_WIN) >> RCV_WSCALE;
  const tsVal = (s.time.ms + at(w, r + W_TS_OFF)) | 0;
  respondAck(s, at(w, r + W_SND_NXT), at(w, r + W_RCV_NXT), win, hasTs, tsVal, at(w, r + W_TS_RECENT));
  return false;
}
