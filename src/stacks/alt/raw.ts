/**
 * Raw ICMP sockets (icmp(4)): a small slab of them, and the hand-over of ICMP messages. They see what comes with its IP header, all but the
 * requests that the stack answers itself. There are few and they share no port: each message is shown to all of them.
 */
import type { Socket } from '../../kern/socket/socket.ts';
import { sorcvdgram } from '../../kern/socket/upcalls.ts';
import { get16, put16 } from '../../wire/bytes.ts';
import { IP_LEN, IP_OFF, ipHdrLen, putIpSum } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import { Slab, at } from './slab.ts';

/** Sockets at most: they are an operator's tools. */
const RAW_SOCKETS = 64;
const ROW_WORDS = 5;
/** Addresses, 0: any; next free row; TTL | TOS << 8, 0: defaults; last ARP entry, as for UDP. */
export const R_LADDR = 0;
export const R_FADDR = 1;
const R_NEXT = 2;
export const R_TTL_TOS = 3;
export const R_HINT = 4;

export class RawSlab extends Slab {
  readonly socketOf = new Array<Socket | null>(RAW_SOCKETS).fill(null);

  constructor() {
    super(RAW_SOCKETS, ROW_WORDS, R_NEXT);
  }

  row(i: number): number {
    return i * ROW_WORDS;
  }
}

/** The ICMP message at hand for every socket that it fits; true if there was one. Their users may do anything meanwhile. */
export function rawDeliver(s: Alt): boolean {
  const { pkt: p, raw, ct } = s;
  if (raw.used === 0) return false;
  const { bytes, ip, end, src, dst } = p;
  wholeHeader(bytes, ip, end);
  let taken = false;
  for (let i = 0; i < RAW_SOCKETS; i++) {
    const so = raw.socketOf[i] ?? null;
    if (so === null) continue;
    const o = raw.row(i);
    const laddr = at(raw.w, o + R_LADDR);
    const faddr = at(raw.w, o + R_FADDR);
    if ((laddr !== 0 && laddr !== dst) || (faddr !== 0 && faddr !== src)) continue;
    taken = true;
    ct.raw.ipackets++;
    s.from.addr.setV4(src);
    s.from.port = 0;
    if (!sorcvdgram(so, s.from, bytes, ip, end - ip)) ct.raw.fullsock++;
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
