/** The accept filter `dnsready` (accf_dns(9)): waits for a whole DNS message, two bytes of length in front (RFC 1035 §4.2.2). */
import type { AcceptFilter } from './accf.ts';

export const accfDns: AcceptFilter = {
  name: 'dnsready',
  ready: ({ rcv }) => rcv.cc >= 2 && rcv.cc >= 2 + ((rcv.byteAt(0) << 8) | rcv.byteAt(1)),
};
