/**
 * Packets that wait for a neighbour's address: copies, because the link's slots are few and their slices do not live long. Bounded
 * per neighbour by number and for all neighbours of an interface by bytes; the oldest goes first.
 */
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import { TX_HEADROOM, TX_SLOT, type TxPacket } from '../../kern/packet.ts';
import type { BufPool } from '../../kern/socket/bufpool.ts';

/** A kept packet: from its IP header on. */
export interface Held {
  readonly bytes: Uint8Array;
  readonly len: number;
  readonly flags: number;
  readonly gsoSize: number;
  /** As an offset from the IP header. */
  readonly csumStart: number;
  readonly csumOffset: number;
}

/** Bytes of a packet that stand in a slot's own buffer. */
const IN_SLOT = TX_SLOT - TX_HEADROOM;

export class ArpQueue {
  /** Bytes that all queues of this interface keep, and the most they may: a sysctl changes it. */
  bytes = 0;
  readonly #pool: BufPool;

  constructor(pool: BufPool) {
    this.#pool = pool;
  }

  /** A copy of `pkt`, or null without a buffer. */
  copy(pkt: TxPacket): Held | null {
    const len = pkt.length();
    const bytes = this.#pool.alloc(len);
    if (bytes === null) return null;
    pkt.copyTo(bytes, 0);
    this.bytes += bytes.length;
    return { bytes, len, flags: pkt.flags, gsoSize: pkt.gsoSize, csumStart: pkt.csumStart - pkt.off, csumOffset: pkt.csumOffset };
  }

  /** Forgets a kept packet. A frame that refers to its bytes may still be in the ring: the pool waits for that. */
  release(held: Held): void {
    this.bytes -= held.bytes.length;
    this.#pool.free(held.bytes);
  }

  /** The packet in a slot again, or null when there is none. The caller sends it and then releases `held`. */
  restore(held: Held, ifp: Ifnet): TxPacket | null {
    const pkt = ifp.txAlloc();
    if (pkt === null) return null;
    const first = Math.min(held.len, IN_SLOT);
    pkt.bytes.set(held.bytes.subarray(0, first), pkt.append(first));
    if (held.len > first) pkt.addFrag(held.bytes, first, held.len - first);
    pkt.flags = held.flags;
    pkt.gsoSize = held.gsoSize;
    pkt.csumStart = pkt.off + held.csumStart;
    pkt.csumOffset = held.csumOffset;
    return pkt;
  }
}
