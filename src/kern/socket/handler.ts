/**
 * Contract of a socket's user inside the process: the routines that the socket calls as things happen. Each has a default that does
 * nothing, so a subclass writes only what it needs. One handler serves any number of sockets; what belongs to one is in `so.data`.
 * They run on the input path: short, never throwing; calls on the socket from inside are allowed.
 */
import type { ControlMsg, SockAddr } from './protosw.ts';
import type { Socket } from './socket.ts';

export class SocketHandler {
  /** A listening socket has a connection to accept. */
  accept(_head: Socket): void {}

  /** The connection stands. */
  connected(_so: Socket): void {}

  /**
   * Bytes of a stream, in order, straight from the link's buffer: valid only during the call. Returns how many were taken; the rest
   * is kept in `so.rcv` until `soreceive`. Only called while `so.rcv` is empty.
   */
  data(_so: Socket, _bytes: Uint8Array, _off: number, _len: number): number {
    return 0;
  }

  /**
   * A message and its sender; both valid only during the call. `control` is what the socket asked to be told of it, or null. True: taken.
   * False: it is queued in `so.rcv`.
   */
  datagram(
    _so: Socket,
    _from: SockAddr,
    _bytes: Uint8Array,
    _off: number,
    _len: number,
    _control: readonly ControlMsg[] | null,
  ): boolean {
    return false;
  }

  /** There is something to read: bytes, the end of the stream, or an error. */
  readable(_so: Socket): void {}

  /** There is room to write again, at least the low-water mark. */
  writable(_so: Socket): void {}

  /** The connection is over, both ways; `so.error` says why if it was not in order. */
  closed(_so: Socket): void {}
}

/** The handler of a socket that nobody watches. */
export const NO_HANDLER = new SocketHandler();
