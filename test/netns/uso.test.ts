/**
 * UDP segmentation offload on a real TAP: datagrams that leave several to a frame reach a Linux socket one by one, as they were sent.
 */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Boot, Netns, describeNetns } from '../support/netns.ts';
import { counter } from './ctl.ts';
import { peer } from './peer.ts';

const STACK = '10.0.0.2';
const BURSTS = 40;
const PER_BURST = 49;

describeNetns('UDP segmentation offload', () => {
  let ns: Netns;
  beforeEach(async () => {
    ns = await Netns.create();
  });
  afterEach(async () => {
    await ns?.remove();
  });

  const start = (stack: string, ...more: string[]): Promise<Boot> =>
    ns.boot([`--stack=${stack}`, '--service=echo', '--log=warn', `--ctl=${join(ns.dir, 'ctl.sock')}`, ...more]);

  it.each(['inet', 'alt'])('%s: bytes, boundaries and order of what came back in bursts', async (stack) => {
    const boot = await start(stack);
    expect(await peer(ns, 'udpburst', STACK, 7, BURSTS)).toEqual({ wrong: 0 });
    // A burst may reach the stack in pieces; that none of it was ever merged would need 1,960 batches of one.
    const n = await counter(boot, 'txmerged');
    expect(n).toBeGreaterThan(0);
    expect(n).toBeLessThanOrEqual(BURSTS * PER_BURST);
  });

  it('nothing is merged without offload', async () => {
    const boot = await start('inet', '--offload=off');
    expect(await peer(ns, 'udpburst', STACK, 7, 5)).toEqual({ wrong: 0 });
    expect(await counter(boot, 'txmerged')).toBe(0);
  });
});
