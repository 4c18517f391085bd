/** The addresses of one Ethernet of a simulation: handed out in order, from a prefix of IPv4. */
import { ipv4, isV4 } from '../wire/addr.ts';
import { addrToString, parsePrefix } from '../wire/addrtext.ts';

/** Bits of the prefix that a simulation chooses itself: 10.x.y.0/24. */
const AUTO_LEN = 24;
const AUTO_BASE = 10 << 24;
const AUTO_MAX = 1 << 16;

export class Subnet {
  readonly #base: number;
  readonly #len: number;
  #hosts = 0;

  /** `prefix` as `10.1.0.0/16`; TypeError for what is no prefix of IPv4 with room for two hosts. */
  constructor(prefix: string) {
    const parsed = parsePrefix(prefix);
    if (parsed === null || !isV4(parsed.addr) || parsed.len < 1 || parsed.len > 30)
      throw new TypeError(`not a usable prefix: ${prefix}`);
    this.#len = parsed.len;
    this.#base = parsed.addr.w3 & (-1 << (32 - parsed.len));
  }

  /** The `n`th of those that a simulation chooses itself, from 0. */
  static auto(n: number): Subnet {
    if (n >= AUTO_MAX) throw new RangeError(`a simulation has at most ${AUTO_MAX} networks without a prefix of their own`);
    return new Subnet(`${addrToString(ipv4(AUTO_BASE + (n << (32 - AUTO_LEN))))}/${AUTO_LEN}`);
  }

  /** The next free address, with the length of the prefix: `10.0.0.1/24`. RangeError when none is left. */
  next(): string {
    // The last one is the broadcast address.
    if (++this.#hosts > 2 ** (32 - this.#len) - 2)
      throw new RangeError(`no address left of ${addrToString(ipv4(this.#base))}/${this.#len}`);
    return `${addrToString(ipv4(this.#base + this.#hosts))}/${this.#len}`;
  }
}
