/**
 * Pacing on the callout wheel. Its ticks are a millisecond, so a paced sender sends one quantum a tick: what its rate gives for the time
 * since the last one, two segments at least. Only where congestion control asks for it (`tcb.paceRate`, bytes a second).
 */
import { T_PACE, type Tcb } from './tcb.ts';
import { timerArm, timerArmed } from './timerset.ts';

/**
 * Credit never stands for more than this, so that a pause is not made up for by a burst; less than the host's timers may be late would
 * lose rate. Microseconds.
 */
const CREDIT_MAX_US = 4000;

/** How much of `want` bytes may go now; below one segment nothing, and the timer is set for when there is more. */
export function paceAllow(tcb: Tcb, want: number): number {
  const { mss, paceRate } = tcb;
  const now = tcb.tcp.time.us;
  const elapsed = (now - tcb.paceUs) | 0;
  if (elapsed > 0) {
    tcb.paceUs = now;
    const most = Math.max(2 * mss, (paceRate * CREDIT_MAX_US) / 1e6);
    tcb.paceCredit = Math.min(most, tcb.paceCredit + (paceRate * elapsed) / 1e6);
  } else if (elapsed < 0) {
    // Not paced for so long that the time has come round.
    tcb.paceUs = now;
  }
  if (want <= mss) return tcb.paceCredit > 0 ? want : wait(tcb, 1);
  if (tcb.paceCredit >= want) return want;
  const whole = tcb.paceCredit - (tcb.paceCredit % mss);
  return whole >= mss ? whole : wait(tcb, mss - tcb.paceCredit);
}

function wait(tcb: Tcb, missing: number): number {
  if (!timerArmed(tcb, T_PACE)) timerArm(tcb, T_PACE, Math.max(1, Math.ceil((missing * 1000) / tcb.paceRate)));
  return 0;
}

/** `len` bytes went out. */
export function paceSpent(tcb: Tcb, len: number): void {
  tcb.paceCredit -= len;
}
