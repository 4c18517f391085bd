// @ts-check
/** Medians, ratios, and what becomes of the samples of one test and stack. */

/**
 * One run of one test. Times in seconds; `ops` is what the CPU is divided by: bytes of a bulk test, otherwise answers.
 * @typedef {object} Sample
 * @property {number} value
 * @property {number} [cpuS] of the stack's process
 * @property {number} [busyS] of the whole machine
 * @property {number} [ops]
 * @property {Record<string, number>} [fields] whatever else was measured
 * @property {string} [failed] why there is no value
 * @property {string} [wrong] what was wrong with the bytes
 * @property {boolean} [noisy] others used the machine meanwhile
 */

/**
 * @typedef {object} Summary
 * @property {number} value NaN: no sample
 * @property {number} low
 * @property {number} high
 * @property {number} cpuPerOp seconds
 * @property {number} busyPerOp seconds
 * @property {Record<string, number>} fields
 * @property {number} runs
 * @property {number} noisy
 * @property {string[]} faults
 */

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = values.filter((v) => Number.isFinite(v)).sort((a, b) => a - b);
  const n = sorted.length;
  if (n === 0) return NaN;
  const upper = /** @type {number} */ (sorted[n >> 1]);
  return n % 2 === 1 ? upper : (upper + /** @type {number} */ (sorted[n / 2 - 1])) / 2;
}

/** @param {readonly number[]} values */
function largest(values) {
  const known = values.filter((v) => Number.isFinite(v));
  return known.length === 0 ? NaN : Math.max(...known);
}

/** The ratio to the reference; NaN when there is none. @param {number} value @param {number} reference */
export function ratio(value, reference) {
  return Number.isFinite(value) && reference > 0 ? value / reference : NaN;
}

/**
 * @param {readonly Sample[]} samples
 * @param {'median' | 'max'} how the worst round counts where a limit holds for every moment
 * @returns {Summary}
 */
export function summarize(samples, how = 'median') {
  const good = samples.filter((s) => s.failed === undefined);
  const pick = how === 'max' ? largest : median;
  /** @type {Record<string, number>} */
  const fields = {};
  for (const name of new Set(good.flatMap((s) => Object.keys(s.fields ?? {})))) {
    fields[name] = pick(good.map((s) => s.fields?.[name] ?? NaN));
  }
  const values = good.map((s) => s.value).filter((v) => Number.isFinite(v));
  return {
    value: pick(values),
    low: values.length === 0 ? NaN : Math.min(...values),
    high: values.length === 0 ? NaN : Math.max(...values),
    cpuPerOp: median(good.map((s) => ratio(s.cpuS ?? NaN, s.ops ?? 0))),
    busyPerOp: median(good.map((s) => ratio(s.busyS ?? NaN, s.ops ?? 0))),
    fields,
    runs: good.length,
    noisy: samples.filter((s) => s.noisy === true).length,
    faults: [...new Set(samples.flatMap((s) => [s.failed, s.wrong].filter((x) => x !== undefined)))],
  };
}
