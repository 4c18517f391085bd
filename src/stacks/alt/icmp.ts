/**
 * ICMP input (RFC 792, RFC 1122 §3.2.2): answers echo requests and takes errors to the flow they speak of. Redirects and source quench
 * are ignored (RFC 6633).
 */
import { get16, get32, get8, put16, put32 } from '../../wire/bytes.ts';
import { adjust, sum16 } from '../../wire/checksum.ts';
import {
  ICMP_CODE,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_HDR_LEN,
  ICMP_REDIRECT,
  ICMP_SOURCEQUENCH,
  ICMP_SUM,
  ICMP_UNREACH,
  ICMP_UNREACH_NEEDFRAG,
  icmpIsError,
  icmpNextMtu,
} from '../../wire/icmp.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IP_DST, IP_HDR_LEN, IP_PROTO, IP_SRC, ipHdrLen } from '../../wire/ipv4.ts';
import type { Alt } from './alt.ts';
import { CTL_NEEDFRAG, CTL_REFUSED, CTL_UNREACH } from './icmperr.ts';
import { ipDatagram } from './ipout.ts';
import type { NetIf } from './netif.ts';
import { rawDeliver } from './raw.ts';
import { tcpCtlInput } from './tcp/ctlinput.ts';
import { udpCtlInput } from './udp.ts';

export function icmpInput(s: Alt, nif: NetIf): void {
  const { pkt: p, ct } = s;
  const b = p.bytes;
  const o = p.off;
  const len = p.end - o;
  if (len < ICMP_HDR_LEN) {
    ct.icmp.tooshort++;
    return;
  }
  if (sum16(b, o, len, 0) !== 0xffff) {
    ct.icmp.checksum++;
    return;
  }
  const type = get8(b, o);
  if (type === ICMP_ECHO) {
    echo(s, b, o, len);
    return;
  }
  const heeded = icmpIsError(type) && type !== ICMP_REDIRECT && type !== ICMP_SOURCEQUENCH;
  if (heeded) errorInput(s, b, o, type);
  if (!rawDeliver(s, nif) && !heeded) ct.icmp.ignored++;
}

/** RFC 1122 §3.2.2.6: the same data, from the address that was asked. */
function echo(s: Alt, b: Uint8Array, o: number, len: number): void {
  const { pkt: p, ct, cfg } = s;
  ct.icmp.echo++;
  if (p.group && !cfg.bmcastEcho) {
    ct.icmp.bmcastecho++;
    return;
  }
  const { hdr, how } = s.icmpOut;
  hdr[0] = ICMP_ECHOREPLY;
  hdr[1] = 0;
  put16(hdr, ICMP_SUM, adjust(get16(b, o + ICMP_SUM), (ICMP_ECHO << 8) | get8(b, o + ICMP_CODE), ICMP_ECHOREPLY << 8));
  put32(hdr, 4, get32(b, o + 4));
  how.src = p.group ? 0 : p.dst;
  how.dst = p.src;
  how.ttl = cfg.ttl;
  ct.icmp.reflect++;
  ipDatagram(s, how, hdr, ICMP_HDR_LEN, b, o + ICMP_HDR_LEN, len - ICMP_HDR_LEN);
}

/** RFC 5927: an error counts only if the packet it quotes is one of ours, which the transport decides. */
function errorInput(s: Alt, b: Uint8Array, o: number, type: number): void {
  const { pkt: p, ct } = s;
  ct.icmp.errin++;
  const ip = o + ICMP_HDR_LEN;
  const hdrLen = p.end - ip >= IP_HDR_LEN ? ipHdrLen(b, ip) : 0;
  const th = ip + hdrLen;
  if (hdrLen < IP_HDR_LEN || p.end - th < 8 || p.group) {
    ct.icmp.tooshort++;
    return;
  }
  const src = get32(b, ip + IP_SRC);
  const dst = get32(b, ip + IP_DST);
  const code = get8(b, o + ICMP_CODE);
  if (!s.routes.isLocal(src)) {
    ct.icmp.errunknown++;
    return;
  }
  let kind = CTL_UNREACH;
  let mtu = 0;
  if (type === ICMP_UNREACH && code === ICMP_UNREACH_NEEDFRAG) {
    kind = CTL_NEEDFRAG;
    mtu = icmpNextMtu(b, o);
  } else if (type === ICMP_UNREACH && (code === 2 || code === 3)) {
    kind = CTL_REFUSED;
  }
  const proto = get8(b, ip + IP_PROTO);
  let known = false;
  if (proto === IPPROTO_TCP) known = tcpCtlInput(s, kind, src, dst, get32(b, th), get32(b, th + 4), mtu);
  else if (proto === IPPROTO_UDP) known = udpCtlInput(s, kind, src, dst, get32(b, th));
  // A raw socket that sent it gets the message itself.
  else if (proto === IPPROTO_ICMP) known = s.raw.used > 0;
  if (!known) ct.icmp.errunknown++;
}
