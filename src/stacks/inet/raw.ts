/**
 * Raw IP sockets (ip(4), icmp(4)): packets of a protocol that has no transport here, and ICMP messages, with their IP header; output
 * with a header made here, or with the user's own (IP_HDRINCL).
 */
import type { Errno, Result } from '../../kern/errno.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { type KobjClass, bindObject, defineClass } from '../../kern/kobj.ts';
import type { RxPacket, TxPacket } from '../../kern/packet.ts';
import {
  type ControlMsg,
  PR_ADDR,
  PR_ATOMIC,
  PR_CONTROL,
  type ProtoMethods,
  type Protosw,
  SOCK_RAW,
  type SockAddr,
  protoInterface,
} from '../../kern/socket/protosw.ts';
import { SO_BROADCAST } from '../../kern/socket/soconst.ts';
import { SS_ISCONNECTED, type Socket } from '../../kern/socket/socket.ts';
import { socantsendmore, soisconnected, soisdisconnected, sorcvdgram, soreserve } from '../../kern/socket/upcalls.ts';
import {
  ANY4,
  InetSockAddrBuf,
  type IpAddr,
  IpAddrBuf,
  addrEqual,
  copyAddr,
  isAny,
  isMulticast,
  isV4,
  sockAddr,
} from '../../wire/addr.ts';
import { get16, get8, put16, put32 } from '../../wire/bytes.ts';
import { IPPROTO_ICMP, IPPROTO_IP, IPPROTO_RAW, IP_HDR_LEN, IP_ID, IP_LEN, IP_MAXPACKET, IP_SRC } from '../../wire/ipv4.ts';
import { IP_PROTO, ipDst, ipHdrLen, ipLen, ipSrc, ipVersion, putIpSum } from '../../wire/ipv4.ts';
import type { IpIn, IpOut, Route } from './contract.ts';
import type { Ip } from './ip.ts';
import { SendControl, ipSaveControl } from './ipcontrol.ts';
import { IP_HDRINCL, IpOptions, ipCtloutput, number } from './ipsockopt.ts';
import type { Multicast } from './mcast.ts';
import { type Membership, NO_GROUPS, hearsGroup } from './mcastgroup.ts';
import { groupCtloutput, isGroupOption } from './mcastopt.ts';
import { PayloadWriter } from './payload.ts';
import type { InetRoute } from './routes.ts';
import type { IpStat, RawStat } from './stats.ts';

/** Buffers of a new socket in bytes. */
const SENDSPACE = 65535;
const RECVSPACE = 256 * 1024;

class RawPcb {
  readonly so: Socket;
  /** 0: any. */
  readonly protocol: number;
  readonly laddr = new IpAddrBuf().set(ANY4);
  readonly faddr = new IpAddrBuf().set(ANY4);
  readonly how: IpOptions;
  hdrincl = false;
  route: Route | null = null;
  groups: readonly Membership[] = NO_GROUPS;

  constructor(so: Socket, protocol: number, ttl: number) {
    this.so = so;
    this.protocol = protocol;
    this.how = new IpOptions(ttl);
  }
}

export class RawIp {
  readonly ip: Ip;
  readonly how: IpOut;
  /** Set once there is IGMP, which hands its messages to raw sockets. */
  mcast: Multicast | null = null;
  readonly #stat: RawStat;
  readonly #ipStat: IpStat;
  readonly #payload: PayloadWriter;
  readonly #from = new InetSockAddrBuf();
  readonly #dst = new IpAddrBuf();
  readonly #src = new IpAddrBuf();
  /** What the send at hand says of its packet. */
  readonly #said = new SendControl();
  /** A new list with each change: it may be walked while a socket closes. */
  pcbs: readonly RawPcb[] = [];

  constructor(kernel: Kernel, ip: Ip, stat: RawStat, ipStat: IpStat, how: IpOut) {
    this.ip = ip;
    this.how = how;
    this.#stat = stat;
    this.#ipStat = ipStat;
    this.#payload = new PayloadWriter(kernel.bufpool);
  }

  /** A packet for whoever asked for its protocol; false when nobody did. */
  input(pkt: RxPacket, ip: IpIn): boolean {
    if (this.pcbs.length === 0) return false;
    let taken = false;
    for (const pcb of this.pcbs) {
      if (pcb.protocol !== 0 && pcb.protocol !== ip.protocol) continue;
      if (!isAny(pcb.laddr) && !addrEqual(pcb.laddr, ip.dst)) continue;
      if (!isAny(pcb.faddr) && !addrEqual(pcb.faddr, ip.src)) continue;
      // One that joined no group hears all that this host takes (rip_input).
      if (ip.group && pcb.groups.length > 0 && isMulticast(ip.dst) && !hearsGroup(pcb.groups, pkt.ifp, ip)) {
        this.#stat.notmember++;
        continue;
      }
      if (ip.ttl < pcb.how.minTtl) {
        this.#stat.minttl++;
        continue;
      }
      taken = true;
      this.#stat.ipackets++;
      this.#from.addr.set(ip.src);
      const control = ipSaveControl(pcb.how.wants, pkt, ip);
      if (!sorcvdgram(pcb.so, this.#from, pkt.bytes, ip.hdrOff, pkt.end - ip.hdrOff, control)) this.#stat.fullsock++;
    }
    return taken;
  }

  /** EINVAL for a header, or control data, that cannot be; EACCES, EMSGSIZE, ENOBUFS, or what the network layer answers. */
  output(
    pcb: RawPcb,
    bytes: Uint8Array,
    off: number,
    len: number,
    to: IpAddr,
    control: readonly ControlMsg[] | null,
  ): Errno | null {
    let dst = to;
    const bad = this.#said.read(control, this.ip);
    if (bad !== null) return bad;
    if (pcb.hdrincl) {
      // The header says all of it.
      if (control !== null) return 'EINVAL';
      if (!headerOk(bytes, off, len)) {
        this.#stat.badhdrincl++;
        return 'EINVAL';
      }
      dst = this.#dst.setV4(ipDst(bytes, off));
    } else if (len > IP_MAXPACKET - IP_HDR_LEN) return 'EMSGSIZE';
    const route = this.#routeTo(pcb, dst);
    if (typeof route === 'string') return route;
    if (route.broadcast && (pcb.so.options & SO_BROADCAST) === 0) return 'EACCES';
    if (pcb.hdrincl && len > route.mtu) return 'EMSGSIZE';
    const pkt = route.ifp.txAlloc();
    if (pkt === null) return 'ENOBUFS';
    const hdr = pcb.hdrincl ? ipHdrLen(bytes, off) : 0;
    if (hdr > 0) pkt.bytes.set(bytes.subarray(off, off + hdr), pkt.append(hdr));
    if (!this.#payload.append(pkt, bytes, off + hdr, len - hdr)) {
      route.ifp.txFree(pkt);
      return 'ENOBUFS';
    }
    const err = pcb.hdrincl ? this.#sendOwn(pkt, route as InetRoute, hdr, pcb.how.loop) : this.#sendPlain(pcb, pkt, route, dst);
    this.#payload.sent();
    if (err === null) {
      this.#stat.opackets++;
      this.#ipStat.rawout++;
    }
    return err;
  }

  #sendPlain(pcb: RawPcb, pkt: TxPacket, route: Route, dst: IpAddr): Errno | null {
    // A group's address can be bound to hear it, and is no source.
    const said = this.#said;
    const src = said.hasSrc ? said.src : isAny(pcb.laddr) || this.ip.isGroup(pcb.laddr) ? route.src : pcb.laddr;
    const { how } = pcb;
    const { tos } = how;
    how.ttl = said.ttl >= 0 ? said.ttl : isMulticast(dst) ? how.multicastTtl : how.unicastTtl;
    if (said.tos >= 0) how.tos = said.tos;
    const err = this.ip.output(pkt, route, src, dst, pcb.protocol === 0 ? IPPROTO_RAW : pcb.protocol, how);
    how.tos = tos;
    return err;
  }

  /** The user's header, with what FreeBSD fills in: source and identification where they are 0, length and checksum. */
  #sendOwn(pkt: TxPacket, route: InetRoute, hdr: number, loop: boolean): Errno | null {
    const b = pkt.bytes;
    const o = pkt.off;
    if (ipSrc(b, o) === 0) put32(b, o + IP_SRC, route.src.w3);
    if (get16(b, o + IP_ID) === 0)
      put16(b, o + IP_ID, this.ip.out.ids.next(this.#src.setV4(ipSrc(b, o)), route.dst, get8(b, o + IP_PROTO)));
    put16(b, o + IP_LEN, pkt.length());
    putIpSum(b, o, hdr);
    return route.multicast ? this.ip.out.sendGroup(pkt, route, loop) : this.ip.out.send(pkt, route);
  }

  #routeTo(pcb: RawPcb, dst: IpAddr): Result<Route> {
    const route = this.ip.routeFor(pcb.route, dst, pcb.so.fib, pcb.how);
    pcb.route = typeof route === 'string' ? null : route;
    return route;
  }
}

function headerOk(b: Uint8Array, o: number, len: number): boolean {
  if (len < IP_HDR_LEN || ipVersion(b, o) !== 4) return false;
  const hdr = ipHdrLen(b, o);
  return hdr >= IP_HDR_LEN && hdr <= len && ipLen(b, o) === len;
}

function pcbOf(so: Socket): RawPcb {
  return so.pcb as RawPcb;
}

function attach(raw: RawIp, so: Socket, protocol: number): Errno | null {
  if (protocol < 0 || protocol > 255) return 'EPROTONOSUPPORT';
  const err = soreserve(so, SENDSPACE, RECVSPACE);
  if (err !== null) return err;
  const pcb = new RawPcb(so, protocol, raw.how.ttl);
  so.pcb = pcb;
  raw.pcbs = [pcb, ...raw.pcbs];
  return null;
}

function bind(raw: RawIp, so: Socket, addr: SockAddr): Errno | null {
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  if (!isAny(addr.addr) && !raw.ip.isLocal(addr.addr) && !raw.ip.isGroup(addr.addr)) return 'EADDRNOTAVAIL';
  pcbOf(so).laddr.set(addr.addr);
  return null;
}

function connect(_raw: RawIp, so: Socket, addr: SockAddr): Errno | null {
  if (addr.kind !== 'inet' || !isV4(addr.addr)) return 'EAFNOSUPPORT';
  pcbOf(so).faddr.set(addr.addr);
  soisconnected(so);
  return null;
}

function disconnect(_raw: RawIp, so: Socket): Errno | null {
  if ((so.state & SS_ISCONNECTED) === 0) return 'ENOTCONN';
  pcbOf(so).faddr.set(ANY4);
  so.state &= ~SS_ISCONNECTED;
  return null;
}

function sendto(
  raw: RawIp,
  so: Socket,
  bytes: Uint8Array,
  off: number,
  len: number,
  to: SockAddr | null,
  control: readonly ControlMsg[] | null,
): Errno | null {
  const pcb = pcbOf(so);
  if (to === null) {
    return (so.state & SS_ISCONNECTED) === 0 ? 'ENOTCONN' : raw.output(pcb, bytes, off, len, pcb.faddr, control);
  }
  if (to.kind !== 'inet' || !isV4(to.addr)) return 'EAFNOSUPPORT';
  if ((so.state & SS_ISCONNECTED) !== 0) return 'EISCONN';
  return raw.output(pcb, bytes, off, len, to.addr, control);
}

const rawClass: KobjClass<RawIp, ProtoMethods> = defineClass<RawIp, ProtoMethods>({
  name: 'rawip',
  implements: protoInterface,
  methods: {
    attach,
    detach: (raw, so) => {
      if (pcbOf(so).groups.length > 0) raw.mcast?.leaveAll(pcbOf(so));
      raw.pcbs = raw.pcbs.filter((pcb) => pcb.so !== so);
    },
    bind,
    connect,
    disconnect,
    sendto,
    shutdown: (_raw, so) => {
      socantsendmore(so);
      return null;
    },
    abort: (raw, so) => {
      disconnect(raw, so);
      soisdisconnected(so);
    },
    sockaddr: (_raw, so) => sockAddr(copyAddr(pcbOf(so).laddr), 0),
    peeraddr: (_raw, so) => ((so.state & SS_ISCONNECTED) !== 0 ? sockAddr(copyAddr(pcbOf(so).faddr), 0) : 'ENOTCONN'),
    ctloutput: (raw, so, sopt) => {
      const pcb = pcbOf(so);
      const { mcast } = raw;
      if (sopt.level === IPPROTO_IP && mcast !== null && isGroupOption(sopt.name))
        return groupCtloutput({ ip: raw.ip, mcast }, so, pcb, sopt);
      if (sopt.level !== IPPROTO_IP || sopt.name !== IP_HDRINCL) return ipCtloutput(so, pcb, sopt);
      return number(sopt, 0, 1, pcb.hdrincl ? 1 : 0, (v) => (pcb.hdrincl = v === 1));
    },
  },
});

/** ICMP sockets, and those of any other protocol. */
export function rawProtosws(raw: RawIp): Protosw[] {
  const methods = bindObject(rawClass, raw);
  const flags = PR_ATOMIC | PR_ADDR | PR_CONTROL;
  return [
    { name: 'icmp', type: SOCK_RAW, protocol: IPPROTO_ICMP, flags, methods },
    { name: 'rawip', type: SOCK_RAW, protocol: 0, flags, methods },
  ];
}
