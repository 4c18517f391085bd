/** The end of a socket: what closing, aborting and the overflow of a listen queue have in common (`sofree`, uipc_socket.c). */
import { NO_HANDLER } from './handler.ts';
import { sorcvrest, sosndrest } from './sobuf.ts';
import { SS_CANTRCVMORE, SS_CANTSENDMORE, SS_NOFDREF, type Socket } from './socket.ts';

/** True once its user has closed it; it has then no handler, and what the protocol still tells it goes nowhere. */
export function soisclosed(so: Socket): boolean {
  return (so.state & SS_NOFDREF) !== 0 && so.head === null;
}

/** Takes a connection out of its listener's queue of incomplete ones. */
export function sounqueue(so: Socket): void {
  so.head?.listen?.removeIncomp(so);
  so.head = null;
  so.filter = null;
}

/** Ends at once, with a reset where the protocol has one. No callback comes after it. */
export function soabort(so: Socket): void {
  if (soisclosed(so)) return;
  so.handler = NO_HANDLER;
  sounqueue(so);
  if (so.pcb !== null) so.methods.abort(so);
  sodetach(so);
  so.snd.clear();
  sosndrest(so);
}

/** The last step for the socket's user: the protocol forgets it, and nobody will read. The bytes in `so.snd` stay. */
export function sodetach(so: Socket): void {
  if (so.pcb !== null) so.methods.detach(so);
  so.state |= SS_NOFDREF | SS_CANTRCVMORE | SS_CANTSENDMORE;
  so.rcv.clear();
  sorcvrest(so);
  so.data = null;
  so.kernel.domains.counters.closed++;
  so.kernel.domains.sockets.remove(so);
}
