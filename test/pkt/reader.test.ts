/** The reader of the script language: what it takes, and where and how it refuses. */
import { describe, expect, it } from 'vitest';
import type { PacketSpec } from '../../src/pkt/ast.ts';
import { parseScript } from '../../src/pkt/parse.ts';
import { readSettings } from '../../src/pkt/settings.ts';
import { ScriptError, Source } from '../../src/pkt/source.ts';

const parse = (text: string) => parseScript(new Source('a.pkt', text));

function packet(text: string): PacketSpec {
  const [event] = parse(text).events;
  if (event?.action.kind !== 'packet') throw new Error('no packet');
  return event.action.packet;
}

function refusal(text: string): string {
  try {
    const src = new Source('a.pkt', text);
    readSettings(src, parseScript(src).options, []);
  } catch (error) {
    if (error instanceof ScriptError) return error.message;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

describe('times', () => {
  const times = (text: string) => parse(text).events.map(({ when }) => [when.kind, when.ms, when.endMs]);

  it('absolute, relative, ranges, any', () => {
    const body = ' > . 1:1(0) ack 1\n';
    const text = ['0', '1.5', '+.1', '+0~+.25', '0.5~1', '*'].map((time) => time + body).join('');
    expect(times(text)).toEqual([
      ['abs', 0, null],
      ['abs', 1500, null],
      ['rel', 100, null],
      ['rel', 0, 250],
      ['abs', 500, 1000],
      ['any', 0, null],
    ]);
  });

  it('the time that a call takes', () => {
    const [a, b] = parse('0...0.2 accept(3, ..., ...) = 4\n+.1...0.25 read(4, ..., 10) = 10').events;
    expect(a?.action).toMatchObject({ call: { name: 'accept', endMs: 200 } });
    expect(b?.when).toEqual({ kind: 'rel', ms: 100, endMs: null });
    expect(b?.action).toMatchObject({ call: { name: 'read', endMs: 250 } });
  });

  it.each([
    ['1~0.5 > . 1:1(0) ack 1', 'a.pkt:1:3: the range of time ends before it begins'],
    ['* < . 1:1(0) ack 1 win 5', "a.pkt:1:3: a packet to the stack is sent at one time: '*' and ranges are for packets from it"],
    ['0~1 close(3) = 0', "a.pkt:1:5: expected '>': '*' and ranges of time are for packets from the stack"],
    ['1...0.5 close(3) = 0', 'a.pkt:1:5: the call ends before it begins'],
    ['soon close(3) = 0', 'a.pkt:1:1: expected a time: seconds, such as 0.100'],
  ])('%s', (text, message) => {
    expect(refusal(text)).toContain(message);
  });
});

describe('packets', () => {
  it('a segment with everything', () => {
    const text =
      '0 < [ect0, ttl 9] 40000 > 80 PUEW. 1:1001(1000) ack 7 win 257 urg 3 <mss 1460,nop,wscale 7,sackOK,TS val 1 ecr 2,eol>';
    expect(packet(text.replace('[ect0, ttl 9]', '[ect0,ttl 9]'))).toMatchObject({
      dir: 'in',
      ip: { ecn: 2, ttl: 9, tos: null },
      ports: [40000, 80],
      body: {
        proto: 'tcp',
        flags: 0xf8,
        seq: 1,
        len: 1000,
        ack: 7,
        win: 257,
        urg: 3,
        options: [
          { kind: 'mss', mss: 1460 },
          { kind: 'nop' },
          { kind: 'wscale', shift: 7 },
          { kind: 'sackOK' },
          { kind: 'ts', val: 1, ecr: 2 },
          { kind: 'eol' },
        ],
      },
    });
  });

  it('blocks, cookies, raw options, and what may be anything', () => {
    const { body } = packet('0 > . 1:1(0) ack 1 <sack 1:2 3:4,FO 0102,FOEXP,raw 254:ff,TS val ... ecr 5,...>');
    expect(body).toMatchObject({
      more: true,
      options: [
        { kind: 'sack', blocks: [[1, 2], [3, 4]] }, // prettier-ignore
        { kind: 'fo', cookie: Uint8Array.of(1, 2) },
        { kind: 'foexp', cookie: new Uint8Array(0) },
        { kind: 'raw', type: 254, data: Uint8Array.of(255) },
        { kind: 'ts', val: null, ecr: 5 },
      ],
    });
    expect(packet('0 > . 1:1(0) ack 1 <...>').body).toMatchObject({ options: null });
    expect(packet('0 > . 1:1(0) ack 1').body).toMatchObject({ options: [], more: false });
    expect(packet('0 > RP?.? 1:1(0) ack 1').body).toMatchObject({ flags: 0x1c, maybe: 0x18 });
    expect(packet('0 > - 1:1(0)').body).toMatchObject({ flags: 0, ack: null });
  });

  it('udp and icmp', () => {
    expect(packet('0 < udp (1000)').body).toEqual({ proto: 'udp', len: 1000 });
    expect(packet('0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]').body).toMatchObject({
      proto: 'icmp',
      type: 3,
      code: 4,
      mtu: 1200,
      quoted: { proto: 'tcp', seq: 1, len: 1460 },
    });
    const quoted = { proto: 'tcp', seq: 1, len: 1460 };
    expect(packet('0 < [1:1461(1460)] icmp unreachable frag_needed mtu 1200').body).toMatchObject({ code: 4, mtu: 1200, quoted });
    expect(packet('0 < [ect0] [1:1461(1460)] icmp unreachable')).toMatchObject({ ip: { ecn: 2 }, body: { code: 0, quoted } });
    expect(packet('0 < icmp type_13 code_255').body).toMatchObject({ type: 13, code: 255, quoted: null });
    expect(packet('0 < icmp information_request').body).toMatchObject({ type: 15 });
    expect(packet('0 < icmp unreachable mtu 1200').body).toMatchObject({ code: 0, mtu: 1200 });
    expect(packet('0 > icmp echo_reply id 1 seq 2 (56)').body).toMatchObject({ type: 0, id: 1, seq: 2, len: 56 });
  });

  it('numbers wrap', () => {
    expect(packet('0 < . 4294967295:9(10) ack 1 win 5').body).toMatchObject({ seq: 4294967295, len: 10 });
  });

  it.each([
    ['0 < . 1:11(9) ack 1 win 5', '1:9: 1 + 9 is 10, not 11'],
    ['0 < . 1:1(0) ack 1', "needs its window, 'win N'"],
    ['0 < P 1:1(0) ack 1 win 5', "1:14: '.' among the flags and 'ack N' go together"],
    ['0 > . 1:1(0)', "'.' among the flags and 'ack N' go together"],
    ['0 > X 1:1(0)', 'expected TCP flags'],
    ['0 > . 1:1(0) ack 1 <mss 70000>', 'mss must be from 0 to 65535, not 70000'],
    ['0 > . 1:1(0) ack 1 <msss 7>', 'expected a TCP option (mss N, wscale N'],
    ['0 < . 1:1(0) ack 1 win 5 <...>', "'...' is for packets from the stack"],
    ['0 < R? 1:1(0) win 5', "a flag with '?' is for segments from the stack"],
    ['0 < gre . 1:1(0) ack 1 win 5', 'gre headers cannot be written here'],
    ['0 < icmp unreachable nowhere', "unknown code 'nowhere' of unreachable; there are net_unreachable"],
    ['0 < icmp hello', "unknown ICMP type 'hello'"],
    ['0 < icmp type_256', "unknown ICMP type 'type_256'"],
    ['0 < [1:2(1)] . 1:1(0) ack 1 win 5', 'a packet in brackets is what one icmp message is about'],
    ['0 < [1:2(1)] icmp unreachable [1:2(1)]', 'a packet in brackets is what one icmp message is about'],
    ['0 < [ect7] . 1:1(0) ack 1 win 5', 'expected noecn, ect0, ect1, ect01, ce, tos N or ttl N'],
  ])('%s', (text, message) => {
    expect(refusal(text)).toContain(message);
  });
});

describe('calls', () => {
  const call = (text: string) => {
    const [event] = parse(text).events;
    if (event?.action.kind !== 'call') throw new Error('no call');
    return event.action.call;
  };

  it('arguments of every kind, over several lines', () => {
    const { name, args, result } = call(`0 f(3, ..., 0x10, -1, A|B | 2, "a\\n" "b", [1, 2],
        {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("192.0.2.1")}, // where to
        {..., 5}, {onoff=1, linger=0}) = -1 EAGAIN (Resource temporarily unavailable)`);
    expect(name).toBe('f');
    expect(args.map(({ expr }) => expr.kind)).toEqual([
      'number', 'any', 'number', 'number', 'words', 'string', 'list', 'struct', 'list', 'struct',
    ]); // prettier-ignore
    expect(args[4]?.expr).toEqual({ kind: 'words', words: ['A', 'B', '2'] });
    expect(args[5]?.expr).toEqual({ kind: 'string', value: 'a\nb' });
    expect(result.expr).toEqual({ kind: 'number', value: -1 });
  });

  it('messages, iovecs and descriptors to poll', () => {
    const { args } = call('0 sendmsg(3, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {..., 20}], msg_flags=0}, 0) = 30');
    expect(args[1]?.expr).toMatchObject({ kind: 'struct' });
    const poll = call('0 poll([{fd=3, events=POLLIN, revents=POLLIN|POLLOUT}], 1, 100) = 1');
    expect(poll.args[0]?.expr).toMatchObject({ kind: 'list', items: [{ expr: { kind: 'struct' } }] });
  });

  it.each([
    ['0 read(3, ..., 5)', "expected '=', found the end of the file"],
    ['0 read(3 ..., 5) = 1', "a.pkt:1:10: expected ',', found '."],
    ['0 read(3, @) = 1', 'expected an argument (..., a number'],
    ['0 read(3, "x) = 1', 'expected a string that ends'],
    ['0 f({sin6_addr=inet6_addr("::1")}) = 1', 'no stack here has IPv6'],
    ['0 %{ assert 1', "a block of assertions ends with '}%'"],
    ['0 `true', 'a command ends with a back quote'],
    ['`true`\n0 close(3) = 0\n`true`\n0 close(3) = 0', 'a.pkt:3:1: a command in the middle of a script needs a time'],
  ])('%s', (text, message) => {
    expect(refusal(text)).toContain(message);
  });
});

describe('comments, options and skips', () => {
  it('comments of all kinds', () => {
    expect(parse('// a\n# b\n/* c\n d */ 0 /* e */ close(3) // f\n = 0 # g\n').events).toHaveLength(1);
  });

  it('options with their values', () => {
    const src = new Source(
      'a.pkt',
      '--mtu=1000 --tolerance_usecs=500\n--local_ip="10.0.0.9"\n--netmask_ip=255.255.255.0\n--verbose\n0 close(3) = 0',
    );
    const warnings: string[] = [];
    const settings = readSettings(src, parseScript(src).options, warnings);
    expect(settings).toMatchObject({ mtu: 1000, toleranceMs: 0.5, localIp: 0x0a000009, prefixLen: 24 });
    expect(warnings).toEqual(['a.pkt:4: --verbose changes nothing in virtual time']);
  });

  it.each([
    ['--ip_version=ipv6', "a.pkt:1:1: --ip_version is ipv4: no stack here has IPv6, not 'ipv6'"],
    ['--mtu=20', "--mtu is bytes, 68 to 65535, not '20'"],
    ['--mtu', "--mtu is bytes, 68 to 65535, not ''"],
    ['--wire_client', '--wire_client is not accepted: there is no wire but the one in memory'],
    ['--fancy=1', '--fancy is not accepted: there are --ip_version --local_ip'],
    ['// skip alt:\n0 close(3) = 0', "a.pkt:1:1: expected 'skip STACK: reason', with a stack and a reason"],
  ])('%s', (text, message) => {
    expect(refusal(text)).toContain(message);
  });

  it('skips with their reasons', () => {
    expect([...parse('// skip alt: has none\n#skip other:  of no use \n0 close(3) = 0').skips]).toEqual([
      ['alt', 'has none'],
      ['other', 'of no use'],
    ]);
  });
});
