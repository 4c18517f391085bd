/** Counts of bytes in two parts: they pass 2^31 and 2^32 exactly, and each part stays a small integer. */
import { describe, expect, it } from 'vitest';
import { type Tcb, byteCount, countAcked, countReceived } from '../../src/stacks/inet/tcp/tcb.ts';

describe('counts of bytes', () => {
  it.each([
    ['one segment at a time over the edge of the low part', 1448, 1_500_000],
    ['super-frames, past 2^32', 65_160, 70_000],
  ])('%s', (_name, len, times) => {
    const tcb = { ackedLow: 0, ackedHigh: 0, receivedLow: 0, receivedHigh: 0 } as Tcb;
    for (let k = 0; k < times; k++) {
      countAcked(tcb, len);
      countReceived(tcb, len + 1);
    }
    expect(byteCount(tcb.ackedHigh, tcb.ackedLow)).toBe(len * times);
    expect(byteCount(tcb.receivedHigh, tcb.receivedLow)).toBe((len + 1) * times);
    expect(tcb.ackedLow).toBeLessThan(2 ** 30);
    expect(tcb.ackedHigh).toBe(Math.floor((len * times) / 2 ** 30));
  });
});
