// @ts-check
/** The texts that the bench sends and expects: RFC 864's, and the pattern of netmod's `/bytes/N`. */

/** RFC 864: lines of 72 printable characters and CR LF, each begins one further; then it begins anew. */
export const CHARGEN_PERIOD = 95 * 74;

/** @param {number} periods */
export function chargenText(periods) {
  const text = Buffer.alloc(CHARGEN_PERIOD * periods);
  for (let i = 0; i < text.length; i++) {
    const line = Math.floor((i % CHARGEN_PERIOD) / 74);
    const column = (i % CHARGEN_PERIOD) % 74;
    text[i] = column < 72 ? 32 + ((line + column) % 95) : column === 72 ? 13 : 10;
  }
  return text;
}

/** The first `length` bytes that `/bytes/N` sends (`src/services/pattern.ts`): computed here a second time, from its description. */
export function bytesPattern(/** @type {number} */ length) {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = Math.imul(2654435761, i % 65521) >>> 24;
  return bytes;
}

/** Bytes that repeat nowhere within reach: a xorshift generator's. */
export function noise(/** @type {number} */ length, /** @type {number} */ seed) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let x = seed | 1;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return Buffer.from(words.buffer, 0, length);
}
