/**
 * TCP segments for packet tests, as Ethernet frames with IPv4: built from words and taken apart again. Written from the RFCs alone, so
 * that a mistake in `src/wire` does not hide itself.
 */

export interface SegmentOptions {
  mss?: number;
  wscale?: number;
  sackPermitted?: boolean;
  ts?: readonly [val: number, ecr: number];
  /** Left and right edges. */
  sack?: readonly (readonly [number, number])[];
  /** TCP Fast Open's cookie; empty: a request for one. */
  fastopen?: readonly number[];
  /** AccECN's option (RFC 9768): 0 or 1, and its fields as they stand. */
  accecn?: readonly [order: number, ...fields: number[]];
  /** User timeout (RFC 5482): the two bytes. */
  uto?: number;
  /** Bytes as they are, instead of all of the above. */
  raw?: readonly number[];
}

export interface TcpSegment {
  src: number;
  dst: number;
  sport: number;
  dport: number;
  seq: number;
  ack: number;
  /** Letters of `FSRPAUECN`, in this order. */
  flags: string;
  win: number;
  urp: number;
  data: Uint8Array;
  opts: SegmentOptions;
  ttl: number;
  tos: number;
  df: boolean;
}

export type TcpSegmentSpec = Partial<TcpSegment>;

/** N is AE (RFC 9768), the ninth flag, which was once NS. */
const LETTERS = 'FSRPAUECN';
const ETHER = 14;
const IP = 20;

export function flagBits(flags: string): number {
  let bits = 0;
  for (const letter of flags) {
    const i = LETTERS.indexOf(letter);
    if (i < 0) throw new Error(`no such flag: ${letter}`);
    bits |= 1 << i;
  }
  return bits;
}

export function flagLetters(bits: number): string {
  return [...LETTERS].filter((_, i) => (bits & (1 << i)) !== 0).join('');
}

function optionBytes(o: SegmentOptions): number[] {
  if (o.raw !== undefined) return [...o.raw];
  const out: number[] = [];
  const word = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];
  if (o.mss !== undefined) out.push(2, 4, o.mss >> 8, o.mss & 255);
  if (o.sackPermitted === true) out.push(1, 1, 4, 2);
  if (o.ts !== undefined) out.push(1, 1, 8, 10, ...word(o.ts[0]), ...word(o.ts[1]));
  if (o.wscale !== undefined) out.push(1, 3, 3, o.wscale);
  if (o.sack !== undefined && o.sack.length > 0) {
    out.push(1, 1, 5, 2 + 8 * o.sack.length);
    for (const [left, right] of o.sack) out.push(...word(left), ...word(right));
  }
  if (o.fastopen !== undefined) out.push(34, 2 + o.fastopen.length, ...o.fastopen);
  if (o.accecn !== undefined) {
    const [order, ...fields] = o.accecn;
    out.push(order === 0 ? 172 : 174, 2 + 3 * fields.length, ...fields.flatMap((v) => word(v).slice(1)));
  }
  if (o.uto !== undefined) out.push(28, 4, o.uto >> 8, o.uto & 255);
  while (out.length % 4 !== 0) out.push(0);
  return out;
}

/** RFC 1071, word by word. */
function checksum(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += ((part[i] ?? 0) << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function pseudo(src: number, dst: number, len: number): Uint8Array {
  const b = new Uint8Array(12);
  const v = new DataView(b.buffer);
  v.setUint32(0, src >>> 0);
  v.setUint32(4, dst >>> 0);
  v.setUint16(8, 6);
  v.setUint16(10, len);
  return b;
}

export interface FrameSpec {
  readonly etherDst?: Uint8Array;
  readonly etherSrc?: Uint8Array;
  /** Leaves the TCP checksum wrong. */
  readonly badSum?: boolean;
  /** Data offset in words, instead of the right one. */
  readonly doff?: number;
  /** Cuts the TCP part to so many bytes. */
  readonly cut?: number;
}

/** The frame of a segment. */
export function buildSegment(spec: TcpSegmentSpec, frame: FrameSpec = {}): Uint8Array {
  const { src = 0, dst = 0, sport = 0, dport = 0, seq = 0, ack = 0, flags = 'A', win = 65535, urp = 0, ttl = 64, tos = 0 } = spec;
  const { data = new Uint8Array(0), opts = {}, df = true } = spec;
  const options = optionBytes(opts);
  const tcpLen = frame.cut ?? 20 + options.length + data.length;
  const tcp = new Uint8Array(20 + options.length + data.length);
  const t = new DataView(tcp.buffer);
  t.setUint16(0, sport);
  t.setUint16(2, dport);
  t.setUint32(4, seq >>> 0);
  t.setUint32(8, ack >>> 0);
  t.setUint16(12, ((frame.doff ?? 5 + options.length / 4) << 12) | flagBits(flags));
  t.setUint16(14, win);
  t.setUint16(18, urp);
  tcp.set(options, 20);
  tcp.set(data, 20 + options.length);
  const body = tcp.subarray(0, tcpLen);
  t.setUint16(16, checksum([pseudo(src, dst, tcpLen), body]) ^ (frame.badSum === true ? 0x5555 : 0));

  const out = new Uint8Array(ETHER + IP + tcpLen);
  const v = new DataView(out.buffer);
  if (frame.etherDst !== undefined) out.set(frame.etherDst, 0);
  if (frame.etherSrc !== undefined) out.set(frame.etherSrc, 6);
  v.setUint16(12, 0x0800);
  v.setUint8(14, 0x45);
  v.setUint8(15, tos);
  v.setUint16(16, IP + tcpLen);
  v.setUint16(20, df ? 0x4000 : 0);
  v.setUint8(22, ttl);
  v.setUint8(23, 6);
  v.setUint32(26, src >>> 0);
  v.setUint32(30, dst >>> 0);
  v.setUint16(24, checksum([out.subarray(ETHER, ETHER + IP)]));
  out.set(body, ETHER + IP);
  return out;
}

/** The segment in an Ethernet frame; null if it is not TCP over IPv4. `partialSum`: the link was to finish the checksum. */
export function parseSegment(frame: Uint8Array, partialSum = false): TcpSegment | null {
  const v = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < ETHER + IP + 20 || v.getUint16(12) !== 0x0800 || v.getUint8(23) !== 6) return null;
  const ihl = (v.getUint8(14) & 15) * 4;
  if (checksum([frame.subarray(ETHER, ETHER + ihl)]) !== 0) throw new Error('wrong IP header checksum');
  const end = ETHER + v.getUint16(16);
  if (end > frame.length) throw new Error('IP length is beyond the frame');
  const o = ETHER + ihl;
  const src = v.getUint32(26);
  const dst = v.getUint32(30);
  if (!partialSum && checksum([pseudo(src, dst, end - o), frame.subarray(o, end)]) !== 0) throw new Error('wrong TCP checksum');
  const hdr = (v.getUint8(o + 12) >> 4) * 4;
  return {
    src,
    dst,
    sport: v.getUint16(o),
    dport: v.getUint16(o + 2),
    seq: v.getUint32(o + 4),
    ack: v.getUint32(o + 8),
    flags: flagLetters(v.getUint16(o + 12) & 0x1ff),
    win: v.getUint16(o + 14),
    urp: v.getUint16(o + 18),
    data: frame.slice(o + hdr, end),
    opts: parseOptions(frame.subarray(o + 20, o + hdr)),
    ttl: v.getUint8(22),
    tos: v.getUint8(15),
    df: (v.getUint16(20) & 0x4000) !== 0,
  };
}

function parseOptions(b: Uint8Array): SegmentOptions {
  const out: SegmentOptions = {};
  const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
  for (let i = 0; i < b.length;) {
    const kind = b[i] ?? 0;
    if (kind === 0) break;
    if (kind === 1) {
      i++;
      continue;
    }
    const len = b[i + 1] ?? 0;
    if (len < 2 || i + len > b.length) throw new Error(`option ${kind} of length ${len}`);
    if (kind === 2) out.mss = v.getUint16(i + 2);
    if (kind === 3) out.wscale = v.getUint8(i + 2);
    if (kind === 4) out.sackPermitted = true;
    if (kind === 8) out.ts = [v.getUint32(i + 2), v.getUint32(i + 6)];
    if (kind === 28) out.uto = v.getUint16(i + 2);
    if (kind === 172 || kind === 174) {
      const fields: number[] = [];
      for (let k = i + 2; k + 3 <= i + len; k += 3) fields.push(v.getUint32(k - 1) & 0xffffff);
      out.accecn = [kind === 172 ? 0 : 1, ...fields];
    }
    if (kind === 34) out.fastopen = [...b.subarray(i + 2, i + len)];
    if (kind === 5) {
      const blocks: [number, number][] = [];
      for (let k = i + 2; k < i + len; k += 8) blocks.push([v.getUint32(k), v.getUint32(k + 4)]);
      out.sack = blocks;
    }
    i += len;
  }
  return out;
}

/** An Ethernet frame with an IPv4 packet of another protocol. */
export function buildIp(src: number, dst: number, protocol: number, payload: Uint8Array, frame: FrameSpec = {}): Uint8Array {
  const out = new Uint8Array(ETHER + IP + payload.length);
  const v = new DataView(out.buffer);
  if (frame.etherDst !== undefined) out.set(frame.etherDst, 0);
  if (frame.etherSrc !== undefined) out.set(frame.etherSrc, 6);
  v.setUint16(12, 0x0800);
  v.setUint8(14, 0x45);
  v.setUint16(16, IP + payload.length);
  v.setUint8(22, 64);
  v.setUint8(23, protocol);
  v.setUint32(26, src >>> 0);
  v.setUint32(30, dst >>> 0);
  v.setUint16(24, checksum([out.subarray(ETHER, ETHER + IP)]));
  out.set(payload, ETHER + IP);
  return out;
}

/** An ICMP "destination unreachable" that quotes `quoted` (an IP packet's first bytes). */
export function buildUnreachable(code: number, mtu: number, quoted: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + quoted.length);
  const v = new DataView(out.buffer);
  v.setUint8(0, 3);
  v.setUint8(1, code);
  v.setUint16(6, mtu);
  out.set(quoted, 8);
  v.setUint16(2, checksum([out]));
  return out;
}

/** The answer to an ARP request, or null if the frame is none. */
export function answerArp(frame: Uint8Array, mac: Uint8Array): Uint8Array | null {
  const v = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 42 || v.getUint16(12) !== 0x0806 || v.getUint16(20) !== 1) return null;
  // Not for those who ask for themselves (RFC 5227).
  if (v.getUint32(28) === v.getUint32(38)) return null;
  const out = new Uint8Array(42);
  out.set(frame.subarray(6, 12), 0);
  out.set(mac, 6);
  out.set(frame.subarray(12, 20), 12);
  out[21] = 2;
  out.set(mac, 22);
  out.set(frame.subarray(38, 42), 28);
  out.set(frame.subarray(22, 32), 32);
  return out;
}
