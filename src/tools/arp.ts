/** `arp`: shows and changes the table of neighbours, as arp(8). */
import type { Client } from '../client/client.ts';
import type { NeighRow } from '../client/types.ts';
import { addressArg, lladdrArg } from './addresses.ts';
import { attempt } from './errtext.ts';
import { type Tool, ToolError, UsageError, need, show } from './tool.ts';

/** All neighbours, or those with an address, or on an interface. */
export async function arpShow(client: Client, addr?: string, name?: string): Promise<NeighRow[]> {
  const rows = await client.table('net.neighbours');
  return rows.filter((row) => (addr === undefined || row.addr === addr) && (name === undefined || row.name === name));
}

export async function arpSet(client: Client, addr: string, lladdr: string, permanent = true): Promise<void> {
  await attempt(addr, { ENXIO: 'is on no interface', EINVAL: 'cannot be set' }, () =>
    client.ioctl('SIOCSNEIGH', { addr, lladdr, permanent }),
  );
}

export async function arpDelete(client: Client, addr: string, name?: string): Promise<void> {
  await client.ioctl('SIOCDNEIGH', { addr, ...(name === undefined ? {} : { name }) });
}

export function formatNeighbour({ addr, name, lladdr, state, expireMs }: NeighRow): string {
  const life =
    state === 'permanent' ? ' permanent' : ` ${state}${expireMs > 0 ? `, expires in ${Math.ceil(expireMs / 1000)} seconds` : ''}`;
  return `? (${addr}) at ${lladdr ?? '(incomplete)'} on ${name}${life} [ethernet]`;
}

/** `-a`, `-d`, `-s`, `-n` in any mixture, `-i IF`, and what is left. */
function readWords(words: readonly string[]): { flags: Set<string>; rest: string[]; name: string | undefined } {
  const flags = new Set<string>();
  const rest: string[] = [];
  let name: string | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === '-i') name = need(words, ++i, 'the interface');
    else if (!word.startsWith('-') || word === '-') rest.push(word);
    else {
      for (const flag of word.slice(1))
        if ('adsn'.includes(flag)) flags.add(flag);
        else throw new UsageError(`unknown option '-${flag}'; there are -a -d -i -n -s`);
    }
  }
  return { flags, rest, name };
}

export const arpTool: Tool = {
  name: 'arp',
  summary: 'show or change the table of neighbours',
  usage: '[-n] [-i IF] -a | HOST | -d HOST | -d -a | -s HOST LLADDR [temp]',
  ownDashes: true,
  async run(context, words) {
    const { client, screen } = context;
    const { flags, rest, name } = readWords(words);
    if (flags.has('s')) {
      const temp = rest[2] === 'temp';
      if (rest.length > (temp ? 3 : 2)) throw new UsageError(`'${rest[temp ? 3 : 2]}' is too much; after the address: temp`);
      await arpSet(client, addressArg(need(rest, 0, 'the host')), lladdrArg(need(rest, 1, 'the hardware address')), !temp);
      return 0;
    }
    if (flags.has('d')) {
      const rows = flags.has('a')
        ? await arpShow(client, undefined, name)
        : await arpShow(client, addressArg(need(rest, 0, 'the host')), name);
      if (rows.length === 0 && !flags.has('a')) throw new ToolError(`delete ${rest[0]}: no entry`);
      for (const row of rows) {
        await arpDelete(client, row.addr, row.name);
        if (!context.json) screen.print(`${row.addr} (${row.lladdr ?? 'incomplete'}) deleted`);
      }
      if (context.json) screen.print(JSON.stringify(rows));
      return 0;
    }
    if (!flags.has('a') && rest.length === 0) throw new UsageError('a host, or -a for all');
    if (flags.has('a') && rest[0] !== undefined) throw new UsageError(`'${rest[0]}' after -a`);
    const rows = await arpShow(client, flags.has('a') ? undefined : addressArg(need(rest, 0, 'the host')), name);
    show(context, rows, (all) => all.map(formatNeighbour).join('\n'));
    if (rows.length === 0 && !flags.has('a')) {
      screen.warn(`${rest[0]} -- no entry`);
      return 1;
    }
    return 0;
  },
};
