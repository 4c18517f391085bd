/**
 * IPv4 output (RFC 791, RFC 1122 §3.2, §3.3): header, checksum offload, fragments, and the hand-over to the link.
 */
import type { Errno } from '../../kern/errno.ts';
import { PKT_BCAST, PKT_MCAST, TX_CSUM, type TxPacket } from '../../kern/packet.ts';
import type { RandomSource } from '../../kern/effects.ts';
import type { IpAddr } from '../../wire/addr.ts';
import { IP_DF, IP_HDR_LEN, IP_MAXPACKET, IP_MF, IP_TTL, IP_VHL, putIpSum, putIpv4 } from '../../wire/ipv4.ts';
import type { IpOut, Route } from './contract.ts';
import { fragment } from './fragment.ts';
import { ALL_HOSTS } from './ifaddr.ts';
import { IpIds } from './ipid.ts';
import { etherOutput } from './link.ts';
import type { LoopQueue } from './loop.ts';
import { completeChecksum } from './offload.ts';
import type { InetRoute } from './routes.ts';
import type { IpStat } from './stats.ts';

export class IpOutput {
  readonly #stat: IpStat;
  readonly #loop: LoopQueue;
  readonly ids: IpIds;

  constructor(random: RandomSource, stat: IpStat, loop: LoopQueue) {
    this.#stat = stat;
    this.#loop = loop;
    this.ids = new IpIds(random);
  }

  /** As `NetworkLayer.output`. Every `Route` is one of ours. */
  output(pkt: TxPacket, route: Route, src: IpAddr, dst: IpAddr, protocol: number, how: IpOut): Errno | null {
    const r = route as InetRoute;
    // RFC 1112 §6.1: such a packet is for members on this host only.
    if (how.ttl === 0 && !(how.loop !== false && heardHere(r))) {
      this.#stat.ttlzero++;
      r.ifp.txFree(pkt);
      return null;
    }
    // RFC 1122 §3.2.1.3 (g): a source in 127/8 never leaves this host.
    if (src.w3 >>> 24 === 127 && !r.nif.loopback && !r.looped) {
      this.#stat.badaddr++;
      r.ifp.txFree(pkt);
      return 'EADDRNOTAVAIL';
    }
    const len = pkt.length() + IP_HDR_LEN;
    const df = how.df && !r.mayFragment;
    if (pkt.gsoSize === 0) {
      if ((pkt.flags & TX_CSUM) !== 0 && (len > r.mtu || !(r.nif.txcsum || r.looped))) {
        this.#stat.swcsum++;
        completeChecksum(pkt);
      }
      if (len > r.mtu) return this.#tooLong(pkt, r, src, dst, protocol, how, df);
    } else if (len > IP_MAXPACKET) {
      r.ifp.txFree(pkt);
      this.#stat.cantfrag++;
      return 'EMSGSIZE';
    }
    // An atomic datagram needs no identification (RFC 6864 §4.1).
    const id = df ? 0 : this.ids.next(src, dst, protocol);
    putIpv4(pkt.bytes, pkt.prepend(IP_HDR_LEN), len, id, df ? IP_DF : 0, how.tos, how.ttl, protocol, src.w3, dst.w3);
    this.#stat.localout++;
    return r.multicast ? this.sendGroup(pkt, r, how.loop !== false) : this.send(pkt, r);
  }

  /** Sends a packet that has its IP header; takes the slot in every case. */
  send(pkt: TxPacket, r: InetRoute): Errno | null {
    const { nif } = r;
    if (r.looped) {
      this.#loop.put(pkt, nif, 0);
      nif.ifp.txFree(pkt);
      return null;
    }
    if (!nif.ethernet) return nif.ifp.transmit(pkt);
    // Our own broadcast is for us too, and the link does not give it back (IFF_SIMPLEX).
    if (r.broadcast) this.#loop.put(pkt, nif, PKT_BCAST);
    return etherOutput(pkt, r);
  }

  /** As `send`, to a group: `loop` says whether members on this host hear it; with a TTL of 0 nobody else does (RFC 1112 §6.1). */
  sendGroup(pkt: TxPacket, r: InetRoute, loop: boolean): Errno | null {
    const { nif } = r;
    if (loop && heardHere(r)) this.#loop.put(pkt, nif, PKT_MCAST);
    if (pkt.bytes[pkt.off + IP_TTL] === 0) {
      nif.ifp.txFree(pkt);
      return null;
    }
    return nif.ethernet ? etherOutput(pkt, r) : nif.ifp.transmit(pkt);
  }

  /** As `output`, in one piece, with `optLen` bytes of `options`, a multiple of 4. The caller has made sure that it fits the path. */
  outputOptions(
    pkt: TxPacket,
    r: InetRoute,
    src: IpAddr,
    dst: IpAddr,
    protocol: number,
    how: IpOut,
    options: Uint8Array,
    optLen: number,
  ): Errno | null {
    const hdrLen = IP_HDR_LEN + optLen;
    const len = pkt.length() + hdrLen;
    const at = pkt.prepend(hdrLen);
    const b = pkt.bytes;
    putIpv4(b, at, len, this.ids.next(src, dst, protocol), 0, how.tos, how.ttl, protocol, src.w3, dst.w3);
    b[at + IP_VHL] = 0x40 | (hdrLen >> 2);
    for (let i = 0; i < optLen; i++) b[at + IP_HDR_LEN + i] = options[i] as number;
    putIpSum(b, at, hdrLen);
    this.#stat.localout++;
    return this.send(pkt, r);
  }

  #tooLong(pkt: TxPacket, r: InetRoute, src: IpAddr, dst: IpAddr, protocol: number, how: IpOut, df: boolean): Errno | null {
    const stat = this.#stat;
    const maxData = r.mtu - IP_HDR_LEN;
    if (df || maxData < 8 || pkt.length() + IP_HDR_LEN > IP_MAXPACKET) {
      stat.cantfrag++;
      r.ifp.txFree(pkt);
      return 'EMSGSIZE';
    }
    const id = this.ids.next(src, dst, protocol);
    const emit = (piece: TxPacket, off: number, more: boolean): Errno | null => {
      const len = piece.length() + IP_HDR_LEN;
      const word = (off >>> 3) | (more ? IP_MF : 0);
      putIpv4(piece.bytes, piece.prepend(IP_HDR_LEN), len, id, word, how.tos, how.ttl, protocol, src.w3, dst.w3);
      stat.ofragments++;
      return r.multicast ? this.sendGroup(piece, r, how.loop !== false) : this.send(piece, r);
    };
    const err = fragment<Errno>(pkt, r.ifp, maxData, emit, 'ENOBUFS');
    r.ifp.txFree(pkt);
    if (err === null) {
      stat.fragmented++;
      stat.localout++;
    } else stat.odropped++;
    return err;
  }
}

/** Members of the group on this host, on the interface that it goes out on, hear it by a copy. */
function heardHere({ multicast, nif, dst }: InetRoute): boolean {
  return multicast && !nif.loopback && (dst.w3 === ALL_HOSTS || nif.hears(dst.w3));
}
