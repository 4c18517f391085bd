/** `ping`: ICMP echo from the stack (RFC 792), as ping(8). */
import { type Client, ControlError } from '../client/client.ts';
import { errorText } from './errtext.ts';
import { get16, put16, put32 } from '../wire/bytes.ts';
import { ICMP_ECHO, ICMP_ECHOREPLY, ICMP_HDR_LEN, ICMP_ID, ICMP_SEQ, icmpIsError, putIcmpSum } from '../wire/icmp.ts';
import { ipHdrLen } from '../wire/ipv4.ts';
import { icmpErrorText } from './icmptext.ts';
import { hostArg, openIcmp, receiveIcmp } from './icmpsocket.ts';
import { type Tool, UsageError, need, showLine, sleep, wholeNumber } from './tool.ts';

export interface PingOptions {
  /** Echo requests to send; for ever if it is Infinity. */
  readonly count: number;
  readonly intervalMs: number;
  /** Bytes of data behind the ICMP header. */
  readonly size: number;
  /** Time to wait for the last answers. */
  readonly waitMs: number;
  /** Time in all. */
  readonly timeoutMs?: number;
  readonly ttl?: number;
  /** Source address. */
  readonly src?: string;
  readonly until: AbortSignal;
}

export interface PingReply {
  readonly kind: 'reply' | 'error';
  readonly from: string;
  readonly seq: number;
  readonly bytes: number;
  readonly ttl: number;
  /** From the request's leaving this program to the answer's arrival in it. */
  readonly ms: number;
  readonly duplicate: boolean;
  /** The data that came back is not what was sent. */
  readonly corrupt: boolean;
  /** Of an error: what it says. */
  readonly message: string;
}

export interface PingSummary {
  readonly transmitted: number;
  readonly received: number;
  readonly duplicates: number;
  readonly errors: number;
  /** Round trips in milliseconds; null without an answer. */
  readonly min: number | null;
  readonly avg: number | null;
  readonly max: number | null;
  readonly stddev: number | null;
}

/** Data of a request: a pattern that starts with the sequence number. */
function fill(bytes: Uint8Array, seq: number): void {
  for (let i = ICMP_HDR_LEN; i < bytes.length; i++) bytes[i] = (seq + i - ICMP_HDR_LEN) & 255;
}

function request(id: number, seq: number, size: number): Uint8Array {
  const bytes = new Uint8Array(ICMP_HDR_LEN + size);
  put32(bytes, 0, 0);
  bytes[0] = ICMP_ECHO;
  put16(bytes, ICMP_ID, id);
  put16(bytes, ICMP_SEQ, seq);
  fill(bytes, seq);
  putIcmpSum(bytes, 0, bytes.length);
  return bytes;
}

const NO_REPLY: PingReply = {
  kind: 'error',
  from: '',
  seq: 0,
  bytes: 0,
  ttl: 0,
  ms: 0,
  duplicate: false,
  corrupt: false,
  message: '',
};
/** Errors of sending that may be over with the next request. */
const PASSING: readonly string[] = ['ENETUNREACH', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENOBUFS', 'ENETDOWN'];

/** Null, or what stood in the way and may not the next time. */
async function sendRequest(client: Client, fd: number, host: string, bytes: Uint8Array): Promise<string | null> {
  try {
    await client.sendto(fd, bytes, { addr: host, port: 0 });
    return null;
  } catch (error) {
    if (error instanceof ControlError && PASSING.includes(error.code)) return errorText(error);
    throw error;
  }
}

/** Sends requests and tells each answer to `onReply` as it comes. */
export async function ping(
  client: Client,
  host: string,
  options: PingOptions,
  onReply: (reply: PingReply) => void,
): Promise<PingSummary> {
  const { count, intervalMs, size, waitMs, ttl, src } = options;
  const until =
    options.timeoutMs === undefined ? options.until : AbortSignal.any([options.until, AbortSignal.timeout(options.timeoutMs)]);
  const fd = await openIcmp(client);
  const id = (Math.random() * 0xffff) | 0;
  const sentAt = new Map<number, number>();
  const answered = new Set<number>();
  const times: number[] = [];
  let transmitted = 0;
  let duplicates = 0;
  let errors = 0;
  let all: () => void = () => undefined;
  const complete = new Promise<void>((resolve) => (all = resolve));
  const receiver = (async () => {
    for (;;) {
      const message = await receiveIcmp(client, fd);
      if (message === null) continue;
      const now = performance.now();
      const { bytes, from, ttl: hops } = message;
      const type = bytes[0] ?? 0;
      const error = icmpIsError(type);
      // An error quotes the request behind its own eight bytes and the quoted IP header.
      const at = error ? ICMP_HDR_LEN + ipHdrLen(bytes, ICMP_HDR_LEN) : 0;
      if (bytes.length < at + ICMP_HDR_LEN || (bytes[at] ?? 0) !== (error ? ICMP_ECHO : ICMP_ECHOREPLY)) continue;
      const seq = get16(bytes, at + ICMP_SEQ);
      const sent = sentAt.get(seq);
      if (get16(bytes, at + ICMP_ID) !== id || sent === undefined) continue;
      const duplicate = answered.has(seq);
      const expected = request(id, seq, size);
      const corrupt =
        !error && (bytes.length !== expected.length || bytes.some((byte, i) => i >= ICMP_HDR_LEN && byte !== expected[i]));
      const ms = now - sent;
      if (error) errors++;
      else if (duplicate) duplicates++;
      else times.push(ms);
      if (!duplicate) answered.add(seq);
      const text = error ? icmpErrorText(type, bytes[1] ?? 0) : '';
      onReply({
        kind: error ? 'error' : 'reply',
        from,
        seq,
        bytes: bytes.length,
        ttl: hops,
        ms,
        duplicate,
        corrupt,
        message: text,
      });
      if (answered.size === count) all();
    }
  })();
  // Ends when the descriptor is closed below; what it then says is of no interest.
  receiver.catch(() => undefined);
  try {
    if (src !== undefined) await client.bind(fd, { addr: src, port: 0 });
    if (ttl !== undefined) await client.setsockopt(fd, 'IPPROTO_IP', 'IP_TTL', ttl);
    while (transmitted < count && !until.aborted) {
      const seq = transmitted & 0xffff;
      answered.delete(seq);
      sentAt.set(seq, performance.now());
      transmitted++;
      const failed = await sendRequest(client, fd, host, request(id, seq, size));
      if (failed !== null) {
        errors++;
        onReply({ ...NO_REPLY, seq, message: `sendto: ${failed}` });
      }
      if (transmitted < count) await sleep(intervalMs, until);
    }
    if (!until.aborted) await Promise.race([complete, sleep(waitMs, until)]);
  } finally {
    await client.closefd(fd).catch(() => undefined);
  }
  return { transmitted, received: times.length, duplicates, errors, ...spread(times) };
}

function spread(times: readonly number[]): Pick<PingSummary, 'min' | 'avg' | 'max' | 'stddev'> {
  if (times.length === 0) return { min: null, avg: null, max: null, stddev: null };
  const avg = times.reduce((sum, ms) => sum + ms, 0) / times.length;
  const variance = times.reduce((sum, ms) => sum + (ms - avg) ** 2, 0) / times.length;
  return { min: Math.min(...times), avg, max: Math.max(...times), stddev: Math.sqrt(variance) };
}

function formatReply({ kind, from, seq, bytes, ttl, ms, duplicate, corrupt, message }: PingReply): string {
  if (kind === 'error' && from === '') return `ping: ${message}`;
  if (kind === 'error') return `${bytes} bytes from ${from}: ${message}, icmp_seq=${seq}`;
  return `${bytes} bytes from ${from}: icmp_seq=${seq} ttl=${ttl} time=${ms.toFixed(3)} ms${duplicate ? ' (DUP!)' : ''}${corrupt ? ' wrong data!' : ''}`;
}

function formatSummary(host: string, { transmitted, received, duplicates, errors, min, avg, max, stddev }: PingSummary): string {
  const loss = transmitted === 0 ? 0 : ((transmitted - received) * 100) / transmitted;
  const dup = duplicates === 0 ? '' : `+${duplicates} duplicates, `;
  const err = errors === 0 ? '' : `+${errors} errors, `;
  const lines = [
    `\n--- ${host} ping statistics ---`,
    `${transmitted} packets transmitted, ${received} packets received, ${dup}${err}${loss.toFixed(1)}% packet loss`,
  ];
  if (min !== null)
    lines.push(`round-trip min/avg/max/stddev = ${[min, avg, max, stddev].map((ms) => (ms ?? 0).toFixed(3)).join('/')} ms`);
  return lines.join('\n');
}

/** A time in seconds, perhaps with a fraction. */
function seconds(text: string, what: string, min: number): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= 86400))
    throw new UsageError(`${what} is a number of seconds from ${min} to 86400, not '${text}'`);
  return value * 1000;
}

export const pingTool: Tool = {
  name: 'ping',
  summary: 'send ICMP echo requests from the stack',
  usage: '[-c COUNT] [-i SECONDS] [-s SIZE] [-m TTL] [-S SOURCE] [-t SECONDS] [-W MS] [-n] [-o] [-q] HOST',
  define(command) {
    command
      .option('-c, --count <count>', 'requests to send (default: until interrupted)')
      .option('-i, --interval <seconds>', 'between requests', '1')
      .option('-s, --size <bytes>', 'data bytes', '56')
      .option('-m, --ttl <hops>', 'time to live')
      .option('-S, --source <address>', 'source address')
      .option('-t, --timeout <seconds>', 'end after so long')
      .option('-n, --numeric', 'numbers, as always')
      .option('-o, --once', 'end after one answer')
      .option('-W, --wait <ms>', 'for the last answers', '2000')
      .option('-q, --quiet', 'only the summary');
  },
  async run(context, words, { count, interval, size, ttl, source, timeout, wait, quiet, once }) {
    const enough = new AbortController();
    const host = hostArg(need(words, 0, 'the host'));
    if (words[1] !== undefined) throw new UsageError(`'${words[1]}' is too much: one host`);
    const options: PingOptions = {
      count: count === undefined ? Infinity : wholeNumber(String(count), 'a count', 1, 1e9),
      intervalMs: seconds(String(interval), 'an interval', 0),
      size: wholeNumber(String(size), 'a size', 0, 65507),
      waitMs: wholeNumber(String(wait), 'a wait', 1, 3600000),
      until: AbortSignal.any([context.until, enough.signal]),
      ...(source === undefined ? {} : { src: hostArg(String(source)) }),
      ...(timeout === undefined ? {} : { timeoutMs: seconds(String(timeout), 'a timeout', 0) }),
      ...(ttl === undefined ? {} : { ttl: wholeNumber(String(ttl), 'a time to live', 1, 255) }),
    };
    if (!context.json) context.screen.print(`PING ${host} (${host}): ${options.size} data bytes`);
    const summary = await ping(context.client, host, options, (reply) => {
      if (quiet !== true) showLine(context, reply, formatReply);
      if (once === true && reply.kind === 'reply') enough.abort();
    });
    showLine(context, summary, (found) => formatSummary(host, found));
    return summary.received > 0 ? 0 : 1;
  },
};
