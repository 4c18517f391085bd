/** What the tests of groups share: joining by socket option, and reading IGMP off the wire. */
import type { Errno } from '../../../src/kern/errno.ts';
import { sosetopt } from '../../../src/kern/socket/calls.ts';
import type { Socket } from '../../../src/kern/socket/socket.ts';
import { parseAddr } from '../../../src/wire/addrtext.ts';
import { putIgmpSum } from '../../../src/wire/igmp.ts';
import { concat, ether, ip, ipOf, text, udpFrame, word, bytesOf } from './frames.ts';

export const ADD = 12;
export const DROP = 13;
export const ADD_SOURCE = 70;
export const DROP_SOURCE = 71;
export const BLOCK = 72;
export const UNBLOCK = 73;

export const G1 = '239.1.2.3';
export const G2 = '239.1.2.4';
export const S1 = '10.0.0.1';
export const S2 = '10.0.0.8';
export const S3 = '10.0.0.9';

export const setopt = (so: Socket, name: number, value: unknown): Errno | null =>
  sosetopt(so, { dir: 'set', level: 0, name, value }) as Errno | null;

/** One of the options about a membership; `via` is an address of the interface. */
export function group(so: Socket, name: number, multiaddr: string, source?: string, via?: string): Errno | null {
  return setopt(so, name, {
    multiaddr: parseAddr(multiaddr),
    ...(source === undefined ? {} : { sourceaddr: parseAddr(source) }),
    ...(via === undefined ? {} : { interface: parseAddr(via) }),
  });
}

/** The Ethernet address of a group, as the RFC has it. */
export const macOf = (addr: string): Uint8Array => {
  const w = word(addr);
  return Uint8Array.of(1, 0, 0x5e, (w >> 16) & 0x7f, (w >> 8) & 255, w & 255);
};

/** A UDP frame from `src` to port 7 of a group. */
export const toGroup = (data: string, dst = G1, src = S1): Uint8Array =>
  concat(macOf(dst), udpFrame(bytesOf(data), { dst, src }).subarray(6));

export interface QueryFields {
  version?: 1 | 2 | 3;
  group?: string;
  sources?: readonly string[];
  /** Max Resp Code. */
  code?: number;
  qrv?: number;
  ttl?: number;
  src?: string;
  patch?: (message: Uint8Array) => void;
}

/** A query as a router sends it: to all hosts, or to the group. */
export function query(fields: QueryFields = {}): Uint8Array {
  const { version = 3, group: about = '0.0.0.0', sources = [], code = 100, qrv = 2, ttl = 1, src = '10.0.0.254', patch } = fields;
  const b = Buffer.alloc(version === 3 ? 12 + sources.length * 4 : 8);
  b[0] = 0x11;
  b[1] = version === 1 ? 0 : code;
  b.writeInt32BE(word(about), 4);
  if (version === 3) {
    b[8] = qrv;
    b.writeUInt16BE(sources.length, 10);
    sources.forEach((s, i) => b.writeInt32BE(word(s), 12 + i * 4));
  }
  putIgmpSum(b, 0, b.length);
  patch?.(b);
  return message(b, about === '0.0.0.0' ? '224.0.0.1' : about, src, ttl);
}

/** An IGMP message in its frame. */
export function message(b: Uint8Array, dst: string, src = '10.0.0.254', ttl = 1): Uint8Array {
  return ether(ip(b, { proto: 2, dst, src, ttl, options: [148, 4, 0, 0] }), { dst: macOf(dst) });
}

const RECORDS = ['', 'IS_IN', 'IS_EX', 'TO_IN', 'TO_EX', 'ALLOW', 'BLOCK'];
const TYPES: Readonly<Record<number, string>> = { 0x12: 'v1 report', 0x16: 'v2 report', 0x17: 'v2 leave' };

/** What the IGMP messages among the frames say, in words: `TO_EX 239.1.2.3 {10.0.0.8}`. */
export function igmpText(frames: readonly Uint8Array[]): string[] {
  return frames
    .map((frame) => ipOf(frame))
    .filter(({ proto }) => proto === 2)
    .flatMap(({ data }) => {
      const b = Buffer.from(data);
      const type = b[0]!;
      if (type !== 0x22) return [`${TYPES[type]} ${text(b.readUInt32BE(4))}`];
      const lines: string[] = [];
      for (let i = 0, at = 8; i < b.readUInt16BE(6); i++) {
        const n = b.readUInt16BE(at + 2);
        const sources = Array.from({ length: n }, (_, k) => text(b.readUInt32BE(at + 8 + k * 4))).sort();
        lines.push(`${RECORDS[b[at]!]} ${text(b.readUInt32BE(at + 4))} {${sources.join(' ')}}`);
        at += 8 + n * 4;
      }
      return lines;
    });
}
