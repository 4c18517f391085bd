/** close(2) of a socket: wakes what is blocked on it, and waits for a lingering connection to end (SO_LINGER). */
import type { Errno } from '../errno.ts';
import { soclose } from '../socket/calls.ts';
import { SocketHandler } from '../socket/handler.ts';
import { SO_LINGER } from '../socket/soconst.ts';
import { SS_ISCONNECTED, SS_ISDISCONNECTING, SS_NBIO, type Socket } from '../socket/socket.ts';
import type { File } from './file.ts';
import { WaitQueue, block } from './wait.ts';

/** `so.data` is the queue of the one call that waits. */
class LingerHandler extends SocketHandler {
  override closed(so: Socket): void {
    if (so.data instanceof WaitQueue) so.data.wake();
  }
}

const LINGER_HANDLER: SocketHandler = new LingerHandler();

/** EAGAIN when the connection has not ended within SO_LINGER's time; it goes on ending without anyone. */
export function closeFile(file: File, mayWait: boolean): Errno | null | Promise<Errno | null> {
  const { so } = file;
  file.revoke();
  const lingers = mayWait && (so.options & SO_LINGER) !== 0 && so.linger > 0 && (so.state & SS_NBIO) === 0;
  const connected = (so.state & SS_ISCONNECTED) !== 0;
  const err = soclose(so);
  const open = (): boolean => (so.state & (SS_ISCONNECTED | SS_ISDISCONNECTING)) !== 0;
  if (err !== null || !lingers || !connected || !open()) return err;
  const queue = new WaitQueue();
  so.data = queue;
  so.handler = LINGER_HANDLER;
  return block<null>(so.kernel.callouts, queue, () => (open() ? 'EAGAIN' : null), so.linger * 1000);
}
