/** All commands of the program, in the order of its help. */
import { arpTool } from './arp.ts';
import { ifconfigTool } from './ifconfig.ts';
import { kenvTool } from './kenv.ts';
import { kldloadTool, kldstatTool, kldunloadTool } from './kld.ts';
import { metricsTool } from './metrics.ts';
import { netstatTool } from './netstat.ts';
import { pingTool } from './ping.ts';
import { routeTool } from './route.ts';
import { setfibTool } from './setfib.ts';
import { sockstatTool } from './sockstat.ts';
import { ssTool } from './ss.ts';
import { sysctlTool } from './sysctl.ts';
import { tcpdumpTool } from './tcpdump.ts';
import type { Tool } from './tool.ts';
import { topTool } from './top.ts';
import { tracerouteTool } from './traceroute.ts';
import { uuidgenTool } from './uuidgen.ts';

export const TOOLS: readonly Tool[] = [
  ifconfigTool,
  routeTool,
  arpTool,
  netstatTool,
  ssTool,
  sockstatTool,
  sysctlTool,
  kldstatTool,
  kldloadTool,
  kldunloadTool,
  kenvTool,
  setfibTool,
  uuidgenTool,
  pingTool,
  tracerouteTool,
  tcpdumpTool,
  topTool,
  metricsTool,
];
