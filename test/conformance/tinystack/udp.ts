/** UDP (RFC 768) of the tiny stack: one datagram a packet, no fragments. */
import {
  IPPROTO_UDP,
  IP_DST,
  IP_HDR_LEN,
  IP_MAXPACKET,
  type InetSockAddr,
  PKT_CSUM_OK,
  PR_ADDR,
  PR_ATOMIC,
  type ProtoMethods,
  type Protosw,
  type RxPacket,
  SOCK_DGRAM,
  SO_BROADCAST,
  type SockAddr,
  type Socket,
  UDP_DPORT,
  UDP_HDR_LEN,
  UDP_LEN,
  UDP_SUM,
  bindObject,
  complement,
  defineClass,
  type Errno,
  get16,
  get32,
  ipHdrLen,
  ipv4,
  protoInterface,
  pseudoSum,
  put16,
  putUdp,
  sockAddr,
  soisconnected,
  soisdisconnected,
  sorcvdgram,
  soseterror,
  SS_ISCONNECTED,
  sum16,
} from 'netmod/kit';
import type { TinyStack } from './tiny.ts';

export class UdpPcb {
  readonly so: Socket;
  laddr = 0;
  lport = 0;
  raddr = 0;
  rport = 0;
  constructor(so: Socket) {
    this.so = so;
  }
}

const pcbOf = (so: Socket): UdpPcb => so.pcb as UdpPcb;

export class TinyUdp {
  readonly stack: TinyStack;
  readonly pcbs = new Set<UdpPcb>();

  constructor(stack: TinyStack) {
    this.stack = stack;
  }

  input({ bytes, off, end, flags }: RxPacket, src: number, dst: number, hdrOff: number): void {
    const { count } = this.stack;
    count.udpin++;
    const len = end - off < UDP_HDR_LEN ? 0 : get16(bytes, off + UDP_LEN);
    const summed = len > 0 && get16(bytes, off + UDP_SUM) !== 0 && (flags & PKT_CSUM_OK) === 0;
    const start = summed ? pseudoSum(ipv4(src), ipv4(dst), IPPROTO_UDP, len) : 0;
    if (len < UDP_HDR_LEN || len > end - off || (summed && sum16(bytes, off, len, start) !== 0xffff)) {
      count.udpbad++;
      return;
    }
    const sport = get16(bytes, off);
    const pcb = this.#find(dst, get16(bytes, off + UDP_DPORT), src, sport);
    if (pcb === null) {
      count.udpnoport++;
      if (this.stack.isLocal(dst)) this.stack.sendUnreachable(bytes, hdrOff, end);
      return;
    }
    sorcvdgram(pcb.so, sockAddr(ipv4(src), sport), bytes, off + UDP_HDR_LEN, len - UDP_HDR_LEN);
  }

  /** The connected socket before the bound one. */
  #find(laddr: number, lport: number, raddr: number, rport: number): UdpPcb | null {
    let best: UdpPcb | null = null;
    for (const pcb of this.pcbs) {
      if (pcb.lport !== lport || (pcb.laddr !== 0 && pcb.laddr !== laddr)) continue;
      if (pcb.rport === 0) best ??= pcb;
      else if (pcb.raddr === raddr && pcb.rport === rport) return pcb;
    }
    return best;
  }

  /** An ICMP error quotes a datagram of ours whose IP header is at `hdrOff`. */
  refused(bytes: Uint8Array, hdrOff: number): void {
    const off = hdrOff + ipHdrLen(bytes, hdrOff);
    const raddr = get32(bytes, hdrOff + IP_DST);
    for (const pcb of this.pcbs) {
      const same = pcb.lport === get16(bytes, off) && pcb.raddr === raddr && pcb.rport === get16(bytes, off + UDP_DPORT);
      if (same && pcb.rport !== 0) soseterror(pcb.so, 'ECONNREFUSED');
    }
  }

  bind(pcb: UdpPcb, addr: SockAddr): Errno | null {
    if (addr.kind !== 'inet') return 'EAFNOSUPPORT';
    if (pcb.lport !== 0) return 'EINVAL';
    const laddr = addr.addr.w3;
    if (laddr !== 0 && !this.stack.isLocal(laddr)) return 'EADDRNOTAVAIL';
    const taken = (port: number) =>
      [...this.pcbs].some((p) => p.lport === port && (p.laddr === 0 || laddr === 0 || p.laddr === laddr));
    let port = addr.port;
    if (port !== 0 && taken(port)) return 'EADDRINUSE';
    while (port === 0 || taken(port)) port = 49152 + (this.stack.kernel.random.u32() & 0x3fff);
    pcb.laddr = laddr;
    pcb.lport = port;
    return null;
  }

  connect(pcb: UdpPcb, addr: SockAddr): Errno | null {
    if (addr.kind !== 'inet') return 'EAFNOSUPPORT';
    if (addr.port === 0) return 'EADDRNOTAVAIL';
    if (this.stack.route(addr.addr.w3) === null) return 'ENETUNREACH';
    if (pcb.lport === 0) this.bind(pcb, sockAddr(ipv4(0), 0));
    pcb.raddr = addr.addr.w3;
    pcb.rport = addr.port;
    soisconnected(pcb.so);
    return null;
  }

  send(pcb: UdpPcb, data: Uint8Array, off: number, len: number, to: SockAddr | null): Errno | null {
    if (to !== null && (pcb.so.state & SS_ISCONNECTED) !== 0) return 'EISCONN';
    if (to !== null && to.kind !== 'inet') return 'EAFNOSUPPORT';
    const dst = to === null ? pcb.raddr : to.addr.w3;
    const total = len + UDP_HDR_LEN;
    if (total + IP_HDR_LEN > IP_MAXPACKET) return 'EMSGSIZE';
    if (this.stack.isBroadcast(dst) && (pcb.so.options & SO_BROADCAST) === 0) return 'EACCES';
    const way = this.stack.route(dst);
    if (way === null) return 'ENETUNREACH';
    if (total + IP_HDR_LEN > way.ifp.mtu()) return 'EMSGSIZE';
    if (pcb.lport === 0) this.bind(pcb, sockAddr(ipv4(0), 0));
    const pkt = this.stack.alloc(dst, total);
    if (pkt === null) return 'ENOBUFS';
    const src = pcb.laddr === 0 ? way.src : pcb.laddr;
    const at = pkt.append(total);
    putUdp(pkt.bytes, at, pcb.lport, to === null ? pcb.rport : to.port, total, 0);
    pkt.bytes.set(data.subarray(off, off + len), at + UDP_HDR_LEN);
    const sum = complement(sum16(pkt.bytes, at, total, pseudoSum(ipv4(src), ipv4(dst), IPPROTO_UDP, total)));
    put16(pkt.bytes, at + UDP_SUM, sum === 0 ? 0xffff : sum);
    this.stack.ipOutput(pkt, src, dst, IPPROTO_UDP);
    return null;
  }

  name(pcb: UdpPcb): InetSockAddr {
    const src = pcb.laddr === 0 && pcb.rport !== 0 ? (this.stack.route(pcb.raddr)?.src ?? 0) : pcb.laddr;
    return sockAddr(ipv4(src), pcb.lport);
  }
}

const udpClass = defineClass<TinyUdp, ProtoMethods>({
  name: 'udp',
  implements: protoInterface,
  methods: {
    attach(self, so) {
      const pcb = new UdpPcb(so);
      so.pcb = pcb;
      self.pcbs.add(pcb);
      return null;
    },
    detach(self, so) {
      self.pcbs.delete(pcbOf(so));
      so.pcb = null;
    },
    bind: (self, so, addr) => self.bind(pcbOf(so), addr),
    connect: (self, so, addr) => self.connect(pcbOf(so), addr),
    disconnect(_self, so) {
      const pcb = pcbOf(so);
      pcb.raddr = 0;
      pcb.rport = 0;
      so.state &= ~SS_ISCONNECTED;
      return null;
    },
    shutdown: () => null,
    abort: (_self, so) => soisdisconnected(so),
    sendto: (self, so, bytes, off, len, to) => self.send(pcbOf(so), bytes, off, len, to),
    sockaddr: (self, so) => self.name(pcbOf(so)),
    peeraddr: (_self, so) => sockAddr(ipv4(pcbOf(so).raddr), pcbOf(so).rport),
  },
});

export function udpProtosw(udp: TinyUdp): Protosw {
  return { name: 'udp', type: SOCK_DGRAM, protocol: IPPROTO_UDP, flags: PR_ATOMIC | PR_ADDR, methods: bindObject(udpClass, udp) };
}
