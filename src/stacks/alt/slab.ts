/**
 * What all slabs have in common. A slab is one typed array cut into rows of equal length; a row's number is the object's name. The
 * array is allocated once, its pages are the system's zero pages until they are first written, and free rows form a list
 * through one of their own words. So the memory has a limit, and taking and giving back a row is a few stores.
 */

/** The word at `i`, which the caller knows to be in the slab. The one place where a read of a slab is said to be a number. */
export function at(w: Int32Array, i: number): number {
  return w[i] as number;
}

/** The byte at `i`. */
export function byteAt(b: Uint8Array, i: number): number {
  return b[i] as number;
}

export class Slab {
  readonly w: Int32Array;
  readonly rows: number;
  /** Rows that are taken, and the most that ever were. */
  used = 0;
  peak = 0;
  readonly #words: number;
  readonly #link: number;
  /** First free row plus 1; rows from `#fresh` on were never taken. */
  #free = 0;
  #fresh = 0;

  /** `link`: the word of a free row that holds the list. */
  constructor(rows: number, words: number, link: number) {
    this.rows = rows;
    this.w = new Int32Array(rows * words);
    this.#words = words;
    this.#link = link;
  }

  /** A row of zeros, or -1 when all are taken. */
  alloc(): number {
    const w = this.w;
    let row: number;
    if (this.#free !== 0) {
      row = this.#free - 1;
      const o = row * this.#words;
      this.#free = at(w, o + this.#link);
      w.fill(0, o, o + this.#words);
    } else {
      if (this.#fresh === this.rows) return -1;
      row = this.#fresh++;
    }
    if (++this.used > this.peak) this.peak = this.used;
    return row;
  }

  free(row: number): void {
    this.w[row * this.#words + this.#link] = this.#free;
    this.#free = row + 1;
    this.used--;
  }

  /** Rows below this one have been taken at some time: where a scan may stop. */
  highWater(): number {
    return this.#fresh;
  }
}
