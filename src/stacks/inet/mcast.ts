/**
 * Multicast groups of this host (RFC 1112 §7, RFC 3376 §3, RFC 3678): sockets join and leave, with or without a choice of sources; each
 * interface knows what is wanted, its link is told of hardware addresses, and IGMP of changes. Bounded by group, socket and source.
 */
import type { Errno, Result } from '../../kern/errno.ts';
import { IFF_MULTICAST } from '../../kern/ifnet/ifnet.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { ETHER_ADDR_LEN } from '../../wire/ethernet.ts';
import { put16, put32 } from '../../wire/bytes.ts';
import { ALL_HOSTS } from './ifaddr.ts';
import type { Igmp } from './igmp.ts';
import {
  HEAR_ALL,
  HEAR_NOTHING,
  type HasGroups,
  InGroup,
  Membership,
  NO_GROUPS,
  type SourceFilter,
  combine,
} from './mcastgroup.ts';
import type { InetIf } from './netif.ts';

/** Limits: sysctls under net.inet.ip.mcast. */
export class McastConfig {
  /** Groups of an interface; memberships of a socket; sources that a socket names for a group, and all of them together. */
  maxGroups = 1024;
  maxMemberships = 256;
  maxSockSources = 128;
  maxGroupSources = 512;
}

/** The address that a group has on an Ethernet (RFC 1112 §6.4): 01-00-5e and the low 23 bits. */
export function groupMac(group: number): Uint8Array {
  const mac = new Uint8Array(ETHER_ADDR_LEN);
  put16(mac, 0, 0x0100);
  put32(mac, 2, 0x5e000000 | (group & 0x7fffff));
  return mac;
}

export class Multicast {
  readonly config = new McastConfig();
  readonly #kernel: Kernel;
  readonly #igmp: Igmp;

  constructor(kernel: Kernel, igmp: Igmp) {
    this.#kernel = kernel;
    this.#igmp = igmp;
  }

  find(owner: HasGroups, nif: InetIf, group: number): Membership | null {
    return owner.groups.find((m) => m.group === group && m.nif === nif) ?? null;
  }

  /** The first interface on which a socket joined the group. */
  findAny(owner: HasGroups, group: number): Membership | null {
    return owner.groups.find((m) => m.group === group) ?? null;
  }

  /** A new membership. EADDRNOTAVAIL where the interface has no groups, ENOBUFS over a limit. The socket is no member yet. */
  join(owner: HasGroups, nif: InetIf, group: number, filter: SourceFilter): Errno | null {
    if ((nif.ifp.flags() & IFF_MULTICAST) === 0) return 'EADDRNOTAVAIL';
    if (owner.groups.length >= this.config.maxMemberships || filter.sources.size > this.config.maxSockSources) return 'ENOBUFS';
    const g = this.#groupOn(nif, group);
    if (typeof g === 'string') return g;
    const m = new Membership(owner, nif, group, filter);
    const err = this.#set(g, [...g.members, m], false);
    if (err === null) owner.groups = [...owner.groups, m];
    return err;
  }

  /** Other sources than before. ENOBUFS over a limit, and all stays as it was. */
  change(m: Membership, filter: SourceFilter): Errno | null {
    const g = m.nif.groups.get(m.group);
    if (g === undefined) return 'EADDRNOTAVAIL';
    if (filter.sources.size > this.config.maxSockSources) return 'ENOBUFS';
    const { exclude, sources } = m;
    m.exclude = filter.exclude;
    m.sources = filter.sources;
    const err = this.#set(g, g.members, filter.sources.size < sources.size);
    if (err === null) return null;
    m.exclude = exclude;
    m.sources = sources;
    return err;
  }

  leave(m: Membership): void {
    m.owner.groups = m.owner.groups.filter((other) => other !== m);
    const g = m.nif.groups.get(m.group);
    if (g === undefined) return;
    const rest = g.members.filter((other) => other !== m);
    this.#set(g, rest, true);
  }

  /** A socket is closed. */
  leaveAll(owner: HasGroups): void {
    for (const m of owner.groups) this.leave(m);
    owner.groups = NO_GROUPS;
  }

  /** An interface goes: its memberships are forgotten, and nobody can be told any more. */
  ifDetach(nif: InetIf): void {
    for (const g of nif.groups.values()) {
      for (const { owner } of g.members) owner.groups = owner.groups.filter((m) => m.nif !== nif);
      if (g.heard) this.#hear(g, false);
      g.quiet();
    }
    nif.groups.clear();
    this.#igmp.ifDetach(nif);
  }

  /** An interface came up or went down. */
  ifChanged(nif: InetIf): void {
    for (const g of [...nif.groups.values()]) {
      g.quiet();
      if (!g.heard) nif.groups.delete(g.group);
    }
    this.#igmp.ifRestart(nif);
    if (nif.up) for (const g of nif.groups.values()) this.#igmp.changed(g, HEAR_NOTHING);
  }

  #groupOn(nif: InetIf, group: number): Result<InGroup> {
    const known = nif.groups.get(group);
    if (known !== undefined) return known;
    if (nif.groups.size >= this.config.maxGroups) {
      // One that we left, and of which only a repeated report is outstanding, makes room.
      const gone = [...nif.groups.values()].find((g) => !g.heard);
      if (gone === undefined) return 'ENOBUFS';
      gone.quiet();
      nif.groups.delete(gone.group);
    }
    const g = new InGroup(
      this.#kernel.callouts,
      nif,
      group,
      (due) => {
        this.#igmp.changeDue(due);
        this.#forgetIfDone(due);
      },
      (due) => this.#igmp.answerDue(due),
    );
    nif.groups.set(group, g);
    return g;
  }

  /**
   * `less`: a member asks for less, which is never refused. What the others name may be over the limit then, when the one who went had heard
   * all: so all is heard still, and each socket gets what it chose.
   */
  #set(g: InGroup, members: readonly Membership[], less: boolean): Errno | null {
    const before = g.filter;
    let filter = combine(members);
    if (filter.sources.size > this.config.maxGroupSources && filter.sources.size > before.sources.size) {
      if (!less) {
        this.#forgetIfDone(g);
        return 'ENOBUFS';
      }
      filter = HEAR_ALL;
    }
    g.members = members;
    g.filter = filter;
    const heard = filter.exclude || filter.sources.size > 0;
    if (heard !== g.heard) this.#hear(g, heard);
    if (g.nif.up) this.#igmp.changed(g, before);
    this.#forgetIfDone(g);
    return null;
  }

  #hear(g: InGroup, heard: boolean): void {
    g.heard = heard;
    const { ifp, ethernet } = g.nif;
    if (!ethernet || g.group === ALL_HOSTS) return;
    const err = heard ? ifp.addMulti(groupMac(g.group)) : ifp.delMulti(groupMac(g.group));
    if (err !== null) this.#kernel.log.warn({ if: ifp.name(), err }, 'link did not take a group address');
  }

  #forgetIfDone(g: InGroup): void {
    if (g.heard || g.members.length > 0 || g.modeLeft > 0 || g.sourceLeft.size > 0) return;
    g.quiet();
    if (g.nif.groups.get(g.group) === g) g.nif.groups.delete(g.group);
  }
}
