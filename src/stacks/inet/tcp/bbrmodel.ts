/**
 * What BBR knows of a path and in which phase it is (draft-ietf-ccwg-bbr §4, §5): Startup, Drain, the four phases of ProbeBW (down, cruise,
 * refill, up), ProbeRTT. Rates are in bytes a second, times in microseconds unless named otherwise, windows in bytes.
 */
import type { RateSample } from './ratesample.ts';
import type { Tcb } from './tcb.ts';

export const BBR_STARTUP_GAIN = 2.77;
export const BBR_STARTUP_CWND_GAIN = 2;
const DRAIN_GAIN = 0.5;
/** §5.5: losses of a round trip that mean too much in flight; what a reduction leaves; room left for others. */
const LOSS_THRESH = 0.02;
const BETA = 0.7;
const HEADROOM = 0.85;
/** §5.3.1.2: Startup is over after so many rounds that each grew by less than a quarter. */
const FULL_BW_ROUNDS = 3;
const FULL_BW_GROWTH = 1.25;
/** §5.3.1.3: lossy rounds must have so many losses to count in Startup. */
const STARTUP_LOSSES = 6;
const MIN_RTT_WINDOW_MS = 10_000;
const PROBE_RTT_INTERVAL_MS = 5000;
const PROBE_RTT_MS = 200;
/** §5.3.3.5: between two probes for bandwidth: 2 to 3 s, or as many rounds as Reno needs, at most 63. */
const PROBE_WAIT_MS = 2000;
const PROBE_ROUNDS_MAX = 63;
const NONE = 0x3fffffff;

export const BBR_STATES = ['startup', 'drain', 'probe-down', 'probe-cruise', 'probe-refill', 'probe-up', 'probe-rtt'] as const;
export type BbrState = (typeof BBR_STATES)[number];

export class BbrModel {
  state: BbrState = 'startup';
  pacingGain = BBR_STARTUP_GAIN;
  cwndGain = BBR_STARTUP_CWND_GAIN;
  /** The rate in use: the greatest of the last two cycles, less where losses have shown it. */
  bw = 0;
  fullBw = false;
  /** Bytes beyond the model that arrive at once when ACKs come in bunches. */
  extraAcked = 0;
  /** Bytes delivered since the start (saturating). */
  delivered = 0;
  #bwNow = 0;
  #bwBefore = 0;
  #bwLo = Infinity;
  #inflightHi = NONE;
  #inflightLo = NONE;
  /** §5.5.7: the least round-trip time of the last ten seconds, and of the last five, which says when to drain the path. */
  #minRttUs = 0;
  #minRttMs: number;
  #probeMinUs = 0;
  #probeMinMs: number;
  #probeRttDue = false;
  #probeRttDoneMs = 0;
  #probeRttEnds = false;
  #fullBwMax = 0;
  #fullBwCount = 0;
  #roundEnd = 0;
  #roundStart = false;
  /** `lostBytes` when it was looked at last. */
  #lostSeen: number;
  /** Of this round: bytes lost and arrived, ACKs that showed losses, the greatest rate, most delivered in a sample, most in flight. */
  #roundLost = 0;
  #roundLossEvents = 0;
  #roundDelivered = 0;
  #roundBw = 0;
  #roundInflight = 0;
  #roundPipe = 0;
  #cycleMs: number;
  #waitMs = PROBE_WAIT_MS;
  #roundsSinceProbe = 0;
  #upRounds = 0;
  #upAcked = 0;
  #priorCwnd = 0;
  #ackEpochMs: number;
  #ackEpochBytes = 0;

  constructor(tcb: Tcb) {
    const now = tcb.tcp.time.ms;
    this.#minRttMs = this.#probeMinMs = this.#cycleMs = this.#ackEpochMs = now;
    this.#roundEnd = tcb.loss === null ? 0 : tcb.loss.board.delivered;
    this.#lostSeen = tcb.loss === null ? 0 : tcb.loss.lostBytes;
    if (tcb.srtt > 0) this.#minRttUs = this.#probeMinUs = tcb.srtt >> 3;
  }

  /** Bytes that the path holds, times `gain`. */
  bdp(gain: number): number {
    return this.#minRttUs === 0 || this.bw === 0 ? NONE : (gain * this.bw * this.#minRttUs) / 1e6;
  }

  /** What losses leave of the window; while cruising with room for others. */
  inflightCap(tcb: Tcb): number {
    const { state } = this;
    let cap = NONE;
    if (state === 'probe-cruise') cap = this.#headroom(tcb);
    else if (state === 'probe-down' || state === 'probe-refill' || state === 'probe-up') cap = this.#inflightHi;
    return Math.min(cap, this.#inflightLo);
  }

  #headroom(tcb: Tcb): number {
    return this.#inflightHi === NONE ? NONE : Math.max(this.#inflightHi * HEADROOM, 4 * tcb.mss);
  }

  saveWindow(tcb: Tcb): void {
    this.#priorCwnd = this.state === 'probe-rtt' ? Math.max(this.#priorCwnd, tcb.cwnd) : tcb.cwnd;
  }

  leaveRecovery(tcb: Tcb): void {
    if (tcb.cwnd < this.#priorCwnd) tcb.cwnd = this.#priorCwnd;
    this.#priorCwnd = 0;
  }

  /**
   * Routers mark instead of dropping: at most once a round trip. Answered at once and as a loss (RFC 3168 §5): what may be in flight is a part
   * of what was, until the next probe for bandwidth; a probe that is under way, and Startup, are over. The rate stays: it was delivered.
   */
  marked(tcb: Tcb): void {
    const st = tcb.loss;
    if (st === null) return;
    const { state } = this;
    const least = 4 * tcb.mss;
    const inflight = Math.min(this.#inflightLo, tcb.cwnd, Math.max(this.#roundPipe, st.pipe(tcb)));
    const part = Math.max(inflight * BETA, least);
    this.#inflightLo = part;
    if (tcb.cwnd > part) tcb.cwnd = Math.floor(part);
    if (!this.fullBw) {
      this.fullBw = true;
      this.#inflightHi = Math.max(inflight, least);
    } else if (state === 'probe-up' || state === 'probe-refill') {
      this.#inflightHi = Math.max(inflight, least);
      this.#enterDown(tcb);
    }
  }

  /** Sending begins again after a pause: at the estimated rate. */
  restart(tcb: Tcb): void {
    if (this.state === 'probe-rtt') this.#leaveProbeRtt(tcb);
    else if (this.state.startsWith('probe')) this.pacingGain = 1;
  }

  /** One ACK (§5.2.3). */
  update(tcb: Tcb, rs: RateSample): void {
    const st = tcb.loss;
    if (st === null) return;
    const { board } = st;
    const pipe = st.pipe(tcb);
    // Also what the timers and the ACK before took for lost, after they were looked at.
    const lost = (st.lostBytes - this.#lostSeen) | 0;
    this.#lostSeen = st.lostBytes;
    this.delivered = Math.min(NONE, this.delivered + rs.delivered);
    this.#roundDelivered += rs.delivered;
    this.#roundLost += lost;
    if (lost > 0) this.#roundLossEvents++;
    if (rs.priorPipe > this.#roundPipe) this.#roundPipe = rs.priorPipe;
    if (rs.rate > this.#roundBw) this.#roundBw = rs.rate;
    const inflight = rs.any ? (board.delivered - rs.priorDelivered) | 0 : 0;
    if (inflight > this.#roundInflight) this.#roundInflight = inflight;
    this.#roundStart = rs.any && ((rs.priorDelivered - this.#roundEnd) | 0) >= 0;
    if (rs.rate > 0 && (!rs.appLimited || rs.rate >= this.#bwNow)) this.#bwNow = Math.max(this.#bwNow, rs.rate);
    this.#updateMinRtt(tcb, rs);
    this.#updateExtraAcked(tcb, rs);
    if (this.#roundStart) {
      this.#roundEnd = board.delivered;
      this.#endRound(tcb, rs);
    }
    this.bw = Math.min(Math.max(this.#bwNow, this.#bwBefore), this.#bwLo);
    this.#step(tcb, rs, pipe);
  }

  #updateMinRtt(tcb: Tcb, rs: RateSample): void {
    const now = tcb.tcp.time.ms;
    this.#probeRttDue = ((now - this.#probeMinMs) | 0) > PROBE_RTT_INTERVAL_MS;
    if (rs.rttUs <= 0) return;
    if (this.#probeMinUs === 0 || rs.rttUs <= this.#probeMinUs || this.#probeRttDue) {
      this.#probeMinUs = rs.rttUs;
      this.#probeMinMs = now;
    }
    const old = ((now - this.#minRttMs) | 0) > MIN_RTT_WINDOW_MS;
    if (this.#minRttUs === 0 || this.#probeMinUs <= this.#minRttUs || old) {
      this.#minRttUs = this.#probeMinUs;
      this.#minRttMs = this.#probeMinMs;
    }
  }

  /** §5.5.9: how far deliveries run ahead of the estimate. */
  #updateExtraAcked(tcb: Tcb, rs: RateSample): void {
    const ms = (tcb.tcp.time.ms - this.#ackEpochMs) | 0;
    const expected = (this.bw * ms) / 1000;
    if (this.#ackEpochBytes <= expected || ms > 1000) {
      this.#ackEpochMs = tcb.tcp.time.ms;
      this.#ackEpochBytes = 0;
    }
    this.#ackEpochBytes += rs.delivered;
    const extra = Math.min(this.#ackEpochBytes - Math.max(0, expected), tcb.cwnd);
    if (extra > this.extraAcked) this.extraAcked = extra;
  }

  #endRound(tcb: Tcb, rs: RateSample): void {
    this.#roundsSinceProbe++;
    this.extraAcked *= 0.9;
    const lossy = this.#roundLost > LOSS_THRESH * (this.#roundLost + this.#roundDelivered);
    if (!this.fullBw) this.#checkFullBw(rs, lossy);
    else if (this.#roundLost > 0) this.#adapt(tcb, lossy);
    this.#roundLost = this.#roundLossEvents = this.#roundDelivered = 0;
    this.#roundBw = rs.rate;
    this.#roundInflight = this.#roundPipe = 0;
  }

  #checkFullBw(rs: RateSample, lossy: boolean): void {
    if (lossy && this.#roundLossEvents >= STARTUP_LOSSES) {
      this.fullBw = true;
      const bdp = this.bdp(1);
      this.#inflightHi = Math.max(bdp === NONE ? 0 : bdp, this.#roundInflight);
      return;
    }
    if (rs.appLimited) return;
    if (this.#bwNow >= this.#fullBwMax * FULL_BW_GROWTH) {
      this.#fullBwMax = this.#bwNow;
      this.#fullBwCount = 0;
    } else if (++this.#fullBwCount >= FULL_BW_ROUNDS) {
      this.fullBw = true;
    }
  }

  /** §5.5.10: a round with losses, outside of Startup. */
  #adapt(tcb: Tcb, lossy: boolean): void {
    const least = 4 * tcb.mss;
    if (this.state === 'probe-up' || this.state === 'probe-refill') {
      if (!lossy) return;
      this.#inflightHi = Math.max(this.#roundPipe, Math.min(this.bdp(1), tcb.cwnd) * BETA, least);
      this.#enterDown(tcb);
      return;
    }
    // Not below what got through all the same.
    if (this.#bwLo === Infinity) this.#bwLo = Math.max(this.#bwNow, this.#bwBefore);
    if (this.#inflightLo === NONE) this.#inflightLo = tcb.cwnd;
    this.#bwLo = Math.max(this.#roundBw, this.#bwLo * BETA);
    this.#inflightLo = Math.max(this.#roundInflight, this.#inflightLo * BETA, least);
  }

  #step(tcb: Tcb, rs: RateSample, pipe: number): void {
    const now = tcb.tcp.time.ms;
    switch (this.state) {
      case 'startup':
        if (!this.fullBw) break;
        this.#enter('drain', DRAIN_GAIN, BBR_STARTUP_CWND_GAIN);
        break;
      case 'drain':
        if (pipe <= this.bdp(1)) this.#enterDown(tcb);
        break;
      case 'probe-down':
        if (this.#timeToProbe(tcb)) this.#enterRefill(tcb);
        else if (pipe <= Math.min(this.bdp(1), this.#headroom(tcb))) this.#enter('probe-cruise', 1, 2);
        break;
      case 'probe-cruise':
        if (this.#timeToProbe(tcb)) this.#enterRefill(tcb);
        break;
      case 'probe-refill':
        if (!this.#roundStart) break;
        this.#enter('probe-up', 1.25, 2.25);
        this.#cycleMs = now;
        this.#upRounds = this.#upAcked = 0;
        break;
      case 'probe-up':
        this.#growHi(tcb, rs, pipe);
        if (((now - this.#cycleMs) | 0) * 1000 > this.#minRttUs && pipe >= this.bdp(1.25)) this.#enterDown(tcb);
        break;
      case 'probe-rtt':
        this.#probeRtt(tcb, pipe);
        return;
    }
    if (this.fullBw && this.#probeRttDue && rs.any) {
      this.saveWindow(tcb);
      this.#enter('probe-rtt', 1, 0.5);
      this.#probeRttDoneMs = 0;
    }
  }

  #enter(state: BbrState, pacing: number, window: number): void {
    this.state = state;
    this.pacingGain = pacing;
    this.cwndGain = window;
  }

  /** A cycle ends: its greatest rate stays for one more (§5.5.6). */
  #enterDown(tcb: Tcb): void {
    this.#enter('probe-down', 0.9, 2);
    if (this.#bwNow > 0) {
      this.#bwBefore = this.#bwNow;
      this.#bwNow = 0;
    }
    this.#cycleMs = tcb.tcp.time.ms;
    this.#roundsSinceProbe = 0;
    this.#waitMs = PROBE_WAIT_MS + (tcb.tcp.kernel.random.u32() % 1000);
  }

  /** A round at the estimated rate fills the path before more is tried. */
  #enterRefill(tcb: Tcb): void {
    this.#enter('probe-refill', 1, 2);
    this.#forgetLosses();
    this.#roundStart = false;
    if (tcb.loss !== null) this.#roundEnd = tcb.loss.board.delivered;
  }

  #forgetLosses(): void {
    this.#bwLo = Infinity;
    this.#inflightLo = NONE;
  }

  #timeToProbe(tcb: Tcb): boolean {
    const rounds = Math.min(PROBE_ROUNDS_MAX, this.bdp(1) / tcb.mss);
    return ((tcb.tcp.time.ms - this.#cycleMs) | 0) > this.#waitMs || this.#roundsSinceProbe >= rounds;
  }

  /** §5.5.10.2: the bound rises while it is what holds the flow, twice as fast each round. */
  #growHi(tcb: Tcb, rs: RateSample, pipe: number): void {
    if (this.#inflightHi === NONE || pipe + tcb.mss < this.#inflightHi) return;
    if (this.#roundStart) this.#upRounds++;
    this.#upAcked += rs.delivered;
    const per = Math.max(tcb.mss, tcb.cwnd / 2 ** Math.min(this.#upRounds, 30));
    while (this.#upAcked >= per) {
      this.#upAcked -= per;
      this.#inflightHi += tcb.mss;
    }
  }

  /** §5.3.4: 200 ms and a round trip with little in flight. */
  #probeRtt(tcb: Tcb, pipe: number): void {
    const now = tcb.tcp.time.ms;
    if (this.#probeRttDoneMs === 0) {
      if (pipe > Math.max(this.bdp(0.5), 4 * tcb.mss)) return;
      this.#probeRttDoneMs = (now + PROBE_RTT_MS) | 1;
      this.#probeRttEnds = false;
      return;
    }
    if (this.#roundStart) this.#probeRttEnds = true;
    if (this.#probeRttEnds && ((now - this.#probeRttDoneMs) | 0) > 0) this.#leaveProbeRtt(tcb);
  }

  #leaveProbeRtt(tcb: Tcb): void {
    this.#probeMinMs = tcb.tcp.time.ms;
    this.#forgetLosses();
    this.leaveRecovery(tcb);
    this.#enterDown(tcb);
    this.#enter('probe-cruise', 1, 2);
  }
}
