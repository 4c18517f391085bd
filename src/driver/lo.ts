/**
 * The loopback: what is sent comes back as received, without a link header. Nothing that stays in the machine needs a checksum.
 */
import {
  IFCAP_RXCSUM,
  IFCAP_RXCSUM_IPV6,
  IFCAP_TXCSUM,
  IFCAP_TXCSUM_IPV6,
  type Link,
  type LinkMethods,
  linkInterface,
} from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import { PKT_CSUM_OK, PKT_LOOP } from '../kern/packet.ts';
import { FRAME_OFF, type Frame, FramePool } from './frame.ts';
import { MemoryEnd, memoryClass } from './memory.ts';
import { FramePipe, type PipeEffects } from './pipe.ts';

export interface LoOptions {
  /** Default 16384, as FreeBSD's lo0; up to 65535. */
  readonly mtu?: number;
  /** Packets that may wait for delivery. Default 1024; what does not fit is lost and counted as `oqdrops`. */
  readonly queueFrames?: number;
  /** Slots of the output ring. Default 128. */
  readonly slots?: number;
}

const LO_MTU = 16384;

const CAPABILITIES = IFCAP_RXCSUM | IFCAP_RXCSUM_IPV6 | IFCAP_TXCSUM | IFCAP_TXCSUM_IPV6;

class Loopback extends MemoryEnd {
  constructor(effects: PipeEffects, { mtu = LO_MTU, queueFrames = 1024, slots = 128 }: LoOptions) {
    const info = { type: 'loopback', lladdr: null, mtu, maxMtu: 65535, capabilities: CAPABILITIES, tsoMax: 0 } as const;
    super(new FramePool(), info, slots);
    this.out = new FramePipe(effects, this.pool, { limit: queueFrames, delayMs: 0 }, this);
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

const loClass = defineClass<Loopback, LinkMethods>({ name: 'lo', implements: linkInterface, methods: {}, bases: [memoryClass] });

export function createLo(effects: PipeEffects, options: LoOptions = {}): Link {
  return bindObject(loClass, new Loopback(effects, options));
}
