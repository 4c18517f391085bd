/**
 * The eleven states (RFC 9293 §3.3.2) in FreeBSD's order, so that "has received a SYN", "is synchronised" are comparisons. Every
 * transition goes through `setState`, which holds the diagram as a table.
 */
import { reportState } from './statereport.ts';
import type { Tcb } from './tcb.ts';

export const TCPS_CLOSED = 0;
export const TCPS_LISTEN = 1;
export const TCPS_SYN_SENT = 2;
export const TCPS_SYN_RECEIVED = 3;
export const TCPS_ESTABLISHED = 4;
export const TCPS_CLOSE_WAIT = 5;
export const TCPS_FIN_WAIT_1 = 6;
export const TCPS_CLOSING = 7;
export const TCPS_LAST_ACK = 8;
export const TCPS_FIN_WAIT_2 = 9;
export const TCPS_TIME_WAIT = 10;

export const TCP_STATE_NAMES = [
  'CLOSED',
  'LISTEN',
  'SYN_SENT',
  'SYN_RECEIVED',
  'ESTABLISHED',
  'CLOSE_WAIT',
  'FIN_WAIT_1',
  'CLOSING',
  'LAST_ACK',
  'FIN_WAIT_2',
  'TIME_WAIT',
] as const;

const ANY_SYNCED = bits(TCPS_CLOSED);

/** For each state the states that may follow, one bit each. RFC 9293 figure 5, and CLOSED from everywhere (abort, reset, timeout). */
const NEXT = [
  // A connection taken out of the SYN cache begins in CLOSED and is established at once; SYN_RECEIVED is for the simultaneous open.
  bits(TCPS_LISTEN, TCPS_SYN_SENT, TCPS_ESTABLISHED),
  bits(TCPS_CLOSED),
  bits(TCPS_CLOSED, TCPS_SYN_RECEIVED, TCPS_ESTABLISHED),
  ANY_SYNCED | bits(TCPS_ESTABLISHED, TCPS_FIN_WAIT_1, TCPS_CLOSE_WAIT),
  ANY_SYNCED | bits(TCPS_CLOSE_WAIT, TCPS_FIN_WAIT_1),
  ANY_SYNCED | bits(TCPS_LAST_ACK),
  ANY_SYNCED | bits(TCPS_FIN_WAIT_2, TCPS_CLOSING, TCPS_TIME_WAIT),
  ANY_SYNCED | bits(TCPS_TIME_WAIT),
  ANY_SYNCED,
  ANY_SYNCED | bits(TCPS_TIME_WAIT),
  ANY_SYNCED,
] as const;

/** The user has asked to close: a FIN is to be sent behind the last byte, or is not yet acknowledged. */
const FIN_QUEUED = bits(TCPS_FIN_WAIT_1, TCPS_CLOSING, TCPS_LAST_ACK);
/** The peer's FIN has come: no data can follow. */
const FIN_RECEIVED = bits(TCPS_CLOSE_WAIT, TCPS_CLOSING, TCPS_LAST_ACK, TCPS_TIME_WAIT);

function bits(...states: number[]): number {
  return states.reduce((mask, state) => mask | (1 << state), 0);
}

export function finQueued(state: number): boolean {
  return ((FIN_QUEUED >>> state) & 1) !== 0;
}

export function finReceived(state: number): boolean {
  return ((FIN_RECEIVED >>> state) & 1) !== 0;
}

export function stateName(state: number): string {
  return TCP_STATE_NAMES[state] ?? `${state}`;
}

/** Changes a connection's state, and logs one line at trace level. */
export function setState(tcb: Tcb, next: number): void {
  const before = tcb.state;
  if (before === next) return;
  const { tcp } = tcb;
  if ((((NEXT[before] ?? 0) >>> next) & 1) === 0) {
    tcp.stats.badstate++;
    tcp.log.error(
      { from: stateName(before), to: stateName(next), lport: tcb.lport, fport: tcb.fport },
      'transition is not in the diagram',
    );
  }
  tcb.state = next;
  if (tcp.kernel.diag.state.hasSubscribers) reportState(tcb, stateName(before), stateName(next));
  if (tcp.log.enabled('trace')) {
    tcp.log.trace({ lport: tcb.lport, fport: tcb.fport }, `${stateName(before)} -> ${stateName(next)}`);
  }
}
