/** The network layer as the transports see it (contract.ts): routing, output and what may be asked about an address. */
import type { Errno, Result } from '../../kern/errno.ts';
import type { RxPacket, TxPacket } from '../../kern/packet.ts';
import { type IpAddr, addrEqual, isMulticast, isV4 } from '../../wire/addr.ts';
import type { IpIn, IpOut, NetworkLayer, Route } from './contract.ts';
import { plateauBelow } from './hostcache.ts';
import type { IcmpErrors } from './icmperror.ts';
import type { IfAddrs } from './ifaddr.ts';
import type { IpOutput } from './ipoutput.ts';
import type { IpOptions } from './ipsockopt.ts';
import { inetIf } from './netif.ts';
import type { InetRoute, Routes } from './routes.ts';

export class Ip implements NetworkLayer {
  readonly routes: Routes;
  readonly addrs: IfAddrs;
  readonly out: IpOutput;
  readonly #errors: IcmpErrors;

  constructor(routes: Routes, addrs: IfAddrs, out: IpOutput, errors: IcmpErrors) {
    this.routes = routes;
    this.addrs = addrs;
    this.out = out;
    this.#errors = errors;
  }

  route(dst: IpAddr, fib: number): Result<InetRoute> {
    return this.routes.route(dst, fib);
  }

  revalidate(route: Route): Result<InetRoute> {
    const r = route as InetRoute;
    return r.gen === this.routes.gen ? r : this.routes.route(r.dst, r.fib);
  }

  /** As `revalidate` and `route`, for a socket with IP options of its own: `last` is the way that its last packet took. */
  routeFor(last: Route | null, dst: IpAddr, fib: number, options: IpOptions): Result<InetRoute> {
    const via = options.multicastIf;
    if (via !== null && isMulticast(dst)) {
      if (inetIf(via.ifp) === via) {
        const r = last as InetRoute | null;
        if (r !== null && r.nif === via && r.gen === this.routes.gen && addrEqual(r.dst, dst)) return r;
        return this.routes.groupVia(dst, fib, via);
      }
      // The interface is gone, and with it the choice.
      options.multicastIf = null;
    }
    return last !== null && addrEqual(last.dst, dst) ? this.revalidate(last) : this.routes.route(dst, fib);
  }

  output(pkt: TxPacket, route: Route, src: IpAddr, dst: IpAddr, protocol: number, how: IpOut): Errno | null {
    return this.out.output(pkt, route, src, dst, protocol, how);
  }

  isLocal(addr: IpAddr): boolean {
    return this.addrs.isLocal(addr);
  }

  isGroup(addr: IpAddr): boolean {
    return isMulticast(addr) || (isV4(addr) && this.addrs.isBroadcast4(addr.w3));
  }

  sendUnreachable(pkt: RxPacket, ip: IpIn, why: 'port' | 'protocol'): void {
    this.#errors.unreachable(pkt, ip, why);
  }

  /**
   * A transport found that a router's "fragmentation needed" is about a packet of its own: the path takes `mtu` bytes, or, if the
   * router did not say (0), less than the `len` of that packet.
   */
  lowerPathMtu(dst: IpAddr, mtu: number, len: number): void {
    this.routes.lowerPathMtu(dst, mtu === 0 ? plateauBelow(len) : mtu);
  }
}
