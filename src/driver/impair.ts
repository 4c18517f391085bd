/**
 * A bad network around any link: loses, duplicates, corrupts, reorders, delays and slows frames in each direction, by the kernel's
 * random source and clock, so that a run with a seed in virtual time is the same run every time. Super-frames are cut into segments
 * first: what is lost is what a real network would lose.
 */
import type { Effects } from '../kern/effects.ts';
import type { Errno } from '../kern/errno.ts';
import { type Link, type LinkMethods, type LinkUp, linkInterface } from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import { RxPacket, TX_CSUM, TX_HEADROOM, TX_SLOT, TX_TSO4, TX_TSO6, type TxPacket } from '../kern/packet.ts';
import { FRAME_MAX, FRAME_OFF, type Frame, FramePool } from './frame.ts';
import { type ImpairConfig, type ImpairCounters, ImpairQueue } from './impairqueue.ts';
import { Segmenter, completeChecksum, linkHdrLen } from './segment.ts';
import { wrapperClass } from './wrapper.ts';

export type { ImpairConfig, ImpairCounters } from './impairqueue.ts';

export interface ImpairOptions {
  readonly tx?: Partial<ImpairConfig>;
  readonly rx?: Partial<ImpairConfig>;
}

/** A link with a bad network in it, and the handles on that. */
export interface ImpairedLink {
  readonly link: Link;
  readonly tx: ImpairCounters;
  readonly rx: ImpairCounters;
  /** Changes a direction from now on; what is not named stays. */
  configure(direction: 'tx' | 'rx', config: Partial<ImpairConfig>): void;
}

/** Contiguous part of a frame that is too long for a slot; the rest goes as a slice. */
const HEAD = 128;
const SLOT_ROOM = TX_SLOT - TX_HEADROOM;

class Impairer {
  readonly inner: Link;
  readonly pool = new FramePool();
  readonly tx: ImpairQueue;
  readonly rx: ImpairQueue;
  readonly #rxPkt = new RxPacket(new Uint8Array(0));
  readonly #txSegmenter: Segmenter;
  readonly #rxSegmenter: Segmenter;
  #up: LinkUp | null = null;
  /** Metadata of the received super-frame whose segments are handed over. */
  #rxFlags = 0;
  /** Frames that slots of the inner link point to until it has flushed. */
  readonly #lent: Frame[] = [];
  /** A batch of received frames is being handed over by the inner link. */
  #inBatch = false;
  /** Who was told that a batch of late frames began; it is closed also if the link was stopped inside it. */
  #late: LinkUp | null = null;

  constructor(inner: Link, effects: Pick<Effects, 'clock' | 'newTimer' | 'random'>, options: ImpairOptions) {
    this.inner = inner;
    const linkHdr = linkHdrLen(inner.info().type);
    this.tx = new ImpairQueue(effects, this.pool, linkHdr, options.tx ?? {}, {
      begin: () => undefined,
      release: (frame) => this.#sendFrame(frame),
      end: () => this.flushInner(),
    });
    this.rx = new ImpairQueue(effects, this.pool, linkHdr, options.rx ?? {}, {
      begin: () => {
        this.#late = this.#inBatch ? null : this.#up;
        this.#late?.begin();
      },
      release: (frame) => this.#deliver(frame),
      end: () => {
        this.#late?.end();
        this.#late = null;
      },
    });
    this.#txSegmenter = new Segmenter(linkHdr, FRAME_MAX, (bytes, off, end) => this.tx.offer(this.pool.copy(bytes, off, end)));
    this.#rxSegmenter = new Segmenter(linkHdr, FRAME_MAX, (bytes, off, end) => this.#offerRx(bytes, off, end, this.#rxFlags));
  }

  /** Takes a frame from the stack. */
  transmit(pkt: TxPacket): Errno | null {
    if (!this.tx.active()) return this.inner.transmit(pkt);
    const frame = this.pool.copyTx(pkt);
    this.inner.txFree(pkt);
    const flags = frame.flags;
    frame.flags = 0;
    if ((flags & (TX_TSO4 | TX_TSO6)) !== 0) {
      const n = this.#txSegmenter.segment(frame.bytes, FRAME_OFF, frame.end, frame.gsoSize);
      this.pool.put(frame);
      return n === 0 ? 'EINVAL' : null;
    }
    if ((flags & TX_CSUM) !== 0) completeChecksum(frame.bytes, frame.csumStart, frame.csumOffset, frame.end);
    this.tx.offer(frame);
    return null;
  }

  /** Lets go what is due now. Frames that are due later flush by themselves. */
  flush(): void {
    this.tx.run();
    this.flushInner();
  }

  flushInner(): void {
    this.inner.flush();
    for (let frame = this.#lent.pop(); frame !== undefined; frame = this.#lent.pop()) this.pool.put(frame);
  }

  #sendFrame(frame: Frame): void {
    let pkt = this.inner.txAlloc();
    if (pkt === null) {
      this.flushInner();
      pkt = this.inner.txAlloc();
    }
    if (pkt === null) {
      this.tx.counters.noslot++;
      this.pool.put(frame);
      return;
    }
    const len = frame.end - FRAME_OFF;
    const head = len <= SLOT_ROOM ? len : HEAD;
    pkt.bytes.set(frame.bytes.subarray(FRAME_OFF, FRAME_OFF + head), pkt.append(head));
    if (head < len) {
      pkt.addFrag(frame.bytes, FRAME_OFF + head, len - head);
      this.#lent.push(frame);
    } else this.pool.put(frame);
    if (this.inner.transmit(pkt) !== null) this.tx.counters.refused++;
  }

  start(up: LinkUp): Errno | null {
    this.#up = up;
    return this.inner.start({
      begin: () => {
        up.begin();
        this.#inBatch = true;
      },
      input: (pkt) => this.#receive(pkt, up),
      end: () => {
        this.rx.run();
        this.#inBatch = false;
        up.end();
      },
      dropped: (what, frames) => up.dropped(what, frames),
      state: (state) => up.state(state),
    });
  }

  #receive(pkt: RxPacket, up: LinkUp): void {
    if (!this.rx.active()) {
      up.input(pkt);
      return;
    }
    if (pkt.gsoSize === 0) {
      this.#offerRx(pkt.bytes, pkt.off, pkt.end, pkt.flags);
      return;
    }
    this.#rxFlags = pkt.flags;
    if (this.#rxSegmenter.segment(pkt.bytes, pkt.off, pkt.end, pkt.gsoSize) === 0) up.dropped('ierrors', 1);
  }

  #offerRx(bytes: Uint8Array, off: number, end: number, flags: number): void {
    const frame = this.pool.copy(bytes, off, end);
    frame.flags = flags;
    this.rx.offer(frame);
  }

  #deliver(frame: Frame): void {
    const rx = this.#rxPkt;
    rx.bytes = frame.bytes;
    rx.off = FRAME_OFF;
    rx.end = frame.end;
    rx.flags = frame.flags;
    rx.gsoSize = 0;
    this.#up?.input(rx);
    this.pool.put(frame);
  }

  stop(): void {
    this.tx.clear();
    this.rx.clear();
    this.inner.stop();
    this.#up = null;
  }
}

const impairClass = defineClass<Impairer, LinkMethods>({
  name: 'impair',
  implements: linkInterface,
  bases: [wrapperClass],
  methods: {
    start: (self, up) => self.start(up),
    stop: (self) => self.stop(),
    transmit: (self, pkt) => self.transmit(pkt),
    flush: (self) => self.flush(),
  },
});

/** A link that behaves as `inner` does behind a network with these faults. Without any, frames pass untouched. */
export function impair(
  inner: Link,
  effects: Pick<Effects, 'clock' | 'newTimer' | 'random'>,
  options: ImpairOptions,
): ImpairedLink {
  const softc = new Impairer(inner, effects, options);
  return {
    link: bindObject(impairClass, softc),
    tx: softc.tx.counters,
    rx: softc.rx.counters,
    configure: (direction, config) => softc[direction].configure(config),
  };
}
