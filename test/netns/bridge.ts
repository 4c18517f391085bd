/** For children that run inside a namespace: TAPs without offload, on a bridge that carries what they write and nothing else. */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import type { TapAddon } from '../../src/driver/tap/addon.ts';
import { type TapLink, createTapLink } from '../../src/driver/tap/tap.ts';

export function openTap(addon: TapAddon, name: string, vnetHdr: boolean): TapLink {
  const device = addon.open({ name, fd: -1, vnetHdr, offload: false });
  const host = { setMtu: () => null, undo: () => {} };
  return createTapLink({ addon, device, host, lladdr: Uint8Array.of(2, 0, 0, 0, 0, 9), mtu: 1500 });
}

const ip = (...args: string[]): void => void execFileSync('ip', args);

/** Before a device is made: nothing but what is written may cross the bridge, and all of it, the packets too that a filter finds fault with. */
export function silence(): void {
  for (const [name, value] of [
    ['ipv6/conf/default/disable_ipv6', '1'],
    ['bridge/bridge-nf-call-iptables', '0'],
  ] as const) {
    const file = `/proc/sys/net/${name}`;
    if (existsSync(file)) writeFileSync(file, value);
  }
}

/** Puts devices on a bridge of their own; what it returns removes that. */
export function bridge(devices: readonly string[]): () => void {
  ip('link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
  ip('link', 'set', 'dev', 'br0', 'up');
  for (const name of devices) ip('link', 'set', 'dev', name, 'master', 'br0', 'up');
  return () => ip('link', 'delete', 'dev', 'br0');
}
