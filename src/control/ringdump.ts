/**
 * What the kernel's ring of the last frames has kept: over the control socket (`capturering`) at the pace at which the client reads, or in
 * pieces for a file. Frames are taken out of the ring one by one, so a reader holds one frame and what its client has not read, however
 * large the ring is. The ring goes on turning: frames that it overwrites before a slow reader comes to them are counted and told of.
 */
import { Callout } from '../kern/callout.ts';
import { BPF_MAXSNAP } from '../kern/ifnet/bpf.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { Proc } from '../kern/proc/proc.ts';
import { oneOf } from './args.ts';
import { type Captured, type Encoder, FrameEncoder, PcapngBlocks, PcapngEncoder } from './encoders.ts';
import type { RunningStream, StreamSink } from './stream.ts';
import type { Worker } from './turns.ts';

/** Goes through the ring as it is when this is made. */
class RingReader {
  readonly #kernel: Kernel;
  readonly #cursor: ReturnType<Kernel['bpf']['ring']['cursor']>;
  /** Of the frames that were missed, those that the last frame's `missed` and earlier ones counted. */
  #told = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#cursor = kernel.bpf.ring.cursor();
  }

  /** The next frame, whose bytes are the ring's; null at the end. */
  next(): Captured | null {
    const frame = this.#kernel.bpf.ring.read(this.#cursor);
    if (frame === null) return null;
    const ifp = this.#kernel.ifnets.byIndex(frame.ifIndex);
    return { ...frame, name: ifp?.name() ?? `if${frame.ifIndex}`, ethernet: ifp === null || ifp.type() === 'ethernet' };
  }

  /** Frames that were missed since this was last asked. */
  missedNow(): number {
    const missed = this.#cursor.missed - this.#told;
    this.#told = this.#cursor.missed;
    return missed;
  }

  get missed(): number {
    return this.#cursor.missed;
  }

  /** Frames that were not read, for whichever reason. */
  get unread(): number {
    return this.#cursor.missed + this.#cursor.end - this.#cursor.seq;
  }
}

/** How often it is looked whether a client that was behind has read on, in milliseconds. */
const WAIT_MS = 10;

class RingStream implements RunningStream, Worker {
  readonly #kernel: Kernel;
  readonly #sink: StreamSink;
  readonly #encoder: Encoder;
  readonly #reader: RingReader;
  readonly #waiting: Callout<null>;
  #sent = 0;

  constructor(kernel: Kernel, sink: StreamSink, encoder: Encoder) {
    this.#kernel = kernel;
    this.#sink = sink;
    this.#encoder = encoder;
    this.#reader = new RingReader(kernel);
    this.#waiting = new Callout<null>(kernel.callouts, () => sink.turns.add(this), null);
    sink.turns.add(this);
  }

  work(): boolean {
    while (this.#sink.hasRoom()) {
      const frame = this.#reader.next();
      const missed = this.#reader.missedNow();
      // Room was asked for: what is sent now is sent, even if it is a little more than there is room for.
      if (missed > 0) this.#sink.put({ lost: missed });
      if (frame === null) {
        this.#encoder.finish(this.#sent, this.#reader.missed, this.#kernel.clock.realtimeMs());
        this.#sink.end(this.stop('all'));
        return false;
      }
      this.#encoder.put(frame, missed);
      this.#sent++;
      if (this.#sink.turns.isOver()) return true;
    }
    this.#waiting.reset(WAIT_MS);
    return false;
  }

  stop(reason: string): object {
    this.#waiting.stop();
    this.#sink.turns.remove(this);
    return { captured: this.#sent, lost: this.#reader.unread, reason };
  }
}

/** `capturering`. */
export function startCaptureRing(proc: Proc, [options]: readonly unknown[], sink: StreamSink): RunningStream {
  const { format } = (options ?? {}) as { format?: unknown };
  const pcapng = oneOf(format, ['pcapng', 'frames'], 'format') === 'pcapng';
  return new RingStream(proc.kernel, sink, pcapng ? new PcapngEncoder(sink, BPF_MAXSNAP) : new FrameEncoder(sink));
}

/** The ring as a pcapng file, in pieces of at least `pieceBytes` but for the last; the answer is how many frames it has. */
export function* ringFile(kernel: Kernel, pieceBytes: number): Generator<Uint8Array, number> {
  const reader = new RingReader(kernel);
  let blocks: Buffer[] = [];
  let bytes = 0;
  const writer = new PcapngBlocks((block) => {
    blocks.push(Buffer.from(block));
    bytes += block.length;
  }, BPF_MAXSNAP);
  let frames = 0;
  for (let frame = reader.next(); frame !== null; frame = reader.next()) {
    writer.put(frame, reader.missedNow());
    frames++;
    if (bytes < pieceBytes) continue;
    yield Buffer.concat(blocks);
    blocks = [];
    bytes = 0;
  }
  writer.finish(frames, reader.missed, kernel.clock.realtimeMs());
  yield Buffer.concat(blocks);
  return frames;
}
