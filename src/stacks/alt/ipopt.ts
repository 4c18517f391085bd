/** Socket options at level IPPROTO_IP (ip(4)) that this stack has: TTL and type of service. */
import type { Errno } from '../../kern/errno.ts';
import type { SockOpt } from '../../kern/socket/protosw.ts';
import { SOL_SOCKET, SO_SETFIB } from '../../kern/socket/soconst.ts';
import { IPPROTO_IP } from '../../wire/ipv4.ts';
import { at } from './slab.ts';

/** FreeBSD's numbers (netinet/in.h). */
export const IP_TOS_OPT = 3;
export const IP_TTL_OPT = 4;

/** Gets or sets a word that holds TTL | TOS << 8, TTL 0 for the default. ENOPROTOOPT, EINVAL. */
export function ipOption(w: Int32Array, word: number, dfltTtl: number, sopt: SockOpt): Errno | null {
  if (sopt.level === SOL_SOCKET && sopt.name === SO_SETFIB && sopt.dir === 'set') return sopt.value === 0 ? null : 'EINVAL';
  if (sopt.level !== IPPROTO_IP || (sopt.name !== IP_TTL_OPT && sopt.name !== IP_TOS_OPT)) return 'ENOPROTOOPT';
  const now = at(w, word);
  if (sopt.dir === 'get') {
    sopt.value = sopt.name === IP_TTL_OPT ? now & 0xff || dfltTtl : (now >>> 8) & 0xff;
    return null;
  }
  const v = sopt.value;
  if (typeof v !== 'number' || !Number.isInteger(v) || v < 0 || v > 255) return 'EINVAL';
  if (sopt.name === IP_TOS_OPT) w[word] = (now & ~0xff00) | (v << 8);
  else if (v === 0) return 'EINVAL';
  else w[word] = (now & ~0xff) | v;
  return null;
}
