/**
 * Receive buffers that follow the bandwidth-delay product (tcp(4), `net.inet.tcp.recvbuf_auto`). A flow for which half a buffer arrives within
 * one round trip may be held back by its window: the buffer is doubled. The round trip is the handshake's: one that has grown since has
 * grown by a queue, which a larger window would only lengthen. So many bulk flows keep small windows, which together fit the link's
 * queue, and one alone gets what hides the time that two hosts need to wake up. A buffer takes memory only for bytes that are in it.
 *
 * An idle flow pays nothing for this: a few places take one flow each, measure it for a round trip, and take the next that receives.
 */
import { sorcvlimits } from '../../../kern/socket/sobuf.ts';
import type { Socket } from '../../../kern/socket/socket.ts';
import type { Alt } from '../alt.ts';
import { FLAGS, F_RCVFIXED, F_WSCALE, ROW_SHIFT, SRTT } from '../flows.ts';
import { at } from '../slab.ts';

/** Places to measure at, a power of two; the flow's number says which. */
const PLACES = 64;
/** What two busy hosts take to wake up and answer, whatever the wire: no round trip counts as shorter. Microseconds. */
const TURN_US = 100;
/** A flow that stopped in the middle leaves its place to another after this. */
const STALE_US = 500_000;
/** Share of the kernel's buffers in use at which no buffer grows. */
const PRESSURE = 0.75;

/** What is being measured: the flow plus 1, since when (microseconds), and from which sequence number. */
const WHO = 0;
const SINCE = 1;
const FROM = 2;
const STRIDE = 3;

export function newTunePlaces(): Int32Array {
  return new Int32Array(PLACES * STRIDE);
}

/** Data in order came for a flow, up to `rcvNxt`. */
export function tuneReceive(s: Alt, i: number, so: Socket, rcvNxt: number): void {
  const { tune } = s;
  const p = (i & (PLACES - 1)) * STRIDE;
  const tookUs = (s.time.us - at(tune, p + SINCE)) >>> 0;
  if (at(tune, p + WHO) !== i + 1) {
    if (at(tune, p + WHO) === 0 || tookUs > STALE_US) {
      tune[p + WHO] = i + 1;
      tune[p + SINCE] = s.time.us;
      tune[p + FROM] = rcvNxt;
    }
    return;
  }
  // In 1/8 ms.
  const srttUs = at(s.flows.w, (i << ROW_SHIFT) + SRTT) * 125;
  const rttUs = srttUs > TURN_US ? srttUs : TURN_US;
  if (tookUs < rttUs) return;
  // Free for whoever comes next, which may be this one.
  tune[p + WHO] = 0;
  const { rcv } = so;
  // A pause counts as time, so that a burst between two pauses is no rate. What lies unread is not asked for more of.
  const came = (rcvNxt - at(tune, p + FROM)) >>> 0;
  if (came * rttUs > (rcv.hiwat >> 1) * tookUs && rcv.cc < rcv.hiwat >> 1) grow(s, i, so);
}

function grow(s: Alt, i: number, so: Socket): void {
  const { cfg, kernel } = s;
  const flags = at(s.flows.w, (i << ROW_SHIFT) + FLAGS);
  const { rcv } = so;
  // Without a scale the window field ends at 64 KiB.
  const max = (flags & F_WSCALE) === 0 ? 65_535 : Math.min(cfg.rcvBufMax, kernel.domains.limits.maxsockbuf);
  if (!cfg.rcvBufAuto || (flags & F_RCVFIXED) !== 0 || rcv.hiwat >= max) return;
  if (kernel.bufpool.used > kernel.bufpool.limitBytes * PRESSURE) {
    s.ct.alt.bufpressure++;
    return;
  }
  sorcvlimits(so, Math.min(2 * rcv.hiwat, max), rcv.lowat);
  s.ct.alt.rcvbufgrown++;
}
