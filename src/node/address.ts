/** Socket addresses between the kernel's form and the texts and records of Node's API. */
import { ANY4, ANY6, type InetSockAddr, isV4, sockAddr } from '../wire/addr.ts';
import { addrToString, parseAddr } from '../wire/addrtext.ts';
import { type Result, isErrno } from '../kern/errno.ts';
import { AF_INET, AF_INET6, AF_LOCAL, type SockAddr } from '../kern/socket/protosw.ts';

/** What `address()` answers. */
export interface AddressInfo {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

/** 4, 6, or 0 for a text that is no address. */
export function isIP(text: string): 0 | 4 | 6 {
  const addr = parseAddr(text);
  if (addr === null) return 0;
  return text.includes(':') ? 6 : 4;
}

export function isIPv4(text: string): boolean {
  return isIP(text) === 4;
}

export function isIPv6(text: string): boolean {
  return isIP(text) === 6;
}

/** A numeric address with its port, or null for a text that is no address. */
export function parseSockAddr(host: string, port: number): InetSockAddr | null {
  const addr = parseAddr(host);
  return addr === null ? null : sockAddr(addr, port);
}

export function anyAddr(family: 4 | 6, port: number): InetSockAddr {
  return sockAddr(family === 4 ? ANY4 : ANY6, port);
}

/** The protocol family that carries an address. */
export function familyOf(addr: SockAddr): number {
  if (addr.kind === 'local') return AF_LOCAL;
  return isV4(addr.addr) ? AF_INET : AF_INET6;
}

export function addressInfo(addr: InetSockAddr): AddressInfo {
  return { address: addrToString(addr.addr), family: isV4(addr.addr) ? 'IPv4' : 'IPv6', port: addr.port };
}

/** The record of an inet address; null for a local one or an error. */
export function infoOf(addr: Result<SockAddr>): AddressInfo | null {
  return isErrno(addr) || addr.kind === 'local' ? null : addressInfo(addr);
}

/** How an error names an address. */
export function placeOf(addr: SockAddr): { address: string; port?: number } {
  return addr.kind === 'local' ? { address: addr.path } : { address: addrToString(addr.addr), port: addr.port };
}
