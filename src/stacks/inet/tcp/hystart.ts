/**
 * HyStart++ (RFC 9406): leaves slow start when round-trip times grow, before the queue overflows; first into a slower growth
 * (conservative slow start), and back if the delay was a passing one.
 */
import { seqGeq } from '../../../wire/seq.ts';
import type { Tcb } from './tcb.ts';

/** RFC 9406 §4.3. */
const MIN_RTT_THRESH_US = 4000;
const MAX_RTT_THRESH_US = 16_000;
const MIN_RTT_DIVISOR = 8;
const N_RTT_SAMPLE = 8;
export const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;
const NONE = 0x7fffffff;

export class HyStart {
  /** Slow start has not been left by it; conservative slow start is on. */
  active = true;
  css = false;
  /** The round ends when this is acknowledged. */
  #windowEnd: number;
  #lastMinUs = NONE;
  #minUs = NONE;
  #samples = 0;
  #baselineUs = NONE;
  #cssRounds = 0;

  constructor(tcb: Tcb) {
    this.#windowEnd = tcb.sndMax;
  }

  /** A round-trip time in slow start, `tcb.sndUna` being the new one. True: slow start is over. */
  sample(tcb: Tcb, us: number): boolean {
    if (seqGeq(tcb.sndUna, this.#windowEnd) && this.#endRound(tcb)) return true;
    if (us < this.#minUs) this.#minUs = us;
    this.#samples++;
    if (this.#samples < N_RTT_SAMPLE || this.#lastMinUs === NONE) return false;
    if (this.css) {
      if (this.#minUs < this.#baselineUs) {
        // The delay was a passing one.
        this.css = false;
        this.#baselineUs = NONE;
      }
      return false;
    }
    let thresh = Math.trunc(this.#lastMinUs / MIN_RTT_DIVISOR);
    if (thresh < MIN_RTT_THRESH_US) thresh = MIN_RTT_THRESH_US;
    else if (thresh > MAX_RTT_THRESH_US) thresh = MAX_RTT_THRESH_US;
    if (this.#minUs >= this.#lastMinUs + thresh) {
      this.css = true;
      this.#baselineUs = this.#minUs;
      this.#cssRounds = 0;
    }
    return false;
  }

  #endRound(tcb: Tcb): boolean {
    this.#windowEnd = tcb.sndMax;
    this.#lastMinUs = this.#minUs;
    this.#minUs = NONE;
    this.#samples = 0;
    if (!this.css || ++this.#cssRounds < CSS_ROUNDS) return false;
    this.active = this.css = false;
    return true;
  }
}
