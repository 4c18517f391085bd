/**
 * The slots that a link hands out for output: packets over one slab. Slots that were used last are handed out first, while their
 * bytes are still in the processor's cache.
 */
import { TX_SLOT, TxPacket } from '../kern/packet.ts';

export class TxRing {
  readonly slab: Uint8Array;
  /** A slot given back that was not out: a stack's mistake, which costs nothing but is counted. */
  doublefree = 0;
  readonly #packets: TxPacket[] = [];
  /** Numbers of the free slots, a stack. */
  readonly #free: Int32Array;
  #nfree: number;
  /** 1 for each slot that is out. */
  readonly #out: Uint8Array;

  /** `slab`: the bytes of all slots, if they are to lie somewhere in particular. */
  constructor(slots: number, slab = new Uint8Array(slots * TX_SLOT)) {
    this.slab = slab;
    this.#free = new Int32Array(slots);
    this.#nfree = slots;
    this.#out = new Uint8Array(slots);
    for (let i = 0; i < slots; i++) {
      this.#packets.push(new TxPacket(this.slab, i * TX_SLOT, i));
      this.#free[i] = slots - 1 - i;
    }
  }

  /** An empty packet, or null while all are out. */
  alloc(): TxPacket | null {
    if (this.#nfree === 0) return null;
    const slot = this.#free[--this.#nfree] as number;
    this.#out[slot] = 1;
    const pkt = this.#packets[slot] as TxPacket;
    pkt.reset();
    return pkt;
  }

  free(pkt: TxPacket): void {
    this.freeSlot(pkt.slot);
  }

  freeSlot(slot: number): void {
    if (this.#out[slot] !== 1) {
      this.doublefree++;
      return;
    }
    this.#out[slot] = 0;
    this.#free[this.#nfree++] = slot;
  }

  /** Slots that are free. */
  available(): number {
    return this.#nfree;
  }
}
