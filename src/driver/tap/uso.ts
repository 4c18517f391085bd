/**
 * Cuts a super-frame of UDP (virtio 1.3 §5.1.6, VIRTIO_NET_HDR_GSO_UDP_L4) into the datagrams that its sender handed to its kernel: a stack
 * sees them exactly as sent, and need not know that they came together. Each is made in place, by a header in front of its payload, over
 * the end of the one before, which the stack has read by then.
 */
import type { RxPacket } from '../../kern/packet.ts';
import { get16, put16 } from '../../wire/bytes.ts';
import { adjust } from '../../wire/checksum.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHER_HDR_LEN, etherType } from '../../wire/ethernet.ts';
import { IPPROTO_UDP, IP_HDR_LEN, IP_HDR_MAX, IP_ID, IP_LEN, IP_PROTO, ipHdrLen, putIpSum } from '../../wire/ipv4.ts';
import { UDP_HDR_LEN, UDP_LEN, UDP_SUM } from '../../wire/udp.ts';

const IP6_HDR_LEN = 40;
const IP6_PLEN = 4;
const IP6_NXT = 6;
const HEADER_MAX = ETHER_HDR_LEN + IP_HDR_MAX + UDP_HDR_LEN;

/** One for each link: `begin` with a super-frame in `rx`, then `next` for each datagram. */
export class UsoCutter {
  readonly #header = new Uint8Array(HEADER_MAX);
  #hdrLen = 0;
  #v4 = false;
  /** Payload that is still to come, and of one datagram. */
  #at = 0;
  #end = 0;
  #size = 0;
  #nth = 0;

  /** False: not UDP in IP in Ethernet, or without a size to cut by. */
  begin(rx: RxPacket): boolean {
    const { bytes: b, off, end, gsoSize } = rx;
    this.#at = this.#end = end;
    const l3 = off + ETHER_HDR_LEN;
    if (gsoSize <= 0 || end - l3 < IP_HDR_LEN + UDP_HDR_LEN) return false;
    const type = etherType(b, off);
    let l4 = l3 + IP6_HDR_LEN;
    this.#v4 = type === ETHERTYPE_IPV4;
    if (this.#v4) {
      l4 = l3 + ipHdrLen(b, l3);
      if (l4 < l3 + IP_HDR_LEN || b[l3 + IP_PROTO] !== IPPROTO_UDP) return false;
    } else if (type !== ETHERTYPE_IPV6 || b[l3 + IP6_NXT] !== IPPROTO_UDP) return false;
    const data = l4 + UDP_HDR_LEN;
    if (data >= end) return false;
    const hdrLen = data - off;
    for (let i = 0; i < hdrLen; i++) this.#header[i] = b[off + i] as number;
    this.#hdrLen = hdrLen;
    this.#at = data;
    this.#size = gsoSize;
    this.#nth = 0;
    return true;
  }

  /** Makes the next datagram the frame in `rx`. False: that was all. */
  next(rx: RxPacket): boolean {
    const data = this.#at;
    if (data >= this.#end) return false;
    const b = rx.bytes;
    const header = this.#header;
    const hdrLen = this.#hdrLen;
    const end = data + this.#size < this.#end ? data + this.#size : this.#end;
    const off = data - hdrLen;
    for (let i = 0; i < hdrLen; i++) b[off + i] = header[i] as number;
    const l3 = off + ETHER_HDR_LEN;
    const udp = data - UDP_HDR_LEN;
    const udpLen = end - udp;
    if (this.#v4) {
      put16(b, l3 + IP_LEN, end - l3);
      put16(b, l3 + IP_ID, (get16(b, l3 + IP_ID) + this.#nth) & 0xffff);
      putIpSum(b, l3, udp - l3);
    } else {
      put16(b, l3 + IP6_PLEN, udpLen);
    }
    // The sum is the pseudo-header's alone, as in every frame that the host leaves open.
    put16(b, udp + UDP_SUM, adjust(get16(b, udp + UDP_SUM), udpLen, get16(b, udp + UDP_LEN)));
    put16(b, udp + UDP_LEN, udpLen);
    rx.off = off;
    rx.end = end;
    rx.gsoSize = 0;
    this.#at = end;
    this.#nth++;
    return true;
  }
}
