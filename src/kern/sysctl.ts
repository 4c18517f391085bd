/**
 * The sysctl tree (sysctl(9)): named values with a type, read and written by name. A tunable takes its first value from the kernel
 * environment, once, when it is registered. A table (CTLTYPE_OPAQUE) is a list of rows that is made when somebody asks for it.
 */
import type { Log } from './effects.ts';
import { type Errno, type Result, isErrno } from './errno.ts';
import { type Kenv, parseBool, parseInteger } from './kenv.ts';
import { type Undo, once } from './undo.ts';

export type SysctlValue = number | boolean | string;

/** Read only; read and write; the same with a first value from the environment. */
export type SysctlFlags = 'rd' | 'rw' | 'rdtun' | 'rwtun';

interface LeafBase<K extends string, T> {
  /** Full name, parts joined by dots. */
  readonly name: string;
  /** What it means, with its unit. */
  readonly descr: string;
  readonly flags: SysctlFlags;
  readonly type: K;
  readonly get: () => T;
  /** Takes a value that has the right type and range; its error is the writer's. */
  readonly set?: (value: T) => Errno | null | void;
}

interface IntLeaf extends LeafBase<'int', number> {
  readonly min?: number;
  readonly max?: number;
}

interface StringLeaf extends LeafBase<'string', string> {
  /** There may be names below it, as below a node with a handler of its own. */
  readonly node?: boolean;
}

/** Rows are plain objects, fresh at each call. Read only; `read` and `walk` pass it over. */
export interface SysctlTable {
  readonly name: string;
  readonly descr: string;
  readonly flags: 'rd';
  readonly type: 'table';
  readonly get: () => readonly object[];
}

/** A leaf with a value. */
export type SysctlScalar = IntLeaf | LeafBase<'bool', boolean> | StringLeaf;
export type SysctlLeaf = SysctlScalar | SysctlTable;

/** An answer: its own object, because a `Result` never carries a plain string. */
export interface SysctlReading {
  readonly name: string;
  readonly value: SysctlValue;
  readonly descr: string;
  readonly type: SysctlScalar['type'];
  readonly flags: SysctlFlags;
}

/** Leaves of the tree. */
const MAX_LEAVES = 8192;
/** Longest string value in characters. */
const MAX_STRING = 1024;
const NAME = /^[A-Za-z0-9_%-]+(\.[A-Za-z0-9_%-]+)+$/;

/** A part of a name: a leaf, or a node with parts below it. */
interface Node {
  readonly children: Map<string, Node>;
  leaf: SysctlLeaf | null;
}

const newNode = (): Node => ({ children: new Map(), leaf: null });

export class SysctlTree {
  readonly counters = { badtunable: 0, badwrite: 0 };
  /** One line for each tunable whose value was refused; the loader shows them. */
  readonly badTunables: string[] = [];
  readonly #tuned = new Set<string>();
  readonly #root = newNode();
  readonly #kenv: Kenv;
  readonly #log: Log;
  #leaves = 0;
  /** Values that `restore` goes back to; null before `mark`. */
  #marked: Map<SysctlLeaf, SysctlValue> | null = null;

  constructor(kenv: Kenv, log: Log) {
    this.#kenv = kenv;
    this.#log = log;
  }

  /** EINVAL for a malformed leaf, EEXIST for a name in use, ENOTDIR for a name below a leaf, ENOMEM when the tree is full. */
  add(leaf: SysctlLeaf): Undo | Errno {
    if (!NAME.test(leaf.name)) return 'EINVAL';
    if (leaf.type !== 'table' && leaf.flags !== 'rd' && leaf.set === undefined) return 'EINVAL';
    if (this.#leaves >= MAX_LEAVES) return 'ENOMEM';
    const err = this.#insert(leaf);
    if (err !== null) {
      this.#log.error({ sysctl: leaf.name, err }, "can't re-use a sysctl name");
      return err;
    }
    this.#leaves++;
    if (leaf.type !== 'table') {
      if (leaf.flags === 'rdtun' || leaf.flags === 'rwtun') this.#fetch(leaf);
      if (isWritable(leaf)) this.#marked?.set(leaf, leaf.get());
    }
    return once(() => this.#remove(leaf));
  }

  #insert(leaf: SysctlLeaf): Errno | null {
    const parts = leaf.name.split('.');
    // First look, then change: a refused name must leave no empty nodes.
    let at: Node | undefined = this.#root;
    for (const part of parts) {
      if (!mayHaveChildren(at)) return 'ENOTDIR';
      at = at.children.get(part);
      if (at === undefined) break;
    }
    if (at !== undefined && (at.leaf !== null || leaf.type !== 'string' || leaf.node !== true)) return 'EEXIST';
    let node = this.#root;
    for (const part of parts) {
      let next = node.children.get(part);
      if (next === undefined) node.children.set(part, (next = newNode()));
      node = next;
    }
    node.leaf = leaf;
    return null;
  }

  #remove(leaf: SysctlLeaf): void {
    this.#marked?.delete(leaf);
    const parts = leaf.name.split('.');
    const path: Node[] = [this.#root];
    for (const part of parts) path.push((path[path.length - 1] as Node).children.get(part) as Node);
    (path[parts.length] as Node).leaf = null;
    for (let i = parts.length; i > 0; i--) {
      const node = path[i] as Node;
      if (node.leaf !== null || node.children.size > 0) break;
      (path[i - 1] as Node).children.delete(parts[i - 1] as string);
    }
    this.#leaves--;
  }

  /** A value that does not fit leaves the leaf as it was, and is kept where the loader can see it. */
  #fetch(leaf: SysctlScalar): void {
    const text = this.#kenv.get(leaf.name);
    if (text === null) return;
    this.#tuned.add(leaf.name);
    const err = assign(leaf, text);
    if (err === null) return;
    this.counters.badtunable++;
    const line = `tunable ${leaf.name}: ${JSON.stringify(text)} is refused (${err}); accepted: ${accepts(leaf)}`;
    this.badTunables.push(line);
    this.#log.error({ tunable: leaf.name, value: text, err }, line);
  }

  /** Was there a tunable of this name? The loader finds variables that nobody reads. */
  isTuned(name: string): boolean {
    return this.#tuned.has(name);
  }

  /** ENOENT for an unknown name, ENOTDIR for a path through a leaf. */
  #find(name: string): Result<Node> {
    let node = this.#root;
    for (const part of name.split('.')) {
      if (!mayHaveChildren(node)) return 'ENOTDIR';
      const next = node.children.get(part);
      if (next === undefined) return 'ENOENT';
      node = next;
    }
    return node;
  }

  /** ENOENT, ENOTDIR; EISDIR for a node. */
  find(name: string): Result<SysctlLeaf> {
    const node = this.#find(name);
    if (isErrno(node)) return node;
    return node.leaf ?? 'EISDIR';
  }

  /** ENOENT, ENOTDIR, EISDIR; EINVAL for a table. */
  read(name: string): Result<SysctlReading> {
    const leaf = this.find(name);
    if (isErrno(leaf)) return leaf;
    return leaf.type === 'table' ? 'EINVAL' : reading(leaf);
  }

  /** The rows of a table. ENOENT, ENOTDIR, EISDIR; EINVAL for what is none. */
  table(name: string): Result<readonly object[]> {
    const leaf = this.find(name);
    if (isErrno(leaf)) return leaf;
    return leaf.type === 'table' ? leaf.get() : 'EINVAL';
  }

  /**
   * Sets a value and answers the old one. A string is taken as the leaf's type. ENOENT, ENOTDIR, EISDIR; EPERM for a leaf that
   * cannot be written now; EINVAL for a wrong type or a value out of range; or what the leaf answers.
   */
  write(name: string, value: SysctlValue): Result<SysctlReading> {
    const leaf = this.find(name);
    if (isErrno(leaf)) return leaf;
    if (leaf.type === 'table' || !isWritable(leaf)) return 'EPERM';
    const old = reading(leaf);
    const err = assign(leaf, value);
    if (err === null) return old;
    this.counters.badwrite++;
    return err;
  }

  /** All values at and below `prefix` (all of them for ''), by name; empty for an unknown one. */
  walk(prefix = ''): SysctlReading[] {
    return this.leaves(prefix)
      .filter((leaf) => leaf.type !== 'table')
      .map(reading);
  }

  /** All leaves at and below `prefix`, tables too, by name. */
  leaves(prefix = ''): SysctlLeaf[] {
    const start = prefix === '' ? this.#root : this.#find(prefix);
    if (isErrno(start)) return [];
    const all: SysctlLeaf[] = [];
    const visit = (node: Node): void => {
      if (node.leaf !== null) all.push(node.leaf);
      for (const part of [...node.children.keys()].sort()) visit(node.children.get(part) as Node);
    };
    visit(start);
    return all;
  }

  /** Remembers all values that can be written, as they are now: the loader's last act. */
  mark(): void {
    const marked = (this.#marked = new Map<SysctlLeaf, SysctlValue>());
    for (const leaf of this.leaves()) if (leaf.type !== 'table' && isWritable(leaf)) marked.set(leaf, leaf.get());
  }

  /** Sets back what has changed since `mark`; returns how many values that were. One that is refused stays, with a line of log. */
  restore(): number {
    let changed = [...(this.#marked ?? [])].filter(([leaf, value]) => leaf.get() !== value);
    const total = changed.length;
    // Twice: the range of one may follow from another that comes later.
    for (let round = 0; round < 2 && changed.length > 0; round++) {
      changed = changed.filter(([leaf, value]) => leaf.type !== 'table' && assign(leaf, value) !== null);
    }
    for (const [leaf, value] of changed) this.#log.warn({ sysctl: leaf.name, value }, 'the value at start is refused now');
    return total - changed.length;
  }
}

function isWritable(leaf: SysctlScalar): boolean {
  return leaf.flags === 'rw' || leaf.flags === 'rwtun';
}

/** Names may follow a node, and a leaf that is a node as well. */
function mayHaveChildren({ leaf }: Node): boolean {
  return leaf === null || (leaf.type === 'string' && leaf.node === true);
}

function reading(leaf: SysctlScalar): SysctlReading {
  return { name: leaf.name, value: leaf.get(), descr: leaf.descr, type: leaf.type, flags: leaf.flags };
}

/** Checks type and range, and sets. */
function assign(leaf: SysctlScalar, value: SysctlValue): Errno | null {
  switch (leaf.type) {
    case 'int': {
      const n = typeof value === 'string' ? parseInteger(value) : value;
      if (typeof n !== 'number' || !Number.isSafeInteger(n)) return 'EINVAL';
      if (n < (leaf.min ?? -Infinity) || n > (leaf.max ?? Infinity)) return 'EINVAL';
      return leaf.set?.(n) ?? null;
    }
    case 'bool': {
      const b = typeof value === 'boolean' ? value : parseBool(String(value));
      if (typeof b !== 'boolean') return 'EINVAL';
      return leaf.set?.(b) ?? null;
    }
    case 'string':
      if (typeof value !== 'string' || value.length > MAX_STRING) return 'EINVAL';
      return leaf.set?.(value) ?? null;
  }
}

function accepts(leaf: SysctlScalar): string {
  if (leaf.type === 'bool') return '0, 1, true, false';
  if (leaf.type === 'string') return `a string of up to ${MAX_STRING} characters`;
  const { min, max } = leaf;
  const unit = ', with k m g t for powers of 1024';
  if (min !== undefined && max !== undefined) return `an integer from ${min} to ${max}${unit}`;
  if (min !== undefined) return `an integer from ${min}${unit}`;
  return max !== undefined ? `an integer up to ${max}${unit}` : `an integer${unit}`;
}
