/**
 * What a network card does for a stack that offloads, in software: completes transport checksums and cuts super-frames into
 * segments. TCP over IPv4 and IPv6 (RFC 9293, RFC 791, RFC 8200), checksums of UDP too (RFC 768).
 */
import { get16, get32, get8, put16, put32 } from '../wire/bytes.ts';
import { complement, fold, sum16 } from '../wire/checksum.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHER_HDR_LEN, etherType } from '../wire/ethernet.ts';
import {
  IPPROTO_TCP,
  IPPROTO_UDP,
  IP_HDR_LEN,
  IP_ID,
  IP_LEN,
  IP_MF,
  IP_OFF,
  IP_OFFMASK,
  IP_PROTO,
  IP_SRC,
  IP_SUM,
  ipHdrLen,
  ipVersion,
} from '../wire/ipv4.ts';
import { TCP_FLAGS, TCP_HDR_LEN, TCP_OFF, TCP_SEQ, TCP_SUM, TH_CWR, TH_FIN, TH_PUSH } from '../wire/tcp.ts';
import { UDP_HDR_LEN, UDP_SUM } from '../wire/udp.ts';

const IP6_HDR_LEN = 40;
const IP6_PLEN = 4;
const IP6_NXT = 6;
const IP6_SRC = 8;
/** Extension headers that are passed over: hop-by-hop and destination options. A routing header changes the pseudo-header: not here. */
const IP6_EXT: readonly number[] = [0, 60];

/** Where the headers of a frame lie: filled by `locate`. */
export interface Layout {
  /** Offset of the IP header, its version, the transport's number and the offset of its header. */
  l3: number;
  version: number;
  protocol: number;
  l4: number;
  /** One past the IP packet: a padded frame is longer. */
  end: number;
}

/** Makes room for the results of `locate`; one object per user, filled for each frame. */
export function newLayout(): Layout {
  return { l3: 0, version: 0, protocol: 0, l4: 0, end: 0 };
}

/** Length of a link header in bytes. */
export function linkHdrLen(type: 'ethernet' | 'loopback' | 'tunnel'): number {
  return type === 'ethernet' ? ETHER_HDR_LEN : 0;
}

/** Finds the transport header of an unfragmented IP packet with a whole TCP or UDP header; false for any other frame. */
export function locate(b: Uint8Array, off: number, end: number, linkHdr: number, out: Layout): boolean {
  const l3 = off + linkHdr;
  if (end - l3 < IP_HDR_LEN) return false;
  out.l3 = l3;
  out.version = ipVersion(b, l3);
  if (linkHdr !== 0 && etherType(b, off) !== (out.version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6)) return false;
  const found = out.version === 4 ? locateV4(b, end, out) : out.version === 6 && locateV6(b, end, out);
  if (!found) return false;
  if (out.protocol === IPPROTO_UDP) return out.end - out.l4 >= UDP_HDR_LEN;
  if (out.protocol !== IPPROTO_TCP || out.end - out.l4 < TCP_HDR_LEN) return false;
  const hdr = tcpHdrLen(b, out.l4);
  return hdr >= TCP_HDR_LEN && hdr <= out.end - out.l4;
}

function locateV4(b: Uint8Array, end: number, out: Layout): boolean {
  const hdr = ipHdrLen(b, out.l3);
  out.end = out.l3 + get16(b, out.l3 + IP_LEN);
  out.l4 = out.l3 + hdr;
  out.protocol = get8(b, out.l3 + IP_PROTO);
  return hdr >= IP_HDR_LEN && out.end <= end && out.l4 <= out.end && (get16(b, out.l3 + IP_OFF) & (IP_MF | IP_OFFMASK)) === 0;
}

function locateV6(b: Uint8Array, end: number, out: Layout): boolean {
  out.l4 = out.l3 + IP6_HDR_LEN;
  out.end = out.l4 + get16(b, out.l3 + IP6_PLEN);
  if (out.l4 > end || out.end > end) return false;
  out.protocol = get8(b, out.l3 + IP6_NXT);
  while (IP6_EXT.includes(out.protocol)) {
    if (out.end - out.l4 < 8) return false;
    out.protocol = get8(b, out.l4);
    out.l4 += (get8(b, out.l4 + 1) + 1) << 3;
  }
  return out.l4 <= out.end;
}

function tcpHdrLen(b: Uint8Array, l4: number): number {
  return (get8(b, l4 + TCP_OFF) >>> 4) << 2;
}

/** Completes a checksum whose field holds the sum of the pseudo-header, as `TX_CSUM` says: offsets into `b`, up to `end`. */
export function completeChecksum(b: Uint8Array, csumStart: number, csumOffset: number, end: number): void {
  const sum = complement(sum16(b, csumStart, end - csumStart, 0));
  // RFC 768: zero would say that there is no checksum. For TCP both zeros are the same number.
  put16(b, csumStart + csumOffset, sum === 0 ? 0xffff : sum);
}

/** Computes the TCP or UDP checksum anew, whatever the field holds. False for a frame that has none, which stays as it is. */
export function recomputeChecksum(b: Uint8Array, off: number, end: number, linkHdr: number, layout: Layout): boolean {
  if (!locate(b, off, end, linkHdr, layout)) return false;
  const field = layout.protocol === IPPROTO_TCP ? TCP_SUM : UDP_SUM;
  if (layout.protocol === IPPROTO_UDP && layout.version === 4 && get16(b, layout.l4 + field) === 0) return false;
  put16(b, layout.l4 + field, pseudoHeaderSum(b, layout, layout.end - layout.l4));
  completeChecksum(b, layout.l4, field, layout.end);
  return true;
}

/** Sum of the pseudo-header, from the addresses in the packet; `len` is the transport's length. */
function pseudoHeaderSum(b: Uint8Array, { l3, version, protocol }: Layout, len: number): number {
  const addresses = version === 4 ? sum16(b, l3 + IP_SRC, 8, 0) : sum16(b, l3 + IP6_SRC, 32, 0);
  return fold(addresses + protocol + len);
}

/** Cuts super-frames. One per link: it has a buffer for the segment that it hands over. */
export class Segmenter {
  readonly #bytes: Uint8Array;
  readonly #layout = newLayout();
  readonly #linkHdr: number;
  readonly #emit: (bytes: Uint8Array, off: number, end: number) => void;

  /** `emit` gets each segment; the bytes are valid during the call. Segments are at most `maxFrame` bytes long. */
  constructor(linkHdr: number, maxFrame: number, emit: (bytes: Uint8Array, off: number, end: number) => void) {
    this.#linkHdr = linkHdr;
    this.#bytes = new Uint8Array(maxFrame + 2);
    this.#emit = emit;
  }

  /**
   * Cuts the frame b[off, end) into segments of `gsoSize` bytes of payload with complete checksums. Returns their number; 0 for a
   * frame that is no TCP segment, or whose segments would be longer than `maxFrame`.
   */
  segment(b: Uint8Array, off: number, end: number, gsoSize: number): number {
    const at = this.#layout;
    if (gsoSize <= 0 || !locate(b, off, end, this.#linkHdr, at) || at.protocol !== IPPROTO_TCP) return 0;
    const payload = at.l4 + tcpHdrLen(b, at.l4);
    const hdrLen = payload - off;
    const out = this.#bytes;
    if (hdrLen + Math.min(gsoSize, at.end - payload) + 2 > out.length) return 0;
    const o = 2;
    const l3 = o + at.l3 - off;
    const l4 = o + at.l4 - off;
    const last = at.end;
    const flags = get8(b, at.l4 + TCP_FLAGS);
    const seq = get32(b, at.l4 + TCP_SEQ);
    const id = get16(b, at.l3 + IP_ID);
    let n = 0;
    let pos = payload;
    do {
      const stop = Math.min(pos + gsoSize, last);
      const segEnd = o + hdrLen + stop - pos;
      out.set(b.subarray(off, payload), o);
      out.set(b.subarray(pos, stop), o + hdrLen);
      putIpLength(out, l3, at.version, segEnd, id + n);
      put32(out, l4 + TCP_SEQ, (seq + (pos - payload)) | 0);
      // FIN and PSH belong to the end of the data, CWR to its beginning (RFC 3168 §6.1.2).
      const drop = (stop < last ? TH_FIN | TH_PUSH : 0) | (n > 0 ? TH_CWR : 0);
      out[l4 + TCP_FLAGS] = flags & ~drop;
      at.l3 = l3;
      put16(out, l4 + TCP_SUM, pseudoHeaderSum(out, at, segEnd - l4));
      completeChecksum(out, l4, TCP_SUM, segEnd);
      this.#emit(out, o, segEnd);
      n++;
      pos = stop;
    } while (pos < last);
    return n;
  }
}

/** Length fields of the IP header at `l3` for a packet that ends at `end`; for IPv4 also its identification and checksum. */
function putIpLength(b: Uint8Array, l3: number, version: number, end: number, id: number): void {
  if (version === 6) {
    put16(b, l3 + IP6_PLEN, end - l3 - IP6_HDR_LEN);
    return;
  }
  put16(b, l3 + IP_LEN, end - l3);
  put16(b, l3 + IP_ID, id & 0xffff);
  put16(b, l3 + IP_SUM, 0);
  put16(b, l3 + IP_SUM, complement(sum16(b, l3, ipHdrLen(b, l3), 0)));
}
