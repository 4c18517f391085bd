/** What tells an answer to the first transmission from one to the second, by itself: RFC 3522, RFC 8985 §6.2 step 2. */
import { describe, expect, it } from 'vitest';
import { eifel } from '../../src/stacks/inet/tcp/frto.ts';
import type { Segment } from '../../src/stacks/inet/tcp/inst.ts';
import { rackUpdate } from '../../src/stacks/inet/tcp/rack.ts';
import { RackState } from '../../src/stacks/inet/tcp/rackstate.ts';
import { RateSample } from '../../src/stacks/inet/tcp/ratesample.ts';
import { RangePool } from '../../src/stacks/inet/tcp/sackboard.ts';
import { TF_FASTRECOVERY, TF_TSTMP, type Tcb } from '../../src/stacks/inet/tcp/tcb.ts';

const echo = (tsEcr: number): Segment => ({ opts: { hasTs: true, tsEcr } }) as Segment;

describe('Eifel detection', () => {
  const tcb = (flags: number): Tcb => ({ flags: TF_TSTMP | flags, sndUna: 0 }) as Tcb;
  const st = new RackState(new RangePool(), tcb(0));
  st.undoOn = st.rexmtTsOn = true;
  st.rexmtTs = 1000;

  it('while a loss is repaired: an echo from before the first retransmission', () => {
    expect(eifel(tcb(TF_FASTRECOVERY), st, echo(999))).toBe(true);
    expect(eifel(tcb(TF_FASTRECOVERY), st, echo(1000))).toBe(false);
  });

  it('nothing afterwards, when the clock may have come round half', () => {
    expect(eifel(tcb(0), st, echo((1000 + 0x7fffffff + 10) | 0))).toBe(false);
  });
});

describe('RACK and what was sent again', () => {
  /** A segment sent again 30 ms ago, on a path of 20 ms, is acknowledged with this echo. */
  function update(tsEcr: number): RackState {
    const tcb = { flags: TF_TSTMP, sndUna: 0, tsOffset: 0, tcp: { time: { us: 100_000, ms: 100 } } } as Tcb;
    const st = new RackState(new RangePool(), tcb);
    st.rttSample(20_000, 0);
    const rs = new RateSample();
    rs.any = rs.rexmt = true;
    rs.xmitUs = 70_000;
    rs.end = 1000;
    rackUpdate(tcb, st, echo(tsEcr), rs);
    return st;
  }

  it('counts when the second transmission was answered', () => {
    expect(update(70)).toMatchObject({ valid: true, xmitUs: 70_000, rttUs: 30_000 });
  });

  it('does not when the timestamp is of the first', () => {
    expect(update(40).valid).toBe(false);
  });
});
