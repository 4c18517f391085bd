/** Values of options as text. Each parser answers the value, or throws a `BadValue` whose message says what is accepted. */
import { type IpAddr, IpAddrBuf, addrEqual, inPrefix, ipv4, isAny, isMulticast, isV4 } from '../wire/addr.ts';
import { addrToString, parseAddr, parsePrefix } from '../wire/addrtext.ts';
import { parseLogSpec } from '../kern/logspec.ts';
import { type ServiceSpec, parseServices } from '../services/registry.ts';

export class BadValue extends Error {}

/** An address with the length of its network's prefix. */
export interface Prefix {
  readonly addr: IpAddr;
  readonly len: number;
}

export function formatPrefix({ addr, len }: Prefix): string {
  return `${addrToString(addr)}/${len}`;
}

export function text(value: string): string {
  if (value === '') throw new BadValue('must not be empty');
  return value;
}

/** A decimal integer from `min` to `max`. */
export function integer(min: number, max: number): (value: string) => number {
  return (value) => {
    const n = /^\d{1,10}$/.test(value) ? Number(value) : NaN;
    if (!(n >= min && n <= max)) throw new BadValue(`must be a number from ${min} to ${max}`);
    return n;
  };
}

const YES: ReadonlySet<string> = new Set(['on', 'yes', 'true', '1']);
const NO: ReadonlySet<string> = new Set(['off', 'no', 'false', '0']);

export function onOff(value: string): boolean {
  const word = value.toLowerCase();
  if (YES.has(word)) return true;
  if (NO.has(word)) return false;
  throw new BadValue('must be on or off');
}

/** `A/LEN` of a host: not a network's own address, its broadcast, or a group's. */
export function hostPrefix(value: string): Prefix {
  const prefix = parsePrefix(value);
  if (prefix === null) throw new BadValue('must be ADDRESS/LENGTH, such as 10.0.0.2/24');
  const { addr, len } = prefix;
  if (isAny(addr) || isMulticast(addr)) throw new BadValue('must be the address of one host');
  if (isV4(addr) && len > 0 && len < 31) {
    if (addr.w3 === networkOf(prefix)) throw new BadValue('is the address of the network itself; give one of its hosts');
    if (addr.w3 === broadcastOf(prefix)) throw new BadValue('is the broadcast address of its network; give one of its hosts');
  }
  if (len === 0) throw new BadValue('must have a prefix of at least one bit');
  return prefix;
}

function networkOf({ addr, len }: Prefix): number {
  return addr.w3 & (-1 << (32 - len));
}
function broadcastOf(prefix: Prefix): number {
  return networkOf(prefix) | ~(-1 << (32 - prefix.len));
}

/** The first other host of an address's network, for the host's side of the link; null where there is none. */
export function firstPeer(prefix: Prefix): Prefix | null {
  const { addr, len } = prefix;
  if (!isV4(addr)) return firstPeer6(prefix);
  if (len > 31) return null;
  const first = ipv4(len === 31 ? addr.w3 & ~1 : networkOf(prefix) + 1);
  const peer = addrEqual(first, addr) ? ipv4(first.w3 + 1) : first;
  return len < 31 && peer.w3 === broadcastOf(prefix) ? null : { addr: peer, len };
}

/** IPv6: behind the subnet-router anycast address (RFC 4291 §2.6.1), which a /127 does without (RFC 6164). */
function firstPeer6({ addr, len }: Prefix): Prefix | null {
  if (len > 127) return null;
  const peer = new IpAddrBuf().set(addr);
  if (len < 32) peer.w0 &= ~(-1 >>> len);
  if (len < 64) peer.w1 &= len <= 32 ? 0 : -1 << (64 - len);
  if (len < 96) peer.w2 &= len <= 64 ? 0 : -1 << (96 - len);
  peer.w3 &= len <= 96 ? 0 : -1 << (128 - len);
  if (len < 127) peer.w3++;
  if (addrEqual(peer, addr)) peer.w3++;
  return { addr: peer, len };
}

export function sameNetwork(addr: IpAddr, prefix: Prefix): boolean {
  return isV4(addr) === isV4(prefix.addr) && inPrefix(addr, prefix.addr, prefix.len);
}

export function hostAddress(value: string): IpAddr {
  const addr = parseAddr(value);
  if (addr === null || isAny(addr) || isMulticast(addr)) throw new BadValue('must be the numeric address of one host');
  return addr;
}

/** A hardware address of one station: `02:00:00:00:00:01`. */
export function mac(value: string): Uint8Array {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(value))
    throw new BadValue('must be a hardware address, such as 02:00:00:00:00:01');
  const bytes = Uint8Array.from(value.split(':'), (byte) => parseInt(byte, 16));
  if (((bytes[0] ?? 0) & 1) !== 0 || bytes.every((byte) => byte === 0))
    throw new BadValue('must be the hardware address of one station');
  return bytes;
}

export function services(value: string): ServiceSpec[] {
  if (value === 'none') return [];
  const specs = parseServices(value);
  if ('error' in specs) throw new BadValue(`is wrong: ${specs.error}`);
  return specs;
}

export function logSpec(value: string): string {
  const spec = parseLogSpec(value);
  if ('error' in spec) throw new BadValue(`is wrong: ${spec.error}`);
  return value;
}

/** `NAME=VALUE`. */
export function tunable(value: string): [name: string, value: string] {
  const at = value.indexOf('=');
  const name = at < 0 ? '' : value.slice(0, at).trim();
  if (!/^[\w%-]+(\.[\w%-]+)+$/.test(name)) throw new BadValue('must be NAME=VALUE, such as kern.ipc.maxsockbuf=4m');
  return [name, value.slice(at + 1).trim()];
}
