/**
 * Interface requests (net/if.c, sys/sockio.h): the numbers, the shape of their arguments, and those that every stack answers alike.
 * An argument is a plain object with the fields of FreeBSD's structure in words; a request that reads fills its fields in.
 */
import type { IpAddr } from '../../wire/addr.ts';
import type { Kernel } from '../kernel.ts';
import { _IOR, _IOW, _IOWR } from '../ioccom.ts';
import { isErrno } from '../errno.ts';
import { ENOIOCTL, type IoctlResult } from '../ioctl.ts';
import { IFF_UP } from './flags.ts';
import type { IfCloners } from './ifclone.ts';
import type { Ifnet } from './ifnet.ts';

/** Sizes of FreeBSD's structures in bytes: they are part of the numbers. */
const IFREQ = 32;
const IFALIASREQ = 68;
const IFCONF = 16;
const IFMEDIAREQ = 48;
const IFSTAT = 816;
const ORTENTRY = 56;
const IFDRV = 40;

export const SIOCSIFFLAGS = _IOW('i', 16, IFREQ);
export const SIOCGIFFLAGS = _IOWR('i', 17, IFREQ);
export const SIOCDIFADDR = _IOW('i', 25, IFREQ);
export const SIOCSIFCAP = _IOW('i', 30, IFREQ);
export const SIOCGIFCAP = _IOWR('i', 31, IFREQ);
export const SIOCGIFINDEX = _IOWR('i', 32, IFREQ);
export const SIOCGIFADDR = _IOWR('i', 33, IFREQ);
export const SIOCGIFBRDADDR = _IOWR('i', 35, IFREQ);
export const SIOCGIFCONF = _IOWR('i', 36, IFCONF);
export const SIOCGIFNETMASK = _IOWR('i', 37, IFREQ);
export const SIOCSIFNAME = _IOW('i', 40, IFREQ);
export const SIOCSIFDESCR = _IOW('i', 41, IFREQ);
export const SIOCGIFDESCR = _IOWR('i', 42, IFREQ);
export const SIOCAIFADDR = _IOW('i', 43, IFALIASREQ);
export const SIOCADDMULTI = _IOW('i', 49, IFREQ);
export const SIOCDELMULTI = _IOW('i', 50, IFREQ);
export const SIOCGIFMTU = _IOWR('i', 51, IFREQ);
export const SIOCSIFMTU = _IOW('i', 52, IFREQ);
export const SIOCGIFMEDIA = _IOWR('i', 56, IFMEDIAREQ);
export const SIOCGIFSTATUS = _IOWR('i', 59, IFSTAT);
export const SIOCSIFLLADDR = _IOW('i', 60, IFREQ);
export const SIOCGHWADDR = _IOWR('i', 62, IFREQ);
export const SIOCGIFFIB = _IOWR('i', 92, IFREQ);
export const SIOCSIFFIB = _IOW('i', 93, IFREQ);
export const SIOCSDRVSPEC = _IOW('i', 123, IFDRV);
/** Interfaces made by name: the kinds there are, make one, take one away (if_clone(4)). */
export const SIOCIFGCLONERS = _IOWR('i', 120, IFCONF);
export const SIOCIFDESTROY = _IOW('i', 121, IFREQ);
export const SIOCIFCREATE = _IOWR('i', 122, IFREQ);
export const SIOCGDRVSPEC = _IOWR('i', 123, IFDRV);

/**
 * Routes, for the group `r`. Deviation: FreeBSD has moved these to routing sockets; here the old requests do it, and number 16
 * lists the table.
 */
export const SIOCADDRT = _IOW('r', 10, ORTENTRY);
export const SIOCDELRT = _IOW('r', 11, ORTENTRY);
export const SIOCGRTCONF = _IOR('r', 16, IFCONF);

/** What every request of one interface has. */
export interface IfReq {
  readonly name: string;
}

/** SIOCGIFFLAGS, SIOCSIFFLAGS: `IFF_*` bits. */
export interface IfFlagsReq extends IfReq {
  flags?: number;
}
/** SIOCGIFCAP, SIOCSIFCAP: what is enabled (current, or asked for), and what there is. `IFCAP_*` bits. */
export interface IfCapReq extends IfReq {
  reqcap?: number;
  curcap?: number;
}
/** SIOCGIFMTU, SIOCSIFMTU: bytes. */
export interface IfMtuReq extends IfReq {
  mtu?: number;
}
/** SIOCGHWADDR, SIOCSIFLLADDR. */
export interface IfLladdrReq extends IfReq {
  lladdr?: Uint8Array;
}
export interface IfNameReq extends IfReq {
  readonly newName: string;
}
/** SIOCGIFDESCR, SIOCSIFDESCR; setting null or '' removes it. */
export interface IfDescrReq extends IfReq {
  descr?: string | null;
}
export interface IfFibReq extends IfReq {
  fib?: number;
}
export interface IfIndexReq extends IfReq {
  index?: number;
}
/** SIOCGIFMEDIA: is there a carrier? */
export interface IfMediaReq extends IfReq {
  media?: string;
  active?: boolean;
}
export interface IfStatusReq extends IfReq {
  status?: string;
}
/** SIOCIFCREATE: a kind, or a kind with its unit; answered with the name. SIOCIFDESTROY: the name. */
export interface IfCreateReq {
  name: string;
}
/** SIOCIFGCLONERS. */
export interface IfClonersReq {
  cloners: string[];
}
/** SIOCSDRVSPEC, SIOCGDRVSPEC: the driver's own request and its argument. */
export interface IfDrvReq extends IfReq {
  readonly cmd: number;
  readonly data: unknown;
}

/** SIOCAIFADDR, SIOCDIFADDR, SIOCGIFADDR (the first of `addr`'s family, else any), for stacks. `prefixLen` in the address's family. */
export interface IfAddrReq extends IfReq {
  addr: IpAddr;
  prefixLen: number;
  broadcast?: IpAddr;
  /** The other end of a point-to-point interface. */
  dst?: IpAddr;
  /** SIOCGIFCONF: the address is not in use. Absent for one that is. */
  state?: AddrState;
}
/** Still asked for on the link, or found to be another host's (RFC 5227); the words of ifconfig(8). */
export type AddrState = 'tentative' | 'duplicated';
/** SIOCGIFCONF: all addresses of all interfaces; for stacks. */
export interface IfConfReq {
  addrs: IfAddrReq[];
}
/** SIOCADDRT, SIOCDELRT; for stacks. Without a gateway the destination is on the interface's own link. */
export interface RtReq {
  readonly dst: IpAddr;
  readonly prefixLen: number;
  readonly gateway?: IpAddr;
  /** Interface; may be left out where the gateway's address says it. */
  readonly name?: string;
  readonly fib?: number;
}
/** SIOCGRTCONF: the routes of a table; for stacks. */
export interface RtConfReq {
  readonly fib?: number;
  routes: (RtReq & { readonly flags: string })[];
}

type AnyIfReq = IfFlagsReq &
  IfCapReq &
  IfMtuReq &
  IfLladdrReq &
  Partial<Pick<IfNameReq, 'newName'>> &
  IfDescrReq &
  IfFibReq &
  IfIndexReq &
  IfMediaReq &
  IfStatusReq &
  Partial<Pick<IfDrvReq, 'cmd' | 'data'>>;

/**
 * Answers a request about an interface that needs no stack. ENOIOCTL for any other one, ENXIO for an unknown interface, EINVAL for a
 * missing or wrong field, ENOMSG for a description that is not there, or what the interface answers.
 */
export function ifhwioctl(kernel: Kernel, cmd: number, data: unknown): IoctlResult {
  const clone = CLONE_HANDLERS.get(cmd);
  const handler = HANDLERS.get(cmd);
  if (handler === undefined && clone === undefined) return ENOIOCTL;
  if (typeof data !== 'object' || data === null) return 'EINVAL';
  if (clone !== undefined) return clone(kernel.cloners, data as Partial<IfCreateReq>);
  if (handler === undefined) return ENOIOCTL;
  const req = data as AnyIfReq;
  if (typeof req.name !== 'string') return 'EINVAL';
  const ifp = kernel.ifnets.byName(req.name);
  if (ifp === null) return 'ENXIO';
  return handler(ifp, req);
}

/** An integer field, or NaN, which nothing takes. */
function int(value: number | undefined): number {
  return Number.isInteger(value) ? (value as number) : NaN;
}

type Handler = (ifp: Ifnet, req: AnyIfReq) => IoctlResult;

function reads(fill: (ifp: Ifnet, req: AnyIfReq) => void): Handler {
  return (ifp, req) => {
    fill(ifp, req);
    return null;
  };
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [SIOCGIFFLAGS, reads((ifp, req) => (req.flags = ifp.flags()))],
  [SIOCSIFFLAGS, (ifp, req) => (Number.isInteger(req.flags) ? ifp.setFlags(int(req.flags)) : 'EINVAL')],
  [
    SIOCGIFCAP,
    reads((ifp, req) => {
      req.reqcap = ifp.capabilities();
      req.curcap = ifp.capEnable();
    }),
  ],
  [SIOCSIFCAP, (ifp, req) => (Number.isInteger(req.reqcap) ? ifp.setCapEnable(int(req.reqcap)) : 'EINVAL')],
  [SIOCGIFINDEX, reads((ifp, req) => (req.index = ifp.index))],
  [SIOCGIFMTU, reads((ifp, req) => (req.mtu = ifp.mtu()))],
  [SIOCSIFMTU, (ifp, req) => ifp.setMtu(int(req.mtu))],
  [SIOCSIFLLADDR, (ifp, req) => (req.lladdr instanceof Uint8Array ? ifp.setLladdr(req.lladdr) : 'EINVAL')],
  [
    SIOCGHWADDR,
    (ifp, req) => {
      const lladdr = ifp.lladdr();
      if (lladdr === null) return 'ENODEV';
      req.lladdr = lladdr.slice();
      return null;
    },
  ],
  [SIOCSIFNAME, (ifp, req) => (typeof req.newName === 'string' ? ifp.setName(req.newName) : 'EINVAL')],
  [
    SIOCGIFDESCR,
    (ifp, req) => {
      const descr = ifp.description();
      if (descr === null) return 'ENOMSG';
      req.descr = descr;
      return null;
    },
  ],
  [SIOCADDMULTI, (ifp, req) => (req.lladdr instanceof Uint8Array ? ifp.addMulti(req.lladdr) : 'EINVAL')],
  [SIOCDELMULTI, (ifp, req) => (req.lladdr instanceof Uint8Array ? ifp.delMulti(req.lladdr) : 'EINVAL')],
  [
    SIOCSIFDESCR,
    (ifp, req) => {
      const { descr = null } = req;
      return descr === null || typeof descr === 'string' ? ifp.setDescription(descr) : 'EINVAL';
    },
  ],
  [SIOCGIFFIB, reads((ifp, req) => (req.fib = ifp.fib()))],
  [SIOCSIFFIB, (ifp, req) => (Number.isInteger(req.fib) ? ifp.setFib(int(req.fib)) : 'EINVAL')],
  [
    SIOCGIFMEDIA,
    reads((ifp, req) => {
      req.media = ifp.type();
      req.active = ifp.linkState() === 'up';
    }),
  ],
  [SIOCGIFSTATUS, reads((ifp, req) => (req.status = describeStatus(ifp)))],
  [SIOCSDRVSPEC, driverRequest],
  [SIOCGDRVSPEC, driverRequest],
]);

const CLONE_HANDLERS: ReadonlyMap<number, (cloners: IfCloners, req: Partial<IfCreateReq>) => IoctlResult> = new Map([
  [
    SIOCIFCREATE,
    (cloners, req) => {
      if (typeof req.name !== 'string') return 'EINVAL';
      const made = cloners.create(req.name);
      if (isErrno(made)) return made;
      req.name = made.name;
      return null;
    },
  ],
  [SIOCIFDESTROY, (cloners, req) => (typeof req.name === 'string' ? cloners.destroy(req.name) : 'EINVAL')],
  [
    SIOCIFGCLONERS,
    (cloners, req) => {
      (req as Partial<IfClonersReq>).cloners = cloners.names();
      return null;
    },
  ],
]);

function driverRequest(ifp: Ifnet, req: AnyIfReq): IoctlResult {
  return Number.isInteger(req.cmd) ? ifp.driverIoctl(int(req.cmd), req.data) : 'EINVAL';
}

/** One line for ifconfig(8). */
export function describeStatus(ifp: Ifnet): string {
  const err = ifp.startError();
  if (err !== null) return `no device (${err})`;
  if ((ifp.flags() & IFF_UP) === 0) return 'down';
  return ifp.linkState() === 'up' ? 'active' : 'no carrier';
}
