/** The commands as functions, for programs: each takes a client (`netmod/client`) and answers data; `format…` makes the text of it. */
export { arpDelete, arpSet, arpShow, formatNeighbour } from './arp.ts';
export { formatInterface, ifconfigSet, ifconfigShow } from './ifconfig.ts';
export { kenvDump } from './kenv.ts';
export { formatModules, kldstat } from './kld.ts';
export { metrics, prometheusText } from './metrics.ts';
export {
  formatConnections,
  formatInterfaces,
  formatStatistics,
  netstatConnections,
  netstatMemory,
  netstatStatistics,
} from './netstat.ts';
export { ping } from './ping.ts';
export { formatRoutes, routeAdd, routeDelete, routeGet, routeShow } from './route.ts';
export { formatSockets, sockstat } from './sockstat.ts';
export { formatSs, formatTcpInfo, ss } from './ss.ts';
export { sysctlAll, sysctlRead, sysctlWrite } from './sysctl.ts';
export { Dissector } from './dissect.ts';
export { formatFrame } from './frametext.ts';
export { readFilter } from './pcapfilter.ts';
export { TopView, sparkline, topSample } from './top.ts';
export { traceroute } from './traceroute.ts';
export { uuidgen } from './uuidgen.ts';
