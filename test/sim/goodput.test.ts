/**
 * How much one connection carries, in simulated time, so that a change of the stacks shows as a change of this table. Made anew with
 * `npx vitest run test/sim/goodput.test.ts -u`.
 */
import { expect, it } from 'vitest';
import { goodput } from './measure.ts';

const RATE_BPS = 50e6;
const BYTES = 3_000_000;
const MAX_MS = 120_000;
const SEEDS = 3;
const LOSS = [0, 0.1, 1, 3, 5] as const;
const RTT_MS = [1, 20, 100, 300] as const;

const HEAD = `Goodput in Mbit/s of ${BYTES / 1e6} MB (at most ${MAX_MS / 1000} s) on a line of ${RATE_BPS / 1e6} Mbit/s with a queue of 250 frames:
random loss each way by round trip, the mean of ${SEEDS} seeds, two digits.
`;

/** Mbit/s, a row for each loss, a column for each round trip. */
function measure(stack: 'inet' | 'alt'): number[][] {
  const cell = (lossPercent: number, rttMs: number): number => {
    let sum = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      sum += goodput(seed, [stack, stack], { rateBps: RATE_BPS, rttMs, lossPercent, queueFrames: 250 }, BYTES, MAX_MS);
    }
    return Number((sum / SEEDS / 1e6).toPrecision(2));
  };
  return LOSS.map((loss) => RTT_MS.map((rtt) => cell(loss, rtt)));
}

function table(stack: string, cells: readonly number[][]): string {
  const head = `${stack.padEnd(6)}${RTT_MS.map((rtt) => `${rtt} ms`.padStart(8)).join('')}`;
  const row = (loss: number, i: number): string =>
    `${`${loss} %`.padStart(6)}${(cells[i] ?? []).map((n) => String(n).padStart(8)).join('')}`;
  return [head, ...LOSS.map(row)].join('\n');
}

it('is as the table says, and neither stack is much behind the other', { timeout: 300_000 }, async () => {
  const [inet, alt] = [measure('inet'), measure('alt')];
  await expect([HEAD, table('inet', inet), '', table('alt', alt), ''].join('\n')).toMatchFileSnapshot('goodput.txt');
  for (const [i, row] of inet.entries()) {
    for (const [k, n] of row.entries()) {
      const ratio = alt[i]![k]! / n;
      expect(ratio, `alt to inet, ${LOSS[i]} %, ${RTT_MS[k]} ms`).toBeGreaterThan(0.75);
      expect(1 / ratio, `inet to alt, ${LOSS[i]} %, ${RTT_MS[k]} ms`).toBeGreaterThan(0.6);
    }
  }
});
