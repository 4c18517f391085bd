/**
 * The kernel's tables (sysctl(3)'s opaque nodes): what the operator's commands show, as rows of plain objects. Addresses are text. What a
 * stack knows is asked by the ioctls that every stack answers, so the tables are there on any of them, and empty with none.
 */
import type { IpAddr } from '../wire/addr.ts';
import { addrToString } from '../wire/addrtext.ts';
import * as flags from './ifnet/flags.ts';
import { type IfAddrReq, type IfConfReq, type RtConfReq, SIOCGIFCONF, SIOCGRTCONF, describeStatus } from './ifnet/ifioctl.ts';
import type { Ifnet } from './ifnet/ifnet.ts';
import * as caps from './ifnet/link.ts';
import { type NeighConfReq, SIOCGNEIGHCONF } from './ifnet/neighioctl.ts';
import type { Kernel } from './kernel.ts';
import { fileRows, inetPcbs, localPcbs, tcpPcbs } from './socket/pcblist.ts';
import { SOCK_DGRAM, SOCK_RAW } from './socket/protosw.ts';
import type { SysctlTable } from './sysctl.ts';

function table(name: string, descr: string, get: () => readonly object[]): SysctlTable {
  return { name, descr, flags: 'rd', type: 'table', get };
}

/** The names of the bits that are set: exports `prefix` + name. */
function namesOf(bits: number, exports: object, prefix: string): string[] {
  return Object.entries(exports)
    .filter(([name, bit]) => name.startsWith(prefix) && typeof bit === 'number' && isOneBit(bit) && (bits & bit) !== 0)
    .sort(([, a], [, b]) => (a as number) - (b as number))
    .map(([name]) => name.slice(prefix.length).replace(/^DRV_/, ''));
}

/** `IFF_USER` and the like are sets of bits, and no flags of their own. */
function isOneBit(bit: number): boolean {
  return bit !== 0 && (bit & (bit - 1)) === 0;
}

const macText = (mac: Uint8Array): string => Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');

function addrRow({ name, addr, prefixLen, broadcast, dst, state }: IfAddrReq): { name: string } {
  const peer = { ...(broadcast && { broadcast: addrToString(broadcast) }), ...(dst && { dst: addrToString(dst) }) };
  const more = { ...peer, ...(state && { state }) };
  return { name, ...{ addr: addrToString(addr), prefixLen, ...more } };
}

function ifAddrs(kernel: Kernel): { name: string }[] {
  const conf: IfConfReq = { addrs: [] };
  return kernel.netstack.current.ioctl(SIOCGIFCONF, conf) === null ? conf.addrs.map(addrRow) : [];
}

function ifRow(ifp: Ifnet, addrs: readonly { name: string }[]): object {
  const lladdr = ifp.lladdr();
  return {
    name: ifp.name(),
    index: ifp.index,
    dname: ifp.dname,
    dunit: ifp.dunit,
    type: ifp.type(),
    flags: ifp.flags(),
    flagNames: namesOf(ifp.flags(), flags, 'IFF_'),
    mtu: ifp.mtu(),
    lladdr: lladdr === null ? null : macText(lladdr),
    capabilities: ifp.capabilities(),
    capenable: ifp.capEnable(),
    capNames: namesOf(ifp.capEnable(), caps, 'IFCAP_'),
    description: ifp.description(),
    fib: ifp.fib(),
    status: describeStatus(ifp),
    linkState: ifp.linkState(),
    addrs: addrs.filter(({ name }) => name === ifp.name()),
    counters: { ...ifp.counters },
  };
}

function routeRows(kernel: Kernel): object[] {
  const { current } = kernel.netstack;
  const rows: object[] = [];
  for (let fib = 0; fib < current.fibs(); fib++) {
    const conf: RtConfReq = { fib, routes: [] };
    if (current.ioctl(SIOCGRTCONF, conf) !== null) continue;
    for (const { dst, prefixLen, gateway, name = '', flags: letters } of conf.routes) {
      rows.push({
        dst: addrToString(dst),
        prefixLen,
        gateway: gateway === undefined ? null : addrToString(gateway),
        name,
        flags: letters,
        fib,
        mtu: kernel.ifnets.byName(name)?.mtu() ?? 0,
      });
    }
  }
  return rows;
}

function neighbourRows(kernel: Kernel): object[] {
  const conf: NeighConfReq = { neighbours: [] };
  if (kernel.netstack.current.ioctl(SIOCGNEIGHCONF, conf) !== null) return [];
  const row = ({ addr, lladdr, ...rest }: { addr: IpAddr; lladdr: Uint8Array | null }): object => ({
    addr: addrToString(addr),
    lladdr: lladdr === null ? null : macText(lladdr),
    ...rest,
  });
  return conf.neighbours.map(row);
}

export function kernelTables(kernel: Kernel): SysctlTable[] {
  const procs = (): object[] =>
    [...kernel.procs].map((proc) => ({
      name: proc.name,
      fib: proc.fib,
      files: proc.files.count(),
      maxfiles: proc.fileLimit(),
    }));
  const interfaces = (): object[] => {
    const addrs = ifAddrs(kernel);
    return kernel.ifnets.all().map((ifp) => ifRow(ifp, addrs));
  };
  return [
    table('net.inet.tcp.pcblist', 'Connections and listeners', () => tcpPcbs(kernel)),
    table('net.inet.udp.pcblist', 'Datagram sockets', () => inetPcbs(kernel, SOCK_DGRAM)),
    table('net.inet.raw.pcblist', 'Raw sockets', () => inetPcbs(kernel, SOCK_RAW)),
    table('net.local.pcblist', 'Sockets of the local domain', () => localPcbs(kernel)),
    table('kern.file', 'Descriptors of all processes', () => fileRows(kernel)),
    table('kern.proc', 'Processes', procs),
    table('kern.modules_table', 'Modules that are loaded, and who needs them', () => kernel.modules.describe()),
    table('kern.syscalls', 'System calls', () => kernel.syscalls.list()),
    table('net.iflist', 'Interfaces', interfaces),
    table('net.routes', 'Routes of all tables', () => routeRows(kernel)),
    table('net.neighbours', 'Neighbours and their hardware addresses', () => neighbourRows(kernel)),
    table('net.bpf', 'Who captures', () => kernel.bpf.list()),
  ];
}
