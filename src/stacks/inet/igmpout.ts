/**
 * IGMP messages on their way out (RFC 3376 §4): with TTL 1, precedence "internetwork control" and the router alert option (RFC 2113), from
 * the interface's address or from 0.0.0.0 (§4.2.13). Records that fill a packet go on in the next (§4.2.16).
 */
import type { TxPacket } from '../../kern/packet.ts';
import { copyAddr, ipv4 } from '../../wire/addr.ts';
import { put16, put32 } from '../../wire/bytes.ts';
import {
  ALL_V3_ROUTERS,
  IGMP_LEN,
  IGMP_MODE_IS_EXCLUDE,
  IGMP_NREC,
  IGMP_RECORD_LEN,
  IGMP_REPORT_LEN,
  IGMP_TO_EXCLUDE,
  IGMP_V3_REPORT,
  putIgmp,
  putIgmpSum,
} from '../../wire/igmp.ts';
import { IPPROTO_IGMP, IP_HDR_LEN, IP_VHL, putIpSum, putIpv4 } from '../../wire/ipv4.ts';
import type { IpOutput } from './ipoutput.ts';
import type { InetIf } from './netif.ts';
import { InetRoute, type Routes } from './routes.ts';
import type { IgmpStat } from './stats.ts';

/** Router alert, "every router shall look" (RFC 2113 §2.1). */
const ROUTER_ALERT = 0x94040000 | 0;
const HDR_LEN = IP_HDR_LEN + 4;
const TOS_NETCONTROL = 0xc0;
/** Longest packet, so that a slot holds it. */
const PACKET_MAX = 1500;

export interface IgmpRecord {
  readonly type: number;
  readonly group: number;
  readonly sources: readonly number[];
}

export class IgmpSender {
  readonly #out: IpOutput;
  readonly #routes: Routes;
  readonly #stat: IgmpStat;

  constructor(out: IpOutput, routes: Routes, stat: IgmpStat) {
    this.#out = out;
    this.#routes = routes;
    this.#stat = stat;
  }

  /** A message of version 1 or 2. */
  old(nif: InetIf, type: number, dst: number, group: number): void {
    const pkt = this.#alloc(nif);
    if (pkt === null) return;
    putIgmp(pkt.bytes, pkt.append(IGMP_LEN), type, group);
    this.#finish(pkt, nif, dst);
  }

  /** Reports of version 3 with these records: as many packets as they need. */
  report(nif: InetIf, records: readonly IgmpRecord[]): void {
    const room = Math.min(nif.mtu, PACKET_MAX) - HDR_LEN - IGMP_REPORT_LEN;
    const most = (room - IGMP_RECORD_LEN) >> 2;
    if (most < 1) return;
    let batch: IgmpRecord[] = [];
    let used = 0;
    const put = (record: IgmpRecord): void => {
      const size = IGMP_RECORD_LEN + record.sources.length * 4;
      if (used + size > room) {
        this.#reportOf(nif, batch);
        batch = [];
        used = 0;
      }
      batch.push(record);
      used += size;
    };
    for (const { type, group, sources } of records) {
      put({ type, group, sources: sources.slice(0, most) });
      // Of sources that are shut out the rest is not told: it is let in then, and dropped here.
      if (type === IGMP_MODE_IS_EXCLUDE || type === IGMP_TO_EXCLUDE) continue;
      for (let at = most; at < sources.length; at += most) put({ type, group, sources: sources.slice(at, at + most) });
    }
    if (batch.length > 0) this.#reportOf(nif, batch);
  }

  #reportOf(nif: InetIf, records: readonly IgmpRecord[]): void {
    const pkt = this.#alloc(nif);
    if (pkt === null) return;
    const b = pkt.bytes;
    const start = pkt.append(IGMP_REPORT_LEN);
    b.fill(0, start, start + IGMP_REPORT_LEN);
    b[start] = IGMP_V3_REPORT;
    put16(b, start + IGMP_NREC, records.length);
    for (const { type, group, sources } of records) {
      const at = pkt.append(IGMP_RECORD_LEN + sources.length * 4);
      b[at] = type;
      b[at + 1] = 0;
      put16(b, at + 2, sources.length);
      put32(b, at + 4, group);
      for (let i = 0; i < sources.length; i++) put32(b, at + IGMP_RECORD_LEN + i * 4, sources[i] as number);
    }
    putIgmpSum(b, start, pkt.end - start);
    this.#finish(pkt, nif, ALL_V3_ROUTERS);
  }

  #alloc(nif: InetIf): TxPacket | null {
    const pkt = nif.ifp.txAlloc();
    if (pkt === null) this.#stat.nobufs++;
    return pkt;
  }

  #finish(pkt: TxPacket, nif: InetIf, dst: number): void {
    const b = pkt.bytes;
    const len = pkt.length() + HDR_LEN;
    const at = pkt.prepend(HDR_LEN);
    const to = ipv4(dst);
    const src = nif.addrs.find((ifa) => ifa.addr.w3 === nif.primary4)?.addr ?? ipv4(0);
    const id = this.#out.ids.next(src, to, IPPROTO_IGMP);
    putIpv4(b, at, len, id, 0, TOS_NETCONTROL, 1, IPPROTO_IGMP, src.w3, dst);
    b[at + IP_VHL] = 0x46;
    put32(b, at + IP_HDR_LEN, ROUTER_ALERT);
    putIpSum(b, at, HDR_LEN);
    const route = new InetRoute(this.#routes, to, 0, nif, to, copyAddr(src), 'multicast');
    if (this.#out.sendGroup(pkt, route, false) === null) this.#stat.sent++;
    else this.#stat.nobufs++;
  }
}
