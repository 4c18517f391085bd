/** Names and hardware addresses of interfaces. */
import type { RandomSource } from '../kern/effects.ts';

/** A name as driver and unit: `tap0` is unit 0 of `tap`. A name without a number is unit 0. */
export function splitIfName(name: string): { dname: string; dunit: number } {
  const digits = /(?:0|[1-9][0-9]{0,8})$/.exec(name);
  if (digits === null || digits.index === 0) return { dname: name, dunit: 0 };
  return { dname: name.slice(0, digits.index), dunit: Number(digits[0]) };
}

/** A random hardware address, locally administered and of one station (IEEE 802 §8.4). */
export function localLladdr(random: RandomSource): Uint8Array {
  const mac = new Uint8Array(6);
  random.fill(mac);
  mac[0] = ((mac[0] as number) & 0xfc) | 2;
  return mac;
}
