/**
 * Ordered start-up (SYSINIT(9)): entries run by level, then by order, then in the sequence of their registration. What is added
 * while the run is on takes its place among what is still to come. Shutdown takes back what ran, last first.
 */
import type { Log } from './effects.ts';
import type { Errno } from './errno.ts';
import { type Undo, once } from './undo.ts';

/** Levels, FreeBSD's names and numbers (sys/kernel.h). */
export const SI_SUB = {
  TUNABLES: 0x0700000,
  COPYRIGHT: 0x0800001,
  KMEM: 0x1800000,
  LOCK: 0x1b00000,
  EVENTHANDLER: 0x1c00000,
  NETSTACK_PRELINK: 0x1d00000,
  VNET_PRELINK: 0x1e00000,
  KLD: 0x2000000,
  NETSTACK: 0x2040000,
  CPU: 0x2100000,
  RANDOM: 0x2160000,
  MAC: 0x2180000,
  VNET: 0x21e0000,
  INTRINSIC: 0x2200000,
  MBUF: 0x2700000,
  INIT_IF: 0x3000000,
  DRIVERS: 0x3100000,
  CONFIGURE: 0x3800000,
  PSEUDO: 0x7000000,
  PROTO_BEGIN: 0x8000000,
  PROTO_PFIL: 0x8100000,
  PROTO_IF: 0x8400000,
  PROTO_DOMAININIT: 0x8600000,
  PROTO_MC: 0x8700000,
  PROTO_DOMAIN: 0x8800000,
  PROTO_FIREWALL: 0x8806000,
  PROTO_IFATTACHDOMAIN: 0x8808000,
  PROTO_END: 0x8ffffff,
  ROOT_CONF: 0xb000000,
  SYSCALLS: 0xd800000,
  VNET_DONE: 0xdc00000,
  KTHREAD_INIT: 0xe000000,
  LAST: 0xfffffff,
} as const;

/** Orders within a level. */
export const SI_ORDER = {
  FIRST: 0,
  SECOND: 1,
  THIRD: 2,
  FOURTH: 3,
  FIFTH: 4,
  SIXTH: 5,
  SEVENTH: 6,
  EIGHTH: 7,
  MIDDLE: 0x1000000,
  ANY: 0xfffffff,
} as const;

export type SysinitLevel = keyof typeof SI_SUB;
export type SysinitOrder = keyof typeof SI_ORDER;

export interface SysinitEntry {
  readonly level: SysinitLevel;
  readonly order: SysinitOrder;
  readonly name: string;
  run(): Errno | null;
  /** SYSUNINIT: takes back what `run` did. */
  undo?(): void;
}

export interface SysinitFailure {
  readonly entry: SysinitEntry;
  readonly err: Errno;
}

/** Negative when `a` comes before `b`, 0 when registration decides. */
export function compareEntries(a: SysinitEntry, b: SysinitEntry): number {
  return SI_SUB[a.level] - SI_SUB[b.level] || SI_ORDER[a.order] - SI_ORDER[b.order];
}

export class Sysinit {
  /** To run, in order. */
  readonly #pending: SysinitEntry[] = [];
  /** Done, in the order in which it was done. */
  readonly #ran: SysinitEntry[] = [];
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Adds entries; the undo takes back those that have not run yet. */
  add(...entries: readonly SysinitEntry[]): Undo {
    for (const entry of entries) {
      const at = this.#pending.findIndex((other) => compareEntries(other, entry) > 0);
      this.#pending.splice(at < 0 ? this.#pending.length : at, 0, entry);
    }
    return once(() => {
      for (const entry of entries) {
        const at = this.#pending.indexOf(entry);
        if (at >= 0) this.#pending.splice(at, 1);
      }
    });
  }

  /** Runs everything that is pending. Stops at the first entry that fails and says which; what ran before it stays done. */
  run(): SysinitFailure | null {
    for (let entry = this.#pending.shift(); entry !== undefined; entry = this.#pending.shift()) {
      const err = this.#runOne(entry);
      if (err !== null) return { entry, err };
    }
    return null;
  }

  /** Runs these entries alone and at once, all levels, as a module that is loaded later needs it. */
  runNow(entries: readonly SysinitEntry[]): SysinitFailure | null {
    for (const entry of [...entries].sort(compareEntries)) {
      const err = this.#runOne(entry);
      if (err !== null) return { entry, err };
    }
    return null;
  }

  #runOne(entry: SysinitEntry): Errno | null {
    this.#log.debug({ at: entry.level, order: entry.order }, `run ${entry.name}`);
    const err = entry.run();
    if (err === null) this.#ran.push(entry);
    else this.#log.error({ at: entry.level, order: entry.order, err }, `${entry.name} failed`);
    return err;
  }

  /** Takes back those of `entries` that ran, last first. */
  undo(entries: readonly SysinitEntry[]): void {
    for (const entry of this.#ran.filter((ran) => entries.includes(ran)).reverse()) {
      this.#ran.splice(this.#ran.indexOf(entry), 1);
      this.#undoOne(entry);
    }
  }

  /** Takes back everything that ran, last first, and forgets what did not run. */
  shutdown(): void {
    this.#pending.length = 0;
    for (let entry = this.#ran.pop(); entry !== undefined; entry = this.#ran.pop()) this.#undoOne(entry);
  }

  #undoOne(entry: SysinitEntry): void {
    if (entry.undo === undefined) return;
    this.#log.debug({ at: entry.level, order: entry.order }, `undo ${entry.name}`);
    entry.undo();
  }

  /** Names of what ran, in order. */
  ran(): string[] {
    return this.#ran.map((entry) => entry.name);
  }
}
