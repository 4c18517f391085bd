/**
 * Contract of a driver. A link moves frames and knows no protocol; the kernel hands it `LinkUp` to deliver to. Every method has a
 * default routine, so the class that fills none is the stub that stands in for a missing device: it takes configuration, drops
 * output, and its interface counts what was dropped.
 */
import type { Errno } from '../errno.ts';
import { defineInterface } from '../kobj.ts';
import { type RxPacket, TX_SLOT, TxPacket } from '../packet.ts';

/** What a link is and can do; read once at attach. */
export interface LinkInfo {
  readonly type: 'ethernet' | 'loopback' | 'tunnel';
  /** Hardware address, 6 bytes for Ethernet, none otherwise. */
  readonly lladdr: Uint8Array | null;
  /** Largest network-layer packet in bytes: at attach, and the largest that `setMtu` takes. */
  readonly mtu: number;
  readonly maxMtu: number;
  /** `IFCAP_*` bits. */
  readonly capabilities: number;
  /** Largest IP packet the link cuts itself (`TX_TSO4`), in bytes; 0 without `IFCAP_TSO*`. */
  readonly tsoMax: number;
}

/** Capabilities of a link, and of what is enabled of them. FreeBSD's names and bits (net/if.h). */
export const IFCAP_RXCSUM = 0x1;
export const IFCAP_TXCSUM = 0x2;
export const IFCAP_TSO4 = 0x100;
export const IFCAP_TSO6 = 0x200;
export const IFCAP_LRO = 0x400;
export const IFCAP_RXCSUM_IPV6 = 0x200000;
export const IFCAP_TXCSUM_IPV6 = 0x400000;

/** Where a link delivers. Between `begin` and `end` the stack collects its answers; `end` lets them go as one batch. */
export interface LinkUp {
  begin(): void;
  /** One frame. `pkt` and its bytes are the link's again on return. */
  input(pkt: RxPacket): void;
  end(): void;
  /** Frames that the link lost: counted as `iqdrops`, `ierrors`, `oerrors`. */
  dropped(what: 'iqdrops' | 'ierrors' | 'oerrors' | 'oqdrops', frames: number): void;
  /** Carrier came or went; `gone` for a device that was taken away under the driver. */
  state(state: 'up' | 'down' | 'gone'): void;
}

export interface LinkMethods {
  info(): LinkInfo;
  /** Begins to deliver. ENXIO from the stub: there is no device. */
  start(up: LinkUp): Errno | null;
  /** Ends delivery and frees the device; no callback comes after it. */
  stop(): void;
  /** An empty slot, or null while all of them are waiting to be written. */
  txAlloc(): TxPacket | null;
  /** Takes the frame; its bytes go out with the next `flush` at the latest. Order is the order of these calls. */
  transmit(pkt: TxPacket): Errno | null;
  /** Gives back a slot that is not sent after all. */
  txFree(pkt: TxPacket): void;
  flush(): void;
  /** Administrative state. Down: nothing is delivered, output is refused with ENETDOWN. */
  setUp(up: boolean): Errno | null;
  setMtu(mtu: number): Errno | null;
  setLladdr(lladdr: Uint8Array): Errno | null;
  /** Enables exactly these of `LinkInfo.capabilities`. */
  setCapEnable(bits: number): Errno | null;
  /**
   * A request of the driver's own, by ioctl number. One with a filter of groups takes SIOCADDMULTI and SIOCDELMULTI with `{ lladdr }`;
   * EOPNOTSUPP from one that delivers all of them.
   */
  ioctl(cmd: number, data: unknown): Errno | null;
}

/** A link as its users hold it: bound once, called plainly. A wrapper takes one and is one. */
export type Link = LinkMethods;

const NO_DEVICE: LinkInfo = { type: 'ethernet', lladdr: null, mtu: 1500, maxMtu: 65535, capabilities: 0, tsoMax: 0 };

export const linkInterface = defineInterface<LinkMethods>('link', {
  info: () => NO_DEVICE,
  start: () => 'ENXIO',
  stop: () => undefined,
  txAlloc: () => new TxPacket(new Uint8Array(TX_SLOT), 0, 0),
  transmit: () => 'ENXIO',
  txFree: () => undefined,
  flush: () => undefined,
  setUp: () => null,
  setMtu: () => null,
  setLladdr: () => null,
  setCapEnable: (_self, bits) => (bits === 0 ? null : 'EINVAL'),
  ioctl: () => 'EOPNOTSUPP',
});
