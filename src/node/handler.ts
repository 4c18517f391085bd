/**
 * The kernel's upcalls on their way to the objects of Node's API. One handler serves all stream sockets of all kernels, another all
 * datagram sockets; the object is in `so.data`. An exception of the user's code becomes an uncaught exception of the process, as in
 * Node, and never leaves through the input path.
 */
import type { Kernel } from '../kern/kernel.ts';
import { NO_HANDLER, SocketHandler } from '../kern/socket/handler.ts';
import type { SockAddr } from '../kern/socket/protosw.ts';
import type { Socket } from '../kern/socket/socket.ts';
import type { DgramSocket } from './dgram.ts';
import type { NetServer } from './server.ts';
import type { NetSocket } from './socket.ts';

function rethrowLater(kernel: Kernel, error: unknown): void {
  kernel.effects.defer(() => {
    throw error;
  });
}

class StreamHandler extends SocketHandler {
  override accept(head: Socket): void {
    try {
      (head.data as NetServer | null)?.onAccept(head);
    } catch (error) {
      rethrowLater(head.kernel, error);
    }
  }

  override connected(so: Socket): void {
    try {
      (so.data as NetSocket | null)?.onConnected();
    } catch (error) {
      rethrowLater(so.kernel, error);
    }
  }

  override data(so: Socket, bytes: Uint8Array, off: number, len: number): number {
    const socket = so.data as NetSocket | null;
    if (socket === null) return 0;
    const before = socket.bytesRead;
    try {
      return socket.onData(bytes, off, len);
    } catch (error) {
      rethrowLater(so.kernel, error);
      return socket.bytesRead - before === len ? len : 0;
    }
  }

  /** A listening socket is told of errors too: its server meets them when it accepts. */
  override readable(so: Socket): void {
    if (so.listen !== null) return this.accept(so);
    try {
      (so.data as NetSocket | null)?.onReadable(so);
    } catch (error) {
      rethrowLater(so.kernel, error);
    }
  }

  override writable(so: Socket): void {
    if (so.listen !== null) return;
    try {
      (so.data as NetSocket | null)?.onWritable();
    } catch (error) {
      rethrowLater(so.kernel, error);
    }
  }

  override closed(so: Socket): void {
    if (so.listen !== null) return;
    try {
      (so.data as NetSocket | null)?.onClosed(so);
    } catch (error) {
      rethrowLater(so.kernel, error);
    }
  }

  /** Runs user code from a timer or from the end of a batch. */
  guard(kernel: Kernel, run: () => void): void {
    try {
      run();
    } catch (error) {
      rethrowLater(kernel, error);
    }
  }

  /** Ends the upcalls of a socket that its object lets go of. */
  forget(so: Socket): void {
    so.handler = NO_HANDLER;
    so.data = null;
  }
}

class DgramHandler extends SocketHandler {
  override datagram(so: Socket, from: SockAddr, bytes: Uint8Array, off: number, len: number): boolean {
    try {
      (so.data as DgramSocket | null)?.onDatagram(from, bytes, off, len);
    } catch (error) {
      rethrowLater(so.kernel, error);
    }
    return true;
  }

  override readable(so: Socket): void {
    try {
      (so.data as DgramSocket | null)?.onReadable(so);
    } catch (error) {
      rethrowLater(so.kernel, error);
    }
  }
}

export const streamHandler = new StreamHandler();
export const dgramHandler = new DgramHandler();
