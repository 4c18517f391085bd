/** Segment sizes (RFC 9293 §3.7.1, RFC 6691, RFC 1191): what we offer, and what we send with. */
import { type IpAddr, isV4 } from '../../../wire/addr.ts';
import { TCP_HDR_LEN, TCPOLEN_TSTAMP_APPA } from '../../../wire/tcp.ts';
import type { Route } from '../contract.ts';
import type { TcpInst } from './inst.ts';
import { TF_TSTMP, type Tcb } from './tcb.ts';

/** Bytes of payload that any path carries. */
const MSS_MIN = 8;

/** Network and TCP header without options, in bytes. */
export function headersLen(faddr: IpAddr): number {
  return (isV4(faddr) ? 20 : 40) + TCP_HDR_LEN;
}

/** The MSS option of our SYN: what the interface can receive (MUST-67), whatever the path's MTU towards the peer is. */
export function mssToOffer(route: Route, faddr: IpAddr, maxseg: number): number {
  const mss = Math.min(route.ifp.mtu(), 65_535) - headersLen(faddr);
  return maxseg > 0 && maxseg < mss ? maxseg : mss;
}

/** MSS of a peer that sent no option, or an absurd one: MUST-15, and no less than the administrator allows. */
export function mssOfPeer(tcp: TcpInst, faddr: IpAddr, option: number): number {
  const { config } = tcp;
  if (option === 0) return isV4(faddr) ? config.mssdflt : config.v6mssdflt;
  return option < config.minmss ? config.minmss : option;
}

/** The largest segment that the peer, the user and the path, as far as it tells, allow. Payload in bytes. */
export function mssOfPath(tcb: Tcb, route: Route): number {
  let mss = Math.min(tcb.peerMss, route.mtu - headersLen(tcb.faddr));
  const maxseg = tcb.options === null ? 0 : tcb.options.maxseg;
  if (maxseg > 0 && maxseg < mss) mss = maxseg;
  return (tcb.flags & TF_TSTMP) !== 0 ? mss - TCPOLEN_TSTAMP_APPA : mss;
}

/** Effective send MSS (MUST-16): makes `tcb.mss` and `tcb.mtu` anew. */
export function mssUpdate(tcb: Tcb, route: Route): void {
  tcb.mtu = route.mtu;
  let mss = mssOfPath(tcb, route);
  const { plpmtud } = tcb;
  if (plpmtud !== null && plpmtud.limit > 0 && plpmtud.limit < mss) mss = plpmtud.limit;
  // A path of the least MTU there is, with options, still has room for some bytes.
  tcb.mss = mss > MSS_MIN ? mss : MSS_MIN;
}
