/**
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406): the window grows by a cubic function of the time since the last reduction, which is flat
 * where the last loss was; never slower than Reno would. Windows are in bytes outside and in segments inside, times in seconds.
 */
import { type KobjClass, defineClass } from '../../../kern/kobj.ts';
import { CC_ECN, CC_NDUPACK, CC_RTO, CC_RTO_ERR, ccInterface, type CcMethods } from './cc.ts';
import type { TcpConfig } from './config.ts';
import { CSS_GROWTH_DIVISOR, HyStart } from './hystart.ts';
import { CWND_MAX, initialWindow, slowStartLimit } from './newreno.ts';
import { TF_CWNDLIMITED, TF_FASTRECOVERY, TF_RTOLOSS, type Tcb } from './tcb.ts';

/** RFC 9438 §5: how fast the curve is, in segments per second cubed; §4.6: what a reduction leaves. */
export const CUBIC_C = 0.4;
export const CUBIC_BETA = 0.7;
/** §4.3: additive increase that gives Reno's average with this reduction. */
const ALPHA = (3 * (1 - CUBIC_BETA)) / (1 + CUBIC_BETA);

class Cubic {
  /** Window before the last reduction in segments, less if bandwidth is being given up (§4.7); 0: there was none. */
  wMax = 0;
  /** The window at the last reduction, whose value Reno's growth must reach to be as fast as the flow it stands for. */
  cwndPrior = 0;
  /** Of this epoch: when it began (valid if `epoch`), how long until the curve is back at wMax, Reno's estimate. */
  epoch = false;
  epochMs = 0;
  k = 0;
  origin = 0;
  wEst = 0;
  /** The user leaves the window unused, and since when: that time does not count (§5.8). */
  loose = false;
  looseMs = 0;
  hystart: HyStart;
  /** To take a reduction back (§4.9). */
  undoWMax = 0;
  undoCwndPrior = 0;
  undoEpoch = false;
  undoK = 0;
  undoOrigin = 0;
  undoWEst = 0;
  undoEpochMs = 0;
  /** A reduction was just taken back: the curve goes on where it was. */
  undone = false;

  constructor(tcb: Tcb) {
    this.hystart = new HyStart(tcb);
  }
}

/** §4.2: the curve at `t` seconds, in segments. */
export function cubicWindow(t: number, k: number, origin: number): number {
  const d = t - k;
  return CUBIC_C * d * d * d + origin;
}

/** §4.2: how long until the curve is back at `wMax` from `cwnd`, in seconds. */
export function cubicK(wMax: number, cwnd: number): number {
  return wMax > cwnd ? Math.cbrt((wMax - cwnd) / CUBIC_C) : 0;
}

function dataOf(tcb: Tcb): Cubic {
  return (tcb.ccData ??= new Cubic(tcb)) as Cubic;
}

/** §4.6, §4.7 */
function reduce(tcb: Tcb, cb: Cubic): void {
  const { mss } = tcb;
  cb.undoWMax = cb.wMax;
  cb.undoCwndPrior = cb.cwndPrior;
  cb.undoEpoch = cb.epoch;
  cb.undoK = cb.k;
  cb.undoOrigin = cb.origin;
  cb.undoWEst = cb.wEst;
  cb.undoEpochMs = cb.epochMs;
  const cwnd = tcb.cwnd / mss;
  cb.wMax = cwnd < cb.wMax ? (cwnd * (1 + CUBIC_BETA)) / 2 : cwnd;
  cb.cwndPrior = cwnd;
  cb.epoch = false;
  cb.hystart.active = cb.hystart.css = false;
  // The window as it was used: one that the sender did not fill says little about the path.
  const flight = (tcb.sndMax - tcb.sndUna) | 0;
  const used = flight > 0 && flight < tcb.cwnd && (tcb.flags & TF_CWNDLIMITED) === 0 ? flight : tcb.cwnd;
  tcb.ssthresh = Math.max(Math.floor(used * CUBIC_BETA), 2 * mss);
}

function beginEpoch(tcb: Tcb, cb: Cubic): void {
  const cwnd = tcb.cwnd / tcb.mss;
  cb.epoch = true;
  cb.epochMs = tcb.tcp.time.ms;
  cb.k = cubicK(cb.wMax, cwnd);
  cb.origin = cb.wMax > cwnd ? cb.wMax : cwnd;
  cb.wEst = cwnd;
}

/** §4.2 to §4.5: the window after `acked` bytes in congestion avoidance. */
function avoid(tcb: Tcb, cb: Cubic, acked: number): number {
  const { mss } = tcb;
  if (!cb.epoch) beginEpoch(tcb, cb);
  const cwnd = tcb.cwnd / mss;
  const segments = acked / mss;
  const t = ((tcb.tcp.time.ms - cb.epochMs) | 0) / 1000;
  const rtt = tcb.srtt / 8e6;
  // §4.3; once it is where the last loss was it grows as Reno does.
  cb.wEst += ((cb.wEst >= cb.cwndPrior ? 1 : ALPHA) * segments) / cwnd;
  if (cubicWindow(t, cb.k, cb.origin) < cb.wEst) return cb.wEst * mss > tcb.cwnd ? cb.wEst * mss : tcb.cwnd;
  let target = cubicWindow(t + rtt, cb.k, cb.origin);
  if (target < cwnd) target = cwnd;
  else if (target > 1.5 * cwnd) target = 1.5 * cwnd;
  return tcb.cwnd + ((target - cwnd) / cwnd) * acked;
}

export const cubicClass: KobjClass<TcpConfig, CcMethods> = defineClass<TcpConfig, CcMethods>({
  name: 'cubic',
  implements: ccInterface,
  methods: {
    connInit: (config, tcb) => {
      tcb.cwnd = initialWindow(config, tcb);
      tcb.ccData = null;
    },

    ackReceived: (config, tcb, acked) => {
      if ((tcb.flags & TF_CWNDLIMITED) === 0) {
        // §5.8: the curve stands still while the user leaves the window unused.
        const cb = tcb.ccData as Cubic | null;
        if (cb !== null && !cb.loose) {
          cb.loose = true;
          cb.looseMs = tcb.tcp.time.ms;
        }
        return;
      }
      const cb = dataOf(tcb);
      if (cb.loose) {
        cb.loose = false;
        cb.epochMs = (cb.epochMs + tcb.tcp.time.ms - cb.looseMs) | 0;
      }
      let cwnd: number;
      if (tcb.cwnd < tcb.ssthresh) {
        const limit = slowStartLimit(config, tcb);
        const n = acked < limit ? acked : limit;
        cwnd = tcb.cwnd + (cb.hystart.css ? Math.ceil(n / CSS_GROWTH_DIVISOR) : n);
        if (cwnd > tcb.ssthresh) cwnd = Math.max(tcb.ssthresh, tcb.cwnd);
      } else {
        cwnd = Math.floor(avoid(tcb, cb, acked));
      }
      tcb.cwnd = cwnd < CWND_MAX ? cwnd : CWND_MAX;
    },

    sample: (_config, tcb, rs) => {
      if (rs.rttUs <= 0 || tcb.cwnd >= tcb.ssthresh) return;
      const cb = dataOf(tcb);
      if (!cb.hystart.active || (tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) !== 0) return;
      if (!cb.hystart.sample(tcb, rs.rttUs)) return;
      tcb.tcp.stats.hystartexit++;
      tcb.ssthresh = tcb.cwnd;
    },

    congSignal: (_config, tcb, kind) => {
      const cb = dataOf(tcb);
      switch (kind) {
        case CC_NDUPACK:
          reduce(tcb, cb);
          break;
        case CC_ECN:
          reduce(tcb, cb);
          tcb.cwnd = tcb.ssthresh;
          break;
        case CC_RTO:
          if (tcb.rxtShift <= 1 && (tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) === 0) reduce(tcb, cb);
          // §4.8: what follows slow start begins anew.
          cb.epoch = false;
          tcb.cwnd = tcb.mss;
          break;
        case CC_RTO_ERR:
          cb.wMax = cb.undoWMax;
          cb.cwndPrior = cb.undoCwndPrior;
          cb.epoch = cb.undoEpoch;
          cb.k = cb.undoK;
          cb.origin = cb.undoOrigin;
          cb.wEst = cb.undoWEst;
          cb.epochMs = cb.undoEpochMs;
          cb.undone = (tcb.flags & TF_FASTRECOVERY) !== 0;
          break;
      }
    },

    postRecovery: (_config, tcb) => {
      const cb = dataOf(tcb);
      if (!cb.undone) cb.epoch = false;
      cb.undone = false;
    },

    afterIdle: (config, tcb) => {
      // RFC 5681 §4.1; the path may still bear what it bore before: RFC 7661 §4.4.
      const restart = initialWindow(config, tcb);
      if (tcb.cwnd > restart) {
        tcb.ssthresh = Math.max(tcb.ssthresh, (tcb.cwnd >> 2) * 3);
        tcb.cwnd = restart;
      }
      if (tcb.ccData !== null) (tcb.ccData as Cubic).epoch = false;
    },

    destroy: (_config, tcb) => {
      tcb.ccData = null;
    },
  },
});
