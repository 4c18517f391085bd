/** What `Kernel.reset` does to sockets that no process has: connections end at once, listeners and datagram sockets stay. */
import type { Kernel } from '../kernel.ts';
import { AF_LOCAL, PR_CONNREQUIRED } from './protosw.ts';
import { SS_ISCONNECTED, SS_ISCONNECTING, SS_ISDISCONNECTING, SS_ISDISCONNECTED, type Socket } from './socket.ts';
import { soabort } from './sofree.ts';
import { soisdisconnected } from './upcalls.ts';

/** Ends every connection of the stack with ECONNABORTED for its user; one that nobody has accepted goes without a word. */
export function soresetall({ domains }: Pick<Kernel, 'domains'>): void {
  const connection = SS_ISCONNECTED | SS_ISCONNECTING | SS_ISDISCONNECTING;
  const going = (so: Socket): boolean => (so.state & connection) !== 0 && (so.state & SS_ISDISCONNECTED) === 0;
  for (const so of domains.sockets.all()) {
    if (so.domain.family === AF_LOCAL || (so.proto.flags & PR_CONNREQUIRED) === 0 || !going(so)) continue;
    if (so.head !== null) {
      // Those that wait for accept are skipped there, because they are over.
      if (so.head.listen?.isIncomp(so) === true) soabort(so);
      else if (so.pcb !== null) so.methods.abort(so);
      continue;
    }
    // First the reason: the protocol's abort tells the user that it is over.
    so.error = 'ECONNABORTED';
    if (so.pcb !== null) so.methods.abort(so);
    soisdisconnected(so);
  }
}
