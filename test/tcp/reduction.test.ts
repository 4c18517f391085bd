/** By how much each congestion control gives way to a loss: RFC 9438 §4.6 (CUBIC, to 0.7), RFC 5681 §3.1 (NewReno, to a half). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Peer, TcpHarness } from './harness.ts';

const TCP = 6;
const TCP_CONGESTION = 64;

let t: TcpHarness;
beforeEach(() => {
  t = new TcpHarness();
});
afterEach(() => t.close());

/** Forty segments of 1000 bytes in flight, by `name`. */
function inFlight(name: string): Peer {
  const p = t.established({ mss: 1000, sackPermitted: true });
  p.setopt(TCP, TCP_CONGESTION, name);
  p.write(150_000);
  for (let ack = 0, have = 10; have <= 40; have *= 2) {
    const next = p.recvAll().reduce((top, s) => Math.max(top, s.seq + s.data.length), ack);
    if (have === 40) break;
    t.run(50);
    for (let una = ack === 0 ? 1 : ack; una < next; una += 2000) p.send({ ack: Math.min(una + 2000, next) });
    ack = next;
  }
  return p;
}

describe('a loss', () => {
  it.each([
    ['cubic', 0.7],
    ['newreno', 0.5],
  ])('%s: the threshold is %f of what was in flight', (name, beta) => {
    const p = inFlight(name);
    const { unacked, snd_una } = p.info();
    expect(unacked).toBe(40);
    const una = (snd_una - (p.irs >>> 0)) | 0;
    for (let i = 1; i <= 4; i++) p.send({ ack: una, opts: { sack: [[p.irs + una + 1000, p.irs + una + 1000 + 1000 * i]] } });
    t.run(1);
    const { snd_ssthresh, ca_state } = p.info();
    expect(ca_state).toBe('recovery');
    expect(snd_ssthresh / 40_000).toBeCloseTo(beta, 1);
  });
});
