/**
 * The host's part of IGMP: version 3 (RFC 3376 §5, §7.2), and of versions 1 and 2 (RFC 1112 appendix I, RFC 2236 §3) as long as such a
 * querier is on the link. Changes are reported at once and again, queries answered after a random time; 224.0.0.1 is never spoken of.
 */
import { Callout } from '../../kern/callout.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { RxPacket } from '../../kern/packet.ts';
import { get32, get8 } from '../../wire/bytes.ts';
import { sum16 } from '../../wire/checksum.ts';
import {
  ALL_ROUTERS,
  IGMP_ALLOW,
  IGMP_BLOCK,
  IGMP_CODE,
  IGMP_GROUP,
  IGMP_LEN,
  IGMP_MODE_IS_EXCLUDE,
  IGMP_MODE_IS_INCLUDE,
  IGMP_QUERY,
  IGMP_S_QRV,
  IGMP_TO_EXCLUDE,
  IGMP_TO_INCLUDE,
  IGMP_TYPE,
  IGMP_V1_REPORT,
  IGMP_V2_LEAVE,
  IGMP_V2_REPORT,
  IGMP_V3QUERY_LEN,
  IGMP_V3_REPORT,
  igmpFloat,
  igmpQueryVersion,
  igmpSources,
} from '../../wire/igmp.ts';
import { IPPROTO_IGMP } from '../../wire/ipv4.ts';
import type { IpIn, Transport } from './contract.ts';
import { ALL_HOSTS, type IfAddrs } from './ifaddr.ts';
import { type IgmpRecord, type IgmpSender } from './igmpout.ts';
import { type InGroup, type SourceFilter } from './mcastgroup.ts';
import { type InetIf, inetIf } from './netif.ts';
import type { RawIp } from './raw.ts';
import type { IgmpStat } from './stats.ts';

/** Reports of a change, if no querier says otherwise, and the most that one is obeyed in. RFC 3376 §8.1. */
const ROBUSTNESS = 2;
const ROBUSTNESS_MAX = 7;
/** A changed state is reported again within this time: version 3 (§8.11), versions 1 and 2 (RFC 2236 §8.10). */
const REPEAT_MS = 1000;
const OLD_REPEAT_MS = 10_000;
/** Time between general queries, for how long an old querier is believed in (§8.12, §8.2). */
const QUERY_INTERVAL_MS = 125_000;
/** Time to answer a query of version 1. */
const V1_ANSWER_MS = 10_000;
/** Sources of a query that are kept; with more of them all are answered for. */
const MAX_ASKED = 64;

/** What IGMP knows of a link. */
class IgmpIf {
  readonly nif: InetIf;
  robustness = ROBUSTNESS;
  /** A querier of version 1, of version 2 was heard and may still be there. */
  readonly v1: Callout<IgmpIf>;
  readonly v2: Callout<IgmpIf>;
  /** The answer to a general query. */
  readonly general: Callout<IgmpIf>;

  constructor(kernel: Kernel, nif: InetIf, changed: (link: IgmpIf) => void, general: (link: IgmpIf) => void) {
    this.nif = nif;
    this.v1 = new Callout<IgmpIf>(kernel.callouts, changed, this as IgmpIf);
    this.v2 = new Callout<IgmpIf>(kernel.callouts, changed, this as IgmpIf);
    this.general = new Callout<IgmpIf>(kernel.callouts, general, this as IgmpIf);
  }

  /** The version that all on the link understand (§7.2.1). */
  version(): 1 | 2 | 3 {
    return this.v1.pending ? 1 : this.v2.pending ? 2 : 3;
  }
}

export class Igmp implements Transport {
  readonly protocol = IPPROTO_IGMP;
  /** Say which groups are heard: a sysctl. */
  enabled = true;
  readonly #kernel: Kernel;
  readonly #stat: IgmpStat;
  readonly #addrs: IfAddrs;
  readonly #raw: RawIp;
  readonly #send: IgmpSender;
  readonly #links = new Map<InetIf, IgmpIf>();

  constructor(kernel: Kernel, stat: IgmpStat, addrs: IfAddrs, raw: RawIp, send: IgmpSender) {
    this.#kernel = kernel;
    this.#stat = stat;
    this.#addrs = addrs;
    this.#raw = raw;
    this.#send = send;
  }

  #linkOf(nif: InetIf): IgmpIf {
    const known = this.#links.get(nif);
    if (known !== undefined) return known;
    const quiet = (link: IgmpIf): void => this.#versionChanged(link);
    const link = new IgmpIf(this.#kernel, nif, quiet, (due) => this.#answerGeneral(due));
    this.#links.set(nif, link);
    return link;
  }

  /** At random, so that not all hosts speak at once: above 0, up to `maxMs`. */
  #randomMs(maxMs: number): number {
    return 1 + (this.#kernel.random.u32() % Math.max(1, maxMs));
  }

  /** Of every interface but the loopback, about every group but 224.0.0.1. */
  #speaks(nif: InetIf, group: number): boolean {
    return this.enabled && nif.up && !nif.loopback && group !== ALL_HOSTS;
  }

  // What comes in.

  input(pkt: RxPacket, ip: IpIn): void {
    const stat = this.#stat;
    const b = pkt.bytes;
    const o = pkt.off;
    const len = pkt.end - o;
    stat.total++;
    if (len < IGMP_LEN) {
      stat.tooshort++;
      return;
    }
    if (sum16(b, o, len, 0) !== 0xffff) {
      stat.badsum++;
      return;
    }
    const nif = pkt.ifp === null ? null : inetIf(pkt.ifp);
    const type = get8(b, o + IGMP_TYPE);
    if (nif !== null && !nif.loopback) {
      if (ip.ttl !== 1) {
        // It has come from elsewhere: nobody on this link would send it so (RFC 3376 §4).
        stat.badttl++;
        return;
      }
      if (type === IGMP_QUERY) this.#query(b, o, len, nif);
      else if (type === IGMP_V1_REPORT || type === IGMP_V2_REPORT) this.#otherReports(b, o, nif, ip);
      else if (type === IGMP_V2_LEAVE || type === IGMP_V3_REPORT) stat.forrouters++;
      else stat.badtype++;
    }
    this.#raw.input(pkt, ip);
  }

  /** Nobody hears of our messages: they are never quoted (RFC 1122 §3.2.2). */
  ctlinput(): void {}

  #query(b: Uint8Array, o: number, len: number, nif: InetIf): void {
    const stat = this.#stat;
    const version = igmpQueryVersion(b, o, len);
    const group = get32(b, o + IGMP_GROUP);
    const nsrc = version === 3 ? igmpSources(b, o, len) : 0;
    if (version === 0 || nsrc < 0 || (group !== 0 && group >>> 28 !== 14) || (group === 0 && nsrc > 0)) {
      stat.badquery++;
      return;
    }
    stat.queries++;
    const link = this.#linkOf(nif);
    const code = get8(b, o + IGMP_CODE);
    const maxMs = version === 1 ? V1_ANSWER_MS : (version === 2 ? code : igmpFloat(code)) * 100;
    if (version === 3) link.robustness = Math.min(get8(b, o + IGMP_S_QRV) & 7 || ROBUSTNESS, ROBUSTNESS_MAX);
    else if (group === 0) this.#oldQuerier(link, version, maxMs);
    if (link.version() < 3) {
      if (group === 0) for (const g of nif.groups.values()) this.#answerOld(g, maxMs);
      else this.#answerOld(nif.groups.get(group) ?? null, maxMs);
      return;
    }
    const delay = this.#randomMs(maxMs);
    // §5.2 rule 1: the answer that is due sooner says all.
    if (link.general.pending && link.general.remainingMs() <= delay) return;
    if (group === 0) {
      if (this.enabled && nif.groups.size > 0) link.general.reset(delay);
      return;
    }
    const g = nif.groups.get(group);
    if (g !== undefined && g.heard && this.#speaks(nif, group)) this.#askedAbout(g, b, o, nsrc, delay);
  }

  /** §5.2 rules 3 to 5. */
  #askedAbout(g: InGroup, b: Uint8Array, o: number, nsrc: number, delay: number): void {
    const waiting = g.answerTimer.pending;
    if (nsrc === 0 || (waiting && g.asked === null)) g.asked = null;
    else {
      const asked = waiting && g.asked !== null ? g.asked : new Set<number>();
      for (let i = 0; i < nsrc && asked.size <= MAX_ASKED; i++) asked.add(get32(b, o + IGMP_V3QUERY_LEN + i * 4));
      g.asked = asked.size > MAX_ASKED ? null : asked;
    }
    if (!waiting || g.answerTimer.remainingMs() > delay) g.answerTimer.reset(delay);
  }

  /** §7.2.1: while an older querier may be there, its version is spoken. */
  #oldQuerier(link: IgmpIf, version: 1 | 2, maxMs: number): void {
    const before = link.version();
    (version === 1 ? link.v1 : link.v2).reset(link.robustness * QUERY_INTERVAL_MS + maxMs);
    if (link.version() !== before) this.#versionChanged(link);
  }

  #versionChanged(link: IgmpIf): void {
    link.general.stop();
    for (const g of [...link.nif.groups.values()]) {
      g.quiet();
      if (!g.heard) link.nif.groups.delete(g.group);
    }
  }

  /** RFC 2236 §3: who hears another's report need not send its own. */
  #otherReports(b: Uint8Array, o: number, nif: InetIf, ip: IpIn): void {
    const group = get32(b, o + IGMP_GROUP);
    const near = ip.src.w3 === 0 || this.#addrs.onLink(nif, ip.src) !== null;
    if (group !== ip.dst.w3 || !near) {
      this.#stat.badreport++;
      return;
    }
    this.#stat.reports++;
    const g = nif.groups.get(group);
    if (g === undefined || this.#linkOf(nif).version() === 3) return;
    if (g.answerTimer.stop()) this.#stat.suppressed++;
    g.changeTimer.stop();
    g.modeLeft = 0;
    g.reporter = false;
  }

  // What goes out: answers.

  #answerGeneral(link: IgmpIf): void {
    const records: IgmpRecord[] = [];
    for (const g of link.nif.groups.values()) if (g.heard && this.#speaks(link.nif, g.group)) records.push(current(g));
    this.#send.report(link.nif, records);
  }

  /** A query of an old version, or on a link where one is spoken. */
  #answerOld(g: InGroup | null, maxMs: number): void {
    if (g === null || !g.heard || !this.#speaks(g.nif, g.group)) return;
    const delay = this.#randomMs(maxMs);
    if (!g.answerTimer.pending || g.answerTimer.remainingMs() > delay) g.answerTimer.reset(delay);
  }

  /** The time to answer about one group has come. */
  answerDue(g: InGroup): void {
    if (!g.heard) return;
    const version = this.#linkOf(g.nif).version();
    if (version < 3) {
      this.#oldReport(g, version);
      return;
    }
    const { asked, filter } = g;
    g.asked = null;
    if (asked === null) {
      this.#send.report(g.nif, [current(g)]);
      return;
    }
    // §5.2: of the sources that were asked about, those that are let in.
    const sources = [...asked].filter((source) => filter.sources.has(source) !== filter.exclude);
    if (sources.length > 0) this.#send.report(g.nif, [{ type: IGMP_MODE_IS_INCLUDE, group: g.group, sources }]);
  }

  #oldReport(g: InGroup, version: 1 | 2 | 3): void {
    g.reporter = true;
    this.#send.old(g.nif, version === 1 ? IGMP_V1_REPORT : IGMP_V2_REPORT, g.group, g.group);
  }

  // What goes out: changes.

  /** What is heard of a group is another than `before`: the first report goes at once (§5.1). */
  changed(g: InGroup, before: SourceFilter): void {
    if (!this.#speaks(g.nif, g.group)) return;
    const link = this.#linkOf(g.nif);
    if (link.version() < 3) {
      this.#changedOld(g, before, link);
      return;
    }
    const { filter } = g;
    if (filter.exclude !== before.exclude) {
      g.modeLeft = link.robustness;
      g.sourceLeft.clear();
    } else {
      for (const s of filter.sources) if (!before.sources.has(s)) g.sourceLeft.set(s, link.robustness);
      for (const s of before.sources) if (!filter.sources.has(s)) g.sourceLeft.set(s, link.robustness);
      if (g.modeLeft === 0 && g.sourceLeft.size === 0) return;
    }
    this.changeDue(g);
  }

  /** Reports a change, and sets the time of the next report of it. */
  changeDue(g: InGroup): void {
    const link = this.#linkOf(g.nif);
    const version = link.version();
    if (version < 3) {
      g.modeLeft--;
      this.#oldReport(g, version);
      if (g.modeLeft > 0) g.changeTimer.reset(this.#randomMs(OLD_REPEAT_MS));
      return;
    }
    this.#send.report(g.nif, changes(g));
    if (g.modeLeft > 0) g.modeLeft--;
    else {
      for (const [source, left] of g.sourceLeft) {
        if (left > 1) g.sourceLeft.set(source, left - 1);
        else g.sourceLeft.delete(source);
      }
    }
    if (g.modeLeft > 0 || g.sourceLeft.size > 0) g.changeTimer.reset(this.#randomMs(REPEAT_MS));
    else g.changeTimer.stop();
  }

  /** RFC 2236 §3: a report when a group is joined, and again; a leave when it is left, if nobody else is known to hear it. */
  #changedOld(g: InGroup, before: SourceFilter, link: IgmpIf): void {
    const was = before.exclude || before.sources.size > 0;
    if (was === g.heard) return;
    g.quiet();
    if (g.heard) {
      g.modeLeft = link.robustness;
      this.changeDue(g);
      return;
    }
    if (g.reporter && link.version() === 2) this.#send.old(g.nif, IGMP_V2_LEAVE, ALL_ROUTERS, g.group);
    g.reporter = false;
  }

  /** The link is another than before: what was known of its queriers counts no more. */
  ifRestart(nif: InetIf): void {
    const link = this.#links.get(nif);
    if (link === undefined) return;
    link.v1.stop();
    link.v2.stop();
    link.general.stop();
    link.robustness = ROBUSTNESS;
  }

  ifDetach(nif: InetIf): void {
    this.ifRestart(nif);
    this.#links.delete(nif);
  }
}

function current({ group, filter }: InGroup): IgmpRecord {
  return { type: filter.exclude ? IGMP_MODE_IS_EXCLUDE : IGMP_MODE_IS_INCLUDE, group, sources: [...filter.sources] };
}

/** §5.1: the mode with all sources as long as it is new, then the sources that are. */
function changes({ group, filter, modeLeft, sourceLeft }: InGroup): IgmpRecord[] {
  if (modeLeft > 0) return [{ type: filter.exclude ? IGMP_TO_EXCLUDE : IGMP_TO_INCLUDE, group, sources: [...filter.sources] }];
  const changed = [...sourceLeft.keys()];
  const allow = changed.filter((source) => filter.sources.has(source) !== filter.exclude);
  const block = changed.filter((source) => filter.sources.has(source) === filter.exclude);
  const records: IgmpRecord[] = [];
  if (allow.length > 0) records.push({ type: IGMP_ALLOW, group, sources: allow });
  if (block.length > 0) records.push({ type: IGMP_BLOCK, group, sources: block });
  return records;
}
