/**
 * Pooled byte buffers for socket buffers: powers of two from 2 KiB to 8 MiB under one limit (what mbuf clusters and `kern.ipc.nmbclusters`
 * are to mbuf(9)). A frame may still refer to a buffer when its owner gives it back, because slices of it wait in a link's ring until
 * the end of the batch. So a buffer that comes back is quarantined, and only a work item behind the links' flush
 * (`NETISR_LAST`) makes it available again.
 */
import { NETISR_LAST, type Netisr, type NetisrWork } from '../netisr.ts';

/** Smallest and largest buffer, as powers of two. */
const MIN_SHIFT = 11;
const MAX_SHIFT = 23;
export const BUF_MIN = 1 << MIN_SHIFT;
export const BUF_MAX = 1 << MAX_SHIFT;

/** Share of the limit that idle buffers may take; what is over it goes to the garbage collector. */
const CACHE_SHARE = 1 / 8;
/** Share of the limit that `allocReserve` may go over it. */
const RESERVE_SHARE = 1 / 4;

export class BufPool {
  readonly limitBytes: number;
  /** Bytes in use or in quarantine. */
  used = 0;
  /** Bytes idle, kept for the next taker. */
  cached = 0;
  /** Requests refused at the limit. */
  denied = 0;
  readonly #free: Uint8Array[][] = [];
  readonly #quarantine: Uint8Array[] = [];
  readonly #netisr: Pick<Netisr, 'schedule'>;
  readonly #release: NetisrWork;

  constructor(limitBytes: number, netisr: Pick<Netisr, 'schedule'>) {
    this.limitBytes = limitBytes;
    this.#netisr = netisr;
    for (let shift = MIN_SHIFT; shift <= MAX_SHIFT; shift++) this.#free.push([]);
    this.#release = { level: NETISR_LAST, queued: false, run: () => this.#endQuarantine() };
  }

  /** A buffer of at least `bytes`, contents undefined; null over `BUF_MAX` or at the limit. */
  alloc(bytes: number): Uint8Array | null {
    return this.#take(bytes, this.limitBytes);
  }

  /**
   * The same for data that a protocol has acknowledged and cannot refuse any more: may go over the limit by a quarter, which
   * shrinking windows (`sorcvspace`) keep from happening for long.
   */
  allocReserve(bytes: number): Uint8Array | null {
    return this.#take(bytes, this.limitBytes * (1 + RESERVE_SHARE));
  }

  /** True while less is in use than the limit. */
  hasRoom(): boolean {
    return this.used < this.limitBytes;
  }

  /** Takes a buffer back. It is not handed out again before the present batch has left. */
  free(buf: Uint8Array): void {
    this.#quarantine.push(buf);
    this.#netisr.schedule(this.#release);
  }

  #take(bytes: number, limit: number): Uint8Array | null {
    const cls = bytes <= BUF_MIN ? 0 : 32 - Math.clz32(bytes - 1) - MIN_SHIFT;
    const size = BUF_MIN << cls;
    if (cls > MAX_SHIFT - MIN_SHIFT || this.used + size > limit) {
      this.denied++;
      return null;
    }
    this.used += size;
    const buf = (this.#free[cls] as Uint8Array[]).pop();
    if (buf === undefined) return new Uint8Array(size);
    this.cached -= size;
    return buf;
  }

  #endQuarantine(): void {
    for (let buf = this.#quarantine.pop(); buf !== undefined; buf = this.#quarantine.pop()) {
      const size = buf.length;
      this.used -= size;
      if (this.cached + size > this.limitBytes * CACHE_SHARE) continue;
      this.cached += size;
      (this.#free[31 - Math.clz32(size) - MIN_SHIFT] as Uint8Array[]).push(buf);
    }
  }
}
