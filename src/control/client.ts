/**
 * One client of the control socket: newline-delimited JSON in and out, a process of its own in the kernel, and limits on everything it
 * may keep here. A request is `{"id":1,"call":"socket","args":["inet","stream",0]}`, its answer `{"id":1,"ret":3}` or
 * `{"id":1,"errno":"EAFNOSUPPORT","message":"..."}`; answers come as calls finish. See CONTRACT.md.
 */
import type { Socket } from 'node:net';
import { type Errno, isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { Proc } from '../kern/proc/proc.ts';
import { BadArgument } from './args.ts';
import { Answer, CANCEL, type Outcome, Refusal, STREAM_CALLS, type StreamCall, findCall, presentCalls } from './calls.ts';
import { LineBuffer } from './lines.ts';
import { type Request, parseRequest } from './request.ts';
import { type RunningStream, STREAMS_MAX, type StreamSink } from './stream.ts';
import type { Turns, Worker } from './turns.ts';

/** Version of the protocol, on the greeting line. */
export const CONTROL_VERSION = 1;
/** Longest line in bytes. */
export const LINE_MAX = 1024 * 1024;
/** Calls of one client that may be under way; further requests wait in the line buffer. */
export const OUTSTANDING_MAX = 1024;
/** Bytes of the requests of those calls: their arguments are kept until they finish. */
export const HELD_MAX = 32 * 1024 * 1024;
/** What an entry of a list takes in memory (poll), which may be much more than in its line. */
const ENTRY_BYTES = 128;
/** Bytes of answers that a client may leave unread before its requests are no longer read, and its streams lose items. */
export const UNREAD_MAX = 1024 * 1024;
/** Bytes of requests that wait while nothing is wrong with the client: more is not read until these are served. */
const AHEAD_MAX = 64 * 1024;
/** Requests served before the next client has its turn. */
const TURN = 8;

/** Counters of all clients, group `control`. */
export class ControlCounters {
  clients = 0;
  refused = 0;
  requests = 0;
  errors = 0;
  /** Clients that were sent away for a malformed line, a line over `LINE_MAX`, or too many unfinished calls. */
  malformed = 0;
  oversized = 0;
  flooding = 0;
  /** Items of streams that clients did not read in time. */
  lostitems = 0;
}

export class ControlClient implements Worker {
  readonly #kernel: Kernel;
  readonly #socket: Socket;
  readonly #proc: Proc;
  readonly #counters: ControlCounters;
  readonly #turns: Turns;
  readonly #lines = new LineBuffer();
  readonly #streams = new Map<Request['id'], RunningStream>();
  #outstanding = 0;
  /** Bytes of the requests that are under way. */
  #held = 0;
  #ended = false;

  constructor(kernel: Kernel, socket: Socket, name: string, counters: ControlCounters, turns: Turns) {
    this.#kernel = kernel;
    this.#socket = socket;
    this.#counters = counters;
    this.#turns = turns;
    this.#proc = new Proc(kernel, name);
    socket.on('data', (chunk: Buffer) => this.#input(chunk));
    socket.on('drain', () => this.#more());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#exit());
    this.#write({ netmod: CONTROL_VERSION, stack: kernel.netstack.name, calls: presentCalls(this.#proc) });
  }

  /** The client is gone, and its descriptors and streams with it. */
  #exit(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#lines.clear();
    this.#turns.remove(this);
    for (const stream of this.#streams.values()) stream.stop('closed');
    this.#streams.clear();
    this.#proc.exit();
  }

  /** Sends the client away; what was answered so far still reaches it. */
  end(): void {
    this.#exit();
    this.#socket.end();
    this.#socket.resume();
    // One that does not read has no claim to its answers.
    if (this.#socket.writableLength > 0) this.#socket.destroySoon();
  }

  /** The boot is going: streams end with a word. */
  shutdown(): void {
    for (const [id, stream] of [...this.#streams]) this.#endStream(id, stream.stop('shutdown'));
    this.end();
  }

  #refuse(message: string): void {
    this.#write({ id: null, errno: 'EINVAL' satisfies Errno, message });
    this.end();
  }

  #input(chunk: Buffer): void {
    if (this.#ended) return;
    this.#lines.push(chunk);
    this.#more();
  }

  #write(line: object): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(line)}\n`);
  }

  /** Serves some complete lines, as far as the limits allow. True: there is more that may be served. */
  work(): boolean {
    if (this.#ended) return false;
    this.#socket.cork();
    for (let turn = 0; turn < TURN && this.#mayServe(); turn++) {
      const line = this.#lines.next();
      if (line === null) break;
      this.#request(line);
    }
    this.#socket.uncork();
    if (this.#ended) return false;
    this.#limit();
    return !this.#ended && this.#mayServe() && this.#lines.hasLine;
  }

  /** Something changed: perhaps there is something to serve now. */
  #more(): void {
    if (this.#ended) return;
    if (this.#mayServe() && this.#lines.hasLine) this.#turns.add(this);
    this.#limit();
  }

  #mayServe(): boolean {
    return !this.#ended && !this.#isFull() && this.#socket.writableLength < UNREAD_MAX;
  }

  /** As many calls are under way as may be. */
  #isFull(): boolean {
    return this.#outstanding >= OUTSTANDING_MAX || this.#held >= HELD_MAX;
  }

  /**
   * Stops reading while requests wait; but one that waits for its own calls is read on, because a dead client is known by its end, up
   * to one more line's length.
   */
  #limit(): void {
    const { hasLine, length } = this.#lines;
    const calling = this.#isFull();
    if (!hasLine && length > LINE_MAX) {
      this.#counters.oversized++;
      this.#refuse(`a line is longer than ${LINE_MAX} bytes`);
    } else if (calling && length > LINE_MAX) {
      this.#counters.flooding++;
      this.#refuse(
        `too many calls are under way (at most ${OUTSTANDING_MAX}, of ${HELD_MAX} bytes in all) and more than ${LINE_MAX} bytes of requests wait`,
      );
    } else if (this.#socket.writableLength >= UNREAD_MAX || (hasLine && !calling && length > AHEAD_MAX)) this.#socket.pause();
    else this.#socket.resume();
  }

  #request(line: Buffer): void {
    if (line.length > LINE_MAX) {
      this.#counters.oversized++;
      return this.#refuse(`a line is longer than ${LINE_MAX} bytes`);
    }
    const text = line.toString('utf8').trim();
    if (text === '') return;
    const request = parseRequest(text);
    if ('mistake' in request) {
      this.#counters.malformed++;
      return this.#refuse(request.mistake);
    }
    this.#counters.requests++;
    const [list] = request.args;
    this.#run(request, line.length + (Array.isArray(list) ? list.length * ENTRY_BYTES : 0));
  }

  #run({ id, call, args }: Request, size: number): void {
    const streaming = Object.hasOwn(STREAM_CALLS, call) ? STREAM_CALLS[call] : undefined;
    if (call === CANCEL || streaming !== undefined) {
      try {
        if (streaming !== undefined) this.#start(id, streaming, call, args);
        else this.#cancel(id, args);
      } catch (error) {
        this.#threw(id, error);
      }
      return;
    }
    const found = findCall(this.#proc, call);
    if (found === null) return this.#answer(id, 'ENOSYS', `there is no call ${JSON.stringify(call.slice(0, 64))}`);
    this.#outstanding++;
    this.#held += size;
    let outcome: ReturnType<typeof found>;
    try {
      outcome = found(this.#proc, args);
    } catch (error) {
      outcome = Promise.reject(error as Error);
    }
    if (!(outcome instanceof Promise)) return this.#finished(id, call, outcome, size);
    outcome.then(
      (result) => this.#finished(id, call, result, size),
      (error: unknown) => this.#failed(id, error, size),
    );
  }

  #start(id: Request['id'], streaming: StreamCall, call: string, args: readonly unknown[]): void {
    if (this.#streams.has(id)) return this.#answer(id, 'EBUSY', `${call}: this id has a stream already`);
    if (this.#streams.size >= STREAMS_MAX) return this.#answer(id, 'EMFILE', `${call}: ${STREAMS_MAX} streams are open`);
    const sink: StreamSink = {
      hasRoom: () => this.#socket.writable && this.#socket.writableLength < UNREAD_MAX,
      item: (item) => {
        if (!sink.hasRoom()) {
          this.#counters.lostitems++;
          return false;
        }
        this.#write({ id, item });
        return true;
      },
      end: (value) => this.#endStream(id, value),
    };
    // Items come behind the answer: a stream may have some as soon as it starts.
    const held: object[] = [];
    let open = false;
    const early: StreamSink = { ...sink, item: (item) => (open ? sink.item(item) : (held.push(item), true)) };
    const stream = streaming(this.#proc, args, early);
    if (isErrno(stream)) this.#answer(id, stream, `${call}: ${stream}`);
    else {
      this.#streams.set(id, stream);
      this.#write({ id, ret: { stream: true } });
      open = true;
      for (const item of held) sink.item(item);
    }
  }

  #endStream(id: Request['id'], value: object): void {
    if (this.#streams.delete(id)) this.#write({ id, end: value });
  }

  #cancel(id: Request['id'], [which]: readonly unknown[]): void {
    const stream = typeof which === 'number' || typeof which === 'string' ? this.#streams.get(which) : undefined;
    if (stream === undefined) return this.#answer(id, 'ENOENT', `${CANCEL}: no stream has this id`);
    this.#endStream(which as Request['id'], stream.stop('cancelled'));
    this.#write({ id, ret: null });
  }

  #finished(id: Request['id'], call: string, outcome: Outcome, size: number): void {
    if (outcome instanceof Answer) this.#write({ id, ret: outcome.ret ?? null });
    else if (outcome instanceof Refusal) this.#answer(id, outcome.err, outcome.message);
    else this.#answer(id, outcome, `${call}: ${outcome}`);
    this.#freed(size);
  }

  #failed(id: Request['id'], error: unknown, size: number): void {
    this.#threw(id, error);
    this.#freed(size);
  }

  #threw(id: Request['id'], error: unknown): void {
    if (error instanceof BadArgument) return this.#answer(id, error.errno, error.message);
    this.#kernel.log.error({ subsys: 'control', error: String(error) }, 'a call threw');
    this.#answer(id, 'EINVAL', 'the arguments of this call make no sense to it');
  }

  #answer(id: Request['id'], errno: Errno, message: string): void {
    this.#counters.errors++;
    this.#write({ id, errno, message });
  }

  /** A call has finished, whose request had `size` bytes: the one that had no room may follow. */
  #freed(size: number): void {
    const full = this.#isFull();
    this.#outstanding--;
    this.#held -= size;
    if (full && !this.#isFull()) this.#more();
  }
}
