/**
 * A tracer around any link: writes each frame that crosses it, in both directions, as a pcapng file
 * (draft-tuexen-opsawg-pcapng). What was refused or lost is in the file as well, with a comment that says why. A super-frame is one
 * packet of its full length, and checksums are as they crossed the link: with offload, an outgoing one is not complete yet.
 */
import type { Clock } from '../kern/effects.ts';
import type { Errno } from '../kern/errno.ts';
import { type Link, type LinkInfo, type LinkMethods, type LinkUp, linkInterface } from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import { PKT_BCAST, PKT_MCAST, type RxPacket, type TxPacket } from '../kern/packet.ts';
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_RAW,
  PCAPNG_BROADCAST,
  PCAPNG_IN,
  PCAPNG_MULTICAST,
  PCAPNG_OUT,
  PCAPNG_UNICAST,
  PcapngWriter,
} from '../wire/pcapng.ts';
import { FRAME_MAX, groupFlags } from './frame.ts';
import { wrapperClass } from './wrapper.ts';

/** Where the file goes. The bytes are the tracer's again on return. */
export interface PcapSink {
  write(bytes: Uint8Array): void;
}

export interface PcapOptions {
  /** The interface's name in the file. */
  readonly name: string;
  readonly clock: Clock;
  /** Longest part of a frame that is kept, in bytes. Default: all of it. */
  readonly snapLen?: number;
}

class Tracer {
  readonly inner: Link;
  readonly clock: Clock;
  readonly snapLen: number;
  readonly ethernet: boolean;
  readonly #w: PcapngWriter;
  /** For frames to send: the block stays open while the inner link has the frame. */
  readonly #txw: PcapngWriter;
  /** Frames received, and lost in either direction, since the beginning. */
  #received = 0;
  #dropped = 0;

  constructor(inner: Link, sink: PcapSink, options: PcapOptions, info: LinkInfo) {
    this.inner = inner;
    this.clock = options.clock;
    this.snapLen = Math.min(options.snapLen ?? FRAME_MAX, FRAME_MAX);
    this.ethernet = info.type === 'ethernet';
    this.#w = new PcapngWriter((bytes) => sink.write(bytes), this.snapLen);
    this.#txw = new PcapngWriter((bytes) => sink.write(bytes), this.snapLen);
    this.#w.section('netmod');
    this.#w.interface(options.name, this.ethernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW, options.snapLen ?? 0);
  }

  /** Begins a packet block of `len` bytes; returns where its first `snapLen` bytes go. */
  #packet(w: PcapngWriter, len: number): number {
    return w.packet(0, this.clock.realtimeMs(), len, Math.min(len, this.snapLen));
  }

  received(pkt: RxPacket): void {
    const len = pkt.end - pkt.off;
    this.#received++;
    const w = this.#w;
    const at = this.#packet(w, len);
    w.bytes.set(pkt.bytes.subarray(pkt.off, pkt.off + Math.min(len, this.snapLen)), at);
    w.endPacket(PCAPNG_IN | reception(pkt.flags), null);
  }

  /** Writes the frame, and hands it on: its bytes may be gone afterwards. */
  send(pkt: TxPacket): Errno | null {
    const len = pkt.length();
    const group = this.ethernet ? groupFlags(pkt.bytes, pkt.off, pkt.end) : 0;
    const w = this.#txw;
    const at = this.#packet(w, len);
    this.#copy(pkt, at);
    const err = this.inner.transmit(pkt);
    w.endPacket(PCAPNG_OUT | reception(group), err === null ? null : `not sent: ${err}`);
    return err;
  }

  #copy(pkt: TxPacket, at: number): void {
    const to = this.#txw.bytes;
    let left = this.snapLen;
    let n = Math.min(pkt.end - pkt.off, left);
    to.set(pkt.bytes.subarray(pkt.off, pkt.off + n), at);
    let pos = at + n;
    left -= n;
    for (let i = 0; i < pkt.nfrags && left > 0; i++) {
      const off = pkt.fragOff[i] as number;
      n = Math.min(pkt.fragLen[i] as number, left);
      to.set((pkt.fragBytes[i] as Uint8Array).subarray(off, off + n), pos);
      pos += n;
      left -= n;
    }
  }

  dropped(what: string, frames: number): void {
    this.#dropped += frames;
    this.statistics(`${frames} lost: ${what}`);
  }

  /** An interface statistics block: totals so far. */
  statistics(comment: string): void {
    this.#w.statistics(0, this.clock.realtimeMs(), this.#received, this.#dropped, comment);
  }
}

function reception(flags: number): number {
  if ((flags & PKT_BCAST) !== 0) return PCAPNG_BROADCAST;
  return (flags & PKT_MCAST) !== 0 ? PCAPNG_MULTICAST : PCAPNG_UNICAST;
}

/** Traces what comes up as well. */
function tracedUp(self: Tracer, up: LinkUp): LinkUp {
  return {
    begin: () => up.begin(),
    input: (pkt) => {
      self.received(pkt);
      up.input(pkt);
    },
    end: () => up.end(),
    dropped: (what, frames) => {
      self.dropped(what, frames);
      up.dropped(what, frames);
    },
    state: (state) => {
      self.statistics(`link is ${state}`);
      up.state(state);
    },
  };
}

const pcapngClass = defineClass<Tracer, LinkMethods>({
  name: 'pcapng',
  implements: linkInterface,
  bases: [wrapperClass],
  methods: {
    start: (self, up) => self.inner.start(tracedUp(self, up)),
    transmit: (self, pkt) => self.send(pkt),
    stop: (self) => {
      self.inner.stop();
      self.statistics('end of trace');
    },
  },
});

/** A link that behaves as `inner` does and writes what crosses it to `sink`. */
export function tracePcapng(inner: Link, sink: PcapSink, options: PcapOptions): Link {
  return bindObject(pcapngClass, new Tracer(inner, sink, options, inner.info()));
}
