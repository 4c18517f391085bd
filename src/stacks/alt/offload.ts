/** Transport checksums of packets to send: left to the link where it can, else summed here (RFC 1071). */
import { type TxPacket, TX_CSUM } from '../../kern/packet.ts';
import { get16, put16 } from '../../wire/bytes.ts';
import { complement, fold, sum16 } from '../../wire/checksum.ts';
import { at } from './slab.ts';

/** Sum of the pseudo-header of IPv4 (RFC 9293 §3.1). `len`: transport header and payload. */
export function pseudo4(src: number, dst: number, protocol: number, len: number): number {
  return fold((src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + len);
}

/** Finishes the checksum of the header at `th`, whose field at `th + field` is to hold it. `pseudo`: sum of the pseudo-header. */
export function putTxSum(pkt: TxPacket, offload: boolean, th: number, field: number, pseudo: number): void {
  const b = pkt.bytes;
  put16(b, th + field, pseudo);
  pkt.csumStart = th;
  pkt.csumOffset = field;
  if (offload) pkt.flags |= TX_CSUM;
  else completeTx(pkt);
}

/** Sums in software what was left to the link. */
export function completeTx(pkt: TxPacket): void {
  const b = pkt.bytes;
  const th = pkt.csumStart;
  let sum = sum16(b, th, pkt.end - th, 0);
  let odd = ((pkt.end - th) & 1) !== 0;
  for (let i = 0; i < pkt.nfrags; i++) {
    const len = at(pkt.fragLen, i);
    const part = sum16(pkt.fragBytes[i] as Uint8Array, at(pkt.fragOff, i), len, 0);
    // A slice that begins at an odd place has its bytes the other way round (RFC 1071 §2(B)).
    sum = fold(sum + (odd ? ((part & 0xff) << 8) | (part >>> 8) : part));
    if ((len & 1) !== 0) odd = !odd;
  }
  const field = complement(sum);
  put16(b, th + pkt.csumOffset, field);
  pkt.flags &= ~TX_CSUM;
}

/** RFC 768: a computed 0 is sent as all ones, because 0 says that there is none. */
export function udpZeroSum(pkt: TxPacket): void {
  const field = pkt.csumStart + pkt.csumOffset;
  if ((pkt.flags & TX_CSUM) === 0 && get16(pkt.bytes, field) === 0) put16(pkt.bytes, field, 0xffff);
}
