/** `ifconfig`: shows and configures interfaces, as ifconfig(8). */
import type { Client } from '../client/client.ts';
import type { IfRow } from '../client/types.ts';
import { addressArg, fullLength, lladdrArg, netmaskArg, netmaskText, prefixArg } from './addresses.ts';
import { attempt } from './errtext.ts';
import { unknown } from './nearest.ts';
import { ToolError, type Tool, type ToolContext, UsageError, need, show, wholeNumber } from './tool.ts';

/** All interfaces, or one. ENXIO as a sentence. */
export async function ifconfigShow(client: Client, name?: string): Promise<IfRow[]> {
  const all = await client.table('net.iflist');
  if (name === undefined) return all;
  const found = all.filter((row) => row.name === name);
  if (found.length === 0) {
    throw new ToolError(`interface ${name} does not exist; there are ${all.map((row) => row.name).join(' ') || 'none'}`);
  }
  return found;
}

/** An interface as ifconfig(8) shows it. */
export function formatInterface(row: IfRow): string {
  const lines = [`${row.name}: flags=${row.flags.toString(16)}<${row.flagNames.join(',')}> metric 0 mtu ${row.mtu}`];
  if (row.description !== null && row.description !== '') lines.push(`description: ${row.description}`);
  if (row.capenable !== 0) lines.push(`options=${row.capenable.toString(16)}<${row.capNames.join(',')}>`);
  if (row.lladdr !== null) lines.push(`ether ${row.lladdr}`);
  for (const { addr, prefixLen, broadcast, dst, state } of row.addrs) {
    if (addr.includes(':')) lines.push(`inet6 ${addr} prefixlen ${prefixLen}`);
    else {
      const peer = dst === undefined ? '' : ` --> ${dst}`;
      const bcast = broadcast === undefined ? '' : ` broadcast ${broadcast}`;
      const dad = state === undefined ? '' : ` ${state}`;
      lines.push(`inet ${addr}${peer} netmask ${netmaskText(prefixLen)}${bcast}${dad}`);
    }
  }
  if (row.fib !== 0) lines.push(`fib: ${row.fib}`);
  if (row.status !== '') lines.push(`status: ${row.status}`);
  return lines.join('\n\t');
}

const IFF_UP = 0x1;
/** Words that set a flag, and with a dash take it away (net/if.h). */
const FLAG_WORDS: Readonly<Record<string, { bit: number; inverted?: true }>> = {
  debug: { bit: 0x4 },
  arp: { bit: 0x80, inverted: true },
  link0: { bit: 0x1000 },
  link1: { bit: 0x2000 },
  link2: { bit: 0x4000 },
  promisc: { bit: 0x20000 },
  monitor: { bit: 0x40000 },
  staticarp: { bit: 0x80000 },
};
/** Words that enable a capability, and with a dash disable it. */
const CAP_WORDS: Readonly<Record<string, number>> = {
  rxcsum: 0x1,
  txcsum: 0x2,
  tso4: 0x100,
  tso6: 0x200,
  tso: 0x300,
  lro: 0x400,
  rxcsum6: 0x200000,
  txcsum6: 0x400000,
};
const WORDS: readonly string[] =
  'up down mtu inet alias -alias delete netmask broadcast ether name description -description fib create destroy'.split(' ');

async function changeFlags(client: Client, name: string, set: number, clear: number): Promise<void> {
  const { flags } = (await client.ioctl('SIOCGIFFLAGS', { name })) as { flags: number };
  await client.ioctl('SIOCSIFFLAGS', { name, flags: (flags | set) & ~clear });
}

async function changeCaps(client: Client, name: string, bits: number, on: boolean): Promise<void> {
  const { reqcap, curcap } = (await client.ioctl('SIOCGIFCAP', { name })) as { reqcap: number; curcap: number };
  // `tso` means those of tso4 and tso6 that there are.
  const wanted = bits & reqcap;
  if (on && wanted === 0) throw new ToolError(`${name} cannot do that: its link does not offer it`);
  await client.ioctl('SIOCSIFCAP', { name, reqcap: on ? curcap | wanted : curcap & ~bits });
}

interface AddressWords {
  addr: string;
  prefixLen: number;
  broadcast?: string;
  dst?: string;
  remove: boolean;
}

/** An address and what belongs to it: `10.0.0.3/24 broadcast 10.0.0.255 alias`; answers how many words it took. */
function readAddress(words: readonly string[], start: number): { words: number; address: AddressWords } {
  const prefix = prefixArg(need(words, start, 'an address'));
  const address: AddressWords = {
    addr: prefix.addr,
    prefixLen: prefix.stated ? prefix.prefixLen : classLength(prefix.addr),
    remove: false,
  };
  let at = start + 1;
  for (; at < words.length; at++) {
    const word = words[at];
    if (word === 'netmask') address.prefixLen = netmaskArg(need(words, ++at, 'the netmask'));
    else if (word === 'prefixlen') {
      address.prefixLen = wholeNumber(need(words, ++at, 'the prefix length'), 'a prefix length', 0, fullLength(address.addr));
    } else if (word === 'broadcast') address.broadcast = addressArg(need(words, ++at, 'the broadcast address'));
    else if (word === 'delete' || word === '-alias' || word === 'remove') address.remove = true;
    else if (word !== 'alias' && word !== 'add') {
      if (word === undefined || !/^\d+(\.\d+){3}$/.test(word)) break;
      address.dst = addressArg(word);
    }
  }
  return { words: at - start, address };
}

/** The historical default of ifconfig(8): the mask of the address's class. */
function classLength(addr: string): number {
  if (addr.includes(':')) return 64;
  const first = Number(addr.slice(0, addr.indexOf('.')));
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

async function applyAddress(client: Client, name: string, { remove, ...address }: AddressWords): Promise<void> {
  const what = `${name} ${address.addr}`;
  if (remove) await attempt(what, {}, () => client.ioctl('SIOCDIFADDR', { name, addr: address.addr }));
  else await attempt(what, {}, () => client.ioctl('SIOCAIFADDR', { name, ...address }));
}

/** The kinds of interface that can be made are asked for where the one that was named is none of them. */
async function createInterface(client: Client, name: string): Promise<{ name: string }> {
  const { cloners } = await client.ioctl<{ cloners: string[] }>('SIOCIFGCLONERS', {});
  const wrong = { EINVAL: `cannot be made; there are ${cloners.join(' ') || 'no kinds to make'}` };
  return attempt(name, wrong, () => client.ioctl<{ name: string }>('SIOCIFCREATE', { name }));
}

/** Does what the words after the interface's name say, in their order. Answers the interface's name at the end. */
export async function ifconfigSet(client: Client, ifname: string, words: readonly string[]): Promise<string> {
  let name = ifname;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const off = word.startsWith('-') ? word.slice(1) : null;
    const flag = FLAG_WORDS[off ?? word];
    const cap = CAP_WORDS[off ?? word];
    if (word === 'up') await changeFlags(client, name, IFF_UP, 0);
    else if (word === 'down') await changeFlags(client, name, 0, IFF_UP);
    else if (flag !== undefined) {
      const set = (off === null) !== (flag.inverted === true);
      await changeFlags(client, name, set ? flag.bit : 0, set ? 0 : flag.bit);
    } else if (cap !== undefined) await changeCaps(client, name, cap, off === null);
    else if (word === 'mtu') {
      const mtu = wholeNumber(need(words, ++i, 'the MTU'), 'an MTU', 72, 65535);
      await attempt(`${name} mtu ${mtu}`, { EINVAL: 'not an MTU that its link can have' }, () =>
        client.ioctl('SIOCSIFMTU', { name, mtu }),
      );
    } else if (word === 'ether' || word === 'lladdr' || word === 'link') {
      await client.ioctl('SIOCSIFLLADDR', { name, lladdr: lladdrArg(need(words, ++i, 'the hardware address')) });
    } else if (word === 'name') {
      const newName = need(words, ++i, 'the new name');
      const wrong = { EINVAL: 'not a name: at most 15 letters, digits, dots and dashes' };
      await attempt(`${name} name ${newName}`, wrong, () => client.ioctl('SIOCSIFNAME', { name, newName }));
      name = newName;
    } else if (word === 'description' || word === 'descr') {
      await client.ioctl('SIOCSIFDESCR', { name, descr: need(words, ++i, 'the description') });
    } else if (word === '-description' || word === '-descr') {
      await client.ioctl('SIOCSIFDESCR', { name, descr: '' });
    } else if (word === 'fib') {
      await client.ioctl('SIOCSIFFIB', { name, fib: wholeNumber(need(words, ++i, 'the table'), 'a routing table', 0, 65535) });
    } else if (word === 'create') {
      const wanted = name;
      ({ name } = await createInterface(client, wanted));
    } else if (word === 'destroy') {
      await attempt(name, { EINVAL: 'was not made by create' }, () => client.ioctl('SIOCIFDESTROY', { name }));
    } else if (word === 'inet' || word === 'inet6' || word === 'alias' || word === '-alias' || /^[\d:]/.test(word)) {
      const isWord = !/^[\d:]/.test(word);
      const { words: taken, address } = readAddress(words, i + (isWord ? 1 : 0));
      if (word === '-alias') address.remove = true;
      await applyAddress(client, name, address);
      i += taken - (isWord ? 0 : 1);
    } else {
      throw new UsageError(unknown('word', word, [...WORDS, ...Object.keys(FLAG_WORDS), ...Object.keys(CAP_WORDS)]));
    }
  }
  return name;
}

/** The interface with its addresses of one family only, which is what the family's name alone asks for. */
const ofFamily = (row: IfRow, family: 'inet' | 'inet6'): IfRow => ({
  ...row,
  addrs: row.addrs.filter(({ addr }) => addr.includes(':') === (family === 'inet6')),
});

const formatInterfaces = (rows: readonly IfRow[]): string => rows.map(formatInterface).join('\n');

/** `-a`: all; `-l`: their names; `-u`, `-d`: those that are up, or down; `-C`: the kinds that `create` takes. */
async function list(context: ToolContext, words: readonly string[]): Promise<number> {
  const { client } = context;
  const wrong = words.find((word) => !/^-[aludCmv]+$/.test(word));
  if (wrong !== undefined) {
    throw new UsageError(
      wrong.startsWith('-') ? unknown('option', wrong, ['-a', '-l', '-u', '-d', '-C']) : `'${wrong}' after an option`,
    );
  }
  const flags = new Set(words.flatMap((word) => [...word.slice(1)]));
  if (flags.has('C')) {
    const { cloners } = await client.ioctl<{ cloners: string[] }>('SIOCIFGCLONERS', {});
    show(context, cloners, (kinds) => kinds.join(' '));
    return 0;
  }
  const rows = (await ifconfigShow(client)).filter(({ flags: bits }) => {
    const isUp = (bits & IFF_UP) !== 0;
    return (isUp || !flags.has('u')) && (!isUp || !flags.has('d'));
  });
  if (!flags.has('l')) show(context, rows, formatInterfaces);
  else
    show(
      context,
      rows.map((row) => row.name),
      (names) => names.join(' '),
    );
  return 0;
}

export const ifconfigTool: Tool = {
  name: 'ifconfig',
  summary: 'show or configure interfaces',
  usage:
    '[-a | -l] [-u | -d] | -C | INTERFACE [[inet] ADDRESS[/LEN] [netmask M] [broadcast A] [alias|-alias]] [up|down] [mtu N] [ether LLADDR] [name NEW] [description TEXT] [fib N] [[-]rxcsum|txcsum|tso|lro|arp|promisc|...] [create|destroy]',
  ownDashes: true,
  async run(context, words) {
    const { client, screen, json } = context;
    const [name, ...rest] = words;
    if (name === undefined || name.startsWith('-')) return list(context, words);
    const [family] = rest;
    if (family === undefined || (rest.length === 1 && (family === 'inet' || family === 'inet6'))) {
      const rows = await ifconfigShow(client, name);
      show(context, family === undefined ? rows : rows.map((row) => ofFamily(row, family)), formatInterfaces);
      return 0;
    }
    const last = await ifconfigSet(client, name, rest);
    // As ifconfig(8), tells the name that a new interface got, or has now.
    if (rest.includes('create') || rest.includes('name')) screen.print(json ? JSON.stringify({ name: last }) : last);
    return 0;
  },
};
