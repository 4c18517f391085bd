/** Numbers of an interface (net/if.h): flags and limits. */
import type { CounterMeta } from '../counters.ts';
import { FLOAT } from '../float.ts';

/** Interface flags, FreeBSD's bits. */
export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_DEBUG = 0x4;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_DRV_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_SIMPLEX = 0x800;
export const IFF_LINK0 = 0x1000;
export const IFF_LINK1 = 0x2000;
export const IFF_LINK2 = 0x4000;
export const IFF_MULTICAST = 0x8000;
/** The user's wish for promiscuous mode; IFF_PROMISC is what is in force. */
export const IFF_PPROMISC = 0x20000;
export const IFF_MONITOR = 0x40000;
export const IFF_STATICARP = 0x80000;

/** Flags that a user may change; the rest are facts. */
export const IFF_USER =
  IFF_UP | IFF_DEBUG | IFF_NOARP | IFF_LINK0 | IFF_LINK1 | IFF_LINK2 | IFF_PPROMISC | IFF_MONITOR | IFF_STATICARP;

/** What each type of link is by nature. */
export const IFF_OF_TYPE = {
  ethernet: IFF_BROADCAST | IFF_SIMPLEX | IFF_MULTICAST,
  loopback: IFF_LOOPBACK | IFF_MULTICAST,
  tunnel: IFF_POINTOPOINT | IFF_MULTICAST,
} as const;

/** Smallest and largest MTU an interface takes, in bytes. */
export const IF_MINMTU = 72;
export const IF_MAXMTU = 65535;
/** Group addresses that an interface hears. */
export const IF_MAXMULTI = 4096;
/** Longest name with its terminator, and longest description, in characters. */
export const IFNAMSIZ = 16;
export const IFDESCR_MAX = 1024;

/** Letters, digits, dot, dash, underscore; shorter than `IFNAMSIZ`. */
export function isIfName(name: string): boolean {
  return name.length < IFNAMSIZ && /^[A-Za-z0-9._-]+$/.test(name);
}

/** Counters of an interface (`ift_counter`). Frames, or bytes where it says so. */
export class IfCounters {
  ipackets = 0;
  ierrors = 0;
  opackets = 0;
  oerrors = 0;
  collisions = 0;
  ibytes = FLOAT;
  obytes = FLOAT;
  /** To a group, broadcast included. */
  imcasts = 0;
  omcasts = 0;
  /** Input and output lost for want of room, or because the interface was down. */
  iqdrops = 0;
  oqdrops = 0;
  /** Frames that no stack took. */
  noproto = 0;

  constructor() {
    this.ibytes = this.obytes = 0;
  }
}

export const IF_COUNTER_META: CounterMeta = {
  drops: ['ierrors', 'iqdrops', 'noproto'],
  outdrops: ['oerrors', 'oqdrops'],
  help: {
    ipackets: 'frames received',
    ierrors: 'frames that the link received damaged',
    opackets: 'frames sent',
    oerrors: 'frames that could not be sent',
    collisions: 'collisions on the link',
    ibytes: 'bytes received',
    obytes: 'bytes sent',
    imcasts: 'frames received for a group',
    omcasts: 'frames sent to a group',
    iqdrops: 'received frames dropped for want of room, or because the interface was down',
    oqdrops: 'frames to send dropped because the ring was full',
    noproto: 'received frames that no stack took',
  },
};
