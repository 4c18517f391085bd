/** `netstat`: connections, interfaces, routes, protocol statistics and buffers, as netstat(1). */
import type { Client } from '../client/client.ts';
import type { CounterRow, IfCounterRow, IfRow, InetPcb, LocalPcb, TcpPcb } from '../client/types.ts';
import { dotted } from './addresses.ts';
import { type Column, columns } from './columns.ts';
import { unknown } from './nearest.ts';
import { formatRoutes, routeShow } from './route.ts';
import { type Tool, type ToolContext, ToolError, UsageError, show, showLine, sleep, wholeNumber } from './tool.ts';

const right = (head: string): Column => ({ head, right: true });

export interface Connections {
  readonly inet: readonly (TcpPcb | InetPcb)[];
  readonly local: readonly LocalPcb[];
}

export interface ConnectionFilter {
  /** Listeners and sockets without a peer too. */
  readonly all: boolean;
  readonly proto?: string;
  readonly family?: 'inet' | 'inet6' | 'unix';
}

export async function netstatConnections(client: Client, { all, proto, family }: ConnectionFilter): Promise<Connections> {
  const tcp = await client.table('net.inet.tcp.pcblist');
  const udp = await client.table('net.inet.udp.pcblist');
  const raw = await client.table('net.inet.raw.pcblist');
  const local = await client.table('net.local.pcblist');
  const inet = [
    ...tcp.filter((row) => all || row.state !== 'LISTEN'),
    ...[...udp, ...raw].filter((row) => all || row.faddr !== null),
  ];
  return {
    inet: inet.filter((row) => (family === undefined || row.family === family) && (proto === undefined || row.proto === proto)),
    local: local.filter(
      (row) => (family === undefined || family === 'unix') && proto === undefined && (all || row.state !== 'LISTEN'),
    ),
  };
}

export function formatConnections({ inet, local }: Connections, all: boolean): string {
  const rows = inet.map((row) => [
    `${row.proto}${row.family === 'inet6' ? '6' : '4'}`,
    String(row.recvq),
    String(row.sendq),
    dotted(row.laddr, row.lport),
    dotted(row.faddr, row.fport),
    'state' in row ? row.state : '',
  ]);
  const heads = ['Proto', right('Recv-Q'), right('Send-Q'), 'Local Address', 'Foreign Address', '(state)'];
  const blocks: string[] = [];
  if (inet.length > 0 || local.length === 0)
    blocks.push(`Active Internet connections${all ? ' (including servers)' : ''}\n${columns(heads, rows)}`);
  if (local.length > 0) {
    const sockets = local.map((row) => [row.type, String(row.recvq), String(row.sendq), row.path, row.peer ?? '', row.state]);
    blocks.push(
      `Active local sockets\n${columns(['Type', right('Recv-Q'), right('Send-Q'), 'Address', 'Peer', '(state)'], sockets)}`,
    );
  }
  return blocks.join('\n');
}

/** `-L`: of each listener the connections that wait, those that are not complete, and how many may wait. */
export function formatListeners(rows: readonly TcpPcb[]): string {
  const table = rows.map(({ proto, family, qlen, incqlen, qlimit, laddr, lport }) => [
    `${proto}${family === 'inet6' ? '6' : '4'}`,
    `${qlen}/${incqlen}/${qlimit}`,
    dotted(laddr, lport),
  ]);
  return `Current listen queue sizes (qlen/incqlen/maxqlen)\n${columns(['Proto', 'Listen', 'Local Address'], table)}`;
}

export function formatInterfaces(rows: readonly IfRow[]): string {
  const heads = [
    'Name',
    right('Mtu'),
    'Network',
    'Address',
    right('Ipkts'),
    right('Ierrs'),
    right('Idrop'),
    right('Ibytes'),
    right('Opkts'),
    right('Oerrs'),
    right('Obytes'),
    right('Odrop'),
  ];
  return columns(
    heads,
    rows
      .flatMap(({ name, mtu, lladdr, index, addrs, counters: c }) => [
        [
          name,
          mtu,
          `<Link#${index}>`,
          lladdr ?? '',
          c.ipackets,
          c.ierrors,
          c.iqdrops,
          c.ibytes,
          c.opackets,
          c.oerrors,
          c.obytes,
          c.oqdrops,
        ].map(String),
        ...addrs.map(({ addr, prefixLen }) => [name, '-', `${addr}/${prefixLen}`, addr]),
      ])
      .map((row) => row.map(String)),
  );
}

/** Counters by group; `prefix` chooses (`tcp`, `if.tap0`). */
export function netstatStatistics(client: Client, prefix = ''): Promise<CounterRow[]> {
  return client.counters(prefix);
}

/** A block for each group: numbers first, as netstat -s has them, with what they mean where the kernel says it. */
export function formatStatistics(rows: readonly CounterRow[], zeros: boolean): string {
  const groups = new Map<string, CounterRow[]>();
  for (const row of rows) {
    if (!zeros && row.value === 0) continue;
    const group = groups.get(row.group);
    if (group === undefined) groups.set(row.group, [row]);
    else group.push(row);
  }
  return [...groups]
    .map(([group, list]) =>
      [`${group}:`, ...list.map(({ value, name, help }) => `\t${value} ${name}${help === '' ? '' : `  (${help})`}`)].join('\n'),
    )
    .join('\n');
}

/** What the buffers hold: the pool of socket buffers and its limit. */
export async function netstatMemory(client: Client): Promise<CounterRow[]> {
  return (await client.counters('')).filter(
    ({ group }) => group === 'bufpool' || group.startsWith('bufpool.') || group === 'mem',
  );
}

const TOTALS = ['ipackets', 'ierrors', 'iqdrops', 'ibytes', 'opackets', 'oerrors', 'obytes', 'oqdrops'] as const;
type Totals = Record<(typeof TOTALS)[number], number>;

function totals(rows: readonly IfRow[], name: string | undefined): Totals {
  const sum = Object.fromEntries(TOTALS.map((field) => [field, 0])) as Totals;
  for (const { name: ifname, counters } of rows) {
    if (name !== undefined && ifname !== name) continue;
    for (const field of TOTALS) sum[field] += counters[field as keyof IfCounterRow];
  }
  return sum;
}

/** `-w`: what went through in each interval, for ever or `count` times. */
async function watch(context: ToolContext, seconds: number, name: string | undefined, count: number): Promise<void> {
  const { client, until, json, screen } = context;
  let before = totals(await client.table('net.iflist'), name);
  const width = 12;
  const head = `${`input ${name ?? '(Total)'}`.padStart(4 * width)}${'output'.padStart(4 * width)}\n${['packets', 'errs', 'idrops', 'bytes', 'packets', 'errs', 'bytes', 'drops'].map((word) => word.padStart(width)).join('')}`;
  if (!json) screen.print(head);
  for (let i = 0; i < count && !until.aborted; i++) {
    await sleep(seconds * 1000, until);
    if (until.aborted) return;
    const now = totals(await client.table('net.iflist'), name);
    const delta = Object.fromEntries(TOTALS.map((field) => [field, now[field] - before[field]])) as Totals;
    before = now;
    if (!json && i > 0 && i % 20 === 0) screen.print(head);
    showLine(context, delta, () => TOTALS.map((field) => String(delta[field]).padStart(width)).join(''));
  }
}

async function groupNames(client: Client): Promise<string[]> {
  return [...new Set((await client.counters('')).map((row) => row.group))];
}

const PROTOS: readonly string[] = ['tcp', 'udp', 'icmp', 'raw'];

async function readFilter(client: Client, options: Readonly<Record<string, unknown>>): Promise<ConnectionFilter> {
  const { all, protocol, family } = options;
  if (family !== undefined && family !== 'inet' && family !== 'inet6' && family !== 'unix')
    throw new UsageError(unknown('family', String(family), ['inet', 'inet6', 'unix']));
  const proto = protocol === undefined ? undefined : String(protocol);
  if (proto !== undefined && !PROTOS.includes(proto)) {
    const raw = (await client.table('net.inet.raw.pcblist')).map((row) => row.proto);
    if (!raw.includes(proto)) throw new UsageError(unknown('protocol', proto, PROTOS));
  }
  return { all: all === true, ...(proto === undefined ? {} : { proto }), ...(family === undefined ? {} : { family }) };
}

export const netstatTool: Tool = {
  name: 'netstat',
  summary: 'show connections, interfaces, routes, statistics and buffers',
  usage:
    '[-a] [-n] [-f inet|inet6|unix] [-p PROTO] | -L | -i [-I IF] | -r [-F FIB] | -s [-s] [-p GROUP] | -m | -B | -w SECONDS [-q COUNT] [-I IF]',
  define(command) {
    command
      .option('-a, --all', 'listeners too')
      .option('-n, --numeric', 'numbers, as always')
      .option('-i, --interfaces', 'interfaces')
      .option('-I, --interface <name>', 'this interface only')
      .option('-r, --routes', 'routing tables')
      .option('-F, --fib <fib>', 'this table only')
      .option('-L, --listen', 'listen queues')
      .option('-s, --statistics', 'statistics of each protocol; -s -s: without those at zero', (_, n: number) => n + 1, 0)
      .option('-p, --protocol <name>', 'this protocol only; with -s: this group of counters')
      .option('-f, --family <family>', 'sockets of this family only: inet, inet6 or unix')
      .option('-W, --wide', 'addresses in full, as always')
      .option('-m, --memory', 'buffers')
      .option('-B, --bpf', 'who captures')
      .option('-w, --wait <seconds>', 'traffic of each interval')
      .option('-q, --count <count>', 'with -w: end after so many');
  },
  async run(context, words, options) {
    const { client } = context;
    if (words[0] !== undefined) throw new UsageError(`'${words[0]}' is too much; netstat takes options only`);
    const name = options.interface === undefined ? undefined : String(options.interface);
    if (name !== undefined && !(await client.table('net.iflist')).some((row) => row.name === name)) {
      throw new ToolError(`interface ${name} does not exist`);
    }
    if (options.wait !== undefined) {
      const count = options.count === undefined ? Infinity : wholeNumber(String(options.count), 'a count', 1, 1e9);
      await watch(context, wholeNumber(String(options.wait), 'an interval in seconds', 1, 86400), name, count);
    } else if (Number(options.statistics) > 0) {
      const group = options.protocol === undefined ? '' : String(options.protocol);
      const rows = await netstatStatistics(client, group);
      if (rows.length === 0) throw new ToolError(unknown('group of counters', group, await groupNames(client)));
      show(context, rows, (all) => formatStatistics(all, options.statistics === 1));
    } else if (options.routes === true) {
      const fib = options.fib === undefined ? undefined : wholeNumber(String(options.fib), 'a routing table', 0, 65535);
      show(context, await routeShow(client, fib), formatRoutes);
    } else if (options.listen === true) {
      const tcp = await client.table('net.inet.tcp.pcblist');
      show(
        context,
        tcp.filter((row) => row.state === 'LISTEN'),
        formatListeners,
      );
    } else if (options.memory === true) {
      show(context, await netstatMemory(client), (rows) => formatStatistics(rows, true));
    } else if (options.bpf === true) {
      show(context, await client.table('net.bpf'), (rows) =>
        columns(
          ['Owner', 'Netif', 'Direction', right('Captured'), right('Lost')],
          rows.map((row) => [row.owner, row.interface, row.direction, String(row.captured), String(row.lost)]),
        ),
      );
    } else if (options.interfaces === true || name !== undefined) {
      const rows = (await client.table('net.iflist')).filter((row) => name === undefined || row.name === name);
      show(context, rows, formatInterfaces);
    } else {
      const filter = await readFilter(client, options);
      show(context, await netstatConnections(client, filter), (found) => formatConnections(found, filter.all));
    }
    return 0;
  },
};
