/**
 * Contract of a module, and the rules by which the linker matches what a module needs with what there is (module(9), kld(4)).
 */
import type { Errno } from './errno.ts';
import type { Kernel } from './kernel.ts';
import { SI_ORDER, SI_SUB, type SysinitEntry, type SysinitLevel, type SysinitOrder } from './sysinit.ts';
import type { Undo, UndoList } from './undo.ts';

/** Version of the contracts between kernel and modules. A module built for another one is refused. */
export const KERN_CONTRACT = 1;

/** Name under which modules may depend on the kernel itself; its version is `KERN_CONTRACT`. */
export const KERNEL_MODULE = 'kernel';

/** Stacks are modules whose names begin so. */
export const NETSTACK_PREFIX = 'netstack_';

export type ModuleEvent = 'load' | 'quiesce' | 'unload' | 'shutdown';

/** Needs `name` in a version from `min` to `max`; `preferred` where there is a choice. */
export interface ModuleDepend {
  readonly name: string;
  readonly min: number;
  readonly preferred: number;
  readonly max: number;
}

export interface ModuleSpec {
  readonly name: string;
  /** What others depend on. */
  readonly version: number;
  /** `KERN_CONTRACT` that it was built for. */
  readonly contract: number;
  readonly depends?: readonly ModuleDepend[];
  /** When a preloaded module hears `load`: by default at NETSTACK for a stack, at KLD otherwise, and never before what it needs. */
  readonly level?: SysinitLevel;
  readonly order?: SysinitOrder;
  /** Makes the module; no effect yet. What it registers later it hands to `own`. */
  create(kernel: Kernel, own: (undo: Undo) => void): ModuleInstance;
}

export interface ModuleInstance {
  /** Default as modevent_nop(9): `load` succeeds, `unload` EBUSY, anything else EOPNOTSUPP. */
  event?(what: ModuleEvent): Errno | null;
  readonly sysinits?: readonly SysinitEntry[];
}

/** A line of kldstat(8). */
export interface ModuleStat {
  readonly id: number;
  /** One, and one for each module or other holder that needs it. */
  readonly refs: number;
  readonly name: string;
  readonly version: number;
}

/** Why something failed, for code and for people. */
export interface KernFailure {
  readonly err: Errno;
  readonly message: string;
}

/** The one of `specs` that serves `need`: the preferred version at once, else the highest in range; null if none is. */
export function chooseVersion<T extends { readonly version: number }>(need: ModuleDepend, specs: readonly T[]): T | null {
  let best: T | null = null;
  for (const spec of specs) {
    if (spec.version === need.preferred) return spec;
    if (inRange(need, spec.version) && (best === null || spec.version > best.version)) best = spec;
  }
  return best;
}

export function inRange(need: ModuleDepend, version: number): boolean {
  return version >= need.min && version <= need.max;
}

/** `b 2 to 4`, `b 2`. */
export function describeNeed({ name, min, max }: ModuleDepend): string {
  return min === max ? `${name} version ${min}` : `${name} version ${min} to ${max}`;
}

/**
 * The first dependency that is not met, in words; null when all are. `linked` and `queued` give the version of a module that is linked,
 * or waits for it; `offers` is what could be had.
 */
export function unmetNeed(
  spec: ModuleSpec,
  linked: (name: string) => number | undefined,
  queued: (name: string) => number | undefined,
  offers: readonly ModuleSpec[],
): string | null {
  for (const need of spec.depends ?? []) {
    const found = need.name === KERNEL_MODULE ? KERN_CONTRACT : linked(need.name);
    const version = found ?? queued(need.name);
    if (version !== undefined && !inRange(need, version)) return `needs ${describeNeed(need)}, found version ${version}`;
    if (found !== undefined) continue;
    if (version !== undefined) return `depends on ${need.name}, which waits for it or cannot be loaded`;
    const others = offers.filter((offer) => offer.name === need.name).map((offer) => offer.version);
    if (others.length > 0) return `needs ${describeNeed(need)}, found version ${others.join(', ')}`;
    return `depends on ${describeNeed(need)}, which is missing`;
  }
  return null;
}

/** What is wrong with a module by itself; null if nothing is. */
export function checkSpec(spec: ModuleSpec): string | null {
  if (typeof spec !== 'object' || spec === null || typeof spec.name !== 'string' || typeof spec.create !== 'function') {
    return 'not a module: it needs a name, a version, a contract and create()';
  }
  if (!/^[a-z0-9_.-]{1,64}$/i.test(spec.name) || spec.name === KERNEL_MODULE) return `'${spec.name}' cannot be a module's name`;
  if (spec.contract !== KERN_CONTRACT) {
    return `module ${spec.name} was built for kernel contract ${spec.contract}; this kernel has contract ${KERN_CONTRACT}`;
  }
  if (!Number.isInteger(spec.version)) return `module ${spec.name} has no version`;
  const { depends = [], level = 'KLD', order = 'ANY' } = spec;
  if (!isPlace(level, order)) return `module ${spec.name} has an unknown start-up level or order`;
  if (!Array.isArray(depends) || !depends.every((need) => typeof need?.name === 'string')) {
    return `module ${spec.name}: what it depends on is no list of names and versions`;
  }
  const bad = depends.find((need) => !(need.min <= need.preferred && need.preferred <= need.max));
  return bad === undefined
    ? null
    : `module ${spec.name}: the range of ${describeNeed(bad)} is empty or lacks the preferred version`;
}

function isPlace(level: string, order: string): boolean {
  return Object.hasOwn(SI_SUB, level) && Object.hasOwn(SI_ORDER, order);
}

/** A new module's start-up entries. Throws for what is no module, or an entry that could come at any time. */
export function entriesOf(instance: ModuleInstance): readonly SysinitEntry[] {
  if (typeof instance !== 'object' || instance === null) throw new TypeError('create() made nothing');
  const { sysinits = [] } = instance;
  const lost = sysinits.find(({ level, order }) => !isPlace(level, order));
  if (lost !== undefined) throw new TypeError(`entry ${lost.name} has an unknown level or order`);
  return sysinits;
}

/** What modevent_nop(9) answers. */
export const NOP_ANSWER = { load: null, quiesce: 'EOPNOTSUPP', unload: 'EBUSY', shutdown: 'EOPNOTSUPP' } as const;

/** A module that waits to be linked. */
export interface Queued {
  readonly spec: ModuleSpec;
  readonly optional: boolean;
}

/** A module in the kernel. */
export interface Mod {
  readonly id: number;
  readonly spec: ModuleSpec;
  readonly optional: boolean;
  readonly undos: UndoList;
  instance: ModuleInstance;
  state: 'linked' | 'loaded' | 'unloading' | 'gone';
  readonly deps: readonly Mod[];
  readonly holders: Set<{ readonly name: string }>;
  /** Start-up entry that loads it; its own, guarded; and the undo for those that have not run. */
  loadEntry: SysinitEntry | null;
  entries: readonly SysinitEntry[];
  unschedule: Undo | null;
}

/** True for `mod` itself and for whatever depends on it, directly or not. */
export function needs(other: Mod, mod: Mod): boolean {
  return other === mod || other.deps.some((dep) => needs(dep, mod));
}
