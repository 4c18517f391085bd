/**
 * Setting the timers of a connection. All of them share one callout, which goes off at the earliest or before it: a timer that is
 * moved later, or taken away, leaves the callout alone. So a connection that is busy touches the wheel a few times a second.
 */
import { TF_CALLOUT, T_DELACK, T_FINWAIT2, T_KEEP, T_PACE, T_PERSIST, T_RACK, T_REXMT, type Tcb } from './tcb.ts';

/** Sets timer `which` to go off in `ms` milliseconds. */
export function timerArm(tcb: Tcb, which: number, ms: number): void {
  if (tcb.userTimeoutMs > 0 && (which & (T_REXMT | T_PERSIST)) !== 0) ms = clamped(tcb, ms);
  const at = (tcb.tcp.time.ms + ms) | 0;
  switch (which) {
    case T_REXMT:
      tcb.timers &= ~T_PERSIST;
      tcb.tRexmt = at;
      break;
    case T_PERSIST:
      tcb.timers &= ~T_REXMT;
      tcb.tRexmt = at;
      break;
    case T_KEEP:
      tcb.tKeep = at;
      break;
    case T_FINWAIT2:
      tcb.tFinWait2 = at;
      break;
    case T_DELACK:
      tcb.tDelack = at;
      break;
    case T_RACK:
      tcb.tRack = at;
      break;
    case T_PACE:
      tcb.tPace = at;
      break;
  }
  tcb.timers |= which;
  if ((tcb.flags & TF_CALLOUT) !== 0 && ((at - tcb.calloutAt) | 0) >= 0) return;
  tcb.calloutAt = at;
  tcb.flags |= TF_CALLOUT;
  tcb.callout.reset(ms);
}

/** The user's timeout ends a connection at its time, and not at the retransmission behind it. */
function clamped(tcb: Tcb, ms: number): number {
  const silent = tcb.rxtShift > 0 ? (tcb.tcp.time.ms - tcb.rxtStartMs) | 0 : 0;
  const left = tcb.userTimeoutMs - silent;
  return left < 1 ? 1 : left < ms ? left : ms;
}

export function timerStop(tcb: Tcb, which: number): void {
  tcb.timers &= ~which;
}

export function timerArmed(tcb: Tcb, which: number): boolean {
  return (tcb.timers & which) !== 0;
}

/** Sets the callout to the earliest timer that is set. */
export function timerRearm(tcb: Tcb): void {
  const { timers } = tcb;
  if (timers === 0) return;
  const now = tcb.tcp.time.ms;
  let least = 0x7fffffff;
  if ((timers & (T_REXMT | T_PERSIST)) !== 0) least = Math.min(least, (tcb.tRexmt - now) | 0);
  if ((timers & T_KEEP) !== 0) least = Math.min(least, (tcb.tKeep - now) | 0);
  if ((timers & T_FINWAIT2) !== 0) least = Math.min(least, (tcb.tFinWait2 - now) | 0);
  if ((timers & T_DELACK) !== 0) least = Math.min(least, (tcb.tDelack - now) | 0);
  if ((timers & T_RACK) !== 0) least = Math.min(least, (tcb.tRack - now) | 0);
  if ((timers & T_PACE) !== 0) least = Math.min(least, (tcb.tPace - now) | 0);
  if (least < 1) least = 1;
  tcb.calloutAt = (now + least) | 0;
  tcb.flags |= TF_CALLOUT;
  tcb.callout.reset(least);
}
