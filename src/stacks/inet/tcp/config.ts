/** Tunables of TCP, sysctl net.inet.tcp.*, with FreeBSD's names and defaults unless said otherwise. Times in milliseconds. */
import type { Errno } from '../../../kern/errno.ts';
import { isErrno } from '../../../kern/errno.ts';
import type { SysctlLeaf, SysctlTree } from '../../../kern/sysctl.ts';
import type { Undo } from '../../../kern/undo.ts';

export class TcpConfig {
  /** MSS towards a peer that names none: RFC 9293 §3.7.1. */
  mssdflt = 536;
  v6mssdflt = 1220;
  /** Least MSS that a peer or a router can make us send: smaller ones are a way to make us work. */
  minmss = 216;
  /** 0: none of RFC 7323's options, 1: both, 2: window scaling only, 3: timestamps only. */
  rfc1323 = 1;
  sackEnable = true;
  /** Records of the scoreboard of one connection. */
  sackMaxranges = 2048;
  rfc3042 = true;
  tso = true;
  pathMtuDiscovery = true;
  delayedAck = true;
  /** Linux's delay; FreeBSD has 100. RFC 1122 §4.2.3.2: below 500. */
  delacktimeMs = 40;
  /** RFC 6298 §2.4 asks for 1 s at least; a deviation that every stack shares (FreeBSD 30, Linux 200). */
  rexmitMinMs = 200;
  rexmitInitialMs = 1000;
  rexmitMaxMs = 64_000;
  /** Retransmissions of one segment before the connection ends (R2), and before the route is questioned (R1). */
  maxrxtshift = 12;
  r1shift = 3;
  /** FreeBSD: 5000. RFC 9293 SHLD-29 wants the first probe after one retransmission timeout. */
  persminMs = 200;
  persmaxMs = 60_000;
  /** A peer that does not answer probes of its closed window is given up after this. */
  maxpersistidleMs = 7_200_000;
  /** RFC 9293 MUST-23: three minutes at least for a SYN (FreeBSD: 75 s). */
  keepinitMs = 180_000;
  keepidleMs = 7_200_000;
  keepintvlMs = 75_000;
  keepcnt = 8;
  alwaysKeepalive = false;
  mslMs = 30_000;
  finwait2TimeoutMs = 60_000;
  maxtcptw = 65_536;
  /** Buffers of a new socket (FreeBSD 32 and 64 KiB), which grow, and the largest that a window scale is chosen for. Bytes. */
  sendspace = 512 * 1024;
  recvspace = 64 * 1024;
  recvbufMax = 8 * 1024 * 1024;
  initcwndSegments = 10;
  /** RFC 3465's L: how many segments one ACK may add in slow start: those of a super-frame, because one ACK answers it. */
  abcLVar = 44;
  reassMaxqueuelen = 100;
  syncookies = true;
  syncacheLimit = 15_375;
  syncacheRexmtlimit = 3;
  /** Challenge ACKs: of one connection in 5 s; of all half-open ones and those in TIME-WAIT in a second (about: drawn anew each second). */
  ackWarCnt = 10;
  challengeLimit = 1000;
  /** Resets a second for segments of no connection. */
  rstLimit = 1000;
  ccAlgorithm = 'cubic';
  /** ECN: `ECN_*` of ecn.ts; 2, agreed to where the peer asks, is FreeBSD's default. */
  ecn = 2;
  /** Smaller segments where full ones vanish (FreeBSD has it off; a path that swallows them is otherwise dead). */
  pmtudBlackhole = true;
  pmtudBlackholeMss = 1200;
  /** RFC 4821 §7.5, RFC 1191 §6.3: ten minutes until a larger size is tried again. */
  pmtudProbeMs = 600_000;
  /** Buffers that grow: switches, limits in bytes, and the share of the kernel's buffers in use, in percent, at which none does. */
  sendbufAuto = true;
  recvbufAuto = true;
  sendbufMax = 8 * 1024 * 1024;
  memPressure = 75;
  /** A connection whose user has closed it, and whose peer keeps its window shut, ends after this (RFC 6429 §4). */
  persistOrphanMs = 120_000;
  /** TCP Fast Open for sockets that ask for it: as a server, as a client; bounds. */
  fastopenServer = false;
  fastopenClient = true;
  fastopenAutokeySec = 120;
  fastopenCache = 1024;
  fastopenDisableSec = 900;
  /** User timeouts by exchange (RFC 5482 §3.1): on every connection; what is advertised there; L_LIMIT, R2's 100 s, and U_LIMIT. */
  utoEnable = false;
  utoAdvSec = 300;
  utoMinMs = 100_000;
  utoMaxMs = 3_600_000;
}

/** What net.inet.tcp.rfc1323 stands for. */
export function wantsScale(config: TcpConfig): boolean {
  return config.rfc1323 === 1 || config.rfc1323 === 2;
}

export function wantsTimestamps(config: TcpConfig): boolean {
  return config.rfc1323 === 1 || config.rfc1323 === 3;
}

type NumberKey = { [K in keyof TcpConfig]: TcpConfig[K] extends number ? K : never }[keyof TcpConfig];
type BoolKey = { [K in keyof TcpConfig]: TcpConfig[K] extends boolean ? K : never }[keyof TcpConfig];

/** Name below net.inet.tcp, field, least and greatest value, what it means. */
const NUMBERS: readonly (readonly [string, NumberKey, number, number, string])[] = [
  ['mssdflt', 'mssdflt', 88, 65_495, 'MSS towards an IPv4 peer that names none, bytes'],
  ['v6mssdflt', 'v6mssdflt', 1220, 65_475, 'MSS towards an IPv6 peer that names none, bytes'],
  ['minmss', 'minmss', 88, 1460, 'least MSS that is sent with, bytes'],
  ['delacktime', 'delacktimeMs', 1, 499, 'delay of an ACK, ms'],
  ['rexmit_min', 'rexmitMinMs', 1, 60_000, 'least retransmission timeout, ms'],
  ['rexmit_initial', 'rexmitInitialMs', 1, 60_000, 'retransmission timeout before the first measurement, ms'],
  ['rexmit_max', 'rexmitMaxMs', 60_000, 600_000, 'greatest retransmission timeout, ms'],
  ['maxrxtshift', 'maxrxtshift', 3, 30, 'retransmissions before a connection is given up (R2)'],
  ['r1shift', 'r1shift', 3, 30, 'retransmissions before the route is looked up again (R1)'],
  ['persmin', 'persminMs', 100, 60_000, 'least interval of window probes, ms'],
  ['persmax', 'persmaxMs', 1000, 600_000, 'greatest interval of window probes, ms'],
  ['maxpersistidle', 'maxpersistidleMs', 1000, 0x7fffffff, 'a peer that answers no window probe for so long is given up, ms'],
  ['keepinit', 'keepinitMs', 1000, 0x7fffffff, 'time to establish a connection, ms'],
  ['keepidle', 'keepidleMs', 1000, 0x7fffffff, 'idle time before the first keep-alive probe, ms'],
  ['keepintvl', 'keepintvlMs', 100, 0x7fffffff, 'interval of keep-alive probes, ms'],
  ['keepcnt', 'keepcnt', 1, 1000, 'keep-alive probes before a connection is given up'],
  ['msl', 'mslMs', 1, 0x3fffffff, 'maximum segment lifetime, ms; TIME-WAIT is twice this'],
  ['finwait2_timeout', 'finwait2TimeoutMs', 1, 0x7fffffff, 'FIN_WAIT_2 of a closed socket, ms'],
  ['maxtcptw', 'maxtcptw', 1, 16_777_216, 'records of connections in TIME_WAIT'],
  ['sendspace', 'sendspace', 2048, 0x40000000, 'send buffer of a new socket, bytes'],
  ['recvspace', 'recvspace', 2048, 0x40000000, 'receive buffer of a new socket, bytes'],
  [
    'recvbuf_max',
    'recvbufMax',
    65_535,
    0x3fffc000,
    'receive buffer that grows by itself, at most; the window scale is chosen for it, bytes',
  ],
  ['initcwnd_segments', 'initcwndSegments', 1, 100, 'initial congestion window, segments (RFC 6928)'],
  ['abc_l_var', 'abcLVar', 1, 64, 'growth of the congestion window by one ACK in slow start, segments (RFC 3465)'],
  ['sack.maxranges', 'sackMaxranges', 16, 1_000_000, 'ranges on the scoreboard of a connection'],
  ['reass.maxqueuelen', 'reassMaxqueuelen', 1, 10_000, 'ranges of out-of-order data of a connection'],
  ['syncache.cachelimit', 'syncacheLimit', 1, 16_777_216, 'half-open connections, all listeners'],
  ['syncache.rexmtlimit', 'syncacheRexmtlimit', 0, 12, 'retransmissions of a SYN,ACK'],
  ['ack_war_cnt', 'ackWarCnt', 1, 10_000, 'challenge ACKs of a connection in 5 s'],
  [
    'challengeack_limit',
    'challengeLimit',
    1,
    1_000_000,
    'challenge ACKs of half-open connections and of TIME_WAIT in a second, on average',
  ],
  ['rstlim', 'rstLimit', 1, 1_000_000, 'resets in a second for segments of no connection'],
  [
    'ecn.enable',
    'ecn',
    0,
    4,
    'explicit congestion notification: 0 never, 1 asked for, 2 where the peer asks, 3 and 4 the same with AccECN (RFC 9768)',
  ],
  ['pmtud_blackhole_mss', 'pmtudBlackholeMss', 88, 65_495, 'first size tried where full segments vanish, bytes of payload'],
  ['pmtud_probe_interval', 'pmtudProbeMs', 1000, 0x7fffffff, 'time until a larger size is tried again, ms'],
  ['sendbuf_max', 'sendbufMax', 2048, 0x40000000, 'send buffer that grows by itself, at most, bytes'],
  ['mem_pressure', 'memPressure', 1, 100, 'share of the buffer pool in use at which buffers stop growing, percent'],
  ['persist_orphan', 'persistOrphanMs', 1000, 0x7fffffff, 'closed window of a closed socket, ms'],
  ['rfc1323', 'rfc1323', 0, 3, 'RFC 7323: 0 nothing, 1 window scaling and timestamps, 2 window scaling, 3 timestamps'],
  ['uto.adv', 'utoAdvSec', 1, 0x7fff * 60, 'user timeout that is advertised to peers, s'],
  ['uto.min', 'utoMinMs', 1000, 0x7fffffff, 'least user timeout that a peer brings about, ms'],
  ['uto.max', 'utoMaxMs', 1000, 0x7fffffff, 'greatest user timeout that a peer brings about, ms'],
  ['fastopen.autokey', 'fastopenAutokeySec', 1, 1_000_000, 'life of a key for cookies, s'],
  ['fastopen.ccache_limit', 'fastopenCache', 1, 1_048_576, 'servers whose cookies a client keeps'],
  ['fastopen.path_disable_time', 'fastopenDisableSec', 0, 1_000_000, 'no fast open to a server after a loss, s'],
];

const BOOLS: readonly (readonly [string, BoolKey, string])[] = [
  ['uto.enable', 'utoEnable', 'exchange user timeouts on every connection (RFC 5482)'],
  ['sack.enable', 'sackEnable', 'selective acknowledgments (RFC 2018)'],
  ['rfc3042', 'rfc3042', 'limited transmit'],
  ['tso', 'tso', 'leave the cutting into segments to the interface'],
  ['path_mtu_discovery', 'pathMtuDiscovery', 'send with DF set (RFC 1191)'],
  ['pmtud_blackhole_detection', 'pmtudBlackhole', 'find paths that drop full segments silently (RFC 4821)'],
  ['sendbuf_auto', 'sendbufAuto', 'let send buffers grow with the congestion window'],
  ['recvbuf_auto', 'recvbufAuto', 'let receive buffers grow with what comes in a round trip'],
  ['fastopen.server_enable', 'fastopenServer', 'take data in the SYN on listeners with TCP_FASTOPEN'],
  ['fastopen.client_enable', 'fastopenClient', 'send data in the SYN on sockets with TCP_FASTOPEN'],
  ['delayed_ack', 'delayedAck', 'delay ACKs'],
  ['always_keepalive', 'alwaysKeepalive', 'keep-alive on every connection'],
  ['syncookies', 'syncookies', 'answer with SYN cookies when the cache of half-open connections is full'],
];

/** Registers the tunables, and `more`. `changed` is called when a switch was set; what is registered goes to `own`. */
export function registerConfig(
  sysctl: SysctlTree,
  config: TcpConfig,
  algorithms: () => readonly string[],
  changed: () => void,
  own: (undo: Undo) => void,
  more: readonly SysctlLeaf[] = [],
): Errno | null {
  const leaves: SysctlLeaf[] = [...more];
  for (const [name, key, min, max, descr] of NUMBERS) {
    const set = (v: number): void => void (config[key] = v);
    leaves.push({ name: `net.inet.tcp.${name}`, descr, flags: 'rwtun', type: 'int', min, max, get: () => config[key], set });
  }
  for (const [name, key, descr] of BOOLS) {
    const set = (v: boolean): void => {
      config[key] = v;
      changed();
    };
    leaves.push({ name: `net.inet.tcp.${name}`, descr, flags: 'rwtun', type: 'bool', get: () => config[key], set });
  }
  leaves.push({
    name: 'net.inet.tcp.cc.algorithm',
    descr: 'congestion control of new sockets',
    flags: 'rwtun',
    type: 'string',
    get: () => config.ccAlgorithm,
    set: (v) => {
      if (!algorithms().includes(v)) return 'ENOENT';
      config.ccAlgorithm = v;
      return null;
    },
  });
  leaves.push({
    name: 'net.inet.tcp.cc.available',
    descr: 'congestion control algorithms',
    flags: 'rd',
    type: 'string',
    get: () => algorithms().join(' '),
  });
  for (const leaf of leaves) {
    const undo = sysctl.add(leaf);
    if (isErrno(undo)) return undo;
    own(undo);
  }
  return null;
}
