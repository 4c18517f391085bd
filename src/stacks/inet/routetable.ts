/**
 * A routing table: prefixes to interfaces and gateways, the longest match wins (RFC 1812 §5.2.4.3). One hash table per length of
 * prefix; both families fit, because an IPv4 prefix is one of the mapped prefix ::ffff:0:0/96. What is looked up often is in the
 * route cache (routes.ts).
 */
import type { Errno } from '../../kern/errno.ts';
import { type IpAddr, IpAddrBuf, copyAddr, isV4 } from '../../wire/addr.ts';
import { AddrEntry, AddrTable } from './addrtable.ts';
import type { InetIf } from './netif.ts';

/** Entries of one table. */
export const MAX_ROUTES = 16384;

/** Flags of a route (net/route.h). */
export const RTF_UP = 0x1;
export const RTF_GATEWAY = 0x2;
export const RTF_HOST = 0x4;
export const RTF_REJECT = 0x8;
export const RTF_STATIC = 0x800;

export class RtEntry extends AddrEntry {
  /** Length of the prefix in bits of its own family. */
  readonly plen: number;
  readonly gateway: IpAddr | null;
  readonly nif: InetIf;
  /** `RTF_*` bits. */
  readonly flags: number;

  constructor(prefix: IpAddr, plen: number, gateway: IpAddr | null, nif: InetIf, flags: number) {
    super();
    maskInto(this.dst, prefix, bits128(prefix, plen));
    this.plen = plen;
    this.gateway = gateway === null ? null : copyAddr(gateway);
    this.nif = nif;
    this.flags = flags;
  }
}

/** Bits of a prefix as one of 128. */
function bits128(prefix: IpAddr, plen: number): number {
  return isV4(prefix) ? plen + 96 : plen;
}

function maskInto(out: IpAddrBuf, a: IpAddr, bits: number): void {
  out.w0 = maskWord(a.w0, bits);
  out.w1 = maskWord(a.w1, bits - 32);
  out.w2 = maskWord(a.w2, bits - 64);
  out.w3 = maskWord(a.w3, bits - 96);
  out.zone = a.zone;
}

function maskWord(word: number, bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? word : word & (-1 << (32 - bits));
}

export class RouteTable {
  size = 0;
  readonly #seed: number;
  /** Lengths in use, longest first, each with its prefixes. */
  #lengths: { readonly bits: number; readonly entries: AddrTable<RtEntry> }[] = [];
  readonly #masked = new IpAddrBuf();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** EEXIST for a prefix that is there already, ENOBUFS when the table is full. */
  add(entry: RtEntry): Errno | null {
    const bits = bits128(entry.dst, entry.plen);
    let length = this.#lengths.find((l) => l.bits === bits);
    if (length !== undefined && length.entries.get(entry.dst) !== null) return 'EEXIST';
    if (this.size >= MAX_ROUTES) return 'ENOBUFS';
    if (length === undefined) {
      length = { bits, entries: new AddrTable<RtEntry>(this.#seed) };
      this.#lengths.push(length);
      this.#lengths.sort((a, b) => b.bits - a.bits);
    }
    length.entries.insert(entry);
    this.size++;
    return null;
  }

  /** The entry of exactly this prefix. */
  find(prefix: IpAddr, plen: number): RtEntry | null {
    const bits = bits128(prefix, plen);
    maskInto(this.#masked, prefix, bits);
    return this.#lengths.find((l) => l.bits === bits)?.entries.get(this.#masked) ?? null;
  }

  remove(entry: RtEntry): void {
    const bits = bits128(entry.dst, entry.plen);
    const length = this.#lengths.find((l) => l.bits === bits);
    if (length?.entries.get(entry.dst) !== entry) return;
    length.entries.remove(entry);
    this.size--;
    if (length.entries.size === 0) this.#lengths = this.#lengths.filter((l) => l !== length);
  }

  /** The entry with the longest prefix that covers `addr`. */
  lookup(addr: IpAddr): RtEntry | null {
    const shortest = isV4(addr) ? 96 : 0;
    for (const { bits, entries } of this.#lengths) {
      if (bits < shortest) return null;
      maskInto(this.#masked, addr, bits);
      const entry = entries.get(this.#masked);
      if (entry !== null) return entry;
    }
    return null;
  }

  /** All entries, longest prefixes first. */
  list(): RtEntry[] {
    return this.#lengths.flatMap(({ entries }) => entries.list());
  }
}
