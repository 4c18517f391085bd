/** TCP segments in frames for the tests of large receive, and what cuts a merged frame into them again. Nothing is shared with src/. */
import { long, plainSum, word } from '../driver/frames.ts';

export interface SegSpec {
  seq: number;
  payload: Uint8Array;
  sport?: number;
  dport?: number;
  src?: readonly number[];
  dst?: readonly number[];
  ack?: number;
  flags?: number;
  /** The four reserved bits beside the data offset; the last is AE. */
  reserved?: number;
  window?: number;
  /** Bytes of TCP options, a multiple of 4. */
  options?: readonly number[];
  /** Data offset in words, where it is not what the options need. */
  dataOffset?: number;
  tos?: number;
  ttl?: number;
  id?: number;
  /** Flags and offset of the fragment. */
  fragment?: number;
  protocol?: number;
  ipOptions?: readonly number[];
  smac?: readonly number[];
  dmac?: readonly number[];
  /** Bytes behind the packet. */
  padding?: number;
  badIpSum?: boolean;
  badTcpSum?: boolean;
}

export const TH_FIN = 1;
export const TH_SYN = 2;
export const TH_RST = 4;
export const TH_PUSH = 8;
export const TH_ACK = 16;
export const TH_URG = 32;
export const TH_ECE = 64;
export const TH_CWR = 128;

/** Two NOPs and a timestamp, as Linux sends them. */
export const timestamp = (value: number): number[] => [1, 1, 8, 10, ...long(value), ...long(7777)];

export function segment(spec: SegSpec): Uint8Array {
  const { payload, options = timestamp(5000), ipOptions = [], src = [10, 0, 0, 1], dst = [10, 0, 0, 2], flags = TH_ACK } = spec;
  const { smac = [2, 0, 0, 0, 0, 2], dmac = [2, 0, 0, 0, 0, 1], protocol = 6, fragment = 0x4000 } = spec;
  const { dataOffset = 5 + options.length / 4, reserved = 0, window = 500 } = spec;
  const tcp = Uint8Array.from([
    ...word(spec.sport ?? 4000),
    ...word(spec.dport ?? 9),
    ...long(spec.seq),
    ...long(spec.ack ?? 99),
    (dataOffset << 4) | reserved,
    flags,
    ...word(window),
    ...[0, 0, 0, 0],
    ...options,
    ...payload,
  ]);
  const sum = ~plainSum(tcp, plainSum(Uint8Array.from([...src, ...dst, 0, protocol, ...word(tcp.length)]))) & 0xffff;
  tcp.set(word(spec.badTcpSum === true ? sum ^ 0x0100 : sum), 16);
  const hdr = 20 + ipOptions.length;
  const ip = Uint8Array.from([
    0x40 | (hdr / 4),
    spec.tos ?? 0,
    ...word(hdr + tcp.length),
    ...word(spec.id ?? 0),
    ...word(fragment),
    spec.ttl ?? 64,
    protocol,
    ...[0, 0],
    ...src,
    ...dst,
    ...ipOptions,
  ]);
  const ipSum = ~plainSum(ip) & 0xffff;
  ip.set(word(spec.badIpSum === true ? ipSum ^ 0x0100 : ipSum), 10);
  return Uint8Array.from([...dmac, ...smac, 8, 0, ...ip, ...tcp, ...new Uint8Array(spec.padding ?? 0)]);
}

/** Protocol, addresses and ports, for what is ordered among itself. */
export function flowOf(frame: Uint8Array): string {
  return [frame[23], ...frame.subarray(26, 38)].join('.');
}

export interface Received {
  bytes: Uint8Array;
  /** The stack need not look at its checksum. */
  verified: boolean;
  gsoSize: number;
}

/** What is wrong with a merged frame's own headers, or null: lengths and IP checksum are right, the TCP checksum is the pseudo-header's. */
export function faultOfMerged({ bytes, verified, gsoSize }: Received): string | null {
  const hdr = 34 + (bytes[46]! >>> 4) * 4;
  const tcpLen = bytes.length - 34;
  if (!verified) return 'not marked';
  if (bytes.length - hdr <= gsoSize) return `one segment of ${gsoSize}`;
  if (bytes.length > 14 + 65535) return 'too long';
  if (bytes[16]! * 256 + bytes[17]! !== bytes.length - 14) return 'IP length';
  if (plainSum(bytes.subarray(14, 34)) !== 0xffff) return 'IP header checksum';
  const sum = plainSum(Uint8Array.from([...bytes.subarray(26, 34), 0, 6, ...word(tcpLen)]));
  return bytes[50]! * 256 + bytes[51]! === sum ? null : 'TCP checksum';
}

/** The segments that a received frame was made of, byte by byte: itself, or what a merged one is cut into. */
export function split(received: Received): Uint8Array[] {
  const { bytes, gsoSize } = received;
  if (gsoSize === 0) return [bytes];
  const hdr = 34 + (bytes[46]! >>> 4) * 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const out: Uint8Array[] = [];
  for (let at = hdr; at < bytes.length; at += gsoSize) {
    const last = at + gsoSize >= bytes.length;
    const spec: SegSpec = {
      seq: view.getUint32(38) + at - hdr,
      payload: bytes.subarray(at, at + gsoSize),
      sport: view.getUint16(34),
      dport: view.getUint16(36),
      src: [...bytes.subarray(26, 30)],
      dst: [...bytes.subarray(30, 34)],
      ack: view.getUint32(42),
      flags: bytes[47]! & (last ? 255 : ~TH_PUSH),
      window: view.getUint16(48),
      options: [...bytes.subarray(54, hdr)],
      tos: bytes[15]!,
      ttl: bytes[22]!,
      id: view.getUint16(18),
      fragment: view.getUint16(20),
      smac: [...bytes.subarray(6, 12)],
      dmac: [...bytes.subarray(0, 6)],
    };
    out.push(segment(spec));
  }
  return out;
}
