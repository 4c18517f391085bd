/**
 * Input: from a packet to the connection it belongs to (RFC 9293 §3.10.7). The header is checked once; then one lookup finds a
 * connection in any form, or a listener, or nobody.
 */
import { PKT_CSUM_OK, type RxPacket } from '../../../kern/packet.ts';
import { get16, get32 } from '../../../wire/bytes.ts';
import { pseudoSum, sum16 } from '../../../wire/checksum.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import {
  TCP_ACK,
  TCP_DPORT,
  TCP_HDR_LEN,
  TCP_SEQ,
  TCP_SPORT,
  TCP_URP,
  TCP_WIN,
  TH_FIN,
  TH_SYN,
  parseTcpOptions,
  tcpFlags,
  tcpHdrLen,
} from '../../../wire/tcp.ts';
import type { IpIn } from '../contract.ts';
import { CONN_NEAR, CONN_SYN, CONN_TCB } from './conn.ts';
import { Segment, type TcpInst } from './inst.ts';
import { listenInput, synConnInput } from './listen.ts';
import { sendReset } from './respond.ts';
import { segmentInput } from './seginput.ts';
import type { SynConn } from './syncache.ts';
import { TF_DEAD, type Tcb } from './tcb.ts';
import type { TimeWaitConn } from './timewait.ts';

export class Input {
  readonly #tcp: TcpInst;
  /** The segment at hand: input never nests, because output waits for the end of the batch. */
  #seg: Segment | null = null;

  constructor(tcp: TcpInst) {
    this.#tcp = tcp;
  }

  /** One packet: `pkt.off` is at the TCP header, `pkt.end` behind its last byte. */
  input(pkt: RxPacket, ip: IpIn): void {
    const tcp = this.#tcp;
    const { stats } = tcp;
    const b = pkt.bytes;
    const o = pkt.off;
    const len = pkt.end - o;
    stats.rcvtotal++;
    if (len < TCP_HDR_LEN) {
      stats.rcvshort++;
      return;
    }
    const hdrLen = tcpHdrLen(b, o);
    if (hdrLen < TCP_HDR_LEN || hdrLen > len) {
      stats.rcvbadoff++;
      return;
    }
    if ((pkt.flags & PKT_CSUM_OK) === 0 && sum16(b, o, len, pseudoSum(ip.src, ip.dst, IPPROTO_TCP, len)) !== 0xffff) {
      stats.rcvbadsum++;
      return;
    }
    // MUST-57
    if (ip.group) {
      stats.rcvgroup++;
      return;
    }
    const seg = (this.#seg ??= new Segment(pkt, ip));
    seg.pkt = pkt;
    seg.ip = ip;
    seg.bytes = b;
    seg.off = o;
    seg.data = o + hdrLen;
    seg.len = len - hdrLen;
    seg.seq = get32(b, o + TCP_SEQ);
    seg.ack = get32(b, o + TCP_ACK);
    seg.flags = tcpFlags(b, o);
    seg.syn = (seg.flags & TH_SYN) !== 0;
    seg.carries = seg.len > 0 || (seg.flags & TH_FIN) !== 0;
    seg.wnd = get16(b, o + TCP_WIN);
    seg.urp = get16(b, o + TCP_URP);
    seg.gsoSize = pkt.gsoSize;
    if (!parseTcpOptions(b, o + TCP_HDR_LEN, o + hdrLen, seg.opts)) stats.rcvbadopt++;

    const lport = get16(b, o + TCP_DPORT);
    const fport = get16(b, o + TCP_SPORT);
    const conn = tcp.conns.find(ip.dst, ip.src, lport, fport);
    if (conn === null) {
      this.#listener(seg, lport, fport, null);
    } else if (conn.kind === CONN_TCB) {
      segmentInput(tcp, conn as Tcb, seg);
    } else if (conn.kind === CONN_SYN) {
      const sc = conn as SynConn;
      if (this.#tooFar(seg, sc.listener)) return;
      const tcb = synConnInput(tcp, sc, seg);
      if (tcb !== null && (tcb.flags & TF_DEAD) === 0) segmentInput(tcp, tcb, seg);
    } else if (conn.kind === CONN_NEAR) {
      if (!this.#tooFar(seg, conn as Tcb)) segmentInput(tcp, conn as Tcb, seg);
    } else {
      const tw = conn as TimeWaitConn;
      if (ip.ttl < tw.minTtl) stats.minttl++;
      else if (tcp.timewait.input(tw, seg)) this.#listener(seg, lport, fport, tw);
    }
  }

  #listener(seg: Segment, lport: number, fport: number, old: TimeWaitConn | null): void {
    const tcp = this.#tcp;
    const listener = tcp.ports.findListener(seg.ip.dst, lport);
    if (listener === null) {
      // CLOSED: RFC 9293 §3.10.7.1.
      tcp.stats.noport++;
      sendReset(tcp, seg);
      return;
    }
    if (this.#tooFar(seg, listener)) return;
    const tcb = listenInput(tcp, listener, seg, lport, fport, old);
    if (tcb !== null && (tcb.flags & TF_DEAD) === 0) segmentInput(tcp, tcb, seg);
  }
  /** It came further than the socket allows (RFC 5082 §3; ip(4), IP_MINTTL). Not even an answer: its sender may be anybody. */
  #tooFar(seg: Segment, tcb: Tcb): boolean {
    const { options } = tcb;
    if (options === null || seg.ip.ttl >= options.minTtl) return false;
    this.#tcp.stats.minttl++;
    return true;
  }
}
