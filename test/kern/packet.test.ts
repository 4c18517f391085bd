import { describe, expect, it } from 'vitest';
import { MAX_FRAGS, TX_HEADROOM, TX_SLOT, TxPacket } from '../../src/kern/packet.ts';

describe('a packet to send', () => {
  it('grows to the front and to the back, and carries slices by reference', () => {
    const ring = new Uint8Array(2 * TX_SLOT);
    const pkt = new TxPacket(ring, TX_SLOT, 1);
    expect([pkt.length(), pkt.room()]).toEqual([0, TX_SLOT - TX_HEADROOM]);
    ring.set([5, 6], pkt.append(2));
    ring.set([3, 4], pkt.prepend(2));
    const payload = Uint8Array.of(0, 7, 8, 9, 0);
    pkt.addFrag(payload, 1, 2);
    pkt.addFrag(payload, 3, 1);
    expect(pkt.length()).toBe(7);
    payload[1] = 77;
    const out = new Uint8Array(9);
    expect(pkt.copyTo(out, 1)).toBe(7);
    expect([...out]).toEqual([0, 3, 4, 5, 6, 77, 8, 9, 0]);
    pkt.flags = pkt.gsoSize = pkt.csumStart = pkt.csumOffset = 9;
    pkt.reset();
    expect([pkt.length(), pkt.nfrags, pkt.flags, pkt.gsoSize, pkt.csumStart, pkt.csumOffset]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(pkt.off).toBe(TX_SLOT + TX_HEADROOM);
  });

  it('has room for the headers of every layer, for a full Ethernet frame, and for its slices', () => {
    // Ethernet, IPv6 with options, TCP with options.
    expect(TX_HEADROOM).toBeGreaterThanOrEqual(14 + 40 + 60 + 60);
    expect(TX_SLOT - TX_HEADROOM).toBeGreaterThanOrEqual(1514);
    const pkt = new TxPacket(new Uint8Array(TX_SLOT), 0, 0);
    for (let i = 0; i < MAX_FRAGS; i++) pkt.addFrag(new Uint8Array(10), 0, 10);
    expect(pkt.length()).toBe(10 * MAX_FRAGS);
  });
});
