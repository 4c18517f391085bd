/** The table of `states-run.ts` on both stacks: all of it, and parts of it with initial sequence numbers that wrap. NETMOD_SEED replays one. */
import { describe, expect, it } from 'vitest';
import { KINDS, STACKS, STATES, tries, tryOne, trySeed } from './states-run.ts';

/** A handful: `npm run soak` has the others. */
const SEEDS = 9;

const replay = process.env['NETMOD_SEED'];

describe.each(STACKS)('%s', (_name, stack) => {
  describe.each(STATES)('%s', (state) => {
    it.each(KINDS)('%s, everywhere and with each ACK', (_kind, flags, len) => {
      expect(tries(state, flags, len).flatMap((one) => tryOne(stack, state, one))).toEqual([]);
    });
  });

  it('with initial numbers that wrap', () => {
    const [first, seeds] = replay === undefined ? [0, SEEDS] : [Number(replay), 1];
    for (let seed = first; seed < first + seeds; seed++) expect(trySeed(stack, seed), `NETMOD_SEED=${seed}`).toEqual([]);
  });
});
