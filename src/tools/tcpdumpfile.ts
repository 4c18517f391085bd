/** `tcpdump -r`: shows or filters a capture file, with no boot at all. */
import fs from 'node:fs';
import type { FilterExpr } from '../client/types.ts';
import { compileFilter } from '../control/capfilter.ts';
import { packetFlags } from '../control/encoders.ts';
import { exprArg } from '../control/exprarg.ts';
import { CaptureReader, type ReadPacket } from '../wire/captureread.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter } from '../wire/pcapng.ts';
import { type FrameFormat, formatFrame } from './frametext.ts';
import { type OfflineContext, ToolError } from './tool.ts';

export interface ReadOptions {
  readonly filter: FilterExpr | null;
  /** End after so many; null: all. */
  readonly count: number | null;
  /** Only frames that were dropped. */
  readonly drops: boolean;
  readonly snaplen: number;
  /** A file to write instead of showing them, `-` for stdout. */
  readonly writeTo: string | null;
  /** Whether names of interfaces are shown is known when the file is open. */
  format(where: boolean): FrameFormat;
}

/** Longest packet that is written. */
const PACKET_MAX = 16 * 1024 * 1024;

/** Where packets of a file go. */
interface Output {
  packet(packet: ReadPacket): Promise<void>;
  close(): Promise<void>;
}

/** Answers the exit status. ToolError: the file cannot be read, or is damaged. */
export async function readCapture(context: OfflineContext, file: string, options: ReadOptions): Promise<number> {
  const expr = options.filter === null ? null : exprArg(options.filter);
  const filters = [false, true].map((ethernet) => (expr === null ? null : compileFilter(expr, ethernet)));
  const output = options.writeTo === null ? printer(context, options) : writer(context, options.writeTo);
  let left = options.count ?? Infinity;
  if (!context.json && options.writeTo === null) context.screen.warn(`reading from file ${file}`);
  try {
    for await (const packet of packetsOf(file)) {
      if (context.until.aborted || left === 0) break;
      if (packet.linkType !== LINKTYPE_ETHERNET && packet.linkType !== LINKTYPE_RAW)
        throw new ToolError(`${file}: link type ${packet.linkType} cannot be read; Ethernet (1) and raw IP (101) can`);
      const { bytes, len, dir, comment } = packet;
      const wanted = filters[packet.linkType === LINKTYPE_ETHERNET ? 1 : 0] ?? null;
      if (wanted !== null && !wanted(bytes, bytes.length, len, dir)) continue;
      if (options.drops && comment?.includes('dropped: ') !== true) continue;
      await output.packet({ ...packet, bytes: bytes.subarray(0, options.snaplen) });
      left--;
    }
  } finally {
    await output.close();
  }
  return 0;
}

async function* packetsOf(file: string): AsyncGenerator<ReadPacket> {
  const reader = new CaptureReader();
  const stream = fs.createReadStream(file === '-' ? '/dev/stdin' : file);
  try {
    for await (const piece of stream) yield* checked(reader, reader.push(piece as Buffer), file);
  } catch (error) {
    throw error instanceof Error && 'syscall' in error ? new ToolError(`${file}: ${error.message}`) : error;
  } finally {
    stream.destroy();
  }
  reader.end();
  yield* checked(reader, [], file);
}

/** What was good before the mistake comes first. */
function* checked({ error }: CaptureReader, packets: readonly ReadPacket[], file: string): Generator<ReadPacket> {
  yield* packets;
  if (error !== null) throw new ToolError(`${file}: ${error}`);
}

function printer({ screen, json }: OfflineContext, options: ReadOptions): Output {
  const plain = options.format(false);
  const named = { ...plain, where: true };
  return {
    packet: ({ name, linkType, ts, len, bytes, dir, comment }) => {
      const link = linkType === LINKTYPE_ETHERNET ? 'ethernet' : 'raw';
      if (json) {
        const drop = /dropped: (.*)/.exec(comment ?? '')?.[1] ?? null;
        const data = Buffer.from(bytes).toString('base64');
        return screen.write(`${JSON.stringify({ if: name, dir, ts, len, link, drop, data })}\n`);
      }
      // A file of pcap has no names and no directions; where there are some they are shown.
      const frame = { if: name, dir, ts, len, data: bytes, link, note: comment } as const;
      return screen.write(`${formatFrame(frame, name === '' && dir === null ? plain : named)}\n`);
    },
    close: () => Promise.resolve(),
  };
}

function writer({ screen }: OfflineContext, file: string): Output {
  const fd = file === '-' ? -1 : openFile(file);
  let pending: Uint8Array[] = [];
  const out = new PcapngWriter((block) => void pending.push(Uint8Array.from(block)), PACKET_MAX);
  const ids = new Map<string, number>();
  out.section('netmod');
  const flush = async (): Promise<void> => {
    const blocks = pending;
    pending = [];
    for (const block of blocks) {
      if (fd < 0) await screen.write(block);
      else fs.writeSync(fd, block);
    }
  };
  return {
    packet: async ({ name, linkType, ts, len, bytes, dir, comment }) => {
      const key = `${linkType} ${name}`;
      let id = ids.get(key);
      if (id === undefined) ids.set(key, (id = out.interface(name, linkType, 0)));
      // A tenth of a microsecond more, because what a fraction lacks would be cut off.
      const at = out.packet(id, (Math.round(ts * 1e6) + 0.1) / 1000, len, bytes.length);
      out.bytes.set(bytes, at);
      out.endPacket(dir === null ? 0 : packetFlags(dir, 0), comment);
      await flush();
    },
    close: async () => {
      await flush();
      if (fd >= 0) fs.closeSync(fd);
    },
  };
}

function openFile(file: string): number {
  try {
    return fs.openSync(file, 'w', 0o600);
  } catch (error) {
    throw new ToolError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
