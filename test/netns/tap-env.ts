/** What a driver takes from a kernel, for a child process that has none. */
import { randomFillSync } from 'node:crypto';
import type { Log, RandomSource } from '../../src/kern/effects.ts';

export const hostRandom: RandomSource = {
  u32: () => randomFillSync(new Uint32Array(1))[0]!,
  fill: (bytes) => void randomFillSync(bytes),
};

export const silentLog: Log = {
  enabled: () => false,
  trace: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};
