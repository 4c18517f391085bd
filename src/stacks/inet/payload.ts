/**
 * Payload into a packet to send. What fits the slot is copied there; more goes into a pooled buffer, and the packet gets a slice of it:
 * the caller's bytes are the caller's again in either case.
 */
import type { TxPacket } from '../../kern/packet.ts';
import type { BufPool } from '../../kern/socket/bufpool.ts';

/** Up to this many bytes a loop is no slower than a view and `set`, and leaves no garbage. */
const SHORT = 128;

/** Copies `len` bytes. */
export function copyBytes(dst: Uint8Array, at: number, src: Uint8Array, off: number, len: number): void {
  if (len > SHORT) {
    dst.set(src.subarray(off, off + len), at);
    return;
  }
  for (let i = 0; i < len; i++) dst[at + i] = src[off + i] as number;
}

/**
 * Appends `len` bytes. True: all is well. The buffer behind the slice, if there is one, is left in `spill` and is for the caller to
 * free once the packet is sent; the pool keeps it until the link has read it.
 */
export class PayloadWriter {
  spill: Uint8Array | null = null;
  readonly #pool: BufPool;

  constructor(pool: BufPool) {
    this.#pool = pool;
  }

  append(pkt: TxPacket, bytes: Uint8Array, off: number, len: number): boolean {
    this.spill = null;
    if (len <= pkt.room()) {
      copyBytes(pkt.bytes, pkt.append(len), bytes, off, len);
      return true;
    }
    const buf = this.#pool.alloc(len);
    if (buf === null) return false;
    buf.set(bytes.subarray(off, off + len));
    pkt.addFrag(buf, 0, len);
    this.spill = buf;
    return true;
  }

  /** The packet with the last payload is on its way. */
  sent(): void {
    if (this.spill === null) return;
    this.#pool.free(this.spill);
    this.spill = null;
  }
}
