/**
 * From addresses and ports to a flow: open addressing with linear probing in one Int32Array. An entry is two words:
 *
 *     hash of addresses and ports | id + 1
 *
 * Zero in the last word is an empty entry: a fresh table is zero pages. The addresses themselves are the first words of the id's row, which
 * whoever looks it up reads next anyway; where the hashes differ the row is not looked at. The table is at most six tenths full by
 * construction, because its users are slabs of fixed size. A removed entry is closed up by moving later ones back, so there are no
 * tombstones and a lookup never gets slower with age. For IPv6 the two address words become keyed hashes of the addresses.
 */
import { ROW_SHIFT } from './flows.ts';
import { type HashKey, hashFast } from './hash.ts';
import { at } from './slab.ts';

const WORDS = 2;
const ID = 1;
/** Slots for each id, at least. */
const SLACK = 5 / 3;

/** Where the keys are: local address, foreign address and ports are the first words of each row. Ids go on from the first to the second. */
export interface DemuxRows {
  readonly flows: Int32Array;
  readonly nflows: number;
  readonly records: Int32Array;
  readonly nrecords: number;
  readonly recordWords: number;
}

export class Demux {
  /** Entries in use. */
  count = 0;
  readonly #t: Int32Array;
  readonly #mask: number;
  readonly #key: HashKey;
  readonly #flows: Int32Array;
  readonly #nflows: number;
  readonly #records: Int32Array;
  readonly #recordWords: number;
  /** The last hit: the next segment is often of the same flow. Forgotten when an entry goes. -1: none. */
  #last = -1;

  constructor(rows: DemuxRows, key: HashKey) {
    const slots = 1 << (32 - Math.clz32(Math.ceil((rows.nflows + rows.nrecords) * SLACK) - 1));
    this.#t = new Int32Array(slots * WORDS);
    this.#mask = slots * WORDS - 1;
    this.#key = key;
    this.#flows = rows.flows;
    this.#nflows = rows.nflows;
    this.#records = rows.records;
    this.#recordWords = rows.recordWords;
  }

  /** The id stored for these addresses and ports, or -1. */
  find(laddr: number, faddr: number, ports: number): number {
    const last = this.#last;
    if (last >= 0 && this.#is(last, laddr, faddr, ports)) return last;
    const id = at(this.#t, this.#probe(laddr, faddr, ports) + ID) - 1;
    if (id >= 0) this.#last = id;
    return id;
  }

  /** Adds an entry, or gives an existing one another id. The id's row has the addresses. */
  set(laddr: number, faddr: number, ports: number, id: number): void {
    const t = this.#t;
    const e = this.#probe(laddr, faddr, ports);
    if (at(t, e + ID) === 0) this.count++;
    t[e] = hashFast(this.#key, laddr, faddr, ports);
    t[e + ID] = id + 1;
    this.#last = -1;
  }

  /** The id's row must still have the addresses. */
  remove(laddr: number, faddr: number, ports: number): void {
    const t = this.#t;
    const mask = this.#mask;
    let hole = this.#probe(laddr, faddr, ports);
    if (at(t, hole + ID) === 0) return;
    this.count--;
    this.#last = -1;
    for (let e = (hole + WORDS) & mask; at(t, e + ID) !== 0; e = (e + WORDS) & mask) {
      const home = (at(t, e) << 1) & mask;
      // An entry moves back if the hole lies between its home and where it stands.
      if (((e - home) & mask) < ((e - hole) & mask)) continue;
      t[hole] = at(t, e);
      t[hole + ID] = at(t, e + ID);
      hole = e;
    }
    t[hole] = 0;
    t[hole + ID] = 0;
  }

  /** Offset of the entry, or of the empty one where it would be. */
  #probe(laddr: number, faddr: number, ports: number): number {
    const t = this.#t;
    const mask = this.#mask;
    const hash = hashFast(this.#key, laddr, faddr, ports);
    let e = (hash << 1) & mask;
    for (let id = at(t, e + ID); id !== 0; id = at(t, e + ID)) {
      if (at(t, e) === hash && this.#is(id - 1, laddr, faddr, ports)) return e;
      e = (e + WORDS) & mask;
    }
    return e;
  }

  #is(id: number, laddr: number, faddr: number, ports: number): boolean {
    const flow = id < this.#nflows;
    const w = flow ? this.#flows : this.#records;
    const o = flow ? id << ROW_SHIFT : (id - this.#nflows) * this.#recordWords;
    return at(w, o + 2) === ports && at(w, o + 1) === faddr && at(w, o) === laddr;
  }
}
