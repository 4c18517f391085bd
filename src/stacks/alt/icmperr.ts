/**
 * ICMP errors to others (RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3.2): what may be answered, how much is quoted, how many leave in a second.
 */
import { PKT_BCAST, PKT_MCAST } from '../../kern/packet.ts';
import { get16, get32, get8, put16, put32 } from '../../wire/bytes.ts';
import { complement, sum16 } from '../../wire/checksum.ts';
import { ICMP_HDR_LEN, ICMP_SUM, ICMP_TIMXCEED, ICMP_TIMXCEED_REASS, icmpIsError } from '../../wire/icmp.ts';
import { IPPROTO_ICMP, IP_DST, IP_HDR_LEN, IP_OFF, IP_OFFMASK, IP_PROTO, IP_SRC, ipHdrLen } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import { ipDatagram } from './ipout.ts';

/** An error message is at most this long, IP header included (RFC 1812 §4.3.2.3). */
const ERROR_MAX = 576;

/** What an error says, for transports: the destination's port or protocol refuses, the way is blocked, the packet was too big. */
export const CTL_REFUSED = 1;
export const CTL_UNREACH = 2;
export const CTL_NEEDFRAG = 3;

/** Answers the packet at hand with an error, within the rules: none about an error, a group, a fragment but the first. */
export function icmpError(s: Alt, type: number, code: number, param: number): void {
  const { pkt: p } = s;
  if (p.group || (p.flags & (PKT_BCAST | PKT_MCAST)) !== 0) {
    s.ct.icmp.oldicmp++;
    return;
  }
  quote(s, p.bytes, p.ip, p.end, type, code, param);
}

/** The first fragment of a datagram whose others did not come (RFC 1122 §3.3.2). */
export function icmpReassExpired(s: Alt, bytes: Uint8Array, ip: number, end: number): void {
  quote(s, bytes, ip, end, ICMP_TIMXCEED, ICMP_TIMXCEED_REASS, 0);
}

function quote(s: Alt, b: Uint8Array, ip: number, end: number, type: number, code: number, param: number): void {
  const { ct, routes } = s;
  const src = get32(b, ip + IP_SRC);
  const dst = get32(b, ip + IP_DST);
  const th = ip + ipHdrLen(b, ip);
  const aboutError = get8(b, ip + IP_PROTO) === IPPROTO_ICMP && th < end && icmpIsError(get8(b, th));
  if (aboutError || (get16(b, ip + IP_OFF) & IP_OFFMASK) !== 0 || !routes.isSource(src) || !routes.isLocal(dst)) {
    ct.icmp.oldicmp++;
    return;
  }
  if (!s.errLimit.take(s.time.ms, s.cfg.icmpLimit)) {
    ct.icmp.limited++;
    return;
  }
  const { hdr, how } = s.icmpOut;
  const len = Math.min(end - ip, ERROR_MAX - IP_HDR_LEN - ICMP_HDR_LEN);
  hdr[0] = type;
  hdr[1] = code;
  put16(hdr, ICMP_SUM, 0);
  put32(hdr, 4, param);
  put16(hdr, ICMP_SUM, complement(sum16(b, ip, len, sum16(hdr, 0, ICMP_HDR_LEN, 0))));
  how.src = dst;
  how.dst = src;
  how.ttl = s.cfg.ttl;
  ct.icmp.error++;
  ipDatagram(s, how, hdr, ICMP_HDR_LEN, b, ip, len);
}
