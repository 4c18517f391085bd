/**
 * The way back to ourselves where no loopback interface is attached: copies of packets, delivered at the end of the batch as if they
 * had come in. Also carries our own broadcasts, which a link does not hand back to its sender.
 */
import type { Kernel } from '../../kern/kernel.ts';
import { NETISR_STACK, type NetisrWork } from '../../kern/netisr.ts';
import { PKT_CSUM_OK, PKT_LOOP, RxPacket, type TxPacket } from '../../kern/packet.ts';
import type { InetIf } from './netif.ts';
import type { IpStat } from './stats.ts';

/** Packets that may wait. */
const MAX_QUEUE = 256;

interface Looped {
  readonly bytes: Uint8Array;
  readonly len: number;
  readonly flags: number;
  readonly gsoSize: number;
  readonly nif: InetIf;
}

export class LoopQueue {
  readonly #kernel: Kernel;
  readonly #stat: IpStat;
  readonly #input: (pkt: RxPacket, nif: InetIf) => void;
  readonly #work: NetisrWork;
  readonly #rx = new RxPacket(new Uint8Array(0));
  #queue: Looped[] = [];

  constructor(kernel: Kernel, stat: IpStat, input: (pkt: RxPacket, nif: InetIf) => void) {
    this.#kernel = kernel;
    this.#stat = stat;
    this.#input = input;
    this.#work = { level: NETISR_STACK, queued: false, run: () => this.#deliver() };
  }

  /** Takes a copy of an IP packet as received on `nif`, to a group if `group` is PKT_BCAST or PKT_MCAST; the packet stays the caller's. */
  put(pkt: TxPacket, nif: InetIf, group: number): void {
    const len = pkt.length();
    const bytes = this.#queue.length < MAX_QUEUE ? this.#kernel.bufpool.alloc(len) : null;
    if (bytes === null) {
      this.#stat.loopdropped++;
      return;
    }
    pkt.copyTo(bytes, 0);
    this.#stat.looped++;
    const flags = PKT_LOOP | PKT_CSUM_OK | group;
    this.#queue.push({ bytes, len, flags, gsoSize: pkt.gsoSize, nif });
    this.#kernel.netisr.schedule(this.#work);
  }

  /** Those that are here now: answers to them wait for the next round. */
  #deliver(): void {
    const batch = this.#queue;
    this.#queue = [];
    const rx = this.#rx;
    for (const { bytes, len, flags, gsoSize, nif } of batch) {
      rx.bytes = bytes;
      rx.off = 0;
      rx.end = len;
      rx.flags = flags;
      rx.gsoSize = gsoSize;
      rx.ifp = nif.ifp;
      this.#input(rx, nif);
      this.#kernel.bufpool.free(bytes);
    }
  }
}
