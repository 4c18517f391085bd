/**
 * The documented API of the npm package `tuntap2` as a link: a `Tap` is a stream of frames. It has no offload and costs an
 * allocation per frame, because a stream keeps what was written. The package is not a dependency: who wants it installs it.
 */
import type { Errno } from '../kern/errno.ts';
import { type Link, type LinkInfo, type LinkMethods, type LinkUp, linkInterface } from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import { RxPacket, type TxPacket } from '../kern/packet.ts';
import { ETHER_HDR_LEN } from '../wire/ethernet.ts';
import type { DriverEnv, DriverOptions, OpenFailure, OpenedLink } from './driver.ts';
import { groupFlags } from './frame.ts';
import { localLladdr, splitIfName } from './ifname.ts';
import { TxRing } from './ring.ts';
import { errorCode } from './tap/addon.ts';
import { TAP_MAX_MTU } from './tap/tap.ts';
import { checkTx } from './txcheck.ts';

/** What the driver uses of a `Tap`: a Duplex of whole frames. */
export interface Tuntap2Tap {
  readonly name: string;
  mtu: number;
  ipv4: string;
  ipv6: string;
  isUp: boolean;
  on(event: 'data', listener: (frame: Uint8Array) => void): unknown;
  on(event: 'error', listener: (err: Error) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  write(frame: Uint8Array, done: (err?: Error | null) => void): boolean;
  release(): void;
}

/** `new Tap()`: the package chooses the name itself where it takes none. */
export type Tuntap2Constructor = new (options?: { readonly name: string }) => Tuntap2Tap;

/** Frames. */
export class Tuntap2Counters {
  rxframes = 0;
  rxdown = 0;
  rxrunt = 0;
  txframes = 0;
  txfailed = 0;
  txfull = 0;
}

const SLOTS = 256;
/** Frames that the stream may hold: it tells when each is written. */
const MAX_PENDING = 256;

class Tuntap2 {
  readonly tap: Tuntap2Tap;
  readonly info: LinkInfo;
  readonly counters = new Tuntap2Counters();
  readonly ring = new TxRing(SLOTS);
  readonly rx = new RxPacket(new Uint8Array(0));
  up: LinkUp | null = null;
  isUp = false;
  released = false;
  mtu: number;
  pending = 0;
  readonly written = (err?: Error | null): void => {
    this.pending--;
    if (err === null || err === undefined) return;
    this.counters.txfailed++;
    this.up?.dropped('oerrors', 1);
  };

  constructor(tap: Tuntap2Tap, lladdr: Uint8Array, mtu: number) {
    this.tap = tap;
    this.mtu = mtu;
    this.info = { type: 'ethernet', lladdr, mtu, maxMtu: TAP_MAX_MTU, capabilities: 0, tsoMax: 0 };
  }

  receive(frame: Uint8Array): void {
    const { up, rx, counters } = this;
    counters.rxframes++;
    if (up === null || !this.isUp) {
      counters.rxdown++;
      return;
    }
    if (frame.length < ETHER_HDR_LEN) {
      counters.rxrunt++;
      return;
    }
    rx.bytes = frame;
    rx.off = 0;
    rx.end = frame.length;
    rx.flags = groupFlags(frame, 0, frame.length);
    rx.gsoSize = 0;
    up.begin();
    up.input(rx);
    up.end();
  }

  gone(): void {
    const { up } = this;
    if (this.released || up === null) return;
    // An error is followed by the stream's end.
    this.up = null;
    up.state('gone');
  }
}

function transmit(self: Tuntap2, pkt: TxPacket): Errno | null {
  const err = self.isUp && self.up !== null ? checkTx(pkt, ETHER_HDR_LEN, self.mtu, 0) : 'ENETDOWN';
  if (err === null) write(self, pkt);
  self.ring.free(pkt);
  return err;
}

function write(self: Tuntap2, pkt: TxPacket): void {
  if (self.pending === MAX_PENDING) {
    self.counters.txfull++;
    self.up?.dropped('oqdrops', 1);
    return;
  }
  const frame = new Uint8Array(pkt.length());
  pkt.copyTo(frame, 0);
  self.pending++;
  self.counters.txframes++;
  self.tap.write(frame, self.written);
}

/** The package's setters throw what the operating system said. */
function attempt(action: () => void): Errno | null {
  try {
    action();
    return null;
  } catch {
    return 'EINVAL';
  }
}

const tuntap2Class = defineClass<Tuntap2, LinkMethods>({
  name: 'tuntap2',
  implements: linkInterface,
  methods: {
    info: (self) => self.info,
    start: (self, up) => {
      self.up = up;
      self.tap.on('data', (frame) => self.receive(frame));
      self.tap.on('error', () => self.gone());
      self.tap.on('close', () => self.gone());
      return null;
    },
    stop: (self) => {
      if (self.released) return;
      self.released = true;
      self.isUp = false;
      self.up = null;
      self.tap.release();
    },
    txAlloc: (self) => self.ring.alloc(),
    txFree: (self, pkt) => self.ring.free(pkt),
    transmit,
    setUp: (self, up) => {
      if (self.released) return 'ENXIO';
      self.isUp = up;
      return null;
    },
    setMtu: (self, mtu) => {
      const err = attempt(() => {
        self.tap.mtu = mtu;
      });
      if (err === null) self.mtu = mtu;
      return err;
    },
    setLladdr: () => null,
  },
});

/** A link over a `Tap`. `link.stop()` releases it. */
export function createTuntap2Link(tap: Tuntap2Tap, lladdr: Uint8Array, mtu: number): { link: Link; counters: Tuntap2Counters } {
  const softc = new Tuntap2(tap, lladdr, mtu);
  return { link: bindObject(tuntap2Class, softc), counters: softc.counters };
}

export async function openTuntap2(env: DriverEnv, options: DriverOptions): Promise<OpenedLink | OpenFailure> {
  if (options.fd !== null) return { error: 'the driver tuntap2 cannot take over a descriptor: use --driver=tap' };
  const v4 = options.peers.filter((peer) => !peer.includes(':'));
  const v6 = options.peers.filter((peer) => peer.includes(':'));
  if (v4.length > 1 || v6.length > 1)
    return { error: "the driver tuntap2 gives the host's side one address of each family at most" };
  const found = await findPackage();
  if ('error' in found) return found;
  let tap: Tuntap2Tap | null = null;
  try {
    tap = new found.Tap({ name: options.name });
    tap.mtu = options.mtu;
    if (v4[0] !== undefined) tap.ipv4 = v4[0];
    if (v6[0] !== undefined) tap.ipv6 = v6[0];
    tap.isUp = true;
  } catch (err) {
    tap?.release();
    return { error: `tuntap2: ${err instanceof Error ? err.message : String(err)}` };
  }
  env.log.info({ tap: tap.name }, 'TAP device is open');
  const { link, counters } = createTuntap2Link(tap, options.lladdr ?? localLladdr(env.random), options.mtu);
  return {
    link,
    ...splitIfName(tap.name),
    hostName: tap.name,
    counters,
    setSpinUs: (us) => (us === 0 ? null : 'EOPNOTSUPP'),
    setLro: (on) => (on ? 'EOPNOTSUPP' : null),
  };
}

const MISSING =
  'the driver tuntap2 needs the npm package tuntap2, which is not installed: npm install tuntap2 beside netmod, or use --driver=tap';

/** The package's class, or one line that says why there is none. */
async function findPackage(): Promise<{ Tap: Tuntap2Constructor } | OpenFailure> {
  const name: string = 'tuntap2';
  try {
    const { Tap } = (await import(name)) as { Tap: Tuntap2Constructor };
    return { Tap };
  } catch (err) {
    if (errorCode(err) === 'ERR_MODULE_NOT_FOUND') return { error: MISSING };
    const reason = err instanceof Error ? (err.message.split('\n')[0] ?? '') : String(err);
    return { error: `the package tuntap2 does not load: ${reason}` };
  }
}
