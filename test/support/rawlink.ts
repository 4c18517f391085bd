/**
 * A link for packet tests: frames are put in by hand, and what the stack sends is kept. As on a real ring, a sent slot is read when the
 * link flushes and not before, and its bytes are spoilt afterwards: a slice that did not live long enough shows.
 */
import type { Errno } from '../../src/kern/errno.ts';
import {
  IFCAP_LRO,
  IFCAP_RXCSUM,
  IFCAP_TSO4,
  IFCAP_TXCSUM,
  type Link,
  type LinkInfo,
  type LinkMethods,
  type LinkUp,
} from '../../src/kern/ifnet/link.ts';
import { linkInterface } from '../../src/kern/ifnet/link.ts';
import { bindObject, defineClass } from '../../src/kern/kobj.ts';
import { PKT_BCAST, PKT_MCAST, RxPacket, TX_SLOT, type TxPacket } from '../../src/kern/packet.ts';
import { TxRing } from '../../src/driver/ring.ts';

export interface RawLinkOptions {
  readonly type?: LinkInfo['type'];
  readonly lladdr?: Uint8Array | null;
  readonly mtu?: number;
  readonly slots?: number;
  /** Checksum and segmentation offload. Default false. */
  readonly offload?: boolean;
  /** Super-frames: the link has them, the driver makes them of segments, there are none. Default none. */
  readonly lro?: 'link' | 'driver' | 'none';
}

/** A frame as it left, with its offload metadata; `csumStart` counts from the frame's first byte. */
export interface SentFrame {
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

export class RawLink {
  readonly info: LinkInfo;
  readonly ring: TxRing;
  readonly rx = new RxPacket(new Uint8Array(0));
  up: LinkUp | null = null;
  flushes = 0;
  /** What `transmit` answers instead of taking the frame. */
  refuse: Errno | null = null;
  readonly #waiting: TxPacket[] = [];
  #sent: SentFrame[] = [];

  constructor(options: RawLinkOptions = {}) {
    const {
      type = 'ethernet',
      lladdr = Uint8Array.of(2, 0, 0, 0, 0, 2),
      mtu = 1500,
      slots = 64,
      offload = false,
      lro = 'none',
    } = options;
    const capabilities =
      (offload ? IFCAP_TXCSUM | IFCAP_RXCSUM | IFCAP_TSO4 : 0) |
      (lro === 'none' ? 0 : IFCAP_LRO | (lro === 'link' ? IFCAP_RXCSUM : 0));
    const mac = type === 'ethernet' ? lladdr : null;
    this.info = { type, lladdr: mac, mtu, maxMtu: 65535, capabilities, tsoMax: offload ? 65535 : 0 };
    this.ring = new TxRing(slots);
  }

  link(): Link {
    return bindObject(rawLinkClass, this);
  }

  /** Puts frames in as one batch. `flags` are `PKT_*` beside those of the destination address. */
  inject(frames: Uint8Array | readonly Uint8Array[], flags = 0): void {
    const list = frames instanceof Uint8Array ? [frames] : frames;
    this.up?.begin();
    for (const frame of list) {
      const group = this.info.type === 'ethernet' && ((frame[0] ?? 0) & 1) !== 0;
      const all = group && frame.subarray(0, 6).every((b) => b === 255);
      // A copy, spoilt afterwards: nobody may keep what is the link's.
      const bytes = frame.slice();
      this.rx.bytes = bytes;
      this.rx.off = 0;
      this.rx.end = bytes.length;
      this.rx.gsoSize = 0;
      this.rx.flags = flags | (all ? PKT_BCAST : group ? PKT_MCAST : 0);
      this.up?.input(this.rx);
      bytes.fill(0xdb);
    }
    this.up?.end();
  }

  queue(pkt: TxPacket): Errno | null {
    if (this.refuse !== null) {
      this.ring.free(pkt);
      return this.refuse;
    }
    this.#waiting.push(pkt);
    return null;
  }

  flush(): void {
    this.flushes++;
    for (const pkt of this.#waiting.splice(0)) {
      const bytes = new Uint8Array(pkt.length());
      pkt.copyTo(bytes, 0);
      const { flags, gsoSize, csumOffset } = pkt;
      this.#sent.push({ bytes, flags, gsoSize, csumStart: pkt.csumStart - pkt.off, csumOffset });
      pkt.bytes.fill(0xdc, pkt.base, pkt.base + TX_SLOT);
      this.ring.free(pkt);
    }
  }

  /** What left since the last call. */
  takeAll(): SentFrame[] {
    return this.#sent.splice(0);
  }

  /** The same, as bytes. */
  take(): Uint8Array[] {
    return this.takeAll().map((frame) => frame.bytes);
  }
}

const rawLinkClass = defineClass<RawLink, LinkMethods>({
  name: 'rawlink',
  implements: linkInterface,
  methods: {
    info: (self) => self.info,
    start(self, up) {
      self.up = up;
      return null;
    },
    stop(self) {
      self.up = null;
    },
    setCapEnable: (self, bits) => ((bits & ~self.info.capabilities) === 0 ? null : 'EINVAL'),
    txAlloc: (self) => self.ring.alloc(),
    txFree: (self, pkt) => self.ring.free(pkt),
    transmit: (self, pkt) => self.queue(pkt),
    flush: (self) => self.flush(),
  },
});
