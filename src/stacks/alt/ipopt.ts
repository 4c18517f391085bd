/**
 * Socket options at level IPPROTO_IP (ip(4)) that this stack has: TTL, type of service, the least TTL that is taken (RFC 5082), and what is to
 * be told of datagrams.
 */
import type { Errno } from '../../kern/errno.ts';
import type { SockOpt } from '../../kern/socket/protosw.ts';
import { SOL_SOCKET, SO_SETFIB } from '../../kern/socket/soconst.ts';
import { IPPROTO_IP } from '../../wire/ipv4.ts';
import { at } from './slab.ts';

/** FreeBSD's numbers (netinet/in.h). */
export const IP_TOS_OPT = 3;
export const IP_TTL_OPT = 4;
export const IP_RECVDSTADDR_OPT = 7;
/** On the way out; the same number. */
export const IP_SENDSRCADDR_OPT = 7;
export const IP_RECVIF_OPT = 20;
export const IP_RECVTTL_OPT = 65;
export const IP_MINTTL_OPT = 66;
export const IP_RECVTOS_OPT = 68;

/** The word of a socket: TTL | TOS << 8 | least TTL << 16 | what it wants to know << 24; a TTL of 0 is the default. */
const TTL_SHIFT = 0;
const TOS_SHIFT = 8;
export const MINTTL_SHIFT = 16;
export const WANTS_SHIFT = 24;
export const WANTS_DSTADDR = 1;
export const WANTS_IF = 2;
export const WANTS_TTL = 4;
export const WANTS_TOS = 8;

/** Each option: where it is in the word, its bits there, and its least value. */
const FIELDS: ReadonlyMap<number, { readonly shift: number; readonly bits: number; readonly min: number }> = new Map([
  [IP_TTL_OPT, { shift: TTL_SHIFT, bits: 0xff, min: 1 }],
  [IP_TOS_OPT, { shift: TOS_SHIFT, bits: 0xff, min: 0 }],
  [IP_MINTTL_OPT, { shift: MINTTL_SHIFT, bits: 0xff, min: 0 }],
  [IP_RECVDSTADDR_OPT, { shift: WANTS_SHIFT, bits: WANTS_DSTADDR, min: 0 }],
  [IP_RECVIF_OPT, { shift: WANTS_SHIFT, bits: WANTS_IF, min: 0 }],
  [IP_RECVTTL_OPT, { shift: WANTS_SHIFT, bits: WANTS_TTL, min: 0 }],
  [IP_RECVTOS_OPT, { shift: WANTS_SHIFT, bits: WANTS_TOS, min: 0 }],
]);

/** Gets or sets a part of `w[word]`. ENOPROTOOPT, EINVAL. */
export function ipOption(w: Int32Array, word: number, dfltTtl: number, sopt: SockOpt): Errno | null {
  if (sopt.level === SOL_SOCKET && sopt.name === SO_SETFIB && sopt.dir === 'set') return sopt.value === 0 ? null : 'EINVAL';
  const field = sopt.level === IPPROTO_IP ? FIELDS.get(sopt.name) : undefined;
  if (field === undefined) return 'ENOPROTOOPT';
  const { shift, bits, min } = field;
  const flag = shift === WANTS_SHIFT;
  const now = at(w, word);
  if (sopt.dir === 'get') {
    const v = (now >>> shift) & bits;
    sopt.value = flag ? Number(v !== 0) : sopt.name === IP_TTL_OPT ? v || dfltTtl : v;
    return null;
  }
  const v = typeof sopt.value === 'boolean' && flag ? Number(sopt.value) : sopt.value;
  if (typeof v !== 'number' || !Number.isInteger(v) || v < min || v > (flag ? 1 : bits)) return 'EINVAL';
  w[word] = (now & ~(bits << shift)) | ((flag ? v * bits : v) << shift);
  return null;
}
