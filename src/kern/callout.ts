/**
 * Timers of the kernel (callout(9)) on one host timer: a hierarchical wheel with ticks of one millisecond. Setting, moving and
 * stopping a callout is O(1) and allocates nothing; an empty wheel leaves the host's timer alone.
 *
 * Seven levels of 32 slots; a slot of level n spans 32^n ticks. A callout stands on the level of the highest group of five bits in
 * which its time differs from the wheel's, and comes down when the wheel reaches the start of its slot. Times are 32-bit and wrap.
 */
import type { HostTimer } from './effects.ts';
import type { Netisr } from './netisr.ts';
import type { KernTime } from './time.ts';

const BITS = 5;
const SLOTS = 1 << BITS;
const MASK = SLOTS - 1;
const LEVELS = 7;
/** Longest delay in milliseconds, 24 days; a longer one ends here. Short of 2^31, so that an overdue wheel compares right. */
export const CALLOUT_MAX_MS = 0x7f000000;

/** One timer: calls `fn(arg)` once, `ms` after `reset(ms)`. The host's clock may make it late, never early. */
export class Callout<T = unknown> {
  /** Links of the slot's ring; a slot's head is a callout that is never set. */
  next: Callout;
  prev: Callout;
  /** True from `reset` until the call begins or `stop`. */
  pending = false;
  /** Tick at which it is due. It may have moved on since the callout was put into its slot. */
  when = 0;
  /** Tick it stands at in the wheel, and level * 32 + slot. */
  placedAt = 0;
  place = 0;
  readonly #fn: (arg: never) => void;
  readonly #arg: T;
  readonly #wheel: CalloutWheel;

  constructor(wheel: CalloutWheel, fn: (arg: T) => void, arg: T) {
    this.next = this.prev = this;
    this.#wheel = wheel;
    this.#fn = fn;
    this.#arg = arg;
  }

  /** Sets it to go off in `ms` milliseconds (at least one tick), whether or not it was set before. */
  reset(ms: number): void {
    this.#wheel.reset(this, ms);
  }

  /** True if it was set; false if it had gone off or was never set. */
  stop(): boolean {
    return this.#wheel.stop(this);
  }

  /** The wheel's way to it. */
  call(): void {
    this.#fn(this.#arg as never);
  }

  /** Milliseconds until it goes off; 0 when it is due or not set. */
  remainingMs(): number {
    return this.pending ? Math.max(0, (this.when - this.#wheel.nowTick()) | 0) : 0;
  }
}

export class CalloutWheel {
  readonly counters = { resets: 0, fired: 0, wakeups: 0 };
  readonly #heads: readonly Callout[] = Array.from(
    { length: LEVELS * SLOTS },
    () => new Callout<unknown>(this, () => undefined, null),
  );
  /** One bit for each slot of a level that holds a callout. */
  readonly #occupied = new Int32Array(LEVELS);
  readonly #time: KernTime;
  readonly #netisr: Netisr;
  readonly #timer: HostTimer;
  /** Time of the wheel: everything before it has been dealt with. */
  #elapsed: number;
  #count = 0;
  #armed = false;
  #armedFor = 0;
  #running = false;
  #halted = false;
  readonly #fire = (): void => {
    this.#armed = false;
    this.runDue();
  };

  constructor(time: KernTime, netisr: Netisr, timer: HostTimer) {
    this.#time = time;
    this.#netisr = netisr;
    this.#timer = timer;
    this.#elapsed = time.ms;
  }

  /** Callouts that are set. */
  count(): number {
    return this.#count;
  }

  /** True while the host's timer is set. */
  armed(): boolean {
    return this.#armed;
  }

  /** The kernel is down: nothing goes off any more. */
  halt(): void {
    this.#halted = true;
    this.#armed = false;
    this.#timer.disarm();
  }

  /** The present tick: milliseconds as `KernTime.ms`. */
  nowTick(): number {
    this.#sync();
    return this.#time.ms;
  }

  /** Outside a batch the batch's time is old. */
  #sync(): void {
    if (!this.#netisr.active()) this.#time.refresh();
  }

  reset(c: Callout, ms: number): void {
    this.#sync();
    this.counters.resets++;
    const now = this.#time.ms;
    // The delay counts from the exact time, so that the tick at its end is never early.
    let delay = Math.ceil(this.#time.exactMs - Math.floor(this.#time.exactMs) + ms);
    if (!(delay >= 1)) delay = 1;
    if (delay > CALLOUT_MAX_MS) delay = CALLOUT_MAX_MS;
    const when = (now + delay) | 0;
    if (c.pending) {
      c.when = when;
      // Later than where it stands: it moves on when the wheel gets there. A connection that keeps pushing its timer pays for this
      // once in a while and not with each packet.
      if (((when - c.placedAt) | 0) >= 0) return;
      this.#unlink(c);
      this.#count--;
    }
    c.when = when;
    c.pending = true;
    this.#advanceIdle(now);
    this.#count++;
    this.#place(c);
    if (!this.#running) this.#rearm(now);
  }

  stop(c: Callout): boolean {
    if (!c.pending) return false;
    c.pending = false;
    this.#unlink(c);
    this.#count--;
    return true;
  }

  /** Calls everything that is due, in the order of time, as one batch. The host's timer does this; tests may. */
  runDue(): void {
    if (this.#running || this.#halted) return;
    this.counters.wakeups++;
    this.#netisr.begin();
    this.#running = true;
    const now = this.#time.ms;
    try {
      this.#expire(now);
    } finally {
      this.#running = false;
      this.#rearm(now);
      this.#netisr.end();
    }
  }

  #expire(now: number): void {
    while (this.#count > 0 && !this.#halted) {
      const level = this.#firstLevel();
      const slot = this.#firstSlot(level);
      const start = this.#slotStart(level, slot);
      if (((start - now) | 0) > 0) break;
      this.#elapsed = start;
      this.#empty(level * SLOTS + slot);
    }
    if (((now - this.#elapsed) | 0) > 0) this.#elapsed = now;
  }

  /** Calls what is due in a slot; the rest goes down or on. Nothing that is set meanwhile lands in this slot. */
  #empty(place: number): void {
    const head = this.#heads[place] as Callout;
    while (head.next !== head) {
      const c = head.next;
      this.#unlink(c);
      if (((c.when - this.#elapsed) | 0) > 0) {
        this.#place(c);
        continue;
      }
      this.#count--;
      c.pending = false;
      this.counters.fired++;
      c.call();
    }
  }

  #place(c: Callout): void {
    const diff = c.when ^ this.#elapsed;
    const level = diff === 0 ? 0 : ((31 - Math.clz32(diff)) / BITS) | 0;
    const slot = (c.when >>> (level * BITS)) & MASK;
    const place = level * SLOTS + slot;
    const head = this.#heads[place] as Callout;
    c.placedAt = c.when;
    c.place = place;
    c.next = head;
    c.prev = head.prev;
    head.prev.next = c;
    head.prev = c;
    this.#occupied[level] = (this.#occupied[level] as number) | (1 << slot);
  }

  #unlink(c: Callout): void {
    const { next, prev } = c;
    prev.next = next;
    next.prev = prev;
    c.next = c.prev = c;
    if (next !== prev) return;
    // Only the slot's head points to itself on both sides: the slot is empty now.
    const level = c.place >> BITS;
    this.#occupied[level] = (this.#occupied[level] as number) & ~(1 << (c.place & MASK));
  }

  /** The lowest level that holds anything comes before all higher ones. */
  #firstLevel(): number {
    let level = 0;
    while (this.#occupied[level] === 0) level++;
    return level;
  }

  /** The next occupied slot of a level, counted from where the wheel stands; only the top level can wrap. */
  #firstSlot(level: number): number {
    const here = (this.#elapsed >>> (level * BITS)) & MASK;
    const bits = this.#occupied[level] as number;
    const ahead = bits & (-1 << here);
    const from = ahead === 0 ? bits : ahead;
    return 31 - Math.clz32(from & -from);
  }

  /** First tick of a slot. */
  #slotStart(level: number, slot: number): number {
    const shift = level * BITS;
    const turns = level === LEVELS - 1 ? 3 : MASK;
    const here = this.#elapsed >>> shift;
    return ((here + ((slot - here) & turns)) << shift) | 0;
  }

  /** Moves the wheel's time up to the present as far as no slot is passed, so that new callouts stand as low as they can. */
  #advanceIdle(now: number): void {
    if (this.#running || ((now - this.#elapsed) | 0) <= 0) return;
    if (this.#count === 0) {
      this.#elapsed = now;
      return;
    }
    const level = this.#firstLevel();
    const start = this.#slotStart(level, this.#firstSlot(level));
    this.#elapsed = ((start - now) | 0) > 0 ? now : (start - 1) | 0;
  }

  /** Sets the host's timer to the start of the next slot, unless it goes off before that anyway. */
  #rearm(now: number): void {
    if (this.#count === 0 || this.#halted) return;
    const level = this.#firstLevel();
    const start = this.#slotStart(level, this.#firstSlot(level));
    if (this.#armed && ((this.#armedFor - start) | 0) <= 0) return;
    this.#armed = true;
    this.#armedFor = start;
    const exact = this.#time.exactMs;
    this.#timer.arm(Math.max(0, ((start - now) | 0) - (exact - Math.floor(exact))), this.#fire);
  }
}
