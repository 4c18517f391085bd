/**
 * Packet buffers. A received frame is contiguous and stays the link's: the stack reads it while the input call lasts and copies
 * what it keeps. A frame to send is one header buffer with headroom, filled from the back towards the front, and up to
 * `MAX_FRAGS` slices of payload by reference, which the link reads before its next `flush` returns.
 */
import type { Ifnet } from './ifnet/ifnet.ts';

/** Bytes kept free in front of the payload of a `TxPacket`: link, network and transport headers at their longest. */
export const TX_HEADROOM = 192;
/** Bytes of a `TxPacket`'s own buffer. A frame up to an Ethernet MTU fits without a slice. */
export const TX_SLOT = 2048;
/** Slices of payload a frame can carry: two halves of a ring, twice. */
export const MAX_FRAGS = 4;

/** Frame was sent to the link's broadcast or a multicast address. */
export const PKT_BCAST = 1;
export const PKT_MCAST = 2;
/** The transport checksum is known good (or never left this machine): do not verify. */
export const PKT_CSUM_OK = 4;
/** The frame came over the loopback: addresses of 127/8 are allowed. */
export const PKT_LOOP = 8;
/** The link has more frames waiting than one batch takes: what may wait for the next batch, such as an acknowledgment, should. */
export const PKT_BACKLOG = 16;

/** A frame as received. One object per link, used again for each frame. */
export class RxPacket {
  /** The link's buffer. */
  bytes: Uint8Array;
  /** First byte of the header that is read now: each layer moves it behind its own. */
  off = 0;
  /** One past the last byte of the present layer: padding is cut off by the network layer. */
  end = 0;
  flags = 0;
  /** Segment size of a super-frame (large receive); 0 for a plain frame. */
  gsoSize = 0;
  /** The receiving interface; set by `ifInput`. */
  ifp: Ifnet | null = null;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Complete the transport checksum: `csumStart` and `csumOffset` say where. The field holds the pseudo-header's sum. */
export const TX_CSUM = 1;
/** Cut into segments of `gsoSize` bytes of payload: TCP over IPv4, TCP over IPv6. Implies `TX_CSUM`. */
export const TX_TSO4 = 2;
export const TX_TSO6 = 4;

/** A frame to send: a slot of the link's ring, got with `ifp.txAlloc()` and given back by `ifp.transmit()` or `ifp.txFree()`. */
export class TxPacket {
  /** Buffer of `TX_SLOT` bytes at `base`; shared with other slots, so only [base, base + TX_SLOT) is this packet's. */
  readonly bytes: Uint8Array;
  readonly base: number;
  /** The link's number of this slot. */
  readonly slot: number;
  /** First and one past the last byte of the contiguous part, as offsets into `bytes`. */
  off: number;
  end: number;
  nfrags = 0;
  readonly fragBytes: Uint8Array[] = [];
  readonly fragOff = new Int32Array(MAX_FRAGS);
  readonly fragLen = new Int32Array(MAX_FRAGS);
  /** Sum of the slices' lengths. */
  fragTotal = 0;
  flags = 0;
  gsoSize = 0;
  /** Offset into `bytes` of the transport header, and of the checksum field within that header. */
  csumStart = 0;
  csumOffset = 0;

  constructor(bytes: Uint8Array, base: number, slot: number) {
    this.bytes = bytes;
    this.base = base;
    this.slot = slot;
    this.off = this.end = base + TX_HEADROOM;
  }

  /** Empty again, with all of its headroom. */
  reset(): void {
    this.off = this.end = this.base + TX_HEADROOM;
    this.nfrags = 0;
    this.fragTotal = 0;
    this.flags = 0;
    this.gsoSize = 0;
    this.csumStart = 0;
    this.csumOffset = 0;
  }

  /** Length of the frame in bytes. */
  length(): number {
    return this.end - this.off + this.fragTotal;
  }

  /** Makes room for a header of `n` bytes in front; returns the offset of its first byte. The caller knows that it fits. */
  prepend(n: number): number {
    this.off -= n;
    return this.off;
  }

  /** Makes room for `n` bytes at the back of the contiguous part; returns the offset of the first. */
  append(n: number): number {
    const at = this.end;
    this.end += n;
    return at;
  }

  /** Bytes that still fit into the contiguous part. */
  room(): number {
    return this.base + TX_SLOT - this.end;
  }

  /** Adds a slice of payload. The bytes must stay as they are until the link has flushed. */
  addFrag(bytes: Uint8Array, off: number, len: number): void {
    const i = this.nfrags++;
    this.fragBytes[i] = bytes;
    this.fragOff[i] = off;
    this.fragLen[i] = len;
    this.fragTotal += len;
  }

  /** Copies the whole frame to `dst` at `at`; returns its length. */
  copyTo(dst: Uint8Array, at: number): number {
    dst.set(this.bytes.subarray(this.off, this.end), at);
    let pos = at + this.end - this.off;
    for (let i = 0; i < this.nfrags; i++) {
      const off = this.fragOff[i] ?? 0;
      const len = this.fragLen[i] ?? 0;
      dst.set((this.fragBytes[i] as Uint8Array).subarray(off, off + len), pos);
      pos += len;
    }
    return pos - at;
  }
}
