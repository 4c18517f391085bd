/**
 * What was on an interface, for people and for comparing: a capture in pcapng, begun and ended at any time, and a fingerprint, which is
 * the same for two runs if and only if each frame had the same bytes at the same time on the same interface.
 */
import { type Hash, createHash } from 'node:crypto';
import { type PcapOptions, tracePcapng } from '../driver/pcapng.ts';
import { type Link, type LinkInfo, type LinkMethods, type LinkUp, linkInterface } from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import type { RxPacket, TxPacket } from '../kern/packet.ts';
import type { Observer } from './observer.ts';

/** Bytes that a capture keeps unless told otherwise. */
const LIMIT_BYTES = 64 * 1024 * 1024;

/** An end of a wire that leads nowhere: what the tracer is wrapped around, so that frames can be shown to it. */
class Mirror {
  readonly info: LinkInfo;
  up: LinkUp | null = null;

  constructor(info: LinkInfo) {
    this.info = info;
  }
}

const mirrorClass = defineClass<Mirror, LinkMethods>({
  name: 'mirror',
  implements: linkInterface,
  methods: {
    info: (self) => self.info,
    start: (self, up) => {
      self.up = up;
      return null;
    },
    transmit: () => null,
  },
});

const NOBODY: LinkUp = {
  begin: () => undefined,
  input: () => undefined,
  end: () => undefined,
  dropped: () => undefined,
  state: () => undefined,
};

/** A capture of one interface. */
export class Capture implements Observer {
  /** Frames seen. */
  frames = 0;
  /** Blocks that did not fit into the limit. */
  lost = 0;
  readonly #chunks: Uint8Array[] = [];
  readonly #limitBytes: number;
  readonly #mirror: Mirror;
  readonly #tracer: Link;
  readonly #stop: () => void;
  #size = 0;

  constructor(info: LinkInfo, options: PcapOptions, stop: () => void, limitBytes = LIMIT_BYTES) {
    this.#limitBytes = limitBytes;
    this.#stop = stop;
    this.#mirror = new Mirror(info);
    this.#tracer = tracePcapng(bindObject(mirrorClass, this.#mirror), { write: (bytes) => this.#keep(bytes) }, options);
    this.#tracer.start(NOBODY);
  }

  #keep(bytes: Uint8Array): void {
    if (this.#size + bytes.length > this.#limitBytes) {
      this.lost++;
      return;
    }
    this.#size += bytes.length;
    this.#chunks.push(bytes.slice());
  }

  received(pkt: RxPacket): void {
    this.frames++;
    this.#mirror.up?.input(pkt);
  }

  sent(pkt: TxPacket): void {
    this.frames++;
    this.#tracer.transmit(pkt);
  }

  /** Ends it; what was captured stays. */
  stop(): this {
    this.#stop();
    return this;
  }

  /** The file so far. */
  bytes(): Uint8Array {
    const file = new Uint8Array(this.#size);
    let at = 0;
    for (const chunk of this.#chunks) {
      file.set(chunk, at);
      at += chunk.length;
    }
    return file;
  }
}

const RECEIVED = 0;
const SENT = 1;

/** A hash over all frames of all interfaces. */
export class Fingerprint {
  readonly #hash: Hash = createHash('sha256');
  readonly #head = new Float64Array(3);
  readonly #headBytes = new Uint8Array(this.#head.buffer);
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The observer of the interface with this number. */
  observer(index: number): Observer {
    return {
      received: (pkt) => {
        this.#begin(index, RECEIVED);
        this.#hash.update(pkt.bytes.subarray(pkt.off, pkt.end));
      },
      sent: (pkt) => {
        this.#begin(index, SENT);
        this.#hash.update(pkt.bytes.subarray(pkt.off, pkt.end));
        for (let i = 0; i < pkt.nfrags; i++) {
          const off = pkt.fragOff[i] as number;
          this.#hash.update((pkt.fragBytes[i] as Uint8Array).subarray(off, off + (pkt.fragLen[i] as number)));
        }
      },
    };
  }

  #begin(index: number, direction: number): void {
    this.#head[0] = this.#nowMs();
    this.#head[1] = index;
    this.#head[2] = direction;
    this.#hash.update(this.#headBytes);
  }

  /** Of everything so far, in hexadecimal. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}
