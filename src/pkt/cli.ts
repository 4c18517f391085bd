/**
 * The command `netmod-pkt file.pkt ... --stack=inet`: runs packetdrill scripts in virtual time. Exit status 0: all passed or were skipped;
 * 1: a script failed, told of as file:line, what was expected and what came; 2: a script or an option cannot be read.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { KERN_CONTRACT, type ModuleSpec } from '../kern/module.ts';
import { type RunOptions, runScript } from './run.ts';
import { ScriptError } from './source.ts';

const USAGE = `usage: netmod-pkt FILE.pkt ... [--stack=inet|alt|PATH] [--seed=N] [--iss=N] [--irs=N] [--quiet]
Runs packetdrill scripts against a stack in virtual time; - is standard input. Default: --stack=inet.
--seed decides the stack's keys, ports and numbers; --iss its first initial sequence number; --irs is added to the script's own.
Exit status 0: all passed or were skipped; 1: one failed; 2: one, or an option, cannot be read.`;

interface Options {
  readonly files: readonly string[];
  readonly stack: string;
  readonly numbers: Pick<RunOptions, 'seed' | 'iss' | 'irs'>;
  readonly quiet: boolean;
}

class UsageError extends Error {}

/** Where lines go. */
export interface Printer {
  out(line: string): void;
  err(line: string): void;
}

function readOptions(argv: readonly string[]): Options {
  const files: string[] = [];
  let stack = 'inet';
  const numbers: { seed?: number; iss?: number; irs?: number } = {};
  let quiet = false;
  for (const arg of argv) {
    const [, name, value] = /^--([a-z]+)(?:=(.*))?$/.exec(arg) ?? [];
    if (name === undefined && (arg === '-' || !arg.startsWith('-'))) files.push(arg);
    else if (name === 'stack' && value !== undefined && value !== '') stack = value;
    else if ((name === 'seed' || name === 'iss' || name === 'irs') && isU32(value)) numbers[name] = Number(value);
    else if (name === 'quiet' && value === undefined) quiet = true;
    else throw new UsageError(`unknown or incomplete option '${arg}'\n${USAGE}`);
  }
  if (files.length === 0) throw new UsageError(USAGE);
  return { files, stack, numbers, quiet };
}

function isU32(value: string | undefined): boolean {
  return /^\d{1,10}$/.test(value ?? '') && Number(value) < 2 ** 32;
}

async function loadStack(name: string): Promise<ModuleSpec> {
  if (name === 'inet') return (await import('../stacks/inet/module.ts')).netmodModule;
  if (name === 'alt') return (await import('../stacks/alt/module.ts')).netmodModule;
  if (!/[./]/.test(name))
    throw new UsageError(`unknown stack '${name}'; there are inet and alt, or give a module's path (./stack.js)`);
  let module: { netmodModule?: Partial<ModuleSpec> };
  try {
    module = (await import(pathToFileURL(path.resolve(name)).href)) as typeof module;
  } catch (error) {
    throw new UsageError(`cannot load '${name}': ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }
  const spec = module.netmodModule;
  if (typeof spec?.create !== 'function' || spec.contract !== KERN_CONTRACT) {
    throw new UsageError(`'${name}' exports no netmodModule for contract ${KERN_CONTRACT} of the kernel`);
  }
  return spec as ModuleSpec;
}

async function runFile(file: string, stack: ModuleSpec, options: Options, print: Printer): Promise<number> {
  try {
    const text = read(file);
    const result = await runScript(file, text, { stack, stackName: options.stack, ...options.numbers });
    if (result.kind === 'skipped') {
      if (!options.quiet) print.out(`skip ${file}: ${result.reason}`);
      return 0;
    }
    for (const warning of result.warnings) print.err(`warning: ${warning}`);
    if (result.kind === 'failed') {
      print.err(`FAIL ${result.message}`);
      return 1;
    }
    if (!options.quiet) print.out(`ok   ${file}`);
    return 0;
  } catch (error) {
    if (error instanceof ScriptError) {
      print.err(error.message);
      return 2;
    }
    // The stack's, or ours: the other files are still to be run.
    print.err(`FAIL ${file}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return 1;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new ScriptError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The exit status. */
export async function pktMain(argv: readonly string[], print: Printer): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    print.out(USAGE);
    return 0;
  }
  try {
    const options = readOptions(argv);
    const stack = await loadStack(options.stack);
    let status = 0;
    for (const file of options.files) status = Math.max(status, await runFile(file, stack, options, print));
    return status;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    print.err(error.message);
    return 2;
  }
}
