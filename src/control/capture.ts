/**
 * Captures over the control socket: `capture` streams the frames of interfaces as they pass, `capturering` what the kernel's ring has kept.
 * As records, or as blocks of a pcapng file. A client that does not read loses frames, which are counted; it holds up nobody.
 */
import { Callout } from '../kern/callout.ts';
import { type Errno, isErrno } from '../kern/errno.ts';
import { BPF_MAXSNAP, type BpfDesc, type BpfFrame } from '../kern/ifnet/bpf.ts';
import type { Ifnet } from '../kern/ifnet/ifnet.ts';
import type { Kernel } from '../kern/kernel.ts';
import { PKT_BCAST, PKT_MCAST } from '../kern/packet.ts';
import type { Proc } from '../kern/proc/proc.ts';
import {
  LINKTYPE_ETHERNET, LINKTYPE_RAW, PCAPNG_BROADCAST, PCAPNG_IN, PCAPNG_MULTICAST, PCAPNG_OUT, PCAPNG_UNICAST, PcapngWriter,
} from '../wire/pcapng.ts'; // prettier-ignore
import { BadArgument, dataAnswer, intArg, ipArg, textArg } from './args.ts';
import { FILTER_BYTES, type FrameFilter, PROTO_NAMES, compileFilter } from './capfilter.ts';
import type { RunningStream, StreamSink } from './stream.ts';

/** A frame as both sources have it. */
interface Captured {
  readonly name: string;
  readonly ifIndex: number;
  readonly ethernet: boolean;
  readonly dir: 'in' | 'out';
  readonly timeMs: number;
  readonly len: number;
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly drop: string | null;
}

interface Request {
  readonly interface: string | null;
  readonly direction: 'in' | 'out' | 'inout';
  readonly snaplen: number;
  readonly count: number;
  readonly drops: boolean;
  readonly pcapng: boolean;
  readonly filter: FrameFilter;
}

const FIELDS = ['interface', 'host', 'port', 'proto', 'direction', 'snaplen', 'count', 'drops', 'format'] as const;

/** Reads a filter from outside; every field may be left out. */
function requestOf(value: unknown): Request {
  const given = value ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) throw new BadArgument('a capture takes an object');
  const unknown = Object.keys(given).find((key) => !(FIELDS as readonly string[]).includes(key));
  if (unknown !== undefined) throw new BadArgument(`a capture has no ${JSON.stringify(unknown)}; there are ${FIELDS.join(' ')}`);
  const f = given as Partial<Record<(typeof FIELDS)[number], unknown>>;
  return {
    interface: f.interface === undefined ? null : textArg(f.interface, 'interface'),
    direction: oneOf(f.direction, ['inout', 'in', 'out'], 'direction'),
    snaplen: f.snaplen === undefined ? BPF_MAXSNAP : rangeArg(f.snaplen, 'snaplen', 1, BPF_MAXSNAP),
    count: f.count === undefined ? Infinity : rangeArg(f.count, 'count', 1, Number.MAX_SAFE_INTEGER),
    drops: f.drops === true,
    pcapng: oneOf(f.format, ['frames', 'pcapng'], 'format') === 'pcapng',
    filter: {
      host: f.host === undefined ? null : ipArg(f.host, 'host'),
      port: f.port === undefined ? null : rangeArg(f.port, 'port', 0, 65535),
      proto:
        f.proto === undefined
          ? null
          : typeof f.proto === 'number'
            ? rangeArg(f.proto, 'proto', 0, 255)
            : oneOf(f.proto, PROTO_NAMES, 'proto'),
    },
  };
}

/** The first of `names` where nothing was given. */
function oneOf<T extends string>(value: unknown, names: readonly [T, ...T[]], what: string): T {
  if (value === undefined) return names[0];
  const found = names.find((name) => name === value);
  if (found === undefined) throw new BadArgument(`${what} is one of ${names.join(' ')}`);
  return found;
}

function rangeArg(value: unknown, what: string, min: number, max: number): number {
  const n = intArg(value, what);
  if (n < min || n > max) throw new BadArgument(`${what} must be from ${min} to ${max}`);
  return n;
}

/** Makes items of frames. */
interface Encoder {
  /** False: lost. */
  put(frame: Captured): boolean;
}

class FrameEncoder implements Encoder {
  readonly #sink: StreamSink;

  constructor(sink: StreamSink) {
    this.#sink = sink;
  }

  put({ name, dir, timeMs, len, bytes, drop, ethernet }: Captured): boolean {
    if (!this.#sink.hasRoom()) return false;
    const link = ethernet ? 'ethernet' : 'raw';
    return this.#sink.item({ if: name, dir, ts: timeMs / 1000, len, data: dataAnswer(bytes), drop, link });
  }
}

class PcapngEncoder implements Encoder {
  readonly #sink: StreamSink;
  readonly #writer: PcapngWriter;
  readonly #snaplen: number;
  /** Numbers of interfaces in the file. */
  readonly #ids = new Map<string, number>();

  constructor(sink: StreamSink, snaplen: number) {
    this.#sink = sink;
    this.#snaplen = snaplen;
    this.#writer = new PcapngWriter((bytes) => sink.item({ data: dataAnswer(bytes) }), snaplen);
    this.#writer.section('netmod');
  }

  put(frame: Captured): boolean {
    // Asked first: without an interface's description its frames mean nothing.
    if (!this.#sink.hasRoom()) return false;
    const { name, ethernet, dir, timeMs, len, bytes, flags, drop } = frame;
    const key = `${frame.ifIndex} ${name}`;
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#writer.interface(
        name,
        ethernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW,
        this.#snaplen < BPF_MAXSNAP ? this.#snaplen : 0,
      );
      this.#ids.set(key, id);
    }
    const caplen = Math.min(bytes.length, this.#snaplen);
    const at = this.#writer.packet(id, timeMs, len, caplen);
    this.#writer.bytes.set(bytes.subarray(0, caplen), at);
    this.#writer.endPacket(packetFlags(dir, flags), drop === null ? null : `dropped: ${drop}`);
    return true;
  }
}

/** `epb_flags` of a frame: its direction, and how it was addressed. */
export function packetFlags(dir: 'in' | 'out', flags: number): number {
  const way = dir === 'in' ? PCAPNG_IN : PCAPNG_OUT;
  if ((flags & PKT_BCAST) !== 0) return way | PCAPNG_BROADCAST;
  return way | ((flags & PKT_MCAST) !== 0 ? PCAPNG_MULTICAST : PCAPNG_UNICAST);
}

/** A running capture. */
class Capture implements RunningStream {
  readonly #request: Request;
  readonly #sink: StreamSink;
  readonly #encoder: Encoder;
  readonly #filters = new Map<boolean, ReturnType<typeof compileFilter>>();
  #desc: BpfDesc | null = null;
  /** Of what was lost, how much the client has been told. */
  #told = 0;

  constructor(request: Request, sink: StreamSink) {
    this.#request = request;
    this.#sink = sink;
    this.#encoder = request.pcapng ? new PcapngEncoder(sink, request.snaplen) : new FrameEncoder(sink);
    for (const ethernet of [true, false]) this.#filters.set(ethernet, compileFilter(request.filter, ethernet));
  }

  open(kernel: Kernel, owner: string): Errno | null {
    const { interface: name, direction, snaplen } = this.#request;
    const desc = kernel.bpf.open({
      owner,
      interface: name,
      direction,
      snaplen: Math.max(snaplen, FILTER_BYTES),
      deliver: (frame) => this.#deliver(frame),
      gone: () => this.#sink.end(this.stop('interface is gone')),
    });
    if (isErrno(desc)) return desc;
    this.#desc = desc;
    return null;
  }

  #deliver(frame: BpfFrame): void {
    const desc = this.#desc;
    if (desc === null) return;
    const { drops, snaplen, count } = this.#request;
    if (drops && frame.drop === null) return;
    const ethernet = frame.ifp.type() === 'ethernet';
    const wanted = this.#filters.get(ethernet) ?? null;
    if (wanted !== null && !wanted(frame.bytes, frame.caplen)) return;
    const bytes = frame.bytes.subarray(0, Math.min(frame.caplen, snaplen));
    if (this.#encoder.put({ ...namesOf(frame.ifp), ...partsOf(frame), ethernet, bytes })) desc.captured++;
    else desc.lost++;
    this.#tellLost();
    if (desc.captured >= count) this.#sink.end(this.stop('count'));
  }

  #tellLost(): void {
    const { lost } = this.#desc as BpfDesc;
    if (lost > this.#told && this.#sink.hasRoom() && this.#sink.item({ lost: lost - this.#told })) this.#told = lost;
  }

  stop(reason: string): object {
    const desc = this.#desc;
    this.#desc = null;
    desc?.close();
    return { captured: desc?.captured ?? 0, lost: desc?.lost ?? 0, reason };
  }
}

function namesOf(ifp: Ifnet): { name: string; ifIndex: number } {
  return { name: ifp.name(), ifIndex: ifp.index };
}

function partsOf({ dir, timeMs, len, flags, drop }: BpfFrame): Pick<Captured, 'dir' | 'timeMs' | 'len' | 'flags' | 'drop'> {
  return { dir, timeMs, len, flags, drop };
}

/** `capture`: ENXIO for an interface that is not there. */
export function startCapture(proc: Proc, [filter]: readonly unknown[], sink: StreamSink): RunningStream | Errno {
  const capture = new Capture(requestOf(filter), sink);
  return capture.open(proc.kernel, proc.name) ?? capture;
}

/** Frames of the ring as they can be written to a file. */
export function* ringFrames(kernel: Kernel): Generator<Captured> {
  for (const frame of kernel.bpf.ring.frames()) {
    const ifp = kernel.ifnets.byIndex(frame.ifIndex);
    yield { ...frame, name: ifp?.name() ?? `if${frame.ifIndex}`, ethernet: ifp === null || ifp.type() === 'ethernet' };
  }
}

/** The whole ring as a pcapng file, block by block. */
export function writeRing(kernel: Kernel, sink: (bytes: Uint8Array) => void): number {
  const all: StreamSink = { item: () => true, hasRoom: () => true, end: () => undefined };
  const encoder = new PcapngEncoder(
    { ...all, item: (value) => (sink(Buffer.from((value as { data: string }).data, 'base64')), true) },
    BPF_MAXSNAP,
  );
  let n = 0;
  for (const frame of ringFrames(kernel)) if (encoder.put(frame)) n++;
  return n;
}

/** Frames of the ring sent before others get their turn. */
const RING_TURN = 64;

/** How often it is looked whether a client that was behind has read on, in milliseconds. */
const RING_WAIT_MS = 10;

/** `capturering`: goes through the ring as it is now, at the pace at which the client reads. */
export function startCaptureRing(proc: Proc, [options]: readonly unknown[], sink: StreamSink): RunningStream {
  const { kernel } = proc;
  const { format } = (options ?? {}) as { format?: unknown };
  const pcapng = oneOf(format, ['pcapng', 'frames'], 'format') === 'pcapng';
  const encoder = pcapng ? new PcapngEncoder(sink, BPF_MAXSNAP) : new FrameEncoder(sink);
  // A copy: the ring goes on turning.
  const frames = [...ringFrames(kernel)].map((frame) => ({ ...frame, bytes: frame.bytes.slice() }));
  const total = frames.length;
  let sent = 0;
  let running = true;
  const waiting = new Callout<null>(kernel.callouts, () => turn(), null);
  const stream: RunningStream = {
    stop: (reason) => {
      running = false;
      waiting.stop();
      return { captured: sent, lost: total - sent, reason };
    },
  };
  const turn = (): void => {
    for (let i = 0; running && i < RING_TURN && sent < total && sink.hasRoom(); i++) {
      if (encoder.put(frames[sent] as Captured)) sent++;
    }
    if (!running) return;
    if (sent === total) sink.end(stream.stop('all'));
    else if (!sink.hasRoom()) waiting.reset(RING_WAIT_MS);
    else kernel.effects.yield(turn);
  };
  kernel.effects.yield(turn);
  return stream;
}
