/** `kldstat`, `kldload`, `kldunload`: modules of the running kernel, as kldstat(8), kldload(8), kldunload(8). */
import path from 'node:path';
import { type Client, ControlError } from '../client/client.ts';
import type { ModuleRow } from '../client/types.ts';
import { columns } from './columns.ts';
import { nearest } from './nearest.ts';
import { type Tool, ToolError, UsageError, need, show } from './tool.ts';

export const kldstat = (client: Client): Promise<ModuleRow[]> => client.table('kern.modules_table');

export function formatModules(rows: readonly ModuleRow[]): string {
  return columns(
    [{ head: 'Id', right: true }, { head: 'Refs', right: true }, { head: 'Version', right: true }, 'Name', 'Held by'],
    rows.map((row) => [String(row.id), String(row.refs), String(row.version), row.name, row.holders.join(' ')]),
  );
}

export const kldstatTool: Tool = {
  name: 'kldstat',
  summary: 'list the modules, the stack among them',
  usage: '[-n NAME] [-q] [-v]',
  define(command) {
    command
      .option('-n, --name <name>', 'this module only')
      .option('-q, --quiet', 'nothing is printed: is it there?')
      .option('-v, --verbose', 'all there is to say, as always');
  },
  async run(context, words, { name, quiet }) {
    if (words[0] !== undefined) throw new UsageError(`'${words[0]}' is too much: there are options only`);
    const all = await kldstat(context.client);
    const rows = name === undefined ? all : all.filter((row) => row.name === name);
    if (rows.length === 0) {
      if (quiet === true) return 1;
      const meant = nearest(
        String(name),
        all.map((row) => row.name),
      );
      throw new ToolError(`module ${String(name)} is not loaded${meant === null ? '' : `; did you mean '${meant}'?`}`);
    }
    if (quiet !== true) show(context, rows, formatModules);
    return 0;
  },
};

export const kldloadTool: Tool = {
  name: 'kldload',
  summary: 'load a module: a name, a path, or a package',
  usage: '[-n] [-v] MODULE ...',
  define(command) {
    command.option('-n, --if-needed', 'one that is loaded already is no error').option('-v, --verbose', 'tell what was loaded');
  },
  async run(context, words, { ifNeeded, verbose }) {
    need(words, 0, 'the module');
    for (const word of words) {
      try {
        // A path is meant from here, not from where the boot was started.
        const module = await context.client.kldload(/^\.{0,2}\//.test(word) ? path.resolve(word) : word);
        if (verbose === true || context.json) show(context, module, ({ name, id }) => `Loaded ${name}, id=${id}`);
      } catch (error) {
        if (!(ifNeeded === true && error instanceof ControlError && error.code === 'EEXIST')) throw error;
      }
    }
    return 0;
  },
};

export const kldunloadTool: Tool = {
  name: 'kldunload',
  summary: 'unload a module that nobody holds',
  usage: '[-f] [-v] MODULE|ID ...',
  define(command) {
    command
      .option('-f, --force', 'also when it would rather stay; never when somebody holds it')
      .option('-v, --verbose', 'tell what is unloaded');
  },
  async run(context, words, options) {
    need(words, 0, 'the module');
    for (const word of words) {
      await context.client.kldunload(/^\d+$/.test(word) ? Number(word) : word, options.force === true);
      if (options.verbose === true || context.json) show(context, { unloaded: word }, () => `Unloaded ${word}`);
    }
    return 0;
  },
};
