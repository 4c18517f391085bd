/**
 * UDP (RFC 768, RFC 1122 §4.1): from the network layer to sockets and back. A datagram allocates nothing: the sender's address is one
 * buffer per stack, the route is kept on the socket, and a service may answer from inside its `datagram` routine.
 */
import type { Errno, Result } from '../../kern/errno.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { PKT_CSUM_OK, type RxPacket, TX_CSUM } from '../../kern/packet.ts';
import type { ControlMsg } from '../../kern/socket/protosw.ts';
import { SO_BROADCAST, SO_REUSEADDR, SO_REUSEPORT } from '../../kern/socket/soconst.ts';
import type { Socket } from '../../kern/socket/socket.ts';
import { sorcvdgram, soseterror } from '../../kern/socket/upcalls.ts';
import { ANY4, InetSockAddrBuf, type IpAddr, IpAddrBuf, addrEqual, isAny, isMulticast, isV4 } from '../../wire/addr.ts';
import { get16 } from '../../wire/bytes.ts';
import { pseudoSum, sum16 } from '../../wire/checksum.ts';
import { IPPROTO_UDP, IP_HDR_LEN, IP_MAXPACKET, ipLen } from '../../wire/ipv4.ts';
import { UDP_DPORT, UDP_HDR_LEN, UDP_LEN, UDP_SPORT, UDP_SUM, putUdp } from '../../wire/udp.ts';
import type { CtlKind, IpIn, Route, Transport } from './contract.ts';
import { SendControl, ipSaveControl } from './ipcontrol.ts';
import type { Ip } from './ip.ts';
import { IpOptions } from './ipsockopt.ts';
import { type Membership, NO_GROUPS, hearsGroup } from './mcastgroup.ts';
import { PayloadWriter } from './payload.ts';
import { InPcb, PcbTable } from './pcbtable.ts';
import type { UdpStat } from './stats.ts';

/** Longest data of a datagram. */
export const UDP_MAXDATA = IP_MAXPACKET - IP_HDR_LEN - UDP_HDR_LEN;

/** What an ICMP error is to a socket (inetctlerrmap); null: nothing. */
const ERRORS: Readonly<Record<CtlKind, Errno | null>> = {
  'unreach-net': 'EHOSTUNREACH',
  'unreach-host': 'EHOSTUNREACH',
  'unreach-protocol': 'ECONNREFUSED',
  'unreach-port': 'ECONNREFUSED',
  needfrag: 'EMSGSIZE',
  timxceed: null,
  paramprob: 'ENOPROTOOPT',
  quench: null,
};

export class UdpPcb extends InPcb {
  readonly so: Socket;
  readonly how: IpOptions;
  /** Way to the last destination. */
  route: Route | null = null;
  /** What `bind` gave: the local address while there is no peer. */
  readonly bound = new IpAddrBuf().set(ANY4);
  /** That is a group's, which can be no source. */
  group = false;
  groups: readonly Membership[] = NO_GROUPS;

  constructor(so: Socket, ttl: number) {
    super();
    this.so = so;
    this.how = new IpOptions(ttl);
  }
}

export class Udp implements Transport {
  readonly protocol = IPPROTO_UDP;
  /** Compute checksums; say nothing on closed ports; buffers of new sockets in bytes: sysctls. */
  checksum = true;
  blackhole = false;
  sendspace = 65535;
  recvspace = 256 * 1024;
  readonly table: PcbTable<UdpPcb>;
  readonly stat: UdpStat;
  readonly ip: Ip;
  readonly #payload: PayloadWriter;
  readonly #from = new InetSockAddrBuf();
  /** What the send at hand says of its packet. */
  readonly #said = new SendControl();

  constructor(kernel: Kernel, ip: Ip, stat: UdpStat) {
    this.ip = ip;
    this.stat = stat;
    this.table = new PcbTable(kernel.random.u32() | 0);
    this.#payload = new PayloadWriter(kernel.bufpool);
  }

  input(pkt: RxPacket, ip: IpIn): void {
    const stat = this.stat;
    const b = pkt.bytes;
    const o = pkt.off;
    stat.ipackets++;
    if (pkt.end - o < UDP_HDR_LEN) {
      stat.hdrops++;
      return;
    }
    const len = get16(b, o + UDP_LEN);
    if (len < UDP_HDR_LEN || len > pkt.end - o) {
      stat.badlen++;
      return;
    }
    if (get16(b, o + UDP_SUM) === 0) {
      stat.nosum++;
      // RFC 8200 §8.1: only IPv4 may do without.
      if (!isV4(ip.dst)) {
        stat.badsum++;
        return;
      }
    } else if ((pkt.flags & PKT_CSUM_OK) === 0 && sum16(b, o, len, pseudoSum(ip.src, ip.dst, IPPROTO_UDP, len)) !== 0xffff) {
      stat.badsum++;
      return;
    }
    const sport = get16(b, o + UDP_SPORT);
    const dport = get16(b, o + UDP_DPORT);
    if (ip.group) {
      this.#toGroup(pkt, ip, sport, dport, len);
      return;
    }
    const pcb = this.table.lookup(ip.dst, dport, ip.src, sport);
    if (pcb === null) {
      stat.noport++;
      if (!this.blackhole) this.ip.sendUnreachable(pkt, ip, 'port');
      return;
    }
    this.#deliver(pcb, pkt, ip, sport, len);
  }

  #deliver(pcb: UdpPcb, pkt: RxPacket, ip: IpIn, sport: number, len: number): void {
    const { how } = pcb;
    if (ip.ttl < how.minTtl) {
      this.stat.minttl++;
      return;
    }
    const from = this.#from;
    from.addr.set(ip.src);
    from.port = sport;
    const control = ipSaveControl(how.wants, pkt, ip);
    if (!sorcvdgram(pcb.so, from, pkt.bytes, pkt.off + UDP_HDR_LEN, len - UDP_HDR_LEN, control)) this.stat.fullsock++;
  }

  /** RFC 1122 §4.1.3.5, RFC 3376 §3.2, udp_input: to every socket that it fits and that joined the group, up to the first that does not share its port. */
  #toGroup(pkt: RxPacket, ip: IpIn, sport: number, dport: number, len: number): void {
    const multicast = isMulticast(ip.dst);
    let taken = false;
    let filtered = false;
    for (const pcb of this.table.onPort(dport)) {
      if (!isAny(pcb.laddr) && !addrEqual(pcb.laddr, ip.dst)) continue;
      if (pcb.connected && (pcb.fport !== sport || !addrEqual(pcb.faddr, ip.src))) continue;
      if (multicast && !hearsGroup(pcb.groups, pkt.ifp, ip)) {
        filtered = true;
        continue;
      }
      taken = true;
      this.#deliver(pcb, pkt, ip, sport, len);
      if ((pcb.so.options & (SO_REUSEADDR | SO_REUSEPORT)) === 0) break;
    }
    if (taken) return;
    if (filtered) this.stat.filtermcast++;
    else this.stat.noportbcast++;
  }

  /** Sends one datagram of a bound socket. EACCES, EMSGSIZE, ENOBUFS, or what the network layer answers; EINVAL for its control data. */
  output(
    pcb: UdpPcb,
    bytes: Uint8Array,
    off: number,
    len: number,
    dst: IpAddr,
    dport: number,
    control: readonly ControlMsg[] | null,
  ): Errno | null {
    const said = this.#said;
    const bad = said.read(control, this.ip);
    if (bad !== null) return bad;
    // in_pcbbind_setup: a socket that has an address cannot send from another.
    if (said.hasSrc && !isAny(pcb.laddr)) return 'EINVAL';
    const route = this.#routeTo(pcb, dst);
    if (typeof route === 'string') return route;
    if (route.broadcast && (pcb.so.options & SO_BROADCAST) === 0) return 'EACCES';
    if (len > UDP_MAXDATA) return 'EMSGSIZE';
    const pkt = route.ifp.txAlloc();
    if (pkt === null) {
      this.stat.nobufs++;
      return 'ENOBUFS';
    }
    if (!this.#payload.append(pkt, bytes, off, len)) {
      this.stat.nobufs++;
      route.ifp.txFree(pkt);
      return 'ENOBUFS';
    }
    const src = said.hasSrc ? said.src : pcb.group || isAny(pcb.laddr) ? route.src : pcb.laddr;
    const total = UDP_HDR_LEN + len;
    const at = pkt.prepend(UDP_HDR_LEN);
    let sum = 0;
    if (this.checksum) {
      sum = pseudoSum(src, dst, IPPROTO_UDP, total);
      pkt.flags = TX_CSUM;
      pkt.csumStart = at;
      pkt.csumOffset = UDP_SUM;
    }
    putUdp(pkt.bytes, at, pcb.lport, dport, total, sum);
    const how = pcb.how;
    const { tos } = how;
    how.ttl = said.ttl >= 0 ? said.ttl : isMulticast(dst) ? how.multicastTtl : how.unicastTtl;
    if (said.tos >= 0) how.tos = said.tos;
    const err = this.ip.output(pkt, route, src, dst, IPPROTO_UDP, how);
    how.tos = tos;
    this.#payload.sent();
    if (err === null) this.stat.opackets++;
    return err;
  }

  #routeTo(pcb: UdpPcb, dst: IpAddr): Result<Route> {
    const route = this.ip.routeFor(pcb.route, dst, pcb.so.fib, pcb.how);
    pcb.route = typeof route === 'string' ? null : route;
    return route;
  }

  /** RFC 1122 §4.1.3.3: the socket that sent to that peer hears of it. */
  ctlinput(kind: CtlKind, quoted: IpIn, bytes: Uint8Array, off: number, _end: number, mtu: number): void {
    const sport = get16(bytes, off + UDP_SPORT);
    if (kind === 'needfrag' && this.table.onPort(sport).length > 0) {
      this.ip.lowerPathMtu(quoted.dst, mtu, ipLen(bytes, quoted.hdrOff));
    }
    const pcb = this.table.findConnected(quoted.src, sport, quoted.dst, get16(bytes, off + UDP_DPORT));
    if (pcb === null) {
      this.stat.ctlnosock++;
      return;
    }
    const err = ERRORS[kind];
    // A socket that lets its datagrams be cut need not know of the path's width.
    if (err === null || (kind === 'needfrag' && !pcb.how.df)) return;
    this.stat.ctlerrors++;
    soseterror(pcb.so, err);
  }
}
