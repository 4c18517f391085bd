/**
 * The last frames of all interfaces, in one buffer of a fixed size: what to look at when something has just gone wrong. The newest
 * frames push out the oldest. A record is a head of 32 bytes, the reason of a drop, and the frame's bytes.
 *
 * Frames are numbered as they come. Who reads keeps a cursor, which is a number and a place: the ring is read where it lies, and a reader
 * that is overtaken knows by the numbers how many frames it missed.
 */
import type { Errno } from '../errno.ts';
import type { BpfDesc, BpfFrame, BpfOptions } from './bpf.ts';

/** Fields of a record's head: its length (0: the rest of the buffer is empty), lengths, time, interface, direction, flags. */
const R_SIZE = 0;
const R_LEN = 4;
const R_CAPLEN = 8;
const R_DROPLEN = 12;
const R_TIME = 16;
const R_IFINDEX = 24;
const R_DIR = 28;
const R_FLAGS = 29;
const HEAD = 32;
const DROP_MAX = 256;
const MIB = 1024 * 1024;
/** Bytes of a frame that the ring keeps. */
const SNAPLEN = 65600;

/** A frame in the ring; `bytes` are the ring's. */
export interface RingFrame {
  readonly ifIndex: number;
  readonly dir: 'in' | 'out';
  readonly timeMs: number;
  readonly len: number;
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly drop: string | null;
}

/** A reader's place in the ring: from the oldest frame on, up to the newest that was there when it was opened. */
export class RingCursor {
  /** Frames that were pushed out of the ring before they were read. */
  missed = 0;
  /** Of the next frame: its number, and where its record is. */
  seq: number;
  at: number;
  /** Number of the first frame that is not read any more. */
  readonly end: number;

  constructor(seq: number, at: number, end: number) {
    this.seq = seq;
    this.at = at;
    this.end = end;
  }
}

export class BpfRing {
  /** Frames that are in it; frames that were too long for it; frames that readers did not get to in time. */
  count = 0;
  lost = 0;
  missed = 0;
  readonly #open: (options: BpfOptions) => BpfDesc | Errno;
  #desc: BpfDesc | null = null;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  /** The oldest record, and where the next one goes. */
  #head = 0;
  #tail = 0;
  /** Number of the oldest frame. */
  #first = 0;

  constructor(open: (options: BpfOptions) => BpfDesc | Errno) {
    this.#open = open;
  }

  sizeMb(): number {
    return this.#bytes.length / MIB;
  }

  /** A ring of another size, and empty; 0 ends it. */
  resize(mb: number): void {
    this.#bytes = new Uint8Array(mb * MIB);
    this.#view = new DataView(this.#bytes.buffer);
    this.clear();
    if (mb === 0) {
      this.#desc?.close();
      this.#desc = null;
    } else if (this.#desc === null) {
      const desc = this.#open({
        owner: 'ring',
        interface: null,
        direction: 'inout',
        snaplen: SNAPLEN,
        deliver: (frame) => this.#put(frame),
      });
      this.#desc = typeof desc === 'string' ? null : desc;
    }
  }

  clear(): void {
    this.#first += this.count;
    this.count = 0;
    this.#head = this.#tail = 0;
  }

  /** Bytes of all records. */
  used(): number {
    if (this.count === 0) return 0;
    return this.#tail > this.#head ? this.#tail - this.#head : this.#bytes.length - this.#head + this.#tail;
  }

  #put(frame: BpfFrame): void {
    const drop = frame.drop === null ? '' : frame.drop.slice(0, DROP_MAX);
    // Multiples of 8, so that there is always room for the head's first word at the end.
    const size = (HEAD + drop.length + frame.caplen + 7) & ~7;
    if (size > this.#bytes.length) {
      this.lost++;
      return;
    }
    if (this.#desc !== null) this.#desc.captured++;
    if (this.#tail + size > this.#bytes.length) this.#wrap();
    while (this.count > 0 && this.#head >= this.#tail && this.#head < this.#tail + size) this.#forget();
    this.#write(this.#tail, size, frame, drop);
    if (this.count === 0) this.#head = this.#tail;
    this.count++;
    this.#tail += size;
  }

  /** The rest of the buffer stays empty; what is in it is old. */
  #wrap(): void {
    while (this.count > 0 && this.#head >= this.#tail) this.#forget();
    if (this.#tail < this.#bytes.length) this.#view.setUint32(this.#tail + R_SIZE, 0);
    this.#tail = 0;
  }

  #forget(): void {
    this.#head = this.#next(this.#head);
    this.#first++;
    this.count--;
  }

  /** The place of the record behind the one at `at`. */
  #next(at: number): number {
    const next = at + this.#view.getUint32(at + R_SIZE);
    return next >= this.#bytes.length || (next !== this.#tail && this.#view.getUint32(next + R_SIZE) === 0) ? 0 : next;
  }

  #write(at: number, size: number, frame: BpfFrame, drop: string): void {
    const view = this.#view;
    view.setUint32(at + R_SIZE, size);
    view.setUint32(at + R_LEN, frame.len);
    view.setUint32(at + R_CAPLEN, frame.caplen);
    view.setUint32(at + R_DROPLEN, drop.length);
    view.setFloat64(at + R_TIME, frame.timeMs);
    view.setUint32(at + R_IFINDEX, frame.ifp.index);
    view.setUint8(at + R_DIR, frame.dir === 'in' ? 0 : 1);
    view.setUint8(at + R_FLAGS, frame.flags);
    for (let i = 0; i < drop.length; i++) view.setUint8(at + HEAD + i, drop.charCodeAt(i));
    this.#bytes.set(frame.bytes.subarray(0, frame.caplen), at + HEAD + drop.length);
  }

  /** A reader of what is in the ring now. */
  cursor(): RingCursor {
    return new RingCursor(this.#first, this.#head, this.#first + this.count);
  }

  /** The frame at a cursor, which moves on; null at its end. The frame's bytes are the ring's, and good until the next one comes. */
  read(cursor: RingCursor): RingFrame | null {
    const behind = Math.min(this.#first, cursor.end) - cursor.seq;
    if (behind > 0) {
      cursor.missed += behind;
      this.missed += behind;
      cursor.seq += behind;
      cursor.at = this.#head;
    }
    if (cursor.seq === cursor.end) return null;
    const { at } = cursor;
    // A frame that is to be read still is in the ring already, so its place is known now.
    if (++cursor.seq < cursor.end) cursor.at = this.#next(at);
    return this.#read(at);
  }

  #read(at: number): RingFrame {
    const view = this.#view;
    const dropLen = view.getUint32(at + R_DROPLEN);
    const from = at + HEAD;
    const data = from + dropLen;
    return {
      ifIndex: view.getUint32(at + R_IFINDEX),
      dir: view.getUint8(at + R_DIR) === 0 ? 'in' : 'out',
      timeMs: view.getFloat64(at + R_TIME),
      len: view.getUint32(at + R_LEN),
      bytes: this.#bytes.subarray(data, data + view.getUint32(at + R_CAPLEN)),
      flags: view.getUint8(at + R_FLAGS),
      drop: dropLen === 0 ? null : String.fromCharCode(...this.#bytes.subarray(from, data)),
    };
  }
}
