/** Transitions of a flow: each is one line of log at trace level, and a report where somebody listens. */
import { ipv4, sockAddr } from '../../../wire/addr.ts';
import type { Alt } from '../alt.ts';
import { FADDR, LADDR, PORTS, ROW_SHIFT, STATE, STATE_NAMES } from '../flows.ts';
import { at } from '../slab.ts';

export function setState(s: Alt, i: number, next: number): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const before = at(w, o + STATE);
  w[o + STATE] = next;
  if (s.kernel.diag.state.hasSubscribers || s.tcpLog.enabled('trace')) reportState(s, i, before, STATE_NAMES[next] ?? '');
}

/** Says that the flow went from state `before` to the one named; the row still has its addresses. */
export function reportState(s: Alt, i: number, before: number, to: string): void {
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const from = STATE_NAMES[before] ?? '';
  const lport = at(w, o + PORTS) >>> 16;
  const fport = at(w, o + PORTS) & 0xffff;
  s.tcpLog.trace({ lport, fport }, `${from === 'FREE' ? 'CLOSED' : from} -> ${to}`);
  const { state } = s.kernel.diag;
  if (!state.hasSubscribers) return;
  const local = sockAddr(ipv4(at(w, o + LADDR)), lport);
  const remote = sockAddr(ipv4(at(w, o + FADDR)), fport);
  state.publish({ proto: 'tcp', local, remote, from: from === 'FREE' ? 'CLOSED' : from, to });
}
