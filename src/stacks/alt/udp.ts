/** UDP input (RFC 768, RFC 1122 §4.1): checks, finds the socket by port and addresses, and hands it the bytes where they lie. */
import { PKT_CSUM_OK } from '../../kern/packet.ts';
import type { Errno } from '../../kern/errno.ts';
import type { ControlMsg } from '../../kern/socket/protosw.ts';
import { sorcvdgram, soseterror } from '../../kern/socket/upcalls.ts';
import { get16, get8 } from '../../wire/bytes.ts';
import { sum16 } from '../../wire/checksum.ts';
import { ICMP_UNREACH, ICMP_UNREACH_PORT } from '../../wire/icmp.ts';
import { IPPROTO_UDP, IP_TOS } from '../../wire/ipv4.ts';
import { UDP_DPORT, UDP_HDR_LEN, UDP_LEN, UDP_SPORT, UDP_SUM } from '../../wire/udp.ts';
import type { Alt } from './alt.ts';
import { saveControl } from './control.ts';
import { D_HOW, D_NEXT } from './dgram.ts';
import { CTL_NEEDFRAG, CTL_REFUSED, icmpError } from './icmperr.ts';
import { MINTTL_SHIFT } from './ipopt.ts';
import type { NetIf } from './netif.ts';
import { pseudo4 } from './offload.ts';
import { at } from './slab.ts';
import { U_LPORT } from './udpslab.ts';

export function udpInput(s: Alt, nif: NetIf): void {
  const { pkt: p, udp, ct } = s;
  const b = p.bytes;
  const o = p.off;
  ct.udp.ipackets++;
  if (p.end - o < UDP_HDR_LEN) {
    ct.udp.hdrops++;
    return;
  }
  const len = get16(b, o + UDP_LEN);
  if (len < UDP_HDR_LEN || len > p.end - o) {
    ct.udp.badlen++;
    return;
  }
  if (get16(b, o + UDP_SUM) === 0) ct.udp.nosum++;
  else if ((p.flags & PKT_CSUM_OK) === 0 && sum16(b, o, len, pseudo4(p.src, p.dst, IPPROTO_UDP, len)) !== 0xffff) {
    ct.udp.badsum++;
    return;
  }
  const sport = get16(b, o + UDP_SPORT);
  const dport = get16(b, o + UDP_DPORT);
  if (p.group) {
    deliverAll(s, nif, b, o + UDP_HDR_LEN, len - UDP_HDR_LEN, sport, dport);
    return;
  }
  let best = -1;
  let bestFit = -1;
  for (let n = at(udp.boundTo, dport); n !== 0; n = at(udp.w, udp.row(n - 1) + D_NEXT)) {
    const fit = udp.fit(n - 1, p.dst, p.src, sport);
    if (fit > bestFit) {
      best = n - 1;
      bestFit = fit;
    }
  }
  if (best < 0) {
    ct.udp.noport++;
    icmpError(s, ICMP_UNREACH, ICMP_UNREACH_PORT, 0);
    return;
  }
  deliver(s, nif, best, p.src, sport, b, o + UDP_HDR_LEN, len - UDP_HDR_LEN);
}

function deliver(s: Alt, nif: NetIf, i: number, src: number, sport: number, b: Uint8Array, off: number, len: number): void {
  const { udp, pkt: p } = s;
  const so = udp.socketOf[i] ?? null;
  if (so === null) return;
  let control: readonly ControlMsg[] | null = null;
  // Few sockets ask for more than a TTL and a type of service of their own.
  const opts = at(udp.w, udp.row(i) + D_HOW) >>> MINTTL_SHIFT;
  if (opts !== 0) {
    if (p.ttl < (opts & 0xff)) {
      s.ct.udp.minttl++;
      return;
    }
    control = saveControl(opts << MINTTL_SHIFT, p.dst, p.ttl, get8(p.bytes, p.ip + IP_TOS), nif);
  }
  s.from.addr.setV4(src);
  s.from.port = sport;
  if (!sorcvdgram(so, s.from, b, off, len, control)) s.ct.udp.fullsock++;
}

/** RFC 1122 §4.1.3.3: a datagram to a group goes to every socket that it fits. A socket's user may close it or others meanwhile. */
function deliverAll(s: Alt, nif: NetIf, b: Uint8Array, off: number, len: number, sport: number, dport: number): void {
  const { udp } = s;
  const { src, dst } = s.pkt;
  const { hits } = udp;
  let n = 0;
  for (let p = at(udp.boundTo, dport); p !== 0; p = at(udp.w, udp.row(p - 1) + D_NEXT)) {
    // A socket bound to one of our addresses does not hear a group.
    if (udp.fit(p - 1, dst, src, sport) >= 0) hits[n++] = p - 1;
  }
  if (n === 0) s.ct.udp.noportbcast++;
  for (let k = 0; k < n; k++) {
    const i = at(hits, k);
    if (at(udp.w, udp.row(i) + U_LPORT) === dport) deliver(s, nif, i, src, sport, b, off, len);
  }
}

/** An ICMP error about a datagram of ours; told to a connected socket only (RFC 1122 §4.1.3.3). */
export function udpCtlInput(s: Alt, kind: number, src: number, dst: number, ports: number): boolean {
  const { udp } = s;
  const lport = ports >>> 16;
  const fport = ports & 0xffff;
  for (let n = at(udp.boundTo, lport); n !== 0; n = at(udp.w, udp.row(n - 1) + D_NEXT)) {
    if (udp.fit(n - 1, src, dst, fport) < 2) continue;
    const so = udp.socketOf[n - 1] ?? null;
    const err: Errno = kind === CTL_REFUSED ? 'ECONNREFUSED' : kind === CTL_NEEDFRAG ? 'EMSGSIZE' : 'EHOSTUNREACH';
    // Datagrams are not sent with DF, so that "too big" is a router's mistake about ours.
    if (so !== null && kind !== CTL_NEEDFRAG) soseterror(so, err);
    return true;
  }
  return false;
}
