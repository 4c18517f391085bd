/** ARP for IPv4 over Ethernet (RFC 826): 28 bytes behind the Ethernet header. */
import { ETHER_ADDR_LEN, ETHERTYPE_IPV4 } from './ethernet.ts';
import { get16, get32, get8, put16, put32 } from './bytes.ts';

export const ARP_LEN = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

const HTYPE = 0;
const PTYPE = 2;
const HLEN = 4;
const PLEN = 5;
const OPER = 6;
/** Offsets of the sender's and the target's hardware and protocol address. */
export const ARP_SHA = 8;
export const ARP_SPA = 14;
export const ARP_THA = 18;
export const ARP_TPA = 24;

const HTYPE_ETHERNET = 1;

/** True for IPv4 over Ethernet with the lengths that belong to it. The packet has `ARP_LEN` bytes. */
export function arpIsInet(b: Uint8Array, o: number): boolean {
  return (
    get16(b, o + HTYPE) === HTYPE_ETHERNET &&
    get16(b, o + PTYPE) === ETHERTYPE_IPV4 &&
    get8(b, o + HLEN) === ETHER_ADDR_LEN &&
    get8(b, o + PLEN) === 4
  );
}

export function arpOper(b: Uint8Array, o: number): number {
  return get16(b, o + OPER);
}

/** Sender's and target's IPv4 address as 32-bit integers. */
export function arpSpa(b: Uint8Array, o: number): number {
  return get32(b, o + ARP_SPA);
}

export function arpTpa(b: Uint8Array, o: number): number {
  return get32(b, o + ARP_TPA);
}

/** Writes a packet of `ARP_LEN` bytes; addresses as in the header, IPv4 as 32-bit integers. */
export function putArp(
  b: Uint8Array,
  o: number,
  oper: number,
  sha: Readonly<Uint8Array>,
  spa: number,
  tha: Readonly<Uint8Array>,
  tpa: number,
): void {
  put16(b, o + HTYPE, HTYPE_ETHERNET);
  put16(b, o + PTYPE, ETHERTYPE_IPV4);
  b[o + HLEN] = ETHER_ADDR_LEN;
  b[o + PLEN] = 4;
  put16(b, o + OPER, oper);
  for (let i = 0; i < ETHER_ADDR_LEN; i++) {
    b[o + ARP_SHA + i] = sha[i] as number;
    b[o + ARP_THA + i] = tha[i] as number;
  }
  put32(b, o + ARP_SPA, spa);
  put32(b, o + ARP_TPA, tpa);
}
