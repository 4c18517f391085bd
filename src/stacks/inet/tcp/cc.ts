/**
 * Contract of congestion control (mod_cc(4)): what decides `cwnd` and `ssthresh`. Loss recovery says that something was lost and what to
 * send again (`recovery.ts`); this says how much may be in flight. Chosen per connection; state of its own goes into `tcb.ccData`.
 */
import { defineInterface } from '../../../kern/kobj.ts';
import type { RateSample } from './ratesample.ts';
import type { Tcb } from './tcb.ts';

/** Signals of congestion. */
export const CC_NDUPACK = 1;
export const CC_RTO = 2;
export const CC_ECN = 3;
/** The last reduction was for nothing: `cwnd` and `ssthresh` are as before it, what the algorithm keeps besides is to follow. */
export const CC_RTO_ERR = 4;

export interface CcMethods {
  /** The connection stands, or was given this algorithm: set `cwnd` and make `ccData`. */
  connInit(tcb: Tcb): void;
  /** `acked` bytes were delivered and acknowledged, outside of loss recovery. `sndUna` is the new one. */
  ackReceived(tcb: Tcb, acked: number): void;
  /**
   * Congestion, of kind CC_*: set `ssthresh`, and `cwnd` where recovery does not. At a timeout TF_FASTRECOVERY or TF_RTOLOSS still
   * says that this window's loss was answered before. CC_ECN comes once in a round trip at most.
   */
  congSignal(tcb: Tcb, kind: number): void;
  /** Loss recovery ended well. */
  postRecovery(tcb: Tcb): void;
  /** Sending begins again after more than a retransmission timeout without any. */
  afterIdle(tcb: Tcb): void;
  /** What an ACK told of round-trip time and delivery rate, in recovery too; only of connections with SACK. Valid during the call. */
  sample(tcb: Tcb, rs: RateSample): void;
  /** True: it sets `cwnd` in recovery by itself; else that is proportional rate reduction's. */
  ownsRecovery(tcb: Tcb): boolean;
  /** The connection is over, or gets another algorithm. */
  destroy(tcb: Tcb): void;
}

export const ccInterface = defineInterface<CcMethods>('tcp_cc', {
  connInit: () => undefined,
  ackReceived: () => undefined,
  congSignal: () => undefined,
  postRecovery: () => undefined,
  afterIdle: () => undefined,
  sample: () => undefined,
  ownsRecovery: () => false,
  destroy: () => undefined,
});
