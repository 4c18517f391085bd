/**
 * What links in memory have in common (`pair`, `lo`): a ring of output slots, a pipe that the frames go into, and batches towards whoever
 * the interface is. A class to inherit from; what a frame becomes at the other end is the heir's.
 */
import type { Errno } from '../kern/errno.ts';
import { type LinkInfo, type LinkMethods, type LinkUp, linkInterface } from '../kern/ifnet/link.ts';
import { defineClass } from '../kern/kobj.ts';
import { RxPacket, type TxPacket } from '../kern/packet.ts';
import { ETHER_HDR_LEN } from '../wire/ethernet.ts';
import type { FramePool } from './frame.ts';
import type { FramePipe } from './pipe.ts';
import { TxRing } from './ring.ts';
import { checkTx } from './txcheck.ts';

export class MemoryEnd {
  readonly info: LinkInfo;
  readonly pool: FramePool;
  readonly ring: TxRing;
  readonly rx = new RxPacket(new Uint8Array(0));
  /** Where this end's frames go; set once the receiver exists. */
  out: FramePipe | null = null;
  up: LinkUp | null = null;
  /** Who was told that a batch began. */
  batch: LinkUp | null = null;
  isUp = false;
  mtu: number;
  /** Frames that the pipe had no room for since the last flush. */
  lost = 0;

  constructor(pool: FramePool, info: LinkInfo, slots: number) {
    this.pool = pool;
    this.info = info;
    this.mtu = info.mtu;
    this.ring = new TxRing(slots);
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
}

function transmit(self: MemoryEnd, pkt: TxPacket): Errno | null {
  const { out, info } = self;
  const hdrLen = info.type === 'ethernet' ? ETHER_HDR_LEN : 0;
  const err = !self.isUp || out === null ? 'ENETDOWN' : checkTx(pkt, hdrLen, self.mtu, info.capabilities);
  if (err === null && out !== null) {
    if (out.full()) self.lost++;
    else out.put(self.pool.copyTx(pkt));
  }
  self.ring.free(pkt);
  return err;
}

function flush(self: MemoryEnd): void {
  self.out?.kick();
  if (self.lost === 0) return;
  self.up?.dropped('oqdrops', self.lost);
  self.lost = 0;
}

export const memoryClass = defineClass<MemoryEnd, LinkMethods>({
  name: 'memory',
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
      self.out?.close();
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
