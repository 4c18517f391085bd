/** Socket options of level IPPROTO_TCP (tcp(4)), TTL, TOS and the least TTL (RFC 5082) of level IPPROTO_IP, and what SOL_SOCKET's mean for TCP. */
import type { Errno } from '../../../kern/errno.ts';
import type { SockOpt } from '../../../kern/socket/protosw.ts';
import { SOL_SOCKET, SO_KEEPALIVE, SO_RCVBUF, SO_SETFIB, SO_SNDBUF } from '../../../kern/socket/soconst.ts';
import { sosetfib } from '../../../kern/socket/sockopt.ts';
import { IPPROTO_IP, IPPROTO_TCP } from '../../../wire/ipv4.ts';
import { CONN_NEAR, CONN_TCB } from './conn.ts';
import { IPTOS_ECN_MASK } from './ecn.ts';
import { keepCnt, keepIdleMs, keepInitMs, keepIntvlMs, startKeepalive } from './establish.ts';
import { FastOpen } from './fastopen.ts';
import { ccName, setCongestion, switchBlock } from './functions.ts';
import { tcpInfo } from './info.ts';
import type { TcpInst } from './inst.ts';
import { mssUpdate } from './mss.ts';
import { TCPS_ESTABLISHED, TCPS_LISTEN } from './states.ts';
import { TF_ACKNOW, TF_DEAD, TF_NODELAY, TF_NOPUSH, TF_RCVFIXED, TF_SNDFIXED, type Tcb, type TcbOptions } from './tcb.ts';
import { UTO_MAX_SEC, Uto, utoAdopt } from './usertimeout.ts';
import { windowUpdateDue } from './window.ts';

/** FreeBSD's numbers (netinet/tcp.h). TCP_USER_TIMEOUT is Linux's option; its number here is our own. */
export const TCP_NODELAY = 1;
export const TCP_MAXSEG = 2;
export const TCP_NOPUSH = 4;
export const TCP_MD5SIG = 16;
export const TCP_INFO = 32;
export const TCP_CONGESTION = 64;
export const TCP_KEEPINIT = 128;
export const TCP_KEEPIDLE = 256;
export const TCP_KEEPINTVL = 512;
export const TCP_KEEPCNT = 1024;
export const TCP_FASTOPEN = 1025;
export const TCP_FUNCTION_BLK = 8192;
export const TCP_USER_TIMEOUT = 16_384;
/** Our own: RFC 5482's ADV_UTO and ENABLED, seconds; 0 disables. */
export const TCP_UTO = 16_385;
/** netinet/in.h. */
export const IP_TOS = 3;
export const IP_TTL = 4;
export const IP_MINTTL = 66;

const NO_OPTIONS: TcbOptions = {
  maxseg: 0,
  keepInitMs: 0,
  keepIdleMs: 0,
  keepIntvlMs: 0,
  keepCnt: 0,
  userTimeoutMs: 0,
  minTtl: 0,
};
/** Times of keep-alive options are in seconds, as in FreeBSD. */
const MAX_SECONDS = 2_147_483;

export function tcpCtloutput(tcp: TcpInst, tcb: Tcb, sopt: SockOpt): Errno | null {
  if (sopt.level === IPPROTO_TCP) return sopt.dir === 'set' ? setTcp(tcp, tcb, sopt.name, sopt.value) : getTcp(tcp, tcb, sopt);
  if (sopt.level === IPPROTO_IP) return ipOption(tcb, sopt);
  if (sopt.level === SOL_SOCKET && sopt.dir === 'set') return generic(tcp, tcb, sopt);
  return 'ENOPROTOOPT';
}

/** An option of the socket layer was set. */
function generic(tcp: TcpInst, tcb: Tcb, sopt: SockOpt): Errno | null {
  switch (sopt.name) {
    case SO_SETFIB:
      return sosetfib(tcb.so, sopt);
    case SO_KEEPALIVE:
      tcp.touch();
      if (tcb.state >= TCPS_ESTABLISHED && (tcb.flags & TF_DEAD) === 0) startKeepalive(tcb);
      return null;
    case SO_SNDBUF:
      tcb.flags |= TF_SNDFIXED;
      return null;
    case SO_RCVBUF:
      tcb.flags |= TF_RCVFIXED;
      if (tcb.state >= TCPS_ESTABLISHED && windowUpdateDue(tcb)) {
        tcb.flags |= TF_ACKNOW;
        tcp.mark(tcb);
      }
      return null;
    default:
      return 'ENOPROTOOPT';
  }
}

function integer(value: unknown, min: number, max: number): number | null {
  const n = typeof value === 'boolean' ? (value ? 1 : 0) : value;
  return typeof n === 'number' && Number.isInteger(n) && n >= min && n <= max ? n : null;
}

function setTcp(tcp: TcpInst, tcb: Tcb, name: number, value: unknown): Errno | null {
  switch (name) {
    case TCP_NODELAY:
      return setFlag(tcp, tcb, TF_NODELAY, value, true);
    case TCP_NOPUSH:
      return setFlag(tcp, tcb, TF_NOPUSH, value, false);
    case TCP_CONGESTION:
      return typeof value === 'string' ? setCongestion(tcp, tcb, value) : 'EINVAL';
    case TCP_FUNCTION_BLK:
      return typeof value === 'string' ? switchBlock(tcp, tcb, value) : 'EINVAL';
    case TCP_FASTOPEN:
      return setFastOpen(tcb, value);
    case TCP_MD5SIG:
      // RFC 2385 is obsolete, and its successor (RFC 5925) is not built: who asks for it must not believe that it is on.
      return integer(value, 0, 0x7fffffff) === 0 ? null : 'EOPNOTSUPP';
    case TCP_MAXSEG: {
      const maxseg = integer(value, 1, 65_495);
      if (maxseg === null || maxseg < tcp.config.minmss || (tcb.state >= TCPS_ESTABLISHED && maxseg > tcb.mss)) return 'EINVAL';
      setOption(tcb, { maxseg });
      if (tcb.state >= TCPS_ESTABLISHED && tcb.route !== null) mssUpdate(tcb, tcb.route);
      return null;
    }
    case TCP_KEEPINIT:
      return setSeconds(tcp, tcb, 'keepInitMs', value);
    case TCP_KEEPIDLE:
      return setSeconds(tcp, tcb, 'keepIdleMs', value);
    case TCP_KEEPINTVL:
      return setSeconds(tcp, tcb, 'keepIntvlMs', value);
    case TCP_KEEPCNT: {
      const keepCount = integer(value, 1, 1000);
      if (keepCount === null) return 'EINVAL';
      setOption(tcb, { keepCnt: keepCount });
      return null;
    }
    case TCP_USER_TIMEOUT: {
      const userTimeoutMs = integer(value, 0, 0x7fffffff);
      if (userTimeoutMs === null) return 'EINVAL';
      setOption(tcb, { userTimeoutMs });
      tcp.touch();
      utoAdopt(tcb);
      return null;
    }
    case TCP_UTO:
      return setUto(tcp, tcb, value);
    default:
      return 'ENOPROTOOPT';
  }
}

/** On a listener: take data in SYNs; before connect(2): send it there, with sendto(2). EISCONN later. */
function setFastOpen(tcb: Tcb, value: unknown): Errno | null {
  const on = integer(value, 0, 0x7fffffff);
  if (on === null) return 'EINVAL';
  if (tcb.state > TCPS_LISTEN || (tcb.flags & TF_DEAD) !== 0) return 'EISCONN';
  if (on === 0 && tcb.tfo === null) return null;
  (tcb.tfo ??= new FastOpen()).enabled = on !== 0;
  return null;
}

/** The exchange of user timeouts: on, with what is advertised, or off. A connection that stands tells the peer with its next segment. */
function setUto(tcp: TcpInst, tcb: Tcb, value: unknown): Errno | null {
  const sec = integer(value, 0, UTO_MAX_SEC);
  if (sec === null) return 'EINVAL';
  const uto = (tcb.uto ??= new Uto(sec));
  uto.enabled = sec > 0;
  uto.due = sec > 0;
  if (sec > 0) uto.advSec = sec;
  tcp.touch();
  utoAdopt(tcb);
  return null;
}

function setOption(tcb: Tcb, change: Partial<TcbOptions>): void {
  tcb.options = { ...(tcb.options ?? NO_OPTIONS), ...change };
}

function setSeconds(tcp: TcpInst, tcb: Tcb, key: 'keepInitMs' | 'keepIdleMs' | 'keepIntvlMs', value: unknown): Errno | null {
  const seconds = integer(value, 1, MAX_SECONDS);
  if (seconds === null) return 'EINVAL';
  setOption(tcb, { [key]: seconds * 1000 });
  tcp.touch();
  if (key !== 'keepInitMs' && tcb.state >= TCPS_ESTABLISHED && (tcb.flags & TF_DEAD) === 0) startKeepalive(tcb);
  return null;
}

/** `sendWhen`: the value with which what was held back may go. */
function setFlag(tcp: TcpInst, tcb: Tcb, flag: number, value: unknown, sendWhen: boolean): Errno | null {
  const on = integer(value, -0x80000000, 0x7fffffff);
  if (on === null) return 'EINVAL';
  tcb.flags = on !== 0 ? tcb.flags | flag : tcb.flags & ~flag;
  if ((on !== 0) === sendWhen && tcb.state >= TCPS_ESTABLISHED) tcp.mark(tcb);
  return null;
}

function getTcp(tcp: TcpInst, tcb: Tcb, sopt: SockOpt): Errno | null {
  switch (sopt.name) {
    case TCP_NODELAY:
      sopt.value = (tcb.flags & TF_NODELAY) !== 0 ? 1 : 0;
      return null;
    case TCP_NOPUSH:
      sopt.value = (tcb.flags & TF_NOPUSH) !== 0 ? 1 : 0;
      return null;
    case TCP_MAXSEG:
      sopt.value = tcb.mss > 0 ? tcb.mss : (tcb.options?.maxseg ?? 0) || tcp.config.mssdflt;
      return null;
    case TCP_CONGESTION:
      sopt.value = ccName(tcb);
      return null;
    case TCP_FUNCTION_BLK:
      sopt.value = tcb.fb.name;
      return null;
    case TCP_FASTOPEN:
      sopt.value = tcb.tfo !== null && tcb.tfo.enabled ? 1 : 0;
      return null;
    case TCP_MD5SIG:
      sopt.value = 0;
      return null;
    case TCP_KEEPINIT:
      sopt.value = Math.floor(keepInitMs(tcb) / 1000);
      return null;
    case TCP_KEEPIDLE:
      sopt.value = Math.floor(keepIdleMs(tcb) / 1000);
      return null;
    case TCP_KEEPINTVL:
      sopt.value = Math.floor(keepIntvlMs(tcb) / 1000);
      return null;
    case TCP_KEEPCNT:
      sopt.value = keepCnt(tcb);
      return null;
    case TCP_USER_TIMEOUT:
      sopt.value = tcb.options !== null && tcb.options.userTimeoutMs > 0 ? tcb.options.userTimeoutMs : tcb.userTimeoutMs;
      return null;
    case TCP_UTO:
      sopt.value = tcb.uto !== null && tcb.uto.enabled ? tcb.uto.advSec : 0;
      return null;
    case TCP_INFO:
      sopt.value = tcpInfo(tcb);
      return null;
    default:
      return 'ENOPROTOOPT';
  }
}

function ipOption(tcb: Tcb, sopt: SockOpt): Errno | null {
  if (sopt.name === IP_MINTTL) return minTtlOption(tcb, sopt);
  const key = sopt.name === IP_TTL ? 'ttl' : sopt.name === IP_TOS ? 'tos' : null;
  if (key === null) return 'ENOPROTOOPT';
  if (sopt.dir === 'get') {
    sopt.value = tcb.how[key];
    return null;
  }
  const value = integer(sopt.value, key === 'ttl' ? 1 : 0, 255);
  if (value === null) return 'EINVAL';
  // The two low bits of the type of service are TCP's own (RFC 3168 §5).
  tcb.how = { ...tcb.how, [key]: key === 'tos' ? value & ~IPTOS_ECN_MASK : value };
  return null;
}

/** Also on a listener, whose connections have it from the first segment on. */
function minTtlOption(tcb: Tcb, sopt: SockOpt): Errno | null {
  if (sopt.dir === 'get') {
    sopt.value = tcb.options === null ? 0 : tcb.options.minTtl;
    return null;
  }
  const minTtl = integer(sopt.value, 0, 255);
  if (minTtl === null) return 'EINVAL';
  if (minTtl > 0 || tcb.options !== null) setOption(tcb, { minTtl });
  tcb.kind = minTtl > 0 ? CONN_NEAR : CONN_TCB;
  return null;
}
