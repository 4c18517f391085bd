/** Discard (RFC 863), TCP and UDP: takes everything, answers nothing. */
import type { Kernel } from '../kern/kernel.ts';
import type { SockAddr } from '../kern/socket/protosw.ts';
import type { Socket } from '../kern/socket/socket.ts';
import { DgramService, StreamService } from './service.ts';

export class DiscardStream extends StreamService {
  constructor(kernel: Kernel) {
    super(kernel, 'discard.tcp');
  }

  override data(_so: Socket, _bytes: Uint8Array, _off: number, len: number): number {
    this.counters.received += len;
    return len;
  }

  override readable(so: Socket): void {
    this.discard(so);
    if (this.atEnd(so)) this.end(so);
  }
}

export class DiscardDgram extends DgramService {
  constructor(kernel: Kernel) {
    super(kernel, 'discard.udp');
  }

  override datagram(_so: Socket, _from: SockAddr, _bytes: Uint8Array, _off: number, len: number): boolean {
    this.counters.received++;
    this.counters.receivedBytes += len;
    return true;
  }
}
