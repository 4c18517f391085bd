/**
 * Timers of rows: a hashed wheel of 4096 slots of 8 ms in typed arrays, one entry per row. Arming, moving and cancelling are a few
 * stores; nothing is allocated. An entry wakes its row at or before the time it was armed for, and the row looks at its own
 * deadlines: a deadline that only moves later, as a retransmission timer does with every acknowledgment, costs no work here, and one
 * beyond the wheel's span (32 s) wakes its row once a turn. One callout of the kernel drives it, and stands still while it is empty.
 */
import { at } from './slab.ts';

const SLOT_SHIFT = 3;
const SLOT_MS = 1 << SLOT_SHIFT;
const SLOTS = 4096;
const MASK = SLOTS - 1;
const SPAN_MS = (SLOTS - 1) * SLOT_MS;

/**
 * An entry is four words side by side, because the segment that arms a timer finds them cold: neighbours in the slot plus 1, slot plus 1
 * (0: not armed), and when it wakes.
 */
const ENTRY_SHIFT = 2;
const NEXT = 0;
const PREV = 1;
const SLOT = 2;
const WHEN = 3;

/** Entries behind the flows': what else wants to be woken, all of a kind at once. */
export const KEEP_TIMEWAIT = 0;
export const KEEP_ARP = 1;
export const KEEP_REASS = 2;
export const HOUSEKEEPERS = 3;

/** The kernel's timer that drives the wheel. */
export interface WheelDriver {
  reset(ms: number): void;
  stop(): unknown;
}

export class Wheel {
  /** Entries that are armed. */
  count = 0;
  /** The wheel has dealt with everything up to this time; it stands at slot `#pos`. */
  #now = 0;
  #pos = 0;
  /** Per slot: first entry plus 1. One bit of `#bits` per slot that has any. */
  readonly #head = new Int32Array(SLOTS);
  readonly #bits = new Int32Array(SLOTS >> 5);
  readonly #entries: Int32Array;
  readonly #fire: (entry: number) => void;
  readonly #driver: WheelDriver;
  /** Time the driver is set for. */
  #wakeAt = 0;
  #awake = false;
  #running = false;

  constructor(entries: number, fire: (entry: number) => void, driver: WheelDriver) {
    this.#entries = new Int32Array(entries << ENTRY_SHIFT);
    this.#fire = fire;
    this.#driver = driver;
  }

  /** Wakes `entry` at `deadline` at the latest after the slot it falls into; earlier if it was armed for earlier. */
  arm(entry: number, deadline: number, now: number): void {
    const e = this.#entries;
    const o = entry << ENTRY_SHIFT;
    if (at(e, o + SLOT) !== 0) {
      if (((at(e, o + WHEN) - deadline) | 0) <= 0) return;
      this.#unlink(entry);
    }
    if (this.count === 0 && !this.#running) this.#now = now & ~(SLOT_MS - 1);
    let ahead = (deadline - this.#now) | 0;
    if (ahead < SLOT_MS) ahead = SLOT_MS;
    if (ahead > SPAN_MS) ahead = SPAN_MS;
    const slots = (ahead + SLOT_MS - 1) >> SLOT_SHIFT;
    const when = (this.#now + slots * SLOT_MS) | 0;
    e[o + WHEN] = when;
    this.#link(entry, (this.#pos + slots) & MASK);
    if (!this.#running && (!this.#awake || ((this.#wakeAt - when) | 0) > 0)) this.#sleep(when, now);
  }

  cancel(entry: number): void {
    if (at(this.#entries, (entry << ENTRY_SHIFT) + SLOT) !== 0) this.#unlink(entry);
  }

  /** No more wakes: the stack is going. */
  stop(): void {
    this.#awake = false;
    this.#driver.stop();
  }

  /** Fires what is due; the driver calls it. */
  advance(now: number): void {
    this.#awake = false;
    this.#running = true;
    while (this.count > 0) {
      const ahead = this.#nextSlot();
      const when = (this.#now + ahead * SLOT_MS) | 0;
      if (((when - now) | 0) > 0) break;
      this.#now = when;
      this.#pos = (this.#pos + ahead) & MASK;
      this.#empty(this.#pos);
    }
    this.#running = false;
    if (this.count > 0) this.#sleep((this.#now + this.#nextSlot() * SLOT_MS) | 0, now);
    else this.#driver.stop();
  }

  /** What fires may arm itself again: that lands in a later slot, never in this one. */
  #empty(slot: number): void {
    for (let first = at(this.#head, slot); first !== 0; first = at(this.#head, slot)) {
      this.#unlink(first - 1);
      this.#fire(first - 1);
    }
  }

  #sleep(until: number, now: number): void {
    this.#awake = true;
    this.#wakeAt = until;
    this.#driver.reset(Math.max(1, (until - now) | 0));
  }

  /** Slots from the present one to the next that has entries; `count` is not 0. */
  #nextSlot(): number {
    const bits = this.#bits;
    const from = (this.#pos + 1) & MASK;
    let i = from >> 5;
    let word = at(bits, i) & (-1 << (from & 31));
    while (word === 0) {
      i = (i + 1) & (bits.length - 1);
      word = at(bits, i);
    }
    const slot = (i << 5) + 31 - Math.clz32(word & -word);
    return ((slot - from) & MASK) + 1;
  }

  #link(entry: number, slot: number): void {
    const e = this.#entries;
    const o = entry << ENTRY_SHIFT;
    const first = at(this.#head, slot);
    e[o + NEXT] = first;
    e[o + PREV] = 0;
    e[o + SLOT] = slot + 1;
    if (first !== 0) e[((first - 1) << ENTRY_SHIFT) + PREV] = entry + 1;
    else this.#bits[slot >> 5] = at(this.#bits, slot >> 5) | (1 << (slot & 31));
    this.#head[slot] = entry + 1;
    this.count++;
  }

  #unlink(entry: number): void {
    const e = this.#entries;
    const o = entry << ENTRY_SHIFT;
    const slot = at(e, o + SLOT) - 1;
    const next = at(e, o + NEXT);
    const prev = at(e, o + PREV);
    if (next !== 0) e[((next - 1) << ENTRY_SHIFT) + PREV] = prev;
    if (prev !== 0) e[((prev - 1) << ENTRY_SHIFT) + NEXT] = next;
    else this.#head[slot] = next;
    if (prev === 0 && next === 0) this.#bits[slot >> 5] = at(this.#bits, slot >> 5) & ~(1 << (slot & 31));
    e[o + SLOT] = 0;
    this.count--;
  }
}
