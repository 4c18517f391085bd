/**
 * What all services have in common: a name, a port, and an orderly end. Those that work straight on the kernel's sockets are
 * subclasses of `StreamService` and `DgramService`, one handler for all connections.
 */
import { type Errno, isErrno } from '../kern/errno.ts';
import { Callout } from '../kern/callout.ts';
import type { Kernel } from '../kern/kernel.ts';
import { soabort, soaccept, sobind, soclose, socreate, solisten } from '../kern/socket/calls.ts';
import { soreceive } from '../kern/socket/sendrecv.ts';
import { NO_HANDLER, SocketHandler } from '../kern/socket/handler.ts';
import { SOCK_DGRAM, SOCK_STREAM, type SockAddr } from '../kern/socket/protosw.ts';
import { SS_CANTRCVMORE, type Socket } from '../kern/socket/socket.ts';
import { familyOf } from '../node/address.ts';
import { FLOAT } from '../kern/float.ts';

/** A service that runs. */
export interface Service {
  readonly name: string;
  readonly port: number;
  /** Stops to listen, finishes what is in flight, and after `limitMs` ends the rest with a reset. */
  close(limitMs: number): Promise<void>;
}

/** Connections that may wait to be accepted. */
const BACKLOG = 1024;
/** Bytes moved at a time where bytes wait in `so.rcv`. */
const SCRATCH = 65536;

/** Counters of a service, group `service.<name>`. */
export class ServiceCounters {
  accepted = 0;
  closed = 0;
  /** Connections ended at shutdown because they did not end themselves in time. */
  aborted = 0;
  received = FLOAT;
  sent = FLOAT;

  constructor() {
    this.received = this.sent = 0;
  }
}

/** A service over a stream protocol. `so.data` is a number that the subclass uses as it likes. */
export abstract class StreamService extends SocketHandler {
  readonly counters = new ServiceCounters();
  protected readonly kernel: Kernel;
  protected readonly scratch = new Uint8Array(SCRATCH);
  protected closing = false;
  readonly #name: string;
  /** Connections that are open. Which they are, the kernel's list of sockets tells: those whose handler is this service. */
  #open = 0;
  #head: Socket | null = null;
  #drained: (() => void) | null = null;
  #uncount: () => void = () => undefined;

  constructor(kernel: Kernel, name: string) {
    super();
    this.kernel = kernel;
    this.#name = name;
  }

  /** EADDRINUSE, EAFNOSUPPORT without a stack, and what else bind and listen say. */
  listen(addr: SockAddr): Errno | null {
    const so = socreate(this.kernel, familyOf(addr), SOCK_STREAM, 0, null);
    if (isErrno(so)) return so;
    so.handler = this;
    so.data = 0;
    so.owner = this.#name;
    const err = sobind(so, addr) ?? solisten(so, BACKLOG);
    if (err !== null) {
      this.#release(so);
      return err;
    }
    this.#head = so;
    this.#uncount = this.kernel.counters.add(`service.${this.#name}`, this.counters);
    return null;
  }

  override accept(head: Socket): void {
    for (;;) {
      const so = soaccept(head);
      if (so === 'EAGAIN' || head !== this.#head) return;
      if (isErrno(so)) continue;
      so.handler = this;
      so.data = 0;
      this.counters.accepted++;
      this.#open++;
      this.opened(so);
      if (so.handler === this && (so.rcv.cc > 0 || (so.state & SS_CANTRCVMORE) !== 0)) this.readable(so);
    }
  }

  /** A new connection. */
  protected opened(_so: Socket): void {}

  /** At shutdown: end this connection as soon as what was begun is done. By default at once; unsent bytes still leave. */
  protected finish(so: Socket): void {
    this.end(so);
  }

  override closed(so: Socket): void {
    this.end(so);
  }

  /** Closes a connection in good order. */
  protected end(so: Socket): void {
    if (so.handler !== this || so === this.#head) return;
    this.#open--;
    this.counters.closed++;
    this.#release(so);
    if (this.#open === 0) this.#drained?.();
  }

  /** No more will come, and nothing is left to read. */
  protected atEnd(so: Socket): boolean {
    return so.rcv.cc === 0 && (so.state & SS_CANTRCVMORE) !== 0;
  }

  /** Reads and forgets what is in `so.rcv`. */
  protected discard(so: Socket): void {
    while (so.rcv.cc > 0) {
      const n = soreceive(so, this.scratch, 0, this.scratch.length, 0);
      if (isErrno(n) || n === 0) return;
      this.counters.received += n;
    }
  }

  #release(so: Socket): void {
    so.handler = NO_HANDLER;
    soclose(so);
  }

  async close(limitMs: number): Promise<void> {
    const head = this.#head;
    this.#head = null;
    this.closing = true;
    if (head !== null) this.#release(head);
    for (const so of this.#connections()) if (so.handler === this) this.finish(so);
    if (this.#open > 0) await this.#drain(limitMs);
    this.#uncount();
  }

  #connections(): Socket[] {
    return this.kernel.domains.sockets.all().filter((so) => so.handler === this && so.head === null);
  }

  #drain(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const limit = new Callout(this.kernel.callouts, () => this.#abortAll(), null);
      this.#drained = () => {
        limit.stop();
        resolve();
      };
      limit.reset(limitMs);
    });
  }

  #abortAll(): void {
    for (const so of this.#connections()) {
      this.counters.aborted++;
      so.handler = NO_HANDLER;
      soabort(so);
    }
    this.#open = 0;
    this.#drained?.();
  }
}

/** Counters of a datagram service, group `service.<name>`. Messages, or bytes where it says so. */
export class DgramCounters {
  received = 0;
  receivedBytes = 0;
  answered = 0;
  /** Answers that the stack refused; messages that were not answered because the two could answer each other for ever. */
  refused = 0;
  loopDropped = 0;
}

/** A service over a datagram protocol. */
export abstract class DgramService extends SocketHandler {
  readonly counters = new DgramCounters();
  protected readonly kernel: Kernel;
  readonly #name: string;
  #so: Socket | null = null;
  #uncount: () => void = () => undefined;

  constructor(kernel: Kernel, name: string) {
    super();
    this.kernel = kernel;
    this.#name = name;
  }

  listen(addr: SockAddr): Errno | null {
    const so = socreate(this.kernel, familyOf(addr), SOCK_DGRAM, 0, null);
    if (isErrno(so)) return so;
    so.handler = this;
    so.owner = this.#name;
    const err = sobind(so, addr);
    if (err !== null) {
      soclose(so);
      return err;
    }
    this.#so = so;
    this.#uncount = this.kernel.counters.add(`service.${this.#name}`, this.counters);
    return null;
  }

  async close(): Promise<void> {
    if (this.#so !== null) {
      this.#so.handler = NO_HANDLER;
      soclose(this.#so);
    }
    this.#so = null;
    this.#uncount();
  }
}
