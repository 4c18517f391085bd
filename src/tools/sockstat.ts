/** `sockstat`: who has which socket, as sockstat(1). */
import type { Client } from '../client/client.ts';
import type { InetPcb, LocalPcb, TcpPcb } from '../client/types.ts';
import { withColon } from './addresses.ts';
import { columns } from './columns.ts';
import { type Tool, UsageError, show } from './tool.ts';

export interface SockRow {
  readonly owner: string;
  readonly fd: number | null;
  readonly proto: string;
  readonly local: string;
  readonly foreign: string;
  /** TCP only, else ''. */
  readonly state: string;
}

const inetRow = (pcb: InetPcb | TcpPcb): SockRow => ({
  owner: pcb.owner,
  fd: pcb.fd,
  proto: `${pcb.proto}${pcb.family === 'inet6' ? '6' : '4'}`,
  local: withColon(pcb.laddr, pcb.lport),
  foreign: withColon(pcb.faddr, pcb.fport),
  state: 'state' in pcb ? pcb.state : '',
});

const localRow = (pcb: LocalPcb): SockRow => ({
  owner: pcb.owner,
  fd: pcb.fd,
  proto: pcb.type,
  local: pcb.path,
  foreign: pcb.peer === null ? '' : `-> ${pcb.peer}`,
  state: pcb.state,
});

/** Every socket of the kernel. */
export async function sockstat(client: Client): Promise<SockRow[]> {
  const tcp = await client.table('net.inet.tcp.pcblist');
  const udp = await client.table('net.inet.udp.pcblist');
  const raw = await client.table('net.inet.raw.pcblist');
  const local = await client.table('net.local.pcblist');
  return [...[...tcp, ...udp, ...raw].map(inetRow), ...local.map(localRow)];
}

export function formatSockets(rows: readonly SockRow[]): string {
  return columns(
    ['OWNER', { head: 'FD', right: true }, 'PROTO', 'LOCAL ADDRESS', 'FOREIGN ADDRESS', 'STATE'],
    rows.map(({ owner, fd, proto, local, foreign, state }) => [
      owner || '?',
      fd === null ? '-' : String(fd),
      proto,
      local,
      foreign,
      state,
    ]),
  );
}

export const sockstatTool: Tool = {
  name: 'sockstat',
  summary: 'list sockets and who has them',
  usage: '[-4 | -u] [-l] [-c] [-P PROTO[,PROTO]] [-p PORT]',
  define(command) {
    command
      .option('-4, --inet', 'IPv4 only')
      .option('-u, --unix', 'local sockets only')
      .option('-l, --listening', 'those that listen')
      .option('-c, --connected', 'those that are connected')
      .option('-P, --protocols <list>', 'these protocols')
      .option('-p, --port <port>', 'this port at either end');
  },
  async run(context, words, options) {
    if (words[0] !== undefined) throw new UsageError(`'${words[0]}' is too much: there are options only`);
    const protocols = options.protocols === undefined ? null : new Set(String(options.protocols).split(','));
    const rows = (await sockstat(context.client)).filter((row) => {
      const isLocal = !/[46]$/.test(row.proto);
      if ((options.inet === true && isLocal) || (options.unix === true && !isLocal)) return false;
      const listens = row.state === 'LISTEN' || (row.state === '' && row.foreign === '*:*');
      const connected = !listens && row.foreign !== '';
      if (options.listening === true && options.connected !== true && !listens) return false;
      if (options.connected === true && options.listening !== true && !connected) return false;
      if (protocols !== null && !protocols.has(row.proto) && !protocols.has(row.proto.replace(/[46]$/, ''))) return false;
      const ends = `:${String(options.port)}`;
      return options.port === undefined || row.local.endsWith(ends) || row.foreign.endsWith(ends);
    });
    show(context, rows, formatSockets);
    return 0;
  },
};
