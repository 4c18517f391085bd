/**
 * Frames that a link keeps: copies of what a stack sent, on their way to whoever receives them. Objects and buffers are used again.
 */
import { PKT_BCAST, PKT_MCAST, type TxPacket } from '../kern/packet.ts';
import { ETHER_HDR_LEN, macIsBroadcast, macIsGroup } from '../wire/ethernet.ts';

/** Where a frame begins in its buffer: the IP header behind an Ethernet header is then aligned to 4 bytes. */
export const FRAME_OFF = 2;
const SMALL = 2048;
/** Room for the longest IP packet with link header and a VLAN tag. */
export const FRAME_MAX = 65535 + 18;
const LARGE = FRAME_MAX + FRAME_OFF;

/** A frame in `bytes[FRAME_OFF .. end)`. */
export class Frame {
  readonly bytes: Uint8Array;
  end = FRAME_OFF;
  /** What the owner needs: `TX_*` bits on a pair, `PKT_*` bits on its way up. */
  flags = 0;
  gsoSize = 0;
  /** As offsets into `bytes`, like in `TxPacket`. */
  csumStart = 0;
  csumOffset = 0;
  /** When it is due, by the monotonic clock; `order` decides among frames that are due at once. */
  dueMs = 0;
  order = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Hands out frames of two sizes. Its user bounds how many are out; the free ones are never more than were out at once. */
export class FramePool {
  readonly #small: Frame[] = [];
  readonly #large: Frame[] = [];

  /** A frame for `len` bytes, all fields zero. */
  get(len: number): Frame {
    const small = len + FRAME_OFF <= SMALL;
    const frame = (small ? this.#small : this.#large).pop() ?? new Frame(new Uint8Array(small ? SMALL : LARGE));
    frame.end = FRAME_OFF + len;
    frame.flags = 0;
    frame.gsoSize = 0;
    frame.csumStart = 0;
    frame.csumOffset = 0;
    frame.dueMs = 0;
    return frame;
  }

  put(frame: Frame): void {
    (frame.bytes.length === SMALL ? this.#small : this.#large).push(frame);
  }

  /** A copy of bytes[off, end). */
  copy(bytes: Uint8Array, off: number, end: number): Frame {
    const frame = this.get(end - off);
    frame.bytes.set(bytes.subarray(off, end), FRAME_OFF);
    return frame;
  }

  /** A copy of a frame to send, with its offload metadata. */
  copyTx(pkt: TxPacket): Frame {
    const frame = this.get(pkt.length());
    pkt.copyTo(frame.bytes, FRAME_OFF);
    frame.flags = pkt.flags;
    frame.gsoSize = pkt.gsoSize;
    frame.csumStart = pkt.csumStart - pkt.off + FRAME_OFF;
    frame.csumOffset = pkt.csumOffset;
    return frame;
  }
}

/** `PKT_BCAST` or `PKT_MCAST` for an Ethernet frame by its destination; 0 for a frame to one station, or one that is too short. */
export function groupFlags(bytes: Uint8Array, off: number, end: number): number {
  if (end - off < ETHER_HDR_LEN || !macIsGroup(bytes, off)) return 0;
  return macIsBroadcast(bytes, off) ? PKT_BCAST : PKT_MCAST;
}
