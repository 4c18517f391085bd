// @ts-check
/** Reads what `node --trace-gc` prints: the pauses of the garbage collector. */

/**
 * A line is `[PID:ADDRESS]  12345 ms: Scavenge 5.1 (7.2) -> 4.9 (8.2) MB, 0.57 / 0.00 ms  (...)`: the first time is the pause.
 * @param {string} text
 * @returns {number[]} milliseconds
 */
export function parsePauses(text) {
  const pauses = [];
  for (const line of text.split('\n')) {
    const match = /^\[\d+:0x[0-9a-f]+(?::\d+)?\]\s+\d+ ms: .* MB, (?:pooled: [\d.]+ MB, )?([\d.]+) \/ [\d.]+ ms/.exec(line);
    if (match !== null) pauses.push(Number(match[1]));
  }
  return pauses;
}

/** @param {readonly number[]} pauses */
export function summarizePauses(pauses) {
  return {
    longest: pauses.length === 0 ? 0 : Math.max(...pauses),
    pauses: pauses.length,
    total: pauses.reduce((sum, ms) => sum + ms, 0),
  };
}
