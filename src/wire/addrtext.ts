/** Addresses as text: dotted decimal, and RFC 4291 §2.2 for IPv6, written as RFC 5952 asks. */
import { type IpAddr, IpAddrBuf, ipv4, isV4 } from './addr.ts';

/** The address a text names, or null. Four decimal numbers without leading zeros, or IPv6 with `%zone` as a number. */
export function parseAddr(text: string): IpAddr | null {
  return text.includes(':') ? parseV6(text) : parseV4(text);
}

function parseV4(text: string): IpAddr | null {
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) return null;
  let v = 0;
  for (const part of text.split('.')) {
    const octet = Number(part);
    if (octet > 255) return null;
    v = (v << 8) | octet;
  }
  return ipv4(v);
}

function parseV6(text: string): IpAddr | null {
  const [body = '', zone, ...rest] = text.split('%');
  if (rest.length > 0 || (zone !== undefined && !/^\d{1,9}$/.test(zone))) return null;
  const halves = body.split('::');
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number): number => ((groups[i] ?? 0) << 16) | (groups[i + 1] ?? 0);
  const a = new IpAddrBuf();
  a.w0 = word(0);
  a.w1 = word(2);
  a.w2 = word(4);
  a.w3 = word(6);
  a.zone = Number(zone ?? 0);
  // An IPv4 address has no zone: with one it would be equal to no other.
  return a.zone !== 0 && isV4(a) ? null : a;
}

/** The 16-bit groups of one side of `::`; at the end of the address (`last`) the last may be dotted decimal. */
function groupsOf(text: string, last: boolean): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === null) return null;
      groups.push(v4.w3 >>> 16, v4.w3 & 0xffff);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(parseInt(part, 16));
    else return null;
  }
  return groups;
}

export function addrToString(a: IpAddr): string {
  if (isV4(a)) return `${a.w3 >>> 24}.${(a.w3 >>> 16) & 255}.${(a.w3 >>> 8) & 255}.${a.w3 & 255}`;
  const groups = [a.w0, a.w1, a.w2, a.w3].flatMap((w) => [w >>> 16, w & 0xffff]);
  const [start, length] = longestZeroRun(groups);
  const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(':');
  const body = length < 2 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
  return a.zone === 0 ? body : `${body}%${a.zone}`;
}

/** RFC 5952 §4.2.3: the first of the longest runs of zero groups. */
function longestZeroRun(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let i = 0, run = 0; i < groups.length; i++) {
    run = groups[i] === 0 ? run + 1 : 0;
    if (run > best[1]) best = [i - run + 1, run];
  }
  return best;
}

/** `10.0.0.2/24`: the address and the length of its prefix, or null. */
export function parsePrefix(text: string): { addr: IpAddr; len: number } | null {
  const [addrText = '', lenText, ...rest] = text.split('/');
  const addr = parseAddr(addrText);
  if (addr === null || rest.length > 0 || lenText === undefined || !/^\d{1,3}$/.test(lenText)) return null;
  const len = Number(lenText);
  return len <= (isV4(addr) ? 32 : 128) ? { addr, len } : null;
}
