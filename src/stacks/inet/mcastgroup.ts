/**
 * A group on an interface: what this host wants to hear of it, put together from what its sockets want (RFC 3376 §3.2), and what IGMP
 * still has to say about it.
 */
import { Callout, type CalloutWheel } from '../../kern/callout.ts';
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import type { IpIn } from './contract.ts';
import { ALL_HOSTS } from './ifaddr.ts';
import type { InetIf } from './netif.ts';

/** Sources, as words: all but these, or only these. */
export interface SourceFilter {
  readonly exclude: boolean;
  readonly sources: ReadonlySet<number>;
}

/** Nothing is heard: the state of a group that nobody joined. */
export const HEAR_NOTHING: SourceFilter = { exclude: false, sources: new Set() };

/** Every source is let in. */
export const HEAR_ALL: SourceFilter = { exclude: true, sources: new Set() };

/** Who joins groups: a socket's control block. A new list with each change, because it may be walked meanwhile. */
export interface HasGroups {
  groups: readonly Membership[];
}

/** The list of a control block that joined none. */
export const NO_GROUPS: readonly Membership[] = [];

/** What one socket wants of a group on an interface. */
export class Membership implements SourceFilter {
  readonly owner: HasGroups;
  readonly nif: InetIf;
  readonly group: number;
  exclude: boolean;
  sources: ReadonlySet<number>;

  constructor(owner: HasGroups, nif: InetIf, group: number, filter: SourceFilter) {
    this.owner = owner;
    this.nif = nif;
    this.group = group;
    this.exclude = filter.exclude;
    this.sources = filter.sources;
  }
}

/** What the sockets together want: the union of what they let in. */
export function combine(members: readonly SourceFilter[]): SourceFilter {
  const wanted = new Set<number>();
  for (const m of members) if (!m.exclude) for (const source of m.sources) wanted.add(source);
  const [first, ...others] = members.filter((m) => m.exclude);
  if (first === undefined) return { exclude: false, sources: wanted };
  const shut = [...first.sources].filter((s) => !wanted.has(s) && others.every((m) => m.sources.has(s)));
  return { exclude: true, sources: new Set(shut) };
}

export class InGroup {
  readonly nif: InetIf;
  readonly group: number;
  members: readonly Membership[] = [];
  filter: SourceFilter = HEAR_NOTHING;
  /** At least one source is let in: asked for each packet. */
  heard = false;
  /** Reports of a changed mode, and of each changed source, that are still to be sent (RFC 3376 §5.1). */
  modeLeft = 0;
  readonly sourceLeft = new Map<number, number>();
  /** When the next of them goes. */
  readonly changeTimer: Callout<InGroup>;
  /** When a query is answered, and the sources that it asked about; null: about all (RFC 3376 §5.2). */
  readonly answerTimer: Callout<InGroup>;
  asked: Set<number> | null = null;
  /** Versions 1 and 2: we were the last to report, so it is for us to say that we leave (RFC 2236 §3). */
  reporter = false;

  constructor(wheel: CalloutWheel, nif: InetIf, group: number, change: (g: InGroup) => void, answer: (g: InGroup) => void) {
    this.nif = nif;
    this.group = group;
    this.changeTimer = new Callout<InGroup>(wheel, change, this as InGroup);
    this.answerTimer = new Callout<InGroup>(wheel, answer, this as InGroup);
  }

  /** Nothing under way any more. */
  quiet(): void {
    this.changeTimer.stop();
    this.answerTimer.stop();
    this.modeLeft = 0;
    this.sourceLeft.clear();
    this.asked = null;
  }
}

/** Does the owner of `groups` hear the packet at hand, which is for a group? All hear 224.0.0.1. */
export function hearsGroup(groups: readonly Membership[], ifp: Ifnet | null, ip: IpIn): boolean {
  const group = ip.dst.w3;
  if (group === ALL_HOSTS) return true;
  for (let i = 0; i < groups.length; i++) {
    const m = groups[i] as Membership;
    if (m.group === group && m.nif.ifp === ifp) return m.sources.has(ip.src.w3) !== m.exclude;
  }
  return false;
}
