import { describe, expect, it } from 'vitest';
import { BootFailure, nearest } from '../../src/boot/failure.ts';
import { type BootOptions, OPTIONS, helpText, parseOptions } from '../../src/boot/options.ts';
import { formatPrefix } from '../../src/boot/values.ts';
import { addrToString } from '../../src/wire/addrtext.ts';

type Env = Record<string, string>;

function parse(argv: string[], env: Env = {}, files: Env = {}): BootOptions {
  const parsed = parseOptions(argv, env, (file) => {
    const text = files[file];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  });
  if (parsed.kind !== 'run') throw new Error(parsed.kind);
  return parsed.options;
}

/** The one line of a refusal. */
function refusal(argv: string[], env: Env = {}, files: Env = {}): string {
  try {
    parse(argv, env, files);
  } catch (error) {
    if (!(error instanceof BootFailure)) throw error;
    expect(error.status).toBe(2);
    expect(error.message).not.toContain('\n');
    return error.message;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
}

const shown = (options: BootOptions): object => ({
  ...options,
  addrs: options.addrs.map(formatPrefix),
  peers: options.peers.map(formatPrefix),
  gateway: options.gateway === null ? null : addrToString(options.gateway),
  services: options.services.map((spec) => `${spec.name}:${spec.port}`),
  mac: options.mac === null ? null : [...options.mac],
});

describe('boot options', () => {
  it('have the defaults of the design', () => {
    expect(shown(parse([]))).toEqual({
      stack: 'inet',
      driver: 'tap',
      tap: 'tap0',
      tapFd: null,
      addrs: ['10.0.0.2/24'],
      peers: ['10.0.0.1/24'],
      gateway: '10.0.0.1',
      mtu: 1500,
      mac: null,
      offload: true,
      services: ['http:80', 'echo:7'],
      acceptFilter: null,
      ctl: null,
      pcap: null,
      tunables: new Map(),
      modules: [],
      log: null,
    });
  });

  it.each([
    [['--stack=alt'], { stack: 'alt' }],
    [['--stack', './my-stack.js'], { stack: './my-stack.js' }],
    [['--driver=tuntap2'], { driver: 'tuntap2', offload: false }],
    [['--tap=tap7'], { tap: 'tap7' }],
    [['--tap-fd=5'], { tapFd: 5 }],
    [['--addr=192.168.7.9/16'], { addrs: ['192.168.7.9/16'], peers: ['192.168.0.1/16'], gateway: '192.168.0.1' }],
    [['--addr=10.1.0.1/24'], { addrs: ['10.1.0.1/24'], peers: ['10.1.0.2/24'] }],
    [['--addr=10.1.0.1/31'], { addrs: ['10.1.0.1/31'], peers: ['10.1.0.0/31'] }],
    [['--addr=10.1.0.1/24', '--addr=10.2.0.1/24'], { addrs: ['10.1.0.1/24', '10.2.0.1/24'] }],
    [['--addr=fd00::2/64'], { addrs: ['fd00::2/64'], peers: ['fd00::1/64'], gateway: 'fd00::1' }],
    [['--addr=2001:db8:1:2:3::1/48'], { peers: ['2001:db8:1::1/48'] }],
    [['--addr=fdff:ffff::1/20'], { peers: ['fdff:f000::1/20'] }],
    [['--addr=fd00::1/112'], { peers: ['fd00::2/112'] }],
    [['--addr=2001:db8::1/127'], { peers: ['2001:db8::/127'] }],
    [['--addr=fd00::2/64', '--no-peer'], { addrs: ['fd00::2/64'], peers: [], gateway: null }],
    [['--peer=10.0.0.9/24'], { peers: ['10.0.0.9/24'], gateway: '10.0.0.9' }],
    [['--no-peer'], { peers: [], gateway: null }],
    [['--no-peer', '--gateway=10.0.0.7'], { peers: [], gateway: '10.0.0.7' }],
    [['--gateway', '10.0.0.254'], { gateway: '10.0.0.254' }],
    [['--mtu=9000'], { mtu: 9000 }],
    [['--mac=02:0:0:0:0:0A'], { mac: [2, 0, 0, 0, 0, 10] }],
    [['--offload=off'], { offload: false }],
    [['--offload', 'on'], { offload: true }],
    [['--service=hello:9000,discard'], { services: ['hello:9000', 'discard:9'] }],
    [['--service=none'], { services: [] }],
    [['--accept-filter=httpready'], { acceptFilter: 'httpready' }],
    [['--ctl=/tmp/x.sock'], { ctl: '/tmp/x.sock' }],
    [['--pcap=trace.pcapng'], { pcap: 'trace.pcapng' }],
    [['--log=warn,tcp=debug'], { log: 'warn,tcp=debug' }],
    [['--stack=none'], { stack: 'none', services: [], addrs: [], peers: ['10.0.0.1/24'] }],
    [['--stack=none', '--service='], { services: [] }],
    [['--mtu=1400', '--mtu=1300'], { mtu: 1300 }],
  ])('%j', (argv, expected) => {
    expect(shown(parse(argv))).toMatchObject(expected);
  });

  it('collect tunables', () => {
    const { tunables } = parse(['--set=kern.ipc.maxsockbuf=4m', '--set', 'net.inet.tcp.cc=a=b', '--set=kern.ipc.maxsockbuf=8m']);
    expect([...tunables].map(([name, { value }]) => [name, value])).toEqual([
      ['kern.ipc.maxsockbuf', '8m'],
      ['net.inet.tcp.cc', 'a=b'],
    ]);
  });

  it.each([
    [['--mut=1500'], /unknown option --mut; did you mean --mtu\?/],
    [['--services=http'], /unknown option --services; did you mean --service\?/],
    [['--xyzzy'], /^unknown option --xyzzy \(see --help\)$/],
    [['alt'], /'alt' is not an option/],
    [['-x'], /'-x' is not an option/],
    [['--stack'], /--stack needs a value: --stack=NAME\|PATH/],
    [['--stack='], /--stack: '' must not be empty/],
    [['--tap='], /--tap: '' must not be empty/],
    [['--tap-fd=x'], /--tap-fd: 'x' must be a number from 0 to/],
    [['--addr=10.0.0.2'], /must be ADDRESS\/LENGTH, such as 10\.0\.0\.2\/24/],
    [['--addr=10.0.0.256/24'], /must be ADDRESS\/LENGTH/],
    [['--addr=10.0.0.2/33'], /must be ADDRESS\/LENGTH/],
    [['--addr=10.0.0.0/24'], /address of the network itself/],
    [['--addr=10.0.0.255/24'], /broadcast address/],
    [['--addr=224.0.0.1/24'], /address of one host/],
    [['--addr=0.0.0.0/24'], /address of one host/],
    [['--addr=10.0.0.2/0'], /prefix of at least one bit/],
    [['--addr=10.0.0.2/24', '--addr=10.0.0.2/16'], /10\.0\.0\.2 is given twice/],
    [['--addr=10.0.0.2/32'], /no second address in 10\.0\.0\.2\/32 .* --peer=A\/LEN or --no-peer/],
    [['--peer=10.0.0.2/24'], /cannot be on both sides/],
    [['--peer=10.0.0.1/24', '--no-peer'], /contradict/],
    [['--gateway=fish'], /numeric address of one host/],
    [['--gateway=10.0.0.2'], /is the stack's own address/],
    [['--gateway=10.9.0.1'], /is in none of the networks 10\.0\.0\.2\/24/],
    [['--mtu=9'], /--mtu: '9' must be a number from 72 to 65521/],
    [['--mtu=big'], /must be a number/],
    [['--mac=01:00:00:00:00:01'], /hardware address of one station/],
    [['--mac=1'], /must be a hardware address, such as/],
    [['--offload=maybe'], /must be on or off/],
    [['--service=gopher'], /unknown service 'gopher'; there are http, echo/],
    [['--accept-filter=httpready', '--service=echo'], /for the http service, which is not among --service/],
    [['--set=novalue'], /must be NAME=VALUE/],
    [['--set=a=1'], /must be NAME=VALUE/],
    [['--log=loud'], /bad log level 'loud'.*trace debug info warn error/],
    [['--tap=tap0', '--tap-fd=3'], /cannot both be given/],
    [['--driver=tuntap2', '--tap-fd=3'], /needs --driver=tap/],
    [['--driver=tuntap2', '--offload=on'], /has no offload/],
    [['--stack=none', '--service=http'], /needs a stack/],
    [['--stack=none', '--addr=10.0.0.2/24'], /needs a stack/],
    [['--stack=none', '--gateway=10.0.0.1'], /needs a stack/],
    [['--stack=none', '--accept-filter=httpready'], /not among --service/],
    [['--conf=missing.conf'], /--conf: cannot read missing\.conf \(ENOENT\)/],
  ])('%j is refused in one line that says what is accepted', (argv, why) => {
    expect(refusal(argv)).toMatch(why);
  });

  it('come from variables too', () => {
    const env = {
      NETMOD_STACK: 'alt',
      NETMOD_ADDR: '10.1.0.1/24,10.2.0.1/24',
      NETMOD_NO_PEER: '1',
      NETMOD_SET: 'a.b=1;c.d=x,y',
      HOME: '/',
    };
    expect(shown(parse([], env))).toMatchObject({ stack: 'alt', addrs: ['10.1.0.1/24', '10.2.0.1/24'], peers: [] });
    expect([...parse([], env).tunables.keys()]).toEqual(['a.b', 'c.d']);
    expect(refusal([], { NETMOD_STAK: 'alt' })).toBe('unknown variable NETMOD_STAK; did you mean NETMOD_STACK?');
    expect(refusal([], { NETMOD_MTU: '1' })).toMatch(/^NETMOD_MTU: '1' must be/);
    expect(parse([], { NETMOD_REQUIRE_NETNS: '1' }).stack).toBe('inet');
  });

  it('come from a file in the style of loader.conf', () => {
    const conf = [
      '# a comment',
      'stack="alt"   # and another',
      'tap_fd=7',
      'service="http:8080"',
      'kern.ipc.maxsockbuf="16m"',
      'accf_http_load="YES"',
      'netstack_mine_load="yes"',
      'netstack_mine_name="./mine.js"',
      'accf_dns_load="NO"',
      '',
    ].join('\n');
    const options = parse(['--conf', 'n.conf'], {}, { 'n.conf': conf });
    expect(shown(options)).toMatchObject({ stack: 'alt', tapFd: 7, services: ['http:8080'] });
    expect(options.tunables.get('kern.ipc.maxsockbuf')).toEqual({ value: '16m', where: 'n.conf:5' });
    expect(options.modules).toEqual([
      { name: 'accf_http', from: null, where: 'n.conf:6' },
      { name: 'netstack_mine', from: './mine.js', where: 'n.conf:7' },
    ]);
  });

  it.each([
    ['what is this', /^n\.conf:1: a line is name="value"/],
    ['mut="1500"', /^n\.conf:1: unknown name mut; did you mean mtu\?/],
    ['mtu="fat"', /^n\.conf:1: mtu: 'fat' must be a number/],
    ['conf="other"', /unknown name conf/],
    ['x_load="maybe"', /x_load must be "YES" or "NO"/],
    ['x_name="./x.js"', /x_name without x_load/],
  ])('a file with %s is refused', (line, why) => {
    expect(refusal(['--conf=n.conf'], {}, { 'n.conf': line })).toMatch(why);
  });

  it('are taken from the command line before variables, and from variables before the file', () => {
    const files = { 'n.conf': 'mtu="1000"\nstack="alt"\ntap="tap3"\na.b="file"\nc.d="file"' };
    const env = { NETMOD_CONF: 'n.conf', NETMOD_MTU: '2000', NETMOD_TAP: 'tap2', NETMOD_SET: 'c.d=env' };
    const options = parse(['--mtu=3000', '--set=e.f=line'], env, files);
    expect(options).toMatchObject({ mtu: 3000, tap: 'tap2', stack: 'alt' });
    expect([...options.tunables].map(([name, { value }]) => `${name}=${value}`)).toEqual(['a.b=file', 'c.d=env', 'e.f=line']);
    expect(parse(['--no-peer'], {}, {}).peers).toEqual([]);
    expect(parse(['--no-peer', '--conf=p.conf'], {}, { 'p.conf': 'peer="10.0.0.5/24"' }).peers).toEqual([]);
    const off = { NETMOD_NO_PEER: '1' };
    expect(shown(parse(['--no-peer=off'], off))).toMatchObject({ peers: ['10.0.0.1/24'] });
    expect(shown(parse(['--no-peer=off'], { ...off, NETMOD_PEER: '10.0.0.5/24' }))).toMatchObject({ peers: ['10.0.0.5/24'] });
  });

  it('have a help page that names them all', () => {
    const help = helpText();
    for (const name of Object.keys(OPTIONS)) expect(help).toContain(`--${name}`);
    expect(parseOptions(['--help'], {}).kind).toBe('help');
    expect(parseOptions(['--stack=alt', '-h'], {}).kind).toBe('help');
    expect(parseOptions(['--version'], {}).kind).toBe('version');
  });
});

describe('the nearest name', () => {
  it.each([
    ['htp', 'http'],
    ['inte', 'inet'],
    ['nosuch', null],
    ['completely-different', null],
  ])('of %s is %s', (text, name) => {
    expect(nearest(text, ['http', 'inet', 'alt', 'none'])).toBe(name);
  });
});
