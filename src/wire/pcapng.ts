/**
 * pcapng (draft-tuexen-opsawg-pcapng): the blocks of a capture file, built one at a time in a buffer of the writer's own. Little-endian,
 * as the byte-order magic says; timestamps count microseconds.
 */

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
export const PCAPNG_IN = 1;
export const PCAPNG_OUT = 2;
export const PCAPNG_UNICAST = 1 << 2;
export const PCAPNG_MULTICAST = 2 << 2;
export const PCAPNG_BROADCAST = 3 << 2;
/** Link types (tcpdump.org/linktypes.html). */
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;
/** 10^-6 seconds. */
const TSRESOL = 6;
const TWO_32 = 0x1_0000_0000;
/** Comments are short; a longer one is cut here, in characters. */
const COMMENT_MAX = 256;
/** Bytes of a block besides the packet's own: head, options, comment. */
const OVERHEAD = 1024;

export class PcapngWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #sink: (bytes: Uint8Array) => void;
  #pos = 0;
  #interfaces = 0;

  /** `sink` takes each block; its bytes are the writer's again on return. `maxPayload`: longest part of a packet, in bytes. */
  constructor(sink: (bytes: Uint8Array) => void, maxPayload: number) {
    this.#sink = sink;
    this.#bytes = new Uint8Array(maxPayload + OVERHEAD);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** The buffer that `packet` answers an offset into. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** A section header: the first block of a file. Interfaces are numbered anew. */
  section(application: string): void {
    this.#interfaces = 0;
    this.#begin(BLOCK_SHB);
    this.#u32(BYTE_ORDER_MAGIC);
    this.#u16(1);
    this.#u16(0);
    this.#u32(0xffffffff);
    this.#u32(0xffffffff);
    this.#text(SHB_USERAPPL, application);
    this.#finish();
  }

  /** Describes an interface; returns its number. `snapLen` 0: frames are whole. */
  interface(name: string, linkType: number, snapLen: number): number {
    this.#begin(BLOCK_IDB);
    this.#u16(linkType);
    this.#u16(0);
    this.#u32(snapLen);
    this.#text(IF_NAME, name);
    this.#option(IF_TSRESOL, 1);
    this.#bytes[this.#room(1)] = TSRESOL;
    this.#finish();
    return this.#interfaces++;
  }

  /** Begins a packet of `len` bytes of which `caplen` are kept; returns where in `bytes` these go. `endPacket` follows. */
  packet(ifId: number, timeMs: number, len: number, caplen: number): number {
    this.#begin(BLOCK_EPB);
    this.#u32(ifId);
    this.#time(timeMs);
    this.#u32(caplen);
    this.#u32(len);
    return this.#room(caplen);
  }

  /** `flags`: direction and reception type (`PCAPNG_*`). */
  endPacket(flags: number, comment: string | null): void {
    this.#option(EPB_FLAGS, 4);
    this.#u32(flags);
    if (comment !== null) this.#text(OPT_COMMENT, comment);
    this.#finish();
  }

  /** Totals of an interface so far: frames received, and frames lost. */
  statistics(ifId: number, timeMs: number, received: number, dropped: number, comment: string): void {
    this.#begin(BLOCK_ISB);
    this.#u32(ifId);
    this.#time(timeMs);
    this.#text(OPT_COMMENT, comment);
    this.#option(ISB_IFRECV, 8);
    this.#u64(received);
    this.#option(ISB_IFDROP, 8);
    this.#u64(dropped);
    this.#finish();
  }

  #begin(type: number): void {
    this.#pos = 0;
    this.#u32(type);
    this.#u32(0);
  }

  #u16(v: number): void {
    this.#view.setUint16(this.#pos, v, true);
    this.#pos += 2;
  }

  #u32(v: number): void {
    this.#view.setUint32(this.#pos, v, true);
    this.#pos += 4;
  }

  /** A count of up to 2^53, low word first as in options. */
  #u64(v: number): void {
    this.#u32(v % TWO_32);
    this.#u32(Math.floor(v / TWO_32));
  }

  /** A time, high word first as in blocks. */
  #time(ms: number): void {
    const us = Math.floor(ms * 1000);
    this.#u32(Math.floor(us / TWO_32));
    this.#u32(us % TWO_32);
  }

  /** The place where the next `n` bytes go; padded to 4 with zeros. */
  #room(n: number): number {
    const at = this.#pos;
    this.#pos += n;
    while ((this.#pos & 3) !== 0) this.#bytes[this.#pos++] = 0;
    return at;
  }

  #option(code: number, len: number): void {
    this.#u16(code);
    this.#u16(len);
  }

  #text(code: number, text: string): void {
    const encoded = new TextEncoder().encode(text.slice(0, COMMENT_MAX));
    this.#option(code, encoded.length);
    this.#bytes.set(encoded, this.#room(encoded.length));
  }

  /** Ends the options, fills in both lengths and hands the block over. */
  #finish(): void {
    this.#option(OPT_END, 0);
    const total = this.#pos + 4;
    this.#u32(total);
    this.#view.setUint32(4, total, true);
    this.#sink(this.#bytes.subarray(0, total));
  }
}
