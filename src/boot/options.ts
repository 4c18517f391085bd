/**
 * The loader's options: one table, read from the command line, from NETMOD_* variables, and from a loader.conf file, in this order of
 * precedence. What is unknown, malformed or contradictory ends the boot with one line that says what is accepted.
 */
import fs from 'node:fs';
import type { IpAddr } from '../wire/addr.ts';
import { addrEqual } from '../wire/addr.ts';
import { addrToString } from '../wire/addrtext.ts';
import type { ServiceSpec } from '../services/registry.ts';
import { BootFailure, didYouMean } from './failure.ts';
import { type LoaderConf, type ModuleRequest, parseLoaderConf } from './loaderconf.ts';
import * as values from './values.ts';
import { BadValue, type Prefix, firstPeer, formatPrefix, sameNetwork } from './values.ts';

interface OptionSpec {
  /** What the value is called in the help; null for an option without one. */
  readonly arg: string | null;
  readonly descr: string;
  readonly shown: string;
  readonly parse: (value: string) => unknown;
  /** May be given more than once; in a variable or a file, the values are separated by this. */
  readonly separator?: string;
}

export const OPTIONS = {
  stack: { arg: 'NAME|PATH', descr: 'inet, alt, none, or a module', shown: 'inet', parse: values.text },
  driver: { arg: 'NAME', descr: 'tap, tuntap2', shown: 'tap', parse: values.text },
  tap: { arg: 'NAME', descr: 'device to create or join', shown: 'tap0', parse: values.text },
  'tap-fd': { arg: 'N', descr: 'an open descriptor of a TAP device instead', shown: '', parse: values.integer(0, 1_000_000) },
  addr: {
    arg: 'A/LEN',
    descr: "the stack's address; may be repeated",
    shown: '10.0.0.2/24',
    parse: values.hostPrefix,
    separator: ',',
  },
  peer: {
    arg: 'A/LEN',
    descr: "address of the host's side of the device",
    shown: 'first of the subnet',
    parse: values.hostPrefix,
    separator: ',',
  },
  'no-peer': { arg: null, descr: "leave the host's side without an address", shown: '', parse: values.onOff },
  gateway: { arg: 'A', descr: 'default route', shown: 'the peer', parse: values.hostAddress },
  mtu: { arg: 'N', descr: 'MTU of the interface in bytes', shown: '1500', parse: values.integer(72, 65521) },
  mac: { arg: 'M', descr: "hardware address of the stack's side", shown: 'random, local', parse: values.mac },
  offload: { arg: 'on|off', descr: 'checksum, TSO and large receive with the device', shown: 'on', parse: values.onOff },
  service: {
    arg: 'NAME[:PORT],...',
    descr: 'http:80 echo:7 discard:9 chargen:19 hello:8080, or none',
    shown: 'http,echo',
    parse: values.services,
  },
  'accept-filter': { arg: 'NAME', descr: 'accept filter of the http service', shown: 'none', parse: values.text },
  ctl: { arg: 'PATH', descr: 'control socket, or none', shown: '/run/netmod/<tap>.sock', parse: values.text },
  pcap: { arg: 'FILE', descr: 'pcapng of what crosses the link, drops annotated', shown: 'off', parse: values.text },
  set: { arg: 'NAME=VALUE', descr: 'a tunable or sysctl; may be repeated', shown: '', parse: values.tunable, separator: ';' },
  log: { arg: 'LEVEL|SUBSYS=LEVEL,...', descr: 'log on standard error', shown: 'info', parse: values.logSpec },
  conf: { arg: 'FILE', descr: 'file in the style of loader.conf', shown: '', parse: values.text },
} as const satisfies Record<string, OptionSpec>;

type OptionName = keyof typeof OPTIONS;
type Value<K extends OptionName> = ReturnType<(typeof OPTIONS)[K]['parse']>;
const NAMES = Object.keys(OPTIONS) as OptionName[];
/** Answered at once, so not settings. */
const ASKING = ['help', 'version'] as const;

/** Variables of the NETMOD_ family that are not the loader's: the test suite's. */
const FOREIGN_VARIABLES: ReadonlySet<string> = new Set(['NETMOD_REQUIRE_NETNS']);
const ENV_PREFIX = 'NETMOD_';

export interface BootOptions {
  readonly stack: string;
  readonly driver: string;
  readonly tap: string;
  readonly tapFd: number | null;
  readonly addrs: readonly Prefix[];
  readonly peers: readonly Prefix[];
  readonly gateway: IpAddr | null;
  readonly mtu: number;
  readonly mac: Uint8Array | null;
  readonly offload: boolean;
  readonly services: readonly ServiceSpec[];
  readonly acceptFilter: string | null;
  /** Null: where the default is. */
  readonly ctl: string | null;
  readonly pcap: string | null;
  /** Tunables and sysctls by name; where each was set. */
  readonly tunables: ReadonlyMap<string, { readonly value: string; readonly where: string }>;
  readonly modules: readonly ModuleRequest[];
  /** Null: not given. */
  readonly log: string | null;
}

export type Parsed =
  { readonly kind: 'run'; readonly options: BootOptions } | { readonly kind: 'help' } | { readonly kind: 'version' };

/** What one source says: the options in it, each with its values and its name there. */
type Settings = Map<OptionName, { where: string; values: unknown[] }>;

function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

function put(settings: Settings, name: OptionName, text: string, where: string): void {
  const spec: OptionSpec = OPTIONS[name];
  let value: unknown;
  try {
    value = spec.parse(text);
  } catch (error) {
    if (error instanceof BadValue) throw new BootFailure(2, `${where}: '${text}' ${error.message}`);
    throw error;
  }
  const before = settings.get(name);
  if (before !== undefined && spec.separator !== undefined) before.values.push(value);
  else settings.set(name, { where, values: [value] });
}

/** As `put`, for a source in which several values share one text. */
function putList(settings: Settings, name: OptionName, text: string, where: string): void {
  const { separator }: OptionSpec = OPTIONS[name];
  for (const part of separator === undefined ? [text] : text.split(separator)) {
    if (separator === undefined || part.trim() !== '') put(settings, name, part.trim(), where);
  }
}

function fromArgv(argv: readonly string[]): Settings | 'help' | 'version' {
  const settings: Settings = new Map();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (word === '-h' || word === '--help') return 'help';
    if (word === '-V' || word === '--version') return 'version';
    const match = /^--([^=]+)(?:=(.*))?$/s.exec(word);
    if (match === null) throw new BootFailure(2, `'${word}' is not an option; options are --NAME=VALUE, see --help`);
    const [, name = '', given] = match;
    if (!isOption(name)) {
      throw new BootFailure(2, `unknown option --${name}${didYouMean(name, [...NAMES, ...ASKING], '--')} (see --help)`);
    }
    const spec: OptionSpec = OPTIONS[name];
    if (spec.arg === null) {
      put(settings, name, given ?? 'on', `--${name}`);
      continue;
    }
    const value = given ?? argv[++i];
    if (value === undefined) throw new BootFailure(2, `--${name} needs a value: --${name}=${spec.arg}`);
    put(settings, name, value, `--${name}`);
  }
  return settings;
}

function fromEnv(env: Readonly<Record<string, string | undefined>>): Settings {
  const settings: Settings = new Map();
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(ENV_PREFIX) || text === undefined || FOREIGN_VARIABLES.has(variable)) continue;
    const name = variable.slice(ENV_PREFIX.length).toLowerCase().replaceAll('_', '-');
    if (!isOption(name)) {
      const known = NAMES.map((option) => variableOf(option));
      throw new BootFailure(2, `unknown variable ${variable}${didYouMean(variable, known)}`);
    }
    putList(settings, name, text, variable);
  }
  return settings;
}

export function variableOf(name: string): string {
  return `${ENV_PREFIX}${name.toUpperCase().replaceAll('-', '_')}`;
}

function fromConf(conf: LoaderConf): Settings {
  const settings: Settings = new Map();
  for (const { name, value, where } of conf.options) {
    const option = name.replaceAll('_', '-');
    if (!isOption(option) || option === 'conf') {
      const known = NAMES.filter((other) => other !== 'conf').map((other) => other.replaceAll('-', '_'));
      throw new BootFailure(2, `${where}: unknown name ${name}${didYouMean(name, known)}; names with a dot are tunables`);
    }
    putList(settings, option, value, `${where}: ${name}`);
  }
  return settings;
}

/** Reads all sources. Throws a `BootFailure` of status 2. */
export function parseOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  readFile: (file: string) => string = (file) => fs.readFileSync(file, 'utf8'),
): Parsed {
  const line = fromArgv(argv);
  if (line === 'help' || line === 'version') return { kind: line };
  const environment = fromEnv(env);
  const file = new Choice([line, environment]).one('conf');
  const conf: LoaderConf = file === null ? { options: [], tunables: [], modules: [] } : readConf(file.value, readFile);
  return { kind: 'run', options: assemble([line, environment, fromConf(conf)], conf) };
}

function readConf(file: string, readFile: (file: string) => string): LoaderConf {
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new BootFailure(2, `--conf: cannot read ${file} (${code})`);
  }
  return parseLoaderConf(text, file);
}

/** The sources in their order of precedence. */
class Choice {
  readonly sources: readonly Settings[];

  constructor(sources: readonly Settings[]) {
    this.sources = sources;
  }

  /** All values that the first source which has the option gives, and what the option is called there. */
  all<K extends OptionName>(name: K): { values: Value<K>[]; where: string } | null {
    for (const source of this.sources) {
      const found = source.get(name);
      if (found !== undefined) return found as { values: Value<K>[]; where: string };
    }
    return null;
  }

  one<K extends OptionName>(name: K): { value: Value<K>; where: string } | null {
    const found = this.all(name);
    return found === null ? null : { value: found.values[0] as Value<K>, where: found.where };
  }
}

function conflict(message: string): never {
  throw new BootFailure(2, message);
}

const DEFAULT_ADDR = '10.0.0.2/24';

function assemble(sources: readonly Settings[], conf: LoaderConf): BootOptions {
  const from = new Choice(sources);
  const stack = from.one('stack');
  const stackName = stack?.value ?? 'inet';
  const driver = from.one('driver')?.value ?? 'tap';
  const tapFd = from.one('tap-fd');
  const tap = from.one('tap');
  if (tap !== null && tapFd !== null)
    conflict(`${tap.where} and ${tapFd.where} cannot both be given: a descriptor has its device`);
  if (driver !== 'tap' && tapFd !== null) conflict(`${tapFd.where} needs --driver=tap`);
  const offload = from.one('offload');
  if (driver !== 'tap' && offload?.value === true) conflict(`${offload.where}: driver ${driver} has no offload; leave it off`);
  const services = from.one('service');
  const filter = from.one('accept-filter');
  const addrs = from.all('addr');
  if (stackName === 'none') {
    if (services !== null && services.value.length > 0)
      conflict(`${services.where} needs a stack: with --stack=none there are no inet sockets`);
    if (addrs !== null) conflict(`${addrs.where} needs a stack: with --stack=none nothing has an address`);
    const gateway = from.one('gateway');
    if (gateway !== null) conflict(`${gateway.where} needs a stack: with --stack=none there are no routes`);
  }
  const specs = services?.value ?? (stackName === 'none' ? [] : values.services('http,echo'));
  if (filter !== null && !specs.some((spec) => spec.name === 'http'))
    conflict(`${filter.where} is for the http service, which is not among --service`);
  return {
    stack: stackName,
    driver,
    tap: tap?.value ?? 'tap0',
    tapFd: tapFd?.value ?? null,
    ...network(from, stackName === 'none'),
    mtu: from.one('mtu')?.value ?? 1500,
    mac: from.one('mac')?.value ?? null,
    offload: offload?.value ?? driver === 'tap',
    services: specs,
    acceptFilter: filter?.value ?? null,
    ctl: from.one('ctl')?.value ?? null,
    pcap: from.one('pcap')?.value ?? null,
    tunables: tunablesOf(sources, conf),
    modules: conf.modules,
    log: from.one('log')?.value ?? null,
  };
}

/** Addresses of both sides, and the way out. */
function network(from: Choice, noStack: boolean): Pick<BootOptions, 'addrs' | 'peers' | 'gateway'> {
  const given = from.all('addr');
  const where = given?.where ?? '--addr';
  const addrs = given?.values ?? [values.hostPrefix(DEFAULT_ADDR)];
  for (const [i, { addr }] of addrs.entries()) {
    if (addrs.findIndex((other) => addrEqual(other.addr, addr)) !== i) conflict(`${where}: ${addrToString(addr)} is given twice`);
  }
  const peers = peersOf(from, addrs, where);
  for (const { addr } of peers) {
    if (addrs.some((own) => addrEqual(own.addr, addr)))
      conflict(`${addrToString(addr)} cannot be on both sides: --addr and --peer`);
  }
  const gateway = from.one('gateway');
  if (gateway !== null) {
    const { value } = gateway;
    if (addrs.some((own) => addrEqual(own.addr, value)))
      conflict(`${gateway.where}: ${addrToString(value)} is the stack's own address`);
    if (!addrs.some((own) => sameNetwork(value, own))) {
      conflict(`${gateway.where}: ${addrToString(value)} is in none of the networks ${addrs.map(formatPrefix).join(', ')}`);
    }
  }
  const reachable = peers.find((peer) => addrs.some((own) => sameNetwork(peer.addr, own)));
  return { addrs: noStack ? [] : addrs, peers, gateway: gateway?.value ?? reachable?.addr ?? null };
}

function peersOf(from: Choice, addrs: readonly Prefix[], where: string): Prefix[] {
  // The most important source that has --no-peer decides; --no-peer=off there leaves only that of less important ones without effect.
  const deciding = from.one('no-peer');
  for (const source of from.sources) {
    const peer = source.get('peer') as { values: Prefix[]; where: string } | undefined;
    const none = source.get('no-peer');
    const off = none?.values[0] === true && none.where === deciding?.where;
    if (peer !== undefined && off) conflict(`${peer.where} and ${none.where} contradict each other`);
    if (off) return [];
    if (peer !== undefined) return peer.values;
  }
  const [first] = addrs;
  const peer = first === undefined ? null : firstPeer(first);
  if (peer === null && first !== undefined) {
    conflict(
      `${where}: there is no second address in ${formatPrefix(first)} for the host's side; give --peer=A/LEN or --no-peer`,
    );
  }
  return peer === null ? [] : [peer];
}

/** Tunables of all sources; the more important source comes last and replaces. */
function tunablesOf(sources: readonly Settings[], conf: LoaderConf): Map<string, { value: string; where: string }> {
  const tunables = new Map<string, { value: string; where: string }>();
  for (const { name, value, where } of conf.tunables) tunables.set(name, { value, where });
  for (const source of [...sources].reverse()) {
    const found = source.get('set');
    for (const [name, value] of (found?.values ?? []) as [string, string][])
      tunables.set(name, { value, where: found?.where ?? '' });
  }
  return tunables;
}

/** The help page. */
export function helpText(): string {
  const rows = NAMES.map((name): [string, string] => {
    const { arg, descr, shown }: OptionSpec = OPTIONS[name];
    return [`--${name}${arg === null ? '' : `=${arg}`}`, shown === '' ? descr : `${descr} (${shown})`];
  });
  rows.push(['--help', 'this page'], ['--version', 'version']);
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [
    'usage: node dist/boot.js [--OPTION=VALUE ...]',
    '',
    'Boots a kernel with a network stack on a TAP device. In brackets: what holds when an option is not given.',
    '',
    ...lines,
    '',
    `Each option is also a variable (${variableOf('tap-fd')}) and a line of the --conf file (tap_fd="3"); the command line goes before`,
    'variables, and variables before the file. A list in a variable or the file is separated by commas, --set by semicolons. The file may also have tunables',
    '(name.with.dots="value") and modules (NAME_load="YES", with NAME_name="./file.js" for one of your own).',
    '',
  ].join('\n');
}
