/**
 * Makes the segments of a connection: payload from the send buffer (copied into the frame's own buffer when it fits, by reference
 * otherwise), options, header, and the pseudo-header's sum; the link or the network layer finishes the checksum.
 */
import { TX_CSUM, TX_TSO4, TX_TSO6, type TxPacket } from '../../../kern/packet.ts';
import { isV4 } from '../../../wire/addr.ts';
import { put16 } from '../../../wire/bytes.ts';
import { fold } from '../../../wire/checksum.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import { seqGt } from '../../../wire/seq.ts';
import {
  TCPOLEN_TSTAMP_APPA,
  TCP_HDR_LEN,
  TCP_HDR_MAX,
  TCP_MAX_SACK,
  TCP_SUM,
  TCP_URP,
  TH_ACK,
  TH_FIN,
  TH_SYN,
  TH_URG,
  accEcnLen,
  putTcp,
  putTstamp,
  putUto,
} from '../../../wire/tcp.ts';
import type { Route } from '../contract.ts';
import { type AccEcn, accFields, accOptionDue, accPutOption } from './accecn.ts';
import { ecnFresh, ecnHow, ecnOutput, ecnSynAckFlags, ecnSynFlags } from './ecn.ts';
import {
  FASTOPEN_COOKIE_LEN,
  type FastOpen,
  fastOpenLen,
  fastOpenOffer,
  putFastOpenClient,
  putFastOpenCookie,
} from './fastopen.ts';
import type { TcpInst } from './inst.ts';
import { headersLen, mssOfPeer, mssToOffer, mssUpdate } from './mss.ts';
import { putSack, putSynOptions, synOptionsLen } from './options.ts';
import { TF_ACKNOW, TF_DELACK, TF_FORCE, TF_REQ_SCALE, TF_SACK, TF_TSTMP, T_DELACK, type Tcb } from './tcb.ts';
import { timerStop } from './timerset.ts';
import { UTO_LEN, type Uto } from './usertimeout.ts';
import { TCP_MAXWIN, takeWindowField } from './window.ts';

export class SegmentMaker {
  readonly #tcp: TcpInst;
  /** Edges of the SACK blocks of the segment at hand. */
  readonly #edges = new Int32Array(2 * TCP_MAX_SACK);

  constructor(tcp: TcpInst) {
    this.#tcp = tcp;
  }

  /**
   * Sends `len` bytes of `so.snd` from `at` with sequence number `seq`. `sack`: with SACK blocks, if there are any (only without
   * data: full segments leave no room). False: the interface has no slot.
   */
  data(tcb: Tcb, route: Route, seq: number, at: number, len: number, flags: number, sack: boolean): boolean {
    const tcp = this.#tcp;
    const pkt = route.ifp.txAlloc();
    if (pkt === null) {
      tcp.stats.sndnobufs++;
      return false;
    }
    if (len > 0) {
      const { snd } = tcb.so;
      if (len <= pkt.room()) snd.copyOut(at, len, pkt.bytes, pkt.append(len));
      else snd.addFrags(at, len, pkt);
    }
    const ts = (tcb.flags & TF_TSTMP) !== 0;
    let hdrLen = ts ? TCP_HDR_LEN + TCPOLEN_TSTAMP_APPA : TCP_HDR_LEN;
    const { ecn } = tcb;
    const fresh = ecn !== null && ecnFresh(tcb, seq, len, (tcb.flags & TF_FORCE) !== 0);
    const fields = ecn === null || ecn.acc === null ? -1 : this.#accFields(tcb, ecn.acc, hdrLen, len, fresh, sack);
    if (fields >= 0) hdrLen += accEcnLen(fields);
    const uto = tcb.uto !== null && this.#utoDue(tcb, tcb.uto, hdrLen, len, fields) ? tcb.uto : null;
    if (uto !== null) hdrLen += UTO_LEN;
    let blocks = 0;
    if (sack && tcb.reass !== null && (tcb.flags & TF_SACK) !== 0) {
      blocks = tcb.reass.sackBlocks(this.#edges, Math.min((TCP_HDR_MAX - 4 - hdrLen) >> 3, TCP_MAX_SACK));
      if (blocks > 0) hdrLen += 4 + 8 * blocks;
      if (tcb.reass.empty()) tcb.reass = null;
    }
    const o = pkt.prepend(hdrLen);
    const b = pkt.bytes;
    let opt = o + TCP_HDR_LEN;
    if (ts) {
      putTstamp(b, opt, (tcp.time.ms + tcb.tsOffset) | 0, tcb.tsRecent);
      opt += TCPOLEN_TSTAMP_APPA;
    }
    if (fields >= 0 && ecn !== null && ecn.acc !== null) {
      accPutOption(ecn.acc, b, opt, fields, len);
      opt += accEcnLen(fields);
    }
    if (uto !== null) {
      putUto(b, opt, uto.field());
      opt += UTO_LEN;
      uto.due = false;
      tcp.stats.utosent++;
    }
    if (blocks > 0) putSack(b, opt, this.#edges, blocks);
    const { urgent } = tcb;
    let urp = 0;
    if (urgent !== null && urgent.hasSnd && seqGt(urgent.sndUp, seq)) {
      flags |= TH_URG;
      const ahead = (urgent.sndUp - seq) | 0;
      urp = ahead > 0xffff ? 0xffff : ahead;
      tcp.stats.sndurg++;
    }
    let { how } = tcb;
    if (ecn !== null) {
      flags |= ecnOutput(tcb, ecn, fresh, len === 0 && blocks === 0 && (flags & TH_FIN) === 0);
      how = ecnHow(tcb, ecn, fresh);
    }
    putTcp(b, o, tcb.lport, tcb.fport, seq, tcb.rcvNxt, hdrLen, flags, takeWindowField(tcb));
    put16(b, o + TCP_URP, urp);
    const total = hdrLen + len;
    put16(b, o + TCP_SUM, fold(tcb.phSum + total));
    pkt.csumStart = o;
    pkt.csumOffset = TCP_SUM;
    if (len > tcb.mss) {
      pkt.flags |= TX_CSUM | (isV4(tcb.faddr) ? TX_TSO4 : TX_TSO6);
      pkt.gsoSize = tcb.mss;
    } else {
      pkt.flags |= TX_CSUM;
    }
    this.#acked(tcb);
    tcp.stats.sndtotal++;
    const err = tcp.ip.output(pkt, route, tcb.laddr, tcb.faddr, IPPROTO_TCP, how);
    if (err === null) return true;
    tcp.stats.snderror++;
    // The path turned out narrower than the route said when the segment was made.
    if (err === 'EMSGSIZE') mssUpdate(tcb, route);
    else tcb.softError = err;
    return true;
  }

  /** The user timeout is to be told, and there is room for it beside the data, or beside two SACK blocks. */
  #utoDue(tcb: Tcb, uto: Uto, hdrLen: number, len: number, fields: number): boolean {
    if (!uto.due || !uto.enabled) return false;
    if (len > 0) return len + UTO_LEN + (fields < 0 ? 0 : accEcnLen(fields)) <= tcb.mss;
    return hdrLen + UTO_LEN + (tcb.reass === null ? 0 : 20) <= TCP_HDR_MAX;
  }

  /** Fields of the AccECN option that goes along; -1: none does. Room for two SACK blocks comes first (RFC 9768 §3.2.3.3). */
  #accFields(tcb: Tcb, acc: AccEcn, hdrLen: number, len: number, fresh: boolean, sack: boolean): number {
    if (!accOptionDue(acc, len, fresh)) return -1;
    if (len > 0) return accFields(acc, tcb.mss - len);
    const { reass } = tcb;
    const blocks = sack && reass !== null && (tcb.flags & TF_SACK) !== 0 ? Math.min(reass.blocks(), 2) : 0;
    return accFields(acc, TCP_HDR_MAX - hdrLen - (blocks > 0 ? 4 + 8 * blocks : 0));
  }

  /**
   * Sends our SYN, or SYN,ACK where the peer's SYN has come (simultaneous open, fast open). How many bytes of data went with it; -1: no slot.
   */
  syn(tcb: Tcb, route: Route, flags: number): number {
    const tcp = this.#tcp;
    const pkt = route.ifp.txAlloc();
    if (pkt === null) {
      tcp.stats.sndnobufs++;
      return -1;
    }
    const ts = (tcb.flags & TF_TSTMP) !== 0;
    const sack = (tcb.flags & TF_SACK) !== 0;
    const passive = (flags & TH_ACK) !== 0;
    const scale = (tcb.flags & TF_REQ_SCALE) !== 0 ? tcb.rcvScale : -1;
    const plainLen = TCP_HDR_LEN + synOptionsLen(ts, sack, scale);
    const { tfo } = tcb;
    const offer = passive || tfo === null ? null : fastOpenOffer(tcp, tcb);
    let hdrLen = plainLen;
    if (offer !== null) hdrLen += fastOpenLen(offer.cookie === null ? 0 : offer.cookie.length);
    else if (tfo !== null && tfo.renew) hdrLen += FASTOPEN_COOKIE_LEN;
    const utoAt = hdrLen;
    const uto = tcb.uto !== null && tcb.uto.enabled && hdrLen + UTO_LEN <= TCP_HDR_MAX ? tcb.uto : null;
    if (uto !== null) hdrLen += UTO_LEN;
    let n = 0;
    if (offer !== null && offer.cookie !== null) n = this.#synData(tcb, tfo as FastOpen, route, pkt, offer.mss, hdrLen);
    if (offer !== null) (tfo as FastOpen).asked = true;
    const again = tcb.sndMax !== tcb.iss;
    if (!passive) flags |= ecnSynFlags(tcb, again);
    else flags |= ecnSynAckFlags(tcb);
    const o = pkt.prepend(hdrLen);
    // The window of a SYN is not scaled: RFC 7323 §2.2.
    const win = Math.min(tcb.so.rcv.space(), TCP_MAXWIN);
    putTcp(pkt.bytes, o, tcb.lport, tcb.fport, tcb.iss, passive ? tcb.rcvNxt : 0, hdrLen, flags | TH_SYN, win);
    const mss = mssToOffer(route, tcb.faddr, tcb.options === null ? 0 : tcb.options.maxseg);
    const tsVal = (tcp.time.ms + tcb.tsOffset) | 0;
    putSynOptions(pkt.bytes, o + TCP_HDR_LEN, mss, ts, sack, scale, tsVal, tcb.tsRecent);
    if (offer !== null) putFastOpenClient(pkt.bytes, o + plainLen, offer.cookie);
    else if (tfo !== null && tfo.renew) putFastOpenCookie(tcp, pkt.bytes, o + plainLen, tcb.laddr, tcb.faddr);
    if (uto !== null) putUto(pkt.bytes, o + utoAt, uto.field());
    put16(pkt.bytes, o + TCP_SUM, fold(tcb.phSum + hdrLen + n));
    pkt.csumStart = o;
    pkt.csumOffset = TCP_SUM;
    pkt.flags |= TX_CSUM;
    if (passive) {
      const edge = (tcb.rcvNxt + win) | 0;
      if (seqGt(edge, tcb.rcvAdv)) tcb.rcvAdv = edge;
      this.#acked(tcb);
    }
    tcp.stats.sndtotal++;
    tcp.stats.sndctrl++;
    const err = tcp.ip.output(pkt, route, tcb.laddr, tcb.faddr, IPPROTO_TCP, tcb.how);
    if (err !== null) {
      tcp.stats.snderror++;
      tcb.softError = err;
    }
    return n;
  }

  /** Data into our first SYN (RFC 7413 §4.2.1): as much as one segment takes that the server is known to accept. */
  #synData(tcb: Tcb, tfo: FastOpen, route: Route, pkt: TxPacket, peerMss: number, hdrLen: number): number {
    const tcp = this.#tcp;
    const mss = Math.min(mssOfPeer(tcp, tcb.faddr, peerMss), route.mtu - headersLen(tcb.faddr));
    const n = Math.min(tcb.so.snd.cc, mss - (hdrLen - TCP_HDR_LEN), pkt.room());
    if (n <= 0) return 0;
    tcb.so.snd.copyOut(0, n, pkt.bytes, pkt.append(n));
    tfo.synData = n;
    tcp.stats.tfo_active++;
    return n;
  }

  /** What we owed is paid by the segment that goes out. */
  #acked(tcb: Tcb): void {
    tcb.lastAckSent = tcb.rcvNxt;
    tcb.flags &= ~(TF_ACKNOW | TF_DELACK);
    timerStop(tcb, T_DELACK);
  }
}
