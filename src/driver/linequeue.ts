/**
 * The queue in front of a line of limited rate. Frames leave it one behind the other, so that all it needs to keep of a frame is the
 * time at which its last bit is out: what has left is forgotten when the next frame comes.
 */

export class LineQueue {
  /** When the line is free again. */
  #freeMs = 0;
  /** Departures of the frames that wait or are being sent, oldest first: a ring. */
  #leaves = new Float64Array(16);
  #head = 0;
  #count = 0;

  /** The time, in milliseconds, at which a frame of `bits` that comes now is out; -1 when `limit` frames are there already. */
  admit(nowMs: number, bits: number, rateBps: number, limit: number): number {
    if (this.length(nowMs) >= limit) return -1;
    if (this.#count === this.#leaves.length) this.#grow();
    this.#freeMs = Math.max(nowMs, this.#freeMs) + (bits * 1000) / rateBps;
    this.#leaves[(this.#head + this.#count++) % this.#leaves.length] = this.#freeMs;
    return this.#freeMs;
  }

  /** Frames that wait or are being sent. */
  length(nowMs: number): number {
    while (this.#count > 0 && (this.#leaves[this.#head] as number) <= nowMs) {
      this.#head = (this.#head + 1) % this.#leaves.length;
      this.#count--;
    }
    return this.#count;
  }

  #grow(): void {
    const old = this.#leaves;
    this.#leaves = new Float64Array(old.length * 2);
    for (let i = 0; i < this.#count; i++) this.#leaves[i] = old[(this.#head + i) % old.length] as number;
    this.#head = 0;
  }
}
