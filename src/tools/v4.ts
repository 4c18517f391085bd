/** IPv4 addresses as 32-bit integers and as text. */
import ipaddr from 'ipaddr.js';

export function ipv4Text(addr: number): string {
  return [24, 16, 8, 0].map((shift) => (addr >>> shift) & 255).join('.');
}

/** Four decimal parts; null for anything else. */
export function parseIpv4(text: string): number | null {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return null;
  return ipaddr.IPv4.parse(text).octets.reduce((addr, octet) => (addr << 8) | octet, 0);
}
