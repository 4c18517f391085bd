/**
 * Reads capture files: pcapng (draft-tuexen-opsawg-pcapng) and the older pcap (draft-gharris-opsawg-pcap), of either byte order, times in
 * any resolution. Fed with pieces as they come; what is malformed ends the reading with a sentence, never with an exception.
 */

const PCAP_US = 0xa1b2c3d4;
const PCAP_NS = 0xa1b23c4d;
const BLOCK_SHB = 0x0a0d0d0a;
const BLOCK_IDB = 1;
const BLOCK_SPB = 3;
const BLOCK_EPB = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPT_COMMENT = 1;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const TWO_32 = 0x1_0000_0000;
/** Longest block or record that is believed, in bytes. */
const BLOCK_MAX = 16 * 1024 * 1024;

export interface ReadPacket {
  /** Name of the interface; '' where the file has none. */
  readonly name: string;
  /** Link type (tcpdump.org/linktypes.html). */
  readonly linkType: number;
  /** Seconds since the epoch. */
  readonly ts: number;
  /** Length on the link, of which `bytes` is what was kept. */
  readonly len: number;
  readonly bytes: Uint8Array;
  readonly dir: 'in' | 'out' | null;
  readonly comment: string | null;
}

interface Interface {
  readonly name: string;
  readonly linkType: number;
  readonly snapLen: number;
  /** Units of time in a second. */
  readonly perSecond: number;
}

export class CaptureReader {
  /** What is wrong with the file; null so far. */
  error: string | null = null;
  #bytes: Uint8Array = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #pos = 0;
  #format: 'pcap' | 'pcapng' | null = null;
  #little = true;
  #interfaces: Interface[] = [];

  /** The packets that are complete with this piece. Their bytes are good until the next piece. */
  push(piece: Uint8Array): ReadPacket[] {
    const rest = this.#bytes.subarray(this.#pos);
    const bytes = new Uint8Array(rest.length + piece.length);
    bytes.set(rest, 0);
    bytes.set(piece, rest.length);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#pos = 0;
    const packets: ReadPacket[] = [];
    while (this.error === null && this.#step(packets)) continue;
    return packets;
  }

  /** Nothing comes any more: says so where the file ends in the middle, or is none. */
  end(): void {
    if (this.error !== null) return;
    if (this.#format === null) this.error = 'this is no capture file (pcapng or pcap)';
    else if (this.#pos < this.#bytes.length) this.error = 'the file is cut short: it ends in the middle of a packet';
  }

  #left(): number {
    return this.#bytes.length - this.#pos;
  }

  #u16(at: number): number {
    return this.#view.getUint16(this.#pos + at, this.#little);
  }

  #u32(at: number): number {
    return this.#view.getUint32(this.#pos + at, this.#little);
  }

  /** Takes one block or record. False: there is not enough yet. */
  #step(packets: ReadPacket[]): boolean {
    if (this.#format === null && !this.#begin()) return false;
    return this.#format === 'pcap' ? this.#record(packets) : this.#block(packets);
  }

  #begin(): boolean {
    if (this.#left() < 4) return false;
    if (this.#view.getUint32(0, false) === BLOCK_SHB) {
      this.#format = 'pcapng';
      return true;
    }
    for (const little of [true, false]) {
      const magic = this.#view.getUint32(0, little);
      if (magic !== PCAP_US && magic !== PCAP_NS) continue;
      if (this.#left() < PCAP_HEADER) return false;
      this.#little = little;
      this.#format = 'pcap';
      const perSecond = magic === PCAP_NS ? 1e9 : 1e6;
      this.#interfaces = [{ name: '', linkType: this.#u32(20) & 0x0fffffff, snapLen: this.#u32(16), perSecond }];
      this.#pos = PCAP_HEADER;
      return true;
    }
    this.error = 'this is no capture file (pcapng or pcap)';
    return false;
  }

  #record(packets: ReadPacket[]): boolean {
    if (this.#left() < RECORD_HEADER) return false;
    const caplen = this.#u32(8);
    if (caplen > BLOCK_MAX) return this.#fail(`a packet of ${caplen} bytes`);
    if (this.#left() < RECORD_HEADER + caplen) return false;
    const from = this.#interfaces[0] as Interface;
    const ts = this.#u32(0) + this.#u32(4) / from.perSecond;
    packets.push({ ...this.#packet(from, RECORD_HEADER, caplen, this.#u32(12)), ts, dir: null, comment: null });
    this.#pos += RECORD_HEADER + caplen;
    return true;
  }

  #packet(
    { name, linkType }: Interface,
    at: number,
    caplen: number,
    len: number,
  ): Pick<ReadPacket, 'name' | 'linkType' | 'len' | 'bytes'> {
    return { name, linkType, len, bytes: this.#bytes.subarray(this.#pos + at, this.#pos + at + caplen) };
  }

  #fail(what: string): false {
    this.error = `the file is damaged: ${what}`;
    return false;
  }

  #block(packets: ReadPacket[]): boolean {
    if (this.#left() < 12) return false;
    // A section says in which order its bytes are; its type reads the same both ways.
    if (this.#view.getUint32(this.#pos, true) === BLOCK_SHB) {
      const magic = this.#view.getUint32(this.#pos + 8, true);
      if (magic !== BYTE_ORDER_MAGIC && this.#view.getUint32(this.#pos + 8, false) !== BYTE_ORDER_MAGIC)
        return this.#fail('a section without byte order');
      this.#little = magic === BYTE_ORDER_MAGIC;
      this.#interfaces = [];
    }
    const total = this.#u32(4);
    if (total < 12 || total % 4 !== 0 || total > BLOCK_MAX) return this.#fail(`a block of ${total} bytes`);
    if (this.#left() < total) return false;
    const type = this.#u32(0);
    if (type === BLOCK_IDB && total >= 20) this.#describe(total);
    else if (type === BLOCK_EPB && total >= 32) this.#enhanced(total, packets);
    else if (type === BLOCK_SPB && total >= 16) this.#simple(total, packets);
    this.#pos += total;
    return this.error === null;
  }

  #describe(total: number): void {
    let name = '';
    let perSecond = 1e6;
    this.#options(16, total, (code, at, len) => {
      if (code === IF_NAME) name = this.#text(at, len);
      const resolution = this.#bytes[this.#pos + at] ?? 6;
      if (code === IF_TSRESOL && len === 1) perSecond = (resolution & 0x80) !== 0 ? 2 ** (resolution & 0x7f) : 10 ** resolution;
    });
    this.#interfaces.push({ name, linkType: this.#u16(8), snapLen: this.#u32(12), perSecond });
  }

  #enhanced(total: number, packets: ReadPacket[]): void {
    const from = this.#interfaces[this.#u32(8)];
    const caplen = this.#u32(20);
    if (from === undefined || caplen > total - 32) {
      this.#fail(
        from === undefined ? 'a packet of an interface that is not described' : 'a packet that is longer than its block',
      );
      return;
    }
    let dir: ReadPacket['dir'] = null;
    const comments: string[] = [];
    this.#options(28 + ((caplen + 3) & ~3), total, (code, at, len) => {
      if (code === OPT_COMMENT) comments.push(this.#text(at, len));
      if (code === EPB_FLAGS && len === 4) dir = ([null, 'in', 'out', null] as const)[this.#u32(at) & 3] ?? null;
    });
    const ts = (this.#u32(12) * TWO_32 + this.#u32(16)) / from.perSecond;
    packets.push({
      ...this.#packet(from, 28, caplen, this.#u32(24)),
      ts,
      dir,
      comment: comments.length === 0 ? null : comments.join('; '),
    });
  }

  /** A packet of the first interface, without a time. */
  #simple(total: number, packets: ReadPacket[]): void {
    const [from] = this.#interfaces;
    if (from === undefined) {
      this.#fail('a packet of an interface that is not described');
      return;
    }
    const len = this.#u32(8);
    const caplen = Math.min(len, total - 16, from.snapLen === 0 ? len : from.snapLen);
    packets.push({ ...this.#packet(from, 12, caplen, len), ts: 0, dir: null, comment: null });
  }

  #options(at: number, total: number, take: (code: number, at: number, len: number) => void): void {
    for (let o = at; o + 4 <= total - 4;) {
      const code = this.#u16(o);
      const len = this.#u16(o + 2);
      if (code === 0 || o + 4 + len > total - 4) return;
      take(code, o + 4, len);
      o += 4 + ((len + 3) & ~3);
    }
  }

  #text(at: number, len: number): string {
    return new TextDecoder().decode(this.#bytes.subarray(this.#pos + at, this.#pos + at + len));
  }
}
