/**
 * The addon `build/tap.node` (source: native/tap.c): its functions, the layout of its tables, and how it is found. A device is known
 * by a small number. The functions throw an Error with `code` for a system error, a TypeError for a bad argument.
 */
import { createRequire } from 'node:module';

/** Ints per frame in the receive table: offset, length, virtio flags, GSO type and size. */
export const RX_OFF = 0;
export const RX_LEN = 1;
export const RX_FLAGS = 2;
export const RX_GSO_TYPE = 3;
export const RX_GSO_SIZE = 4;
export const RX_STRIDE = 5;
/** Most frames in one callback. */
export const RX_BATCH = 64;

/** Ints per frame in the transmit table; behind them, per slice: index of its buffer, offset, length. */
export const TX_OFF = 0;
export const TX_LEN = 1;
export const TX_FLAGS = 2;
export const TX_GSO_TYPE = 3;
export const TX_GSO_SIZE = 4;
export const TX_HDR_LEN = 5;
export const TX_CSUM_START = 6;
export const TX_CSUM_OFFSET = 7;
export const TX_NFRAGS = 8;
export const TX_FRAGS = 9;
export const TX_STRIDE = 21;

/** What the addon counts: frames. */
export const ST_RX_RUNT = 0;
export const ST_RX_ERROR = 1;
export const ST_TX_REFUSED = 2;
export const ST_TX_INVALID = 3;
/** Not written, because the device takes no more for now. */
export const ST_TX_BLOCKED = 4;
/** Datagrams that left in frames which the kernel cuts. */
export const ST_TX_MERGED = 5;
/** No counter: 1 when the last batch ended at one of its limits, and not because the device was empty. */
export const ST_RX_FULL = 6;
/** Segments that were appended to another's frame, and the frames of several that came of it (native/lro.h). */
export const ST_LRO_MERGED = 7;
export const ST_LRO_FRAMES = 8;
/** Segments that super-frames were cut into (native/gso.h). */
export const ST_TX_CUT = 9;
/** Changes with each of the counters. */
export const ST_EVENTS = 10;
export const ST_COUNT = 11;

/** linux/virtio_net.h */
export const VIRTIO_NEEDS_CSUM = 1;
export const VIRTIO_DATA_VALID = 2;
export const VIRTIO_GSO_TCPV4 = 1;
export const VIRTIO_GSO_TCPV6 = 4;
/** UDP datagrams of one flow, of equal length but for the last. */
export const VIRTIO_GSO_UDP_L4 = 5;
export const VIRTIO_GSO_ECN = 0x80;

/** linux/if_tun.h: what the kernel may hand over without finishing it. */
export const TUN_F_CSUM = 1;
export const TUN_F_TSO4 = 2;
export const TUN_F_TSO6 = 4;
export const TUN_F_TSO_ECN = 8;
export const TUN_F_USO4 = 32;
export const TUN_F_USO6 = 64;

export interface TapDevice {
  readonly id: number;
  /** The name the kernel gave it. */
  readonly name: string;
  readonly vnetHdr: boolean;
  /** It was there before: made by someone else, or handed over as a descriptor. */
  readonly existed: boolean;
  /** `TUN_F_*` that the kernel accepted. */
  readonly features: number;
}

/** Arrays on one of the addon's own memories. */
export interface TapBuffers {
  /** Belongs to the addon, but for the time of `onBatch`. */
  readonly rx: Uint8Array;
  readonly rxTable: Int32Array;
  /** Slots of `txSlot` bytes each. */
  readonly tx: Uint8Array;
  readonly txSlot: number;
  readonly txTable: Int32Array;
  readonly stats: Int32Array;
  /**
   * `frames` entries of `rxTable` are filled. The answer is how many of `txTable` are, without slices: they are written on return, before any
   * other JavaScript runs, as if by `writeBatch`. If some were merged, cut, or did not leave, a call with 0 frames follows.
   */
  readonly onBatch: (frames: number) => number;
  /** The device went away under us: called once, with the error's number. */
  readonly onGone: (errno: number) => void;
}

export interface TapAddon {
  open(options: { name: string; fd: number; vnetHdr: boolean; offload: boolean }): TapDevice;
  /** An ArrayBuffer of zeros that cannot be transferred; the arrays of `start` must lie in such. */
  memory(bytes: number): ArrayBuffer;
  start(id: number, buffers: TapBuffers): void;
  /**
   * Writes the first `n` frames of the table; those that did not leave are counted in `stats`. On a device without offload their checksums are
   * completed and super-frames cut.
   */
  writeBatch(id: number, n: number, fragBuffers: readonly Uint8Array[]): void;
  pause(id: number): void;
  resume(id: number): void;
  /** Returns what of `features` was accepted. */
  setOffload(id: number, features: number): number;
  /** Busy polling: keep reading for so long after a batch. 0 to 1000. */
  setSpin(id: number, microseconds: number): void;
  /** Merges TCP segments as they are read, for a device that hands over each by itself. Off at first. */
  setLro(id: number, on: boolean): void;
  /** The device's descriptor is closed on return; `onClosed` comes when the event loop has let go of it. */
  close(id: number, onClosed?: () => void): void;
}

/** The same from `src/` and from `dist/`. */
const PATH = '../../../build/tap.node';

/** Loads the addon, or says in one sentence how to get it. */
export function loadAddon(): TapAddon | { readonly error: string } {
  try {
    return createRequire(import.meta.url)(PATH) as TapAddon;
  } catch (err) {
    if (errorCode(err) === 'MODULE_NOT_FOUND')
      return { error: 'build/tap.node is missing: run scripts/build-native (needs a C compiler)' };
    const reason = err instanceof Error ? (err.message.split('\n')[0] ?? '') : String(err);
    return { error: `build/tap.node does not load (${reason}): run scripts/build-native --force` };
  }
}

/** The `code` of a thrown error, empty if it has none. */
export function errorCode(err: unknown): string {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : '';
}
