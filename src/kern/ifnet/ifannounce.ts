/** Tells of changes that came by ioctl (route(4)'s messages): routes, and addresses of interfaces. */
import type { Kernel } from '../kernel.ts';
import { type RtReq, SIOCADDRT, SIOCAIFADDR, SIOCDELRT, SIOCDIFADDR } from './ifioctl.ts';

/** Invokes the event of a request that was carried out, if it has one. */
export function announceChange({ events, ifnets }: Kernel, cmd: number, data: unknown): void {
  if (cmd === SIOCADDRT || cmd === SIOCDELRT) {
    events.invoke('rtentry_event', cmd === SIOCADDRT ? 'add' : 'delete', data as RtReq);
  } else if (cmd === SIOCAIFADDR || cmd === SIOCDIFADDR) {
    const ifp = ifnets.byName((data as { name: string }).name);
    if (ifp !== null) events.invoke('ifaddr_event', ifp);
  }
}
