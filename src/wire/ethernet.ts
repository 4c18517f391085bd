/** Ethernet II frames (RFC 894): destination, source, type. Addresses are 6 bytes in transmission order. */
import { get16, put16 } from './bytes.ts';

export const ETHER_DST = 0;
export const ETHER_SRC = 6;
export const ETHER_TYPE = 12;
export const ETHER_HDR_LEN = 14;
export const ETHER_ADDR_LEN = 6;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;

export const ETHER_BROADCAST: Readonly<Uint8Array> = Uint8Array.of(255, 255, 255, 255, 255, 255);

export function etherType(b: Uint8Array, o: number): number {
  return get16(b, o + ETHER_TYPE);
}

/** Writes a header of `ETHER_HDR_LEN` bytes. `dst` has the destination at `d`. Byte by byte, because each frame passes here. */
export function putEther(
  b: Uint8Array,
  o: number,
  dst: Readonly<Uint8Array>,
  src: Readonly<Uint8Array>,
  type: number,
  d = 0,
): void {
  b[o] = dst[d] as number;
  b[o + 1] = dst[d + 1] as number;
  b[o + 2] = dst[d + 2] as number;
  b[o + 3] = dst[d + 3] as number;
  b[o + 4] = dst[d + 4] as number;
  b[o + 5] = dst[d + 5] as number;
  b[o + 6] = src[0] as number;
  b[o + 7] = src[1] as number;
  b[o + 8] = src[2] as number;
  b[o + 9] = src[3] as number;
  b[o + 10] = src[4] as number;
  b[o + 11] = src[5] as number;
  put16(b, o + ETHER_TYPE, type);
}

/** True if the six bytes at `o` are `mac`. */
export function macEqual(b: Uint8Array, o: number, mac: Readonly<Uint8Array>): boolean {
  // The last byte first: it differs most often.
  return (
    b[o + 5] === mac[5] &&
    b[o + 4] === mac[4] &&
    b[o + 3] === mac[3] &&
    b[o + 2] === mac[2] &&
    b[o + 1] === mac[1] &&
    b[o] === mac[0]
  );
}

/** A group address: broadcast or multicast. */
export function macIsGroup(b: Readonly<Uint8Array>, o: number): boolean {
  return ((b[o] as number) & 1) === 1;
}

export function macIsBroadcast(b: Uint8Array, o: number): boolean {
  return macEqual(b, o, ETHER_BROADCAST);
}

/** `02:00:5e:10:00:01`. */
export function macToString(mac: Readonly<Uint8Array>): string {
  return Array.from(mac.subarray(0, ETHER_ADDR_LEN), (v) => v.toString(16).padStart(2, '0')).join(':');
}

/** The address of six hexadecimal groups with colons, or null. */
export function parseMac(text: string): Uint8Array | null {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return null;
  return Uint8Array.from(text.split(':'), (group) => parseInt(group, 16));
}
