/** The one check that a frame to send goes through, the same on every link. */
import type { Errno } from '../kern/errno.ts';
import { IFCAP_TSO4, IFCAP_TSO6, IFCAP_TXCSUM, IFCAP_TXCSUM_IPV6 } from '../kern/ifnet/link.ts';
import { TX_CSUM, TX_TSO4, TX_TSO6, type TxPacket } from '../kern/packet.ts';

/** Room that an 802.1Q tag takes beyond the MTU. */
const VLAN_TAG = 4;
/** Longest IP packet. */
const IP_MAX = 65535;

/**
 * EMSGSIZE for a frame that is longer than the link carries; EINVAL for one that is shorter than its link header, or that wants an
 * offload the link does not have. `capabilities` is what the link can do, whether it is enabled now or not.
 */
export function checkTx(pkt: TxPacket, linkHdr: number, mtu: number, capabilities: number): Errno | null {
  const len = pkt.length();
  const flags = pkt.flags;
  if (pkt.end - pkt.off < linkHdr || pkt.off < pkt.base) return 'EINVAL';
  if (flags === 0) return len <= mtu + linkHdr + VLAN_TAG ? null : 'EMSGSIZE';
  if ((capabilities & neededCaps(flags)) === 0) return 'EINVAL';
  if (pkt.csumStart < pkt.off || pkt.csumStart + pkt.csumOffset + 2 > pkt.end) return 'EINVAL';
  if ((flags & (TX_TSO4 | TX_TSO6)) === 0) return len <= mtu + linkHdr + VLAN_TAG ? null : 'EMSGSIZE';
  if (pkt.gsoSize <= 0 || pkt.gsoSize > mtu) return 'EINVAL';
  return len <= IP_MAX + linkHdr ? null : 'EMSGSIZE';
}

function neededCaps(flags: number): number {
  if ((flags & TX_TSO4) !== 0) return IFCAP_TSO4;
  if ((flags & TX_TSO6) !== 0) return IFCAP_TSO6;
  return (flags & TX_CSUM) !== 0 ? IFCAP_TXCSUM | IFCAP_TXCSUM_IPV6 : 0;
}
