/** The report of a transition to who watches the kernel (`kern/diag.ts`). */
import { sockAddr } from '../../../wire/addr.ts';
import type { Tcb } from './tcb.ts';

/** Called only where somebody listens. */
export function reportState(tcb: Tcb, from: string, to: string): void {
  const { laddr, lport, faddr, fport } = tcb;
  tcb.tcp.kernel.diag.state.publish({ proto: 'tcp', local: sockAddr(laddr, lport), remote: sockAddr(faddr, fport), from, to });
}
