/**
 * Echo (RFC 862), TCP and UDP, straight on the kernel's sockets. TCP: what comes goes into the send buffer from the link's own
 * bytes; what does not fit stays in `so.rcv`, where it closes the peer's window, and follows when there is room.
 */
import { type Errno, isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { soreceive, sosend, sosendto } from '../kern/socket/sendrecv.ts';
import type { SockAddr } from '../kern/socket/protosw.ts';
import type { Socket } from '../kern/socket/socket.ts';
import { DgramService, StreamService } from './service.ts';

/** Ports whose owners answer whatever comes: echo, discard, chargen and their like. An answer to them would never end. */
const ANSWERING_PORTS: ReadonlySet<number> = new Set([7, 11, 13, 17, 19, 37]);

export class EchoStream extends StreamService {
  constructor(kernel: Kernel) {
    super(kernel, 'echo.tcp');
  }

  override data(so: Socket, bytes: Uint8Array, off: number, len: number): number {
    const n = sosend(so, bytes, off, len);
    if (isErrno(n)) return 0;
    this.counters.received += n;
    this.counters.sent += n;
    return n;
  }

  override readable(so: Socket): void {
    this.#move(so);
  }

  override writable(so: Socket): void {
    this.#move(so);
  }

  #move(so: Socket): void {
    const { scratch, counters } = this;
    for (;;) {
      const want = Math.min(so.rcv.cc, so.snd.space(), scratch.length);
      if (want <= 0) break;
      const n = soreceive(so, scratch, 0, want, 0);
      if (isErrno(n) || n === 0) break;
      const sent = sosend(so, scratch, 0, n);
      counters.received += n;
      if (sent !== n) return this.#lost(so, sent);
      counters.sent += n;
    }
    if (this.atEnd(so) || (this.closing && so.rcv.cc === 0)) this.end(so);
  }

  /** There was room, and yet not all was taken: the connection cannot go on truthfully. */
  #lost(so: Socket, why: number | Errno): void {
    this.kernel.log.debug({ service: 'echo', why }, 'connection ended: bytes could not be sent back');
    this.end(so);
  }

  protected override finish(so: Socket): void {
    this.#move(so);
  }
}

export class EchoDgram extends DgramService {
  constructor(kernel: Kernel) {
    super(kernel, 'echo.udp');
  }

  override datagram(so: Socket, from: SockAddr, bytes: Uint8Array, off: number, len: number): boolean {
    const { counters } = this;
    counters.received++;
    counters.receivedBytes += len;
    if (from.kind === 'inet' && ANSWERING_PORTS.has(from.port)) counters.loopDropped++;
    else if (sosendto(so, bytes, off, len, from) === null) counters.answered++;
    else counters.refused++;
    return true;
  }
}
