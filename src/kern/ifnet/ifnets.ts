/**
 * The kernel's interfaces: attaching and detaching them in the right order, and finding them by name and index.
 */
import { type Errno, type Result } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { IF_COUNTER_META, isIfName } from './flags.ts';
import { Ifnet } from './ifnet.ts';
import type { Link } from './link.ts';

/** Interfaces of a kernel. */
const MAX_IFNETS = 1024;

interface Attached {
  readonly ifp: Ifnet;
  /** The hardware address that this interface gave to the uuid sources. */
  uuidMac: Uint8Array | null;
  /** Others have heard of it. */
  arrived: boolean;
  dropCounters: () => void;
}

export class Ifnets {
  readonly #kernel: Kernel;
  /** By index; slot 0 stays empty. */
  readonly #table: (Attached | null)[] = [null];
  readonly #byName = new Map<string, Ifnet>();
  #domainsUp = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * Attaches a link as interface `dname` + `dunit`: uuid source, stack, driver, then `ifnet_arrival_event`. EINVAL for a bad name,
   * EEXIST for one in use, ENOSPC when there are too many, ENXIO when the device went as it was started. The lowest free index is taken.
   */
  attach(dname: string, dunit: number, link: Link): Result<Ifnet> {
    const name = `${dname}${dunit}`;
    if (!isIfName(name) || !/^[A-Za-z]/.test(dname) || !Number.isInteger(dunit) || dunit < 0) return 'EINVAL';
    if (this.#byName.has(name)) return 'EEXIST';
    const free = this.#table.indexOf(null, 1);
    const index = free < 0 ? this.#table.length : free;
    if (index > MAX_IFNETS) return 'ENOSPC';
    const ifp = new Ifnet(this.#kernel, index, dname, dunit, link);
    const attached: Attached = { ifp, uuidMac: null, arrived: false, dropCounters: () => undefined };
    this.#table[index] = attached;
    this.#byName.set(name, ifp);
    this.#addUuid(attached);
    attached.dropCounters = this.#kernel.counters.add(`if.${name}`, ifp.counters, IF_COUNTER_META);
    ifp.attach(this.#domainsUp);
    if (this.#table[index] !== attached) return 'ENXIO';
    attached.arrived = true;
    this.#kernel.events.invoke('ifnet_arrival_event', ifp);
    return ifp;
  }

  /** `ifnet_departure_event`, then stack, driver and uuid source let go. ENXIO for an interface that is not attached. */
  detach(ifp: Ifnet): Errno | null {
    const attached = this.#table[ifp.index];
    if (attached?.ifp !== ifp) return 'ENXIO';
    // Out of the tables first: a handler that asks again finds it gone.
    this.#table[ifp.index] = null;
    this.#byName.delete(ifp.name());
    if (attached.arrived) this.#kernel.events.invoke('ifnet_departure_event', ifp);
    ifp.detach();
    attached.dropCounters();
    this.#delUuid(attached);
    return null;
  }

  /** Detaches all, the youngest first. */
  detachAll(): void {
    for (const attached of [...this.#table].reverse()) if (attached) this.detach(attached.ifp);
  }

  /** The stack is complete (PROTO_IFATTACHDOMAIN): interfaces that came before it meet it now, later ones at once. */
  attachDomains(): void {
    this.#domainsUp = true;
    for (const ifp of this.all()) ifp.attachStack();
  }

  /** The stack is going: what is still attached takes leave of it. */
  detachDomains(): void {
    this.#domainsUp = false;
    for (const ifp of this.all()) ifp.detachStack();
  }

  byName(name: string): Ifnet | null {
    return this.#byName.get(name) ?? null;
  }

  byIndex(index: number): Ifnet | null {
    return this.#table[index]?.ifp ?? null;
  }

  /** All interfaces by index. */
  all(): Ifnet[] {
    const ifps: Ifnet[] = [];
    for (const attached of this.#table) if (attached) ifps.push(attached.ifp);
    return ifps;
  }

  /** `Ifnet.setName` has checked the name. Others see the old one depart and the new one arrive, as in FreeBSD. */
  rename(ifp: Ifnet, name: string, change: () => void): void {
    const { events, counters } = this.#kernel;
    events.invoke('ifnet_departure_event', ifp);
    // A handler may have detached it.
    if (this.#table[ifp.index]?.ifp !== ifp) return;
    this.#byName.delete(ifp.name());
    change();
    this.#byName.set(name, ifp);
    const attached = this.#table[ifp.index];
    if (attached) {
      attached.dropCounters();
      attached.dropCounters = counters.add(`if.${name}`, ifp.counters, IF_COUNTER_META);
    }
    events.invoke('ifnet_arrival_event', ifp);
  }

  /** The hardware address changed: the uuid source follows. */
  lladdrChanged(ifp: Ifnet): void {
    const attached = this.#table[ifp.index];
    if (attached) {
      this.#delUuid(attached);
      this.#addUuid(attached);
    }
    this.#kernel.events.invoke('iflladdr_event', ifp);
  }

  /** Local and unknown addresses are no source (EINVAL), which is no reason not to attach. */
  #addUuid(attached: Attached): void {
    const mac = attached.ifp.lladdr();
    if (mac === null || attached.ifp.type() !== 'ethernet') return;
    const err = this.#kernel.uuid.etherAdd(mac);
    if (err === null) attached.uuidMac = mac;
    else this.#kernel.log.debug({ if: attached.ifp.name(), err }, 'hardware address is no uuid source');
  }

  #delUuid(attached: Attached): void {
    if (attached.uuidMac !== null) this.#kernel.uuid.etherDel(attached.uuidMac);
    attached.uuidMac = null;
  }
}
