/**
 * The loopback: what is sent comes back as received, without a link header. Nothing that stays in the machine needs a checksum.
 */
import type { Errno } from '../kern/errno.ts';
import {
  IFCAP_RXCSUM,
  IFCAP_RXCSUM_IPV6,
  IFCAP_TXCSUM,
  IFCAP_TXCSUM_IPV6,
  type Link,
  type LinkInfo,
  type LinkMethods,
  type LinkUp,
  linkInterface,
} from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import { PKT_CSUM_OK, PKT_LOOP, RxPacket, type TxPacket } from '../kern/packet.ts';
import { FRAME_OFF, type Frame, FramePool } from './frame.ts';
import { FramePipe, type PipeEffects } from './pipe.ts';
import { TxRing } from './ring.ts';
import { checkTx } from './txcheck.ts';

export interface LoOptions {
  /** Default 16384, as FreeBSD's lo0; up to 65535. */
  readonly mtu?: number;
  /** Packets that may wait for delivery. Default 1024; what does not fit is lost and counted as `oqdrops`. */
  readonly queueFrames?: number;
  /** Slots of the output ring. Default 128. */
  readonly slots?: number;
}

const LO_MTU = 16384;

class Loopback {
  readonly ring: TxRing;
  readonly pool = new FramePool();
  readonly pipe: FramePipe;
  readonly info: LinkInfo;
  readonly rx = new RxPacket(new Uint8Array(0));
  up: LinkUp | null = null;
  /** Who was told that a batch began. */
  batch: LinkUp | null = null;
  isUp = false;
  mtu: number;
  lost = 0;

  constructor(effects: PipeEffects, { mtu = LO_MTU, queueFrames = 1024, slots = 128 }: LoOptions) {
    const capabilities = IFCAP_RXCSUM | IFCAP_RXCSUM_IPV6 | IFCAP_TXCSUM | IFCAP_TXCSUM_IPV6;
    this.info = { type: 'loopback', lladdr: null, mtu, maxMtu: 65535, capabilities, tsoMax: 0 };
    this.mtu = mtu;
    this.ring = new TxRing(slots);
    this.pipe = new FramePipe(effects, this.pool, { limit: queueFrames, delayMs: 0 }, this);
  }

  begin(): void {
    this.batch = this.isUp ? this.up : null;
    this.batch?.begin();
  }

  /** Closes the batch that `begin` opened, also if the link was stopped inside it. */
  end(): void {
    this.batch?.end();
    this.batch = null;
  }

  deliver(frame: Frame): void {
    if (!this.isUp) return;
    const rx = this.rx;
    rx.bytes = frame.bytes;
    rx.off = FRAME_OFF;
    rx.end = frame.end;
    rx.flags = PKT_LOOP | PKT_CSUM_OK;
    rx.gsoSize = 0;
    this.up?.input(rx);
  }
}

function transmit(self: Loopback, pkt: TxPacket): Errno | null {
  const err = self.isUp ? checkTx(pkt, 0, self.mtu, self.info.capabilities) : 'ENETDOWN';
  if (err === null) {
    if (self.pipe.full()) self.lost++;
    else self.pipe.put(self.pool.copyTx(pkt));
  }
  self.ring.free(pkt);
  return err;
}

function flush(self: Loopback): void {
  self.pipe.kick();
  if (self.lost === 0) return;
  self.up?.dropped('oqdrops', self.lost);
  self.lost = 0;
}

const loClass = defineClass<Loopback, LinkMethods>({
  name: 'lo',
  implements: linkInterface,
  methods: {
    info: (self) => self.info,
    start: (self, up) => {
      self.up = up;
      return null;
    },
    stop: (self) => {
      self.up = null;
      self.isUp = false;
      self.pipe.close();
    },
    txAlloc: (self) => self.ring.alloc(),
    txFree: (self, pkt) => self.ring.free(pkt),
    transmit,
    flush,
    setUp: (self, up) => {
      self.isUp = up;
      return null;
    },
    setMtu: (self, mtu) => {
      self.mtu = mtu;
      return null;
    },
    setCapEnable: (self, bits) => ((bits & ~self.info.capabilities) === 0 ? null : 'EINVAL'),
  },
});

export function createLo(effects: PipeEffects, options: LoOptions = {}): Link {
  return bindObject(loClass, new Loopback(effects, options));
}
