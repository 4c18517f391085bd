/**
 * Commands in back quotes. There is no shell: what a script may ask for is `sysctl NAME=VALUE ...` with our names or those of Linux's that
 * mean the same, and `sleep SECONDS`. packetdrill's own `defaults.sh` is taken as what is so anyway; everything else is refused by name.
 */
import { type Errno, isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';

type Setting = readonly [name: string, value: string];

const seconds =
  (name: string) =>
  (value: string): readonly Setting[] => [[name, String(Number(value) * 1000)]];
const same =
  (name: string) =>
  (value: string): readonly Setting[] => [[name, value]];

/** Linux's names without `net.ipv4.`, and what they are here. */
const LINUX: ReadonlyMap<string, (value: string) => readonly Setting[]> = new Map([
  ['tcp_sack', same('net.inet.tcp.sack.enable')],
  ['tcp_ecn', same('net.inet.tcp.ecn.enable')],
  ['tcp_syncookies', same('net.inet.tcp.syncookies')],
  ['tcp_congestion_control', (v) => [['net.inet.tcp.cc.algorithm', v === 'reno' ? 'newreno' : v]]],
  ['tcp_keepalive_time', seconds('net.inet.tcp.keepidle')],
  ['tcp_keepalive_intvl', seconds('net.inet.tcp.keepintvl')],
  ['tcp_keepalive_probes', same('net.inet.tcp.keepcnt')],
  ['tcp_fin_timeout', seconds('net.inet.tcp.finwait2_timeout')],
  ['tcp_retries2', same('net.inet.tcp.maxrxtshift')],
  ['tcp_synack_retries', same('net.inet.tcp.syncache.rexmtlimit')],
  ['ip_default_ttl', same('net.inet.ip.ttl')],
  [
    'tcp_fastopen',
    (v) => [
      ['net.inet.tcp.fastopen.client_enable', (Number(v) & 1) !== 0 ? '1' : '0'],
      ['net.inet.tcp.fastopen.server_enable', (Number(v) & 2) !== 0 ? '1' : '0'],
    ],
  ],
]);

/** FreeBSD's sysctl has both: 0 none, 1 both, 2 window scaling, 3 timestamps. A stack whose sysctl is a switch has them together. */
const BOTH = 'net.inet.tcp.rfc1323';
const TIMESTAMPS = 'tcp_timestamps';
const OF_BOTH: readonly string[] = [TIMESTAMPS, 'tcp_window_scaling'];

/** FreeBSD's, where a stack has none of that name and this value of it is what is so anyway. */
const AS_IT_IS: ReadonlyMap<string, string> = new Map([
  ['net.inet.tcp.hostcache.purgenow', '1'],
  ['net.inet.tcp.blackhole', '0'],
]);

export interface CommandResult {
  /** Milliseconds to let pass. */
  readonly sleepMs: number;
  /** Why the command is refused; null if it was run. */
  readonly refused: string | null;
}

export function runCommand(kernel: Kernel, text: string): CommandResult {
  let sleepMs = 0;
  for (const line of text.split(/\n|;|&&/)) {
    const words = line.replace(/#.*$/, '').match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
    const [command = '', ...args] = words;
    const name = command.replace(/^.*\//, '');
    if (name === '' || name === 'true' || name === ':' || name === 'defaults.sh' || name.startsWith('sysctl_restore')) continue;
    if (name === 'sleep' && args.length === 1 && Number(args[0]) >= 0) {
      sleepMs += Number(args[0]) * 1000;
      continue;
    }
    if (name !== 'sysctl' && name !== 'set_sysctls.py') {
      return { sleepMs, refused: `'${name}' is not run: there is no shell, only sysctl NAME=VALUE and sleep SECONDS` };
    }
    for (const arg of args) {
      if (arg.startsWith('-')) continue;
      const refused = setOne(kernel, arg);
      if (refused !== null) return { sleepMs, refused };
    }
  }
  return { sleepMs, refused: null };
}

function setOne(kernel: Kernel, arg: string): string | null {
  const eq = arg.indexOf('=');
  if (eq < 0) return `sysctl ${arg}: only NAME=VALUE is accepted`;
  const name = arg
    .slice(0, eq)
    .replace(/^\/proc\/sys\//, '')
    .replaceAll('/', '.');
  const value = arg.slice(eq + 1).replace(/^(["'])(.*)\1$/, '$2');
  if (name.startsWith('net.inet.') || name.startsWith('net.alt.') || name.startsWith('kern.')) return write(kernel, name, value);
  const linux = name.replace(/^net\.ipv4\./, '');
  if (OF_BOTH.includes(linux)) return both(kernel, name, value);
  const ours = LINUX.get(linux)?.(value);
  if (ours === undefined) {
    const known = [...LINUX.keys(), ...OF_BOTH].map((n) => `net.ipv4.${n}`).join(' ');
    return `sysctl ${name} is not known here; there are our own (net.inet...), and of Linux's ${known}`;
  }
  for (const [our, v] of ours) {
    const refused = write(kernel, our, v);
    if (refused !== null) return refused;
  }
  return null;
}

function both(kernel: Kernel, name: string, value: string): string | null {
  const now = kernel.sysctl.read(BOTH);
  if (!isErrno(now) && typeof now.value === 'number') {
    const on = Number(value) > 0;
    const ts = name.endsWith(TIMESTAMPS) ? on : now.value === 1 || now.value === 3;
    const ws = name.endsWith(TIMESTAMPS) ? now.value === 1 || now.value === 2 : on;
    return write(kernel, BOTH, String(ts && ws ? 1 : ws ? 2 : ts ? 3 : 0));
  }
  if (!isErrno(now) && Number(now.value) === Math.min(1, Number(value))) return null;
  return `sysctl ${name}=${value}: timestamps and window scaling go together here, by ${BOTH}`;
}

function write(kernel: Kernel, name: string, value: string): string | null {
  const now = kernel.sysctl.read(name);
  if (isErrno(now) && AS_IT_IS.get(name) === value) return null;
  if (isErrno(now)) return `this stack has no sysctl ${name} (${now})`;
  const typed =
    typeof now.value === 'number' ? Number(value) : typeof now.value === 'boolean' ? value !== '0' && value !== 'false' : value;
  if (typed === now.value) return null;
  const r: unknown = kernel.sysctl.write(name, typed);
  return isErrno(r) ? `sysctl ${name}=${value}: ${r satisfies Errno}` : null;
}
