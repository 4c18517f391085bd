/** `tcpdump`: frames as they cross an interface, with the reason of each that is dropped, as tcpdump(1). */
import fs from 'node:fs/promises';
import type { ItemStream } from '../client/client.ts';
import type { CaptureEnd, CaptureFilter, CapturedFrame } from '../client/types.ts';
import { addressArg } from './addresses.ts';
import { Dissector, linkText } from './dissect.ts';
import { nearest } from './nearest.ts';
import { type Tool, type ToolContext, ToolError, UsageError, need, showLine, wholeNumber } from './tool.ts';

/** As much of a frame as a boot keeps: all of any. */
const SNAPLEN_MAX = 65600;

const PROTOCOLS = ['arp', 'ip', 'ip6', 'icmp', 'icmp6', 'tcp', 'udp'] as const;
type Protocol = (typeof PROTOCOLS)[number];
const isProtocol = (word: string): word is Protocol => (PROTOCOLS as readonly string[]).includes(word);

/**
 * `[PROTO] [and] [host A] [and] [port N] [and] [in|out]`: all of them must hold. What tcpdump could say beyond that is refused, so that
 * nobody takes a part of a filter for the whole.
 */
export function readFilter(words: readonly string[]): CaptureFilter {
  const filter: { -readonly [K in keyof CaptureFilter]: CaptureFilter[K] } = {};
  const set = <K extends keyof CaptureFilter>(key: K, value: CaptureFilter[K]): void => {
    if (filter[key] !== undefined)
      throw new UsageError(`the filter names two values for '${key}'; at most one of each is possible`);
    filter[key] = value;
  };
  for (let i = 0; i < words.length; i++) {
    const word = (words[i] as string).toLowerCase();
    if (word === 'and' || word === '&&') continue;
    if (word === 'host') set('host', addressArg(need(words, ++i, 'the host of the filter'), 'a host'));
    else if (word === 'port') set('port', wholeNumber(need(words, ++i, 'the port of the filter'), 'a port', 1, 65535));
    else if (word === 'proto') set('proto', wholeNumber(need(words, ++i, 'the protocol of the filter'), 'a protocol', 0, 255));
    else if (word === 'in' || word === 'inbound') set('direction', 'in');
    else if (word === 'out' || word === 'outbound') set('direction', 'out');
    else if (isProtocol(word)) set('proto', word);
    else {
      const near = nearest(word, [...PROTOCOLS, 'host', 'port', 'proto', 'in', 'out', 'and']);
      const meant = near === null ? '' : `; did you mean '${near}'?`;
      const language = `[${PROTOCOLS.join('|')}] [host A] [port N] [in|out], joined by 'and'`;
      throw new UsageError(`'${word}' is not in the filter language, which is ${language}${meant}`);
    }
  }
  return filter;
}

/** Seconds since the epoch as local time of day with microseconds. */
function timeText(ts: number): string {
  const date = new Date(ts * 1000);
  const part = (value: number, width: number): string => String(value).padStart(width, '0');
  const micros = Math.floor((ts - Math.floor(ts)) * 1e6);
  return `${part(date.getHours(), 2)}:${part(date.getMinutes(), 2)}:${part(date.getSeconds(), 2)}.${part(micros, 6)}`;
}

/** Bytes in rows of 16, as `-x` shows them; with text as `-X` does. */
function hexText(bytes: Uint8Array, ascii: boolean): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = Array.from(row, (byte, i) => byte.toString(16).padStart(2, '0') + (i % 2 === 1 ? ' ' : '')).join('');
    const text = ascii
      ? ` ${Array.from(row, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')}`
      : '';
    lines.push(`\t0x${at.toString(16).padStart(4, '0')}:  ${hex.padEnd(40)}${text}`.trimEnd());
  }
  return lines.join('\n');
}

export interface FrameFormat {
  readonly dissector: Dissector;
  readonly hex: boolean;
  readonly ascii: boolean;
  /** Show the interface and the direction: frames of several. */
  readonly where: boolean;
  /** Show hardware addresses and the length on the link. */
  readonly link: boolean;
  /** Time of day, none, or seconds since the epoch. */
  readonly time: 'day' | 'none' | 'epoch';
}

export function formatFrame(frame: CapturedFrame, { dissector, hex, ascii, where, link, time }: FrameFormat): string {
  const line = frame.link === 'ethernet' ? dissector.ethernet(frame.data, frame.len) : dissector.ip(frame.data);
  const at = where ? `${frame.if.padEnd(5)} ${frame.dir === 'in' ? 'In ' : 'Out'} ` : '';
  const ether = link && frame.link === 'ethernet' ? `${linkText(frame.data, frame.len)}: ` : '';
  const when = time === 'none' ? '' : `${time === 'day' ? timeText(frame.ts) : frame.ts.toFixed(6)} `;
  const drop = frame.drop === null ? '' : ` [dropped: ${frame.drop}]`;
  return `${when}${at}${ether}${line}${drop}${hex || ascii ? `\n${hexText(frame.data, ascii)}` : ''}`;
}

/** What was captured, and what was lost because it was not read in time. */
interface Totals {
  /** Why it ended: what was asked for (`count`, `cancelled`, `all`), or what happened to the boot. */
  readonly reason: string;
  readonly captured: number;
  readonly lost: number;
}

function totalsOf({ result, lost }: { result: CaptureEnd | null; lost: number }): Totals {
  return { captured: result?.captured ?? 0, lost: result?.lost ?? lost, reason: result?.reason ?? 'cancelled' };
}

/** Ends a stream when the command ends. */
function endWith<T extends { start(): T; cancel(): void }>(until: AbortSignal, stream: T): T {
  stream.start();
  until.addEventListener('abort', () => stream.cancel());
  if (until.aborted) stream.cancel();
  return stream;
}

/** `-w FILE`: writes blocks of a pcapng file, to stdout for `-`. ToolError: the file cannot be made, or has no room. */
async function writeBlocks(
  context: ToolContext,
  stream: ItemStream<Uint8Array, CaptureEnd & Record<string, unknown>>,
  file: string,
): Promise<Totals> {
  if (file === '-') {
    for await (const bytes of endWith(context.until, stream)) await context.screen.write(bytes);
  } else {
    const out = await open(file);
    try {
      for await (const bytes of endWith(context.until, stream)) await out.write(bytes);
    } catch (error) {
      throw fileError(error, file);
    } finally {
      await out.close();
    }
  }
  return totalsOf(stream);
}

async function open(file: string): Promise<fs.FileHandle> {
  try {
    return await fs.open(file, 'w', 0o600);
  } catch (error) {
    throw fileError(error, file);
  }
}

/** What the file system says, as an error of the command; any other error as it is. */
function fileError(error: unknown, file: string): unknown {
  const isSystem = error instanceof Error && 'syscall' in error;
  return isSystem ? new ToolError(`${file}: ${error.message}`) : error;
}

async function printFrames(context: ToolContext, filter: CaptureFilter, format: FrameFormat): Promise<Totals> {
  const stream = context.client.capture(filter);
  for await (const frame of endWith(context.until, stream)) {
    const { data, ...rest } = frame;
    const line = context.json
      ? JSON.stringify({ ...rest, data: Buffer.from(data).toString('base64') })
      : formatFrame(frame, format);
    // Waited for: a slow reader makes the boot drop and count, instead of filling memory here.
    await context.screen.write(`${line}\n`);
  }
  return totalsOf(stream);
}

/** The ring of the last frames (kern.capture.ring_mb), which is off until it is given a size. */
async function dumpRing(context: ToolContext, file: string): Promise<Totals> {
  if ((await context.client.sysctl('kern.capture.ring_mb')) === 0)
    throw new ToolError('the ring of the last frames is off; netmod sysctl kern.capture.ring_mb=16 keeps 16 MB from then on');
  return writeBlocks(context, context.client.captureRing(), file);
}

/** 0, and what is more than a boot keeps, mean all, as in tcpdump(1). */
function snaplenArg(text: string): number {
  const bytes = wholeNumber(text, 'a length', 0, 0x7fffffff);
  return bytes === 0 ? SNAPLEN_MAX : Math.min(bytes, SNAPLEN_MAX);
}

export const tcpdumpTool: Tool = {
  name: 'tcpdump',
  summary: 'show or save the frames of an interface, and why they are dropped',
  usage:
    '[-i IF] [-c COUNT] [-w FILE|-] [-s SNAPLEN] [-e] [-t | --epoch] [-S] [-x | -X] [-n] [--drops] [FILTER] | --ring -w FILE|- | -D',
  define(command) {
    command
      .option('-i, --interface <name>', 'this interface (default: all)')
      .option('-c, --count <count>', 'end after so many frames')
      .option('-w, --write <file>', 'a pcapng file, - for stdout')
      .option('-s, --snaplen <bytes>', 'keep so many bytes of each frame', String(SNAPLEN_MAX))
      .option('-S, --absolute', 'absolute sequence numbers')
      .option('-x, --hex', 'bytes in hex')
      .option('-X, --ascii', 'bytes in hex and as text')
      .option('-e, --link', 'hardware addresses, and the length on the link')
      .option('-t, --no-time', 'no time')
      .option('--epoch', 'time as seconds since the epoch')
      .option('-n, --numeric', 'numbers, as always')
      .option('-l, --line-buffered', 'each line at once, as always')
      .option('-U, --packet-buffered', 'each frame at once, as always')
      .option('--ring', 'with -w: the last frames, which the ring of kern.capture.ring_mb has kept')
      .option('--drops', 'only frames that are dropped')
      .option('-D, --list', 'list the interfaces')
      .addHelpText(
        'after',
        `\nFILTER: [${PROTOCOLS.join('|')}] [host ADDRESS] [port N] [in|out], joined by 'and'; all must hold.`,
      );
  },
  async run(context, words, options) {
    const { client, screen } = context;
    const file = options.write === undefined ? null : String(options.write);
    if (file === '-' && screen.isTty)
      throw new UsageError('a capture file is not for the screen: -w - goes into a pipe or a file');
    if (options.ring === true) {
      if (file === null) throw new UsageError('--ring takes -w FILE');
      if (words[0] !== undefined) throw new UsageError(`'${words[0]}' is too much: the ring is written whole`);
      return tell(context, await dumpRing(context, file), file);
    }
    const rows = await client.table('net.iflist');
    if (options.list === true) {
      for (const { name, index, flagNames } of rows)
        showLine(context, { index, name, flags: flagNames }, () => `${index}.${name} [${flagNames.join(', ')}]`);
      return 0;
    }
    const name = options.interface === undefined ? 'any' : String(options.interface);
    const ifrow = rows.find((row) => row.name === name);
    if (name !== 'any' && ifrow === undefined) {
      throw new ToolError(`${name}: no such interface; there are ${rows.map((row) => row.name).join(' ') || 'none'}`);
    }
    const filter: CaptureFilter = {
      ...readFilter(words),
      ...(name === 'any' ? {} : { interface: name }),
      ...(options.count === undefined ? {} : { count: wholeNumber(String(options.count), 'a count', 1, 1e9) }),
      ...(options.drops === true ? { drops: true } : {}),
      snaplen: snaplenArg(String(options.snaplen)),
    };
    const type = ifrow === undefined || ifrow.type === 'ethernet' ? 'EN10MB (Ethernet)' : 'RAW (Raw IP)';
    if (!context.json || file !== null)
      screen.warn(`listening on ${name}, link-type ${type}, snapshot length ${filter.snaplen} bytes`);
    if (file !== null) return tell(context, await writeBlocks(context, client.capturePcapng(filter), file), file);
    const totals = await printFrames(context, filter, {
      dissector: new Dissector(options.absolute === true),
      hex: options.hex === true,
      ascii: options.ascii === true,
      where: name === 'any',
      link: options.link === true,
      time: options.time === false ? 'none' : options.epoch === true ? 'epoch' : 'day',
    });
    return tell(context, totals, null);
  },
};

/** The last lines, which go to stderr: frames are what goes to stdout. */
function tell({ json, screen }: ToolContext, { captured, lost, reason }: Totals, file: string | null): number {
  if (!json || file !== null)
    screen.warn(`${captured} packets captured\n${lost} packets dropped because they were not read in time`);
  if (['count', 'cancelled', 'all'].includes(reason)) return 0;
  throw new ToolError(`the capture has ended: ${reason}`);
}
