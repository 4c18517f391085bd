/**
 * A network interface: an opaque handle with accessors. It joins a link below to a stack above; both reach it only through these
 * methods. Frames pass it on functions that were bound at attach.
 */
import type { Errno } from '../errno.ts';
import { SIOCADDMULTI, SIOCDELMULTI } from './ifioctl.ts';
import type { Kernel } from '../kernel.ts';
import { NETISR_LINK, type Netisr, type NetisrWork } from '../netisr.ts';
import { type FrameInput, NETSTACK_CAP_LRO } from '../netstack.ts';
import type { TxPacket } from '../packet.ts';
import type { BpfTap } from './bpf.ts';
import {
  IFDESCR_MAX,
  IFF_DRV_RUNNING,
  IFF_OF_TYPE,
  IFF_PPROMISC,
  IFF_PROMISC,
  IFF_UP,
  IFF_USER,
  IF_MAXMULTI,
  IF_MAXMTU,
  IF_MINMTU,
  IfCounters,
  isIfName,
} from './flags.ts';
import { IFCAP_LRO, IFCAP_TSO4, IFCAP_TSO6, type Link, type LinkInfo, type LinkUp } from './link.ts';

export * from './flags.ts';

export class Ifnet {
  readonly kernel: Kernel;
  readonly index: number;
  /** Driver's name and unit: what the name was at first. */
  readonly dname: string;
  readonly dunit: number;
  readonly counters = new IfCounters();
  /** The stack's data on this interface; only the stack reads it. */
  afdata: unknown = null;
  /** Who watches the interface; null while nobody does, which is all that a frame asks. Set by `Bpf`. */
  bpf: BpfTap | null = null;
  #name: string;
  #descr: string | null = null;
  #flags: number;
  #mtu: number;
  #lladdr: Uint8Array | null;
  #capenable = 0;
  #tsoMax = 0;
  #fib = 0;
  /** Group addresses that are heard, and how many users each has. */
  readonly #multi = new Map<string, number>();
  #linkState: 'up' | 'down' = 'down';
  #error: Errno | null = null;
  #detached = false;
  /** The stack has taken the interface. */
  #stackAttached = false;
  readonly #info: LinkInfo;
  readonly #link: Link;
  readonly #netisr: Netisr;
  readonly #ether: boolean;
  #input: FrameInput;
  readonly #flush: NetisrWork;

  constructor(kernel: Kernel, index: number, dname: string, dunit: number, link: Link) {
    this.kernel = kernel;
    this.index = index;
    this.dname = dname;
    this.dunit = dunit;
    this.#name = `${dname}${dunit}`;
    this.#link = link;
    this.#netisr = kernel.netisr;
    this.#info = link.info();
    this.#ether = this.#info.type === 'ethernet';
    this.#mtu = this.#info.mtu;
    this.#lladdr = this.#info.lladdr;
    this.#flags = IFF_OF_TYPE[this.#info.type];
    this.#input = this.#noproto;
    this.#flush = {
      level: NETISR_LINK,
      queued: false,
      run: () => {
        if (!this.#detached) link.flush();
      },
    };
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
  /** What link and stack together can do. */
  capabilities(): number {
    const lro = (this.kernel.netstack.current.capabilities() & NETSTACK_CAP_LRO) !== 0;
    return lro ? this.#info.capabilities : this.#info.capabilities & ~IFCAP_LRO;
  }
  capEnable(): number {
    return this.#capenable;
  }
  /** Largest IP packet the link cuts into segments itself, in bytes; 0 where the capability is off. */
  tsoMax(): number {
    return this.#tsoMax;
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

  /**
   * Starts the link, and joins it to the stack if that is up already (`Ifnets` calls `attachStack` later otherwise). The interface
   * works on when the stack or the link declines, and counts what it drops.
   */
  attach(stackUp: boolean): void {
    if (stackUp) this.attachStack();
    else this.#enableAll();
    this.#error = this.#link.start(this.#up());
    if (this.#error === null) {
      this.#flags |= IFF_DRV_RUNNING;
      this.#linkState = 'up';
    } else {
      this.kernel.log.warn({ if: this.#name, err: this.#error }, 'link did not start; output is dropped and counted');
    }
  }

  /** Hands the interface to the stack. */
  attachStack(): void {
    if (this.#stackAttached) return;
    this.#enableAll();
    const input = this.kernel.netstack.current.ifAttach(this);
    if (typeof input === 'string') {
      this.kernel.log.debug({ if: this.#name, err: input }, 'no stack takes the interface; input is counted as noproto');
      return;
    }
    this.#stackAttached = true;
    this.#input = input;
  }

  /** The stack forgets the interface; the link runs on. */
  detachStack(): void {
    if (!this.#stackAttached) return;
    this.#stackAttached = false;
    this.kernel.netstack.current.ifDetach(this);
    this.#input = this.#noproto;
    this.afdata = null;
  }

  detach(): void {
    this.detachStack();
    this.#detached = true;
    this.#flags &= ~(IFF_UP | IFF_DRV_RUNNING);
    this.#linkState = 'down';
    this.#link.stop();
  }

  /** Everything that link and stack can do is on at first. */
  #enableAll(): void {
    const caps = this.capabilities();
    if (caps === this.#capenable) return;
    const err = this.#link.setCapEnable(caps);
    if (err === null) this.#setCaps(caps);
    else this.kernel.log.warn({ if: this.#name, err }, 'link refused its own capabilities; offload is off');
  }

  #setCaps(bits: number): void {
    this.#capenable = bits;
    this.#tsoMax = (bits & (IFCAP_TSO4 | IFCAP_TSO6)) !== 0 ? this.#info.tsoMax : 0;
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
    const { bpf } = this;
    if (bpf !== null) bpf.output(pkt);
    if ((this.#flags & IFF_UP) === 0) {
      counters.oerrors++;
      this.#link.txFree(pkt);
      if (bpf !== null) bpf.sent('ENETDOWN');
      return 'ENETDOWN';
    }
    const bytes = pkt.length();
    const group = this.#ether ? (pkt.bytes[pkt.off] as number) & 1 : 0;
    const err = this.#link.transmit(pkt);
    if (bpf !== null) bpf.sent(err);
    if (err !== null) {
      counters.oerrors++;
      return err;
    }
    counters.opackets++;
    counters.obytes += bytes;
    counters.omcasts += group;
    this.#netisr.schedule(this.#flush);
    return null;
  }

  /** ENXIO once detached, as all changes below. */
  setUp(up: boolean): Errno | null {
    if (this.#detached) return 'ENXIO';
    if (up === this.isUp()) return null;
    const err = this.#link.setUp(up);
    if (err !== null) return err;
    this.#flags = up ? this.#flags | IFF_UP : this.#flags & ~IFF_UP;
    this.#changed();
    this.kernel.events.invoke('ifnet_event', this, up ? 'up' : 'down');
    return null;
  }

  /** Takes the bits that a user may change (`IFF_USER`) from `flags`; the rest stay as they are. */
  setFlags(flags: number): Errno | null {
    const err = this.setUp((flags & IFF_UP) !== 0);
    if (err !== null) return err;
    const wanted = (this.#flags & ~(IFF_USER | IFF_PROMISC) & ~IFF_UP) | (this.#flags & IFF_UP) | (flags & IFF_USER & ~IFF_UP);
    const next = (flags & IFF_PPROMISC) !== 0 ? wanted | IFF_PROMISC : wanted;
    if (next === this.#flags) return null;
    this.#flags = next;
    this.#changed();
    return null;
  }

  /** EINVAL outside `IF_MINMTU` and the link's largest. */
  setMtu(mtu: number): Errno | null {
    if (this.#detached) return 'ENXIO';
    const max = Math.min(IF_MAXMTU, this.#info.maxMtu);
    if (!Number.isInteger(mtu) || mtu < IF_MINMTU || mtu > max) return 'EINVAL';
    if (mtu === this.#mtu) return null;
    const err = this.#link.setMtu(mtu);
    if (err !== null) return err;
    this.#mtu = mtu;
    this.#changed();
    return null;
  }

  /** EINVAL for a group address, a wrong length, or a link without one. */
  setLladdr(lladdr: Uint8Array): Errno | null {
    if (this.#detached) return 'ENXIO';
    if (this.#lladdr === null || lladdr.length !== this.#lladdr.length || ((lladdr[0] ?? 1) & 1) === 1) return 'EINVAL';
    const err = this.#link.setLladdr(lladdr);
    if (err !== null) return err;
    this.#lladdr = lladdr.slice();
    this.#changed();
    this.kernel.ifnets.lladdrChanged(this);
    return null;
  }

  /** EINVAL for a bit outside `capabilities()`. */
  setCapEnable(bits: number): Errno | null {
    if (this.#detached) return 'ENXIO';
    if ((bits & ~this.capabilities()) !== 0) return 'EINVAL';
    if (bits === this.#capenable) return null;
    const err = this.#link.setCapEnable(bits);
    if (err !== null) return err;
    this.#setCaps(bits);
    this.#changed();
    return null;
  }

  /** EINVAL for an empty, too long or unprintable name, EEXIST for one in use. */
  setName(name: string): Errno | null {
    if (this.#detached) return 'ENXIO';
    if (!isIfName(name)) return 'EINVAL';
    if (name === this.#name) return null;
    if (this.kernel.ifnets.byName(name) !== null) return 'EEXIST';
    this.kernel.ifnets.rename(this, name, () => {
      this.#name = name;
    });
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
    if (this.#detached) return 'ENXIO';
    if (!this.kernel.netstack.current.validFib(fib)) return 'EINVAL';
    if (fib === this.#fib) return null;
    this.#fib = fib;
    this.#changed();
    return null;
  }

  /**
   * Hears frames to a group address. A link that has a filter is told with the first user of the address (`SIOCADDMULTI`, with
   * `{ lladdr }`) and the last; one that answers EOPNOTSUPP hears all groups anyway. EINVAL for an address that is no group's,
   * ENOBUFS over `IF_MAXMULTI`.
   */
  addMulti(lladdr: Uint8Array): Errno | null {
    if (this.#detached) return 'ENXIO';
    if (this.#lladdr === null || lladdr.length !== this.#lladdr.length || ((lladdr[0] ?? 0) & 1) === 0) return 'EINVAL';
    const key = lladdr.join();
    const users = this.#multi.get(key) ?? 0;
    if (users === 0) {
      if (this.#multi.size >= IF_MAXMULTI) return 'ENOBUFS';
      const err = this.#link.ioctl(SIOCADDMULTI, { lladdr: lladdr.slice() });
      if (err !== null && err !== 'EOPNOTSUPP') return err;
    }
    this.#multi.set(key, users + 1);
    return null;
  }

  /** Ends one use. ENOENT for an address that was not added. */
  delMulti(lladdr: Uint8Array): Errno | null {
    if (this.#detached) return 'ENXIO';
    const key = lladdr.join();
    const users = this.#multi.get(key) ?? 0;
    if (users === 0) return 'ENOENT';
    if (users > 1) {
      this.#multi.set(key, users - 1);
      return null;
    }
    this.#multi.delete(key);
    const err = this.#link.ioctl(SIOCDELMULTI, { lladdr: lladdr.slice() });
    return err === 'EOPNOTSUPP' ? null : err;
  }

  /** The driver's own ioctls. */
  driverIoctl(cmd: number, data: unknown): Errno | null {
    if (this.#detached) return 'ENXIO';
    return this.#link.ioctl(cmd, data);
  }

  #changed(): void {
    if (this.#stackAttached) this.kernel.netstack.current.ifChanged(this);
  }

  readonly #noproto: FrameInput = () => {
    this.counters.noproto++;
  };

  #up(): LinkUp {
    const netisr = this.#netisr;
    const counters = this.counters;
    const ether = this.#ether;
    const { bpf, diag } = this.kernel;
    return {
      begin: () => {
        netisr.begin();
        // A channel outside does not say when somebody begins to listen to it.
        if (diag.drop.hasSubscribers !== bpf.dropping) bpf.refresh();
      },
      input: (pkt) => {
        counters.ipackets++;
        counters.ibytes += pkt.end - pkt.off;
        // The lowest bit of an Ethernet frame's first byte says that it is for a group.
        if (ether && ((pkt.bytes[pkt.off] as number) & 1) !== 0) counters.imcasts++;
        if ((this.#flags & IFF_UP) === 0) {
          counters.iqdrops++;
          if (this.bpf !== null) this.bpf.refused(pkt, 'ENETDOWN');
          return;
        }
        pkt.ifp = this;
        if (this.bpf === null) this.#input(pkt);
        else this.bpf.input(pkt, this.#input);
      },
      end: () => netisr.end(),
      dropped: (what, frames) => {
        counters[what] += frames;
      },
      state: (state) => this.#setLinkState(state),
    };
  }

  #setLinkState(state: 'up' | 'down' | 'gone'): void {
    if (this.#detached) return;
    const now = state === 'up' ? 'up' : 'down';
    if (now !== this.#linkState) {
      this.#linkState = now;
      this.kernel.events.invoke('ifnet_link_event', this, now);
    }
    if (state !== 'gone') return;
    this.kernel.log.error({ if: this.#name }, 'device is gone; interface detached');
    this.kernel.ifnets.detach(this);
  }
}
