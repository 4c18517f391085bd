/**
 * The kernel environment (kenv(2), getenv(9)): names and values from the loader, read by tunables at start-up.
 */
import { type Errno, type Result } from './errno.ts';

/** Longest name and value in characters. Deviation: FreeBSD's values end at 128; ours hold paths. */
export const KENV_MNAMELEN = 128;
export const KENV_MVALLEN = 1024;
/** Entries of the environment. */
export const KENV_SIZE = 512;

/** Suffixes of an integer: each is 1024 times the one before. */
const SUFFIX: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** An integer: decimal, 0x or 0 octal as strtoq(3) with base 0, one suffix of k m g t. EINVAL otherwise, or beyond 2^53. */
export function parseInteger(text: string): Result<number> {
  const match = /^\s*([+-]?)(0x[0-9a-f]+|\d+)([kmgt]?)\s*$/i.exec(text);
  if (match === null) return 'EINVAL';
  const [, sign, digits = '', suffix = ''] = match;
  const octal = /^0\d/.test(digits);
  if (octal && /[89]/.test(digits)) return 'EINVAL';
  const magnitude = Number(octal ? `0o${digits.slice(1)}` : digits) * (SUFFIX[suffix.toLowerCase()] ?? 1);
  if (!Number.isSafeInteger(magnitude)) return 'EINVAL';
  return sign === '-' && magnitude !== 0 ? -magnitude : magnitude;
}

/** 1, 0, true, false in any case. EINVAL otherwise. */
export function parseBool(text: string): Result<boolean> {
  const word = text.trim().toLowerCase();
  if (word === '1' || word === 'true') return true;
  return word === '0' || word === 'false' ? false : 'EINVAL';
}

export class Kenv {
  readonly #vars = new Map<string, string>();

  constructor(initial: Readonly<Record<string, string>> = {}) {
    for (const [name, value] of Object.entries(initial)) this.#vars.set(name, value);
  }

  get(name: string): string | null {
    return this.#vars.get(name) ?? null;
  }

  /** ENAMETOOLONG, EINVAL for an empty name or a value that is too long, ENOSPC when the environment is full. */
  set(name: string, value: string): Errno | null {
    if (name.length > KENV_MNAMELEN) return 'ENAMETOOLONG';
    if (name === '' || /[\s=]/.test(name) || value.length > KENV_MVALLEN) return 'EINVAL';
    if (!this.#vars.has(name) && this.#vars.size >= KENV_SIZE) return 'ENOSPC';
    this.#vars.set(name, value);
    return null;
  }

  /** ENOENT when there is no such name. */
  unset(name: string): Errno | null {
    return this.#vars.delete(name) ? null : 'ENOENT';
  }

  /** All names and values, by name. */
  dump(): [name: string, value: string][] {
    return [...this.#vars].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** ENOENT when unset, EINVAL when it is no integer. */
  getInt(name: string): Result<number> {
    const text = this.#vars.get(name);
    return text === undefined ? 'ENOENT' : parseInteger(text);
  }

  /** ENOENT when unset, EINVAL when it is no boolean. */
  getBool(name: string): Result<boolean> {
    const text = this.#vars.get(name);
    return text === undefined ? 'ENOENT' : parseBool(text);
  }
}
