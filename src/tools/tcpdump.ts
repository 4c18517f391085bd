/** `tcpdump`: frames as they cross an interface, with the reason of each that is dropped, as tcpdump(1). */
import fs from 'node:fs/promises';
import type { ItemStream } from '../client/client.ts';
import type { CaptureEnd, CaptureFilter } from '../client/types.ts';
import { Dissector } from './dissect.ts';
import { type FrameFormat, formatFrame } from './frametext.ts';
import { LANGUAGE, readFilter } from './pcapfilter.ts';
import { readCapture } from './tcpdumpfile.ts';
import { type OfflineContext, type Tool, type ToolContext, ToolError, UsageError, showLine, wholeNumber } from './tool.ts';

/** As much of a frame as a boot keeps: all of any. */
const SNAPLEN_MAX = 65600;

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
    const { data, drop, ...rest } = frame;
    const line = context.json
      ? JSON.stringify({ ...rest, drop, data: Buffer.from(data).toString('base64') })
      : formatFrame({ ...frame, note: drop === null ? null : `dropped: ${drop}` }, format);
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

type Options = Readonly<Record<string, unknown>>;

/** A filter as words, or where there are none all frames. */
function filterOf(words: readonly string[]): Pick<CaptureFilter, 'expr'> {
  const expr = readFilter(words);
  return expr === null ? {} : { expr };
}

function formatOf(options: Options, where: boolean): FrameFormat {
  return {
    dissector: new Dissector({
      absolute: options.absolute === true,
      quiet: options.quiet === true,
      verbose: options.verbose === true,
    }),
    hex: Number(options.hexCount ?? 0),
    ascii: options.ascii === true,
    where,
    link: options.link === true,
    time: options.time === false ? 'none' : options.epoch === true ? 'epoch' : 'day',
  };
}

const countOf = ({ count }: Options): number | null =>
  count === undefined ? null : wholeNumber(String(count), 'a count', 1, 1e9);

const fileOf = ({ write }: Options, screen: OfflineContext['screen']): string | null => {
  const file = write === undefined ? null : String(write);
  if (file === '-' && screen.isTty) throw new UsageError('a capture file is not for the screen: -w - goes into a pipe or a file');
  return file;
};

export const tcpdumpTool: Tool = {
  name: 'tcpdump',
  summary: 'show or save the frames of an interface, and why they are dropped',
  usage:
    '[-i IF | -r FILE|-] [-c COUNT] [-w FILE|-] [-s SNAPLEN] [-e] [-t | --epoch] [-q | -v] [-S] [-x | -X] [-n] [--drops] [FILTER] | --ring -w FILE|- | -D',
  define(command) {
    command
      .option('-i, --interface <name>', 'this interface (default: all)')
      .option('-r, --read <file>', 'a pcapng or pcap file instead of an interface, - for stdin; needs no boot')
      .option('-c, --count <count>', 'end after so many frames')
      .option('-w, --write <file>', 'a pcapng file, - for stdout')
      .option('-s, --snaplen <bytes>', 'keep so many bytes of each frame', String(SNAPLEN_MAX))
      .option('-S, --absolute', 'absolute sequence numbers')
      .option('-x, --hex', 'bytes in hex, without the link header; -xx with it')
      .option('-X, --ascii', 'bytes in hex and as text; -XX with the link header')
      .option('-e, --link', 'hardware addresses, and the length on the link')
      .option('-q, --quiet', 'protocol and length only')
      .option('-v, --verbose', 'the fields of the IP header too')
      .option('-t, --no-time', 'no time')
      .option('--epoch', 'time as seconds since the epoch')
      .option('-n, --numeric', 'numbers, as always')
      .option('-l, --line-buffered', 'each line at once, as always')
      .option('-U, --packet-buffered', 'each frame at once, as always')
      .option('--ring', 'with -w: the last frames, which the ring of kern.capture.ring_mb has kept')
      .option('--drops', 'only frames that are dropped')
      .option('-D, --list', 'list the interfaces')
      .addHelpText('after', `\nFILTER, as in pcap-filter(7): ${LANGUAGE}`);
    let bytes = 0;
    for (const flag of ['option:hex', 'option:ascii']) command.on(flag, () => command.setOptionValue('hexCount', ++bytes));
  },
  async runOffline(context, words, options) {
    if (options.read === undefined) return null;
    const other = (['interface', 'ring', 'list'] as const).find((name) => options[name] !== undefined);
    if (other !== undefined) throw new UsageError(`-r reads a file, --${other} asks a boot: one of them`);
    return readCapture(context, String(options.read), {
      filter: readFilter(words),
      count: countOf(options),
      drops: options.drops === true,
      snaplen: snaplenArg(String(options.snaplen)),
      writeTo: fileOf(options, context.screen),
      format: (where) => formatOf(options, where),
    });
  },
  async run(context, words, options) {
    const { client, screen } = context;
    const file = fileOf(options, screen);
    if (options.ring === true) {
      if (file === null) throw new UsageError('--ring takes -w FILE');
      if (words[0] !== undefined) throw new UsageError(`'${words[0]}' is too much: the ring is written whole`);
      return tell(context, await dumpRing(context, file), file);
    }
    // Before anything is asked of the boot: a mistake in it is the first thing to know.
    const expr = filterOf(words);
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
    const count = countOf(options);
    const filter: CaptureFilter = {
      ...expr,
      ...(name === 'any' ? {} : { interface: name }),
      ...(count === null ? {} : { count }),
      ...(options.drops === true ? { drops: true } : {}),
      snaplen: snaplenArg(String(options.snaplen)),
    };
    const type = ifrow === undefined || ifrow.type === 'ethernet' ? 'EN10MB (Ethernet)' : 'RAW (Raw IP)';
    if (!context.json || file !== null)
      screen.warn(`listening on ${name}, link-type ${type}, snapshot length ${filter.snaplen} bytes`);
    if (file !== null) return tell(context, await writeBlocks(context, client.capturePcapng(filter), file), file);
    const totals = await printFrames(context, filter, formatOf(options, name === 'any'));
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
