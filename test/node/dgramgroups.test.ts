/** Groups through Node's `dgram`: memberships, with a source of choice, time to live, loopback, interface; and their errors. */
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DgramSocket, createDgram } from '../../src/node/dgram.ts';
import { inetModule } from '../../src/stacks/inet/inetmodule.ts';
import { run, settle } from '../services/world.ts';
import { type Place, stackPlace } from './places.ts';

const GROUP = '239.1.2.3';

describe('dgram: groups', () => {
  let place: Place;
  let got: string[];

  beforeEach(() => {
    place = stackPlace(inetModule(null));
    got = [];
  });
  afterEach(() => place.stop());

  async function bound(side: 'a' | 'b', port: number): Promise<DgramSocket> {
    const made = createDgram(place[side]).createSocket({ type: 'udp4', reuseAddr: true });
    made.on('message', (msg) => got.push(`${side} ${String(msg)}`));
    made.bind(port);
    await settle(place, once(made, 'listening'));
    return made;
  }

  async function say(from: DgramSocket, text: string): Promise<string[]> {
    await settle(place, new Promise((resolve) => from.send(text, 5000, GROUP, resolve)));
    await run(place, 50);
    return got.splice(0).sort();
  }

  it('a member hears, until it leaves', async () => {
    const [here, there] = [await bound('a', 5000), await bound('b', 5000)];
    expect(await say(here, 'nobody')).toEqual([]);
    there.addMembership(GROUP);
    expect(await say(here, 'one')).toEqual(['b one']);
    here.addMembership(GROUP, '10.0.0.1');
    expect(await say(here, 'both')).toEqual(['a both', 'b both']);
    expect(here.setMulticastLoopback(false)).toBe(false);
    expect(await say(here, 'there')).toEqual(['b there']);
    there.dropMembership(GROUP);
    expect(await say(here, 'left')).toEqual([]);
  });

  it('chooses its sources', async () => {
    const [here, there] = [await bound('a', 5000), await bound('b', 5000)];
    there.addSourceSpecificMembership('10.0.0.9', GROUP);
    expect(await say(here, 'x')).toEqual([]);
    there.addSourceSpecificMembership('10.0.0.1', GROUP);
    expect(await say(here, 'y')).toEqual(['b y']);
    there.dropSourceSpecificMembership('10.0.0.1', GROUP);
    expect(await say(here, 'z')).toEqual([]);
  });

  it('sets how it sends, and says what cannot be', async () => {
    const here = await bound('a', 5000);
    expect(here.setMulticastTTL(7)).toBe(7);
    here.setMulticastInterface('10.0.0.1');
    here.setMulticastInterface('0.0.0.0');
    const refused = (what: () => void): unknown => {
      try {
        what();
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
      return null;
    };
    expect(refused(() => here.setMulticastTTL(256))).toBe('EINVAL');
    expect(refused(() => here.setMulticastInterface('10.9.9.9'))).toBe('EADDRNOTAVAIL');
    expect(refused(() => here.setMulticastInterface('eth0'))).toBe('EINVAL');
    expect(refused(() => here.addMembership('10.0.0.1'))).toBe('EINVAL');
    expect(refused(() => here.addMembership('not an address'))).toBe('EINVAL');
    expect(refused(() => here.addMembership(GROUP, 'not an address'))).toBe('EINVAL');
    expect(refused(() => here.dropMembership(GROUP))).toBe('EADDRNOTAVAIL');
    here.addMembership(GROUP);
    expect(refused(() => here.addMembership(GROUP))).toBe('EADDRINUSE');
  });
});
