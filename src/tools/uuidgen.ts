/** `uuidgen`: universally unique identifiers of the kernel, as uuidgen(1). */
import type { Client } from '../client/client.ts';
import { type Tool, UsageError, show, wholeNumber } from './tool.ts';

/** Time-based identifiers (RFC 9562 version 1) from the kernel's sources, in order. */
export async function uuidgen(client: Client, count = 1): Promise<string[]> {
  return (await client.call('uuidgen', count)) as string[];
}

export const uuidgenTool: Tool = {
  name: 'uuidgen',
  summary: 'make universally unique identifiers',
  usage: '[-n COUNT]',
  define(command) {
    command.option('-n, --count <count>', 'how many', '1');
  },
  async run(context, words, { count }) {
    if (words[0] !== undefined) throw new UsageError(`'${words[0]}' is too much: there are options only`);
    show(context, await uuidgen(context.client, wholeNumber(String(count), 'a count', 1, 2048)), (uuids) => uuids.join('\n'));
    return 0;
  },
};
