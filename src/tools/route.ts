/** `route`: shows and changes the routing tables, as route(8). */
import type { Client } from '../client/client.ts';
import type { KernelEvent, RouteRow } from '../client/types.ts';
import { addressArg, fullLength, netmaskArg, prefixArg } from './addresses.ts';
import { columns } from './columns.ts';
import { parseIpv4 } from './v4.ts';
import { attempt } from './errtext.ts';
import { unknown } from './nearest.ts';
import { type Tool, type ToolContext, ToolError, UsageError, need, show, showLine, wholeNumber } from './tool.ts';

export interface RouteArgs {
  readonly dst: string;
  readonly prefixLen: number;
  readonly gateway?: string;
  /** Interface, for a route without a gateway. */
  readonly name?: string;
  readonly fib?: number;
}

/** The way that a packet to `dst` takes. */
export interface RouteGet {
  readonly dst: string;
  readonly gateway: string | null;
  readonly name: string;
  readonly src: string;
  readonly mtu: number;
  readonly flags: string;
}

/** Routes of all tables, or of one. */
export async function routeShow(client: Client, fib?: number): Promise<RouteRow[]> {
  const rows = await client.table('net.routes');
  return fib === undefined ? rows : rows.filter((row) => row.fib === fib);
}

/** EEXIST where there is such a route already, ENETUNREACH for a gateway that no interface leads to. */
export async function routeAdd(client: Client, route: RouteArgs): Promise<void> {
  const words = {
    EEXIST: 'is in the table already',
    ENETUNREACH: 'no interface leads to the gateway',
    ENXIO: `there is no interface ${route.name ?? ''}`.trimEnd(),
  };
  await attempt(routeName(route), words, () => client.ioctl('SIOCADDRT', route));
}

/** ESRCH where there is no such route. */
export async function routeDelete(client: Client, route: RouteArgs): Promise<void> {
  await attempt(routeName(route), { ESRCH: 'is not in the table' }, () => client.ioctl('SIOCDELRT', route));
}

/** Another way to the same destination; when that is refused the old one stays. */
export async function routeChange(client: Client, route: RouteArgs): Promise<void> {
  const { dst, prefixLen, fib = 0 } = route;
  const old = (await routeShow(client, fib)).find((row) => row.dst === dst && row.prefixLen === prefixLen);
  await routeDelete(client, { dst, prefixLen, fib });
  try {
    await routeAdd(client, route);
  } catch (error) {
    if (old !== undefined)
      await routeAdd(client, { dst, prefixLen, fib, name: old.name, ...(old.gateway === null ? {} : { gateway: old.gateway }) });
    throw error;
  }
}

/** Takes away what was added by hand or by the boot: all routes with a gateway. Answers them. */
export async function routeFlush(client: Client, fib = 0): Promise<RouteRow[]> {
  const rows = (await routeShow(client, fib)).filter((row) => row.gateway !== null && row.flags.includes('S'));
  for (const { dst, prefixLen, gateway, name } of rows)
    await routeDelete(client, { dst, prefixLen, name, fib, ...(gateway === null ? {} : { gateway }) });
  return rows;
}

export async function routeGet(client: Client, dst: string, fib?: number): Promise<RouteGet> {
  const argument = { dst, ...(fib === undefined ? {} : { fib }) };
  return (await attempt(dst, {}, () => client.ioctl('SIOCGRT', argument))) as unknown as RouteGet;
}

export const routeName = ({ dst, prefixLen }: { dst: string; prefixLen: number }): string =>
  prefixLen === 0 ? 'default' : prefixLen === fullLength(dst) ? dst : `${dst}/${prefixLen}`;

/** The order of netstat(1): by address, the default first. */
function byDestination(a: RouteRow, b: RouteRow): number {
  const [x, y] = [parseIpv4(a.dst), parseIpv4(b.dst)];
  if (x === null || y === null) return x === y ? a.dst.localeCompare(b.dst) : x === null ? 1 : -1;
  return x === y ? a.prefixLen - b.prefixLen : (x >>> 0) - (y >>> 0);
}

/** As `netstat -rn` prints them, a block for each table. */
export function formatRoutes(rows: readonly RouteRow[]): string {
  const fibs = [...new Set(rows.map((row) => row.fib))].sort((a, b) => a - b);
  const blocks = fibs.map((fib) => {
    const table = rows
      .filter((row) => row.fib === fib)
      .sort(byDestination)
      .map((row) => [routeName(row), row.gateway ?? 'link', row.flags, String(row.mtu), row.name]);
    return `Routing tables${fib === 0 ? '' : ` (fib: ${fib})`}\n\nInternet:\n${columns(['Destination', 'Gateway', 'Flags', { head: 'Mtu', right: true }, 'Netif'], table)}`;
  });
  return blocks.length === 0 ? 'Routing tables' : blocks.join('\n\n');
}

function formatGet({ dst, gateway, name, src, mtu, flags }: RouteGet): string {
  const parts = [
    ['route to', dst],
    ['gateway', gateway],
    ['interface', name],
    ['source', src],
    ['mtu', mtu],
    ['flags', flags],
  ];
  return parts
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([what, value]) => `${String(what).padStart(11)}: ${value}`)
    .join('\n');
}

function formatEvent(event: KernelEvent): string {
  const { event: kind, timeMs, ...rest } = event;
  const fields = Object.entries(rest).filter(([, value]) => value !== undefined && value !== null);
  return `${new Date(timeMs).toISOString()} ${kind} ${fields.map(([name, value]) => `${name}=${String(value)}`).join(' ')}`;
}

/** `[-net|-host] DESTINATION[/LEN] [GATEWAY] [-netmask M] [-interface IF] [-fib N]` */
function readRoute(words: readonly string[]): RouteArgs {
  const plain: string[] = [];
  let host = false;
  let isV6 = false;
  let netmask: number | undefined;
  let name: string | undefined;
  let fib: number | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === '-host') host = true;
    else if (word === '-inet6' || word === '-6') isV6 = true;
    else if (word === '-net' || word === '-inet' || word === '-4' || word === '-n' || word === '-static') continue;
    else if (word === '-netmask') netmask = netmaskArg(need(words, ++i, 'the netmask'));
    else if (word === '-interface' || word === '-iface') name = need(words, ++i, 'the interface');
    else if (word === '-fib') fib = wholeNumber(need(words, ++i, 'the table'), 'a routing table', 0, 65535);
    else if (word.startsWith('-')) {
      throw new UsageError(unknown('option', word, ['-net', '-host', '-netmask', '-interface', '-fib']));
    } else plain.push(word);
  }
  if (plain.length > 2) throw new UsageError(`'${plain[2]}' is too much: a destination and a gateway`);
  const destination = need(plain, 0, 'the destination');
  const dst = prefixArg(isV6 && destination === 'default' ? '::/0' : destination);
  if (host && dst.stated) throw new UsageError('-host takes an address without a prefix length');
  const gateway = plain[1];
  return {
    dst: dst.addr,
    prefixLen: netmask ?? dst.prefixLen,
    ...(gateway === undefined ? {} : { gateway: addressArg(gateway, 'a gateway') }),
    ...(name === undefined ? {} : { name }),
    ...(fib === undefined ? {} : { fib }),
  };
}

async function monitor(context: ToolContext): Promise<number> {
  const { client, until } = context;
  const events = client.events({ names: ['route', 'addr', 'link', 'ifup', 'arrival', 'departure'] }).start();
  until.addEventListener('abort', () => events.cancel());
  if (until.aborted) events.cancel();
  for await (const event of events) showLine(context, event, formatEvent);
  if (until.aborted) return 0;
  throw new ToolError(`the boot has ended it: ${String(events.result?.reason ?? 'shutdown')}`);
}

const VERBS: readonly string[] = ['show', 'list', 'add', 'change', 'delete', 'get', 'flush', 'monitor'];

/** As route(8) says what it has done: `add net 10.9.0.0/16: gateway 10.0.0.1`. */
function told(verb: string, route: { dst: string; prefixLen: number; gateway?: string | null }): string {
  const kind = route.prefixLen === fullLength(route.dst) ? 'host' : 'net';
  return `${verb} ${kind} ${routeName(route)}${route.gateway ? `: gateway ${route.gateway}` : ''}`;
}

export const routeTool: Tool = {
  name: 'route',
  summary: 'show or change the routing tables',
  usage:
    '[-n] show [-fib N] | add|change DESTINATION[/LEN] GATEWAY | add DESTINATION -interface IF | delete DESTINATION[/LEN] [GATEWAY] | get ADDRESS | flush | monitor',
  ownDashes: true,
  async run(context, words) {
    const { client } = context;
    const start = words[0] === '-n' ? 1 : 0;
    const verb = words[start] ?? 'show';
    const rest = words.slice(start + 1);
    switch (verb) {
      case 'show':
      case 'list':
      case 'flush': {
        const fib = rest[0] === '-fib' ? wholeNumber(need(rest, 1, 'the table'), 'a routing table', 0, 65535) : undefined;
        if (fib === undefined && rest.length > 0) throw new UsageError(`unknown option '${rest[0]}'; ${verb} takes -fib N`);
        if (verb !== 'flush') show(context, await routeShow(client, fib), formatRoutes);
        else show(context, await routeFlush(client, fib), (rows) => rows.map((row) => told('delete', row)).join('\n'));
        return 0;
      }
      case 'add':
      case 'change':
      case 'delete':
      case 'del': {
        const route = readRoute(rest);
        const leads = route.gateway !== undefined || route.name !== undefined;
        if (verb !== 'delete' && verb !== 'del' && !leads) throw new UsageError('a route needs a gateway, or -interface IF');
        const act = verb === 'change' ? routeChange : verb === 'add' ? routeAdd : routeDelete;
        await act(client, route);
        show(context, route, () => told(verb === 'del' ? 'delete' : verb, route));
        return 0;
      }
      case 'get': {
        const { dst, fib } = readRoute(rest);
        show(context, await routeGet(client, dst, fib), formatGet);
        return 0;
      }
      case 'monitor':
        return monitor(context);
      default:
        throw new UsageError(unknown('verb', verb, VERBS));
    }
  },
};
