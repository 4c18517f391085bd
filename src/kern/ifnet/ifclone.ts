/**
 * Interfaces that are made by name (if_clone(4)): `lo1`, or `epair` for the next free unit. Who knows how to make a kind of link registers
 * a cloner; `SIOCIFCREATE` and `SIOCIFDESTROY` do the rest, on any stack.
 */
import { type Errno, type Result, isErrno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { Undo } from '../undo.ts';
import type { Ifnet } from './ifnet.ts';
import type { Link } from './link.ts';

export interface IfCloner {
  /** The kind: what comes before the unit. */
  readonly name: string;
  /** Units below this one are not to be made or destroyed: they came with the boot. */
  readonly firstUnit?: number;
  /** The links of a unit: one, or two whose names end in `a` and `b`. */
  create(unit: number): readonly Link[] | Errno;
}

/** Interfaces that were made in one go, and go together. */
interface Clone {
  readonly cloner: IfCloner;
  readonly unit: number;
  readonly ifps: Ifnet[];
}

const UNIT_MAX = 32767;

export class IfCloners {
  readonly #kernel: Kernel;
  readonly #cloners = new Map<string, IfCloner>();
  readonly #clones = new Set<Clone>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    // Whoever takes an interface away takes its clone away.
    kernel.events.on('ifnet_departure_event', (ifp) => {
      if (kernel.ifnets.byIndex(ifp.index) === ifp) return;
      for (const clone of this.#clones) if (clone.ifps.includes(ifp)) clone.ifps.splice(clone.ifps.indexOf(ifp), 1);
    });
  }

  /** EEXIST for a kind that is there. */
  add(cloner: IfCloner): Undo | Errno {
    if (this.#cloners.has(cloner.name)) return 'EEXIST';
    this.#cloners.set(cloner.name, cloner);
    return () => void this.#cloners.delete(cloner.name);
  }

  names(): string[] {
    return [...this.#cloners.keys()].sort();
  }

  /** Makes `name`, or the next free unit of it, and answers the name of its (first) interface. EINVAL: no such kind; EEXIST. */
  create(name: string): Result<{ readonly name: string }> {
    const match = /^([A-Za-z]+)(0|[1-9]\d{0,4})?$/.exec(name);
    const cloner = this.#cloners.get(match?.[1] ?? '');
    if (match === null || cloner === undefined) return 'EINVAL';
    const unit = match[2] === undefined ? this.#freeUnit(cloner) : Number(match[2]);
    if (unit < (cloner.firstUnit ?? 0) || unit > UNIT_MAX || this.#taken(cloner, unit)) return 'EEXIST';
    const links = cloner.create(unit);
    if (isErrno(links)) return links;
    const clone: Clone = { cloner, unit, ifps: [] };
    for (const [i, link] of links.entries()) {
      const err = this.#attach(clone, link, links.length === 1 ? '' : String.fromCharCode(97 + i));
      if (err === null) continue;
      this.#takeDown(clone);
      return err;
    }
    this.#clones.add(clone);
    return { name: clone.ifps[0]?.name() ?? name };
  }

  #attach(clone: Clone, link: Link, suffix: string): Errno | null {
    const { cloner, unit } = clone;
    const dunit = suffix === '' ? unit : 2 * unit + (suffix === 'a' ? 0 : 1);
    const ifp = this.#kernel.ifnets.attach(cloner.name, dunit, link);
    if (isErrno(ifp)) {
      link.stop();
      return ifp;
    }
    clone.ifps.push(ifp);
    return suffix === '' ? null : ifp.setName(`${cloner.name}${unit}${suffix}`);
  }

  #taken(cloner: IfCloner, unit: number): boolean {
    const { ifnets } = this.#kernel;
    const base = `${cloner.name}${unit}`;
    return [base, `${base}a`, `${base}b`].some((name) => ifnets.byName(name) !== null);
  }

  #freeUnit(cloner: IfCloner): number {
    let unit = cloner.firstUnit ?? 0;
    while (unit <= UNIT_MAX && this.#taken(cloner, unit)) unit++;
    return unit;
  }

  /** Takes an interface away, and what was made with it. ENXIO: not there; EINVAL: it was not made by name. */
  destroy(name: string): Errno | null {
    const ifp = this.#kernel.ifnets.byName(name);
    if (ifp === null) return 'ENXIO';
    for (const clone of this.#clones) {
      if (!clone.ifps.includes(ifp)) continue;
      this.#clones.delete(clone);
      this.#takeDown(clone);
      return null;
    }
    return 'EINVAL';
  }

  #takeDown(clone: Clone): void {
    for (const ifp of [...clone.ifps]) this.#kernel.ifnets.detach(ifp);
  }
}
