/**
 * Two ends of an Ethernet in memory: what one sends, the other receives. With offload, a frame whose checksum the sender left open
 * crosses as it is and counts as verified, and a super-frame crosses whole if the receiver takes such frames; otherwise the pair does
 * in software what the card would have done. In virtual time a run is the same run every time.
 */
import type { Errno } from '../kern/errno.ts';
import {
  IFCAP_LRO,
  IFCAP_RXCSUM,
  IFCAP_RXCSUM_IPV6,
  IFCAP_TSO4,
  IFCAP_TSO6,
  IFCAP_TXCSUM,
  IFCAP_TXCSUM_IPV6,
  type Link,
  type LinkInfo,
  type LinkMethods,
  linkInterface,
} from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import { PKT_CSUM_OK, TX_TSO4, TX_TSO6 } from '../kern/packet.ts';
import { ETHER_HDR_LEN } from '../wire/ethernet.ts';
import { FRAME_MAX, FRAME_OFF, type Frame, FramePool, groupFlags } from './frame.ts';
import { MemoryEnd, memoryClass } from './memory.ts';
import { FramePipe, type PipeEffects } from './pipe.ts';
import { Segmenter, completeChecksum } from './segment.ts';

export interface PairOptions {
  /** Default 1500, up to 65535. */
  readonly mtu?: number;
  /** Checksum, TSO and large receive on both ends. Default true. */
  readonly offload?: boolean;
  /** One-way delay in milliseconds. Default 0: delivered when the sender's host call has returned. */
  readonly delayMs?: number;
  /** Frames on their way in each direction. Default 1024; what does not fit is lost and counted by the sender as `oqdrops`. */
  readonly queueFrames?: number;
  /** Slots of each end's output ring. Default 256. */
  readonly slots?: number;
  /** Hardware addresses. Default 02:00:00:00:00:01 and :02. */
  readonly lladdrs?: readonly [Uint8Array, Uint8Array];
}

/** Everything a pair can do for a stack. */
export const PAIR_CAPABILITIES =
  IFCAP_RXCSUM | IFCAP_RXCSUM_IPV6 | IFCAP_TXCSUM | IFCAP_TXCSUM_IPV6 | IFCAP_TSO4 | IFCAP_TSO6 | IFCAP_LRO;
const RXCSUM = IFCAP_RXCSUM | IFCAP_RXCSUM_IPV6;
const MAX_MTU = 65535;

class PairEnd extends MemoryEnd {
  readonly segmenter: Segmenter;
  enabled = 0;

  constructor(pool: FramePool, info: LinkInfo, slots: number) {
    super(pool, info, slots);
    this.segmenter = new Segmenter(ETHER_HDR_LEN, FRAME_MAX, (bytes, off, end) => this.input(bytes, off, end, this.rxFlags(), 0));
  }

  rxFlags(): number {
    return (this.enabled & RXCSUM) !== 0 ? PKT_CSUM_OK : 0;
  }

  /** A frame from the other end. */
  deliver(frame: Frame): void {
    if (!this.isUp || this.up === null) return;
    const flags = frame.flags;
    if ((flags & (TX_TSO4 | TX_TSO6)) !== 0 && (this.enabled & IFCAP_LRO) === 0) {
      if (this.segmenter.segment(frame.bytes, FRAME_OFF, frame.end, frame.gsoSize) === 0) this.up.dropped('ierrors', 1);
      return;
    }
    if (flags !== 0 && (this.enabled & RXCSUM) === 0) completeChecksum(frame.bytes, frame.csumStart, frame.csumOffset, frame.end);
    const rxFlags = flags !== 0 ? this.rxFlags() : 0;
    this.input(frame.bytes, FRAME_OFF, frame.end, rxFlags, (flags & (TX_TSO4 | TX_TSO6)) !== 0 ? frame.gsoSize : 0);
  }

  input(bytes: Uint8Array, off: number, end: number, flags: number, gsoSize: number): void {
    const rx = this.rx;
    rx.bytes = bytes;
    rx.off = off;
    rx.end = end;
    rx.flags = flags | groupFlags(bytes, off, end);
    rx.gsoSize = gsoSize;
    this.up?.input(rx);
  }
}

function setCapEnable(self: PairEnd, bits: number): Errno | null {
  if ((bits & ~self.info.capabilities) !== 0) return 'EINVAL';
  // A super-frame has no checksum of its own that could be verified.
  if ((bits & IFCAP_LRO) !== 0 && (bits & RXCSUM) === 0) return 'EINVAL';
  self.enabled = bits;
  return null;
}

const pairClass = defineClass<PairEnd, LinkMethods>({
  name: 'pair',
  implements: linkInterface,
  methods: { setLladdr: () => null, setCapEnable },
  bases: [memoryClass],
});

/** The two ends. `effects` drives both, whichever kernel each is attached to. */
export function createPair(effects: PipeEffects, options: PairOptions = {}): [Link, Link] {
  const { mtu = 1500, offload = true, delayMs = 0, queueFrames = 1024, slots = 256 } = options;
  const [lladdrA, lladdrB] = options.lladdrs ?? [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2)];
  const pool = new FramePool();
  const info = (lladdr: Uint8Array): LinkInfo => ({
    type: 'ethernet',
    lladdr,
    mtu,
    maxMtu: MAX_MTU,
    capabilities: offload ? PAIR_CAPABILITIES : 0,
    tsoMax: offload ? 65535 : 0,
  });
  const a = new PairEnd(pool, info(lladdrA), slots);
  const b = new PairEnd(pool, info(lladdrB), slots);
  a.out = new FramePipe(effects, pool, { limit: queueFrames, delayMs }, b);
  b.out = new FramePipe(effects, pool, { limit: queueFrames, delayMs }, a);
  return [bindObject(pairClass, a), bindObject(pairClass, b)];
}
