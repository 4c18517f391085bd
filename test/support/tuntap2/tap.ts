/**
 * A stand-in for the npm package `tuntap2`, with its documented API over the project's own addon: `new Tap()` is a Duplex whose chunks are whole
 * frames, with `name`, `mac`, `mtu`, `ipv4`, `ipv6`, `isUp` and `release()`. Setters throw what the operating system said.
 */
import { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { Duplex } from 'node:stream';
import { TX_SLOT } from '../../../src/kern/packet.ts';
import * as A from '../../../src/driver/tap/addon.ts';
import { runIp } from '../../../src/driver/tap/host.ts';
import { openDevice } from '../../../src/driver/tap/open.ts';

/** Room for a virtio header and some alignment in front of the frame; the device takes frames up to 64 KiB. */
const TX_SIZE = 65536 + TX_SLOT;
const RX_BYTES = 1 << 18;

/** What `ip -j address show` says of an interface, as far as it is read here. */
interface IpAddress {
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly { family: string; local: string; prefixlen: number }[];
}

export class Tap extends Duplex {
  readonly name: string;
  readonly isTap = true;
  readonly isTun = false;
  readonly #addon: A.TapAddon;
  readonly #id: number;
  readonly #tx: Uint8Array;
  readonly #txTable: Int32Array;
  readonly #stats: Int32Array;
  #open = true;
  #paused = false;

  /** The package generates the name; here it may be given. */
  constructor({ name = '' }: { readonly name?: string } = {}) {
    super({ readableObjectMode: true, readableHighWaterMark: 1024, decodeStrings: false });
    const addon = A.loadAddon();
    if ('error' in addon) throw new Error(addon.error);
    const device = openDevice(addon, { name, fd: null }, false);
    if ('error' in device) throw new Error(device.error);
    this.#addon = addon;
    this.#id = device.id;
    this.name = device.name;
    const rx = new Uint8Array(addon.memory(RX_BYTES));
    const rxTable = new Int32Array(addon.memory(4 * A.RX_BATCH * A.RX_STRIDE));
    this.#tx = new Uint8Array(addon.memory(TX_SIZE));
    this.#txTable = new Int32Array(addon.memory(4 * A.TX_STRIDE));
    this.#stats = new Int32Array(addon.memory(4 * A.ST_COUNT));
    addon.start(device.id, {
      rx,
      rxTable,
      tx: this.#tx,
      txSlot: TX_SIZE,
      txTable: this.#txTable,
      stats: this.#stats,
      onBatch: (frames) => {
        this.#input(rx, rxTable, frames);
        return 0;
      },
      onGone: (errno) => {
        this.destroy(new Error(`TAP device '${this.name}' is gone (errno ${errno})`));
      },
    });
  }

  #input(rx: Uint8Array, table: Int32Array, frames: number): void {
    for (let i = 0; i < frames && this.#open; i++) {
      const off = table[i * A.RX_STRIDE + A.RX_OFF] as number;
      const len = table[i * A.RX_STRIDE + A.RX_LEN] as number;
      // The readable side keeps the rest of this batch when it is full; no further one is read until it asks.
      if (this.push(Buffer.from(rx.subarray(off, off + len))) || this.#paused || !this.#open) continue;
      this.#paused = true;
      this.#addon.pause(this.#id);
    }
  }

  override _read(): void {
    if (!this.#paused || !this.#open) return;
    this.#paused = false;
    this.#addon.resume(this.#id);
  }

  override _write(frame: Uint8Array, _encoding: string, done: (err?: Error | null) => void): void {
    const t = this.#txTable;
    if (!this.#open || frame.length > TX_SIZE) {
      done(new Error(this.#open ? 'frame is too long' : 'device is released'));
      return;
    }
    this.#tx.set(frame);
    t[A.TX_LEN] = frame.length;
    // A frame that the host refuses is lost, as on a wire: an error would end the stream.
    this.#addon.writeBatch(this.#id, 1, []);
    done();
  }

  /** Frames that were written and that the host refused or had no room for. */
  lost(): number {
    const stats = this.#stats;
    return (stats[A.ST_TX_REFUSED] as number) + (stats[A.ST_TX_INVALID] as number) + (stats[A.ST_TX_BLOCKED] as number);
  }

  override _destroy(err: Error | null, done: (err?: Error | null) => void): void {
    if (this.#open) this.#addon.close(this.#id);
    this.#open = false;
    done(err);
  }

  /** Removes the device. */
  release(): void {
    this.destroy();
  }

  #set(...args: string[]): void {
    const error = runIp(args);
    if (error !== null) throw new Error(error);
  }

  #show(): IpAddress {
    const text = execFileSync('ip', ['-j', 'address', 'show', 'dev', this.name], { encoding: 'utf8' });
    const [shown] = JSON.parse(text) as IpAddress[];
    if (shown === undefined) throw new Error(`no interface '${this.name}'`);
    return shown;
  }

  #address(family: 'inet' | 'inet6'): string {
    const found = this.#show().addr_info.find((info) => info.family === family);
    return found === undefined ? '' : `${found.local}/${found.prefixlen}`;
  }

  get mac(): string {
    return this.#show().address;
  }
  set mac(mac: string) {
    this.#set('link', 'set', 'dev', this.name, 'address', mac);
  }
  get mtu(): number {
    return this.#show().mtu;
  }
  set mtu(mtu: number) {
    this.#set('link', 'set', 'dev', this.name, 'mtu', String(mtu));
  }
  get ipv4(): string {
    return this.#address('inet');
  }
  set ipv4(cidr: string) {
    this.#set('address', 'replace', cidr, 'dev', this.name);
  }
  get ipv6(): string {
    return this.#address('inet6');
  }
  set ipv6(cidr: string) {
    this.#set('address', 'replace', cidr, 'dev', this.name, 'nodad');
  }
  get isUp(): boolean {
    return this.#show().flags.includes('UP');
  }
  set isUp(up: boolean) {
    this.#set('link', 'set', 'dev', this.name, up ? 'up' : 'down');
  }
}
