/**
 * What the network layer does for a link without offload: completes the transport checksum of a frame to send, over its slices
 * (RFC 1071 §2 (B): a slice at an odd place adds with its bytes swapped).
 */
import { TX_CSUM, type TxPacket } from '../../kern/packet.ts';
import { put16 } from '../../wire/bytes.ts';
import { complement, fold, sum16 } from '../../wire/checksum.ts';

/** Completes the checksum whose field holds the sum of the pseudo-header, and takes `TX_CSUM` off. */
export function completeChecksum(pkt: TxPacket): void {
  const first = pkt.end - pkt.csumStart;
  let sum = sum16(pkt.bytes, pkt.csumStart, first, 0);
  let odd = (first & 1) === 1;
  for (let i = 0; i < pkt.nfrags; i++) {
    const len = pkt.fragLen[i] as number;
    const part = sum16(pkt.fragBytes[i] as Uint8Array, pkt.fragOff[i] as number, len, 0);
    sum = fold(sum + (odd ? ((part & 0xff) << 8) | (part >>> 8) : part));
    if ((len & 1) === 1) odd = !odd;
  }
  const field = complement(sum);
  // RFC 768: a UDP checksum of zero says that there is none. For TCP both zeros are the same number.
  put16(pkt.bytes, pkt.csumStart + pkt.csumOffset, field === 0 ? 0xffff : field);
  pkt.flags &= ~TX_CSUM;
}
