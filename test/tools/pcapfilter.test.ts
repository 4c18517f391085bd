/** The filter language and capture files: what tcpdump(1) selects from a file, `netmod tcpdump -r` selects too. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exprArg } from '../../src/control/exprarg.ts';
import { readFilter } from '../../src/tools/pcapfilter.ts';
import { CaptureReader } from '../../src/wire/captureread.ts';
import { LINKTYPE_ETHERNET, PCAPNG_IN, PCAPNG_OUT, PcapngWriter } from '../../src/wire/pcapng.ts';
import { runTool } from './support.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');
const A = '020000000001';
const B = '020000000002';
const ip = (proto: string, src: string, dst: string, rest: string, more = '0000'): Buffer => {
  const body = hex(rest);
  return Buffer.concat([
    hex(`${B} ${A} 0800 4500 ${(20 + body.length).toString(16).padStart(4, '0')} 0007 ${more} 40 ${proto} 0000 ${src} ${dst}`),
    body,
  ]);
};
const tcp = (sport: number, dport: number, flags: string, text = ''): string =>
  `${sport.toString(16).padStart(4, '0')} ${dport.toString(16).padStart(4, '0')} 00000001 00000002 50${flags} 1000 0000 0000 ${text}`;
const udp = (sport: number, dport: number, text = ''): string =>
  `${sport.toString(16).padStart(4, '0')} ${dport.toString(16).padStart(4, '0')} ${(8 + text.length / 2).toString(16).padStart(4, '0')} 0000 ${text}`;
const [H1, H2, H3] = ['0a000001', '0a000002', 'c0a80105'];

const FRAMES: readonly Buffer[] = [
  ip('06', H1, H2, tcp(4096, 80, '02')),
  ip('06', H2, H1, tcp(80, 4096, '12')),
  ip('06', H1, H2, tcp(4096, 443, '18', '616263')),
  ip('06', H3, H2, tcp(6000, 80, '11')),
  ip('11', H1, H2, udp(53, 1024, '0102')),
  ip('11', H3, H1, udp(5353, 53)),
  ip('11', H1, 'e00000fb', udp(5353, 5353, '00'.repeat(600))),
  ip('11', H1, H2, udp(53, 80), '2000'),
  ip('11', H1, H2, '00350050', '0010'),
  ip('01', H1, H2, '0800 0000 1234 0001'),
  ip('01', H2, H1, '0000 0000 1234 0001'),
  ip('02', H1, 'e0000016', '2200 0000 0000 0000'),
  hex(`ffffffffffff ${A} 0806 0001 0800 06 04 0001 ${A} ${H1} 000000000000 ${H2}`),
  hex(`${A} ${B} 0806 0001 0800 06 04 0002 ${B} ${H2} ${A} ${H3}`),
  hex(
    `333300000001 ${A} 86dd 60000000 0008 11 ff fe800000000000000000000000000001 ff020000000000000000000000000001 0035 0400 0008 0000`,
  ),
  hex(
    `${B} ${A} 86dd 60000000 0014 06 40 fe800000000000000000000000000001 fe800000000000000000000000000002 ${tcp(22, 4097, '10')}`,
  ),
  hex(`${B} ${A} 88cc 0000 ${'00'.repeat(40)}`),
  hex(`${B} ${A} 0800 4500`),
];

/** What both are asked. */
const FILTERS = [
  'tcp', 'udp', 'icmp', 'arp', 'ip', 'ip6', 'igmp', 'not ip', '! arp', 'tcp or udp', 'tcp and udp', 'not tcp and not udp',
  'host 10.0.0.1', 'src host 10.0.0.1', 'dst host 10.0.0.1', 'src 10.0.0.1', 'dst 10.0.0.2 and tcp', 'src or dst host 192.168.1.5',
  'src and dst host 10.0.0.1', 'ip host 10.0.0.1', 'arp host 10.0.0.1', 'arp src 10.0.0.2', 'host fe80::1', 'ip6 host fe80::2', 'host 10.0.0.1 or 192.168.1.5',
  'net 10.0.0.0/8', 'net 10', 'net 192.168', 'src net 192.168.1.0/24', 'dst net 10.0.0.0 mask 255.0.0.0', 'net 224.0.0.0/4', 'net fe80::/10', 'not net 10',
  'port 80', 'port 80 or 443', 'src port 53', 'dst port 53', 'tcp port 80', 'udp port 53', 'tcp src port 80', 'tcp dst port 80', 'portrange 5000-6000',
  'udp dst portrange 1-100', 'not port 80', 'src port 80 or dst port 80', 'tcp or udp and port 53', 'tcp or (udp and port 53)', '(tcp or udp) and port 53',
  'not (tcp or udp)', 'not tcp or udp', 'icmp or arp and not host 192.168.1.5', 'greater 100', 'less 60', 'len > 60', 'len <= 42', 'len = 42', 'len != 42',
  'broadcast', 'multicast', 'ether broadcast', 'ether multicast', 'ip multicast', 'ether host 02:00:00:00:00:01', 'ether src 02:00:00:00:00:02', 'ether dst 33:33:00:00:00:01',
  'ether proto 0x88cc', 'ether proto \\arp', 'ip proto 17', 'ip proto \\udp', 'ip6 proto 6', 'proto 2',
  'tcp[tcpflags] & tcp-syn != 0', 'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0', 'tcp[13] & 2 != 0 and not tcp[13] & 16 != 0', 'tcp[tcpflags] = tcp-syn',
  'icmp[icmptype] = icmp-echo', 'icmp[0] != 8', 'ip[8] < 65', 'ip[6:2] & 0x1fff != 0', 'udp[4:2] > 8', 'ether[0] & 1 = 1', 'ip[2:2] >= 600', 'tcp[0:2] = 80',
  'ip[12:4] = 0x0a000001', 'inbound', 'outbound', 'in and tcp', 'tcp && port 80 || icmp', 'not not tcp', '!(tcp)', 'ether[12:2]=0x0806',
]; // prettier-ignore

const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0;

describe('tcpdump -r', () => {
  let dir: string;
  let file: string;
  beforeAll(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'netmod-r-'));
    file = path.join(dir, 'frames.pcapng');
    const blocks: Buffer[] = [];
    const out = new PcapngWriter((block) => void blocks.push(Buffer.from(block)), 2000);
    out.section('test');
    out.interface('tap0', LINKTYPE_ETHERNET, 0);
    FRAMES.forEach((frame, i) => {
      out.bytes.set(frame, out.packet(0, 1_700_000_000_000 + i, frame.length, frame.length));
      out.endPacket(i % 2 === 0 ? PCAPNG_IN : PCAPNG_OUT, i === 3 ? 'dropped: tcp.badsum' : null);
    });
    fs.writeFileSync(file, Buffer.concat(blocks));
  });
  afterAll(() => fs.rmSync(dir, { recursive: true }));

  const NO_BOOT = { NETMOD_CTL: '/nowhere.sock' };
  /** Numbers of the frames that are selected, by the milliseconds of their times. */
  const ours = async (filter: string): Promise<number[]> => {
    const { out, err, status } = await runTool(['tcpdump', '-r', file, '--json', ...filter.split(' ').filter(Boolean)], NO_BOOT);
    expect({ err, status }).toEqual({ err: '', status: 0 });
    return out
      .split('\n')
      .filter(Boolean)
      .map((line) => Math.round((JSON.parse(line) as { ts: number }).ts * 1000) % 1000);
  };

  it('reads all frames, without a boot', async () => {
    expect(await ours('')).toEqual(FRAMES.map((_, i) => i));
    const shown = await runTool(['tcpdump', '-t', '-r', file, '-c', '4', 'tcp'], NO_BOOT);
    expect(shown.out.split('\n')[0]).toBe('tap0  In  IP 10.0.0.1.4096 > 10.0.0.2.80: Flags [S], seq 1, win 4096, length 0');
    expect(shown.out.split('\n')[3]).toContain('[dropped: tcp.badsum]');
    expect((await runTool(['tcpdump', '-t', '-q', '-r', file, '-c', '1', 'tcp'], NO_BOOT)).out).toBe(
      'tap0  In  IP 10.0.0.1.4096 > 10.0.0.2.80: tcp 0\n',
    );
    expect((await runTool(['tcpdump', '-t', '-v', '-r', file, 'icmp', '-c', '1'], NO_BOOT)).out).toContain(
      'IP (tos 0x0, ttl 64, id 7, offset 0, flags [none], proto ICMP (1), length 28)\n    10.0.0.1 > 10.0.0.2: ICMP echo request',
    );
    const bytes = async (flag: string): Promise<string> =>
      (await runTool(['tcpdump', '-t', flag, '-r', file, 'arp', '-c', '1'], NO_BOOT)).out;
    expect(await bytes('-x')).toContain('0x0000:  0001 0800 0604 0001');
    expect(await bytes('-xx')).toContain('0x0000:  ffff ffff ffff');
    expect((await ours('')).length).toBe(FRAMES.length);
    expect((await runTool(['tcpdump', '--drops', '-r', file, '--json'], NO_BOOT)).out).toContain('"drop":"tcp.badsum"');
  });

  it('writes what it selects, with directions and comments', async () => {
    const copy = path.join(dir, 'copy.pcapng');
    await runTool(['tcpdump', '-r', file, '-w', copy, 'tcp', 'port', '80'], NO_BOOT);
    const reader = new CaptureReader();
    const packets = [0, 1, 3].map((i) =>
      expect.objectContaining({
        bytes: new Uint8Array(FRAMES[i]!),
        dir: i % 2 === 0 ? 'in' : 'out',
        ts: 1_700_000_000 + i / 1000,
      }),
    );
    expect(reader.push(fs.readFileSync(copy)).map((packet) => ({ ...packet, bytes: new Uint8Array(packet.bytes) }))).toEqual(
      packets,
    );
    expect(reader.error).toBeNull();
  });

  it.skipIf(!hasTcpdump)(
    `selects what tcpdump(1) selects${hasTcpdump ? '' : ' (skipped: no tcpdump command)'}`,
    async () => {
      const theirs = (filter: string): number[] => {
        const { stdout, stderr, status } = spawnSync('tcpdump', ['-n', '-tt', '-r', file, filter], { encoding: 'utf8' });
        // Its compiler knows that no frame can be both; that it says so is an answer.
        if (stderr.includes('expression rejects all packets')) return [];
        expect({ filter, status, stderr: status === 0 ? '' : stderr }).toEqual({ filter, status: 0, stderr: '' });
        return stdout
          .split('\n')
          .filter((line) => /^\d+\.\d+/.test(line))
          .map((line) => Number(line.slice(11, 14)));
      };
      // `in` is a short word of our own; directions are for devices in some versions of libpcap.
      const asked = FILTERS.filter((text) => !/\b(in|inbound|outbound)\b/.test(text));
      const answers: Record<string, number[]> = {};
      for (const filter of asked) answers[filter] = await ours(filter);
      expect(answers).toEqual(Object.fromEntries(asked.map((filter) => [filter, theirs(filter)])));
    },
    60_000,
  );

  it('tells directions apart', async () => {
    expect(await ours('inbound')).toEqual(FRAMES.flatMap((_, i) => (i % 2 === 0 ? [i] : [])));
    expect(await ours('out and arp')).toEqual([13]);
  });

  it.each([
    ['no such file', ['-r', '/no/such/file'], /no such file/],
    ['what is no capture', ['-r', import.meta.filename], /no capture file/],
    ['a file and an interface', ['-r', 'x', '-i', 'tap0'], /one of them/],
  ])('refuses %s', async (_, words, message) => {
    expect((await runTool(['tcpdump', ...words], NO_BOOT)).err).toMatch(message);
  });

  it('shows what is whole of a file that is cut short', async () => {
    const cut = path.join(dir, 'cut.pcapng');
    fs.writeFileSync(cut, fs.readFileSync(file).subarray(0, 600));
    const { out, err, status } = await runTool(['tcpdump', '-r', cut], NO_BOOT);
    expect(out.split('\n').length).toBeGreaterThan(3);
    expect({ err, status }).toEqual({ err: expect.stringContaining('cut short'), status: 1 });
  });
});

describe('files of pcap', () => {
  it.each([true, false])('are read in either byte order (little: %s), however they are cut', (little) => {
    const file = Buffer.alloc(24 + 2 * 16 + 5);
    const u32 = (at: number, n: number): number => (little ? file.writeUInt32LE(n, at) : file.writeUInt32BE(n, at));
    [0xa1b2c3d4, 0, 0, 0, 65535, 1].forEach((n, i) => u32(4 * i, n));
    [1_700_000_000, 250_000, 2, 60].forEach((n, i) => u32(24 + 4 * i, n));
    file.set([1, 2], 40);
    [1_700_000_001, 0, 3, 3].forEach((n, i) => u32(42 + 4 * i, n));
    file.set([3, 4, 5], 58);
    for (const step of [1, 7, 100]) {
      const reader = new CaptureReader();
      const got = [];
      for (let at = 0; at < file.length; at += step)
        got.push(...reader.push(file.subarray(at, at + step)).map((p) => ({ ...p, bytes: [...p.bytes] })));
      reader.end();
      expect(reader.error).toBeNull();
      const common = { name: '', linkType: 1, dir: null, comment: null };
      expect(got).toEqual([
        { ...common, ts: 1_700_000_000.25, len: 60, bytes: [1, 2] },
        { ...common, ts: 1_700_000_001, len: 3, bytes: [3, 4, 5] },
      ]);
    }
  });

  it('whatever a file holds, reading it never throws', () => {
    const start = fc.constantFrom(
      hex('0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffffffffffff 1c000000'),
      hex('d4c3b2a1 02000400 00000000 00000000 ffff0000 01000000'),
      hex(''),
    );
    const block = fc
      .tuple(fc.constantFrom(1, 3, 5, 6, 99), fc.nat(10), fc.uint8Array({ minLength: 40, maxLength: 40 }))
      .map(([type, more, bytes]) => {
        const b = Buffer.from(bytes).subarray(0, 12 + 4 * Math.min(7, more));
        b.writeUInt32LE(type, 0);
        b.writeUInt32LE(b.length, 4);
        return b;
      });
    fc.assert(
      fc.property(
        start,
        fc.array(
          fc.oneof(
            block,
            fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)),
          ),
        ),
        (head, rest) => {
          const reader = new CaptureReader();
          reader.push(Buffer.concat([head, ...rest]));
          reader.end();
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('the filter language', () => {
  const of = (text: string): object | null => readFilter(text.split(' ').filter(Boolean));

  it('is what the control socket takes', () => {
    for (const filter of FILTERS) expect(() => exprArg(of(filter))).not.toThrow();
    expect(of('')).toBeNull();
    expect(of('tcp port 80 or 443')).toEqual({
      or: [
        { port: 80, proto: 'tcp' },
        { port: 443, proto: 'tcp' },
      ],
    });
    // One precedence, from left to right.
    expect(of('arp or tcp and in')).toEqual({ and: [{ or: [{ proto: 'arp' }, { proto: 'tcp' }] }, { direction: 'in' }] });
    expect(of('ARP')).toEqual({ proto: 'arp' });
    expect(of('icmp in')).toEqual({ and: [{ proto: 'icmp' }, { direction: 'in' }] });
  });

  it.each([
    ['prt 80', "did you mean 'port'?"],
    ['tcp adn udp', "did you mean 'and'?"],
    ['host', 'missing'],
    ['port', 'missing'],
    ['tcp and', 'missing'],
    ['(tcp', "')' is missing"],
    ['tcp)', "without a '('"],
    ['port 70000', 'from 0 to 65535'],
    ['portrange 80', 'like 6000-6008'],
    ['host example.org', 'not in the filter language'],
    ['net 10.0.0.1/8', 'bits set'],
    ['tcp host 10.0.0.1', "'tcp and host 10.0.0.1'"],
    ['arp port 80', 'no ports'],
    ['tcp[tcpflag] = 2', "did you mean 'tcpflags'?"],
    ['tcp[13:3] = 2', '1, 2 or 4 bytes'],
    ['tcp[13]', 'is compared by one of'],
    ['80', 'not in the filter language'],
    ['('.repeat(20) + 'tcp' + ')'.repeat(20), 'levels of parentheses'],
    ['not '.repeat(20) + 'tcp', "'not' in each other"],
  ])('refuses %s', (text, message) => {
    expect(() => of(text)).toThrow(message);
  });

  it('never throws anything but a sentence', () => {
    const word = fc.constantFrom(
      'tcp',
      'host',
      '10.0.0.1',
      '(',
      ')',
      'not',
      'and',
      'or',
      'port',
      '80',
      'src',
      'dst',
      'net',
      '10/8',
      '[',
      ']',
      '&',
      '=',
      'len',
      '1-2',
      '::',
      'ether',
      'proto',
      'mask',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), (words) => {
        try {
          const expr = readFilter(words);
          if (expr !== null) exprArg(expr);
        } catch (error) {
          expect((error as Error).constructor.name).toBe('UsageError');
        }
      }),
      { numRuns: 5000 },
    );
  });
});
