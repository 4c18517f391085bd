/**
 * A hash table keyed by address, with its entries in the order of their last use: for every cache that must be bounded (routes,
 * neighbours, path MTUs) and for the prefixes of a routing table. Entries carry their own links; a look-up allocates nothing.
 */
import { type IpAddr, IpAddrBuf, addrEqual } from '../../wire/addr.ts';
import { hashAddr } from './hash.ts';

const MIN_BUCKETS = 16;

/** What a table holds extends this. An entry is in one table at a time. */
export abstract class AddrEntry {
  /** The key. */
  readonly dst = new IpAddrBuf();
  hash = 0;
  chain: AddrEntry | null = null;
  /** Neighbours in the order of use. */
  older: AddrEntry | null = null;
  newer: AddrEntry | null = null;
}

export class AddrTable<E extends AddrEntry> {
  size = 0;
  readonly #seed: number;
  #buckets: (AddrEntry | null)[];
  #oldest: AddrEntry | null = null;
  #newest: AddrEntry | null = null;

  constructor(seed: number) {
    this.#seed = seed;
    this.#buckets = new Array<AddrEntry | null>(MIN_BUCKETS).fill(null);
  }

  get(addr: IpAddr): E | null {
    const hash = hashAddr(this.#seed, addr);
    const buckets = this.#buckets;
    let e = buckets[hash & (buckets.length - 1)] as AddrEntry | null;
    while (e !== null && (e.hash !== hash || !addrEqual(e.dst, addr))) e = e.chain;
    return e as E | null;
  }

  /** Adds an entry whose key is not in the table, as the one used last. */
  insert(e: E): void {
    if (this.size >= this.#buckets.length) this.#grow();
    e.hash = hashAddr(this.#seed, e.dst);
    const i = e.hash & (this.#buckets.length - 1);
    e.chain = this.#buckets[i] as AddrEntry | null;
    this.#buckets[i] = e;
    this.#append(e);
    this.size++;
  }

  /** Takes out an entry that is in this table. */
  remove(e: E): void {
    const i = e.hash & (this.#buckets.length - 1);
    let at = this.#buckets[i] as AddrEntry | null;
    if (at === e) this.#buckets[i] = e.chain;
    else {
      while (at !== null && at.chain !== e) at = at.chain;
      if (at === null) return;
      at.chain = e.chain;
    }
    e.chain = null;
    this.#cut(e);
    this.size--;
  }

  /** The entry is in use: it goes last when room is needed. */
  touch(e: E): void {
    if (this.#newest === e) return;
    this.#cut(e);
    this.#append(e);
  }

  oldest(): E | null {
    return this.#oldest as E | null;
  }

  /** All entries, the one used longest ago first. */
  list(): E[] {
    const all: E[] = [];
    for (let e = this.#oldest; e !== null; e = e.newer) all.push(e as E);
    return all;
  }

  #append(e: AddrEntry): void {
    e.older = this.#newest;
    e.newer = null;
    if (this.#newest === null) this.#oldest = e;
    else this.#newest.newer = e;
    this.#newest = e;
  }

  #cut(e: AddrEntry): void {
    if (e.older === null) this.#oldest = e.newer;
    else e.older.newer = e.newer;
    if (e.newer === null) this.#newest = e.older;
    else e.newer.older = e.older;
    e.older = e.newer = null;
  }

  #grow(): void {
    const buckets = new Array<AddrEntry | null>(this.#buckets.length * 2).fill(null);
    for (let e = this.#oldest; e !== null; e = e.newer) {
      const i = e.hash & (buckets.length - 1);
      e.chain = buckets[i] as AddrEntry | null;
      buckets[i] = e;
    }
    this.#buckets = buckets;
  }
}
