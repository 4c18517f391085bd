/**
 * Packets in the script language: TCP segments in the manner of tcpdump (`< [ect0] P. 1:1001(1000) ack 1 win 257 <nop,nop,sack 1:2>`),
 * `udp (LENGTH)`, and ICMP messages with the packet that they are about (`icmp unreachable frag_needed mtu 1200 [1:1461(1460)]`).
 * What packetdrill does not have: `<mss 1460,...>` lets further options be there, `raw 254:0102` writes one of any kind, and `R.?` is a
 * reset with or without ACK.
 */
import { TH_ACK, TH_AE, TH_CWR, TH_ECE, TH_FIN, TH_PUSH, TH_RST, TH_SYN, TH_URG } from '../wire/tcp.ts';
import type { IcmpSpec, IpInfo, PacketSpec, TcpOption, TcpSpec, TransportSpec } from './ast.ts';
import { ICMP_CODES, ICMP_TYPES } from './icmpnames.ts';
import type { Source } from './source.ts';

/** Letters of the flags, in the order they are printed in. */
export const FLAG_LETTERS: readonly (readonly [string, number])[] = [
  ['F', TH_FIN],
  ['S', TH_SYN],
  ['R', TH_RST],
  ['P', TH_PUSH],
  ['U', TH_URG],
  ['A', TH_AE],
  ['W', TH_CWR],
  ['E', TH_ECE],
  ['.', TH_ACK],
];

const UINT32 = 0xffffffff;
/** RFC 2385. */
const TCPOPT_MD5 = 19;

export function parsePacket(src: Source): PacketSpec {
  const dir = src.takes('<') ? 'in' : 'out';
  if (dir === 'out') src.expect('>');
  const ip = parseIpInfo(src);
  const at = src.pos;
  const quoted = src.looks('[') ? parseQuoted(src) : null;
  const ports = parsePorts(src);
  const body = parseBody(src, dir);
  if (quoted === null) return { dir, ip, ports, body };
  if (body.proto !== 'icmp' || body.quoted !== null) src.fail('a packet in brackets is what one icmp message is about', at);
  return { dir, ip, ports, body: { ...body, quoted } };
}

/** `[1:1001(1000)]` or `[udp (100)]`, in front of `icmp` or behind it: the start of what is not about the IP header. */
const QUOTED = /\[\s*(?:\d|udp)/y;

function parseIpInfo(src: Source): IpInfo {
  const info: { ecn: IpInfo['ecn']; tos: number | null; ttl: number | null } = { ecn: null, tos: null, ttl: null };
  QUOTED.lastIndex = src.pos;
  if (QUOTED.test(src.text)) return info;
  const close = src.takes('[') ? ']' : src.takes('(') ? ')' : null;
  if (close === null) return info;
  do {
    if (src.takes('noecn')) info.ecn = 0;
    else if (src.takes('ect01')) info.ecn = 'ect01';
    else if (src.takes('ect0')) info.ecn = 2;
    else if (src.takes('ect1')) info.ecn = 1;
    else if (src.takes('ce')) info.ecn = 3;
    else if (src.takes('tos')) info.tos = src.integer('tos', 0, 255);
    else if (src.takes('ttl')) info.ttl = src.integer('ttl', 0, 255);
    else src.fail(`expected noecn, ect0, ect1, ect01, ce, tos N or ttl N, found ${src.found()}`);
  } while (src.takes(','));
  src.expect(close);
  return info;
}

/** `SOURCE > DESTINATION`. */
function parsePorts(src: Source): readonly [number, number] | null {
  const ports = /\d+\s*>/y;
  ports.lastIndex = src.pos;
  if (!ports.test(src.text)) return null;
  const from = src.integer('a port', 0, 65535);
  src.expect('>');
  return [from, src.integer('a port', 0, 65535)];
}

function parseBody(src: Source, dir: 'in' | 'out'): TransportSpec {
  if (src.takes('udp')) return { proto: 'udp', len: parseLength(src) };
  if (src.takes('icmp')) return parseIcmp(src);
  for (const other of ['gre', 'mpls', 'ipv4', 'ipv6', 'sctp']) {
    if (src.looks(other)) src.fail(`${other} headers cannot be written here: accepted are TCP segments, udp and icmp`);
  }
  return parseTcp(src, dir);
}

function parseLength(src: Source): number {
  src.expect('(');
  const len = src.integer('a length', 0, 65507);
  src.expect(')');
  return len;
}

function parseTcp(src: Source, dir: 'in' | 'out'): TcpSpec {
  const at = src.pos;
  const what = "TCP flags (of F S R P U E W and '.', or '-' for none), udp or icmp";
  const letters = src.need(/(?:[FSRPUAWE.]\??)+(?=\s)|-(?=\s)/y, what);
  let flags = 0;
  let maybe = 0;
  for (const [letter, bit] of FLAG_LETTERS) {
    if (letters.includes(letter)) flags |= bit;
    if (letters.includes(`${letter}?`)) maybe |= bit;
  }
  if (maybe !== 0 && dir === 'in') src.fail("a flag with '?' is for segments from the stack", at);
  const { seq, len } = parseSeq(src);
  const ackAt = src.pos;
  const ack = src.takes('ack') ? src.integer('ack', 0, UINT32) : null;
  if (((flags & TH_ACK) !== 0) !== (ack !== null)) src.fail("'.' among the flags and 'ack N' go together", ackAt);
  const win = src.takes('win') ? src.integer('win', 0, 65535) : null;
  if (win === null && dir === 'in') src.fail("a segment to the stack needs its window, 'win N'");
  const urg = src.takes('urg') ? src.integer('urg', 0, 65535) : null;
  const { options, more } = parseOptions(src, dir);
  if (src.looks('{')) src.fail('fuzzing of packets ({...}) is not part of this language');
  return { proto: 'tcp', flags, maybe, seq, len, ack, win, urg, options, more };
}

function parseSeq(src: Source): { seq: number; len: number } {
  const seq = src.integer('a sequence number, as in 1:1001(1000)', 0, UINT32);
  src.expect(':');
  const at = src.pos;
  const end = src.integer('the sequence number behind the segment', 0, UINT32);
  src.expect('(');
  const len = src.integer('the length of the payload', 0, 65495);
  src.expect(')');
  if ((seq + len) >>> 0 !== end) src.fail(`${seq} + ${len} is ${(seq + len) >>> 0}, not ${end}`, at);
  return { seq, len };
}

function parseOptions(src: Source, dir: 'in' | 'out'): { options: TcpOption[] | null; more: boolean } {
  const options: TcpOption[] = [];
  // The next event begins with a time, so this can only be the list.
  if (!src.takes('<')) return { options, more: false };
  let more = false;
  do {
    const at = src.pos;
    if (src.takes('...')) more = true;
    else if (more) src.fail("'...' is the last of the options", at);
    else options.push(parseTcpOption(src, dir));
  } while (src.takes(','));
  src.expect('>');
  if (more && dir === 'in') src.fail("'...' is for packets from the stack: what is sent to it is written out");
  return more && options.length === 0 ? { options: null, more } : { options, more };
}

function value(src: Source, dir: 'in' | 'out', what: string, max: number): number | null {
  if (dir === 'out' && src.takes('...')) return null;
  return src.integer(what, 0, max);
}

function parseTcpOption(src: Source, dir: 'in' | 'out'): TcpOption {
  if (src.takes('mss')) return { kind: 'mss', mss: value(src, dir, 'mss', 65535) };
  if (src.takes('wscale')) return { kind: 'wscale', shift: value(src, dir, 'wscale', 255) };
  if (src.takes('sackOK')) return { kind: 'sackOK' };
  if (src.takes('nop')) return { kind: 'nop' };
  if (src.takes('eol')) return { kind: 'eol' };
  if (src.takes('TS')) {
    src.expect('val');
    const val = value(src, dir, 'val', UINT32);
    src.expect('ecr');
    return { kind: 'ts', val, ecr: value(src, dir, 'ecr', UINT32) };
  }
  if (src.takes('sack')) {
    const blocks: [number, number][] = [];
    do {
      const left = src.integer('the left edge of a block', 0, UINT32);
      src.expect(':');
      blocks.push([left, src.integer('the right edge of a block', 0, UINT32)]);
    } while (/\d/.test(src.text.charAt(src.pos)));
    return { kind: 'sack', blocks };
  }
  for (const [word, kind] of [
    ['FOEXP', 'foexp'],
    ['FO', 'fo'],
  ] as const) {
    if (!src.takes(word)) continue;
    if (dir === 'out' && src.takes('...')) return { kind, cookie: null };
    if (dir === 'in' && src.takes('TFO_COOKIE')) return { kind, cookie: 'given' };
    return { kind, cookie: hexBytes(src, src.take(/[0-9a-fA-F]+\b/y) ?? '') };
  }
  if (src.takes('ECN')) return parseAccEcn(src);
  if (src.takes('UTO')) return { kind: 'uto', sec: src.integer('seconds', 0, 0x7fff * 60) };
  if (src.takes('raw')) {
    const type = src.integer("an option's number", 0, 255);
    return { kind: 'raw', type, data: src.takes(':') ? hexBytes(src, src.take(/[0-9a-fA-F]+\b/y) ?? '') : new Uint8Array(0) };
  }
  if (src.takes('md5')) return { kind: 'raw', type: TCPOPT_MD5, data: hexBytes(src, src.need(/[0-9a-fA-F]+\b/y, 'a digest')) };
  const known =
    "mss N, wscale N, sackOK, nop, eol, TS val N ecr N, sack L:R ..., FO cookie, FOEXP cookie, ECN e0b N ceb N e1b N, UTO seconds, md5 digest, raw N:bytes or '...'";
  return src.fail(`expected a TCP option (${known}), found ${src.found()}`);
}

/** `ECN e0b 1 ceb 0 e1b 1`, or from the other end, with fewer, or with none of the counters. */
function parseAccEcn(src: Source): TcpOption {
  const order = src.looks('e1b') ? 1 : 0;
  const fields: number[] = [];
  for (const word of order === 0 ? ['e0b', 'ceb', 'e1b'] : ['e1b', 'ceb', 'e0b']) {
    if (!src.takes(word)) break;
    fields.push(src.integer(word, 0, 0xffffff));
  }
  return { kind: 'accecn', order, fields };
}

function hexBytes(src: Source, hex: string): Uint8Array {
  if (hex.length % 2 !== 0) src.fail(`bytes in hexadecimal have two digits each, and ${hex} has ${hex.length}`);
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function parseIcmp(src: Source): IcmpSpec {
  const at = src.pos;
  const types = [...ICMP_TYPES.keys(), 'type_N'].join(', ');
  const name = src.need(/[a-z_]+\d*\b/y, `a type of ICMP message (${types})`);
  const type = ICMP_TYPES.get(name) ?? numbered(name, 'type') ?? src.fail(`unknown ICMP type '${name}'; there are ${types}`, at);
  const codeAt = src.pos;
  const word = src.take(/(?!(?:mtu|id|seq)\b)[a-z_]+\d*\b/y);
  const codes = ICMP_CODES.get(type) ?? [];
  const known = word === null ? 0 : codes.indexOf(word);
  const code = known >= 0 ? known : numbered(word ?? '', 'code');
  if (code === null) {
    return src.fail(`unknown code '${word}' of ${name}; there are ${[...codes.filter(Boolean), 'code_N'].join(', ')}`, codeAt);
  }
  const mtu = src.takes('mtu') ? src.integer('mtu', 0, 65535) : null;
  const id = src.takes('id') ? src.integer('id', 0, 65535) : null;
  const seq = src.takes('seq') ? src.integer('seq', 0, 65535) : null;
  const len = src.looks('(') ? parseLength(src) : 0;
  return { proto: 'icmp', type, code, mtu, id, seq, len, quoted: src.looks('[') ? parseQuoted(src) : null };
}

/** `type_13`, `code_2`: what has no name, or not the one looked for; one byte. */
function numbered(word: string, what: 'type' | 'code'): number | null {
  const [, n] = new RegExp(`^${what}_(\\d{1,3})$`).exec(word) ?? [];
  return n === undefined || Number(n) > 255 ? null : Number(n);
}

function parseQuoted(src: Source): IcmpSpec['quoted'] {
  src.expect('[');
  const quoted = src.takes('udp')
    ? ({ proto: 'udp', len: parseLength(src) } as const)
    : ({ proto: 'tcp', ...parseSeq(src) } as const);
  src.expect(']');
  return quoted;
}
