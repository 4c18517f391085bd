/** Captured frames as items of a stream: a record each, or blocks of a pcapng file. */
import { BPF_MAXSNAP } from '../kern/ifnet/bpf.ts';
import { PKT_BCAST, PKT_MCAST } from '../kern/packet.ts';
import {
  LINKTYPE_ETHERNET, LINKTYPE_RAW, PCAPNG_BROADCAST, PCAPNG_IN, PCAPNG_MULTICAST, PCAPNG_OUT, PCAPNG_UNICAST, PcapngWriter,
} from '../wire/pcapng.ts'; // prettier-ignore
import { dataAnswer } from './args.ts';
import type { StreamSink } from './stream.ts';

/** A frame, from an interface as it passes or from the ring. */
export interface Captured {
  readonly name: string;
  readonly ifIndex: number;
  readonly ethernet: boolean;
  readonly dir: 'in' | 'out';
  readonly timeMs: number;
  readonly len: number;
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly drop: string | null;
}

export interface Encoder {
  /** Sends a frame; whether there is room was asked before. `missed`: so many frames are not there between the one before and this one. */
  put(frame: Captured, missed?: number): void;
  /** The end of what was captured, of which `missed` frames are not there. */
  finish(captured: number, missed: number, timeMs: number): void;
}

export class FrameEncoder implements Encoder {
  readonly #sink: StreamSink;

  constructor(sink: StreamSink) {
    this.#sink = sink;
  }

  put({ name, dir, timeMs, len, bytes, drop, ethernet }: Captured): void {
    const link = ethernet ? 'ethernet' : 'raw';
    this.#sink.put({ if: name, dir, ts: timeMs / 1000, len, data: dataAnswer(bytes), drop, link });
  }

  /** Records say nothing of others: the stream's own lines do. */
  finish(): void {
    return;
  }
}

const missedText = (missed: number): string => `missed: ${missed} packets, overwritten in the ring before they were read`;

/** Blocks of a file as they come, each a `sink`'s own for the length of the call. */
export class PcapngBlocks {
  readonly #writer: PcapngWriter;
  readonly #snaplen: number;
  /** Numbers of interfaces in the file. */
  readonly #ids = new Map<string, number>();

  constructor(sink: (bytes: Uint8Array) => void, snaplen: number) {
    this.#snaplen = snaplen;
    this.#writer = new PcapngWriter(sink, snaplen);
    this.#writer.section('netmod');
  }

  put({ ifIndex, name, ethernet, dir, timeMs, len, bytes, flags, drop }: Captured, missed: number): void {
    const id = this.#interface(`${ifIndex} ${name}`, name, ethernet);
    const caplen = Math.min(bytes.length, this.#snaplen);
    const at = this.#writer.packet(id, timeMs, len, caplen);
    this.#writer.bytes.set(bytes.subarray(0, caplen), at);
    const comments = [...(missed > 0 ? [missedText(missed)] : []), ...(drop === null ? [] : [`dropped: ${drop}`])];
    this.#writer.endPacket(packetFlags(dir, flags), comments.length === 0 ? null : comments.join('; '));
  }

  #interface(key: string, name: string, ethernet: boolean): number {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const link = ethernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW;
    const id = this.#writer.interface(name, link, this.#snaplen < BPF_MAXSNAP ? this.#snaplen : 0);
    this.#ids.set(key, id);
    return id;
  }

  /** Totals, where something is missing: of the first interface, because nobody knows whose the missing ones were. */
  finish(captured: number, missed: number, timeMs: number): void {
    if (missed === 0) return;
    const id = this.#ids.size > 0 ? 0 : this.#interface('ring', 'ring', true);
    this.#writer.statistics(id, timeMs, captured + missed, missed, missedText(missed));
  }
}

export class PcapngEncoder implements Encoder {
  readonly #sink: StreamSink;
  readonly #blocks: PcapngBlocks;
  /** Blocks of the item that is being made; an interface's description goes with its first frame, because one is nothing without the other. */
  #item: Buffer[] | null = null;

  constructor(sink: StreamSink, snaplen: number) {
    this.#sink = sink;
    this.#blocks = new PcapngBlocks((bytes) => this.#block(bytes), snaplen);
  }

  #block(bytes: Uint8Array): void {
    if (this.#item === null) this.#sink.put({ data: dataAnswer(bytes) });
    else this.#item.push(Buffer.from(bytes));
  }

  put(frame: Captured, missed = 0): void {
    this.#item = [];
    this.#blocks.put(frame, missed);
    this.#send();
  }

  finish(captured: number, missed: number, timeMs: number): void {
    this.#item = [];
    this.#blocks.finish(captured, missed, timeMs);
    this.#send();
  }

  #send(): void {
    const blocks = this.#item ?? [];
    this.#item = null;
    const [first] = blocks;
    if (first !== undefined) this.#sink.put({ data: dataAnswer(blocks.length === 1 ? first : Buffer.concat(blocks)) });
  }
}

/** `epb_flags` of a frame: its direction, and how it was addressed. */
export function packetFlags(dir: 'in' | 'out', flags: number): number {
  const way = dir === 'in' ? PCAPNG_IN : PCAPNG_OUT;
  if ((flags & PKT_BCAST) !== 0) return way | PCAPNG_BROADCAST;
  return way | ((flags & PKT_MCAST) !== 0 ? PCAPNG_MULTICAST : PCAPNG_UNICAST);
}
