/**
 * The operator's view of every counter: groups of plain objects whose numbers are read when somebody looks. Counting itself is an
 * increment of a property and costs nothing here.
 */
import { type Undo, once } from './undo.ts';

/** An object whose own numeric properties are the counters, or a function that makes one on demand. */
export type CounterSource = object | (() => object);

export type CounterSnapshot = Record<string, Record<string, number>>;

export class Counters {
  readonly #groups = new Map<string, Set<{ readonly source: CounterSource }>>();

  /** Shows the numbers of `source` under `group`. Several sources may share a group; what has the same name is added up. */
  add(group: string, source: CounterSource): Undo {
    const entry = { source };
    let sources = this.#groups.get(group);
    if (sources === undefined) this.#groups.set(group, (sources = new Set()));
    sources.add(entry);
    const owner = sources;
    return once(() => {
      owner.delete(entry);
      if (owner.size === 0 && this.#groups.get(group) === owner) this.#groups.delete(group);
    });
  }

  /** All counters by group and name, groups in alphabetical order; `prefix` keeps the groups that begin with it. */
  snapshot(prefix = ''): CounterSnapshot {
    const all: CounterSnapshot = {};
    for (const group of [...this.#groups.keys()].sort()) {
      if (group.startsWith(prefix)) all[group] = this.#sum(group);
    }
    return all;
  }

  /** One counter, or undefined if there is none of that name. */
  get(group: string, name: string): number | undefined {
    return this.#sum(group)[name];
  }

  #sum(group: string): Record<string, number> {
    const sum: Record<string, number> = {};
    for (const { source } of this.#groups.get(group) ?? []) {
      const values: object = typeof source === 'function' ? (source as () => object)() : source;
      for (const [name, value] of Object.entries(values)) {
        if (typeof value === 'number') sum[name] = (sum[name] ?? 0) + value;
      }
    }
    return sum;
  }
}
