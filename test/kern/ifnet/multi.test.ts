/** Group addresses of an interface (SIOCADDMULTI): counted by their users, told to a link that has a filter, bounded. */
import { describe, expect, it } from 'vitest';
import type { Errno } from '../../../src/kern/errno.ts';
import { IF_MAXMULTI, type Ifnet } from '../../../src/kern/ifnet/ifnet.ts';
import { TestLink, bootedKernel, ok } from '../support.ts';

const mac = (n: number): Uint8Array => Uint8Array.of(1, 0, 0x5e, n >> 16, (n >> 8) & 255, n & 255);

function attach(answer: Errno | null, lladdr?: Uint8Array | null): { ifp: Ifnet; told: number; detach: () => void } {
  const { kernel } = bootedKernel();
  const it = { told: 0 };
  const link = { ...new TestLink(lladdr === undefined ? {} : { lladdr }).link(), ioctl: () => (it.told++, answer) };
  const ifp = ok(kernel.ifnets.attach('test', 0, link));
  return Object.assign(it, { ifp, detach: () => void kernel.ifnets.detach(ifp) });
}

describe('group addresses', () => {
  it('are told to the link with their first user and their last', () => {
    const at = attach(null);
    expect([at.ifp.addMulti(mac(1)), at.ifp.addMulti(mac(1)), at.ifp.addMulti(mac(2))]).toEqual([null, null, null]);
    expect(at.told).toBe(2);
    expect([at.ifp.delMulti(mac(1)), at.told]).toEqual([null, 2]);
    expect([at.ifp.delMulti(mac(1)), at.told]).toEqual([null, 3]);
    expect(at.ifp.delMulti(mac(1))).toBe('ENOENT');
  });

  it('are heard anyway where the link has no filter, and not where it refuses', () => {
    const plain = attach('EOPNOTSUPP').ifp;
    expect([plain.addMulti(mac(1)), plain.delMulti(mac(1))]).toEqual([null, null]);
    const full = attach('ENOSPC').ifp;
    expect([full.addMulti(mac(1)), full.delMulti(mac(1))]).toEqual(['ENOSPC', 'ENOENT']);
  });

  it('are groups, of the right length, on an interface that is there', () => {
    const at = attach(null);
    expect(at.ifp.addMulti(Uint8Array.of(2, 0, 0, 0, 0, 1))).toBe('EINVAL');
    expect(at.ifp.addMulti(mac(1).subarray(0, 5))).toBe('EINVAL');
    expect(attach(null, null).ifp.addMulti(mac(1))).toBe('EINVAL');
    at.detach();
    expect([at.ifp.addMulti(mac(1)), at.ifp.delMulti(mac(1))]).toEqual(['ENXIO', 'ENXIO']);
  });

  it('are bounded: ENOBUFS', () => {
    const { ifp } = attach('EOPNOTSUPP');
    for (let i = 0; i < IF_MAXMULTI; i++) expect(ifp.addMulti(mac(i))).toBeNull();
    expect(ifp.addMulti(mac(IF_MAXMULTI))).toBe('ENOBUFS');
    expect(ifp.addMulti(mac(0))).toBeNull();
  });
});
