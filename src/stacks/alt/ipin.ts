/**
 * From the link's frame to the transport: Ethernet (RFC 894) and IPv4 input (RFC 791, RFC 1122 §3.2.1). The lengths are checked here, once,
 * and trusted below. A packet that is not for this host is dropped: a host does not forward.
 */
import { PKT_BCAST, PKT_LOOP, PKT_MCAST, type RxPacket } from '../../kern/packet.ts';
import { get16, get32, get8 } from '../../wire/bytes.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHER_HDR_LEN, macEqual } from '../../wire/ethernet.ts';
import {
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IP_DST,
  IP_HDR_LEN,
  IP_ID,
  IP_LEN,
  IP_MF,
  IP_OFF,
  IP_OFFMASK,
  IP_PROTO,
  IP_SRC,
  IP_TTL,
  ipSumOk,
} from '../../wire/ipv4.ts';
import { ICMP_UNREACH, ICMP_UNREACH_PROTOCOL } from '../../wire/icmp.ts';
import type { Alt } from './alt.ts';
import { icmpInput } from './icmp.ts';
import { icmpError } from './icmperr.ts';
import type { NetIf } from './netif.ts';
import { tcpInput } from './tcp/input.ts';
import { udpInput } from './udp.ts';
import { KEEP_REASS } from './wheel.ts';

/** A frame of an Ethernet. */
export function etherInput(s: Alt, nif: NetIf, pkt: RxPacket): void {
  const b = pkt.bytes;
  const o = pkt.off;
  const ct = s.ct.ether;
  if (pkt.end - o < ETHER_HDR_LEN) {
    ct.runts++;
    return;
  }
  let flags = pkt.flags;
  if (!macEqual(b, o, nif.mac)) {
    if ((get8(b, o) & 1) === 0) {
      ct.notforus++;
      return;
    }
    flags |= get32(b, o) === -1 && get16(b, o + 4) === 0xffff ? PKT_BCAST : PKT_MCAST;
  }
  const type = get16(b, o + 12);
  if (type === ETHERTYPE_IPV4) ipInput(s, nif, b, o + ETHER_HDR_LEN, pkt.end, flags, pkt.gsoSize);
  else if (type === ETHERTYPE_ARP) s.arp.input(nif, b, o + ETHER_HDR_LEN, pkt.end);
  else ct.noproto++;
}

/** A packet of a link without a header of its own. */
export function rawInput(s: Alt, nif: NetIf, pkt: RxPacket): void {
  ipInput(s, nif, pkt.bytes, pkt.off, pkt.end, pkt.flags | (nif.loopback ? PKT_LOOP : 0), pkt.gsoSize);
}

function ipInput(s: Alt, nif: NetIf, b: Uint8Array, o: number, end: number, flags: number, gso: number): void {
  const ct = s.ct.ip;
  ct.total++;
  if (end - o < IP_HDR_LEN) {
    ct.tooshort++;
    return;
  }
  const vhl = get8(b, o);
  if (vhl >>> 4 !== 4) {
    ct.badvers++;
    return;
  }
  const hdrLen = (vhl & 0xf) << 2;
  if (hdrLen < IP_HDR_LEN || hdrLen > end - o) {
    ct.badhlen++;
    return;
  }
  const len = get16(b, o + IP_LEN);
  if (len < hdrLen || len > end - o) {
    ct.badlen++;
    return;
  }
  if (!ipSumOk(b, o, hdrLen)) {
    ct.badsum++;
    return;
  }
  const { pkt: p, routes } = s;
  const src = get32(b, o + IP_SRC);
  const dst = get32(b, o + IP_DST);
  // RFC 1122 §3.2.1.3: 127/8 never comes from a wire, and nothing comes from a group. Our own address as a source is a land attack.
  const loop = (flags & PKT_LOOP) !== 0;
  if (!routes.isSource(src) || (!loop && (src >>> 24 === 127 || dst >>> 24 === 127 || routes.isLocal(src)))) {
    ct.badaddr++;
    return;
  }
  const group = (flags & (PKT_BCAST | PKT_MCAST)) !== 0;
  let toGroup = group;
  if (!routes.isLocal(dst)) {
    if (!routes.isGroup(dst)) {
      ct.cantforward++;
      return;
    }
    toGroup = true;
  } else if (group) {
    // RFC 1122 §3.3.6: a unicast address in a link broadcast is dropped.
    ct.badaddr++;
    return;
  }
  p.bytes = b;
  p.ip = o;
  p.off = o + hdrLen;
  p.end = o + len;
  p.src = src;
  p.dst = dst;
  p.flags = flags;
  p.group = toGroup;
  p.gso = gso;
  p.superFrames = nif.superFrames;
  p.ttl = get8(b, o + IP_TTL);
  const proto = get8(b, o + IP_PROTO);
  const frag = get16(b, o + IP_OFF);
  if ((frag & (IP_MF | IP_OFFMASK)) !== 0) {
    s.wakeKeeper(KEEP_REASS, 1000);
    // A super-frame is no fragment, and a whole datagram's checksum is not known good when its pieces' were not summed.
    if (!s.reass.add(p, get16(b, o + IP_ID), proto, (frag & IP_OFFMASK) << 3, (frag & IP_MF) !== 0, s.time.ms)) return;
    p.flags &= PKT_LOOP;
  }
  ct.delivered++;
  if (proto === IPPROTO_TCP) tcpInput(s, nif);
  else if (proto === IPPROTO_UDP) udpInput(s, nif);
  else if (proto === IPPROTO_ICMP) icmpInput(s, nif);
  else {
    ct.delivered--;
    ct.noproto++;
    icmpError(s, ICMP_UNREACH, ICMP_UNREACH_PROTOCOL, 0);
  }
}
