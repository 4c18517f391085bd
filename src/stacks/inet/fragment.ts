/**
 * Cutting a datagram for a link that is too narrow (RFC 791 §2.3, §3.2). What fits a slot is copied into it; a longer fragment keeps
 * slices of the original.
 */
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import { TX_HEADROOM, TX_SLOT, type TxPacket } from '../../kern/packet.ts';

const IN_SLOT = TX_SLOT - TX_HEADROOM;

/** Reads a frame's bytes from front to back, slice after slice. */
export class PacketCursor {
  readonly #pkt: TxPacket;
  /** Slice that is read: -1 is the frame's own buffer. */
  #slice = -1;
  #at: number;
  #left: number;

  constructor(pkt: TxPacket) {
    this.#pkt = pkt;
    this.#at = pkt.off;
    this.#left = pkt.end - pkt.off;
  }

  /** The next `n` bytes as the payload of an empty `out`. */
  moveTo(out: TxPacket, n: number): void {
    let left = n;
    while (left > 0) {
      if (this.#left === 0) this.#next();
      const take = Math.min(left, this.#left);
      const own = this.#slice < 0;
      const bytes = own ? this.#pkt.bytes : (this.#pkt.fragBytes[this.#slice] as Uint8Array);
      // The original's own buffer goes back to the ring before the link has read it: its bytes are always copied.
      if (own || n <= IN_SLOT) out.bytes.set(bytes.subarray(this.#at, this.#at + take), out.append(take));
      else out.addFrag(bytes, this.#at, take);
      this.#at += take;
      this.#left -= take;
      left -= take;
    }
  }

  #next(): void {
    this.#slice++;
    this.#at = this.#pkt.fragOff[this.#slice] as number;
    this.#left = this.#pkt.fragLen[this.#slice] as number;
  }
}

/** Sends one piece: `off` in bytes from the start of the datagram's data, `more` for all but the last. Null: sent. */
export type EmitFragment<E> = (piece: TxPacket, off: number, more: boolean) => E | null;

/**
 * Cuts the data of `pkt` (no IP header yet) into pieces of at most `maxData` bytes, a multiple of 8, each in a slot of `ifp`. Stops at
 * the first error; `noSlot` when the ring is full. The original stays the caller's.
 */
export function fragment<E>(pkt: TxPacket, ifp: Ifnet, maxData: number, emit: EmitFragment<E>, noSlot: E): E | null {
  const total = pkt.length();
  const step = maxData & ~7;
  const cursor = new PacketCursor(pkt);
  for (let off = 0; off < total; off += step) {
    const piece = ifp.txAlloc();
    if (piece === null) return noSlot;
    const n = Math.min(step, total - off);
    cursor.moveTo(piece, n);
    const err = emit(piece, off, off + n < total);
    if (err !== null) return err;
  }
  return null;
}
