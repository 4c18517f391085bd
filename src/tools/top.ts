/** `top`: a live view of the whole screen: throughput, drops, connections with their windows and round trips as sparklines. */
import type { Client } from '../client/client.ts';
import type { CounterRow, IfRow, TcpPcb } from '../client/types.ts';
import { withColon } from './addresses.ts';
import { columns, human } from './columns.ts';
import { SS_STATES } from './ss.ts';
import { type Tool, type ToolContext, UsageError, showLine, sleep, wholeNumber } from './tool.ts';

const BARS = '▁▂▃▄▅▆▇█';
/** Samples that a sparkline shows. */
const HISTORY = 16;
/** On a screen of fewer columns sparklines are short. */
const NARROW = 110;
/** Connections whose history is kept. */
const TRACKED_MAX = 4096;

/** Values as a row of bars, from the least of them to the largest. */
export function sparkline(values: readonly number[], width = HISTORY): string {
  const shown = values.slice(-width);
  const max = Math.max(...shown, 0);
  const min = Math.min(...shown, max);
  const bars = shown.map((value) =>
    max === min ? (max === 0 ? BARS[0] : BARS[3]) : BARS[Math.round(((value - min) / (max - min)) * 7)],
  );
  return bars.join('').padStart(width);
}

/** What the boot is like at one moment. */
export interface Sample {
  readonly atMs: number;
  readonly interfaces: readonly IfRow[];
  readonly connections: readonly TcpPcb[];
  readonly drops: readonly CounterRow[];
}

export async function topSample(client: Client): Promise<Sample> {
  const [interfaces, connections, counters] = await Promise.all([
    client.table('net.iflist'),
    client.table('net.inet.tcp.pcblist'),
    client.counters(''),
  ]);
  return { atMs: performance.now(), interfaces, connections, drops: counters.filter((row) => row.drop) };
}

interface Track {
  readonly cwnd: number[];
  readonly rtt: number[];
  /** Bytes both ways at the last sample. */
  bytes: number;
  rate: number;
}

const keyOf = ({ laddr, lport, faddr, fport }: TcpPcb): string => `${laddr}:${lport} ${faddr ?? '*'}:${fport}`;

function push(values: number[], value: number): void {
  values.push(value);
  if (values.length > HISTORY) values.shift();
}

/** Follows samples, and makes a screen of the last of them. */
export class TopView {
  readonly #tracks = new Map<string, Track>();
  readonly #rates = new Map<string, number[]>();
  #last: Sample | null = null;
  #now: Sample | null = null;

  add(sample: Sample): void {
    this.#last = this.#now;
    this.#now = sample;
    const seconds = this.#last === null ? 0 : (sample.atMs - this.#last.atMs) / 1000;
    const seen = new Set<string>();
    for (const pcb of sample.connections) {
      if (pcb.info === null || pcb.state === 'LISTEN' || seen.size >= TRACKED_MAX) continue;
      const key = keyOf(pcb);
      seen.add(key);
      const bytes = pcb.info.bytes_acked + pcb.info.bytes_received;
      let track = this.#tracks.get(key);
      if (track === undefined) this.#tracks.set(key, (track = { cwnd: [], rtt: [], bytes, rate: 0 }));
      track.rate = seconds > 0 ? Math.max(0, (bytes - track.bytes) / seconds) : 0;
      track.bytes = bytes;
      push(track.cwnd, pcb.info.snd_cwnd);
      push(track.rtt, pcb.info.rtt);
    }
    for (const key of this.#tracks.keys()) if (!seen.has(key)) this.#tracks.delete(key);
    for (const row of sample.interfaces) {
      const before = this.#last?.interfaces.find((other) => other.name === row.name);
      if (before === undefined || seconds === 0) continue;
      this.#rate(`${row.name} in`, ((row.counters.ibytes - before.counters.ibytes) * 8) / seconds);
      this.#rate(`${row.name} out`, ((row.counters.obytes - before.counters.obytes) * 8) / seconds);
    }
  }

  #rate(key: string, value: number): void {
    let values = this.#rates.get(key);
    if (values === undefined) this.#rates.set(key, (values = []));
    push(values, value);
  }

  /** Lines of at most `width` characters, at most `height` of them. */
  lines(stack: string, width: number, height: number): string[] {
    const sample = this.#now;
    if (sample === null) return [];
    const live = sample.connections.filter((pcb) => pcb.state !== 'LISTEN');
    const established = live.filter((pcb) => pcb.state === 'ESTABLISHED').length;
    const lines = [
      `netmod top - stack ${stack} - ${live.length} connections, ${established} established, ${sample.connections.length - live.length} listening`,
      '',
      ...this.#interfaceLines(sample),
      '',
      this.#dropLine(sample),
      '',
      ...this.#connectionLines(live, Math.max(1, height - sample.interfaces.length - 8), width < NARROW ? 6 : HISTORY),
    ];
    return lines.slice(0, height).map((line) => [...line].slice(0, width).join(''));
  }

  #interfaceLines(sample: Sample): string[] {
    const rows = sample.interfaces.map((row) => {
      const rate = (way: string): number[] => this.#rates.get(`${row.name} ${way}`) ?? [];
      const [rin, rout] = [rate('in'), rate('out')];
      const bits = (values: number[]): string => `${human(values[values.length - 1] ?? 0)}bit/s`;
      return [
        row.name,
        bits(rin),
        sparkline(rin),
        bits(rout),
        sparkline(rout),
        String(row.counters.iqdrops + row.counters.oqdrops),
      ];
    });
    return columns(
      ['IF', { head: 'IN', right: true }, '', { head: 'OUT', right: true }, '', { head: 'DROPS', right: true }],
      rows,
    ).split('\n');
  }

  /** Reasons of drops that moved since the last sample, the largest first. */
  #dropLine(sample: Sample): string {
    const before = new Map(this.#last?.drops.map((row) => [`${row.group}.${row.name}`, row.value]));
    const moved = sample.drops
      .map((row) => ({ name: `${row.group}.${row.name}`, n: row.value - (before.get(`${row.group}.${row.name}`) ?? row.value) }))
      .filter(({ n }) => n > 0)
      .sort((a, b) => b.n - a.n);
    return moved.length === 0
      ? 'no drops'
      : `drops: ${moved
          .slice(0, 6)
          .map(({ name, n }) => `${name} ${n}`)
          .join(', ')}`;
  }

  #connectionLines(live: readonly TcpPcb[], room: number, spark: number): string[] {
    const rateOf = (pcb: TcpPcb): number => this.#tracks.get(keyOf(pcb))?.rate ?? 0;
    const shown = [...live].sort((a, b) => rateOf(b) - rateOf(a)).slice(0, room);
    const rows = shown.map((pcb) => {
      const track = this.#tracks.get(keyOf(pcb));
      const { info } = pcb;
      return [
        withColon(pcb.laddr, pcb.lport),
        withColon(pcb.faddr, pcb.fport),
        SS_STATES[pcb.state] ?? pcb.state,
        human(rateOf(pcb) * 8),
        info === null ? '' : human(info.snd_cwnd),
        track === undefined ? '' : sparkline(track.cwnd, spark),
        info === null ? '' : `${(info.rtt / 1000).toFixed(2)}ms`,
        track === undefined ? '' : sparkline(track.rtt, spark),
        info === null ? '' : String(info.total_retrans),
      ];
    });
    const right = (head: string): { head: string; right: true } => ({ head, right: true });
    return columns(['LOCAL', 'PEER', 'STATE', right('BIT/S'), right('CWND'), '', right('RTT'), '', right('REXMT')], rows).split(
      '\n',
    );
  }
}

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';

async function live(context: ToolContext, seconds: number, count: number): Promise<void> {
  const { client, screen } = context;
  const view = new TopView();
  const full = screen.isTty && !context.json;
  const quit = new AbortController();
  const until = AbortSignal.any([context.until, quit.signal]);
  // A terminal in raw mode makes no signal of Ctrl-C.
  const release = full ? screen.keys?.((key) => ['q', 'Q', '\x03', '\x04'].includes(key) && quit.abort()) : undefined;
  if (full) await screen.write(ENTER);
  try {
    for (let i = 0; i < count && !until.aborted; i++) {
      if (i > 0) await sleep(seconds * 1000, until);
      if (until.aborted) break;
      const sample = await topSample(client);
      view.add(sample);
      if (context.json) showLine(context, sample, () => '');
      else {
        const lines = view.lines(client.greeting.stack, full ? screen.columns() : 1000, full ? screen.rows() - 1 : 1000);
        await screen.write(full ? `\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\r\n')}\x1b[J` : `${lines.join('\n')}\n`);
      }
    }
  } finally {
    if (full) await screen.write(LEAVE);
    release?.();
  }
}

export const topTool: Tool = {
  name: 'top',
  summary: 'a live view: throughput, connections, drops, windows and round trips; q ends it',
  usage: '[-s SECONDS] [-d COUNT]',
  define(command) {
    command
      .option('-s, --seconds <seconds>', 'between two looks', '1')
      .option('-d, --displays <count>', 'end after so many (default: when interrupted)');
  },
  async run(context, words, { seconds, displays }) {
    if (words[0] !== undefined) throw new UsageError(`'${words[0]}' is too much: there are options only`);
    const count = displays === undefined ? Infinity : wholeNumber(String(displays), 'a count', 1, 1e9);
    await live(context, wholeNumber(String(seconds), 'an interval in seconds', 1, 3600), count);
    return 0;
  },
};
