/** How many errors and resets leave in a second (RFC 1812 §4.3.2.8): a bucket of tokens that fills with time. */
export class RateLimit {
  #tokens = -1;
  #last = 0;

  /** May one leave now? `perSecond` 0: always. */
  take(nowMs: number, perSecond: number): boolean {
    if (perSecond === 0) return true;
    const gone = (nowMs - this.#last) | 0;
    this.#last = nowMs;
    if (this.#tokens < 0 || gone < 0 || gone > 1000) this.#tokens = perSecond * 1000;
    else this.#tokens = Math.min(perSecond * 1000, this.#tokens + gone * perSecond);
    if (this.#tokens < 1000) return false;
    this.#tokens -= 1000;
    return true;
  }
}
