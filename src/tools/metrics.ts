/** `metrics`: the kernel's counters as Prometheus text (exposition format 0.0.4). */
import type { Client } from '../client/client.ts';
import type { CounterRow } from '../client/types.ts';
import { type Tool, ToolError, UsageError, show } from './tool.ts';

const clean = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, '_');
const escapeHelp = (text: string): string => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replace(/"/g, '\\"');

/** Groups that there are several of: `if.tap0` is the interface tap0. */
const LABELLED: Readonly<Record<string, string>> = { if: 'interface', driver: 'interface', service: 'service', module: 'module' };

interface Sample {
  readonly labels: string;
  readonly value: number;
}

/** One family for each name, with its type and what it means; interfaces and services are labels. */
export function prometheusText(rows: readonly CounterRow[], stack: string): string {
  const families = new Map<string, { row: CounterRow; samples: Sample[] }>();
  for (const row of rows) {
    const dot = row.group.indexOf('.');
    const kind = dot < 0 ? row.group : row.group.slice(0, dot);
    const label = dot < 0 ? undefined : LABELLED[kind];
    const base = label === undefined ? clean(row.group) : clean(kind);
    const name = `netmod_${base}_${clean(row.name)}${row.type === 'counter' ? '_total' : ''}`;
    const labels = label === undefined ? '' : `{${label}="${escapeLabel(row.group.slice(dot + 1))}"}`;
    let family = families.get(name);
    if (family === undefined) families.set(name, (family = { row, samples: [] }));
    family.samples.push({ labels, value: row.value });
  }
  const lines = [
    '# HELP netmod_info The stack in use.',
    '# TYPE netmod_info gauge',
    `netmod_info{stack="${escapeLabel(stack)}"} 1`,
  ];
  for (const [name, { row, samples }] of families) {
    if (row.help !== '') lines.push(`# HELP ${name} ${escapeHelp(row.help)}`);
    lines.push(`# TYPE ${name} ${row.type}`, ...samples.map(({ labels, value }) => `${name}${labels} ${value}`));
  }
  return lines.join('\n');
}

export async function metrics(client: Client): Promise<string> {
  return prometheusText(await client.counters(''), client.greeting.stack);
}

export const metricsTool: Tool = {
  name: 'metrics',
  summary: 'print all counters as Prometheus text',
  usage: '[PREFIX]',
  async run(context, words) {
    if (words[1] !== undefined) throw new UsageError(`'${words[1]}' is too much: one prefix`);
    const rows = await context.client.counters(words[0] ?? '');
    if (rows.length === 0) throw new ToolError(`no group of counters begins with ${words[0]}`);
    show(context, rows, () => prometheusText(rows, context.client.greeting.stack));
    return 0;
  },
};
