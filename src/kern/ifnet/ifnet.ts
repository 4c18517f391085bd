/**
 * A network interface: an opaque handle with accessors. It joins a link below to a stack above; both reach it only through these
 * methods. Frames pass it on functions that were bound at attach.
 */
import type { Errno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { NETISR_LINK, type NetisrWork } from '../netisr.ts';
import { type FrameInput, NETSTACK_CAP_LRO } from '../netstack.ts';
import { PKT_MCAST, type RxPacket, type TxPacket } from '../packet.ts';
import { IFCAP_LRO, type Link, type LinkInfo, type LinkUp } from './link.ts';

/** Interface flags, FreeBSD's bits (net/if.h). */
export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_DRV_RUNNING = 0x40;
export const IFF_PROMISC = 0x100;
export const IFF_SIMPLEX = 0x800;
export const IFF_MULTICAST = 0x8000;

/** Smallest MTU an interface takes, in bytes (RFC 791: every link carries 68; FreeBSD's IF_MINMTU is 72). */
export const IF_MINMTU = 72;
/** Longest name and description, in characters. */
export const IFNAMSIZ = 16;
export const IFDESCR_MAX = 1024;

/** Counters of an interface (net/if.h `ift_counter`). Frames, or bytes where it says so. */
export class IfCounters {
  ipackets = 0;
  ierrors = 0;
  opackets = 0;
  oerrors = 0;
  collisions = 0;
  ibytes = 0;
  obytes = 0;
  imcasts = 0;
  omcasts = 0;
  iqdrops = 0;
  oqdrops = 0;
  noproto = 0;
}

export class Ifnet {
  readonly kernel: Kernel;
  readonly index: number;
  /** Driver's name and unit: what the name was at first. */
  readonly dname: string;
  readonly dunit: number;
  readonly counters = new IfCounters();
  /** The stack's data on this interface; only the stack reads it. */
  afdata: unknown = null;
  #name: string;
  #descr: string | null = null;
  #flags: number;
  #mtu: number;
  #lladdr: Uint8Array | null;
  #capenable = 0;
  #fib = 0;
  #linkState: 'up' | 'down' = 'down';
  #error: Errno | null = null;
  readonly #info: LinkInfo;
  readonly #link: Link;
  #input: FrameInput;
  readonly #flush: NetisrWork;

  constructor(kernel: Kernel, index: number, dname: string, dunit: number, link: Link) {
    this.kernel = kernel;
    this.index = index;
    this.dname = dname;
    this.dunit = dunit;
    this.#name = `${dname}${dunit}`;
    this.#link = link;
    this.#info = link.info();
    this.#mtu = this.#info.mtu;
    this.#lladdr = this.#info.lladdr;
    this.#flags = FLAGS_OF_TYPE[this.#info.type];
    this.#input = this.#noproto;
    this.#flush = { level: NETISR_LINK, queued: false, run: () => link.flush() };
  }

  name(): string {
    return this.#name;
  }
  type(): LinkInfo['type'] {
    return this.#info.type;
  }
  mtu(): number {
    return this.#mtu;
  }
  flags(): number {
    return this.#flags;
  }
  isUp(): boolean {
    return (this.#flags & IFF_UP) !== 0;
  }
  /** Hardware address, or null on a link that has none. Not to be changed by its reader. */
  lladdr(): Uint8Array | null {
    return this.#lladdr;
  }
  capabilities(): number {
    return this.#info.capabilities;
  }
  capEnable(): number {
    return this.#capenable;
  }
  /** Largest IP packet the link cuts into segments itself, in bytes; 0 where the capability is off. */
  tsoMax(): number {
    return this.#info.tsoMax;
  }
  linkState(): 'up' | 'down' {
    return this.#linkState;
  }
  description(): string | null {
    return this.#descr;
  }
  /** Routing table of received packets. */
  fib(): number {
    return this.#fib;
  }
  /** Why the link did not start: the interface then drops and counts its output. Null while all is well. */
  startError(): Errno | null {
    return this.#error;
  }

  /** Brings link and stack together. The interface works on when the stack or the link declines, and counts what it drops. */
  attach(): void {
    const stack = this.kernel.netstack.current;
    const caps = this.#info.capabilities & ((stack.capabilities() & NETSTACK_CAP_LRO) !== 0 ? ~0 : ~IFCAP_LRO);
    if (this.#link.setCapEnable(caps) === null) this.#capenable = caps;
    const input = stack.ifAttach(this);
    if (typeof input !== 'string') this.#input = input;
    this.#error = this.#link.start(this.#up());
    if (this.#error === null) {
      this.#flags |= IFF_DRV_RUNNING;
      this.#linkState = 'up';
    } else {
      this.kernel.log.warn({ if: this.#name, err: this.#error }, 'link did not start; output is dropped and counted');
    }
  }

  detach(): void {
    this.#flags &= ~(IFF_UP | IFF_DRV_RUNNING);
    this.kernel.netstack.current.ifDetach(this);
    this.#input = this.#noproto;
    this.#link.stop();
  }

  /** A slot of the link's ring, or null when it is full even after a flush (counted as `oqdrops`). */
  txAlloc(): TxPacket | null {
    let pkt = this.#link.txAlloc();
    if (pkt !== null) return pkt;
    this.#link.flush();
    pkt = this.#link.txAlloc();
    if (pkt === null) this.counters.oqdrops++;
    return pkt;
  }

  txFree(pkt: TxPacket): void {
    this.#link.txFree(pkt);
  }

  /** Sends a complete frame. It leaves with the end of the present batch. The slot is the link's again in every case. */
  transmit(pkt: TxPacket): Errno | null {
    const counters = this.counters;
    if ((this.#flags & IFF_UP) === 0) {
      counters.oerrors++;
      this.#link.txFree(pkt);
      return 'ENETDOWN';
    }
    const bytes = pkt.length();
    const err = this.#link.transmit(pkt);
    if (err !== null) {
      counters.oerrors++;
      return err;
    }
    counters.opackets++;
    counters.obytes += bytes;
    this.kernel.netisr.schedule(this.#flush);
    return null;
  }

  setUp(up: boolean): Errno | null {
    const err = this.#link.setUp(up);
    if (err !== null) return err;
    return this.#setFlag(IFF_UP, up);
  }

  #setFlag(bit: number, on: boolean): null {
    const flags = on ? this.#flags | bit : this.#flags & ~bit;
    if (flags === this.#flags) return null;
    this.#flags = flags;
    this.#changed();
    return null;
  }

  /** EINVAL outside `IF_MINMTU` and the link's largest. */
  setMtu(mtu: number): Errno | null {
    if (!Number.isInteger(mtu) || mtu < IF_MINMTU || mtu > this.#info.maxMtu) return 'EINVAL';
    const err = this.#link.setMtu(mtu);
    if (err !== null) return err;
    this.#mtu = mtu;
    this.#changed();
    return null;
  }

  /** EINVAL for a group address or a wrong length. */
  setLladdr(lladdr: Uint8Array): Errno | null {
    if (this.#lladdr === null || lladdr.length !== this.#lladdr.length || ((lladdr[0] ?? 1) & 1) === 1) return 'EINVAL';
    const err = this.#link.setLladdr(lladdr);
    if (err !== null) return err;
    this.#lladdr = lladdr.slice();
    this.#changed();
    return null;
  }

  /** EINVAL for a bit outside `capabilities()`. */
  setCapEnable(bits: number): Errno | null {
    if ((bits & ~this.#info.capabilities) !== 0) return 'EINVAL';
    const err = this.#link.setCapEnable(bits);
    if (err !== null) return err;
    this.#capenable = bits;
    this.#changed();
    return null;
  }

  /** EINVAL for an empty or too long name, EEXIST for one in use. */
  setName(name: string): Errno | null {
    if (name.length === 0 || name.length >= IFNAMSIZ || !/^[A-Za-z0-9._-]+$/.test(name)) return 'EINVAL';
    if (this.kernel.ifnets.byName(name) !== null) return 'EEXIST';
    this.#name = name;
    return null;
  }

  /** ENAMETOOLONG over `IFDESCR_MAX` characters. */
  setDescription(descr: string | null): Errno | null {
    if (descr !== null && descr.length > IFDESCR_MAX) return 'ENAMETOOLONG';
    this.#descr = descr === '' ? null : descr;
    return null;
  }

  /** EINVAL for a routing table that the stack does not have. */
  setFib(fib: number): Errno | null {
    if (!this.kernel.netstack.current.validFib(fib)) return 'EINVAL';
    this.#fib = fib;
    return null;
  }

  /** The driver's own ioctls. */
  driverIoctl(cmd: number, data: unknown): Errno | null {
    return this.#link.ioctl(cmd, data);
  }

  #changed(): void {
    this.kernel.netstack.current.ifChanged(this);
  }

  readonly #noproto: FrameInput = () => {
    this.counters.noproto++;
  };

  #up(): LinkUp {
    const { netisr } = this.kernel;
    const { counters } = this;
    return {
      begin: () => netisr.begin(),
      input: (pkt) => {
        counters.ipackets++;
        counters.ibytes += pkt.end - pkt.off;
        if ((pkt.flags & PKT_MCAST) !== 0) counters.imcasts++;
        if ((this.#flags & IFF_UP) === 0) {
          counters.iqdrops++;
          return;
        }
        pkt.ifp = this;
        this.#input(pkt);
      },
      end: () => netisr.end(),
      dropped: (what, frames) => {
        counters[what] += frames;
      },
      state: (state) => this.#setLinkState(state),
    };
  }

  #setLinkState(state: 'up' | 'down' | 'gone'): void {
    this.#linkState = state === 'up' ? 'up' : 'down';
    this.kernel.events.invoke('ifnet_link_event', this, this.#linkState);
    if (state !== 'gone') return;
    this.kernel.log.error({ if: this.#name }, 'device is gone; interface detached');
    this.kernel.ifnets.detach(this);
  }
}

const FLAGS_OF_TYPE = {
  ethernet: IFF_BROADCAST | IFF_SIMPLEX | IFF_MULTICAST,
  loopback: IFF_LOOPBACK | IFF_MULTICAST,
  tunnel: IFF_POINTOPOINT | IFF_MULTICAST,
} as const;
