/**
 * Path MTU per destination, as routers told it (RFC 1191): bounded, and forgotten after ten minutes so that a path that got wider is
 * found out (§6.3). A transport asks for it to be lowered after it has checked that the message is about a packet of its own.
 */
import { Callout } from '../../kern/callout.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { type IpAddr } from '../../wire/addr.ts';
import { AddrEntry, AddrTable } from './addrtable.ts';
import type { RouteStat } from './stats.ts';

/** MTUs of common links (RFC 1191 §7.1): the guess when a router does not tell. */
const PLATEAUS: readonly number[] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];
/** How often old entries are looked for, in milliseconds. */
const SWEEP_MS = 60_000;

/** The next MTU to try below a packet of `len` bytes. */
export function plateauBelow(len: number): number {
  return PLATEAUS.find((mtu) => mtu < len) ?? 68;
}

class HostEntry extends AddrEntry {
  mtu = 0;
  /** Since when it holds, in the kernel's milliseconds. */
  sinceMs = 0;
}

export class HostCache {
  /** Entries, and how long one lives in seconds: sysctls. */
  limit = 4096;
  expireSec = 600;
  readonly #kernel: Kernel;
  readonly #stat: RouteStat;
  readonly #table: AddrTable<HostEntry>;
  readonly #sweep: Callout<null>;
  readonly #expired: (dst: IpAddr) => void;

  /** `expired` is told of each destination whose entry is forgotten. */
  constructor(kernel: Kernel, stat: RouteStat, expired: (dst: IpAddr) => void) {
    this.#kernel = kernel;
    this.#stat = stat;
    this.#table = new AddrTable(kernel.random.u32() | 0);
    this.#sweep = new Callout<null>(kernel.callouts, () => this.#expireOld(), null);
    this.#expired = expired;
  }

  get size(): number {
    return this.#table.size;
  }

  /** Path MTU to `dst` in bytes, 0 when nothing is known. */
  mtu(dst: IpAddr): number {
    return this.#table.get(dst)?.mtu ?? 0;
  }

  set(dst: IpAddr, mtu: number): void {
    let entry = this.#table.get(dst);
    if (entry === null) {
      while (this.#table.size >= this.limit) this.#forget(this.#table.oldest(), 'pmtuevicted');
      entry = new HostEntry();
      entry.dst.set(dst);
      this.#table.insert(entry);
    } else this.#table.touch(entry);
    entry.mtu = mtu;
    entry.sinceMs = this.#kernel.time.ms;
    if (!this.#sweep.pending) this.#sweep.reset(SWEEP_MS);
  }

  #forget(entry: HostEntry | null, why: 'pmtuevicted' | 'pmtuexpired'): void {
    if (entry === null) return;
    this.#stat[why]++;
    this.#table.remove(entry);
    this.#expired(entry.dst);
  }

  /** The order of use is the order of age: only `set` touches an entry. */
  #expireOld(): void {
    const lifeMs = this.expireSec * 1000;
    for (let e = this.#table.oldest(); e !== null; e = this.#table.oldest()) {
      if (((this.#kernel.time.ms - e.sinceMs) | 0) < lifeMs) break;
      this.#forget(e, 'pmtuexpired');
    }
    if (this.#table.size > 0) this.#sweep.reset(SWEEP_MS);
  }

  clear(): void {
    for (let e = this.#table.oldest(); e !== null; e = this.#table.oldest()) {
      this.#table.remove(e);
      this.#expired(e.dst);
    }
    this.#sweep.stop();
  }

  stop(): void {
    this.#sweep.stop();
  }
}
