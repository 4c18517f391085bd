/**
 * The full stack as one object: makes the parts and joins them, and tells them as interfaces and addresses come, change and go. From
 * the link up: link → ipinput → icmp, udp, tcp, raw; on the way down: ip → ipoutput → link.
 */
import type { Errno } from '../../kern/errno.ts';
import { IFF_NOARP } from '../../kern/ifnet/flags.ts';
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { FrameInput, OrphanPcb } from '../../kern/netstack.ts';
import type { Protosw } from '../../kern/socket/protosw.ts';
import type { IpAddr } from '../../wire/addr.ts';
import { addrToString } from '../../wire/addrtext.ts';
import { DEFAULT_TTL } from '../../wire/ipv4.ts';
import { Arp, ArpConfig } from './arp.ts';
import { ArpInput } from './arpinput.ts';
import type { InetContext, Transport } from './contract.ts';
import { Icmp } from './icmp.ts';
import { IcmpErrors } from './icmperror.ts';
import { type Candidate, Dad } from './dad.ts';
import { IfAddrs, MAX_IFADDRS } from './ifaddr.ts';
import { Ip } from './ip.ts';
import { Igmp } from './igmp.ts';
import { IgmpSender } from './igmpout.ts';
import { IpInput } from './ipinput.ts';
import { IpOutput } from './ipoutput.ts';
import { etherInput, plainInput } from './link.ts';
import { LoopQueue } from './loop.ts';
import { Multicast } from './mcast.ts';
import { InetIf, inetIf } from './netif.ts';
import { EphemeralPorts } from './ports.ts';
import { RawIp, rawProtosws } from './raw.ts';
import { FragConfig, Reassembler } from './reass.ts';
import { Routes } from './routes.ts';
import { InetStats } from './stats.ts';
import { Udp } from './udp.ts';
import { udpProtosw } from './udpusrreq.ts';

/** Most routing tables (net.fibs). */
export const MAX_FIBS = 256;

/** The stream protocol, made by tcp/tcp.ts. */
export interface StreamProtocol {
  readonly transport: Transport;
  readonly protosw: Protosw;
  busy(): boolean;
  /** Connections without a socket, for the operator. */
  orphans(): readonly OrphanPcb[];
  /** Ends all connections, half-open ones and TIME-WAIT; listeners stay. */
  reset(): void;
  destroy(): void;
}

export class Inet {
  readonly kernel: Kernel;
  readonly stats = new InetStats();
  readonly arpConfig = new ArpConfig();
  readonly fragConfig = new FragConfig();
  /** How packets go out that nobody gave options: `ttl` is a sysctl. */
  readonly how = { tos: 0, ttl: DEFAULT_TTL, df: false };
  readonly addrs: IfAddrs;
  readonly routes: Routes;
  readonly ip: Ip;
  readonly ipInput: IpInput;
  readonly errors: IcmpErrors;
  readonly icmp: Icmp;
  readonly udp: Udp;
  readonly raw: RawIp;
  readonly igmp: Igmp;
  readonly mcast: Multicast;
  readonly ports: EphemeralPorts;
  readonly ctx: InetContext;
  readonly reass: Reassembler;
  readonly protosws: Protosw[];
  readonly #nifs = new Map<InetIf, ArpInput | null>();
  #stream: StreamProtocol | null = null;

  constructor(kernel: Kernel, fibs: number) {
    const { stats, how } = this;
    const { random } = kernel;
    this.kernel = kernel;
    this.addrs = new IfAddrs(random.u32() | 0);
    this.routes = new Routes(kernel, this.addrs, stats.route, fibs);
    const loop = new LoopQueue(kernel, stats.ip, (pkt, nif) => this.ipInput.input(pkt, nif));
    const out = new IpOutput(random, stats.ip, loop);
    this.errors = new IcmpErrors(kernel, stats.icmp, this.routes, this.addrs, out, how);
    this.ip = new Ip(this.routes, this.addrs, out, this.errors);
    this.raw = new RawIp(kernel, this.ip, stats.raw, stats.ip, how);
    this.reass = new Reassembler(kernel, stats.frag, this.fragConfig, (bytes, end, nif) =>
      this.errors.reassemblyTimeout(bytes, end, nif.ifp.fib()),
    );
    this.ipInput = new IpInput(stats.ip, this.addrs, this.reass, this.raw, this.errors);
    const { protos } = this.ipInput;
    const { addrs, routes, raw } = this;
    this.icmp = new Icmp({ kernel, stat: stats.icmp, addrs, routes, out, raw, protos, how });
    this.udp = new Udp(kernel, this.ip, stats.udp);
    this.igmp = new Igmp(kernel, stats.igmp, addrs, raw, new IgmpSender(out, routes, stats.igmp));
    this.mcast = new Multicast(kernel, this.igmp);
    raw.mcast = this.mcast;
    this.ports = new EphemeralPorts(random);
    const { ports } = this;
    this.ctx = {
      kernel,
      ip: this.ip,
      ephemeralPort: (local, remote, remotePort, free) => ports.pick(local, remote, remotePort, free),
    };
    protos[this.icmp.protocol] = this.icmp;
    protos[this.udp.protocol] = this.udp;
    protos[this.igmp.protocol] = this.igmp;
    this.protosws = [udpProtosw({ udp: this.udp, ctx: this.ctx, mcast: this.mcast, how }), ...rawProtosws(this.raw)];
  }

  /** Adds the stream protocol: it comes first among the protocols of the domain. */
  addStream(stream: StreamProtocol): void {
    this.#stream = stream;
    this.ipInput.protos[stream.transport.protocol] = stream.transport;
    this.protosws.unshift(stream.protosw);
  }

  busy(): boolean {
    return this.#stream?.busy() ?? false;
  }

  ifAttach(ifp: Ifnet): FrameInput {
    const nif = new InetIf(ifp);
    ifp.afdata = nif;
    if (nif.loopback) {
      this.routes.loopback ??= nif;
      this.routes.changed();
    }
    const ipInput = (pkt: Parameters<FrameInput>[0], from: InetIf): void => this.ipInput.input(pkt, from);
    if (!nif.ethernet) {
      this.#nifs.set(nif, null);
      return plainInput(nif, ipInput);
    }
    const log = this.kernel.log.child('arp');
    const arp = new Arp(this.kernel, nif, this.addrs, this.stats.arp, this.arpConfig, log, (bytes, off, len) =>
      this.icmp.localUnreachable(bytes, off, len),
    );
    const dad = new Dad(arp, ({ addr, plen, peer }) => {
      const err = this.#assign(nif, addr, plen, peer);
      if (err === null) this.kernel.events.invoke('ifaddr_event', ifp);
      else log.error({ if: ifp.name(), addr: addrToString(addr), err }, 'address cannot be used');
    });
    const arpInput = new ArpInput(arp, dad);
    nif.arp = arp;
    this.#nifs.set(nif, arpInput);
    return etherInput(nif, this.stats.ether, arpInput, ipInput);
  }

  ifDetach(ifp: Ifnet): void {
    const nif = inetIf(ifp);
    if (nif === null) return;
    // All of them first: what one leaves goes to an address of another interface.
    const gone = [...nif.addrs];
    for (const ifa of gone) this.addrs.remove(nif, ifa.addr);
    for (const ifa of gone) this.routes.removeConnected(ifa);
    this.routes.removeInterface(nif);
    this.mcast.ifDetach(nif);
    this.#nifs.get(nif)?.stop();
    nif.arp?.flush();
    this.#nifs.delete(nif);
    ifp.afdata = null;
  }

  ifChanged(ifp: Ifnet): void {
    const nif = inetIf(ifp);
    if (nif === null) return;
    const { up, mac } = nif;
    nif.refresh();
    const moved = mac !== nif.mac && mac.some((byte, i) => byte !== nif.mac[i]);
    if (moved) nif.arp?.forgetLearnt();
    if (nif.up !== up) this.mcast.ifChanged(nif);
    if (nif.up !== up || moved) this.#nifs.get(nif)?.dad.restart();
    if (nif.up && (moved || !up)) for (const ifa of nif.addrs) this.#nifs.get(nif)?.announce(ifa.addr);
    this.routes.changed();
  }

  /**
   * Gives an interface an address, and with it the routes of its subnet: at once, or with net.inet.ip.dad_count on an Ethernet when nobody
   * else is found to have it. Errors as `IfAddrs.check`; EEXIST for one that is being asked for.
   */
  addAddress(nif: InetIf, addr: IpAddr, plen: number, peer: IpAddr | null): Errno | null {
    const dad = this.#nifs.get(nif)?.dad ?? null;
    for (const [other, input] of this.#nifs) {
      const found = input?.dad.find(addr) ?? null;
      if (found !== null && (other !== nif || found.state === 'tentative')) return 'EEXIST';
    }
    if (dad === null || this.arpConfig.dadCount === 0 || (nif.ifp.flags() & IFF_NOARP) !== 0) {
      dad?.remove(addr);
      return this.#assign(nif, addr, plen, peer);
    }
    const err = this.addrs.check(nif, addr, plen, peer);
    if (err !== null) return err;
    if (dad.list.length >= MAX_IFADDRS) return 'ENOBUFS';
    dad.add(addr, plen, peer);
    return null;
  }

  /** Addresses of the interface that are asked for, or are another host's. */
  candidates(nif: InetIf): readonly Candidate[] {
    return this.#nifs.get(nif)?.dad.list ?? [];
  }

  #assign(nif: InetIf, addr: IpAddr, plen: number, peer: IpAddr | null): Errno | null {
    const ifa = this.addrs.add(nif, addr, plen, peer);
    if (typeof ifa === 'string') return ifa;
    this.routes.addConnected(ifa);
    this.#nifs.get(nif)?.announce(addr);
    return null;
  }

  /** EADDRNOTAVAIL for an address that the interface does not have. */
  removeAddress(nif: InetIf, addr: IpAddr): Errno | null {
    if (this.#nifs.get(nif)?.dad.remove(addr) === true) return null;
    const ifa = this.addrs.remove(nif, addr);
    if (ifa === null) return 'EADDRNOTAVAIL';
    this.routes.removeConnected(ifa);
    this.#nifs.get(nif)?.forget(addr);
    return null;
  }

  /** All interfaces, by index. */
  interfaces(): InetIf[] {
    return [...this.#nifs.keys()].sort((a, b) => a.ifp.index - b.ifp.index);
  }

  orphans(protocol: number): readonly OrphanPcb[] {
    const stream = this.#stream;
    return stream !== null && stream.transport.protocol === protocol ? stream.orphans() : [];
  }

  /** As if just loaded: what was learnt and what is under way goes; addresses, static routes and permanent neighbours stay. */
  reset(): void {
    this.#stream?.reset();
    for (const { arp } of this.interfaces()) arp?.forgetLearnt();
    this.reass.stop();
    this.routes.forgetLearnt();
  }

  /** Ends every timer; the kernel has let go of everything else. */
  destroy(): void {
    for (const nif of this.interfaces()) this.ifDetach(nif.ifp);
    this.#stream?.destroy();
    this.reass.stop();
    this.routes.stop();
  }
}
