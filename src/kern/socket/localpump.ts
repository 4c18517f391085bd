/**
 * Moves what sockets of the local domain have sent into their peers' buffers, as work of the batch: no handler is called from inside
 * another's call, so handlers that answer each other neither recurse nor get their bytes out of order.
 */
import type { Kernel } from '../kernel.ts';
import { NETISR_STACK, type NetisrWork } from '../netisr.ts';
import { PR_ATOMIC, SOCK_DGRAM } from './protosw.ts';
import { sorcvrest, sosndrest } from './sobuf.ts';
import { RECORD_OVERHEAD, type SockRecord, type SockbufView } from './sockbuf.ts';
import { SS_CANTSENDMORE, SS_SNDWAIT, type Socket } from './socket.ts';
import {
  socantrcvmore,
  socantsendmore,
  soisdisconnected,
  sorcv,
  sorcvdgram,
  sorcvspace,
  sorwakeup,
  sosnddrop,
  sowwakeup,
} from './upcalls.ts';

/** Control block of a local socket. */
export class LocalPcb {
  readonly so: Socket;
  /** Its name; '' without one. */
  path = '';
  /** Other end of a connection, or where a connected datagram socket sends to. */
  peer: LocalPcb | null = null;
  /** Waits for the pump. */
  queued = false;
  /** Its user has closed it; it ends when all is sent. */
  closing = false;
  constructor(so: Socket) {
    this.so = so;
  }
}

/** Sockets served in one run; the rest waits for the next work of the batch. */
const BUDGET = 64;

export class LocalPump {
  readonly #kernel: Kernel;
  #queue: LocalPcb[] = [];
  readonly #work: NetisrWork;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#work = { level: NETISR_STACK, queued: false, run: () => this.#drain() };
  }

  /** A stream or packet socket may have something to send; a datagram socket has something to read. */
  schedule(pcb: LocalPcb): void {
    if (pcb.queued) return;
    pcb.queued = true;
    this.#queue.push(pcb);
    this.#kernel.netisr.schedule(this.#work);
  }

  /** The user has closed: what is unsent still goes, the peer cannot answer any more. */
  close(pcb: LocalPcb): void {
    pcb.closing = true;
    const { peer } = pcb;
    if (peer !== null && !peer.closing) {
      peer.so.snd.clear();
      sosndrest(peer.so);
      socantsendmore(peer.so);
    }
    this.schedule(pcb);
  }

  #drain(): void {
    const batch = this.#queue.splice(0, BUDGET);
    let done = 0;
    try {
      for (const pcb of batch) {
        done++;
        pcb.queued = false;
        if (pcb.so.proto.type === SOCK_DGRAM) deliver(pcb.so);
        else move(pcb);
      }
    } finally {
      // A handler that throws must not leave the others behind for ever.
      if (done < batch.length) this.#queue.unshift(...batch.slice(done));
      if (this.#queue.length > 0) this.#kernel.netisr.schedule(this.#work);
    }
  }
}

/** Moves from a sender to its peer what fits there. */
function move(pcb: LocalPcb): void {
  const { so, peer } = pcb;
  if (peer === null) {
    if (pcb.closing) soisdisconnected(so);
    return;
  }
  if ((so.proto.flags & PR_ATOMIC) !== 0) moveRecords(so, peer.so);
  else moveBytes(so, peer.so);
  if (pcb.peer !== peer || so.snd.cc > 0 || so.snd.record() !== null) return;
  if ((so.state & SS_CANTSENDMORE) !== 0) socantrcvmore(peer.so);
  if (!pcb.closing || pcb.peer !== peer) return;
  pcb.peer = null;
  if (peer.peer === pcb) {
    peer.peer = null;
    soisdisconnected(peer.so);
  }
  soisdisconnected(so);
}

function moveBytes(from: Socket, to: Socket): void {
  for (;;) {
    const space = sorcvspace(to);
    const n = from.snd.contiguous(from.snd.cc < space ? from.snd.cc : space);
    const buf = from.snd.buffer();
    if (buf === null || n === 0) return;
    sorcv(to, buf, from.snd.front(), n);
    sosnddrop(from, n);
  }
}

function moveRecords(from: Socket, to: Socket): void {
  const addr = { kind: 'local', path: (from.pcb as LocalPcb).path } as const;
  for (let record = from.snd.record(); record !== null; record = from.snd.record()) {
    // A message that not even an empty buffer could hold is let go, and counted as dropped, rather than block those behind it.
    if (to.rcv.record() !== null && to.rcv.space() < record.len + RECORD_OVERHEAD) return;
    withBytes(from.snd, record, (bytes, off, len) => sorcvdgram(to, addr, bytes, off, len));
    if (from.snd.record() !== record) continue;
    from.snd.dropRecord();
    sosndrest(from);
    if ((from.state & SS_SNDWAIT) === 0) continue;
    from.state &= ~SS_SNDWAIT;
    sowwakeup(from);
  }
}

/** Offers queued datagrams to their receiver's handler. */
function deliver(so: Socket): void {
  for (let record = so.rcv.record(); record !== null; record = so.rcv.record()) {
    const { from } = record;
    const taken =
      from !== null && withBytes(so.rcv, record, (bytes, off, len) => so.handler.datagram(so, from, bytes, off, len, null));
    if (!taken) {
      sorwakeup(so);
      return;
    }
    if (so.rcv.record() !== record) continue;
    so.rcv.dropRecord();
    sorcvrest(so);
  }
}

/** The first record's bytes in one piece: in place, or a copy where the ring wraps. */
function withBytes(sb: SockbufView, record: SockRecord, use: (bytes: Uint8Array, off: number, len: number) => boolean): boolean {
  const { len } = record;
  const buf = sb.buffer();
  if (buf !== null && sb.contiguous(len) === len) return use(buf, sb.front(), len);
  const bytes = new Uint8Array(len);
  sb.copyOut(0, len, bytes, 0);
  return use(bytes, 0, len);
}
