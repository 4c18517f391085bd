/**
 * Captures over the control socket: `capture` streams the frames of interfaces as they pass, as records or as blocks of a pcapng file. A
 * client that does not read loses frames, which are counted; it holds up nobody. `ringdump.ts` has what the kernel's ring has kept.
 */
import { type Errno, isErrno } from '../kern/errno.ts';
import { BPF_MAXSNAP, type BpfDesc, type BpfFrame } from '../kern/ifnet/bpf.ts';
import type { Ifnet } from '../kern/ifnet/ifnet.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { Proc } from '../kern/proc/proc.ts';
import { BadArgument, oneOf, rangeArg, textArg } from './args.ts';
import { type FrameExpr, type FrameFilter, compileFilter } from './capfilter.ts';
import { type Captured, type Encoder, FrameEncoder, PcapngEncoder } from './encoders.ts';
import { bytesOfExpr, exprArg } from './exprarg.ts';
import type { RunningStream, StreamSink } from './stream.ts';

interface Request {
  readonly interface: string | null;
  readonly direction: 'in' | 'out' | 'inout';
  readonly snaplen: number;
  readonly count: number;
  readonly drops: boolean;
  readonly pcapng: boolean;
  /** Null: all frames. */
  readonly filter: FrameExpr | null;
}

const FIELDS = ['interface', 'host', 'port', 'proto', 'expr', 'direction', 'snaplen', 'count', 'drops', 'format'] as const;

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
    filter: filterOf(f),
  };
}

/** The short fields and the expression: all of them must hold. */
function filterOf({ host, port, proto, expr }: Partial<Record<(typeof FIELDS)[number], unknown>>): FrameExpr | null {
  const parts = [
    ...(proto === undefined ? [] : [exprArg({ proto })]),
    ...(port === undefined ? [] : [exprArg({ port })]),
    ...(host === undefined ? [] : [exprArg({ host })]),
    ...(expr === undefined ? [] : [exprArg(expr)]),
  ];
  return parts.length === 0 ? null : { kind: 'and', of: parts };
}

/** A running capture. */
class Capture implements RunningStream {
  readonly #request: Request;
  readonly #sink: StreamSink;
  readonly #encoder: Encoder;
  /** Of frames of Ethernet, and of those without a link header. */
  readonly #etherFilter: FrameFilter | null;
  readonly #rawFilter: FrameFilter | null;
  #desc: BpfDesc | null = null;
  /** Of what was lost, how much the client has been told. */
  #told = 0;

  constructor(request: Request, sink: StreamSink) {
    this.#request = request;
    this.#sink = sink;
    this.#encoder = request.pcapng ? new PcapngEncoder(sink, request.snaplen) : new FrameEncoder(sink);
    const { filter } = request;
    this.#etherFilter = filter === null ? null : compileFilter(filter, true);
    this.#rawFilter = filter === null ? null : compileFilter(filter, false);
  }

  open(kernel: Kernel, owner: string): Errno | null {
    const { interface: name, direction, snaplen, filter } = this.#request;
    const desc = kernel.bpf.open({
      owner,
      interface: name,
      direction,
      snaplen: filter === null ? snaplen : Math.max(snaplen, bytesOfExpr(filter)),
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
    const wanted = ethernet ? this.#etherFilter : this.#rawFilter;
    if (wanted !== null && !wanted(frame.bytes, frame.caplen, frame.len, frame.dir)) return;
    const bytes = frame.bytes.subarray(0, Math.min(frame.caplen, snaplen));
    if (!this.#sink.hasRoom()) {
      desc.lost++;
      return;
    }
    this.#tellLost(desc);
    this.#encoder.put({ ...namesOf(frame.ifp), ...partsOf(frame), ethernet, bytes });
    desc.captured++;
    if (desc.captured >= count) this.#sink.end(this.stop('count'));
  }

  /** Where frames are missing: in front of the next one. */
  #tellLost({ lost }: BpfDesc): void {
    if (lost > this.#told) this.#sink.put({ lost: lost - this.#told });
    this.#told = lost;
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
