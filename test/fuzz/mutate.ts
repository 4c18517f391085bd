/** Turns good frames into bad ones, by a seed: the same seed, the same frames. */
import type { SimRandom } from '../../src/kern/effects/sim.ts';
import { ipv4 } from '../../src/wire/addr.ts';
import { get16, get32, put16 } from '../../src/wire/bytes.ts';
import { complement, pseudoSum, sum16 } from '../../src/wire/checksum.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, putIpSum } from '../../src/wire/ipv4.ts';

const IP = 14;
/** Values that lie near where code goes wrong. */
const EDGES = [0, 1, 2, 3, 4, 7, 8, 15, 16, 19, 20, 21, 27, 28, 39, 40, 59, 60, 127, 128, 254, 255] as const;
/** Fields worth lying about: lengths, offsets, types, counts; from the frame's start. */
const FIELDS = [
  12,
  13,
  IP,
  IP + 2,
  IP + 3,
  IP + 6,
  IP + 7,
  IP + 9,
  IP + 20,
  IP + 24,
  IP + 25,
  IP + 32,
  IP + 33,
  IP + 34,
  IP + 35,
  IP + 41,
] as const;

type Mutation = (frame: Uint8Array, rng: SimRandom, corpus: readonly Uint8Array[]) => Uint8Array;

const any = <T>(list: readonly T[], rng: SimRandom): T => list[rng.below(list.length)] as T;

const MUTATIONS: readonly Mutation[] = [
  // One bit.
  (f, rng) => poke(f, rng.below(f.length), (b) => b ^ (1 << rng.below(8))),
  // One byte, at random or to a value at an edge.
  (f, rng) => poke(f, rng.below(f.length), () => rng.below(256)),
  (f, rng) => poke(f, rng.below(f.length), () => any(EDGES, rng)),
  // A field that says how long something is, or what it is.
  (f, rng) => poke(f, any(FIELDS, rng), () => any(EDGES, rng)),
  (f, rng) => poke(f, any(FIELDS, rng), () => rng.below(256)),
  // Cut off, or with something behind it.
  (f, rng) => f.slice(0, rng.below(f.length + 1)),
  (f, rng) => f.slice(0, Math.min(f.length, 14 + rng.below(60))),
  (f, rng) => concat(f, noise(rng, rng.below(64))),
  // The front of one and the back of another.
  (f, rng, corpus) => {
    const other = any(corpus, rng);
    return concat(f.subarray(0, rng.below(f.length + 1)), other.subarray(rng.below(other.length + 1)));
  },
  // A run of noise inside.
  (f, rng) => {
    const out = f.slice();
    const at = rng.below(f.length + 1);
    out.set(noise(rng, Math.min(out.length - at, 1 + rng.below(16))), at);
    return out;
  },
  // Bytes taken out, bytes put in.
  (f, rng) => {
    const at = rng.below(f.length + 1);
    return concat(f.subarray(0, at), f.subarray(at + rng.below(8)));
  },
  (f, rng) => {
    const at = rng.below(f.length + 1);
    return concat(f.subarray(0, at), noise(rng, rng.below(8)), f.subarray(at));
  },
  // TCP's flags, sequence numbers and ports; or UDP's; or ICMP's.
  (f, rng) => poke(f, IP + 33, () => rng.below(256)),
  (f, rng) => poke(f, IP + 24 + rng.below(8), () => rng.below(256)),
  (f, rng) => poke(f, IP + 20 + rng.below(4), () => rng.below(256)),
];

function poke(f: Uint8Array, at: number, change: (b: number) => number): Uint8Array {
  const out = f.slice();
  if (at < out.length) out[at] = change(out[at] as number);
  return out;
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function noise(rng: SimRandom, n: number): Uint8Array {
  const out = new Uint8Array(Math.max(0, n));
  rng.fill(out);
  return out;
}

/** One frame: a good one, changed once to three times, and then often with checksums that hold, so that it gets further in. */
export function mutant(corpus: readonly Uint8Array[], rng: SimRandom): Uint8Array {
  let frame: Uint8Array = any(corpus, rng).slice();
  for (let n = 1 + rng.below(3); n > 0 && frame.length > 0; n--) frame = any(MUTATIONS, rng)(frame, rng, corpus);
  if (rng.below(4) !== 0) repair(frame, rng.below(4) !== 0);
  return frame.length > 1514 ? frame.slice(0, 1514) : frame;
}

/** Makes the checksums hold wherever the lengths make sense. */
export function repair(f: Uint8Array, transport: boolean): void {
  if (f.length < IP + 20 || get16(f, 12) !== 0x0800) return;
  const hdrLen = ((f[IP] as number) & 15) << 2;
  if (hdrLen < 20 || IP + hdrLen > f.length) return;
  putIpSum(f, IP, hdrLen);
  const end = Math.min(f.length, IP + get16(f, IP + 2));
  const off = IP + hdrLen;
  const len = end - off;
  const proto = f[IP + 9] as number;
  if (!transport || len < 8 || (get16(f, IP + 6) & 0x3fff) !== 0) return;
  const at = proto === IPPROTO_TCP ? off + 16 : proto === IPPROTO_ICMP ? off + 2 : off + 6;
  if (at + 2 > end) return;
  put16(f, at, 0);
  const start = proto === IPPROTO_ICMP ? 0 : pseudoSum(ipv4(get32(f, IP + 12)), ipv4(get32(f, IP + 16)), proto, len);
  put16(f, at, complement(sum16(f, off, len, start)));
}
