/**
 * The third stack: as little as a stack can be and still be one. Ethernet, ARP, IPv4 without fragments, ICMP echo, UDP, and a TCP that has
 * one segment in flight at a time. It exists to prove that the door is open: it is built from `netmod/kit` alone, is loaded by path,
 * and passes the conformance suite but for what it says it leaves out.
 */
import {
  AF_INET,
  ARP_LEN,
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SHA,
  ENOIOCTL,
  ETHER_ADDR_LEN,
  ETHER_BROADCAST,
  ETHER_HDR_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  type Errno,
  ICMP_CODE,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_HDR_LEN,
  ICMP_TYPE,
  ICMP_UNREACH,
  ICMP_UNREACH_PORT,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IP_DF,
  IP_HDR_LEN,
  IP_MF,
  IP_OFF,
  IP_OFFMASK,
  IP_PROTO,
  type IfAddrReq,
  type Ifnet,
  KERN_CONTRACT,
  type Kernel,
  type ModuleSpec,
  type NetstackMethods,
  PKT_BCAST,
  PKT_MCAST,
  type RtReq,
  type RxPacket,
  SIOCADDRT,
  SIOCAIFADDR,
  SIOCDIFADDR,
  type TxPacket,
  arpIsInet,
  arpOper,
  arpSpa,
  arpTpa,
  bindObject,
  defineClass,
  etherType,
  get16,
  get8,
  ifhwioctl,
  ipDst,
  ipHdrLen,
  ipLen,
  ipSrc,
  ipSumOk,
  ipVersion,
  macIsGroup,
  netstackInterface,
  putArp,
  putEther,
  putIcmpSum,
  putIpv4,
} from 'netmod/kit';
import { TinyTcp, tcpProtosw } from './tcp.ts';
import { TinyUdp, udpProtosw } from './udp.ts';

const NO_MAC = new Uint8Array(ETHER_ADDR_LEN) as Readonly<Uint8Array>;
/** Neighbours that are remembered, and bytes of an ICMP error's quotation. */
const MAX_NEIGHBOURS = 64;
const QUOTE = 8;

class Counters {
  arpin = 0;
  arpbad = 0;
  ipin = 0;
  ipbad = 0;
  ipfragment = 0;
  ipnotours = 0;
  noproto = 0;
  notype = 0;
  icmpecho = 0;
  icmpother = 0;
  udpin = 0;
  udpbad = 0;
  udpnoport = 0;
  tcpin = 0;
  tcpbad = 0;
  tcpnoport = 0;
  tcpdrop = 0;
  noroute = 0;
  nobuf = 0;
}

/** What the counters of input drops are called. */
const DROPS = [
  ...['arpbad', 'ipbad', 'ipfragment', 'ipnotours', 'noproto', 'notype', 'icmpother'],
  ...['udpbad', 'udpnoport', 'tcpbad', 'tcpnoport', 'tcpdrop'],
];

interface Home {
  readonly ifp: Ifnet;
  addr: number;
  len: number;
}

/** A neighbour: its hardware address once known, and the one packet that waits for it. */
interface Neighbour {
  mac: Uint8Array | null;
  waiting: Uint8Array | null;
}

export class TinyStack {
  readonly kernel: Kernel;
  readonly count = new Counters();
  readonly udp: TinyUdp;
  readonly tcp: TinyTcp;
  readonly #homes: Home[] = [];
  readonly #neighbours = new Map<number, Neighbour>();
  #gateway = 0;
  #ipId = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.udp = new TinyUdp(this);
    this.tcp = new TinyTcp(this);
  }

  // --- interfaces

  attach(ifp: Ifnet): (pkt: RxPacket) => void {
    this.#homes.push({ ifp, addr: 0, len: 32 });
    return ifp.type() === 'ethernet' ? (pkt) => this.#etherInput(ifp, pkt) : (pkt) => this.#ipInput(pkt);
  }

  detach(ifp: Ifnet): void {
    this.#homes.splice(
      this.#homes.findIndex((home) => home.ifp === ifp),
      1,
    );
    this.#neighbours.clear();
  }

  ioctl(cmd: number, data: unknown): Errno | null {
    const common = ifhwioctl(this.kernel, cmd, data);
    if (common !== ENOIOCTL) return common;
    if (cmd === SIOCADDRT) {
      this.#gateway = (data as RtReq).gateway?.w3 ?? 0;
      return null;
    }
    const req = data as IfAddrReq;
    const home = this.#homes.find(({ ifp }) => ifp.name() === req.name);
    if (home === undefined) return 'ENXIO';
    if (cmd !== SIOCAIFADDR && cmd !== SIOCDIFADDR) return 'EOPNOTSUPP';
    home.addr = cmd === SIOCAIFADDR ? req.addr.w3 : 0;
    home.len = req.prefixLen;
    return null;
  }

  isLocal(addr: number): boolean {
    return (
      addr !== 0 && this.#homes.some((home) => home.addr === addr || (home.ifp.type() === 'loopback' && addr >>> 24 === 127))
    );
  }

  /** The interface and source address for a destination, or null. */
  route(dst: number): { ifp: Ifnet; src: number; hop: number } | null {
    if (this.isLocal(dst)) {
      const lo = this.#homes.find(({ ifp }) => ifp.type() === 'loopback');
      return lo === undefined ? null : { ifp: lo.ifp, src: dst, hop: dst };
    }
    for (const hop of [dst, this.#gateway]) {
      const home = this.#homes.find((h) => h.addr !== 0 && hop !== 0 && ((h.addr ^ hop) & mask(h.len)) === 0);
      if (home !== undefined) return { ifp: home.ifp, src: home.addr, hop };
    }
    return null;
  }

  /** A subnet's broadcast address, or the limited one. */
  isBroadcast(addr: number): boolean {
    return addr === -1 || this.#homes.some((h) => h.addr !== 0 && h.len < 31 && addr === (h.addr | ~mask(h.len)));
  }

  // --- in

  #etherInput(ifp: Ifnet, pkt: RxPacket): void {
    const { bytes, off } = pkt;
    if (pkt.end - off < ETHER_HDR_LEN) {
      this.count.notype++;
      return;
    }
    const type = etherType(bytes, off);
    pkt.off += ETHER_HDR_LEN;
    if (type === ETHERTYPE_IPV4) this.#ipInput(pkt);
    else if (type === ETHERTYPE_ARP) this.#arpInput(ifp, pkt);
    else this.count.notype++;
  }

  #arpInput(ifp: Ifnet, { bytes, off, end }: RxPacket): void {
    this.count.arpin++;
    const home = this.#homes.find((h) => h.ifp === ifp);
    const bad = end - off < ARP_LEN || !arpIsInet(bytes, off) || macIsGroup(bytes, off + ARP_SHA);
    if (bad || home === undefined || home.addr === 0 || arpTpa(bytes, off) !== home.addr) {
      this.count.arpbad++;
      return;
    }
    const spa = arpSpa(bytes, off);
    const sha = bytes.slice(off + ARP_SHA, off + ARP_SHA + ETHER_ADDR_LEN);
    if (((spa ^ home.addr) & mask(home.len)) === 0 && spa !== home.addr) this.#learn(ifp, spa, sha);
    if (arpOper(bytes, off) === ARP_REQUEST) this.#arpSend(ifp, ARP_REPLY, sha, home.addr, spa);
  }

  #learn(ifp: Ifnet, addr: number, mac: Uint8Array): void {
    const known = this.#neighbours.get(addr);
    if (known === undefined && this.#neighbours.size >= MAX_NEIGHBOURS) this.#neighbours.clear();
    this.#neighbours.set(addr, { mac, waiting: null });
    const waiting = known?.waiting ?? null;
    const pkt = waiting === null ? null : ifp.txAlloc();
    if (pkt === null || waiting === null) return;
    pkt.bytes.set(waiting, pkt.append(waiting.length));
    this.#etherOutput(ifp, pkt, addr);
  }

  #ipInput(pkt: RxPacket): void {
    const { bytes, off } = pkt;
    this.count.ipin++;
    const have = pkt.end - off;
    const hdrLen = have < IP_HDR_LEN ? 0 : ipHdrLen(bytes, off);
    const len = have < IP_HDR_LEN ? 0 : ipLen(bytes, off);
    if (hdrLen < IP_HDR_LEN || ipVersion(bytes, off) !== 4 || len < hdrLen || len > have || !ipSumOk(bytes, off, hdrLen)) {
      this.count.ipbad++;
      return;
    }
    const dst = ipDst(bytes, off);
    if (!this.isLocal(dst) && !this.isBroadcast(dst)) {
      this.count.ipnotours++;
      return;
    }
    if ((get16(bytes, off + IP_OFF) & (IP_MF | IP_OFFMASK)) !== 0) {
      this.count.ipfragment++;
      return;
    }
    pkt.end = off + len;
    pkt.off = off + hdrLen;
    const src = ipSrc(bytes, off);
    const proto = get8(bytes, off + IP_PROTO);
    if (proto === IPPROTO_TCP) this.tcp.input(pkt, src, dst);
    else if (proto === IPPROTO_UDP) this.udp.input(pkt, src, dst, off);
    else if (proto === IPPROTO_ICMP) this.#icmpInput(pkt, src, dst);
    else this.count.noproto++;
  }

  #icmpInput({ bytes, off, end, flags }: RxPacket, src: number, dst: number): void {
    const len = end - off;
    const type = len < ICMP_HDR_LEN ? -1 : get8(bytes, off + ICMP_TYPE);
    if (type === ICMP_UNREACH && get8(bytes, off + ICMP_CODE) === ICMP_UNREACH_PORT) {
      this.count.icmpother++;
      const quoted = off + ICMP_HDR_LEN;
      if (end - quoted >= IP_HDR_LEN + QUOTE && get8(bytes, quoted + IP_PROTO) === IPPROTO_UDP) this.udp.refused(bytes, quoted);
      return;
    }
    if (type !== ICMP_ECHO || (flags & (PKT_BCAST | PKT_MCAST)) !== 0) {
      this.count.icmpother++;
      return;
    }
    this.count.icmpecho++;
    const pkt = this.alloc(src, len);
    if (pkt === null) return;
    const at = pkt.append(len);
    pkt.bytes.set(bytes.subarray(off, end), at);
    pkt.bytes[at + ICMP_TYPE] = ICMP_ECHOREPLY;
    putIcmpSum(pkt.bytes, at, len);
    this.ipOutput(pkt, dst, src, IPPROTO_ICMP);
  }

  /** ICMP "port unreachable" for the datagram whose IP header is at `hdrOff`. */
  sendUnreachable(bytes: Uint8Array, hdrOff: number, end: number): void {
    const src = ipSrc(bytes, hdrOff);
    const quote = Math.min(end - hdrOff, ipHdrLen(bytes, hdrOff) + QUOTE);
    const pkt = this.alloc(src, ICMP_HDR_LEN + quote);
    if (pkt === null) return;
    const at = pkt.append(ICMP_HDR_LEN + quote);
    pkt.bytes.fill(0, at, at + ICMP_HDR_LEN);
    pkt.bytes[at + ICMP_TYPE] = ICMP_UNREACH;
    pkt.bytes[at + ICMP_CODE] = ICMP_UNREACH_PORT;
    pkt.bytes.set(bytes.subarray(hdrOff, hdrOff + quote), at + ICMP_HDR_LEN);
    putIcmpSum(pkt.bytes, at, ICMP_HDR_LEN + quote);
    this.ipOutput(pkt, ipDst(bytes, hdrOff), src, IPPROTO_ICMP);
  }

  // --- out

  /** A slot of the interface that leads to `dst`, if `len` bytes behind an IP header fit into it and into its MTU. */
  alloc(dst: number, len: number): TxPacket | null {
    const way = this.route(dst);
    if (way === null || len + IP_HDR_LEN > way.ifp.mtu()) {
      this.count.noroute++;
      return null;
    }
    const pkt = way.ifp.txAlloc();
    if (pkt !== null && pkt.room() >= len) return pkt;
    if (pkt !== null) way.ifp.txFree(pkt);
    this.count.nobuf++;
    return null;
  }

  /** Puts an IP header in front and sends. `pkt` is from `alloc(dst, ...)`. */
  ipOutput(pkt: TxPacket, src: number, dst: number, proto: number): void {
    const way = this.route(dst);
    if (way === null) return;
    const len = pkt.length() + IP_HDR_LEN;
    this.#ipId = (this.#ipId + 1) & 0xffff;
    putIpv4(pkt.bytes, pkt.prepend(IP_HDR_LEN), len, this.#ipId, IP_DF, 0, 64, proto, src, dst);
    if (way.ifp.type() === 'ethernet') this.#etherOutput(way.ifp, pkt, way.hop);
    else way.ifp.transmit(pkt);
  }

  #etherOutput(ifp: Ifnet, pkt: TxPacket, hop: number): void {
    const neighbour = this.#neighbours.get(hop);
    const mac = this.isBroadcast(hop) ? ETHER_BROADCAST : (neighbour?.mac ?? null);
    if (mac !== null) {
      putEther(pkt.bytes, pkt.prepend(ETHER_HDR_LEN), mac, ifp.lladdr() ?? NO_MAC, ETHERTYPE_IPV4);
      ifp.transmit(pkt);
      return;
    }
    if (neighbour === undefined && this.#neighbours.size >= MAX_NEIGHBOURS) this.#neighbours.clear();
    this.#neighbours.set(hop, { mac: null, waiting: pkt.bytes.slice(pkt.off, pkt.end) });
    ifp.txFree(pkt);
    const home = this.#homes.find((h) => h.ifp === ifp);
    if (home !== undefined) this.#arpSend(ifp, ARP_REQUEST, NO_MAC, home.addr, hop);
  }

  #arpSend(ifp: Ifnet, oper: number, to: Readonly<Uint8Array>, spa: number, tpa: number): void {
    const pkt = ifp.txAlloc();
    if (pkt === null) return;
    const mine = ifp.lladdr() ?? NO_MAC;
    putArp(pkt.bytes, pkt.append(ARP_LEN), oper, mine, spa, to, tpa);
    const dst = oper === ARP_REQUEST ? ETHER_BROADCAST : to;
    putEther(pkt.bytes, pkt.prepend(ETHER_HDR_LEN), dst, mine, ETHERTYPE_ARP);
    ifp.transmit(pkt);
  }
}

function mask(len: number): number {
  return len === 0 ? 0 : -1 << (32 - len);
}

const tinyClass = defineClass<TinyStack, NetstackMethods>({
  name: 'tiny',
  implements: netstackInterface,
  methods: {
    ifAttach: (self, ifp) => self.attach(ifp),
    ifDetach: (self, ifp) => self.detach(ifp),
    ioctl: (self, cmd, data) => self.ioctl(cmd, data),
    busy: (self) => self.tcp.busy(),
  },
});

export const netmodModule: ModuleSpec = {
  name: 'netstack_tiny',
  version: 1,
  contract: KERN_CONTRACT,
  create(kernel, own) {
    const tiny = new TinyStack(kernel);
    const stack = bindObject(tinyClass, tiny);
    return {
      event(what) {
        if (what !== 'load') return what === 'shutdown' ? null : 'EOPNOTSUPP';
        own(() => kernel.netstack.unregister(stack));
        own(() => tiny.tcp.abortAll());
        return kernel.netstack.register('tiny', stack);
      },
      sysinits: [
        {
          level: 'PROTO_DOMAIN',
          order: 'MIDDLE',
          name: 'tiny',
          run() {
            const protosw = [tcpProtosw(tiny.tcp), udpProtosw(tiny.udp)];
            for (const undo of [
              kernel.domains.add({ family: AF_INET, name: 'inet', protosw }),
              kernel.iocgroups.add('i', (_so, cmd, data) => tiny.ioctl(cmd, data)),
              kernel.iocgroups.add('r', (_so, cmd, data) => tiny.ioctl(cmd, data)),
              kernel.counters.add('tiny', tiny.count, { drops: DROPS }),
            ]) {
              if (typeof undo === 'string') return undo;
              own(undo);
            }
            return null;
          },
        },
      ],
    };
  },
};
