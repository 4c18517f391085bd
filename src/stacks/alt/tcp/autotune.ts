/**
 * Buffers that follow the bandwidth-delay product (tcp(4), `net.inet.tcp.recvbuf_auto`, `sendbuf_auto`). A flow for which half a buffer arrives within
 * one round trip may be held back by its window: the buffer is doubled. The round trip is the handshake's: one that has grown since has
 * grown by a queue, which a larger window would only lengthen. So many bulk flows keep small windows, which together fit the link's
 * queue, and one alone gets what hides the time that two hosts need to wake up. A buffer takes memory only for bytes that are in it.
 *
 * A peer sends half of the window at once, at most. Where the link itself has super-frames the first of them makes room for four.
 *
 * An idle flow pays nothing for this: a few places take one flow each, measure it for a round trip, and take the next that receives.
 */
import { PKT_BACKLOG } from '../../../kern/packet.ts';
import { sorcvlimits, sosndlimits } from '../../../kern/socket/sobuf.ts';
import { SS_SNDWAIT, type Socket } from '../../../kern/socket/socket.ts';
import type { Alt } from '../alt.ts';
import { FLAGS, F_RCVFIXED, F_SNDFIXED, F_WSCALE, ROW_SHIFT, SND_WND, SRTT } from '../flows.ts';
import { at } from '../slab.ts';

/** Places to measure at, a power of two; the flow's number says which. */
const PLACES = 64;
/** What two busy hosts take to wake up and answer, whatever the wire: no round trip counts as shorter. Microseconds. */
const TURN_US = 100;
/** From this round trip on a buffer grows in the middle of one. */
const EARLY_US = 2000;
/** A flow that stopped in the middle leaves its place to another after this. */
const STALE_US = 500_000;
/** What a link with a backlog is thought to queue at most before it drops, in bytes. */
const LINK_QUEUE = 1 << 25;
/** Room for four super-frames, in bytes. */
const SUPER_WINDOW = 262_144;
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
  const { tune, pkt } = s;
  if (pkt.gso > 0 && pkt.superFrames && so.rcv.hiwat < SUPER_WINDOW) grow(s, i, so, SUPER_WINDOW);
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
  // On a path of some length the rest of the round trip need not be waited for: the sender hears of the wider window before it is used up.
  const early = rttUs >= EARLY_US && (rcvNxt - at(tune, p + FROM)) >>> 0 > so.rcv.hiwat >> 1;
  if (tookUs < rttUs && !early) return;
  // Free for whoever comes next, which may be this one.
  tune[p + WHO] = 0;
  const { rcv } = so;
  // A pause counts as time, so that a burst between two pauses is no rate. What lies unread is not asked for more of.
  const came = (rcvNxt - at(tune, p + FROM)) >>> 0;
  // Where the link has a backlog, it is we who hold the senders back: no wider windows when all together could overflow its queue.
  if ((pkt.flags & PKT_BACKLOG) !== 0 && s.demux.count * rcv.hiwat > LINK_QUEUE) return;
  if (came * rttUs > (rcv.hiwat >> 1) * tookUs && rcv.cc < rcv.hiwat >> 1) grow(s, i, so, 2 * rcv.hiwat);
}

function grow(s: Alt, i: number, so: Socket, to: number): void {
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
  sorcvlimits(so, Math.min(to, max), rcv.lowat);
  s.ct.alt.rcvbufgrown++;
}

/**
 * The congestion window has outgrown half of the send buffer: it holds two of them, one on its way and one to follow it, for a user that fills
 * it and a peer that would take more. Near by its first size is enough for any link.
 */
export function tuneSend(s: Alt, i: number, so: Socket): void {
  const { cfg, kernel } = s;
  const { w } = s.flows;
  const o = i << ROW_SHIFT;
  const { snd } = so;
  if (!cfg.sndBufAuto || (at(w, o + FLAGS) & F_SNDFIXED) !== 0 || at(w, o + SRTT) * 125 < EARLY_US) return;
  const max = Math.min(cfg.sndBufMax, kernel.domains.limits.maxsockbuf);
  if (snd.hiwat >= max || snd.cc < snd.hiwat - (snd.hiwat >> 3) || at(w, o + SND_WND) < snd.hiwat >> 1) return;
  if (kernel.bufpool.used > kernel.bufpool.limitBytes * PRESSURE) {
    s.ct.alt.bufpressure++;
    return;
  }
  // Whoever waits for room is told when the acknowledgment that comes with this has dropped its bytes.
  if (snd.space() < snd.lowat) so.state |= SS_SNDWAIT;
  sosndlimits(so, Math.min(2 * snd.hiwat, max), snd.lowat);
  s.ct.alt.sndbufgrown++;
}
