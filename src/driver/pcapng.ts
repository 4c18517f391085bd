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

const BLOCK_SHB = 0x0a0d0d0a;
const BLOCK_IDB = 1;
const BLOCK_ISB = 5;
const BLOCK_EPB = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPT_END = 0;
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const ISB_IFRECV = 4;
const ISB_IFDROP = 5;
/** In `epb_flags`: direction, and reception type. */
const DIR_IN = 1;
const DIR_OUT = 2;
const UNICAST = 1 << 2;
const MULTICAST = 2 << 2;
const BROADCAST = 3 << 2;
const LINKTYPE_ETHERNET = 1;
const LINKTYPE_RAW = 101;
/** Timestamps count microseconds: 10^-6 seconds. */
const TSRESOL = 6;
const TWO_32 = 0x1_0000_0000;
/** Comments are ours and short; a longer one is cut here. */
const COMMENT_MAX = 256;

/** Builds one block at a time in a buffer of its own. Little-endian, as the byte-order magic says. */
class BlockWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #sink: PcapSink;
  #pos = 0;

  constructor(sink: PcapSink, maxPayload: number) {
    this.#sink = sink;
    this.#bytes = new Uint8Array(maxPayload + 1024);
    this.#view = new DataView(this.#bytes.buffer);
  }

  begin(type: number): void {
    this.#pos = 0;
    this.u32(type);
    this.u32(0);
  }

  u16(v: number): void {
    this.#view.setUint16(this.#pos, v, true);
    this.#pos += 2;
  }

  u32(v: number): void {
    this.#view.setUint32(this.#pos, v, true);
    this.#pos += 4;
  }

  /** A count of up to 2^53, low word first as in options. */
  u64(v: number): void {
    this.u32(v % TWO_32);
    this.u32(Math.floor(v / TWO_32));
  }

  /** A time, high word first as in blocks. */
  time(ms: number): void {
    const us = Math.floor(ms * 1000);
    this.u32(Math.floor(us / TWO_32));
    this.u32(us % TWO_32);
  }

  /** The place where the next `n` bytes go; padded to 4 with zeros. */
  room(n: number): number {
    const at = this.#pos;
    this.#pos += n;
    while ((this.#pos & 3) !== 0) this.#bytes[this.#pos++] = 0;
    return at;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  option(code: number, len: number): void {
    this.u16(code);
    this.u16(len);
  }

  text(code: number, text: string): void {
    const encoded = new TextEncoder().encode(text.slice(0, COMMENT_MAX));
    this.option(code, encoded.length);
    this.#bytes.set(encoded, this.room(encoded.length));
  }

  /** Ends the options, fills in both lengths and writes the block. */
  finish(): void {
    this.option(OPT_END, 0);
    const total = this.#pos + 4;
    this.u32(total);
    this.#view.setUint32(4, total, true);
    this.#sink.write(this.#bytes.subarray(0, total));
  }
}

class Tracer {
  readonly inner: Link;
  readonly clock: Clock;
  readonly snapLen: number;
  readonly ethernet: boolean;
  readonly #w: BlockWriter;
  /** For frames to send: the block stays open while the inner link has the frame. */
  readonly #txw: BlockWriter;
  /** Frames received, and lost in either direction, since the beginning. */
  #received = 0;
  #dropped = 0;

  constructor(inner: Link, sink: PcapSink, options: PcapOptions, info: LinkInfo) {
    this.inner = inner;
    this.clock = options.clock;
    this.snapLen = Math.min(options.snapLen ?? FRAME_MAX, FRAME_MAX);
    this.ethernet = info.type === 'ethernet';
    this.#w = new BlockWriter(sink, this.snapLen);
    this.#txw = new BlockWriter(sink, this.snapLen);
    this.#header(options);
  }

  #header(options: PcapOptions): void {
    const w = this.#w;
    w.begin(BLOCK_SHB);
    w.u32(BYTE_ORDER_MAGIC);
    w.u16(1);
    w.u16(0);
    w.u32(0xffffffff);
    w.u32(0xffffffff);
    w.text(SHB_USERAPPL, 'netmod');
    w.finish();
    w.begin(BLOCK_IDB);
    w.u16(this.ethernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW);
    w.u16(0);
    w.u32(options.snapLen ?? 0);
    w.text(IF_NAME, options.name);
    w.option(IF_TSRESOL, 1);
    w.bytes[w.room(1)] = TSRESOL;
    w.finish();
  }

  /** Begins a packet block of `len` bytes; returns where its first `snapLen` bytes go. */
  #packet(w: BlockWriter, len: number): number {
    w.begin(BLOCK_EPB);
    w.u32(0);
    w.time(this.clock.realtimeMs());
    w.u32(Math.min(len, this.snapLen));
    w.u32(len);
    return w.room(Math.min(len, this.snapLen));
  }

  #endPacket(w: BlockWriter, flags: number, comment: string | null): void {
    w.option(EPB_FLAGS, 4);
    w.u32(flags);
    if (comment !== null) w.text(OPT_COMMENT, comment);
    w.finish();
  }

  received(pkt: RxPacket): void {
    const len = pkt.end - pkt.off;
    this.#received++;
    const w = this.#w;
    const at = this.#packet(w, len);
    w.bytes.set(pkt.bytes.subarray(pkt.off, pkt.off + Math.min(len, this.snapLen)), at);
    this.#endPacket(w, DIR_IN | reception(pkt.flags), null);
  }

  /** Writes the frame, and hands it on: its bytes may be gone afterwards. */
  send(pkt: TxPacket): Errno | null {
    const len = pkt.length();
    const group = this.ethernet ? groupFlags(pkt.bytes, pkt.off, pkt.end) : 0;
    const w = this.#txw;
    const at = this.#packet(w, len);
    this.#copy(pkt, at);
    const err = this.inner.transmit(pkt);
    this.#endPacket(w, DIR_OUT | reception(group), err === null ? null : `not sent: ${err}`);
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
    const w = this.#w;
    w.begin(BLOCK_ISB);
    w.u32(0);
    w.time(this.clock.realtimeMs());
    w.text(OPT_COMMENT, comment);
    w.option(ISB_IFRECV, 8);
    w.u64(this.#received);
    w.option(ISB_IFDROP, 8);
    w.u64(this.#dropped);
    w.finish();
  }
}

function reception(flags: number): number {
  if ((flags & PKT_BCAST) !== 0) return BROADCAST;
  return (flags & PKT_MCAST) !== 0 ? MULTICAST : UNICAST;
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
