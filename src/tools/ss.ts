/** `ss`: sockets with what TCP knows about them, as ss(8) of Linux. */
import type { Client } from '../client/client.ts';
import type { InetPcb, TcpInfo, TcpPcb } from '../client/types.ts';
import { addressArg, withColon } from './addresses.ts';
import { columns } from './columns.ts';
import { unknown } from './nearest.ts';
import { type Tool, UsageError, need, show, wholeNumber } from './tool.ts';

/** States by ss's names. */
export const SS_STATES: Readonly<Record<string, string>> = {
  CLOSED: 'UNCONN',
  LISTEN: 'LISTEN',
  SYN_SENT: 'SYN-SENT',
  SYN_RCVD: 'SYN-RECV',
  ESTABLISHED: 'ESTAB',
  CLOSE_WAIT: 'CLOSE-WAIT',
  FIN_WAIT_1: 'FIN-WAIT-1',
  CLOSING: 'CLOSING',
  LAST_ACK: 'LAST-ACK',
  FIN_WAIT_2: 'FIN-WAIT-2',
  TIME_WAIT: 'TIME-WAIT',
};

export interface SsFilter {
  readonly tcp: boolean;
  readonly udp: boolean;
  readonly raw: boolean;
  /** Listeners too; only listeners. */
  readonly all: boolean;
  readonly listening: boolean;
  /** ss's name of a state, in any case: `established`, `time-wait`. */
  readonly state?: string;
  readonly src?: string;
  readonly dst?: string;
  readonly sport?: number;
  readonly dport?: number;
}

export type SsRow = TcpPcb | InetPcb;

const isTcp = (row: SsRow): row is TcpPcb => 'state' in row;
const stateOf = (row: SsRow): string =>
  isTcp(row) ? (SS_STATES[row.state] ?? row.state) : row.faddr === null ? 'UNCONN' : 'ESTAB';
const listens = (row: SsRow): boolean => (isTcp(row) ? row.state === 'LISTEN' : row.faddr === null);

/** Sockets that pass the filter. */
export async function ss(client: Client, filter: SsFilter): Promise<SsRow[]> {
  const rows: SsRow[] = [];
  if (filter.tcp) rows.push(...(await client.table('net.inet.tcp.pcblist')));
  if (filter.udp) rows.push(...(await client.table('net.inet.udp.pcblist')));
  if (filter.raw) rows.push(...(await client.table('net.inet.raw.pcblist')));
  const { state, src, dst, sport, dport } = filter;
  return rows.filter(
    (row) =>
      (state === undefined ? filter.all || listens(row) === filter.listening : stateOf(row) === state) &&
      (src === undefined || row.laddr === src) &&
      (dst === undefined || row.faddr === dst) &&
      (sport === undefined || row.lport === sport) &&
      (dport === undefined || row.fport === dport),
  );
}

/** How many sockets there are of each kind and state, as `-s` tells. */
export interface SsSummary {
  readonly total: number;
  readonly tcp: Readonly<Record<string, number>>;
  readonly udp: number;
  readonly raw: number;
}

export async function ssSummary(client: Client): Promise<SsSummary> {
  const rows = await ss(client, { tcp: true, udp: true, raw: true, all: true, listening: false });
  const tcp: Record<string, number> = {};
  for (const row of rows) if (isTcp(row)) tcp[stateOf(row)] = (tcp[stateOf(row)] ?? 0) + 1;
  const udp = rows.filter((row) => row.proto === 'udp').length;
  const tcps = rows.filter(isTcp).length;
  return { total: rows.length, tcp, udp, raw: rows.length - udp - tcps };
}

function formatSummary({ total, tcp, udp, raw }: SsSummary): string {
  const states = Object.entries(tcp).map(([state, n]) => `${state.toLowerCase()} ${n}`);
  const sum = Object.values(tcp).reduce((all, n) => all + n, 0);
  return `Total: ${total}\nTCP:   ${sum}${states.length === 0 ? '' : ` (${states.join(', ')})`}\nUDP:   ${udp}\nRAW:   ${raw}`;
}

const ms = (us: number): string => String(Number((us / 1000).toFixed(3)));

/** The line of `-i`: ss's names and units (windows in segments where ss has them so). */
export function formatTcpInfo(info: TcpInfo, cc: string | null): string {
  const number = (name: string): number | null => (typeof info[name] === 'number' ? (info[name] as number) : null);
  const parts: string[] = [];
  const [sndScale, rcvScale] = [number('snd_wscale'), number('rcv_wscale')];
  for (const option of info.options)
    parts.push(option === 'wscale' && sndScale !== null && rcvScale !== null ? `wscale:${sndScale},${rcvScale}` : option);
  if (cc !== null) parts.push(cc);
  parts.push(`rto:${ms(info.rto)}`);
  if (info.rtt > 0) parts.push(`rtt:${ms(info.rtt)}/${ms(info.rttvar)}`);
  parts.push(`mss:${info.snd_mss}`, `rcvmss:${info.rcv_mss}`);
  parts.push(`cwnd:${Math.max(1, Math.floor(info.snd_cwnd / Math.max(1, info.snd_mss)))}`);
  // A threshold that was never set says nothing.
  if (info.snd_ssthresh < 0x3fffffff) parts.push(`ssthresh:${Math.floor(info.snd_ssthresh / Math.max(1, info.snd_mss))}`);
  parts.push(`bytes_acked:${info.bytes_acked}`, `bytes_received:${info.bytes_received}`);
  if (info.rtt > 0) parts.push(`send ${Math.round((info.snd_cwnd * 8e6) / info.rtt)}bps`);
  const pacing = number('pacing_rate');
  if (pacing !== null && pacing > 0) parts.push(`pacing_rate ${pacing * 8}bps`);
  const delivery = number('delivery_rate');
  if (delivery !== null && delivery > 0) parts.push(`delivery_rate ${delivery * 8}bps`);
  if (info.unacked > 0) parts.push(`unacked:${info.unacked}`);
  if (info.total_retrans > 0) parts.push(`retrans:${info.retransmits}/${info.total_retrans}`);
  if (info.lost > 0) parts.push(`lost:${info.lost}`);
  if (info.sacked > 0) parts.push(`sacked:${info.sacked}`);
  if (info.ca_state.toLowerCase() !== 'open') parts.push(`ca_state:${info.ca_state}`);
  const minRtt = number('min_rtt');
  if (minRtt !== null && minRtt > 0) parts.push(`minrtt:${ms(minRtt)}`);
  parts.push(`snd_wnd:${info.snd_wnd}`, `rcv_wnd:${info.rcv_wnd}`);
  return parts.join(' ');
}

export function formatSs(rows: readonly SsRow[], withInfo: boolean, withOwner: boolean): string {
  const table = columns(
    [
      'Netid',
      'State',
      { head: 'Recv-Q', right: true },
      { head: 'Send-Q', right: true },
      'Local Address:Port',
      'Peer Address:Port',
      'Owner',
    ],
    rows.map((row) => {
      // As in ss: of a listener, the connections that wait and how many may.
      const queues = isTcp(row) && row.state === 'LISTEN' ? [row.qlen, row.qlimit] : [row.recvq, row.sendq];
      return [
        row.proto,
        stateOf(row),
        ...queues.map(String),
        withColon(row.laddr, row.lport, '0.0.0.0'),
        withColon(row.faddr, row.fport),
        withOwner ? row.owner : '',
      ];
    }),
  ).split('\n');
  if (!withOwner) table[0] = (table[0] ?? '').replace(/\s+Owner$/, '');
  if (!withInfo) return table.join('\n');
  return table
    .flatMap((line, i) => {
      const row = rows[i - 1];
      return row !== undefined && isTcp(row) && row.info !== null ? [line, `\t ${formatTcpInfo(row.info, row.cc)}`] : [line];
    })
    .join('\n');
}

/** `state NAME`, `src A`, `dst A`, `sport = :N`, `dport = :N`, joined by `and`: all must hold. */
function readFilter(words: readonly string[]): Pick<SsFilter, 'state' | 'src' | 'dst' | 'sport' | 'dport'> {
  const filter: { state?: string; src?: string; dst?: string; sport?: number; dport?: number } = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === 'and' || word === '&&' || word === '(' || word === ')') continue;
    if (word === 'state') filter.state = stateArg(need(words, ++i, 'the state'));
    else if (word === 'src' || word === 'dst') filter[word] = addressArg(need(words, ++i, 'the address'));
    else if (word === 'sport' || word === 'dport') {
      if (words[i + 1] === '=' || words[i + 1] === 'eq' || words[i + 1] === '==') i++;
      filter[word] = wholeNumber(need(words, ++i, 'the port').replace(/^:/, ''), 'a port', 1, 65535);
    } else throw new UsageError(unknown('word of a filter', word, ['state', 'src', 'dst', 'sport', 'dport', 'and']));
  }
  return filter;
}

function stateArg(text: string): string {
  const wanted = text.toUpperCase() === 'ESTABLISHED' ? 'ESTAB' : text.toUpperCase();
  const names = Object.values(SS_STATES);
  if (names.includes(wanted)) return wanted;
  throw new UsageError(unknown('state', text, ['established', ...names.map((name) => name.toLowerCase())]));
}

export const ssTool: Tool = {
  name: 'ss',
  summary: 'list TCP, UDP and raw sockets, with TCP information',
  usage: '[-t] [-u] [-w] [-a | -l] [-i] [-p] [-n] [-H] [-s] [state S] [src A] [dst A] [sport = :N] [dport = :N]',
  define(command) {
    command
      .option('-t, --tcp', 'TCP')
      .option('-u, --udp', 'UDP')
      .option('-w, --raw', 'raw')
      .option('-a, --all', 'those that listen and those that are connected')
      .option('-l, --listening', 'those that listen')
      .option('-i, --info', 'what TCP knows: round trip, windows, retransmissions')
      .option('-p, --processes', 'who has the socket')
      .option('-H, --no-header', 'without the first line')
      .option('-s, --summary', 'only how many there are')
      .option('-n, --numeric', 'numbers, as always');
  },
  async run(context, words, { tcp, udp, raw, all, listening, info, processes, header, summary }) {
    const filter = readFilter(words);
    if (summary === true) {
      show(context, await ssSummary(context.client), formatSummary);
      return 0;
    }
    const any = tcp !== true && udp !== true && raw !== true;
    const rows = await ss(context.client, {
      tcp: any || tcp === true,
      udp: any || udp === true,
      raw: any || raw === true,
      all: all === true,
      listening: listening === true,
      ...filter,
    });
    show(context, rows, (found) => {
      const text = formatSs(found, info === true, processes === true);
      return header === false ? text.slice(text.indexOf('\n') + 1 || text.length) : text;
    });
    return 0;
  },
};
