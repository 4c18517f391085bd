/**
 * Limits and settings. What sizes a slab is a tunable, read once from the kernel environment when the stack is made; the rest are
 * sysctls under FreeBSD's names where the meaning is FreeBSD's.
 */
import type { Errno } from '../../kern/errno.ts';
import { isErrno } from '../../kern/errno.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { Undo } from '../../kern/undo.ts';

/** What net.inet.tcp.cc.algorithm and TCP_CONGESTION take. */
export const CC_NAMES: readonly string[] = ['cubic', 'newreno'];

export class Config {
  /** Rows of the flow slab: TCP sockets and connections together. */
  readonly flows: number;
  /** Records of connections in TIME-WAIT. */
  readonly timewait: number;
  /** Half-open connections that are kept; beyond them SYN cookies answer. */
  readonly embryonic: number;
  /** Rows for out-of-order data and SACK. */
  readonly ranges: number;
  readonly udpSockets: number;

  delackMs = 40;
  mslMs = 30_000;
  /** RFC 9293 MUST-23: three minutes at least for a SYN. */
  keepInitMs = 180_000;
  keepIdleMs = 7_200_000;
  keepIntvlMs = 75_000;
  keepCnt = 8;
  alwaysKeepalive = false;
  rexmtMinMs = 200;
  rexmtMaxMs = 60_000;
  finwait2Ms = 60_000;
  /** Probes for an address before it is used (RFC 5227 §2.1.1: 3); 0: it is used at once. */
  dadCount = 0;
  sack = true;
  rfc1323 = true;
  sndSpace = 524_288;
  /** Grows by itself up to `rcvBufMax` (tcp/autotune.ts). */
  rcvSpace = 65_536;
  rcvBufMax = 8_388_608;
  rcvBufAuto = true;
  sndBufMax = 8_388_608;
  sndBufAuto = true;
  ccAlgorithm = 'cubic';
  /** Smaller segments where full ones vanish. */
  pmtudBlackhole = true;
  pmtudBlackholeMss = 1200;
  /** RFC 4821 §7.5, RFC 1191 §6.3. */
  pmtudProbeMs = 600_000;
  persistOrphanMs = 120_000;
  udpSndSpace = 65_535;
  udpRcvSpace = 262_144;
  ttl = 64;
  portFirst = 10_000;
  portLast = 65_535;
  icmpLimit = 200;
  bmcastEcho = false;

  constructor(kernel: Kernel) {
    const tunable = (name: string, dflt: number, min: number, max: number): number => {
      const n = kernel.kenv.getInt(name);
      if (isErrno(n) && n === 'ENOENT') return dflt;
      if (!isErrno(n) && n >= min && n <= max) return n;
      kernel.log.error(
        { tunable: name, value: kernel.kenv.get(name) },
        `refused: an integer from ${min} to ${max}; ${dflt} is used`,
      );
      return dflt;
    };
    this.flows = tunable('net.alt.flows', 16_384, 16, 1 << 20);
    this.timewait = tunable('net.alt.timewait', Math.min(16_384, this.flows), 4, 1 << 18);
    this.embryonic = tunable('net.alt.embryonic', Math.max(4, Math.min(4096, this.flows >> 2)), 0, this.flows);
    this.ranges = tunable('net.alt.ranges', Math.max(16, this.flows >> 2), 1, this.flows);
    this.udpSockets = tunable('net.alt.udpsockets', 1024, 1, 1 << 16);
  }
}

type NumberKey = { [K in keyof Config]: Config[K] extends number ? K : never }[keyof Config];
type BoolKey = { [K in keyof Config]: Config[K] extends boolean ? K : never }[keyof Config];

const INTS: readonly (readonly [name: string, key: NumberKey, min: number, max: number, descr: string])[] = [
  ['net.inet.tcp.delacktime', 'delackMs', 0, 500, 'longest delay of an acknowledgment, ms'],
  ['net.inet.tcp.msl', 'mslMs', 1, 300_000, 'maximum segment lifetime, ms; TIME-WAIT lasts two'],
  ['net.inet.tcp.keepinit', 'keepInitMs', 100, 3_600_000, 'longest time to establish a connection, ms'],
  ['net.inet.tcp.keepidle', 'keepIdleMs', 100, 86_400_000, 'idle time before the first keep-alive probe, ms'],
  ['net.inet.tcp.keepintvl', 'keepIntvlMs', 100, 3_600_000, 'time between keep-alive probes, ms'],
  ['net.inet.tcp.keepcnt', 'keepCnt', 1, 127, 'keep-alive probes without an answer before the end'],
  ['net.inet.tcp.rexmit_min', 'rexmtMinMs', 10, 60_000, 'smallest retransmission timeout, ms'],
  ['net.inet.tcp.finwait2_timeout', 'finwait2Ms', 100, 3_600_000, 'FIN-WAIT-2 without a socket, ms'],
  ['net.inet.tcp.sendspace', 'sndSpace', 2048, 8_388_608, 'send buffer of a new socket, bytes'],
  ['net.inet.tcp.recvspace', 'rcvSpace', 2048, 8_388_608, 'receive buffer of a new socket, bytes'],
  ['net.inet.tcp.recvbuf_max', 'rcvBufMax', 65_535, 8_388_608, 'receive buffer that grows by itself, at most, bytes'],
  ['net.inet.tcp.sendbuf_max', 'sndBufMax', 2048, 8_388_608, 'send buffer that grows by itself, at most, bytes'],
  ['net.inet.tcp.pmtud_blackhole_mss', 'pmtudBlackholeMss', 88, 65_495, 'first size tried where full segments vanish, bytes'],
  ['net.inet.tcp.pmtud_probe_interval', 'pmtudProbeMs', 1000, 0x7fffffff, 'time until a larger size is tried again, ms'],
  ['net.inet.tcp.persist_orphan', 'persistOrphanMs', 1000, 0x7fffffff, 'closed window of a closed socket, ms'],
  ['net.inet.udp.maxdgram', 'udpSndSpace', 1, 65_535, 'longest datagram that is sent, bytes'],
  ['net.inet.udp.recvspace', 'udpRcvSpace', 2048, 8_388_608, 'receive buffer of a new datagram socket, bytes'],
  ['net.inet.ip.dad_count', 'dadCount', 0, 16, 'probes for an address before it is used; 0: it is used at once'],
  ['net.inet.ip.ttl', 'ttl', 1, 255, 'time to live of packets sent'],
  ['net.inet.ip.portrange.first', 'portFirst', 1, 65_535, 'first ephemeral port'],
  ['net.inet.ip.portrange.last', 'portLast', 1, 65_535, 'last ephemeral port'],
  ['net.inet.icmp.icmplim', 'icmpLimit', 0, 100_000, 'ICMP errors and resets per second; 0: no limit'],
];

const BOOLS: readonly (readonly [name: string, key: BoolKey, descr: string])[] = [
  ['net.inet.tcp.always_keepalive', 'alwaysKeepalive', 'keep-alive on every connection'],
  ['net.inet.tcp.sack.enable', 'sack', 'offer selective acknowledgments (RFC 2018)'],
  ['net.inet.tcp.rfc1323', 'rfc1323', 'offer window scaling and timestamps (RFC 7323)'],
  ['net.inet.tcp.recvbuf_auto', 'rcvBufAuto', 'let receive buffers grow with what comes in a round trip'],
  ['net.inet.tcp.sendbuf_auto', 'sndBufAuto', 'let send buffers grow with the congestion window'],
  ['net.inet.tcp.pmtud_blackhole_detection', 'pmtudBlackhole', 'find paths that drop full segments silently (RFC 4821)'],
  ['net.inet.icmp.bmcastecho', 'bmcastEcho', 'answer echo requests sent to a group'],
];

/** Registers the leaves. The first error ends it; what was registered is `own`'s to take back. */
export function addSysctls(
  kernel: Kernel,
  cfg: Config,
  gauges: Readonly<Record<string, () => number>>,
  own: (undo: Undo) => void,
): Errno | null {
  const put = (undo: Undo | Errno): Errno | null => {
    if (isErrno(undo)) return undo;
    own(undo);
    return null;
  };
  for (const [name, key, min, max, descr] of INTS) {
    const set = (v: number): void => void ((cfg as Record<NumberKey, number>)[key] = v);
    const err = put(kernel.sysctl.add({ name, descr, flags: 'rwtun', type: 'int', min, max, get: () => cfg[key], set }));
    if (err !== null) return err;
  }
  for (const [name, key, descr] of BOOLS) {
    const set = (v: boolean): void => void ((cfg as Record<BoolKey, boolean>)[key] = v);
    const err = put(kernel.sysctl.add({ name, descr, flags: 'rwtun', type: 'bool', get: () => cfg[key], set }));
    if (err !== null) return err;
  }
  const cc = put(
    kernel.sysctl.add({
      name: 'net.inet.tcp.cc.algorithm',
      descr: 'congestion control of new sockets',
      flags: 'rwtun',
      type: 'string',
      get: () => cfg.ccAlgorithm,
      set: (v) => {
        if (!CC_NAMES.includes(v)) return 'ENOENT';
        cfg.ccAlgorithm = v;
        return null;
      },
    }),
  );
  if (cc !== null) return cc;
  const names = {
    name: 'net.inet.tcp.cc.available',
    descr: 'congestion control algorithms',
    flags: 'rd',
    type: 'string',
  } as const;
  const available = put(kernel.sysctl.add({ ...names, get: () => CC_NAMES.join(' ') }));
  if (available !== null) return available;
  for (const [name, get] of Object.entries(gauges)) {
    // A gauge shows; the others are the tunables that sized the slabs.
    const gauge = /_(used|peak)$/.test(name);
    const descr = gauge ? 'rows taken' : 'rows of the slab';
    const err = put(kernel.sysctl.add({ name, descr, flags: gauge ? 'rd' : 'rdtun', type: 'int', get, set: () => null }));
    if (err !== null) return err;
  }
  return null;
}
