/** `traceroute`: the routers on the way to a host, by UDP probes with growing time to live, as traceroute(8). */
import type { Client } from '../client/client.ts';
import { get16 } from '../wire/bytes.ts';
import { ICMP_HDR_LEN, ICMP_TIMXCEED, ICMP_UNREACH } from '../wire/icmp.ts';
import { IPPROTO_UDP, IP_HDR_LEN, IP_PROTO, ipDst, ipHdrLen } from '../wire/ipv4.ts';
import { unreachMark } from './icmptext.ts';
import { hostArg, openIcmp, receiveIcmp } from './icmpsocket.ts';
import { type Tool, UsageError, need, showLine, sleep, wholeNumber } from './tool.ts';
import { ipv4Text } from './v4.ts';

/** First destination port: each probe has the next. */
const BASE_PORT = 33434;

export interface TracerouteOptions {
  readonly firstHop: number;
  readonly maxHops: number;
  readonly probes: number;
  readonly waitMs: number;
  readonly until: AbortSignal;
}

export interface Probe {
  /** Who answered; null: nobody in time. */
  readonly from: string | null;
  readonly ms: number;
  /** traceroute's `!H` and its like, else ''. */
  readonly mark: string;
}

export interface Hop {
  readonly hop: number;
  readonly probes: readonly Probe[];
  /** The host itself answered, or somebody said that it cannot be reached. */
  readonly end: boolean;
}

interface Answer {
  readonly from: string;
  readonly atMs: number;
  readonly type: number;
  readonly code: number;
}

/** Tells each hop to `onHop`; answers whether the host was reached. */
export async function traceroute(
  client: Client,
  host: string,
  options: TracerouteOptions,
  onHop: (hop: Hop) => void,
): Promise<boolean> {
  const icmp = await openIcmp(client);
  const udp = await client.socket('inet', 'dgram');
  const waiting = new Map<number, (answer: Answer) => void>();
  const receiver = (async () => {
    for (;;) {
      const message = await receiveIcmp(client, icmp);
      if (message === null) continue;
      const { bytes, from } = message;
      const type = bytes[0] ?? 0;
      const quoted = ICMP_HDR_LEN;
      if ((type !== ICMP_TIMXCEED && type !== ICMP_UNREACH) || bytes.length < quoted + IP_HDR_LEN + 8) continue;
      const at = quoted + ipHdrLen(bytes, quoted);
      if (bytes[quoted + IP_PROTO] !== IPPROTO_UDP || bytes.length < at + 4 || ipv4Text(ipDst(bytes, quoted)) !== host) continue;
      waiting.get(get16(bytes, at + 2))?.({ from, atMs: performance.now(), type, code: bytes[1] ?? 0 });
    }
  })();
  receiver.catch(() => undefined);
  let port = BASE_PORT;
  try {
    for (let ttl = options.firstHop; ttl <= options.maxHops && !options.until.aborted; ttl++) {
      await client.setsockopt(udp, 'IPPROTO_IP', 'IP_TTL', ttl);
      const probes: Probe[] = [];
      let end = false;
      let reached = false;
      for (let i = 0; i < options.probes && !options.until.aborted; i++, port++) {
        const answer = await probe(client, udp, host, port, waiting, options);
        if (answer === null) probes.push({ from: null, ms: 0, mark: '' });
        else {
          const { from, ms, type, code } = answer;
          probes.push({ from, ms, mark: type === ICMP_UNREACH ? unreachMark(code) : '' });
          if (type === ICMP_UNREACH) end = true;
          if (type === ICMP_UNREACH && from === host) reached = true;
        }
      }
      onHop({ hop: ttl, probes, end });
      if (end) return reached;
    }
    return false;
  } finally {
    for (const fd of [udp, icmp]) await client.closefd(fd).catch(() => undefined);
  }
}

async function probe(
  client: Client,
  udp: number,
  host: string,
  port: number,
  waiting: Map<number, (answer: Answer) => void>,
  { waitMs, until }: TracerouteOptions,
): Promise<(Answer & { ms: number }) | null> {
  const sentAt = performance.now();
  const answered = new Promise<Answer>((resolve) => waiting.set(port, resolve));
  try {
    await client.sendto(udp, new Uint8Array(32), { addr: host, port });
    const answer = await Promise.race([answered, sleep(waitMs, until)]);
    return answer === undefined ? null : { ...answer, ms: answer.atMs - sentAt };
  } finally {
    waiting.delete(port);
  }
}

function formatHop({ hop, probes }: Hop): string {
  let line = String(hop).padStart(2);
  let last = '';
  for (const { from, ms, mark } of probes) {
    if (from === null) {
      line += '  *';
      continue;
    }
    if (from !== last) line += `  ${from}`;
    last = from;
    line += `  ${ms.toFixed(3)} ms${mark === '' ? '' : ` ${mark}`}`;
  }
  return line;
}

export const tracerouteTool: Tool = {
  name: 'traceroute',
  summary: 'show the routers on the way to a host',
  usage: '[-n] [-f FIRST] [-m HOPS] [-q PROBES] [-w SECONDS] HOST',
  define(command) {
    command
      .option('-n, --numeric', 'numbers, as always')
      .option('-f, --first-hop <hops>', 'time to live of the first probes', '1')
      .option('-m, --max-hops <hops>', 'largest time to live', '30')
      .option('-q, --queries <probes>', 'probes of each hop', '3')
      .option('-w, --wait <seconds>', 'for an answer', '3');
  },
  async run(context, words, { firstHop, maxHops, queries, wait }) {
    const host = hostArg(need(words, 0, 'the host'));
    if (words[1] !== undefined) throw new UsageError(`'${words[1]}' is too much: one host`);
    const options: TracerouteOptions = {
      firstHop: wholeNumber(String(firstHop), 'a number of hops', 1, 255),
      maxHops: wholeNumber(String(maxHops), 'a number of hops', 1, 255),
      probes: wholeNumber(String(queries), 'a number of probes', 1, 100),
      waitMs: wholeNumber(String(wait), 'a wait in seconds', 1, 3600) * 1000,
      until: context.until,
    };
    if (!context.json) context.screen.print(`traceroute to ${host} (${host}), ${options.maxHops} hops max, 60 byte packets`);
    const reached = await traceroute(context.client, host, options, (hop) => showLine(context, hop, formatHop));
    return reached ? 0 : 1;
  },
};
