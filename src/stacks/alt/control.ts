/**
 * Control data of datagrams (ip(4)): what a socket asked to be told of one that came, and what it says about one that it sends. Made only for
 * a socket that asked.
 */
import type { Errno } from '../../kern/errno.ts';
import type { ControlMsg } from '../../kern/socket/protosw.ts';
import { ipv4, isHostV4 } from '../../wire/addr.ts';
import { IPPROTO_IP } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import type { IpHow } from './ipout.ts';
import {
  IP_RECVDSTADDR_OPT,
  IP_RECVIF_OPT,
  IP_RECVTOS_OPT,
  IP_RECVTTL_OPT,
  IP_SENDSRCADDR_OPT,
  IP_TOS_OPT,
  IP_TTL_OPT,
  WANTS_SHIFT,
  WANTS_DSTADDR,
  WANTS_IF,
  WANTS_TOS,
  WANTS_TTL,
} from './ipopt.ts';
import type { NetIf } from './netif.ts';

/** `opts` is the word of the socket's options; null where it wants nothing. */
export function saveControl(opts: number, dst: number, ttl: number, tos: number, nif: NetIf): readonly ControlMsg[] | null {
  const wants = opts >>> WANTS_SHIFT;
  if (wants === 0) return null;
  const out: ControlMsg[] = [];
  const level = IPPROTO_IP;
  const { ifp } = nif;
  if ((wants & WANTS_DSTADDR) !== 0) out.push({ level, type: IP_RECVDSTADDR_OPT, value: ipv4(dst) });
  if ((wants & WANTS_IF) !== 0) {
    const value = ifp === null ? { name: 'lo', index: 0 } : { name: ifp.name(), index: ifp.index };
    out.push({ level, type: IP_RECVIF_OPT, value });
  }
  if ((wants & WANTS_TTL) !== 0) out.push({ level, type: IP_RECVTTL_OPT, value: ttl });
  if ((wants & WANTS_TOS) !== 0) out.push({ level, type: IP_RECVTOS_OPT, value: tos });
  return out;
}

/**
 * Puts into `how` what one send says. EINVAL for what there is not, or a source where the socket has one (`laddr`); EADDRNOTAVAIL for a source
 * that is none of ours.
 */
export function readSendControl(s: Alt, how: IpHow, laddr: number, control: readonly ControlMsg[]): Errno | null {
  for (const { level, type, value } of control) {
    if (level !== IPPROTO_IP) return 'EINVAL';
    if (type === IP_SENDSRCADDR_OPT) {
      if (laddr !== 0 || !isHostV4(value)) return 'EINVAL';
      if (!s.routes.isLocal(value.w3)) return 'EADDRNOTAVAIL';
      how.src = value.w3;
      continue;
    }
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 255) return 'EINVAL';
    if (type === IP_TTL_OPT && value > 0) how.ttl = value;
    else if (type === IP_TOS_OPT) how.tos = value;
    else return 'EINVAL';
  }
  return null;
}
