/**
 * The operator's view of every counter: groups of plain objects whose numbers are read when somebody looks. Counting itself is an
 * increment of a property and costs nothing here. What a counter means is told at its registration: some count drops, some are gauges.
 */
import { counterName } from './counternames.ts';
import { type Undo, once } from './undo.ts';

/** An object whose own numeric properties are the counters, or a function that makes one on demand. */
export type CounterSource = object | (() => object);

export type CounterSnapshot = Record<string, Record<string, number>>;

/** What a source says of its counters, by name. What it leaves out is said by the names themselves (`counternames.ts`), if they are common. */
export interface CounterMeta {
  /** A sentence for people. */
  readonly help?: Readonly<Record<string, string>>;
  /** Names of those that say that a frame, packet or segment that came was dropped; that one to be sent was. */
  readonly drops?: readonly string[];
  readonly outdrops?: readonly string[];
  /** Names of those that may go down: what there is now. `true`: all. */
  readonly gauges?: readonly string[] | true;
}

export interface CounterReading {
  readonly group: string;
  readonly name: string;
  readonly value: number;
  readonly type: 'counter' | 'gauge';
  readonly drop: boolean;
  readonly help: string;
}

interface Entry {
  readonly source: CounterSource;
  readonly meta: CounterMeta;
}

const NO_META: CounterMeta = {};

export class Counters {
  /** Changes when sources come or go. */
  version = 0;
  readonly #groups = new Map<string, Set<Entry>>();

  /** Shows the numbers of `source` under `group`. Several sources may share a group; what has the same name is added up. */
  add(group: string, source: CounterSource, meta: CounterMeta = NO_META): Undo {
    const entry: Entry = { source, meta };
    let sources = this.#groups.get(group);
    if (sources === undefined) this.#groups.set(group, (sources = new Set()));
    sources.add(entry);
    this.version++;
    const owner = sources;
    return once(() => {
      owner.delete(entry);
      this.version++;
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

  /** As `snapshot`, with what is known of each. */
  describe(prefix = ''): CounterReading[] {
    const all: CounterReading[] = [];
    for (const [group, values] of Object.entries(this.snapshot(prefix))) {
      const entries = [...(this.#groups.get(group) ?? [])];
      for (const [name, value] of Object.entries(values)) {
        const gauge = entries.some(({ meta }) => isGauge(group, meta, name));
        const drop = entries.some(({ meta }) => dropOf(group, meta, name) !== null);
        const own = entries.map(({ meta }) => meta.help?.[name] ?? '').find((text) => text !== '');
        const help = own ?? counterName(group, name)?.help ?? '';
        all.push({ group, name, value, type: gauge ? 'gauge' : 'counter', drop, help });
      }
    }
    return all;
  }

  /** One counter, or undefined if there is none of that name. */
  get(group: string, name: string): number | undefined {
    return this.#sum(group)[name];
  }

  /** Sets all counters to 0, gauges and what is computed stay; returns how many were not 0. */
  reset(): number {
    let n = 0;
    for (const [group, entries] of this.#groups) {
      for (const { source, meta } of entries) {
        if (typeof source === 'function') continue;
        const numbers = source as Record<string, unknown>;
        for (const [name, value] of Object.entries(numbers)) {
          if (typeof value !== 'number' || value === 0 || isGauge(group, meta, name)) continue;
          numbers[name] = 0;
          n++;
        }
      }
    }
    return n;
  }

  /** The counters of drops of what came, where they are: for who watches them closely. Valid while `version` stays. */
  drops(): { readonly name: string; readonly source: Readonly<Record<string, number>>; readonly key: string }[] {
    const all = [];
    for (const [group, entries] of this.#groups) {
      for (const { source, meta } of entries) {
        if (typeof source === 'function') continue;
        const numbers = source as Record<string, number>;
        for (const key of Object.keys(numbers).filter((name) => dropOf(group, meta, name) === 'in')) {
          all.push({ name: `${group}.${key}`, source: numbers, key });
        }
      }
    }
    return all;
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

function isGauge(group: string, { gauges }: CounterMeta, name: string): boolean {
  if (gauges !== undefined) return gauges === true || gauges.includes(name);
  return counterName(group, name)?.gauge ?? false;
}

/** What a source says of itself goes before what its name says. */
function dropOf(group: string, { drops, outdrops }: CounterMeta, name: string): 'in' | 'out' | null {
  if (drops === undefined && outdrops === undefined) return counterName(group, name)?.drop ?? null;
  if (drops?.includes(name) === true) return 'in';
  return outdrops?.includes(name) === true ? 'out' : null;
}
