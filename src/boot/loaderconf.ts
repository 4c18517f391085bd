/**
 * A loader.conf(5) file: lines `name="value"`, comments after `#`. `NAME_load="YES"` loads a module, and `NAME_name="./file.js"` says
 * from where; a name with a dot is a tunable; every other name is an option of the loader, with `_` for `-`.
 */
import { BootFailure } from './failure.ts';

export interface ConfLine {
  readonly name: string;
  readonly value: string;
  /** `netmod.conf:3`, for messages. */
  readonly where: string;
}

/** A module to load, in the order of the file. */
export interface ModuleRequest {
  readonly name: string;
  /** Path or package; null for a module that comes with the loader. */
  readonly from: string | null;
  readonly where: string;
}

export interface LoaderConf {
  readonly options: readonly ConfLine[];
  readonly tunables: readonly ConfLine[];
  readonly modules: readonly ModuleRequest[];
}

const LINE = /^([A-Za-z_][\w.%-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"#]*))\s*(?:#.*)?$/;

/** Throws a `BootFailure` for a line that cannot be read. */
export function parseLoaderConf(text: string, file: string): LoaderConf {
  const options: ConfLine[] = [];
  const tunables: ConfLine[] = [];
  const loads: ConfLine[] = [];
  const names = new Map<string, string>();
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const match = LINE.exec(line);
    const where = `${file}:${i + 1}`;
    if (match === null) throw new BootFailure(2, `${where}: a line is name="value", or a comment after #`);
    const [, name = '', quoted, bare] = match;
    const value = quoted === undefined ? (bare ?? '') : quoted.replace(/\\(.)/g, '$1');
    const entry = { name, value, where };
    if (name.endsWith('_load')) loads.push(entry);
    else if (name.endsWith('_name')) names.set(name.slice(0, -'_name'.length), value);
    else if (name.includes('.')) tunables.push(entry);
    else options.push(entry);
  }
  return { options, tunables, modules: modulesOf(loads, names) };
}

function modulesOf(loads: readonly ConfLine[], names: Map<string, string>): ModuleRequest[] {
  const modules: ModuleRequest[] = [];
  for (const { name, value, where } of loads) {
    if (!/^(yes|no)$/i.test(value)) throw new BootFailure(2, `${where}: ${name} must be "YES" or "NO"`);
    const module = name.slice(0, -'_load'.length);
    if (/^yes$/i.test(value)) modules.push({ name: module, from: names.get(module) ?? null, where });
    names.delete(module);
  }
  for (const name of names.keys()) throw new BootFailure(2, `${name}_name without ${name}_load="YES"`);
  return modules;
}
