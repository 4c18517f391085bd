/** Frames for the drivers' tests, built field by field and checked by the plainest arithmetic: nothing is shared with src/. */

export const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 1);
export const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 2);
export const MAC_ALL = Uint8Array.of(255, 255, 255, 255, 255, 255);

/** RFC 1071, word by word. */
export function plainSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum % 65536) + Math.floor(sum / 65536);
  return sum;
}

export function word(n: number): number[] {
  return [(n >>> 8) & 255, n & 255];
}

export function long(n: number): number[] {
  return [...word(n >>> 16), ...word(n & 0xffff)];
}

export interface TcpSpec {
  version: 4 | 6;
  payload: Uint8Array;
  seq?: number;
  flags?: number;
  id?: number;
  /** Bytes of TCP options, a multiple of 4. */
  options?: number[];
  /** What the checksum field holds: the finished checksum, or the pseudo-header's sum. */
  checksum?: 'full' | 'pseudo';
  protocol?: number;
}

const SRC4 = [10, 0, 0, 2];
const DST4 = [10, 0, 0, 1];
const SRC6 = [0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 2];
const DST6 = [0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 1];

function pseudo(version: 4 | 6, protocol: number, len: number): number {
  const addresses = version === 4 ? [...SRC4, ...DST4] : [...SRC6, ...DST6];
  return plainSum(Uint8Array.from([...addresses, ...long(len), ...long(protocol)]));
}

/** An Ethernet frame with a TCP segment. */
export function tcpFrame(spec: TcpSpec): Uint8Array {
  const { version, payload, seq = 1000, flags = 0x18, id = 7, options = [], checksum = 'full' } = spec;
  const hdrLen = 20 + options.length;
  const tcp = [
    ...word(80),
    ...word(4000),
    ...long(seq),
    ...long(99),
    (hdrLen / 4) << 4,
    flags,
    ...word(500),
    0,
    0,
    0,
    0,
    ...options,
  ];
  const len = tcp.length + payload.length;
  const segment = Uint8Array.from([...tcp, ...payload]);
  const ps = pseudo(version, 6, len);
  // Both zeros are the same number; a card writes this one, because UDP needs it.
  const sum = checksum === 'pseudo' ? ps : ~plainSum(segment, ps) & 0xffff || 0xffff;
  segment.set(word(sum), 16);
  const ip = version === 4 ? ipv4(6, len, id) : ipv6(6, len);
  return Uint8Array.from([...MAC_B, ...MAC_A, ...(version === 4 ? [8, 0] : [0x86, 0xdd]), ...ip, ...segment]);
}

/** An Ethernet frame with a UDP datagram. */
export function udpFrame(payload: Uint8Array, version: 4 | 6 = 4): Uint8Array {
  const len = 8 + payload.length;
  const udp = Uint8Array.from([...word(7), ...word(5000), ...word(len), 0, 0, ...payload]);
  udp.set(word(~plainSum(udp, pseudo(version, 17, len)) & 0xffff || 0xffff), 6);
  const ip = version === 4 ? ipv4(17, len, 7) : ipv6(17, len);
  return Uint8Array.from([...MAC_B, ...MAC_A, ...(version === 4 ? [8, 0] : [0x86, 0xdd]), ...ip, ...udp]);
}

function ipv4(protocol: number, len: number, id: number): number[] {
  const hdr = [0x45, 0, ...word(20 + len), ...word(id), 0x40, 0, 64, protocol, 0, 0, ...SRC4, ...DST4];
  const sum = word(~plainSum(Uint8Array.from(hdr)) & 0xffff);
  hdr[10] = sum[0]!;
  hdr[11] = sum[1]!;
  return hdr;
}

function ipv6(protocol: number, len: number): number[] {
  return [0x60, 0, 0, 0, ...word(len), protocol, 64, ...SRC6, ...DST6];
}

/** What a receiver checks of a TCP or UDP frame: null, or what is wrong. */
export function faultOf(frame: Uint8Array): string | null {
  const version = frame[14]! >>> 4;
  const l4 = version === 4 ? 34 : 54;
  const protocol = version === 4 ? frame[23]! : frame[20]!;
  const len = version === 4 ? frame[16]! * 256 + frame[17]! - 20 : frame[18]! * 256 + frame[19]!;
  if (l4 + len !== frame.length) return `IP length ${len}, but ${frame.length - l4} bytes`;
  if (version === 4 && plainSum(frame.subarray(14, 34)) !== 0xffff) return 'IP header checksum';
  if (plainSum(frame.subarray(l4), pseudo(version === 4 ? 4 : 6, protocol, len)) !== 0xffff) return 'transport checksum';
  return null;
}

export interface TcpView {
  id: number;
  seq: number;
  flags: number;
  payload: Uint8Array;
}

export function viewTcp(frame: Uint8Array): TcpView {
  const version = frame[14]! >>> 4;
  const l4 = version === 4 ? 34 : 54;
  const view = new DataView(frame.buffer, frame.byteOffset);
  return {
    id: version === 4 ? view.getUint16(18) : -1,
    seq: view.getInt32(l4 + 4),
    flags: frame[l4 + 13]!,
    payload: frame.subarray(l4 + (frame[l4 + 12]! >>> 4) * 4),
  };
}

/** `n` bytes that differ. */
export function pattern(n: number): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => (i * 31 + (i >>> 8)) & 255);
}
