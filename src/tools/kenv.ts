/** `kenv`: the kernel environment that the loader made, as kenv(1). */
import { type Client, ControlError } from '../client/client.ts';
import { type Tool, UsageError, show } from './tool.ts';

/** All variables. */
export function kenvDump(client: Client): Promise<[name: string, value: string][]> {
  return client.kenvDump();
}

/** A variable's value; null where there is none. */
export async function kenvGet(client: Client, name: string): Promise<string | null> {
  try {
    return await client.kenvGet(name);
  } catch (error) {
    if (error instanceof ControlError && error.code === 'ENOENT') return null;
    throw error;
  }
}

const format = (pairs: readonly (readonly [string, string])[]): string =>
  pairs.map(([name, value]) => `${name}="${value}"`).join('\n');

export const kenvTool: Tool = {
  name: 'kenv',
  summary: 'show or change the kernel environment',
  usage: '[-q] [-N] [NAME | NAME=VALUE | -u NAME]',
  define(command) {
    command
      .option('-u, --unset', 'forget the variable')
      .option('-N, --names-only', 'names without values')
      .option('-q, --quiet', 'no message about a variable that is not there');
  },
  async run(context, words, { unset, namesOnly, quiet }) {
    const { client, screen } = context;
    const [word] = words;
    if (words.length > 1) throw new UsageError(`'${words[1]}' is too much: one variable at a time`);
    if (word === undefined) {
      if (unset === true) throw new UsageError('-u takes the name of a variable');
      const pairs = await kenvDump(client);
      show(context, Object.fromEntries(pairs), () =>
        namesOnly === true ? pairs.map(([name]) => name).join('\n') : format(pairs),
      );
      return 0;
    }
    const eq = word.indexOf('=');
    if (unset === true) await client.kenvUnset(word);
    else if (eq >= 0) {
      const [name, value] = [word.slice(0, eq), word.slice(eq + 1).replace(/^"(.*)"$/, '$1')];
      await client.kenvSet(name, value);
      show(context, { [name]: value }, () => format([[name, value]]));
    } else {
      const value = await kenvGet(client, word);
      if (value === null) {
        if (quiet !== true) screen.warn(`netmod kenv: unable to get ${word}`);
        return 1;
      }
      show(context, { [word]: value }, () => value);
    }
    return 0;
  },
};
