import { describe, expect, it } from 'vitest';
import { createStub, stubClass } from '../../src/driver/stub.ts';
import { Upper, send } from './harness.ts';
import { pattern } from './frames.ts';

describe('stub', () => {
  it('is the class that fills no method', () => {
    expect(Object.keys(stubClass.methods)).toEqual([]);
  });

  it('does not start, takes configuration, and refuses output', () => {
    const stub = createStub();
    expect(stub.start(new Upper())).toBe('ENXIO');
    expect([stub.setUp(true), stub.setMtu(9000), stub.setCapEnable(0)]).toEqual([null, null, null]);
    expect(stub.setCapEnable(1)).toBe('EINVAL');
    expect(send(stub, pattern(60))).toBe('ENXIO');
    expect(stub.ioctl(1, null)).toBe('EOPNOTSUPP');
    expect(stub.info().capabilities).toBe(0);
  });

  it('shows the missing device as it would be', () => {
    const lladdr = Uint8Array.of(2, 0, 0, 0, 0, 9);
    const stub = createStub({ type: 'ethernet', lladdr, mtu: 9000, maxMtu: 9000 });
    expect(stub.info()).toEqual({ type: 'ethernet', lladdr, mtu: 9000, maxMtu: 9000, capabilities: 0, tsoMax: 0 });
    expect(stub.start(new Upper())).toBe('ENXIO');
    expect(send(stub, pattern(60))).toBe('ENXIO');
  });
});
