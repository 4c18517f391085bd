/**
 * BBR (draft-ietf-ccwg-bbr, version 3): the sender goes by a model of the path, the greatest delivery rate lately and the least round-trip
 * time lately, paces at that rate, and keeps no more in flight than the model or recent losses allow.
 *
 * Paced in quanta of a millisecond, the wheel's tick (`pacing.ts`). A connection without SACK gives no rate samples and is driven as by
 * NewReno. Deviation: marks of congestion are answered as a loss (RFC 3168), once in a round trip, with AccECN too: the draft's response in
 * proportion is for paths whose routers mark early (RFC 9331), which a connection cannot tell.
 */
import { type KobjClass, defineClass } from '../../../kern/kobj.ts';
import { seqGeq } from '../../../wire/seq.ts';
import { BBR_STARTUP_GAIN, BbrModel } from './bbrmodel.ts';
import { CC_ECN, CC_NDUPACK, CC_RTO, ccInterface, type CcMethods } from './cc.ts';
import type { TcpConfig } from './config.ts';
import { CWND_MAX, initialWindow, newrenoClass } from './newreno.ts';
import { TF_FASTRECOVERY, TF_RTOLOSS, type Tcb } from './tcb.ts';

/** §2.4: paced a little below the estimate, so that no queue builds. */
const PACING_MARGIN = 0.99;
/** §4.2: a window of four segments keeps ACKs coming. */
const MIN_PIPE_SEGMENTS = 4;

function dataOf(tcb: Tcb): BbrModel {
  return (tcb.ccData ??= new BbrModel(tcb)) as BbrModel;
}

/** §5.6.2: the rate, from the estimate or, before there is one, from the initial window in a millisecond or round trip. */
function setPacing(tcb: Tcb, bbr: BbrModel): void {
  const { bw } = bbr;
  if (bw === 0) {
    const rttUs = tcb.srtt > 0 ? tcb.srtt >> 3 : 1000;
    tcb.paceRate = Math.ceil((BBR_STARTUP_GAIN * tcb.cwnd * 1e6) / rttUs);
    return;
  }
  const rate = Math.max(1, Math.floor(bbr.pacingGain * bw * PACING_MARGIN));
  // In Startup the rate only rises: early samples are low.
  if (bbr.fullBw || rate > tcb.paceRate) tcb.paceRate = rate;
}

/** §5.6.4: the window follows the model, by as much as arrives. */
function setWindow(tcb: Tcb, bbr: BbrModel, delivered: number): void {
  const { mss } = tcb;
  const floor = MIN_PIPE_SEGMENTS * mss;
  const quantum = Math.max(2 * mss, Math.min(65_536, tcb.paceRate / 1000));
  let target = bbr.bdp(bbr.cwndGain) + 3 * quantum + bbr.extraAcked;
  if (bbr.state === 'probe-up') target += 2 * mss;
  if (target < floor) target = floor;
  let { cwnd } = tcb;
  if (bbr.fullBw) cwnd = Math.min(cwnd + delivered, target);
  else if (cwnd < target || bbr.delivered < initialWindow(tcb.tcp.config, tcb)) cwnd += delivered;
  if (cwnd < floor) cwnd = floor;
  // §5.6.4.7: what losses have shown, and a drained pipe while the least round-trip time is measured.
  const cap = bbr.inflightCap(tcb);
  if (cwnd > cap) cwnd = Math.max(cap, floor);
  if (bbr.state === 'probe-rtt') cwnd = Math.min(cwnd, Math.max(bbr.bdp(0.5), floor));
  tcb.cwnd = cwnd < CWND_MAX ? Math.floor(cwnd) : CWND_MAX;
}

export const bbrClass: KobjClass<TcpConfig, CcMethods> = defineClass<TcpConfig, CcMethods>({
  name: 'bbr',
  implements: ccInterface,
  bases: [newrenoClass],
  methods: {
    connInit: (config, tcb) => {
      tcb.cwnd = initialWindow(config, tcb);
      tcb.ccData = null;
      if (tcb.loss !== null || tcb.srtt > 0) setPacing(tcb, dataOf(tcb));
    },

    ackReceived: (config, tcb, acked) => {
      if (tcb.loss === null) newrenoClass.ops.ackReceived(config, tcb, acked);
    },

    sample: (_config, tcb, rs) => {
      const bbr = dataOf(tcb);
      if (seqGeq(tcb.sndUna, tcb.recover) && (tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) !== 0) bbr.leaveRecovery(tcb);
      bbr.update(tcb, rs);
      setPacing(tcb, bbr);
      setWindow(tcb, bbr, rs.delivered);
    },

    congSignal: (config, tcb, kind) => {
      if (tcb.loss === null) {
        newrenoClass.ops.congSignal(config, tcb, kind);
        return;
      }
      const bbr = dataOf(tcb);
      if (kind === CC_ECN) {
        bbr.marked(tcb);
      } else if (kind === CC_NDUPACK) {
        bbr.saveWindow(tcb);
        // §5.6.4.4: one round of packet conservation; RACK's next ACKs let it grow again.
        tcb.cwnd = Math.max(tcb.loss.pipe(tcb) + tcb.mss, MIN_PIPE_SEGMENTS * tcb.mss);
      } else if (kind === CC_RTO) {
        bbr.saveWindow(tcb);
        tcb.cwnd = tcb.mss;
      }
    },

    ownsRecovery: (_config, tcb) => tcb.loss !== null,

    postRecovery: (config, tcb) => {
      if (tcb.loss === null) newrenoClass.ops.postRecovery(config, tcb);
    },

    afterIdle: (_config, tcb) => {
      // §5.6.5: it stays paced at its rate, so there is no burst to fear.
      dataOf(tcb).restart(tcb);
    },

    destroy: (_config, tcb) => {
      tcb.ccData = null;
      tcb.paceRate = 0;
      tcb.paceCredit = 0;
    },
  },
});
