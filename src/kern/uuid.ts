/**
 * Universally unique identifiers of version 1 (RFC 9562 §5.1, uuidgen(2)). The node is the hardware address of an interface: sources
 * come and go as interfaces do. Without one it is 47 random bits with the group bit set, which no hardware address has.
 */
import type { Clock, RandomSource } from './effects.ts';
import type { Errno, Result } from './errno.ts';

/** Slots for nodes. */
const UUID_NETHER = 4;
/** Most identifiers that one call makes. */
export const UUIDGEN_MAX = 2048;
/** From the start of the Gregorian calendar, 15 October 1582, to the Unix epoch, in units of 100 ns. */
const GREGORIAN_OFFSET = 0x01b21dd213814000n;

interface NodeSlot {
  readonly mac: Uint8Array;
  readonly random: boolean;
}

export class UuidSources {
  /** Hardware addresses first; behind them at most one random node. */
  readonly #nodes: NodeSlot[] = [];
  readonly #clock: Clock;
  readonly #random: RandomSource;
  #lastTime = -1n;
  #lastNode: Uint8Array | null = null;
  #clockSeq = 0;

  constructor(clock: Clock, random: RandomSource) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Adds a hardware address. EINVAL unless it is six bytes, global, unicast and not zero; EEXIST for a known one, ENOSPC when all
   * slots hold one.
   */
  etherAdd(mac: Uint8Array): Errno | null {
    if (mac.length !== 6 || ((mac[0] as number) & 3) !== 0 || mac.every((byte) => byte === 0)) return 'EINVAL';
    let at = 0;
    for (; at < this.#nodes.length; at++) {
      const node = this.#nodes[at] as NodeSlot;
      if (node.random) break;
      if (sameBytes(node.mac, mac)) return 'EEXIST';
    }
    if (at === UUID_NETHER) return 'ENOSPC';
    this.#nodes.splice(at, 0, { mac: mac.slice(), random: false });
    // A random node that was pushed past the last slot is gone.
    this.#nodes.length = Math.min(this.#nodes.length, UUID_NETHER);
    return null;
  }

  /** ENOENT for an address that was not added. */
  etherDel(mac: Uint8Array): Errno | null {
    const at = this.#nodes.findIndex((node) => !node.random && sameBytes(node.mac, mac));
    if (at < 0) return 'ENOENT';
    this.#nodes.splice(at, 1);
    return null;
  }

  /** The node of the next identifier; a random one is made at the first need and kept. */
  #node(): Uint8Array {
    const first = this.#nodes[0];
    if (first !== undefined) return first.mac;
    const mac = new Uint8Array(6);
    this.#random.fill(mac);
    mac[0] = (mac[0] as number) | 1;
    this.#nodes.push({ mac, random: true });
    return mac;
  }

  /** Makes `n` identifiers of 16 bytes each, in network byte order. EINVAL unless `n` is from 1 to 2048. */
  uuidgen(n: number): Result<Uint8Array[]> {
    if (!Number.isInteger(n) || n < 1 || n > UUIDGEN_MAX) return 'EINVAL';
    const now = BigInt(Math.floor(this.#clock.realtimeMs() * 10000)) + GREGORIAN_OFFSET;
    const node = this.#node();
    if (this.#lastNode === null || !sameBytes(this.#lastNode, node)) {
      this.#clockSeq = this.#random.u32() & 0x3fff;
      this.#lastNode = node;
    } else if (this.#lastTime >= now) {
      this.#clockSeq = (this.#clockSeq + 1) & 0x3fff;
    }
    this.#lastTime = now + BigInt(n - 1);
    return Array.from({ length: n }, (_, i) => pack(now + BigInt(i), this.#clockSeq, node));
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** RFC 9562 §5.1: time_low, time_mid, time_high with version 1, variant 10 with the clock sequence, node. */
function pack(time: bigint, clockSeq: number, node: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Number(time & 0xffffffffn));
  view.setUint16(4, Number((time >> 32n) & 0xffffn));
  view.setUint16(6, Number((time >> 48n) & 0x0fffn) | 0x1000);
  view.setUint16(8, clockSeq | 0x8000);
  bytes.set(node, 10);
  return bytes;
}

/** The text form (RFC 9562 §4), lower case. */
export function formatUuid(uuid: Uint8Array): string {
  const hex = Array.from(uuid, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
