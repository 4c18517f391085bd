/**
 * Taps of interfaces (bpf(4)): who listens sees each frame that comes in or goes out, with its time, and with the reason if it was dropped.
 * The reason is the name of each drop counter that moved while the stack had the frame, so it is the stack's own word. An interface
 * without listeners has no tap, and a frame pays one test for that.
 *
 * Which frames somebody wants is his own business (`deliver`): the kernel knows no protocol, and so has no filter.
 */
import type { Errno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { FrameInput } from '../netstack.ts';
import { PKT_BCAST, PKT_MCAST, type RxPacket, type TxPacket } from '../packet.ts';
import { BpfRing } from './bpfring.ts';
import { DropWatch } from './dropwatch.ts';
import type { Ifnet } from './ifnet.ts';

/** Longest frame: a super-frame with its link header, in bytes. */
export const BPF_MAXSNAP = 65536 + 64;
/** Bytes of an Ethernet address. */
const ADDR_LEN = 6;

/** A frame as listeners get it; filled in again for the next one. */
export class BpfFrame {
  ifp: Ifnet;
  dir: 'in' | 'out' = 'in';
  /** Since the Unix epoch. */
  timeMs = 0;
  /** Length on the link, and how much of it is in [0, caplen) of `bytes`. */
  len = 0;
  caplen = 0;
  bytes: Uint8Array;
  /** PKT_BCAST, PKT_MCAST. */
  flags = 0;
  /** Counters that moved, comma between them; or the link's error. Null: it was not dropped. */
  drop: string | null = null;

  constructor(ifp: Ifnet, bytes: Uint8Array) {
    this.ifp = ifp;
    this.bytes = bytes;
  }
}

export interface BpfOptions {
  /** Who listens, for netstat -B. */
  readonly owner: string;
  /** An interface's name; null: all, those too that come later. */
  readonly interface: string | null;
  readonly direction: 'in' | 'out' | 'inout';
  /** Bytes of a frame that are wanted. */
  readonly snaplen: number;
  /** Takes a frame, whose bytes are the tap's again on return. */
  deliver(frame: BpfFrame): void;
  /** The interface that was named is gone. */
  gone?(): void;
}

export interface BpfStat {
  readonly owner: string;
  readonly interface: string;
  readonly direction: 'in' | 'out' | 'inout';
  readonly captured: number;
  readonly lost: number;
}

/** A listener. It counts itself what it took and what it lost. */
export class BpfDesc {
  captured = 0;
  lost = 0;
  readonly options: BpfOptions;
  readonly #close: (desc: BpfDesc) => void;

  constructor(options: BpfOptions, close: (desc: BpfDesc) => void) {
    this.options = options;
    this.#close = close;
  }

  wants(ifp: Ifnet): boolean {
    return this.options.interface === null || this.options.interface === ifp.name();
  }

  close(): void {
    this.#close(this);
  }
}

/** The tap of one interface. */
export class BpfTap {
  listeners: readonly BpfDesc[] = [];
  readonly #ifp: Ifnet;
  readonly #ether: boolean;
  readonly #bpf: Bpf;
  readonly #in: BpfFrame;
  readonly #out: BpfFrame;
  #inSnap = 0;
  #outSnap = 0;
  /** An input is under way: what comes inside of it is not told apart from it, and has no reason of its own. */
  #busy = false;

  constructor(bpf: Bpf, ifp: Ifnet) {
    this.#bpf = bpf;
    this.#ifp = ifp;
    this.#ether = ifp.type() === 'ethernet';
    this.#in = new BpfFrame(ifp, new Uint8Array(0));
    this.#out = new BpfFrame(ifp, new Uint8Array(0));
    this.#out.dir = 'out';
  }

  setListeners(listeners: readonly BpfDesc[]): void {
    this.listeners = listeners;
    this.#inSnap = this.#longest('out');
    this.#outSnap = this.#longest('in');
    this.#in.bytes = roomFor(this.#in.bytes, this.#inSnap);
    this.#out.bytes = roomFor(this.#out.bytes, this.#outSnap);
  }

  /** The longest part that a listener of any direction but `other` wants. */
  #longest(other: 'in' | 'out'): number {
    const wanted = this.listeners.filter(({ options }) => options.direction !== other).map(({ options }) => options.snaplen);
    return Math.min(BPF_MAXSNAP, Math.max(0, ...wanted));
  }

  /** A frame that the stack takes now by `input`. */
  input(pkt: RxPacket, input: FrameInput): void {
    if (this.#busy) {
      input(pkt);
      return;
    }
    this.#busy = true;
    this.#take(pkt);
    const { drops } = this.#bpf;
    drops.begin();
    this.#bpf.inputs++;
    try {
      input(pkt);
    } finally {
      this.#busy = false;
      this.#bpf.inputs--;
    }
    this.#in.drop = drops.moved();
    this.deliver(this.#in);
    this.#bpf.flush();
  }

  /** A frame that the interface itself dropped. */
  refused(pkt: RxPacket, reason: string): void {
    if (this.#busy) return;
    this.#take(pkt);
    this.#in.drop = reason;
    this.deliver(this.#in);
  }

  #take({ bytes, off, end }: RxPacket): void {
    const frame = this.#in;
    frame.timeMs = this.#bpf.now();
    frame.len = end - off;
    frame.caplen = Math.min(frame.len, this.#inSnap);
    if (frame.caplen > 0) frame.bytes.set(bytes.subarray(off, off + frame.caplen), 0);
    frame.flags = this.#group(frame);
  }

  /** A frame to send, before the link gets it: its bytes may be gone afterwards. `sent` says what became of it. */
  output(pkt: TxPacket): void {
    const frame = this.#out;
    frame.timeMs = this.#bpf.now();
    frame.len = pkt.length();
    frame.caplen = Math.min(frame.len, this.#outSnap);
    if (frame.caplen > 0) copyPart(pkt, frame.bytes, frame.caplen);
    frame.flags = this.#group(frame);
  }

  /** The lowest bit of an Ethernet frame's first byte says that it is for a group; all ones are everybody. */
  #group({ bytes, caplen }: BpfFrame): number {
    if (!this.#ether || caplen < ADDR_LEN || ((bytes[0] as number) & 1) === 0) return 0;
    for (let i = 0; i < ADDR_LEN; i++) if (bytes[i] !== 0xff) return PKT_MCAST;
    return PKT_BCAST;
  }

  sent(err: Errno | null): void {
    this.#out.drop = err;
    // What is sent while a frame is taken in is an answer to it: it comes behind it.
    if (this.#bpf.inputs > 0) this.#bpf.defer(this, copyFrame(this.#out));
    else this.deliver(this.#out);
  }

  /** To all listeners of its direction. */
  deliver(frame: BpfFrame): void {
    const other = frame.dir === 'in' ? 'out' : 'in';
    for (const desc of this.listeners) if (desc.options.direction !== other) desc.options.deliver(frame);
    const { drop } = this.#bpf.kernel.diag;
    if (frame.drop === null || !drop.hasSubscribers) return;
    drop.publish({ if: this.#ifp.name(), dir: frame.dir, len: frame.len, reason: frame.drop });
  }
}

function copyFrame(frame: BpfFrame): BpfFrame {
  const copy = new BpfFrame(frame.ifp, frame.bytes.slice(0, frame.caplen));
  const { dir, timeMs, len, caplen, flags, drop } = frame;
  return Object.assign(copy, { dir, timeMs, len, caplen, flags, drop });
}

function roomFor(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.length >= length ? bytes : new Uint8Array(length);
}

function copyPart(pkt: TxPacket, to: Uint8Array, length: number): void {
  let n = Math.min(pkt.end - pkt.off, length);
  to.set(pkt.bytes.subarray(pkt.off, pkt.off + n), 0);
  let pos = n;
  for (let i = 0; i < pkt.nfrags && pos < length; i++) {
    const off = pkt.fragOff[i] as number;
    n = Math.min(pkt.fragLen[i] as number, length - pos);
    to.set((pkt.fragBytes[i] as Uint8Array).subarray(off, off + n), pos);
    pos += n;
  }
}

/** All taps of a kernel. */
export class Bpf {
  readonly kernel: Kernel;
  readonly drops: DropWatch;
  /** The last frames of all interfaces, while kern.capture.ring_mb is not 0. */
  readonly ring: BpfRing;
  /** Taps are there because somebody wants to hear of drops. */
  dropping = false;
  /** Taps that are taking a frame in now, and what was sent meanwhile. */
  inputs = 0;
  #deferred: { readonly tap: BpfTap; readonly frame: BpfFrame }[] = [];
  #descs: readonly BpfDesc[] = [];

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.drops = new DropWatch(kernel.counters);
    this.ring = new BpfRing((options) => this.open(options));
    kernel.events.on('ifnet_arrival_event', () => this.refresh());
    kernel.events.on('ifnet_departure_event', (ifp) => this.#departed(ifp));
  }

  now(): number {
    return this.kernel.clock.realtimeMs();
  }

  defer(tap: BpfTap, frame: BpfFrame): void {
    this.#deferred.push({ tap, frame });
  }

  /** The frame that was taken in has been delivered: now what was sent meanwhile. */
  flush(): void {
    if (this.inputs > 0 || this.#deferred.length === 0) return;
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const { tap, frame } of deferred) tap.deliver(frame);
  }

  /** Begins to listen. ENXIO for an interface that is not there. */
  open(options: BpfOptions): BpfDesc | Errno {
    if (options.interface !== null && this.kernel.ifnets.byName(options.interface) === null) return 'ENXIO';
    const desc = new BpfDesc(options, (gone) => {
      this.#descs = this.#descs.filter((other) => other !== gone);
      this.refresh();
    });
    this.#descs = [...this.#descs, desc];
    this.refresh();
    return desc;
  }

  /** Gives each interface the tap it needs, or none. */
  refresh(): void {
    this.dropping = this.kernel.diag.drop.hasSubscribers;
    for (const ifp of this.kernel.ifnets.all()) {
      const listeners = this.#descs.filter((desc) => desc.wants(ifp));
      if (listeners.length === 0 && !this.dropping) ifp.bpf = null;
      else (ifp.bpf ??= new BpfTap(this, ifp)).setListeners(listeners);
    }
  }

  /** A rename is a departure too; who asked for the old name has lost it. */
  #departed(ifp: Ifnet): void {
    const lost = this.#descs.filter(({ options }) => options.interface === ifp.name());
    for (const desc of lost) {
      desc.close();
      desc.options.gone?.();
    }
  }

  list(): BpfStat[] {
    return this.#descs.map(({ options, captured, lost }) => ({
      owner: options.owner,
      interface: options.interface ?? '*',
      direction: options.direction,
      captured,
      lost,
    }));
  }
}
