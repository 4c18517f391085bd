/** A link for tests: frames are put in by hand, what is sent is collected. No offload. */
import { type Link, type LinkInfo, type LinkMethods, type LinkUp, linkInterface } from '../../src/kern/ifnet/link.ts';
import { bindObject, defineClass } from '../../src/kern/kobj.ts';
import { PKT_BCAST, PKT_MCAST, RxPacket } from '../../src/kern/packet.ts';
import { TxRing } from '../../src/driver/ring.ts';

export class HandLink {
  readonly info: LinkInfo;
  readonly ring = new TxRing(64);
  readonly rx = new RxPacket(new Uint8Array(0));
  /** Called with each frame that the stack sends; a copy. */
  onSend: (frame: Uint8Array) => void = () => undefined;
  up: LinkUp | null = null;

  constructor(lladdr: Uint8Array, mtu = 1500) {
    this.info = { type: 'ethernet', lladdr, mtu, maxMtu: 9000, capabilities: 0, tsoMax: 0 };
  }

  link(): Link {
    return bindObject(handClass, this);
  }

  /** Puts frames in as one batch. */
  inject(...frames: Uint8Array[]): void {
    this.up?.begin();
    for (const frame of frames) {
      this.rx.bytes = frame;
      this.rx.off = 0;
      this.rx.end = frame.length;
      this.rx.gsoSize = 0;
      const group = ((frame[0] ?? 0) & 1) !== 0;
      const all = group && frame.subarray(0, 6).every((b) => b === 255);
      this.rx.flags = all ? PKT_BCAST : group ? PKT_MCAST : 0;
      this.up?.input(this.rx);
    }
    this.up?.end();
  }
}

const handClass = defineClass<HandLink, LinkMethods>({
  name: 'hand',
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
    txAlloc: (self) => self.ring.alloc(),
    txFree: (self, pkt) => self.ring.free(pkt),
    transmit(self, pkt) {
      const frame = new Uint8Array(pkt.length());
      pkt.copyTo(frame, 0);
      self.ring.free(pkt);
      self.onSend(frame);
      return null;
    },
  },
});
