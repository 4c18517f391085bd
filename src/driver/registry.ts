/** Drivers by the name that `--driver` takes. */
import type { DriverOptions, DriverSpec } from './driver.ts';
import { TXQUEUELEN } from './tap/host.ts';
import { openTap } from './tap/open.ts';
import { openTuntap2 } from './tuntap2.ts';

export const DRIVER_DEFAULTS: DriverOptions = {
  name: 'tap0',
  fd: null,
  mtu: 1500,
  lladdr: null,
  offload: true,
  peers: [],
  txqueuelen: TXQUEUELEN,
  spinUs: 0,
};

export const drivers: Readonly<Record<'tap' | 'tuntap2', DriverSpec>> = {
  tap: { descr: 'Linux TAP through the native addon', open: (env, options) => Promise.resolve(openTap(env, options)) },
  tuntap2: { descr: 'Linux TAP through the npm package tuntap2, where that is installed', open: openTuntap2 },
};
