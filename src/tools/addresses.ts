/** Addresses on the command line and in output. */
import ipaddr from 'ipaddr.js';
import { UsageError } from './tool.ts';

export interface Prefix {
  readonly addr: string;
  readonly prefixLen: number;
  /** The length was written, not taken from the family. */
  readonly stated: boolean;
}

const isV6 = (addr: string): boolean => addr.includes(':');
export const fullLength = (addr: string): number => (isV6(addr) ? 128 : 32);

/** A plain address. */
export function addressArg(text: string, what = 'an address'): string {
  if (isV6(text) ? !ipaddr.IPv6.isValid(text) : !ipaddr.IPv4.isValidFourPartDecimal(text)) {
    throw new UsageError(`${what} is like 10.0.0.1, not '${text}'`);
  }
  return text;
}

/** `A`, `A/LEN` or `default`. */
export function prefixArg(text: string): Prefix {
  if (text === 'default') return { addr: '0.0.0.0', prefixLen: 0, stated: true };
  const slash = text.indexOf('/');
  const addr = addressArg(slash < 0 ? text : text.slice(0, slash), 'a destination');
  if (slash < 0) return { addr, prefixLen: fullLength(addr), stated: false };
  const len = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(len) || Number(len) > fullLength(addr)) {
    throw new UsageError(`the prefix length of '${text}' is from 0 to ${fullLength(addr)}`);
  }
  return { addr, prefixLen: Number(len), stated: true };
}

/** `255.255.255.0` or `0xffffff00` as a prefix length. */
export function netmaskArg(text: string): number {
  const hex = /^0x[0-9a-f]{8}$/i.test(text) ? Number(text) : null;
  const dotted = hex === null ? text : [24, 16, 8, 0].map((shift) => (hex >>> shift) & 255).join('.');
  const len = ipaddr.IPv4.isValidFourPartDecimal(dotted) ? ipaddr.IPv4.parse(dotted).prefixLengthFromSubnetMask() : null;
  if (len === null) throw new UsageError(`a netmask is like 255.255.255.0 or 0xffffff00, not '${text}'`);
  return len;
}

/** As ifconfig(8) prints it: 0xffffff00. */
export function netmaskText(prefixLen: number): string {
  const mask = prefixLen === 0 ? 0 : (0xffffffff << (32 - prefixLen)) >>> 0;
  return `0x${mask.toString(16).padStart(8, '0')}`;
}

/** A hardware address, six pairs of hex digits. */
export function lladdrArg(text: string): string {
  if (!/^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(text))
    throw new UsageError(`a hardware address is like 02:00:00:00:00:01, not '${text}'`);
  return text
    .toLowerCase()
    .split(':')
    .map((part) => part.padStart(2, '0'))
    .join(':');
}

/** As netstat(1) prints an end of a connection: 10.0.0.2.80, *.* */
export function dotted(addr: string | null, port: number): string {
  const host = addr === null || addr === '0.0.0.0' || addr === '::' ? '*' : addr;
  return `${host}.${port === 0 ? '*' : port}`;
}

/** As ss(8) and sockstat(1) do: 10.0.0.2:80, *:80, [::1]:80 */
export function withColon(addr: string | null, port: number, any = '*'): string {
  const host = addr === null ? '*' : addr === '0.0.0.0' || addr === '::' ? any : isV6(addr) ? `[${addr}]` : addr;
  return `${host}:${port === 0 ? '*' : port}`;
}
