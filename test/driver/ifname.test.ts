import { describe, expect, it } from 'vitest';
import { localLladdr, splitIfName } from '../../src/driver/ifname.ts';
import { SimRandom } from '../../src/kern/effects/sim.ts';

describe('interface names', () => {
  it('are a driver and a unit', () => {
    expect(splitIfName('tap0')).toEqual({ dname: 'tap', dunit: 0 });
    expect(splitIfName('vm-12')).toEqual({ dname: 'vm-', dunit: 12 });
    expect(splitIfName('tap007')).toEqual({ dname: 'tap00', dunit: 7 });
    expect(splitIfName('lan')).toEqual({ dname: 'lan', dunit: 0 });
    expect(splitIfName('7')).toEqual({ dname: '7', dunit: 0 });
  });
});

describe('random hardware addresses', () => {
  it('are local, of one station, and differ', () => {
    const random = new SimRandom(1);
    const macs = Array.from({ length: 50 }, () => localLladdr(random));
    for (const mac of macs) expect(mac[0]! & 3).toBe(2);
    expect(new Set(macs.map(String)).size).toBe(50);
  });
});
