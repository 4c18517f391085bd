/**
 * Modules by name. This is the one place that knows where stacks and drivers live; everything else names them. A stack of somebody
 * else's is a path or a package that exports `netmodModule`.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { KERN_CONTRACT, type KernFailure, type ModuleSpec } from '../kern/module.ts';
import { drivers } from '../driver/registry.ts';
import type { DriverSpec } from '../driver/driver.ts';
import { BootFailure, didYouMean } from './failure.ts';
import type { ModuleRequest } from './loaderconf.ts';

type Importer = () => Promise<object>;

const STACKS: Readonly<Record<string, Importer>> = {
  inet: () => import('../stacks/inet/module.ts'),
  alt: () => import('../stacks/alt/module.ts'),
};

/** Modules of the kernel itself, which are always there: a file that loads them is not wrong. */
const BUILT_IN: readonly string[] = ['accf_data', 'accf_dns', 'accf_http', 'accf_tls', 'if_lo', 'if_tap'];

const STACK_NAMES: readonly string[] = [...Object.keys(STACKS), 'none'];
const STACK_PREFIX = 'netstack_';

/** Is this a place rather than a name? */
function isPath(name: string): boolean {
  return name.startsWith('.') || name.includes('/') || path.isAbsolute(name);
}

/** The module of a stack by name, path or package; null for none. */
export async function findStack(name: string): Promise<ModuleSpec | null> {
  if (name === 'none') return null;
  const builtIn = Object.hasOwn(STACKS, name) ? STACKS[name] : undefined;
  if (builtIn !== undefined) return specOf(await builtIn(), name);
  if (!isPath(name) && !isPackage(name)) {
    const names = STACK_NAMES.join(', ');
    throw new BootFailure(
      2,
      `unknown stack '${name}'; there are ${names}, or give a module's path (./stack.js) or package${didYouMean(name, STACK_NAMES)}`,
    );
  }
  const spec = await importSpec(name, '--stack');
  if (!spec.name.startsWith(STACK_PREFIX))
    throw new BootFailure(2, `--stack: module ${spec.name} in ${name} is not a ${STACK_PREFIX}<name>`);
  return spec;
}

/** A module that a loader.conf asks for; null for one that is part of the kernel. */
export async function findModule({ name, from, where }: ModuleRequest): Promise<ModuleSpec | null> {
  if (from !== null) {
    const spec = await importSpec(from, where);
    if (spec.name !== name) throw new BootFailure(2, `${where}: ${from} is module ${spec.name}, not ${name}`);
    return spec;
  }
  if (BUILT_IN.includes(name)) return null;
  const stack = name.startsWith(STACK_PREFIX) ? name.slice(STACK_PREFIX.length) : '';
  const builtIn = Object.hasOwn(STACKS, stack) ? STACKS[stack] : undefined;
  if (builtIn !== undefined) return specOf(await builtIn(), name);
  const names = [...Object.keys(STACKS).map((other) => `${STACK_PREFIX}${other}`), ...BUILT_IN];
  throw new BootFailure(
    2,
    `${where}: unknown module ${name}; there are ${names.join(', ')}, or say where it is with ${name}_name="./file.js"`,
  );
}

/** What kldload(2) is given: a module by name, path or package. ENOENT: there is none; EEXIST: it is part of the kernel; ENOEXEC: it is none. */
export async function findForKldload(name: string): Promise<ModuleSpec | KernFailure> {
  if (BUILT_IN.includes(name)) return { err: 'EEXIST', message: `${name} is part of the kernel` };
  const stack = name.startsWith(STACK_PREFIX) ? name.slice(STACK_PREFIX.length) : name;
  const builtIn = Object.hasOwn(STACKS, stack) ? STACKS[stack] : undefined;
  if (builtIn !== undefined) return specOf(await builtIn(), name);
  if (!isPath(name) && !isPackage(name)) {
    const names = [...Object.keys(STACKS).map((other) => `${STACK_PREFIX}${other}`), ...BUILT_IN];
    return { err: 'ENOENT', message: `there is no module ${name}${didYouMean(name, names)}` };
  }
  try {
    return await importSpec(name, 'kldload');
  } catch (error) {
    if (!(error instanceof BootFailure)) throw error;
    const gone = isPath(name) && !fs.existsSync(path.resolve(name));
    return { err: gone ? 'ENOENT' : 'ENOEXEC', message: error.message };
  }
}

/** Can the package be found from the working directory? */
function isPackage(name: string): boolean {
  return resolvePackage(name) !== null;
}

function resolvePackage(name: string): string | null {
  try {
    return createRequire(path.join(process.cwd(), 'loader.js')).resolve(name);
  } catch (error) {
    // A package that is there for `import` alone is found by import itself.
    return error instanceof Error && 'code' in error && error.code === 'ERR_PACKAGE_PATH_NOT_EXPORTED' ? name : null;
  }
}

async function importSpec(name: string, where: string): Promise<ModuleSpec> {
  const file = isPath(name) ? path.resolve(name) : resolvePackage(name);
  let exports: object;
  try {
    exports = (await import(file !== null && path.isAbsolute(file) ? pathToFileURL(file).href : name)) as object;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new BootFailure(2, `${where}: cannot load '${name}': ${reason}`);
  }
  return specOf(exports, name);
}

/** What a module exports, checked as far as the kernel would need it. */
function specOf(exports: object, name: string): ModuleSpec {
  const spec = (exports as { netmodModule?: unknown }).netmodModule;
  if (typeof spec !== 'object' || spec === null)
    throw new BootFailure(2, `'${name}' exports no netmodModule, so it is no module of this kernel`);
  const { name: moduleName, version, contract, create } = spec as Partial<ModuleSpec>;
  if (typeof moduleName !== 'string' || typeof version !== 'number' || typeof create !== 'function') {
    throw new BootFailure(2, `the netmodModule of '${name}' lacks a name, a version or a create function`);
  }
  if (contract !== KERN_CONTRACT) {
    throw new BootFailure(
      2,
      `module ${moduleName} was built for contract ${String(contract)} of the kernel; this one has ${KERN_CONTRACT}`,
    );
  }
  return spec as ModuleSpec;
}

export function findDriver(name: string): DriverSpec {
  const known: Readonly<Record<string, DriverSpec>> = drivers;
  const driver = Object.hasOwn(known, name) ? known[name] : undefined;
  if (driver !== undefined) return driver;
  const names = Object.keys(known);
  throw new BootFailure(2, `unknown driver '${name}'; there are ${names.join(', ')}${didYouMean(name, names)}`);
}
