/** Proportional rate reduction by itself (RFC 6937, and the bounds of draft-ietf-tcpm-prr-rfc6937bis). Segments of 1000 bytes. */
import { describe, expect, it } from 'vitest';
import { prrAck, prrStart } from '../../src/stacks/inet/tcp/prr.ts';
import type { RackState } from '../../src/stacks/inet/tcp/rackstate.ts';
import type { Tcb } from '../../src/stacks/inet/tcp/tcb.ts';

/** Recovery of a flight of 20 segments, `pipe` of them left, towards 10. */
function recovery(pipe: number): {
  ack: (delivered: number, safe: boolean, inFlight: number) => number;
  sent: (n: number) => void;
} {
  let flight = pipe;
  const tcb = { mss: 1000, ssthresh: 10_000, cwnd: 0 } as Tcb;
  const st = { prrOut: 0, prrDelivered: 0, recoverFs: 0, pipe: () => flight } as unknown as RackState;
  prrStart(st, 20_000, 0);
  return {
    ack: (delivered, safe, inFlight) => {
      flight = inFlight;
      return prrAck(tcb, st, delivered, safe);
    },
    sent: (n) => void (st.prrOut += n),
  };
}

describe('proportional rate reduction', () => {
  it('above the threshold as much as brings the flight down to it in a round trip', () => {
    const r = recovery(19_000);
    expect(r.ack(1000, false, 18_000)).toBe(1000);
    r.sent(1000);
    expect(r.ack(1000, false, 18_000)).toBe(0);
    expect(r.ack(1000, false, 17_000)).toBe(500);
  });

  it('below it, what arrives may be answered with as much, whatever went before', () => {
    const r = recovery(5000);
    expect(r.ack(1000, true, 4000)).toBe(2000);
    r.sent(2000);
    expect(r.ack(1000, true, 5000)).toBe(2000);
    r.sent(2000);
    // Two more have gone than have come: still one for the one that comes.
    expect(r.ack(1000, false, 6000)).toBe(1000);
  });

  it('never beyond the threshold', () => {
    const r = recovery(5000);
    r.sent(1000);
    expect(r.ack(6000, true, 9500)).toBe(500);
  });
});
