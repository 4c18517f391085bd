/** Reports of the socket layer to the probes (`diag.ts`). Called only where somebody listens. */
import { type Errno, isErrno } from '../errno.ts';
import type { SockAddr } from './protosw.ts';
import type { Socket } from './socket.ts';

/** The ends of a connection as far as the protocol still tells them. */
function ends(so: Socket): { local: SockAddr | null; remote: SockAddr | null } {
  if (so.pcb === null) return { local: null, remote: null };
  const local = so.methods.sockaddr(so);
  const remote = so.methods.peeraddr(so);
  return { local: isErrno(local) ? null : local, remote: isErrno(remote) ? null : remote };
}

/** A connection from here stands (`error` null), or ended before it did. */
export function reportConnect(so: Socket, error: Errno | null): void {
  so.kernel.diag.connect.publish({ proto: so.proto.name, owner: so.owner, ...ends(so), error });
}

/** A connection of a listener is complete, its accept filter included. */
export function reportAccept(so: Socket): void {
  so.kernel.diag.accept.publish({ proto: so.proto.name, owner: so.owner, ...ends(so) });
}
