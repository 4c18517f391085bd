/**
 * A script's options (`--mtu=1500`), with packetdrill's names and defaults where they mean something in virtual time. Those that only
 * make sense on a real host are taken with a warning if they change nothing here, and refused by name otherwise.
 */
import { parseAddr } from '../wire/addrtext.ts';
import type { OptionSpec } from './ast.ts';
import type { Source } from './source.ts';

export interface Settings {
  localIp: number;
  remoteIp: number;
  gatewayIp: number;
  prefixLen: number;
  mtu: number;
  /** The port that `bind(3, ..., ...)` and `connect(3, ..., ...)` use. */
  bindPort: number;
  connectPort: number;
  toleranceMs: number;
  /** Length of a tick of the stack's timestamp clock in milliseconds; 0: the values are not compared. */
  tickMs: number;
  seed: number;
  /** A packet of the script's that is longer than the MTU stands for itself, not for the segments that make it up. */
  strictSegments: boolean;
}

const DEFAULTS: Readonly<Settings> = {
  localIp: 0xc0a80001 | 0,
  remoteIp: 0xc0000201 | 0,
  gatewayIp: 0xc0a80002 | 0,
  prefixLen: 16,
  mtu: 1500,
  bindPort: 8080,
  connectPort: 8080,
  toleranceMs: 4,
  tickMs: 0,
  seed: 1,
  strictSegments: false,
};

/** Change nothing here. */
const HARMLESS: readonly string[] = [
  'verbose',
  'debug',
  'non_fatal',
  'speed',
  'no_cleanup',
  'persistent_tun_dev',
  'send_omit_free',
];
const REFUSED: Readonly<Record<string, string>> = {
  init_scripts: 'commands of a shell are not run: write the sysctls into the script',
  wire_client: 'there is no wire but the one in memory',
  wire_server: 'there is no wire but the one in memory',
  wire_server_dev: 'there is no wire but the one in memory',
  wire_client_dev: 'there is no wire but the one in memory',
  so_filename: 'calls go to the stack that --stack names',
  so_flags: 'calls go to the stack that --stack names',
  dry_run: 'a script is always run',
  code_command: 'assertions are evaluated here, not by a command',
  code_format: 'assertions are evaluated here, not by a command',
  code_sockopt: 'assertions are evaluated here, not by a command',
  define: 'symbols cannot be defined',
};

type Taker = (settings: Settings, value: string) => boolean;

function address(key: 'localIp' | 'remoteIp' | 'gatewayIp'): Taker {
  return (settings, value) => {
    const addr = value.includes(':') ? null : parseAddr(value);
    if (addr === null) return false;
    settings[key] = addr.w3;
    return true;
  };
}

function number(min: number, max: number, take: (settings: Settings, n: number) => void): Taker {
  return (settings, value) => {
    const n = Number(value);
    if (!/^\d+$/.test(value) || n < min || n > max) return false;
    take(settings, n);
    return true;
  };
}

function netmask(settings: Settings, value: string): boolean {
  const mask = parseAddr(value)?.w3;
  if (mask === undefined || value.includes(':')) return false;
  const len = 32 - Math.log2((~mask >>> 0) + 1);
  if (!Number.isInteger(len)) return false;
  settings.prefixLen = len;
  return true;
}

/** Name, what a value is, and how it is taken. */
const OPTIONS: ReadonlyMap<string, readonly [string, Taker]> = new Map<string, readonly [string, Taker]>([
  ['ip_version', ['ipv4: no stack here has IPv6', (_settings, value) => value === 'ipv4']],
  ['local_ip', ['an IPv4 address', address('localIp')]],
  ['remote_ip', ['an IPv4 address', address('remoteIp')]],
  ['gateway_ip', ['an IPv4 address', address('gatewayIp')]],
  ['netmask_ip', ['a netmask', netmask]],
  ['mtu', ['bytes, 68 to 65535', number(68, 65535, (s, n) => (s.mtu = n))]],
  ['bind_port', ['a port', number(1, 65535, (s, n) => (s.bindPort = n))]],
  ['connect_port', ['a port', number(1, 65535, (s, n) => (s.connectPort = n))]],
  ['tolerance_usecs', ['microseconds', number(0, 1e9, (s, n) => (s.toleranceMs = n / 1000))]],
  ['tcp_ts_tick_usecs', ['microseconds', number(0, 1e6, (s, n) => (s.tickMs = n / 1000))]],
  ['seed', ['a number', number(0, 0xffffffff, (s, n) => (s.seed = n))]],
]);

/** `warnings` gets a line for each option that is taken and changes nothing. */
export function readSettings(src: Source, options: readonly OptionSpec[], warnings: string[]): Settings {
  const settings = { ...DEFAULTS };
  for (const { at, name, value } of options) {
    const known = OPTIONS.get(name);
    if (name === 'strict_segments') {
      if (value !== null) src.fail('--strict_segments has no value', at);
      settings.strictSegments = true;
    } else if (known !== undefined) {
      const [what, take] = known;
      if (value === null || !take(settings, value)) src.fail(`--${name} is ${what}, not '${value ?? ''}'`, at);
    } else if (HARMLESS.includes(name)) {
      warnings.push(`${src.place(at)}: --${name} changes nothing in virtual time`);
    } else {
      const why = Object.hasOwn(REFUSED, name)
        ? REFUSED[name]
        : `there are ${[...OPTIONS.keys(), 'strict_segments'].map((o) => `--${o}`).join(' ')}`;
      src.fail(`--${name} is not accepted: ${why}`, at);
    }
  }
  return settings;
}
