/**
 * Contract inside the full stack: what the network layer offers the transports, and what a transport offers it. A packet walks
 * link → ip → transport on one `RxPacket`, whose `off` and `end` each layer narrows; what IP learned is in one `IpIn`. Nothing here
 * knows the address family.
 */
import type { IpAddr } from '../../wire/addr.ts';
import { IpAddrBuf } from '../../wire/addr.ts';
import type { Errno, Result } from '../../kern/errno.ts';
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { RxPacket, TxPacket } from '../../kern/packet.ts';

/** What the network layer read from the header of the packet at hand. One object per stack; copy what must be kept. */
export class IpIn {
  readonly src = new IpAddrBuf();
  readonly dst = new IpAddrBuf();
  protocol = 0;
  ttl = 0;
  /** Traffic class: DSCP and ECN bits. */
  tos = 0;
  /** Offset of the network header in `pkt.bytes`, and its length with options, in bytes. */
  hdrOff = 0;
  hdrLen = 0;
  /** `dst` is a broadcast or multicast address, by IP or by the link. */
  group = false;
}

/** A way to a destination: shared by all who send there, valid while `gen` is the table's. */
export interface Route {
  readonly ifp: Ifnet;
  readonly dst: IpAddr;
  /** The neighbour to hand the packet to: the destination itself, or the gateway. */
  readonly nextHop: IpAddr;
  /** Source address for who has not bound one. */
  readonly src: IpAddr;
  /** Path MTU in bytes (RFC 1191): the interface's, or less as routers told. */
  mtu: number;
  /** The destination is one of this host's own addresses; a broadcast address of a link. */
  readonly local: boolean;
  readonly broadcast: boolean;
  gen: number;
}

/** How a transport wants its packet sent. Kept by the transport and used again. */
export interface IpOut {
  tos: number;
  /** 0 to 255; 0 (RFC 1112 §6.1, for groups): the packet does not leave this host. */
  ttl: number;
  /** Never fragment: a packet over the path's MTU is EMSGSIZE. */
  df: boolean;
  /** To a group: members on this host hear it too (RFC 1112 §6.1). Without it: yes. */
  loop?: boolean;
}

export interface NetworkLayer {
  /** The way to `dst`. ENETUNREACH without a route, EADDRNOTAVAIL without a source address, EAFNOSUPPORT for a foreign family. */
  route(dst: IpAddr, fib: number): Result<Route>;
  /** A cached route if it still holds, or a fresh one. */
  revalidate(route: Route): Result<Route>;
  /**
   * Sends transport header and payload in `pkt`, a slot of `route.ifp`; takes the slot in every case. With `TX_CSUM` set the
   * checksum field holds the pseudo-header's sum, and the rest is done by the link where it can, by this layer where not.
   */
  output(pkt: TxPacket, route: Route, src: IpAddr, dst: IpAddr, protocol: number, how: IpOut): Errno | null;
  /** One of this host's unicast addresses. */
  isLocal(addr: IpAddr): boolean;
  /** A broadcast address of one of this host's links, or a multicast address. */
  isGroup(addr: IpAddr): boolean;
  /** ICMP "destination unreachable: port" (or protocol) for the packet being read; rate-limited; null for what must not be answered. */
  sendUnreachable(pkt: RxPacket, ip: IpIn, why: 'port' | 'protocol'): void;
}

/** What an ICMP message says about a connection (RFC 1122 §3.2.2, RFC 5927). */
export type CtlKind =
  'unreach-net' | 'unreach-host' | 'unreach-protocol' | 'unreach-port' | 'needfrag' | 'timxceed' | 'paramprob' | 'quench';

/** A protocol above IP. */
export interface Transport {
  readonly protocol: number;
  /** One packet: `pkt.off` is at the transport header, `pkt.end` behind its last byte. Lengths below the header's are this layer's to check. */
  input(pkt: RxPacket, ip: IpIn): void;
  /**
   * An ICMP error quotes a packet of ours. `quoted` holds the original addresses (src is ours); at least 8 bytes of the transport
   * header start at `off`, up to `end`. `mtu` is the next hop's for `needfrag`, 0 if the router did not say.
   */
  ctlinput(kind: CtlKind, quoted: IpIn, bytes: Uint8Array, off: number, end: number, mtu: number): void;
}

/** What each part of the stack is handed. */
export interface InetContext {
  readonly kernel: Kernel;
  readonly ip: NetworkLayer;
  /** Ephemeral ports (RFC 6056 algorithm 4): the first free one by the caller's own test, or null when all are taken. */
  ephemeralPort(local: IpAddr, remote: IpAddr | null, remotePort: number, free: (port: number) => boolean): number | null;
}
