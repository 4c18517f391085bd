/**
 * IPv4 output of datagrams (RFC 791, RFC 1122 §3.2, RFC 6864), which are cut where they are longer than the link takes. TCP writes all of
 * its headers itself (tcp/emit.ts).
 */
import type { Errno } from '../../kern/errno.ts';
import { type TxPacket, TX_HEADROOM, TX_SLOT } from '../../kern/packet.ts';
import { put16 } from '../../wire/bytes.ts';
import { complement, sum16 } from '../../wire/checksum.ts';
import { IP_DF, IP_HDR_LEN, IP_MAXPACKET, IP_MF, putIpv4 } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import { hashStrong } from './hash.ts';
import type { NetIf } from './netif.ts';
import { pseudo4, putTxSum, udpZeroSum } from './offload.ts';

/** Payload of a datagram that a slot holds in one piece. Longer ones leave as fragments even where the link would take them whole. */
const SLOT_PAYLOAD = TX_SLOT - TX_HEADROOM;

/** How a datagram is to be sent. One object of each user, filled again. */
export class IpHow {
  proto = 0;
  src = 0;
  dst = 0;
  tos = 0;
  ttl = 0;
  df = false;
  /** Place of the checksum in the transport header that is still to be computed; -1: it is there. */
  sumField = -1;
  /** ARP entry that the last datagram of this user went to, plus 1: brought up to date. */
  hint = 0;
}

/** A datagram being made: its header and way. */
export class Datagram {
  readonly hdr = new Uint8Array(8);
  readonly how = new IpHow();
  constructor(proto: number) {
    this.how.proto = proto;
  }
}

/** Writes the IP header in front of what is in `pkt` and hands it to the link. */
function ipFinish(s: Alt, nif: NetIf, pkt: TxPacket, how: IpHow, id: number, off: number, nexthop: number, group: boolean): void {
  const len = pkt.length() + IP_HDR_LEN;
  const h = pkt.prepend(IP_HDR_LEN);
  putIpv4(pkt.bytes, h, len, id, off, how.tos, how.ttl, how.proto, how.src, how.dst);
  s.ct.ip.localout++;
  how.hint = s.arp.output(nif, nexthop, group, pkt, how.hint);
}

/** An ID that is not used again between these hosts for long, and that a third cannot count (RFC 6864, RFC 7739). */
function nextId(s: Alt, how: IpHow): number {
  s.ipId = (s.ipId + 1) & 0xffff;
  return (hashStrong(s.secretKey, how.src, how.dst, how.proto, 0x6964) + s.ipId) & 0xffff;
}

/**
 * Sends `hdr[0..hdrLen)` followed by `data[off..off + len)` as one datagram. `hdrLen` is even and at most 8. ENETUNREACH without a route,
 * EMSGSIZE for what cannot be sent, ENOBUFS when the link has no slot.
 */
export function ipDatagram(
  s: Alt,
  how: IpHow,
  hdr: Uint8Array,
  hdrLen: number,
  data: Uint8Array,
  off: number,
  len: number,
): Errno | null {
  const { routes } = s;
  const total = hdrLen + len;
  if (!routes.lookup(how.dst)) {
    s.ct.ip.noroute++;
    return 'ENETUNREACH';
  }
  const nif = s.ifs[routes.ix] ?? null;
  if (nif === null) {
    s.ct.ip.noroute++;
    return 'ENETUNREACH';
  }
  const { nexthop, group } = routes;
  if (how.src === 0) how.src = routes.src;
  // RFC 1122 §3.2.1.3 (g): a source in 127/8 never leaves this host.
  if (how.src >>> 24 === 127 && !nif.loopback) {
    s.ct.ip.badaddr++;
    return 'EADDRNOTAVAIL';
  }
  if (total + IP_HDR_LEN > IP_MAXPACKET) return 'EMSGSIZE';
  if (total + IP_HDR_LEN <= nif.mtu && total <= SLOT_PAYLOAD)
    return sendWhole(s, nif, how, hdr, hdrLen, data, off, len, nexthop, group);
  if (how.df) {
    s.ct.ip.cantfrag++;
    return 'EMSGSIZE';
  }
  return sendFragments(s, nif, how, hdr, hdrLen, data, off, len, nexthop, group);
}

function sendWhole(
  s: Alt,
  nif: NetIf,
  how: IpHow,
  hdr: Uint8Array,
  hdrLen: number,
  data: Uint8Array,
  off: number,
  len: number,
  nexthop: number,
  group: boolean,
): Errno | null {
  const pkt = nif.alloc();
  if (pkt === null) {
    s.ct.ip.odropped++;
    return 'ENOBUFS';
  }
  const b = pkt.bytes;
  const th = pkt.append(hdrLen + len);
  for (let k = 0; k < hdrLen; k++) b[th + k] = hdr[k] as number;
  copyBytes(data, off, len, b, th + hdrLen);
  if (how.sumField >= 0) {
    putTxSum(pkt, nif.txcsum, th, how.sumField, pseudo4(how.src, how.dst, how.proto, hdrLen + len));
    udpZeroSum(pkt);
  }
  ipFinish(s, nif, pkt, how, how.df ? 0 : nextId(s, how), how.df ? IP_DF : 0, nexthop, group);
  return null;
}

/** Small copies by hand: a view of the source costs more than the bytes, and is garbage. */
export function copyBytes(src: Uint8Array, off: number, len: number, dst: Uint8Array, at: number): void {
  if (len <= 128) for (let k = 0; k < len; k++) dst[at + k] = src[off + k] as number;
  else dst.set(src.subarray(off, off + len), at);
}

/** RFC 791 §3.2: pieces of a multiple of 8 bytes. The checksum is summed here, before the cut. */
function sendFragments(
  s: Alt,
  nif: NetIf,
  how: IpHow,
  hdr: Uint8Array,
  hdrLen: number,
  data: Uint8Array,
  off: number,
  len: number,
  nexthop: number,
  group: boolean,
): Errno | null {
  const total = hdrLen + len;
  if (how.sumField >= 0) {
    put16(hdr, how.sumField, 0);
    const pseudo = pseudo4(how.src, how.dst, how.proto, total);
    put16(hdr, how.sumField, complement(sum16(data, off, len, sum16(hdr, 0, hdrLen, pseudo))) || 0xffff);
  }
  const step = Math.min(nif.mtu - IP_HDR_LEN, SLOT_PAYLOAD) & ~7;
  const id = nextId(s, how);
  s.ct.ip.fragmented++;
  for (let pos = 0; pos < total; pos += step) {
    const pkt = nif.alloc();
    if (pkt === null) {
      s.ct.ip.odropped++;
      return 'ENOBUFS';
    }
    const size = Math.min(step, total - pos);
    const th = pkt.append(size);
    if (pos === 0) {
      pkt.bytes.set(hdr.subarray(0, hdrLen), th);
      copyBytes(data, off, size - hdrLen, pkt.bytes, th + hdrLen);
    } else {
      copyBytes(data, off + pos - hdrLen, size, pkt.bytes, th);
    }
    s.ct.ip.ofragments++;
    ipFinish(s, nif, pkt, how, id, (pos >> 3) | (pos + size < total ? IP_MF : 0), nexthop, group);
  }
  return null;
}
