/**
 * Between the interface and IP: takes the Ethernet header off and puts it on (RFC 894, RFC 1112 §6.4). Links without a link header
 * (loopback, tunnels) carry IP packets as they are.
 */
import type { Errno } from '../../kern/errno.ts';
import { IFF_PROMISC } from '../../kern/ifnet/flags.ts';
import type { FrameInput } from '../../kern/netstack.ts';
import { PKT_BCAST, PKT_LOOP, PKT_MCAST, type RxPacket, type TxPacket } from '../../kern/packet.ts';
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHER_BROADCAST,
  ETHER_HDR_LEN,
  ETHER_TYPE,
  etherType,
  macEqual,
  macIsBroadcast,
  macIsGroup,
  putEther,
} from '../../wire/ethernet.ts';
import { put16, put32 } from '../../wire/bytes.ts';
import { ARP_GONE, ARP_REACHABLE } from './arp.ts';
import type { ArpInput } from './arpinput.ts';
import type { InetIf } from './netif.ts';
import type { InetRoute } from './routes.ts';
import type { EtherStat } from './stats.ts';

/** A type below this is a length (IEEE 802.3 §3.2.6). */
const ETHERTYPE_MIN = 1536;

export type IpInputFn = (pkt: RxPacket, nif: InetIf) => void;

/** The input routine of an Ethernet: for us, for all, or for a group that the network layer decides about. */
export function etherInput(nif: InetIf, stat: EtherStat, arp: ArpInput, ipInput: IpInputFn): FrameInput {
  return (pkt) => {
    const b = pkt.bytes;
    const o = pkt.off;
    if (pkt.end - o < ETHER_HDR_LEN) {
      stat.runts++;
      return;
    }
    if (macIsGroup(b, o)) {
      pkt.flags |= macIsBroadcast(b, o) ? PKT_BCAST : PKT_MCAST;
    } else if (!macEqual(b, o, nif.mac)) {
      // A promiscuous interface shows frames to who watches the link; the stack still is not meant.
      if ((nif.ifp.flags() & IFF_PROMISC) === 0) stat.notforus++;
      return;
    }
    pkt.off = o + ETHER_HDR_LEN;
    const type = etherType(b, o);
    if (type === ETHERTYPE_IPV4) ipInput(pkt, nif);
    else if (type === ETHERTYPE_ARP) arp.input(pkt);
    else if (type < ETHERTYPE_MIN) stat.llc++;
    else stat.noproto++;
  };
}

/** The input routine of a link without a link header: IP packets. */
export function plainInput(nif: InetIf, ipInput: IpInputFn): FrameInput {
  return nif.loopback
    ? (pkt) => {
        pkt.flags |= PKT_LOOP;
        ipInput(pkt, nif);
      }
    : (pkt) => ipInput(pkt, nif);
}

/** Sends an IPv4 packet over an Ethernet; takes the slot in every case. EHOSTUNREACH while the neighbour does not answer. */
export function etherOutput(pkt: TxPacket, route: InetRoute): Errno | null {
  const { nif } = route;
  let entry = route.arp;
  if (entry === null || entry.state === ARP_GONE) {
    if (route.broadcast || route.multicast) return groupOutput(pkt, route);
    if (nif.arp === null) {
      nif.ifp.txFree(pkt);
      return 'EHOSTUNREACH';
    }
    entry = nif.arp.resolve(route.nextHop);
    route.arp = entry;
  }
  entry.used = true;
  if (entry.state < ARP_REACHABLE) return nif.arp === null ? 'EHOSTUNREACH' : nif.arp.hold(entry, pkt);
  putEther(pkt.bytes, pkt.prepend(ETHER_HDR_LEN), entry.mac, nif.mac, ETHERTYPE_IPV4);
  return nif.ifp.transmit(pkt);
}

/** Broadcast, or the address that a group maps to: 01-00-5e and the low 23 bits. */
function groupOutput(pkt: TxPacket, { nif, broadcast, dst }: InetRoute): Errno | null {
  const b = pkt.bytes;
  const o = pkt.prepend(ETHER_HDR_LEN);
  if (broadcast) b.set(ETHER_BROADCAST, o);
  else {
    put16(b, o, 0x0100);
    put32(b, o + 2, 0x5e000000 | (dst.w3 & 0x7fffff));
  }
  b.set(nif.mac, o + 6);
  put16(b, o + ETHER_TYPE, ETHERTYPE_IPV4);
  return nif.ifp.transmit(pkt);
}
