/** What an operator can read and set about the network layer (inet(4), ip(4), icmp(4), udp(4), arp(4)). */
import type { Kernel } from '../../kern/kernel.ts';
import type { SysctlLeaf } from '../../kern/sysctl.ts';
import { type Inet, MAX_FIBS } from './inet.ts';

type IntBox<K extends string> = Record<K, number>;

function int<K extends string>(name: string, descr: string, box: IntBox<K>, key: K, min: number, max: number): SysctlLeaf {
  const set = (value: number): void => {
    box[key] = value;
  };
  return { name, descr, flags: 'rwtun', type: 'int', get: () => box[key], set, min, max };
}

function bool<K extends string>(name: string, descr: string, box: Record<K, boolean>, key: K): SysctlLeaf {
  const set = (value: boolean): void => {
    box[key] = value;
  };
  return { name, descr, flags: 'rwtun', type: 'bool', get: () => box[key], set };
}

function reading(name: string, descr: string, get: () => number): SysctlLeaf {
  return { name, descr, flags: 'rd', type: 'int', get };
}

/** The ends of the range of ephemeral ports keep their order. */
function portRange({ ports }: Inet): SysctlLeaf[] {
  return [
    {
      name: 'net.inet.ip.portrange.first',
      descr: 'lowest ephemeral port',
      flags: 'rwtun',
      type: 'int',
      get: () => ports.first,
      set: (value) => {
        if (value > ports.last) return 'EINVAL';
        ports.first = value;
        return null;
      },
      min: 1,
      max: 65535,
    },
    {
      name: 'net.inet.ip.portrange.last',
      descr: 'highest ephemeral port',
      flags: 'rwtun',
      type: 'int',
      get: () => ports.last,
      set: (value) => {
        if (value < ports.first) return 'EINVAL';
        ports.last = value;
        return null;
      },
      min: 1,
      max: 65535,
    },
  ];
}

function leaves(inet: Inet): SysctlLeaf[] {
  const { how, fragConfig, routes, ipInput, icmp, errors, udp, arpConfig, reass, addrs, igmp, mcast } = inet;
  return [
    int('net.inet.ip.ttl', 'time to live of packets without an option', how, 'ttl', 1, 255),
    reading('net.inet.ip.forwarding', 'packets between interfaces: this host does not forward', () => 0),
    reading('net.inet.ip.accept_sourceroute', 'source-routed packets are refused', () => 0),
    bool('net.inet.ip.source_address_validation', 'drop packets from a link that bear our own address', ipInput, 'checkSource'),
    int('net.inet.ip.maxfragpackets', 'datagrams in reassembly', fragConfig, 'maxDatagrams', 0, 65536),
    int('net.inet.ip.maxfragsperpacket', 'fragments of one datagram', fragConfig, 'maxPieces', 1, 8192),
    int('net.inet.ip.maxfragbytes', 'bytes of buffers in reassembly', fragConfig, 'maxBytes', 65536, 1 << 30),
    int('net.inet.ip.fragttl', 'seconds that a reassembly may take', fragConfig, 'timeoutSec', 1, 255),
    reading('net.inet.ip.fragpackets', 'datagrams in reassembly now', () => reass.count),
    int('net.inet.ip.rtcache_limit', 'cached destinations of a routing table', routes, 'cacheLimit', 16, 1 << 20),
    int('net.inet.ip.pmtu_min', 'smallest path MTU that is believed, bytes', routes, 'minPathMtu', 68, 1280),
    int('net.inet.ip.pmtu_limit', 'destinations with a known path MTU', routes.hosts, 'limit', 16, 1 << 20),
    int('net.inet.ip.pmtu_expire', 'seconds until a path MTU is forgotten', routes.hosts, 'expireSec', 60, 86400),
    reading('net.inet.ip.addresses', 'addresses of all interfaces', () => addrs.all().length),
    int('net.inet.ip.dad_count', 'probes for an address before it is used; 0: it is used at once', arpConfig, 'dadCount', 0, 16),
    ...portRange(inet),
    int('net.inet.ip.mcast.maxgroups', 'groups joined on an interface', mcast.config, 'maxGroups', 1, 65536),
    int('net.inet.ip.mcast.maxmemberships', 'groups joined by a socket', mcast.config, 'maxMemberships', 1, 4095),
    int('net.inet.ip.mcast.maxsocksrc', 'sources that a socket names for a group', mcast.config, 'maxSockSources', 1, 4096),
    int('net.inet.ip.mcast.maxgrpsrc', 'sources of a group that all sockets name', mcast.config, 'maxGroupSources', 1, 65536),
    bool('net.inet.igmp.enabled', 'tell routers which groups are heard', igmp, 'enabled'),
    int('net.inet.icmp.icmplim', 'ICMP errors sent in a second; 0: no limit', errors.bucket, 'rate', 0, 1_000_000),
    bool('net.inet.icmp.bmcastecho', 'answer requests sent to a group', icmp, 'groupEcho'),
    bool('net.inet.icmp.tstamprepl', 'answer timestamp requests', icmp, 'timestamps'),
    reading('net.inet.icmp.drop_redirect', 'redirects are not obeyed', () => 1),
    bool('net.inet.udp.checksum', 'send checksums', udp, 'checksum'),
    bool('net.inet.udp.blackhole', 'say nothing on closed ports', udp, 'blackhole'),
    int('net.inet.udp.maxdgram', 'send buffer of a socket: its longest datagram, bytes', udp, 'sendspace', 512, 65535),
    int('net.inet.udp.recvspace', 'receive buffer of a socket, bytes', udp, 'recvspace', 2048, 8 << 20),
    int('net.link.ether.inet.max_age', 'seconds that an entry counts', arpConfig, 'maxAgeSec', 1, 86400),
    int('net.link.ether.inet.maxtries', 'requests for an address', arpConfig, 'maxTries', 1, 20),
    int(
      'net.link.ether.inet.host_down_time',
      'seconds without requests for a neighbour that was silent',
      arpConfig,
      'hostDownSec',
      1,
      600,
    ),
    int('net.link.ether.inet.max_entries', 'neighbours of an interface', arpConfig, 'maxEntries', 16, 1 << 20),
    int('net.link.ether.inet.max_pending', 'neighbours of an interface that are asked for', arpConfig, 'maxPending', 1, 1 << 16),
    int('net.link.ether.inet.maxhold', 'packets that wait for a neighbour', arpConfig, 'maxHold', 1, 256),
    int(
      'net.link.ether.inet.maxhold_bytes',
      'bytes of buffers that wait on an interface',
      arpConfig,
      'maxHoldBytes',
      2048,
      1 << 28,
    ),
    bool('net.link.ether.inet.log_arp_movements', 'log a neighbour that moves', arpConfig, 'logMoves'),
    // Taken from the environment before the tables were made (inetmodule.ts).
    {
      name: 'net.fibs',
      descr: 'routing tables',
      flags: 'rdtun',
      type: 'int',
      get: () => routes.fibs(),
      set: () => null,
      min: 1,
      max: MAX_FIBS,
    },
  ];
}

/** Registers all of them. */
export function addSysctls(kernel: Kernel, inet: Inet, own: (undo: () => void) => void): void {
  for (const leaf of leaves(inet)) {
    const undo = kernel.sysctl.add(leaf);
    if (typeof undo === 'function') own(undo);
    else kernel.log.warn({ sysctl: leaf.name, err: undo }, 'sysctl could not be registered');
  }
}
