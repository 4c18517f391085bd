/** Interfaces of a boot: the loopback, and the device with its addresses and the way out, by the same requests that ifconfig uses. */
import { ANY4, ANY6, type IpAddr, isV4 } from '../wire/addr.ts';
import { addrToString, parsePrefix } from '../wire/addrtext.ts';
import { type Errno, isErrno } from '../kern/errno.ts';
import { type IfAddrReq, type RtReq, SIOCADDRT, SIOCAIFADDR } from '../kern/ifnet/ifioctl.ts';
import type { Ifnet } from '../kern/ifnet/ifnet.ts';
import type { Kernel } from '../kern/kernel.ts';
import { AF_INET6, SOCK_DGRAM } from '../kern/socket/protosw.ts';
import { DRIVER_DEFAULTS } from '../driver/registry.ts';
import type { OpenedLink } from '../driver/driver.ts';
import { createLo } from '../driver/lo.ts';
import { BootFailure } from './failure.ts';
import type { BootOptions } from './options.ts';
import { PcapFile } from './pcapfile.ts';
import { findDriver } from './registry.ts';
import { formatPrefix, type Prefix } from './values.ts';

/** Tunables of the device. */
const SPIN_US = 'kern.poll.spin_us';
const TXQUEUELEN = 'net.link.tap.txqueuelen';
const LRO = 'net.link.tap.lro';
/** Longest busy polling in microseconds. */
const SPIN_MAX = 1000;

/** The device of a boot. */
export interface Device {
  readonly ifp: Ifnet;
  readonly hostName: string;
  readonly pcap: PcapFile | null;
}

function must(err: Errno | null, what: string): void {
  if (err !== null) throw new BootFailure(1, `${what}: ${err}`);
}

/** IPv6 addresses need a stack that has the family. */
export function checkFamilies(kernel: Kernel, options: BootOptions): void {
  if (!isErrno(kernel.domains.find(AF_INET6, SOCK_DGRAM, 0))) return;
  const v6 = options.addrs.find(({ addr }) => !isV4(addr));
  if (v6 === undefined) return;
  throw new BootFailure(
    2,
    `--addr: ${formatPrefix(v6)} is an IPv6 address, and the stack '${kernel.netstack.name}' has no inet6 domain; give IPv4 addresses`,
  );
}

/** `lo0` with 127.0.0.1/8. Without a stack nobody could use it. */
export function attachLoopback(kernel: Kernel): void {
  if (kernel.netstack.name === 'none') return;
  const lo = kernel.ifnets.attach('lo', 0, createLo(kernel.effects));
  if (isErrno(lo)) throw new BootFailure(1, `lo0: ${lo}`);
  must(lo.setUp(true), 'lo0: up');
  addAddress(kernel, lo, parsePrefix('127.0.0.1/8') as Prefix);
}

function addAddress(kernel: Kernel, ifp: Ifnet, { addr, len }: Prefix): void {
  const req: IfAddrReq = { name: ifp.name(), addr, prefixLen: len };
  const err = kernel.netstack.current.ioctl(SIOCAIFADDR, req);
  if (err !== 'EEXIST') must(err, `${ifp.name()}: address ${formatPrefix({ addr, len })}`);
}

/** Opens the device and attaches it. */
export async function attachDevice(kernel: Kernel, options: BootOptions): Promise<Device> {
  const driver = findDriver(options.driver);
  const txqueuelen = addQueueTunable(kernel);
  const opened = await driver.open(
    { random: kernel.random, log: kernel.log.child('driver') },
    {
      ...DRIVER_DEFAULTS,
      name: options.tap,
      fd: options.tapFd,
      mtu: options.mtu,
      lladdr: options.mac,
      offload: options.offload,
      peers: options.peers.map(formatPrefix),
      txqueuelen,
    },
  );
  if ('error' in opened) throw new BootFailure(1, opened.error);
  const pcap = options.pcap === null ? null : openPcap(kernel, options.pcap, opened);
  const ifp = attach(kernel, opened, pcap);
  kernel.counters.add(`driver.${ifp.name()}`, opened.counters);
  addSpinTunable(kernel, opened);
  addLroTunable(kernel, opened);
  must(ifp.startError(), `${opened.hostName} does not start`);
  must(ifp.setUp(true), `${ifp.name()}: up`);
  return { ifp, hostName: opened.hostName, pcap };
}

function openPcap(kernel: Kernel, file: string, opened: OpenedLink): PcapFile {
  try {
    return new PcapFile(kernel, file);
  } catch (error) {
    opened.link.stop();
    throw error;
  }
}

/** From here on the interface owns the link, and stops it when it goes. */
function attach(kernel: Kernel, opened: OpenedLink, pcap: PcapFile | null): Ifnet {
  const { dname, dunit, hostName } = opened;
  const ifp = kernel.ifnets.attach(dname, dunit, opened.link);
  if (!isErrno(ifp)) {
    pcap?.trace(ifp, hostName);
    return ifp;
  }
  opened.link.stop();
  throw new BootFailure(1, `cannot attach ${hostName} as ${dname}${dunit}: ${ifp}`);
}

function addQueueTunable(kernel: Kernel): number {
  let frames = DRIVER_DEFAULTS.txqueuelen;
  kernel.sysctl.add({
    name: TXQUEUELEN,
    descr: 'Frames that the host queues towards the stack',
    flags: 'rdtun',
    type: 'int',
    min: 1,
    max: 1_000_000,
    get: () => frames,
    set: (value) => void (frames = value),
  });
  return frames;
}

function addSpinTunable(kernel: Kernel, opened: OpenedLink): void {
  let us = 0;
  kernel.sysctl.add({
    name: SPIN_US,
    descr: 'Busy polling of the device after a batch, in microseconds; 0 for none',
    flags: 'rwtun',
    type: 'int',
    min: 0,
    max: SPIN_MAX,
    get: () => us,
    set: (value) => {
      const err = opened.setSpinUs(value);
      if (err === null) us = value;
      return err;
    },
  });
}

function addLroTunable(kernel: Kernel, opened: OpenedLink): void {
  let on = opened.setLro(true) === null;
  kernel.sysctl.add({
    name: LRO,
    descr: 'Merge received TCP segments where the device has no offload',
    flags: 'rwtun',
    type: 'bool',
    get: () => on,
    set: (value) => {
      const err = opened.setLro(value);
      if (err === null) on = value;
      return err;
    },
  });
}

/** Addresses of the stack's side, and the default route. */
export function configureDevice(kernel: Kernel, { ifp }: Device, options: BootOptions): void {
  for (const prefix of options.addrs) addAddress(kernel, ifp, prefix);
  const { gateway } = options;
  if (options.addrs.length > 0 && gateway !== null) addDefaultRoute(kernel, ifp, gateway);
}

function addDefaultRoute(kernel: Kernel, ifp: Ifnet, gateway: IpAddr): void {
  const req: RtReq = { dst: isV4(gateway) ? ANY4 : ANY6, prefixLen: 0, gateway, name: ifp.name() };
  must(kernel.netstack.current.ioctl(SIOCADDRT, req), `default route by way of ${addrToString(gateway)}`);
}
