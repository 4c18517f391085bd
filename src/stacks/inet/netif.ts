/**
 * The stack's view of an interface, kept at `ifp.afdata`: what the per-packet code asks for, as plain fields, and the addresses.
 */
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import { IFCAP_TXCSUM } from '../../kern/ifnet/link.ts';
import type { IpAddr } from '../../wire/addr.ts';
import { ETHER_ADDR_LEN } from '../../wire/ethernet.ts';
import type { Arp } from './arp.ts';
import type { InGroup } from './mcastgroup.ts';

/** An address of an interface. */
export interface IfAddr {
  readonly nif: InetIf;
  readonly addr: IpAddr;
  /** Length of the subnet's prefix, in bits of the address's own family. */
  readonly plen: number;
  /** The subnet's broadcast address; null where there is none (/31, /32, links without broadcast). */
  readonly broadcast: IpAddr | null;
  /** The other end of a point-to-point link. */
  readonly peer: IpAddr | null;
}

export class InetIf {
  readonly ifp: Ifnet;
  readonly ethernet: boolean;
  readonly loopback: boolean;
  /** Hardware address; zeros where there is none. */
  mac: Readonly<Uint8Array> = new Uint8Array(ETHER_ADDR_LEN);
  mtu = 0;
  /** The link completes transport checksums of IPv4. */
  txcsum = false;
  up = false;
  /** First IPv4 address as a word, 0 without one: most packets are for it. */
  primary4 = 0;
  readonly addrs: IfAddr[] = [];
  /** Neighbours of an Ethernet. */
  arp: Arp | null = null;
  /** Groups that are joined here, and those that were left a moment ago, by their address as a word. */
  readonly groups = new Map<number, InGroup>();

  constructor(ifp: Ifnet) {
    this.ifp = ifp;
    this.ethernet = ifp.type() === 'ethernet';
    this.loopback = ifp.type() === 'loopback';
    this.refresh();
  }

  /** Somebody here joined the group. */
  hears(group: number): boolean {
    const g = this.groups.get(group);
    return g !== undefined && g.heard;
  }

  /** Reads again what may have changed on the interface. */
  refresh(): void {
    const { ifp } = this;
    this.mac = ifp.lladdr() ?? this.mac;
    this.mtu = ifp.mtu();
    this.txcsum = (ifp.capEnable() & IFCAP_TXCSUM) !== 0;
    this.up = ifp.isUp();
  }
}

/** The stack's data on an interface, or null for one that it was never told of. */
export function inetIf(ifp: Ifnet): InetIf | null {
  return ifp.afdata instanceof InetIf ? ifp.afdata : null;
}
