/** One direction of a bad network: decides each frame's fate when it comes, and lets it go when it is due. */
import type { Effects, HostTimer, RandomSource } from '../kern/effects.ts';
import { PKT_CSUM_OK } from '../kern/packet.ts';
import { FRAME_OFF, type Frame, type FramePool } from './frame.ts';
import { get16, put16 } from '../wire/bytes.ts';
import { adjust } from '../wire/checksum.ts';
import { IP_HDR_LEN, IP_SUM, ipVersion } from '../wire/ipv4.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHER_HDR_LEN, etherType } from '../wire/ethernet.ts';
import { FrameHeap } from './frameheap.ts';
import { LineQueue } from './linequeue.ts';
import { type Layout, newLayout, recomputeChecksum } from './segment.ts';

/** Faults of one direction. Percentages are 0 to 100; all defaults are 0 but where it says so. */
export interface ImpairConfig {
  /**
   * Share of frames that are lost, and how many are lost in a row on average (Gilbert's model; default 1: each by itself). A burst is over
   * when no frame came for a while: otherwise one that catches a lonely SYN would last for minutes.
   */
  readonly lossPercent: number;
  readonly lossBurst: number;
  readonly duplicatePercent: number;
  /** One bit behind the link header is turned over; the checksum then does not hold. A frame without one (ARP) is lost. */
  readonly corruptPercent: number;
  /** These frames take `reorderMs` longer (default 5), and later ones overtake them. */
  readonly reorderPercent: number;
  readonly reorderMs: number;
  /** Time on the way, and the width of its variation to either side. Variation alone does not reorder. */
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Bits per second; 0: no limit. */
  readonly rateBps: number;
  /** Frames that may wait for the line, or without a rate may be on the way (default 1000); what does not fit is lost. */
  readonly queueFrames: number;
  /** Longer packets vanish without a word, as behind a router that filters ICMP; 0: none do. */
  readonly mtu: number;
  /**
   * Share of packets with ECT that are marked CE, and the length of the queue from which on all of them are (with a rate; 0: none are), as
   * routers do that manage their queue (RFC 3168 §5).
   */
  readonly markPercent: number;
  readonly markFrames: number;
}

/** What was done to the frames of one direction. */
export class ImpairCounters {
  [name: string]: number;
  frames = 0;
  lost = 0;
  duplicated = 0;
  corrupted = 0;
  reordered = 0;
  toolong = 0;
  queuefull = 0;
  marked = 0;
  /** The inner link had no slot, or refused the frame (sending only). */
  noslot = 0;
  refused = 0;
}

/** Where frames go when they are due. `release` owns the frame from then on. */
export interface ImpairSink {
  begin(): void;
  release(frame: Frame): void;
  end(): void;
}

const NO_FAULTS: ImpairConfig = {
  lossPercent: 0,
  lossBurst: 1,
  duplicatePercent: 0,
  corruptPercent: 0,
  reorderPercent: 0,
  reorderMs: 5,
  delayMs: 0,
  jitterMs: 0,
  rateBps: 0,
  queueFrames: 1000,
  mtu: 0,
  markPercent: 0,
  markFrames: 0,
};

/** The longest silence inside a burst of losses, milliseconds. */
const BURST_SILENCE_MS = 200;
const TWO_32 = 0x1_0000_0000;
/** Congestion experienced, the two bits of ECN. */
const CE = 3;

/** Marks an IP packet CE. False: it is none, or not ECT. */
function markCe(frame: Frame, linkHdr: number): boolean {
  const b = frame.bytes;
  const o = FRAME_OFF + linkHdr;
  if (frame.end - o < IP_HDR_LEN) return false;
  const type = linkHdr === ETHER_HDR_LEN ? etherType(b, FRAME_OFF) : ipVersion(b, o) === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return false;
  // IPv6 has the bits four further on, across two bytes: RFC 8200 §3.
  const shift = type === ETHERTYPE_IPV4 ? 0 : 4;
  const word = get16(b, o);
  const ecn = (word >>> shift) & CE;
  if (ecn === 0 || ecn === CE) return false;
  put16(b, o, word | (CE << shift));
  if (shift === 0) put16(b, o + IP_SUM, adjust(get16(b, o + IP_SUM), word, get16(b, o)));
  return true;
}

export class ImpairQueue {
  readonly counters = new ImpairCounters();
  readonly #clock: Effects['clock'];
  readonly #random: RandomSource;
  readonly #timer: HostTimer;
  readonly #pool: FramePool;
  readonly #linkHdr: number;
  readonly #sink: ImpairSink;
  readonly #waiting = new FrameHeap();
  readonly #layout: Layout = newLayout();
  #config: ImpairConfig;
  #active = false;
  /** The loss model is in its bad state. */
  #losing = false;
  #lastOfferMs = 0;
  readonly #line = new LineQueue();
  /** When the last frame in order is due. */
  #lastDueMs = 0;
  #order = 0;
  #running = false;

  constructor(
    effects: Pick<Effects, 'clock' | 'newTimer' | 'random'>,
    pool: FramePool,
    linkHdr: number,
    config: Partial<ImpairConfig>,
    sink: ImpairSink,
  ) {
    this.#clock = effects.clock;
    this.#random = effects.random;
    this.#timer = effects.newTimer();
    this.#pool = pool;
    this.#linkHdr = linkHdr;
    this.#sink = sink;
    this.#config = NO_FAULTS;
    this.configure(config);
  }

  configure(config: Partial<ImpairConfig>): void {
    this.#config = { ...this.#config, ...config };
    const c = this.#config;
    const percent = c.lossPercent + c.duplicatePercent + c.corruptPercent + c.reorderPercent + c.markPercent;
    this.#active = percent + c.delayMs + c.jitterMs + c.rateBps + c.mtu > 0;
  }

  /** Anything to do? While frames wait, later ones must go behind them. */
  active(): boolean {
    return this.#active || this.#waiting.size() > 0;
  }

  /** Takes a frame, checksum complete (or `PKT_CSUM_OK` set), and decides what becomes of it. It leaves at the next `run`. */
  offer(frame: Frame): void {
    const c = this.#config;
    this.counters.frames++;
    if (c.mtu > 0 && frame.end - FRAME_OFF - this.#linkHdr > c.mtu) return this.#drop(frame, 'toolong');
    if (this.#loses()) return this.#drop(frame, 'lost');
    if (this.#chance(c.markPercent) || (c.markFrames > 0 && this.#line.length(this.#clock.monotonicMs()) >= c.markFrames)) {
      if (markCe(frame, this.#linkHdr)) this.counters.marked++;
    }
    if (this.#chance(c.duplicatePercent)) {
      const copy = this.#pool.copy(frame.bytes, FRAME_OFF, frame.end);
      copy.flags = frame.flags;
      this.counters.duplicated++;
      this.#enqueue(copy);
    }
    if (this.#chance(c.corruptPercent) && !this.#corrupt(frame)) return this.#drop(frame, 'corrupted');
    this.#enqueue(frame);
  }

  #drop(frame: Frame, why: 'toolong' | 'lost' | 'queuefull' | 'corrupted'): void {
    this.counters[why] = (this.counters[why] as number) + 1;
    this.#pool.put(frame);
  }

  /** Uniform in [0, 1). */
  #uniform(): number {
    return this.#random.u32() / TWO_32;
  }

  #chance(percent: number): boolean {
    return percent > 0 && this.#uniform() * 100 < percent;
  }

  #loses(): boolean {
    const { lossPercent, lossBurst } = this.#config;
    if (lossPercent <= 0) return false;
    if (lossBurst <= 1) return this.#chance(lossPercent);
    const now = this.#clock.monotonicMs();
    if (now - this.#lastOfferMs > BURST_SILENCE_MS) this.#losing = false;
    this.#lastOfferMs = now;
    // Two states: a burst ends with probability 1/burst per frame, and begins so often that the shares come out right.
    const loss = Math.min(lossPercent / 100, 0.99);
    const change = this.#losing ? 1 / lossBurst : loss / (lossBurst * (1 - loss));
    if (this.#uniform() < change) this.#losing = !this.#losing;
    return this.#losing;
  }

  /** False for a frame that no checksum protects: a card would have seen the damage, and the frame never comes. */
  #corrupt(frame: Frame): boolean {
    const first = FRAME_OFF + this.#linkHdr;
    if (frame.end <= first) return false;
    if (this.#linkHdr === ETHER_HDR_LEN) {
      const type = etherType(frame.bytes, FRAME_OFF);
      if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return false;
    }
    // The receiver would not verify: make the checksum right first, so that the damage is what breaks it.
    if ((frame.flags & PKT_CSUM_OK) !== 0) {
      recomputeChecksum(frame.bytes, FRAME_OFF, frame.end, this.#linkHdr, this.#layout);
      frame.flags &= ~PKT_CSUM_OK;
    }
    const bit = Math.floor(this.#uniform() * (frame.end - first) * 8);
    const at = first + (bit >>> 3);
    frame.bytes[at] = (frame.bytes[at] as number) ^ (1 << (bit & 7));
    this.counters.corrupted++;
    return true;
  }

  #enqueue(frame: Frame): void {
    const c = this.#config;
    let due = this.#clock.monotonicMs();
    if (c.rateBps > 0) {
      due = this.#line.admit(due, (frame.end - FRAME_OFF) * 8, c.rateBps, c.queueFrames);
      if (due < 0) return this.#drop(frame, 'queuefull');
    } else if (this.#waiting.size() >= c.queueFrames) return this.#drop(frame, 'queuefull');
    due += c.delayMs;
    if (c.jitterMs > 0) due += (this.#uniform() * 2 - 1) * c.jitterMs;
    due = Math.max(due, this.#lastDueMs);
    if (this.#chance(c.reorderPercent)) {
      this.counters.reordered++;
      due += c.reorderMs;
    } else this.#lastDueMs = due;
    frame.dueMs = due;
    frame.order = this.#order++;
    this.#waiting.push(frame);
  }

  /** Releases all that is due and sets the timer for the rest. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    const now = this.#clock.monotonicMs();
    let next = this.#waiting.peek();
    if (next !== null && next.dueMs <= now) {
      this.#sink.begin();
      while (next !== null && next.dueMs <= now) {
        this.#waiting.pop();
        this.#sink.release(next);
        next = this.#waiting.peek();
      }
      this.#sink.end();
      next = this.#waiting.peek();
    }
    this.#running = false;
    if (next !== null) this.#timer.arm(Math.max(0, next.dueMs - this.#clock.monotonicMs()), this.#fire);
  }

  readonly #fire = (): void => this.run();

  /** Forgets what waits. */
  clear(): void {
    this.#timer.disarm();
    for (let frame = this.#waiting.pop(); frame !== null; frame = this.#waiting.pop()) this.#pool.put(frame);
  }
}
