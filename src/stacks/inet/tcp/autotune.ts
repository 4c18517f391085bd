/**
 * Socket buffers that follow the bandwidth-delay product (tcp(4), `net.inet.tcp.sendbuf_auto`, `recvbuf_auto`), between their first size and
 * net.inet.tcp.sendbuf_max and recvbuf_max.
 *
 * Receiving: when half the buffer arrived within one round trip the window may be what holds the peer back, and is doubled; so it is always
 * at least twice what the peer sends in a round trip, and slow start, which begins with 14600 bytes, never meets it. Sending: the
 * buffer holds two congestion windows, one in flight and one to follow it, if the user fills it; its first size is what 10 Gbit/s
 * carry in 0.4 ms, so that nothing nearby waits for it to grow.
 *
 * A peer sends half of the window at once, at most. Where the link itself has super-frames the first of them makes room for four:
 * frames as large as they may be, and of a thousand connections all at the same time.
 *
 * All of them draw on the kernel's pool (kern.ipc.maxbufbytes). Under pressure (net.inet.tcp.mem_pressure, a share of it in use) none
 * grows, a reader that leaves bytes lie is offered no more than a small window, and a connection without a user that waits for a
 * closed window is ended.
 */
import { IFCAP_LRO, IFCAP_RXCSUM } from '../../../kern/ifnet/link.ts';
import { PKT_BACKLOG, type RxPacket } from '../../../kern/packet.ts';
import { sorcvlimits, sosndlimits } from '../../../kern/socket/sobuf.ts';
import { SS_SNDWAIT } from '../../../kern/socket/socket.ts';
import type { TcpInst } from './inst.ts';
import { TF_RCVFIXED, TF_SNDFIXED, type Tcb } from './tcb.ts';

/** Below this round trip (microseconds) the first size of a send buffer is enough for any link, and the clock too coarse. */
const RTT_MIN_US = 1000;
/** What two busy hosts take to wake up and answer, whatever the wire: no round trip counts as shorter. Microseconds. */
const TURN_US = 100;
/** What a link with a backlog is thought to queue at most before it drops, in bytes. */
const LINK_QUEUE = 1 << 25;
/** Room for four super-frames, in bytes. */
const SUPER_WINDOW = 262_144;
/** What a slow reader is offered under pressure, in bytes. */
export const PRESSURE_WINDOW = 65_536;

/** True when so much of the pool is in use that buffers should not grow. */
export function memoryPressure(tcp: TcpInst): boolean {
  const { bufpool } = tcp.kernel;
  return bufpool.used > (bufpool.limitBytes / 100) * tcp.config.memPressure;
}

/** In-order data came in `pkt`: once in a round trip, is the window what holds the peer back? */
export function tuneReceiveBuffer(tcp: TcpInst, tcb: Tcb, pkt: RxPacket): void {
  if (pkt.gsoSize > 0 && tcb.so.rcv.hiwat < SUPER_WINDOW && superFrames(pkt)) growReceiveBuffer(tcp, tcb, SUPER_WINDOW);
  const tookUs = (tcp.time.us - tcb.tuneUs) >>> 0;
  const rttUs = tcb.srtt >> 3 > TURN_US ? tcb.srtt >> 3 : TURN_US;
  if (tookUs < rttUs) return;
  const { rcv } = tcb.so;
  // A pause counts as time, so that a burst between two pauses is no rate. What lies unread is not asked for more of.
  const fast = ((tcb.rcvNxt - tcb.tuneSeq) >>> 0) * rttUs > (rcv.hiwat >> 1) * tookUs && rcv.cc < rcv.hiwat >> 1;
  // The first measurement has no beginning: it only starts the clock.
  const backlog = (pkt.flags & PKT_BACKLOG) !== 0;
  if (fast && tcb.tuneUs !== 0 && !(backlog && crowded(tcp, rcv.hiwat))) growReceiveBuffer(tcp, tcb, 2 * rcv.hiwat);
  tcb.tuneUs = tcp.time.us === 0 ? 1 : tcp.time.us;
  tcb.tuneSeq = tcb.rcvNxt;
}

/** If all connections had such a buffer: would what they may send overflow the link's queue? */
function crowded(tcp: TcpInst, hiwat: number): boolean {
  return tcp.conns.size * hiwat > LINK_QUEUE;
}

/** Super-frames of a link that leaves checksums open: its queue has counted each as one frame. */
const HOST_FRAMES = IFCAP_LRO | IFCAP_RXCSUM;

/** They come so off the link. What a driver puts together from checked segments was a frame each in the link's queue. */
function superFrames({ ifp }: RxPacket): boolean {
  return ifp !== null && (ifp.capEnable() & HOST_FRAMES) === HOST_FRAMES;
}

function growReceiveBuffer(tcp: TcpInst, tcb: Tcb, to: number): void {
  const { so } = tcb;
  const { config, stats } = tcp;
  const max = Math.min(config.recvbufMax, so.kernel.domains.limits.maxsockbuf, 65_535 << tcb.rcvScale);
  if (!config.recvbufAuto || (tcb.flags & TF_RCVFIXED) !== 0 || so.rcv.hiwat >= max) return;
  if (memoryPressure(tcp)) {
    stats.bufpressure++;
    return;
  }
  sorcvlimits(so, Math.min(to, max), so.rcv.lowat);
  stats.rcvbufgrown++;
}

/** The congestion window has outgrown half of the send buffer. */
export function growSendBuffer(tcp: TcpInst, tcb: Tcb): void {
  const { snd } = tcb.so;
  const { config, stats } = tcp;
  // A round trip that is long only for what we have in flight is no reason to have more.
  const rttUs = tcb.loss === null ? tcb.srtt >> 3 : tcb.loss.minRttUs;
  if (!config.sendbufAuto || (tcb.flags & TF_SNDFIXED) !== 0 || rttUs < RTT_MIN_US) return;
  const max = Math.min(config.sendbufMax, tcb.so.kernel.domains.limits.maxsockbuf);
  // Only for a user that fills it, and a peer that would take more.
  if (snd.hiwat >= max || snd.cc < snd.hiwat - (snd.hiwat >> 3) || tcb.sndWnd < snd.hiwat >> 1) return;
  if (memoryPressure(tcp)) {
    stats.bufpressure++;
    return;
  }
  // Whoever waits for room is told when the ACK that comes with this has dropped its bytes.
  if (snd.space() < snd.lowat) tcb.so.state |= SS_SNDWAIT;
  sosndlimits(tcb.so, Math.min(2 * snd.hiwat, max), snd.lowat);
  stats.sndbufgrown++;
}
