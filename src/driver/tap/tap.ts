/**
 * A Linux TAP device as a link (Documentation/networking/tuntap.rst): frames come and go in batches through the addon. With virtio
 * headers (virtio 1.2 §5.1.6) the host leaves checksums open in both directions and hands over and takes super-frames of TCP. With UDP
 * the driver does it for the stack: it cuts received super-frames into the datagrams that were sent (`uso.ts`), and the addon merges
 * adjacent datagrams of a batch into one frame for the host to cut (native/uso.h). Without any of this the addon merges received segments
 * of TCP by itself (native/lro.h), as tcp_lro(4) of FreeBSD does for devices that cannot.
 */
import type { Errno } from '../../kern/errno.ts';
import {
  IFCAP_LRO,
  IFCAP_RXCSUM,
  IFCAP_RXCSUM_IPV6,
  IFCAP_TSO4,
  IFCAP_TSO6,
  IFCAP_TXCSUM,
  IFCAP_TXCSUM_IPV6,
  type Link,
  type LinkInfo,
  type LinkMethods,
  type LinkUp,
  linkInterface,
} from '../../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../../kern/kobj.ts';
import {
  MAX_FRAGS,
  PKT_BACKLOG,
  PKT_CSUM_OK,
  RxPacket,
  TX_CSUM,
  TX_SLOT,
  TX_TSO4,
  TX_TSO6,
  type TxPacket,
} from '../../kern/packet.ts';
import { ETHER_HDR_LEN } from '../../wire/ethernet.ts';
import { TCP_FLAGS, TCP_OFF, TH_CWR } from '../../wire/tcp.ts';
import { groupFlags } from '../frame.ts';
import { TxRing } from '../ring.ts';
import { checkTx } from '../txcheck.ts';
import * as A from './addon.ts';
import { UsoCutter } from './uso.ts';

/** What the driver needs of the host's side of the device. */
export interface TapHost {
  setMtu(mtu: number): Errno | null;
  /** Takes back what was configured there. */
  undo(): void;
}

export interface TapParams {
  readonly addon: A.TapAddon;
  readonly device: A.TapDevice;
  readonly host: TapHost;
  readonly lladdr: Uint8Array;
  readonly mtu: number;
}

/** Events on the device. Frames, but for the batches. */
export class TapCounters {
  rxbatches = 0;
  rxframes = 0;
  rxdown = 0;
  rxrunt = 0;
  rxerror = 0;
  /** Super-frames of UDP, the datagrams that they were cut into, and those that had no header to cut by. */
  rxuso = 0;
  rxusocut = 0;
  rxusobad = 0;
  txbatches = 0;
  txframes = 0;
  /** Refused by the host: its side is down, or the device is gone. */
  txrefused = 0;
  txinvalid = 0;
  /** Lost because the host took no more. */
  txblocked = 0;
  txdoublefree = 0;
  /** Datagrams that left several to a frame. */
  txmerged = 0;
  /** Segments that super-frames were cut into, where the device does not. */
  txcut = 0;
  /** Large receive without the device's help: segments that were appended to another's frame, and frames of several that came of it. */
  lro_merged = 0;
  lro_frames = 0;
}

const SLOTS = 512;
const RX_BYTES = 1 << 20;
const RX_INTS = A.RX_BATCH * A.RX_STRIDE;
const TX_INTS = SLOTS * A.TX_STRIDE;
/** Largest MTU of a TAP: the kernel's 65535 less the link header. */
export const TAP_MAX_MTU = 65535 - ETHER_HDR_LEN;
/** Longest busy polling, in microseconds. */
export const SPIN_MAX_US = 1000;
const TSO_MAX = 65535;
const RXCSUM = IFCAP_RXCSUM | IFCAP_RXCSUM_IPV6;
const LARGE_RECEIVE = A.TUN_F_TSO4 | A.TUN_F_TSO6 | A.TUN_F_TSO_ECN | A.TUN_F_USO4 | A.TUN_F_USO6;
const TSO = TX_TSO4 | TX_TSO6;

class Tap {
  readonly addon: A.TapAddon;
  readonly device: A.TapDevice;
  readonly id: number;
  readonly features: number;
  readonly host: TapHost;
  readonly info: LinkInfo;
  readonly counters: TapCounters;
  readonly ring: TxRing;
  readonly rxTable: Int32Array;
  readonly txTable: Int32Array;
  readonly stats: Int32Array;
  /** What of `stats` was counted. */
  readonly seen = new Int32Array(A.ST_COUNT);
  readonly cutter = new UsoCutter();
  readonly rx: RxPacket;
  /** Slots of the frames in `txTable`, and the buffers that their slices lie in. */
  readonly queue = new Int32Array(SLOTS);
  readonly buffers: Uint8Array[] = [];
  nbuffers = 0;
  queued = 0;
  /** The frames of a batch are being answered: what is queued is written when `onBatch` returns. */
  answering = false;
  /** Merging of segments by the addon: allowed here, and wanted by the interface. */
  lroAllowed = true;
  lroEnabled = false;
  mtu: number;
  up: LinkUp | null = null;
  isUp = false;
  open = true;

  constructor({ addon, device, host, lladdr, mtu }: TapParams, counters: TapCounters) {
    this.addon = addon;
    this.device = device;
    this.id = device.id;
    this.features = device.features;
    this.host = host;
    this.mtu = mtu;
    this.counters = counters;
    const capabilities = capabilitiesOf(device);
    const tsoMax = (capabilities & (IFCAP_TSO4 | IFCAP_TSO6)) !== 0 ? TSO_MAX : 0;
    this.info = { type: 'ethernet', lladdr, mtu, maxMtu: TAP_MAX_MTU, capabilities, tsoMax };
    for (let i = 0; i < SLOTS * MAX_FRAGS; i++) this.buffers.push(NOTHING);
    const memory = addon.memory(RX_BYTES + SLOTS * TX_SLOT + 4 * (RX_INTS + TX_INTS + A.ST_COUNT));
    this.rx = new RxPacket(new Uint8Array(memory, 0, RX_BYTES));
    this.ring = new TxRing(SLOTS, new Uint8Array(memory, RX_BYTES, SLOTS * TX_SLOT));
    let at = RX_BYTES + SLOTS * TX_SLOT;
    this.rxTable = new Int32Array(memory, at, RX_INTS);
    this.txTable = new Int32Array(memory, (at += 4 * RX_INTS), TX_INTS);
    this.stats = new Int32Array(memory, at + 4 * TX_INTS, A.ST_COUNT);
  }
}

const NOTHING: Readonly<Uint8Array> = new Uint8Array(0);

/**
 * One opened without has none, even if whoever made it gave it virtio headers. Large receive, checksums and cutting are then the driver's own
 * (native/lro.h, native/gso.h).
 */
function hasOffload({ vnetHdr, features }: A.TapDevice): boolean {
  return vnetHdr && (features & A.TUN_F_CSUM) !== 0;
}

function capabilitiesOf(device: A.TapDevice): number {
  const { features } = device;
  if (!hasOffload(device)) return IFCAP_LRO | IFCAP_TXCSUM | IFCAP_TXCSUM_IPV6 | IFCAP_TSO4;
  const lro = (features & A.TUN_F_TSO4) !== 0 && (features & A.TUN_F_TSO6) !== 0 ? IFCAP_LRO : 0;
  return RXCSUM | IFCAP_TXCSUM | IFCAP_TXCSUM_IPV6 | IFCAP_TSO4 | IFCAP_TSO6 | lro;
}

function start(self: Tap, up: LinkUp): Errno | null {
  if (!self.open || self.up !== null) return 'EBUSY';
  self.up = up;
  try {
    self.addon.start(self.id, {
      rx: self.rx.bytes,
      rxTable: self.rxTable,
      tx: self.ring.slab,
      txSlot: TX_SLOT,
      txTable: self.txTable,
      stats: self.stats,
      onBatch: (frames) => {
        settle(self);
        if (frames === 0) return 0;
        input(self, up, frames);
        return self.open && self.nbuffers === 0 ? takeQueue(self) : 0;
      },
      onGone: () => up.state('gone'),
    });
    return null;
  } catch {
    self.up = null;
    return 'EIO';
  }
}

/** One batch of received frames: the way of every packet into the stack. */
function input(self: Tap, up: LinkUp, frames: number): void {
  const { rx, rxTable, counters } = self;
  const { bytes } = rx;
  counters.rxbatches++;
  counters.rxframes += frames;
  if (!self.isUp) {
    counters.rxdown += frames;
    return;
  }
  const backlog = self.stats[A.ST_RX_FULL] !== 0 ? PKT_BACKLOG : 0;
  up.begin();
  for (let i = 0, e = 0; i < frames; i++, e += A.RX_STRIDE) {
    const off = rxTable[e + A.RX_OFF] as number;
    const end = off + (rxTable[e + A.RX_LEN] as number);
    const verified = ((rxTable[e + A.RX_FLAGS] as number) & (A.VIRTIO_NEEDS_CSUM | A.VIRTIO_DATA_VALID)) !== 0;
    rx.bytes = bytes;
    rx.off = off;
    rx.end = end;
    rx.flags = (verified ? PKT_CSUM_OK : 0) | backlog | groupFlags(bytes, off, end);
    const gsoType = rxTable[e + A.RX_GSO_TYPE] as number;
    rx.gsoSize = gsoType === 0 ? 0 : (rxTable[e + A.RX_GSO_SIZE] as number);
    if (gsoType === A.VIRTIO_GSO_UDP_L4) inputUso(self, up);
    else up.input(rx);
    // The stack may have closed the device, or set it down, in answer to this frame.
    if (!self.isUp) break;
  }
  self.answering = true;
  try {
    up.end();
  } finally {
    self.answering = false;
  }
}

/** A super-frame of UDP: the stack gets what was sent. */
function inputUso(self: Tap, up: LinkUp): void {
  const { rx, cutter, counters } = self;
  counters.rxuso++;
  if (!cutter.begin(rx)) {
    counters.rxusobad++;
    up.dropped('ierrors', 1);
    return;
  }
  while (self.isUp && cutter.next(rx)) {
    counters.rxusocut++;
    up.input(rx);
  }
}

/** Counts what the addon has counted since. */
function settle(self: Tap): void {
  if (since(self, A.ST_EVENTS) === 0) return;
  const { counters, up } = self;
  counters.rxrunt += since(self, A.ST_RX_RUNT);
  counters.lro_merged += since(self, A.ST_LRO_MERGED);
  counters.lro_frames += since(self, A.ST_LRO_FRAMES);
  counters.txmerged += since(self, A.ST_TX_MERGED);
  counters.txcut += since(self, A.ST_TX_CUT);
  const errors = since(self, A.ST_RX_ERROR);
  const refused = since(self, A.ST_TX_REFUSED);
  const invalid = since(self, A.ST_TX_INVALID);
  const blocked = since(self, A.ST_TX_BLOCKED);
  if ((errors | refused | invalid | blocked) === 0) return;
  counters.rxerror += errors;
  counters.txrefused += refused;
  counters.txinvalid += invalid;
  // The payload may change once we return, so the frames cannot wait for the host to take more.
  counters.txblocked += blocked;
  counters.txframes -= blocked;
  if (up === null) return;
  if (errors !== 0) up.dropped('ierrors', errors);
  if (blocked !== 0) up.dropped('oqdrops', blocked);
  if (refused + invalid !== 0) up.dropped('oerrors', refused + invalid);
}

function since(self: Tap, counter: number): number {
  const now = self.stats[counter] as number;
  const n = (now - (self.seen[counter] as number)) | 0;
  self.seen[counter] = now;
  return n;
}

function transmit(self: Tap, pkt: TxPacket): Errno | null {
  const err = self.isUp && self.up !== null ? checkTx(pkt, ETHER_HDR_LEN, self.mtu, self.info.capabilities) : 'ENETDOWN';
  if (err !== null) {
    self.ring.free(pkt);
    return err;
  }
  const t = self.txTable;
  const e = self.queued * A.TX_STRIDE;
  const flags = pkt.flags;
  self.queue[self.queued++] = pkt.slot;
  t[e + A.TX_OFF] = pkt.off;
  t[e + A.TX_LEN] = pkt.end - pkt.off;
  t[e + A.TX_NFRAGS] = pkt.nfrags;
  t[e + A.TX_CSUM_START] = pkt.csumStart - pkt.off;
  t[e + A.TX_CSUM_OFFSET] = pkt.csumOffset;
  if ((flags & TSO) !== 0) putGso(t, e, pkt);
  else {
    t[e + A.TX_FLAGS] = (flags & TX_CSUM) !== 0 ? A.VIRTIO_NEEDS_CSUM : 0;
    t[e + A.TX_GSO_TYPE] = 0;
    t[e + A.TX_GSO_SIZE] = 0;
    t[e + A.TX_HDR_LEN] = 0;
  }
  if (flags === 0) t[e + A.TX_CSUM_START] = t[e + A.TX_CSUM_OFFSET] = 0;
  for (let i = 0, f = e + A.TX_FRAGS; i < pkt.nfrags; i++, f += 3) {
    t[f] = bufferIndex(self, pkt.fragBytes[i] as Uint8Array);
    t[f + 1] = pkt.fragOff[i] as number;
    t[f + 2] = pkt.fragLen[i] as number;
  }
  return null;
}

/** A super-frame: the host has to know how long its headers are, and whether only the first segment may carry CWR (RFC 3168 §6.1.2). */
function putGso(t: Int32Array, e: number, pkt: TxPacket): void {
  const tcp = pkt.csumStart;
  const ecn = ((pkt.bytes[tcp + TCP_FLAGS] as number) & TH_CWR) !== 0 ? A.VIRTIO_GSO_ECN : 0;
  t[e + A.TX_FLAGS] = A.VIRTIO_NEEDS_CSUM;
  t[e + A.TX_GSO_TYPE] = ((pkt.flags & TX_TSO4) !== 0 ? A.VIRTIO_GSO_TCPV4 : A.VIRTIO_GSO_TCPV6) | ecn;
  t[e + A.TX_GSO_SIZE] = pkt.gsoSize;
  t[e + A.TX_HDR_LEN] = tcp - pkt.off + (((pkt.bytes[tcp + TCP_OFF] as number) >>> 4) << 2);
}

/** Slices of one frame, and of the next, are mostly of one buffer. */
function bufferIndex(self: Tap, bytes: Uint8Array): number {
  const last = self.nbuffers - 1;
  if (last >= 0 && self.buffers[last] === bytes) return last;
  self.buffers[self.nbuffers] = bytes;
  return self.nbuffers++;
}

/** Frames whose payload lies elsewhere, or that need the ring's room, are written at once; an answer when `onBatch` returns. */
function flush(self: Tap): void {
  if (self.answering && self.nbuffers === 0 && self.ring.available() > 0) return;
  const n = takeQueue(self);
  if (n === 0) return;
  self.addon.writeBatch(self.id, n, self.buffers);
  for (let i = 0; i < self.nbuffers; i++) self.buffers[i] = NOTHING;
  self.nbuffers = 0;
  settle(self);
}

/** How many frames are in the table, which are as good as written: nothing else is put there, and into their slots, before they are. */
function takeQueue(self: Tap): number {
  const n = self.queued;
  if (n === 0) return 0;
  self.queued = 0;
  const { counters, ring, queue } = self;
  for (let i = 0; i < n; i++) ring.freeSlot(queue[i] as number);
  counters.txbatches++;
  counters.txframes += n;
  counters.txdoublefree = ring.doublefree;
  return n;
}

function stop(self: Tap): void {
  if (!self.open) return;
  self.answering = false;
  flush(self);
  self.open = false;
  self.isUp = false;
  self.up = null;
  // Before the descriptor goes: what was added to a device that stays must be removed while it is there.
  self.host.undo();
  leaveFinished(self.addon, self.device);
  self.addon.close(self.id);
}

/** What may be left open is the device's own setting: whoever opens one that stays next may not know of it. */
export function leaveFinished(addon: A.TapAddon, { id, existed, features }: A.TapDevice): void {
  if (existed && features !== 0) addon.setOffload(id, 0);
}

function setMtu(self: Tap, mtu: number): Errno | null {
  const err = self.host.setMtu(mtu);
  if (err === null) self.mtu = mtu;
  return err;
}

/** Sending offload needs nothing of the host; receiving with it means that the host may hand over unfinished frames. */
function setCapEnable(self: Tap, bits: number): Errno | null {
  if ((bits & ~self.info.capabilities) !== 0) return 'EINVAL';
  if (!hasOffload(self.device)) {
    if (!self.open) return 'ENXIO';
    self.lroEnabled = (bits & IFCAP_LRO) !== 0;
    setMerging(self);
    return null;
  }
  // A super-frame comes without a checksum that could be verified.
  if ((bits & IFCAP_LRO) !== 0 && (bits & RXCSUM) === 0) return 'EINVAL';
  if (!self.open) return 'ENXIO';
  let wanted = (bits & RXCSUM) !== 0 ? A.TUN_F_CSUM : 0;
  if ((bits & IFCAP_LRO) !== 0) wanted |= self.features & LARGE_RECEIVE;
  return self.addon.setOffload(self.id, wanted) === wanted ? null : 'EOPNOTSUPP';
}

function setMerging({ addon, id, lroAllowed, lroEnabled }: Tap): void {
  addon.setLro(id, lroAllowed && lroEnabled);
}

const tapClass = defineClass<Tap, LinkMethods>({
  name: 'tap',
  implements: linkInterface,
  methods: {
    info: (self) => self.info,
    start,
    stop,
    txAlloc: (self) => self.ring.alloc(),
    txFree: (self, pkt) => self.ring.free(pkt),
    transmit,
    flush,
    setUp: (self, up) => {
      if (!self.open) return 'ENXIO';
      self.isUp = up;
      return null;
    },
    setMtu,
    setLladdr: () => null,
    setCapEnable,
  },
});

export interface TapLink {
  readonly link: Link;
  readonly counters: TapCounters;
  /** Busy polling in microseconds, 0 to 1000. */
  setSpinUs(us: number): Errno | null;
  /** Whether the driver may merge segments where the device does not: on at first. */
  setLro(on: boolean): Errno | null;
}

/** A link over an open device. `link.stop()` closes it. */
export function createTapLink(params: TapParams): TapLink {
  const counters = new TapCounters();
  const tap = new Tap(params, counters);
  return {
    link: bindObject(tapClass, tap),
    counters,
    setSpinUs: (us) => {
      if (!Number.isInteger(us) || us < 0 || us > SPIN_MAX_US) return 'EINVAL';
      if (!tap.open) return 'ENXIO';
      tap.addon.setSpin(tap.id, us);
      return null;
    },
    setLro: (on) => {
      if (!tap.open) return 'ENXIO';
      tap.lroAllowed = on;
      if (!hasOffload(tap.device)) setMerging(tap);
      return null;
    },
  };
}
