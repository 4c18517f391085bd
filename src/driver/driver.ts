/** Contract of a driver that a kernel can be booted on: opens the host's device and gives a link, or says in one line why not. */
import type { Errno } from '../kern/errno.ts';
import type { Log, RandomSource } from '../kern/effects.ts';
import type { Link } from '../kern/ifnet/link.ts';

/** What a driver takes from the kernel. */
export interface DriverEnv {
  readonly random: RandomSource;
  readonly log: Log;
}

export interface DriverOptions {
  /** The host's device, to create or to join. */
  readonly name: string;
  /** An open descriptor instead. */
  readonly fd: number | null;
  readonly mtu: number;
  /** Hardware address of the stack's side; null: a random local one. */
  readonly lladdr: Uint8Array | null;
  readonly offload: boolean;
  /** Addresses for the host's side, `A/LEN`. */
  readonly peers: readonly string[];
  /** Frames that the host queues towards the stack. */
  readonly txqueuelen: number;
  /** Busy polling in microseconds; 0: none. */
  readonly spinUs: number;
}

export interface OpenedLink {
  readonly link: Link;
  /** Name of the interface in the kernel: driver and unit. */
  readonly dname: string;
  readonly dunit: number;
  /** Name of the device on the host. */
  readonly hostName: string;
  /** For `Counters.add`. */
  readonly counters: object;
  /** EOPNOTSUPP where the driver cannot busy-poll. */
  setSpinUs(us: number): Errno | null;
  /** Whether the driver may merge received segments of TCP itself, where the device does not. EOPNOTSUPP where it cannot. */
  setLro(on: boolean): Errno | null;
}

/** Why a device could not be opened: one line for whoever started the program. */
export interface OpenFailure {
  readonly error: string;
}

export interface DriverSpec {
  readonly descr: string;
  open(env: DriverEnv, options: DriverOptions): Promise<OpenedLink | OpenFailure>;
}
