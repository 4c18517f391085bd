/** Options of a stream socket (tcp(4)), with FreeBSD's numbers, and TCP_INFO. */
import type { Errno } from '../../../kern/errno.ts';
import type { SockOpt } from '../../../kern/socket/protosw.ts';
import { SOL_SOCKET, SO_KEEPALIVE, SO_RCVBUF, SO_SNDBUF } from '../../../kern/socket/soconst.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import type { Alt } from '../alt.ts';
import {
  FLAGS, F_MINTTL, F_NODELAY, F_NOPUSH, F_RCVFIXED, F_SNDFIXED, KEEP_CNT, KEEP_IDLE, KEEP_INTVL, MAXSEG, MSS, ROW_SHIFT, STATE,
  TS_ESTABLISHED, TTL_TOS, USER_TIMEOUT, field, setField
} from '../flows.ts'; // prettier-ignore
import { IP_MINTTL_OPT, MINTTL_SHIFT, ipOption } from '../ipopt.ts';
import { at } from '../slab.ts';
import { ccName, setCongestion } from './cc.ts';
import { tcpInfo } from './info.ts';
import { armKeepalive } from './timer.ts';

export const TCP_NODELAY = 1;
export const TCP_MAXSEG = 2;
export const TCP_NOPUSH = 4;
export const TCP_INFO = 32;
export const TCP_CONGESTION = 64;
export const TCP_KEEPINIT = 128;
export const TCP_KEEPIDLE = 256;
export const TCP_KEEPINTVL = 512;
export const TCP_KEEPCNT = 1024;
/** Linux's option; its number here is our own, and the other stack's. */
export const TCP_USER_TIMEOUT = 16_384;

/** ENOPROTOOPT for an unknown option, EINVAL for a bad value, ECONNRESET for a connection that is over, whose row is another's by now (tcp(4)). */
export function ctloutput(s: Alt, so: Socket, sopt: SockOpt): Errno | null {
  const i = so.pcb as number | null;
  if (i === null) return sopt.level === SOL_SOCKET ? 'EINVAL' : 'ECONNRESET';
  if (sopt.level === SOL_SOCKET && sopt.name === SO_KEEPALIVE && sopt.dir === 'set') {
    refresh(s);
    armKeepalive(s, i);
    return null;
  }
  if (sopt.level === SOL_SOCKET && sopt.name === SO_RCVBUF && sopt.dir === 'set') {
    const o = i << ROW_SHIFT;
    s.flows.w[o + FLAGS] = at(s.flows.w, o + FLAGS) | F_RCVFIXED;
    return null;
  }
  if (sopt.level === SOL_SOCKET && sopt.name === SO_SNDBUF && sopt.dir === 'set') {
    const o = i << ROW_SHIFT;
    s.flows.w[o + FLAGS] = at(s.flows.w, o + FLAGS) | F_SNDFIXED;
    return null;
  }
  if (sopt.level !== IPPROTO_TCP) {
    const word = Int32Array.of(s.flows.side(i << ROW_SHIFT, TTL_TOS));
    const err = ipOption(word, 0, s.cfg.ttl, sopt);
    s.flows.setSide(i << ROW_SHIFT, TTL_TOS, at(word, 0));
    if (sopt.name === IP_MINTTL_OPT && err === null && sopt.dir === 'set') guard(s, i, at(word, 0));
    return err;
  }
  return sopt.dir === 'get' ? getOption(s, i, sopt) : setOption(s, i, sopt);
}

/** What input looks at first. */
function guard(s: Alt, i: number, opts: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  w[o + FLAGS] = ((opts >>> MINTTL_SHIFT) & 0xff) !== 0 ? flags | F_MINTTL : flags & ~F_MINTTL;
}

function refresh(s: Alt): void {
  if (!s.kernel.netisr.active()) s.time.refresh();
}

function getOption(s: Alt, i: number, sopt: SockOpt): Errno | null {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const flags = at(w, o + FLAGS);
  switch (sopt.name) {
    case TCP_NODELAY:
      sopt.value = (flags & F_NODELAY) !== 0 ? 1 : 0;
      return null;
    case TCP_NOPUSH:
      sopt.value = (flags & F_NOPUSH) !== 0 ? 1 : 0;
      return null;
    case TCP_MAXSEG:
      sopt.value = field(w, o, MSS) || s.flows.side(o, MAXSEG) || 536;
      return null;
    case TCP_KEEPIDLE:
      sopt.value = s.flows.side(o, KEEP_IDLE) || s.cfg.keepIdleMs / 1000;
      return null;
    case TCP_KEEPINTVL:
      sopt.value = s.flows.side(o, KEEP_INTVL) || s.cfg.keepIntvlMs / 1000;
      return null;
    case TCP_KEEPCNT:
      sopt.value = s.flows.side(o, KEEP_CNT) & 0xff || s.cfg.keepCnt;
      return null;
    case TCP_KEEPINIT:
      sopt.value = s.flows.side(o, KEEP_CNT) >>> 8 || Math.floor(s.cfg.keepInitMs / 1000);
      return null;
    case TCP_CONGESTION:
      sopt.value = ccName(s, i);
      return null;
    case TCP_USER_TIMEOUT:
      sopt.value = s.flows.side(o, USER_TIMEOUT);
      return null;
    case TCP_INFO:
      refresh(s);
      sopt.value = tcpInfo(s, i);
      return null;
    default:
      return 'ENOPROTOOPT';
  }
}

function setOption(s: Alt, i: number, sopt: SockOpt): Errno | null {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const { name } = sopt;
  if (name === TCP_CONGESTION) {
    if (typeof sopt.value !== 'string') return 'EINVAL';
    return setCongestion(s, i, sopt.value) ? null : 'ENOENT';
  }
  const v = typeof sopt.value === 'boolean' ? Number(sopt.value) : sopt.value;
  // As setsockopt(2), whose values are 32 bits.
  if (typeof v !== 'number' || v !== (v | 0)) return 'EINVAL';
  if (name === TCP_NODELAY || name === TCP_NOPUSH) {
    const bit = name === TCP_NODELAY ? F_NODELAY : F_NOPUSH;
    const flags = at(w, o + FLAGS);
    w[o + FLAGS] = v !== 0 ? flags | bit : flags & ~bit;
    // What waited for company leaves now.
    if ((name === TCP_NODELAY) === (v !== 0) && at(w, o + STATE) >= TS_ESTABLISHED) s.mark(i);
    return null;
  }
  if (name === TCP_MAXSEG) {
    if (v < 64 || v > 65495) return 'EINVAL';
    if (field(w, o, MSS) !== 0 && v > field(w, o, MSS)) return 'EINVAL';
    s.flows.setSide(o, MAXSEG, v);
    if (field(w, o, MSS) !== 0) setField(w, o, MSS, v);
    return null;
  }
  if (name === TCP_USER_TIMEOUT) {
    if (v < 0 || v > 0x7fffffff) return 'EINVAL';
    s.flows.setSide(o, USER_TIMEOUT, v);
    return null;
  }
  if (name === TCP_KEEPINIT || name === TCP_KEEPCNT) {
    const init = name === TCP_KEEPINIT;
    if (v < 1 || v > (init ? 2_147_483 : 127)) return 'EINVAL';
    const both = s.flows.side(o, KEEP_CNT);
    s.flows.setSide(o, KEEP_CNT, init ? (both & 0xff) | (v << 8) : (both & ~0xff) | v);
    return null;
  }
  const word = name === TCP_KEEPIDLE ? KEEP_IDLE : name === TCP_KEEPINTVL ? KEEP_INTVL : -1;
  if (word < 0) return name === TCP_INFO ? 'EINVAL' : 'ENOPROTOOPT';
  if (v < 1 || v > 86_400) return 'EINVAL';
  s.flows.setSide(o, word, v);
  refresh(s);
  armKeepalive(s, i);
  return null;
}
