/**
 * Open files of a process: a socket with its blocked calls (file(9), of which only sockets exist here). The socket's handler wakes
 * them; bytes go through the socket's buffers.
 */
import { SocketHandler } from '../socket/handler.ts';
import type { Socket } from '../socket/socket.ts';
import { WaitQueue } from './wait.ts';

export class File {
  readonly so: Socket;
  /** Blocked in accept and receive; in connect and send. */
  readonly readers = new WaitQueue();
  readonly writers = new WaitQueue();
  /** Blocked in poll: each looks at this one again, and if it has something, at all of its descriptors. */
  readonly pollers = new Set<() => void>();
  closed = false;

  constructor(so: Socket) {
    this.so = so;
    so.data = this;
    so.handler = FILE_HANDLER;
  }

  wakeReaders(): void {
    this.readers.wake();
    this.wakePollers();
  }

  wakeWriters(): void {
    this.writers.wake();
    this.wakePollers();
  }

  wakeAll(): void {
    this.readers.wake();
    this.writers.wake();
    this.wakePollers();
  }

  wakePollers(): void {
    if (this.pollers.size === 0) return;
    for (const poller of [...this.pollers]) poller();
  }

  /** The descriptor is going: what is blocked on it gets EBADF. */
  revoke(): void {
    this.closed = true;
    this.readers.flush('EBADF');
    this.writers.flush('EBADF');
    this.wakePollers();
  }
}

/** `so.data` is a `File`, or null on a connection that nobody has accepted. */
class FileHandler extends SocketHandler {
  override accept(head: Socket): void {
    fileOf(head)?.wakeReaders();
  }
  override connected(so: Socket): void {
    fileOf(so)?.wakeAll();
  }
  override readable(so: Socket): void {
    fileOf(so)?.wakeReaders();
  }
  override writable(so: Socket): void {
    fileOf(so)?.wakeWriters();
  }
  override closed(so: Socket): void {
    fileOf(so)?.wakeAll();
  }
}

const FILE_HANDLER: SocketHandler = new FileHandler();

function fileOf(so: Socket): File | null {
  return so.data instanceof File ? so.data : null;
}
