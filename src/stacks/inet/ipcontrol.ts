/**
 * Control data of datagrams (ip(4), with FreeBSD's numbers): what a socket is told of one that came, and what it says about one that it
 * sends. Values: IP_RECVDSTADDR, IP_SENDSRCADDR an address; IP_RECVTTL, IP_RECVTOS, IP_TTL, IP_TOS a number; IP_RECVIF `{ name, index }`.
 */
import type { Errno } from '../../kern/errno.ts';
import type { RxPacket } from '../../kern/packet.ts';
import type { ControlMsg } from '../../kern/socket/protosw.ts';
import { IpAddrBuf, copyAddr, isHostV4 } from '../../wire/addr.ts';
import { IPPROTO_IP } from '../../wire/ipv4.ts';
import type { IpIn, NetworkLayer } from './contract.ts';
import { IP_RECVDSTADDR, IP_RECVIF, IP_RECVTOS, IP_RECVTTL, IP_SENDSRCADDR, IP_TOS, IP_TTL, WANTS } from './ipsockopt.ts';

/** What a socket wants to know of a packet (ip_savecontrol); null: nothing. */
export function ipSaveControl(wants: number, pkt: RxPacket, ip: IpIn): readonly ControlMsg[] | null {
  if (wants === 0) return null;
  const out: ControlMsg[] = [];
  const { ifp } = pkt;
  const put = (type: number, value: unknown): void => {
    if ((wants & (WANTS.get(type) ?? 0)) !== 0) out.push({ level: IPPROTO_IP, type, value });
  };
  put(IP_RECVDSTADDR, copyAddr(ip.dst));
  put(IP_RECVIF, ifp === null ? null : { name: ifp.name(), index: ifp.index });
  put(IP_RECVTTL, ip.ttl);
  put(IP_RECVTOS, ip.tos);
  return out;
}

/** What one send says about its packet; -1: as the socket has it. */
export class SendControl {
  ttl = -1;
  tos = -1;
  /** The source, where it is stated. */
  hasSrc = false;
  readonly src = new IpAddrBuf();

  /** EINVAL for what there is not; EADDRNOTAVAIL for a source that is none of ours. */
  read(control: readonly ControlMsg[] | null, net: Pick<NetworkLayer, 'isLocal'>): Errno | null {
    this.ttl = -1;
    this.tos = -1;
    this.hasSrc = false;
    if (control === null) return null;
    for (const { level, type, value } of control) {
      if (level !== IPPROTO_IP) return 'EINVAL';
      if (type === IP_SENDSRCADDR) {
        if (!isHostV4(value)) return 'EINVAL';
        if (!net.isLocal(value)) return 'EADDRNOTAVAIL';
        this.src.set(value);
        this.hasSrc = true;
        continue;
      }
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 255) return 'EINVAL';
      if (type === IP_TTL && value > 0) this.ttl = value;
      else if (type === IP_TOS) this.tos = value;
      else return 'EINVAL';
    }
    return null;
  }
}
