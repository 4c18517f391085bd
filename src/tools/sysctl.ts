/** `sysctl`: reads and writes the kernel's named values, as sysctl(8). */
import type { Client } from '../client/client.ts';
import type { SysctlRow, SysctlValue } from '../client/types.ts';
import { attempt } from './errtext.ts';
import { nearest } from './nearest.ts';
import { type Tool, ToolError, UsageError, show } from './tool.ts';

/** All values at and below a name; tables only where they are asked for by their own name. */
export async function sysctlRead(client: Client, name: string): Promise<SysctlRow[]> {
  const rows = await client.sysctlWalk(name, { tables: true });
  if (rows.length === 0) throw new ToolError(`unknown oid '${name}'${await meant(client, name)}`);
  return rows.length === 1 ? rows : rows.filter((row) => row.type !== 'table');
}

export function sysctlAll(client: Client): Promise<SysctlRow[]> {
  return client.sysctlWalk('');
}

/** Sets a value; answers the one before it. */
export async function sysctlWrite(client: Client, name: string, value: string): Promise<SysctlValue> {
  return (await client.sysctlWrite(name, value)) as SysctlValue;
}

/** What a name that does not exist may have meant: the nearest, the same end elsewhere in the tree, or the deepest node on its way. */
async function meant(client: Client, name: string): Promise<string> {
  const names = (await client.sysctlWalk('', { tables: true })).map((row) => row.name);
  const near = nearest(name, names);
  if (near !== null) return `; did you mean '${near}'?`;
  const last = name.slice(name.lastIndexOf('.') + 1);
  const same = names.filter((other) => other.endsWith(`.${last}`)).slice(0, 3);
  if (same.length > 0) return `; did you mean '${same.join("' or '")}'?`;
  for (let part = name; part.includes('.');) {
    part = part.slice(0, part.lastIndexOf('.'));
    const below = names.filter((other) => other.startsWith(`${part}.`)).length;
    if (below > 0) return `; there are ${below} names below ${part}`;
  }
  return '';
}

const text = (value: SysctlRow['value']): string =>
  typeof value === 'object' ? JSON.stringify(value) : typeof value === 'boolean' ? String(Number(value)) : String(value);

interface Options {
  readonly all?: boolean;
  readonly descriptions?: boolean;
  readonly namesOnly?: boolean;
  readonly valuesOnly?: boolean;
}

function formatRow(row: SysctlRow, { descriptions, namesOnly, valuesOnly }: Options): string {
  if (namesOnly === true) return row.name;
  const value = descriptions === true ? row.descr : text(row.value);
  return valuesOnly === true ? value : `${row.name}: ${value}`;
}

export const sysctlTool: Tool = {
  name: 'sysctl',
  summary: "read and write the kernel's values",
  usage: '[-a] [-d] [-n | -N] [NAME | NAME=VALUE] ...',
  define(command) {
    command
      .option('-a, --all', 'all values; no tables, which print by their own names')
      .option('-d, --descriptions', 'what they mean, instead of the values')
      .option('-n, --values-only', 'values without names')
      .option('-N, --names-only', 'names without values');
  },
  async run(context, words, given) {
    const { client } = context;
    const options = given as Options;
    if (options.all === true && words.length > 0) throw new UsageError(`'${words[0]}' after -a`);
    if (options.all !== true && words.length === 0) throw new UsageError('a name, NAME=VALUE, or -a for all');
    const rows: SysctlRow[] = options.all === true ? await sysctlAll(client) : [];
    const lines = rows.map((row) => formatRow(row, options));
    for (const word of words) {
      const eq = word.indexOf('=');
      const name = eq < 0 ? word : word.slice(0, eq);
      const before = await sysctlRead(client, name);
      if (eq < 0) {
        rows.push(...before);
        lines.push(...before.map((row) => formatRow(row, options)));
        continue;
      }
      const [row] = before;
      if (row === undefined || before.length > 1) throw new ToolError(`oid '${name}' isn't a leaf node`);
      if (!row.flags.startsWith('rw'))
        throw new ToolError(`oid '${name}' is read only${row.flags === 'rdtun' ? '; it is a tunable: set it at boot' : ''}`);
      const value = word.slice(eq + 1);
      const refusals = { EINVAL: `'${value}' is no value for it: ${row.descr}` };
      const old = await attempt(name, refusals, () => sysctlWrite(client, name, value));
      const [after = row] = await sysctlRead(client, name);
      rows.push(after);
      lines.push(options.valuesOnly === true ? text(after.value) : `${name}: ${text(old)} -> ${text(after.value)}`);
    }
    show(context, rows, () => lines.join('\n'));
    return 0;
  },
};
