/**
 * NewReno congestion control: RFC 5681 (slow start, congestion avoidance, restart after idle), RFC 6928 (initial window), RFC 3465
 * (appropriate byte counting).
 */
import { type KobjClass, defineClass } from '../../../kern/kobj.ts';
import { CC_ECN, CC_NDUPACK, CC_RTO, ccInterface, type CcMethods } from './cc.ts';
import type { TcpConfig } from './config.ts';
import { TF_CWNDLIMITED, TF_FASTRECOVERY, TF_RTOLOSS, TF_SYNREXMT, type Tcb } from './tcb.ts';

/** Windows stay far below 2^31. */
export const CWND_MAX = 0x3fffffff;

/** RFC 6928 §2: ten segments, at most 14600 bytes unless that is less than two. */
export function initialWindow(config: TcpConfig, tcb: Tcb): number {
  // RFC 5681 §3.1: one segment when the SYN or its answer was lost.
  if ((tcb.flags & TF_SYNREXMT) !== 0) return tcb.mss;
  const n = config.initcwndSegments;
  return Math.min(n * tcb.mss, Math.max(2 * tcb.mss, n * 1460));
}

/**
 * RFC 3465 §2.2, §2.3: how much one ACK may add in slow start, in bytes: L segments; one after a timeout, when a cumulative ACK
 * may cover what arrived long ago. A scoreboard knows what arrived just now.
 */
export function slowStartLimit(config: TcpConfig, tcb: Tcb): number {
  return (tcb.flags & TF_RTOLOSS) !== 0 && tcb.loss === null ? tcb.mss : config.abcLVar * tcb.mss;
}

/** RFC 5681 eqn. 4: half of what is in flight. */
function halfFlight(tcb: Tcb): number {
  return Math.max((tcb.sndMax - tcb.sndUna) >> 1, 2 * tcb.mss);
}

export const newrenoClass: KobjClass<TcpConfig, CcMethods> = defineClass<TcpConfig, CcMethods>({
  name: 'newreno',
  implements: ccInterface,
  methods: {
    connInit: (config, tcb) => {
      tcb.cwnd = initialWindow(config, tcb);
      tcb.abcBytes = 0;
    },

    ackReceived: (config, tcb, acked) => {
      // A window that the sender did not fill says nothing about the path (RFC 7661).
      if ((tcb.flags & TF_CWNDLIMITED) === 0) return;
      const { mss } = tcb;
      let cwnd = tcb.cwnd;
      if (cwnd < tcb.ssthresh) {
        const limit = slowStartLimit(config, tcb);
        cwnd += acked < limit ? acked : limit;
      } else {
        // RFC 3465 §2.1: one segment for each window acknowledged.
        tcb.abcBytes += acked;
        if (tcb.abcBytes < cwnd) return;
        tcb.abcBytes -= cwnd;
        if (tcb.abcBytes > cwnd) tcb.abcBytes = cwnd;
        cwnd += mss;
      }
      tcb.cwnd = cwnd < CWND_MAX ? cwnd : CWND_MAX;
    },

    congSignal: (_config, tcb, kind) => {
      switch (kind) {
        case CC_NDUPACK:
          // RFC 5681 §3.2 step 2: without what limited transmit sent beyond the window.
          tcb.ssthresh = Math.min(halfFlight(tcb), Math.max(tcb.cwnd >> 1, 2 * tcb.mss));
          break;
        case CC_ECN:
          tcb.ssthresh = halfFlight(tcb);
          tcb.cwnd = tcb.ssthresh;
          break;
        case CC_RTO:
          // RFC 5681 §3.1: only the first timeout of a segment lowers the threshold.
          if (tcb.rxtShift <= 1 && (tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) === 0) tcb.ssthresh = halfFlight(tcb);
          tcb.cwnd = tcb.mss;
          break;
      }
      tcb.abcBytes = 0;
    },

    postRecovery: (_config, tcb) => {
      tcb.abcBytes = 0;
    },

    afterIdle: (config, tcb) => {
      // RFC 5681 §4.1
      const restart = initialWindow(config, tcb);
      if (tcb.cwnd > restart) tcb.cwnd = restart;
    },
  },
});
