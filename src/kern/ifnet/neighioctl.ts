/**
 * Requests about single routes and about neighbours, for stacks. Deviation: FreeBSD answers these on routing sockets; here they are
 * ioctls of the group `r`, beside those of `ifioctl.ts`, and their arguments are plain objects.
 */
import type { IpAddr } from '../../wire/addr.ts';
import { _IOR, _IOW, _IOWR } from '../ioccom.ts';

/** Sizes are part of the numbers and mean nothing else here. */
const RTREQ = 56;
const NEIGHREQ = 32;
const CONF = 16;

/** The route that a packet to `dst` takes. */
export const SIOCGRT = _IOWR('r', 17, RTREQ);
/** All neighbours; adds one, or changes it; forgets one. */
export const SIOCGNEIGHCONF = _IOR('r', 20, CONF);
export const SIOCSNEIGH = _IOW('r', 21, NEIGHREQ);
export const SIOCDNEIGH = _IOW('r', 22, NEIGHREQ);

/** SIOCGRT. ENETUNREACH and the other errors of sending there. */
export interface RtGetReq {
  readonly dst: IpAddr;
  readonly fib?: number;
  gateway?: IpAddr | null;
  name?: string;
  src?: IpAddr;
  /** Path MTU in bytes. */
  mtu?: number;
  flags?: string;
}

/** A neighbour. `state` is one of incomplete, failed, reachable, stale, permanent. */
export interface NeighReq {
  readonly addr: IpAddr;
  /** Interface; may be left out where the address's subnet says it. */
  readonly name?: string;
  readonly lladdr?: Uint8Array;
  /** SIOCSNEIGH: false for an entry that runs out like one that was learnt. Default true. */
  readonly permanent?: boolean;
}

/** SIOCGNEIGHCONF. `expireMs` is the time to the next step of the entry's life, 0 for a permanent one. */
export interface NeighConfReq {
  neighbours: { addr: IpAddr; name: string; lladdr: Uint8Array | null; state: string; expireMs: number }[];
}
