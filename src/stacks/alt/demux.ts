/**
 * From addresses and ports to a flow: open addressing with linear probing in one Int32Array. An entry is four words, so that a
 * lookup that hits at once reads one cache line and nothing else:
 *
 *     local address | foreign address | local port << 16 | foreign port | id + 1
 *
 * Zero in the last word is an empty entry: a fresh table is zero pages. The table is at most half full by construction, because
 * its users are slabs of fixed size. A removed entry is closed up by moving later ones back, so there are no tombstones and a lookup
 * never gets slower with age. For IPv6 the two address words become keyed hashes of the addresses, and the slab confirms a hit.
 */
import { type HashKey, hashFast } from './hash.ts';
import { at } from './slab.ts';

const WORDS = 4;
const ID = 3;

export class Demux {
  /** Entries in use. */
  count = 0;
  /** Most entries that it takes. */
  readonly limit: number;
  readonly #t: Int32Array;
  readonly #mask: number;
  readonly #key: HashKey;
  /** Where the last hit was: the next segment is often of the same flow. */
  #last = 0;

  constructor(limit: number, key: HashKey) {
    this.limit = limit;
    const slots = 1 << (32 - Math.clz32(2 * limit - 1));
    this.#t = new Int32Array(slots * WORDS);
    this.#mask = slots - 1;
    this.#key = key;
  }

  /** The id stored for these addresses and ports, or -1. */
  find(laddr: number, faddr: number, ports: number): number {
    const t = this.#t;
    const last = this.#last;
    // An empty entry is all zeros, and equal to no one's.
    if (at(t, last + 2) === ports && at(t, last + 1) === faddr && at(t, last) === laddr && at(t, last + ID) !== 0)
      return at(t, last + ID) - 1;
    const e = this.#probe(laddr, faddr, ports);
    const id = at(t, e + ID) - 1;
    if (id >= 0) this.#last = e;
    return id;
  }

  /** Adds an entry, or gives an existing one another id. The caller's slabs keep the table under its limit. */
  set(laddr: number, faddr: number, ports: number, id: number): void {
    const t = this.#t;
    const e = this.#probe(laddr, faddr, ports);
    if (at(t, e + ID) === 0) this.count++;
    t[e] = laddr;
    t[e + 1] = faddr;
    t[e + 2] = ports;
    t[e + ID] = id + 1;
  }

  remove(laddr: number, faddr: number, ports: number): void {
    const t = this.#t;
    let hole = this.#probe(laddr, faddr, ports);
    if (at(t, hole + ID) === 0) return;
    this.count--;
    const wrap = this.#mask * WORDS + WORDS - 1;
    for (let e = (hole + WORDS) & wrap; at(t, e + ID) !== 0; e = (e + WORDS) & wrap) {
      const home = this.#home(at(t, e), at(t, e + 1), at(t, e + 2));
      // An entry moves back if the hole lies between its home and where it stands.
      if (((e - home) & wrap) < ((e - hole) & wrap)) continue;
      t.copyWithin(hole, e, e + WORDS);
      hole = e;
    }
    t.fill(0, hole, hole + WORDS);
  }

  /** Offset of the entry, or of the empty one where it would be. */
  #probe(laddr: number, faddr: number, ports: number): number {
    const t = this.#t;
    const wrap = this.#mask * WORDS + WORDS - 1;
    let e = this.#home(laddr, faddr, ports);
    while (at(t, e + ID) !== 0) {
      if (at(t, e + 2) === ports && at(t, e + 1) === faddr && at(t, e) === laddr) return e;
      e = (e + WORDS) & wrap;
    }
    return e;
  }

  #home(laddr: number, faddr: number, ports: number): number {
    return (hashFast(this.#key, laddr, faddr, ports) & this.#mask) * WORDS;
  }
}
