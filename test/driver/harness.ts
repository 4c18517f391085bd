/** The upper side of a link for tests: keeps what comes up. */
import type { Link, LinkUp } from '../../src/kern/ifnet/link.ts';
import type { RxPacket } from '../../src/kern/packet.ts';

export interface Seen {
  bytes: Uint8Array;
  flags: number;
  gsoSize: number;
  /** Number of the batch that it came in. */
  batch: number;
}

export class Upper implements LinkUp {
  readonly frames: Seen[] = [];
  readonly lost: Record<string, number> = {};
  readonly states: string[] = [];
  batches = 0;
  depth = 0;
  /** Called for each frame, after it was kept. */
  onFrame: (pkt: RxPacket) => void = () => {};
  /** Called at the end of each batch, when a kernel would run its work. */
  onEnd: () => void = () => {};

  begin(): void {
    this.depth++;
    this.batches++;
  }
  input(pkt: RxPacket): void {
    if (this.depth === 0) throw new Error('a frame outside a batch');
    this.frames.push({ bytes: pkt.bytes.slice(pkt.off, pkt.end), flags: pkt.flags, gsoSize: pkt.gsoSize, batch: this.batches });
    this.onFrame(pkt);
  }
  end(): void {
    this.onEnd();
    this.depth--;
  }
  dropped(what: string, frames: number): void {
    this.lost[what] = (this.lost[what] ?? 0) + frames;
  }
  state(state: string): void {
    this.states.push(state);
  }
}

/** Starts a link, sets it up with all of its capabilities (or those given), and returns its upper side. */
export function open(link: Link, caps = link.info().capabilities): Upper {
  const upper = new Upper();
  const errors = [link.setCapEnable(caps), link.start(upper), link.setUp(true)].filter((err) => err !== null);
  if (errors.length > 0) throw new Error(errors.join());
  return upper;
}

export interface SendMeta {
  flags?: number;
  gsoSize?: number;
  csumStart?: number;
  csumOffset?: number;
  /** Bytes in the contiguous part; the rest goes as slices of these lengths, the last takes what is left. */
  head?: number;
  slices?: number[];
}

/** Hands a frame to the link without a flush. Answers what `transmit` did, or 'ENOBUFS' without a slot. */
export function put(link: Link, frame: Uint8Array, meta: SendMeta = {}): string | null {
  const pkt = link.txAlloc();
  if (pkt === null) return 'ENOBUFS';
  const head = meta.head ?? Math.min(frame.length, pkt.room());
  pkt.bytes.set(frame.subarray(0, head), pkt.append(head));
  let at = head;
  for (const len of [...(meta.slices ?? []), Infinity]) {
    const n = Math.min(len, frame.length - at);
    if (n > 0) pkt.addFrag(frame, at, n);
    at += n;
  }
  pkt.flags = meta.flags ?? 0;
  pkt.gsoSize = meta.gsoSize ?? 0;
  pkt.csumStart = meta.csumStart === undefined ? 0 : pkt.off + meta.csumStart;
  pkt.csumOffset = meta.csumOffset ?? 0;
  return link.transmit(pkt);
}

export function send(link: Link, frame: Uint8Array, meta: SendMeta = {}): string | null {
  const err = put(link, frame, meta);
  link.flush();
  return err;
}
