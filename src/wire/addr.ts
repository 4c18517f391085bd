/**
 * Internet addresses of both families in one type: four 32-bit words in host integers (`| 0`), an IPv4 address a.b.c.d as the
 * IPv4-mapped ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). Code that compares or hashes addresses needs no branch on the family.
 */

/** An address that its reader must not change. */
export interface IpAddr {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  /** Zone index of a link-local IPv6 address (RFC 4007); 0 otherwise. */
  readonly zone: number;
}

/** An address that is filled in place: for parsers, so that a packet costs no allocation. */
export class IpAddrBuf implements IpAddr {
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  zone = 0;

  /** Takes the value of `a`. */
  set(a: IpAddr): this {
    this.w0 = a.w0;
    this.w1 = a.w1;
    this.w2 = a.w2;
    this.w3 = a.w3;
    this.zone = a.zone;
    return this;
  }

  /** Becomes the IPv4 address whose 32 bits are `v`. */
  setV4(v: number): this {
    this.w0 = this.w1 = this.zone = 0;
    this.w2 = V4_MAPPED;
    this.w3 = v | 0;
    return this;
  }
}

const V4_MAPPED = 0xffff;

/** The IPv4 address whose 32 bits, most significant byte first, are `v`. */
export function ipv4(v: number): IpAddr {
  return new IpAddrBuf().setV4(v);
}

/** A copy that outlives the buffer it was parsed from. */
export function copyAddr(a: IpAddr): IpAddr {
  return new IpAddrBuf().set(a);
}

/** Is this, which came from anywhere, an IPv4 address: words of 32 bits as `IpAddr` has them, and no zone? */
export function isHostV4(value: unknown): value is IpAddr {
  if (typeof value !== 'object' || value === null) return false;
  const { w0, w1, w2, w3, zone } = value as Partial<IpAddr>;
  const words = [w0, w1, w2, w3, zone].every((word) => typeof word === 'number' && (word | 0) === word);
  return words && zone === 0 && isV4(value as IpAddr);
}

/** 0.0.0.0 and ::, "any". */
export const ANY4: IpAddr = Object.freeze(ipv4(0));
export const ANY6: IpAddr = Object.freeze(new IpAddrBuf());

export function isV4(a: IpAddr): boolean {
  return a.w2 === V4_MAPPED && a.w0 === 0 && a.w1 === 0;
}

/** True for 0.0.0.0 and for ::. */
export function isAny(a: IpAddr): boolean {
  return a.w3 === 0 && a.w0 === 0 && a.w1 === 0 && (a.w2 === 0 || a.w2 === V4_MAPPED);
}

export function addrEqual(a: IpAddr, b: IpAddr): boolean {
  return a.w3 === b.w3 && a.w2 === b.w2 && a.w1 === b.w1 && a.w0 === b.w0 && a.zone === b.zone;
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(a: IpAddr): boolean {
  return isV4(a) ? a.w3 >>> 24 === 127 : a.w3 === 1 && (a.w0 | a.w1 | a.w2) === 0;
}

/** 224.0.0.0/4 and ff00::/8. */
export function isMulticast(a: IpAddr): boolean {
  return isV4(a) ? a.w3 >>> 28 === 0xe : a.w0 >>> 24 === 0xff;
}

/** True if the first `len` bits agree; `len` counts in the address's own family (0 to 32, or 0 to 128). */
export function inPrefix(a: IpAddr, prefix: IpAddr, len: number): boolean {
  const bits = isV4(prefix) ? len + 96 : len;
  return (
    masked(a.w0 ^ prefix.w0, bits) === 0 &&
    masked(a.w1 ^ prefix.w1, bits - 32) === 0 &&
    masked(a.w2 ^ prefix.w2, bits - 64) === 0 &&
    masked(a.w3 ^ prefix.w3, bits - 96) === 0
  );
}

/** The first `bits` bits of a word: none below 1, all from 32. */
function masked(word: number, bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? word : word & (-1 << (32 - bits));
}

/** A transport address. `kind` tells it from the local domain's. */
export interface InetSockAddr {
  readonly kind: 'inet';
  readonly addr: IpAddr;
  /** 0 to 65535. */
  readonly port: number;
}

/** A transport address that is filled in place; `addr` is a buffer of its own. */
export class InetSockAddrBuf implements InetSockAddr {
  readonly kind = 'inet';
  readonly addr = new IpAddrBuf();
  port = 0;
}

export function sockAddr(addr: IpAddr, port: number): InetSockAddr {
  return { kind: 'inet', addr, port };
}
