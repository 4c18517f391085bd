/**
 * Levels of the log by subsystem, changeable at run time: `info`, or `SUBSYS=LEVEL,...`, or both (`warn,tcp=debug`).
 */
import type { LogLevel } from './effects.ts';

/** From chatty to terse; a level includes those behind it. `silent` shows nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogThreshold = LogLevel | 'silent';

export interface LogSpec {
  /** Level of what is not named; null leaves it as it is. */
  readonly level: LogThreshold | null;
  readonly subsystems: ReadonlyMap<string, LogThreshold>;
}

export function isThreshold(word: string): word is LogThreshold {
  return (LOG_LEVELS as readonly string[]).includes(word);
}

/** Reads a specification; on a mistake a sentence that says what is accepted. */
export function parseLogSpec(text: string): LogSpec | { readonly error: string } {
  let level: LogThreshold | null = null;
  const subsystems = new Map<string, LogThreshold>();
  for (const part of text.split(',').map((word) => word.trim())) {
    const [first = '', second, ...more] = part.split('=');
    const word = (second ?? first).toLowerCase();
    if (!isThreshold(word) || more.length > 0 || (second !== undefined && !/^[\w.-]+$/.test(first))) {
      return { error: `bad log level '${part}': LEVEL or SUBSYS=LEVEL, levels ${LOG_LEVELS.join(' ')}` };
    }
    if (second === undefined) level = word;
    else subsystems.set(first, word);
  }
  return { level, subsystems };
}

/** Levels in force, shared by all logs of a kernel. */
export class LogLevels {
  /** Changes with every change of a level, so that a log may keep what it looked up. */
  version = 0;
  /** Told of each subsystem when its log is first made. */
  onName: (name: string) => void = () => undefined;
  readonly #names = new Set<string>();
  #level: LogThreshold;
  readonly #subsystems = new Map<string, LogThreshold>();

  constructor(level: LogThreshold = 'info') {
    this.#level = level;
  }

  apply(spec: LogSpec): void {
    this.version++;
    if (spec.level !== null) this.#level = spec.level;
    for (const [name, level] of spec.subsystems) this.#subsystems.set(name, level);
  }

  /** A subsystem has a log: its level can be set by name. */
  addName(name: string): void {
    if (name === '' || this.#names.has(name)) return;
    this.#names.add(name);
    this.onName(name);
  }

  /** Subsystems that have a log, by name. */
  names(): string[] {
    return [...this.#names].sort();
  }

  /** Own level of a subsystem; null where it has that of its parent. */
  levelOf(name: string): LogThreshold | null {
    return this.#subsystems.get(name) ?? null;
  }

  /** Gives a subsystem a level of its own, or with null takes it away. */
  setLevel(name: string, level: LogThreshold | null): void {
    this.version++;
    if (level === null) this.#subsystems.delete(name);
    else this.#subsystems.set(name, level);
  }

  /** As text that `parseLogSpec` reads. */
  describe(): string {
    return [this.#level, ...[...this.#subsystems].map(([name, level]) => `${name}=${level}`)].join(',');
  }

  /** Rank of the level of a subsystem; `a.b` takes that of `a` unless it has its own, `` has the general one. */
  rankOf(subsystem: string): number {
    for (let name = subsystem; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
      const level = this.#subsystems.get(name);
      if (level !== undefined) return LOG_LEVELS.indexOf(level);
    }
    return LOG_LEVELS.indexOf(this.#level);
  }
}

/** Base of a log: decides whether a line is written; `write` does it. */
export abstract class LeveledLog {
  readonly subsystem: string;
  readonly levels: LogLevels;
  #version = -1;
  #rank = 0;

  constructor(subsystem: string, levels: LogLevels) {
    this.subsystem = subsystem;
    this.levels = levels;
    levels.addName(subsystem);
  }

  abstract write(level: LogLevel, fields: object, msg: string): void;

  enabled(level: LogLevel): boolean {
    if (this.#version !== this.levels.version) {
      this.#version = this.levels.version;
      this.#rank = this.levels.rankOf(this.subsystem);
    }
    return LOG_LEVELS.indexOf(level) >= this.#rank;
  }
  trace(fields: object, msg: string): void {
    if (this.enabled('trace')) this.write('trace', fields, msg);
  }
  debug(fields: object, msg: string): void {
    if (this.enabled('debug')) this.write('debug', fields, msg);
  }
  info(fields: object, msg: string): void {
    if (this.enabled('info')) this.write('info', fields, msg);
  }
  warn(fields: object, msg: string): void {
    if (this.enabled('warn')) this.write('warn', fields, msg);
  }
  error(fields: object, msg: string): void {
    if (this.enabled('error')) this.write('error', fields, msg);
  }

  /** Name of a subsystem of this one. */
  childName(name: string): string {
    return this.subsystem === '' ? name : `${this.subsystem}.${name}`;
  }
}
