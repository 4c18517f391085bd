/**
 * An interface as this stack sees it: what each packet asks of it in plain fields, copied from the `Ifnet` when that changes. The
 * loopback of a machine that has no `lo0` is one of them too: its packets wait in a fixed ring and come back in a later batch.
 */
import type { Errno } from '../../kern/errno.ts';
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import { IFCAP_LRO, IFCAP_RXCSUM, IFCAP_TSO4, IFCAP_TXCSUM } from '../../kern/ifnet/link.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { NETISR_LINK, type NetisrWork } from '../../kern/netisr.ts';
import { PKT_CSUM_OK, PKT_LOOP, RxPacket, TX_SLOT, TxPacket } from '../../kern/packet.ts';
import type { AltCounters } from './counters.ts';

/** Interfaces that the stack takes: a power of two, at most what ROUTE of a flow has room for. */
export const MAX_NETIFS = 16;

/** A link that leaves checksums open, and so has super-frames itself. */
const HOST_FRAMES = IFCAP_LRO | IFCAP_RXCSUM;

export class NetIf {
  /** Null for the built-in loopback. */
  readonly ifp: Ifnet | null;
  /** Place in the stack's table. */
  readonly ix: number;
  /** Has Ethernet headers and ARP. */
  readonly ethernet: boolean;
  readonly loopback: boolean;
  readonly mac = new Uint8Array(6);
  mtu = 0;
  /** Longest packet that the link cuts into segments, in bytes; 0: it does not. */
  tsoMax = 0;
  txcsum = false;
  /** Super-frames come so off the link: what a driver puts together from checked segments was a frame each in the link's queue. */
  superFrames = false;
  readonly #loop: LoopRing | null;

  constructor(ifp: Ifnet | null, ix: number, loop: LoopRing | null) {
    this.ifp = ifp;
    this.ix = ix;
    this.#loop = loop;
    this.ethernet = ifp !== null && ifp.type() === 'ethernet';
    this.loopback = ifp === null || ifp.type() === 'loopback';
    this.refresh();
  }

  /** Reads the interface's settings again. */
  refresh(): void {
    const { ifp } = this;
    if (ifp === null) {
      this.mtu = LOOP_MTU;
      this.txcsum = true;
      return;
    }
    const caps = ifp.capEnable();
    this.mtu = ifp.mtu();
    this.tsoMax = (caps & IFCAP_TSO4) !== 0 ? Math.min(ifp.tsoMax(), 65535) : 0;
    this.txcsum = (caps & IFCAP_TXCSUM) !== 0;
    this.superFrames = (caps & HOST_FRAMES) === HOST_FRAMES;
    const lladdr = ifp.lladdr();
    if (lladdr !== null && lladdr.length === 6) this.mac.set(lladdr);
  }

  /** An empty slot, or null. */
  alloc(): TxPacket | null {
    return this.ifp !== null ? this.ifp.txAlloc() : (this.#loop as LoopRing).alloc();
  }

  free(pkt: TxPacket): void {
    if (this.ifp !== null) this.ifp.txFree(pkt);
    else (this.#loop as LoopRing).free(pkt);
  }

  /** Takes the frame in every case. */
  transmit(pkt: TxPacket): Errno | null {
    return this.ifp !== null ? this.ifp.transmit(pkt) : (this.#loop as LoopRing).transmit(pkt);
  }

  isUp(): boolean {
    return this.ifp === null || this.ifp.isUp();
  }
}

const LOOP_SLOTS = 128;
/** Every packet fits a slot, so that it can be read where it was written. */
const LOOP_MTU = 1500;

/** Packets from this machine to itself. */
export class LoopRing {
  #input: (pkt: RxPacket) => void = () => undefined;
  readonly #slots: TxPacket[] = [];
  readonly #free: TxPacket[] = [];
  readonly #queue: TxPacket[] = [];
  readonly #batch: TxPacket[] = [];
  readonly #rx = new RxPacket(new Uint8Array(0));
  readonly #kernel: Kernel;
  readonly #ct: AltCounters;
  readonly #work: NetisrWork = {
    level: NETISR_LINK,
    queued: false,
    run: () => this.#kernel.effects.defer(() => this.#deliver()),
  };

  constructor(kernel: Kernel, counters: AltCounters) {
    this.#kernel = kernel;
    this.#ct = counters;
  }

  onInput(input: (pkt: RxPacket) => void): void {
    this.#input = input;
  }

  /** The slots are made when the first packet wants one. */
  alloc(): TxPacket | null {
    if (this.#slots.length === 0) {
      const slab = new Uint8Array(LOOP_SLOTS * TX_SLOT);
      for (let i = 0; i < LOOP_SLOTS; i++) this.#slots.push(new TxPacket(slab, i * TX_SLOT, i));
      this.#free.push(...this.#slots);
    }
    const pkt = this.#free.pop();
    if (pkt === undefined) {
      this.#ct.loopfull++;
      return null;
    }
    pkt.reset();
    return pkt;
  }

  free(pkt: TxPacket): void {
    this.#free.push(pkt);
  }

  transmit(pkt: TxPacket): null {
    this.#queue.push(pkt);
    this.#kernel.netisr.schedule(this.#work);
    return null;
  }

  /** Delivers what is queued now; what that sends is the next batch. */
  #deliver(): void {
    const { netisr } = this.#kernel;
    netisr.begin();
    this.#batch.push(...this.#queue);
    this.#queue.length = 0;
    const rx = this.#rx;
    for (const pkt of this.#batch) {
      rx.bytes = pkt.bytes;
      rx.off = pkt.off;
      rx.end = pkt.end;
      rx.flags = PKT_LOOP | PKT_CSUM_OK;
      rx.gsoSize = 0;
      this.#input(rx);
      this.#free.push(pkt);
    }
    this.#batch.length = 0;
    netisr.end();
  }
}
