/**
 * Raw ICMP sockets (icmp(4)): a small slab of them, and the hand-over of ICMP messages. They see what comes with its IP header, all but the
 * requests that the stack answers itself. There are few and they share no port: each message is shown to all of them.
 */
import { sorcvdgram } from '../../kern/socket/upcalls.ts';
import { get16, get8, put16 } from '../../wire/bytes.ts';
import { IP_LEN, IP_OFF, IP_TOS, ipHdrLen, putIpSum } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import { saveControl } from './control.ts';
import { D_FADDR, D_HOW, D_LADDR, D_WORDS, DgramSlab } from './dgram.ts';
import { MINTTL_SHIFT } from './ipopt.ts';
import type { NetIf } from './netif.ts';
import { at } from './slab.ts';

/** Sockets at most: they are an operator's tools. */
const RAW_SOCKETS = 64;

export class RawSlab extends DgramSlab {
  constructor() {
    super(RAW_SOCKETS, D_WORDS);
  }
}

/** The ICMP message at hand for every socket that it fits; true if there was one. Their users may do anything meanwhile. */
export function rawDeliver(s: Alt, nif: NetIf): boolean {
  const { pkt: p, raw, ct } = s;
  if (raw.used === 0) return false;
  const { bytes, ip, end, src, dst, ttl } = p;
  const tos = get8(bytes, ip + IP_TOS);
  wholeHeader(bytes, ip, end);
  let taken = false;
  for (let i = 0; i < RAW_SOCKETS; i++) {
    const so = raw.socketOf[i] ?? null;
    if (so === null) continue;
    const o = raw.row(i);
    const laddr = at(raw.w, o + D_LADDR);
    const faddr = at(raw.w, o + D_FADDR);
    if ((laddr !== 0 && laddr !== dst) || (faddr !== 0 && faddr !== src)) continue;
    const opts = at(raw.w, o + D_HOW);
    if (ttl < ((opts >>> MINTTL_SHIFT) & 0xff)) {
      ct.raw.minttl++;
      continue;
    }
    taken = true;
    ct.raw.ipackets++;
    s.from.addr.setV4(src);
    s.from.port = 0;
    if (!sorcvdgram(so, s.from, bytes, ip, end - ip, saveControl(opts, dst, ttl, tos, nif))) ct.raw.fullsock++;
  }
  return taken;
}

/** What was put together has the header of its first fragment. */
function wholeHeader(b: Uint8Array, ip: number, end: number): void {
  if (get16(b, ip + IP_LEN) === end - ip) return;
  put16(b, ip + IP_LEN, end - ip);
  put16(b, ip + IP_OFF, 0);
  putIpSum(b, ip, ipHdrLen(b, ip));
}
