/**
 * The sysctl tree (sysctl(9)): named values with a type, read and written by name. A tunable takes its first value from the kernel
 * environment, once, when it is registered.
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

export type SysctlLeaf = IntLeaf | LeafBase<'bool', boolean> | LeafBase<'string', string>;

/** An answer: its own object, because a `Result` never carries a plain string. */
export interface SysctlReading {
  readonly name: string;
  readonly value: SysctlValue;
  readonly descr: string;
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

  constructor(kenv: Kenv, log: Log) {
    this.#kenv = kenv;
    this.#log = log;
  }

  /** EINVAL for a malformed leaf, EEXIST for a name in use, ENOTDIR for a name below a leaf, ENOMEM when the tree is full. */
  add(leaf: SysctlLeaf): Undo | Errno {
    const writable = leaf.flags !== 'rd';
    if (!NAME.test(leaf.name) || (writable && leaf.set === undefined)) return 'EINVAL';
    if (this.#leaves >= MAX_LEAVES) return 'ENOMEM';
    const err = this.#insert(leaf);
    if (err !== null) {
      this.#log.error({ sysctl: leaf.name, err }, "can't re-use a sysctl name");
      return err;
    }
    this.#leaves++;
    if (leaf.flags === 'rdtun' || leaf.flags === 'rwtun') this.#fetch(leaf);
    return once(() => this.#remove(leaf.name));
  }

  #insert(leaf: SysctlLeaf): Errno | null {
    const parts = leaf.name.split('.');
    // First look, then change: a refused name must leave no empty nodes.
    let at: Node | undefined = this.#root;
    for (const part of parts) {
      if (at.leaf !== null) return 'ENOTDIR';
      at = at.children.get(part);
      if (at === undefined) break;
    }
    if (at !== undefined) return 'EEXIST';
    let node = this.#root;
    for (const part of parts) {
      let next = node.children.get(part);
      if (next === undefined) node.children.set(part, (next = newNode()));
      node = next;
    }
    node.leaf = leaf;
    return null;
  }

  #remove(name: string): void {
    const parts = name.split('.');
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
  #fetch(leaf: SysctlLeaf): void {
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
      if (node.leaf !== null) return 'ENOTDIR';
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

  /** ENOENT, ENOTDIR, EISDIR. */
  read(name: string): Result<SysctlReading> {
    const leaf = this.find(name);
    return isErrno(leaf) ? leaf : reading(leaf);
  }

  /**
   * Sets a value and answers the old one. A string is taken as the leaf's type. ENOENT, ENOTDIR, EISDIR; EPERM for a leaf that
   * cannot be written now; EINVAL for a wrong type or a value out of range; or what the leaf answers.
   */
  write(name: string, value: SysctlValue): Result<SysctlReading> {
    const leaf = this.find(name);
    if (isErrno(leaf)) return leaf;
    if (leaf.flags === 'rd' || leaf.flags === 'rdtun') return 'EPERM';
    const old = reading(leaf);
    const err = assign(leaf, value);
    if (err === null) return old;
    this.counters.badwrite++;
    return err;
  }

  /** All values at and below `prefix` (all of them for ''), by name; empty for an unknown one. */
  walk(prefix = ''): SysctlReading[] {
    const start = prefix === '' ? this.#root : this.#find(prefix);
    if (isErrno(start)) return [];
    const all: SysctlReading[] = [];
    const visit = (node: Node): void => {
      if (node.leaf !== null) all.push(reading(node.leaf));
      for (const part of [...node.children.keys()].sort()) visit(node.children.get(part) as Node);
    };
    visit(start);
    return all;
  }
}

function reading(leaf: SysctlLeaf): SysctlReading {
  return { name: leaf.name, value: leaf.get(), descr: leaf.descr };
}

/** Checks type and range, and sets. */
function assign(leaf: SysctlLeaf, value: SysctlValue): Errno | null {
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

function accepts(leaf: SysctlLeaf): string {
  if (leaf.type === 'bool') return '0, 1, true, false';
  if (leaf.type === 'string') return `a string of up to ${MAX_STRING} characters`;
  const { min, max } = leaf;
  const unit = ', with k m g t for powers of 1024';
  if (min !== undefined && max !== undefined) return `an integer from ${min} to ${max}${unit}`;
  if (min !== undefined) return `an integer from ${min}${unit}`;
  return max !== undefined ? `an integer up to ${max}${unit}` : `an integer${unit}`;
}
