// @ts-check
/**
 * What each stack has to reach, test by test (`lib/tests.mjs`): `ratio` is to the kernel's C server in the same run, `value` and
 * `fields` are absolute. A test that is not here only informs.
 */

/**
 * @typedef {{ readonly min?: number, readonly max?: number }} Limit
 * @typedef {{ readonly ratio?: Limit, readonly value?: Limit, readonly fields?: Readonly<Record<string, Limit>> }} Target
 */

/** @param {number} min @returns {Limit} */
const atLeast = (min) => ({ min });
/** @param {number} max @returns {Limit} */
const atMost = (max) => ({ max });
/** @param {Target} target @returns {Readonly<Record<string, Target>>} */
const both = (target) => ({ inet: target, alt: target });
/** @param {number} inet @param {number} alt */
const pace = (inet, alt) => ({ inet: { ratio: atLeast(inet) }, alt: { ratio: atLeast(alt) } });

const PING_PONG = both({ ratio: atMost(1.15), fields: { p999_us: atMost(1000) } });

/** @type {Readonly<Record<string, Readonly<Record<string, Target>>>>} */
export const TARGETS = {
  in1: pace(0.8, 0.8),
  in8: pace(0.8, 0.8),
  in1000: both({ ratio: atLeast(0.8), fields: { starved: atMost(0), jain: atLeast(0.99) } }),
  out1: pace(1, 1),
  out8: pace(1, 1),
  'in1-nooffload': pace(0.75, 0.75),
  'in8-nooffload': pace(0.75, 0.75),
  'out1-nooffload': pace(0.45, 0.45),
  'out8-nooffload': pace(0.45, 0.45),
  http32: pace(1.1, 1.4),
  http1000: pace(1, 1),
  connect8: pace(1.2, 1.8),
  udp64: pace(1, 1.4),
  'tcp-pp-1core': PING_PONG,
  'udp-pp-1core': PING_PONG,
  'icmp-pp-1core': PING_PONG,
  'tcp-pp-2cores': PING_PONG,
  'udp-pp-2cores': PING_PONG,
  'icmp-pp-2cores': PING_PONG,
  // One tick of the CPU account in two seconds is half a percent.
  memory: {
    inet: { value: atMost(2048), fields: { idle_cpu_percent: atMost(0.5) } },
    alt: { value: atMost(512), fields: { idle_cpu_percent: atMost(0.5) } },
  },
  gc: both({ value: atMost(1) }),
};

/** @param {Limit} limit @param {string} unit */
function limitText({ min, max }, unit) {
  return min !== undefined ? `>= ${min}${unit}` : `<= ${max}${unit}`;
}

/** @param {Limit} limit @param {number} value */
function holds({ min, max }, value) {
  if (!Number.isFinite(value)) return false;
  return (min === undefined || value >= min) && (max === undefined || value <= max);
}

/**
 * @param {string} test
 * @param {string} stack
 * @param {{ ratio: number, value: number, fields: Readonly<Record<string, number>> }} got
 * @returns {{ text: string, met: boolean | null }} `met` is null where there is no target
 */
export function judge(test, stack, got) {
  const target = TARGETS[test]?.[stack];
  if (target === undefined) return { text: '', met: null };
  const texts = [];
  const verdicts = [];
  if (target.ratio !== undefined) {
    texts.push(limitText(target.ratio, 'x'));
    verdicts.push(holds(target.ratio, got.ratio));
  }
  if (target.value !== undefined) {
    texts.push(limitText(target.value, ''));
    verdicts.push(holds(target.value, got.value));
  }
  for (const [name, limit] of Object.entries(target.fields ?? {})) {
    texts.push(`${name} ${limitText(limit, '')}`);
    verdicts.push(holds(limit, got.fields[name] ?? NaN));
  }
  return { text: texts.join(', '), met: verdicts.every(Boolean) };
}
