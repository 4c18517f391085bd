/**
 * User timeout: how long data may stay unacknowledged, or a window closed, before a connection ends (RFC 9293 §3.9.1.8), and the option by which
 * one end tells the other (RFC 5482). The user sets it by TCP_USER_TIMEOUT, and then it stays; or both ends exchange what they would
 * like (TCP_UTO, net.inet.tcp.uto.enable), and the longest within this host's limits holds (§3.1). The option goes in the SYN, with the first
 * segment behind it, and when the value changes; where a segment has no room for it, with the next that has.
 */
import type { TcpInst } from './inst.ts';
import { T_PERSIST, T_REXMT, type Tcb } from './tcb.ts';
import { timerArm } from './timerset.ts';

/** Granularity bit: minutes. The greatest value beside it. */
const UTO_MINUTES = 0x8000;
const UTO_MAX = 0x7fff;
/** The greatest number of seconds that the option can say. */
export const UTO_MAX_SEC = UTO_MAX * 60;
/** Bytes of the option. */
export const UTO_LEN = 4;

export class Uto {
  /** ENABLED and ADV_UTO of §3.1: the option is sent and taken; seconds that are advertised. */
  enabled = true;
  advSec: number;
  /** What the peer said last, milliseconds; 0: nothing. */
  remoteMs = 0;
  /** To go with the next segment that has room. */
  due = true;

  constructor(advSec: number) {
    this.advSec = advSec;
  }

  /** The option's two bytes. */
  field(): number {
    return this.advSec > UTO_MAX ? UTO_MINUTES | Math.ceil(this.advSec / 60) : this.advSec;
  }
}

/** A connection begins: the administrator may want the exchange on all. */
export function utoBegin(tcp: TcpInst, tcb: Tcb): void {
  if (tcp.config.utoEnable) tcb.uto ??= new Uto(tcp.config.utoAdvSec);
}

/** The peer's option came in an acceptable segment: 0 is reserved (§3). */
export function utoInput(tcb: Tcb, uto: Uto, field: number): void {
  const value = field & UTO_MAX;
  if (!uto.enabled || value === 0) return;
  tcb.tcp.stats.utorcvd++;
  uto.remoteMs = Math.min(value * ((field & UTO_MINUTES) !== 0 ? 60_000 : 1000), 0x7fffffff);
  utoAdopt(tcb);
}

/** The timeout that holds: the user's own if there is one (CHANGEABLE is then false), or what both ends agree on; 0: the count of retransmissions. */
export function utoAdopt(tcb: Tcb): void {
  const { config } = tcb.tcp;
  const { uto, options } = tcb;
  const before = tcb.userTimeoutMs;
  if (options !== null && options.userTimeoutMs > 0) tcb.userTimeoutMs = options.userTimeoutMs;
  else if (uto === null || !uto.enabled || uto.remoteMs === 0) tcb.userTimeoutMs = 0;
  else tcb.userTimeoutMs = Math.min(config.utoMaxMs, Math.max(uto.advSec * 1000, uto.remoteMs, config.utoMinMs));
  if (tcb.userTimeoutMs === before) return;
  // The timer that runs may be later than the new end.
  const which = tcb.timers & (T_REXMT | T_PERSIST);
  const left = (tcb.tRexmt - tcb.tcp.time.ms) | 0;
  if (which !== 0 && left > 0) timerArm(tcb, which, left);
}

/** True: it is over, the silence having begun with `tcb.rxtStartMs`. */
export function userTimeoutOver(tcb: Tcb): boolean {
  return tcb.userTimeoutMs > 0 && ((tcb.tcp.time.ms - tcb.rxtStartMs) | 0) >= tcb.userTimeoutMs;
}
