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
import {
  Answer, CANCEL, LateAnswer, type Outcome, Refusal, STREAM_CALLS, type StreamCall, findCall, presentCalls,
} from './calls.ts'; // prettier-ignore
import {
  AHEAD_MAX, DATA_MAX, ENTRIES_MAX, FAIR_SHARE, HELD_MAX, LIMITS, LINE_MAX, MEMORY_MAX, OUTSTANDING_MAX, UNREAD_MAX,
} from './limits.ts'; // prettier-ignore
import { LineBuffer } from './lines.ts';
import { type Request, parseRequest } from './request.ts';
import type { Reaper } from './reaper.ts';
import { ALL_STREAMS_MAX, type RunningStream, STREAMS_MAX, type StreamSink } from './stream.ts';
import type { Turns, Worker } from './turns.ts';

/** Version of the protocol, on the greeting line. */
export const CONTROL_VERSION = 1;
/** Requests served before the next client has its turn. */
const TURN = 8;
/** An answer to a call that holds more bytes than this is made in its client's turn, because it may take long to make. */
const SMALL = 4096;
/** Characters of answers that are kept together at most. */
const BATCH_MAX = 64 * 1024;
/** Time for a client that is sent away to read its last line, in milliseconds. */
const LINGER_MS = 200;

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
  /** Clients that were sent away because all of them together took too much memory. */
  nobufs = 0;
  /** Items of streams that clients did not read in time. */
  lostitems = 0;
  /** Streams that are running. */
  streams = 0;
  /** Bytes of all clients: requests that wait, what calls hold, and answers that are not read. */
  membytes = 0;
}

/** What a call under way costs: bytes that it holds, and entries of a list that is looked through (poll). */
interface Cost {
  readonly bytes: number;
  readonly entries: number;
}

/** Bytes that an entry of a list takes. */
const ENTRY_BYTES = 128;

function costOf({ call, args }: Request, lineBytes: number): Cost {
  const [list, length] = args;
  if (Array.isArray(list)) return { bytes: lineBytes + list.length * ENTRY_BYTES, entries: list.length };
  const room = (call === 'recv' || call === 'recvfrom') && typeof length === 'number' && length > 0 ? length : 0;
  return { bytes: lineBytes + Math.min(room, DATA_MAX), entries: 0 };
}

/** An answer that waits for its client's turn. */
interface Late {
  readonly id: Request['id'];
  readonly answer: LateAnswer;
  readonly cost: Cost;
}

export class ControlClient implements Worker {
  readonly #kernel: Kernel;
  readonly #socket: Socket;
  readonly #proc: Proc;
  readonly #counters: ControlCounters;
  readonly #turns: Turns;
  readonly #reaper: Reaper;
  readonly #lines = new LineBuffer();
  readonly #streams = new Map<Request['id'], RunningStream>();
  readonly #late: Late[] = [];
  /** Answers of the turn that is on, which go out together. */
  #batch = '';
  #inTurn = false;
  /** The first line has been sent. */
  #greeted = false;
  #outstanding = 0;
  /** What the calls under way hold. */
  #held = 0;
  #entries = 0;
  /** Of `membytes`, what is this client's. */
  #counted = 0;
  #ended = false;
  /** Bytes that were read and thrown away since. */
  #discarded = 0;

  constructor(kernel: Kernel, socket: Socket, name: string, counters: ControlCounters, turns: Turns, reaper: Reaper) {
    this.#kernel = kernel;
    this.#socket = socket;
    this.#counters = counters;
    this.#turns = turns;
    this.#reaper = reaper;
    this.#proc = new Proc(kernel, name);
    socket.on('data', (chunk: Buffer) => this.#input(chunk));
    socket.on('drain', () => this.#more());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#exit());
    turns.add(this);
  }

  /** The client is gone, and its descriptors and streams with it. */
  #exit(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#lines.clear();
    this.#late.length = 0;
    this.#turns.remove(this);
    this.#account();
    for (const stream of this.#streams.values()) stream.stop('closed');
    this.#counters.streams -= this.#streams.size;
    this.#streams.clear();
    this.#reaper.add(this.#proc);
  }

  /** Sends the client away; what was answered so far still reaches it. */
  end(): void {
    this.#flush();
    this.#exit();
    this.#socket.end();
    this.#socket.resume();
    // One that does not read has no claim to its answers, and one that goes on sending none to be listened to.
    if (this.#socket.writableLength > 0) this.#socket.destroySoon();
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    this.#socket.once('close', () => clearTimeout(timer));
  }

  /** The boot is going: streams end with a word. */
  shutdown(): void {
    for (const [id, stream] of [...this.#streams]) this.#endStream(id, stream.stop('shutdown'));
    this.end();
  }

  #refuse(message: string, errno: Errno = 'EINVAL'): void {
    if (!this.#greeted) this.#greet();
    this.#write({ id: null, errno, message });
    this.end();
  }

  #input(chunk: Buffer): void {
    if (this.#ended) return this.#discard(chunk.length);
    this.#lines.push(chunk);
    this.#more();
  }

  /** One that was sent away goes on sending: it can write its line to the end, but not keep the stack reading. */
  #discard(bytes: number): void {
    this.#discarded += bytes;
    if (this.#discarded > LINE_MAX) this.#socket.pause();
  }

  #write(line: object): void {
    if (!this.#socket.writable) return;
    this.#batch += `${JSON.stringify(line)}\n`;
    if (!this.#inTurn || this.#batch.length >= BATCH_MAX) this.#flush();
  }

  #flush(): void {
    const batch = this.#batch;
    this.#batch = '';
    if (batch !== '' && this.#socket.writable) this.#socket.write(batch);
    this.#account();
  }

  /** Bytes of answers that the client has not read. */
  #unread(): number {
    return this.#socket.writableLength + this.#batch.length;
  }

  /** Brings the sum of all clients up to date. */
  #account(): void {
    const bytes = this.#ended ? 0 : this.#lines.length + this.#held + this.#unread();
    this.#counters.membytes += bytes - this.#counted;
    this.#counted = bytes;
  }

  /** Is there too little memory for what this client has? */
  #isGreedy(): boolean {
    return this.#counters.membytes > MEMORY_MAX && this.#counted > FAIR_SHARE;
  }

  /** Serves some complete lines, as far as the limits and the time allow. True: there is more that may be served. */
  work(): boolean {
    if (this.#ended) return false;
    this.#inTurn = true;
    for (let turn = 0; turn < TURN && this.#serveOne(); turn++) if (this.#turns.isOver()) break;
    this.#inTurn = false;
    this.#flush();
    if (this.#ended) return false;
    this.#limit();
    return this.#hasWork();
  }

  /** An answer that waits, or else a request. False: there is neither, or it may not be served now. */
  #serveOne(): boolean {
    if (!this.#hasWork()) return false;
    if (!this.#greeted) {
      this.#greet();
      return true;
    }
    const late = this.#late.shift();
    if (late !== undefined) {
      this.#write({ id: late.id, ret: late.answer.make() });
      this.#freed(late.cost);
      return true;
    }
    const line = this.#lines.next();
    if (line !== null) this.#request(line);
    return line !== null;
  }

  #greet(): void {
    this.#greeted = true;
    const stack = this.#kernel.netstack.name;
    this.#write({ netmod: CONTROL_VERSION, stack, calls: presentCalls(this.#proc), limits: LIMITS });
  }

  #hasWork(): boolean {
    if (this.#ended || this.#unread() >= UNREAD_MAX) return false;
    return !this.#greeted || this.#late.length > 0 || (this.#lines.hasLine && !this.#isFull());
  }

  /** Something changed: perhaps there is something to serve now. */
  #more(): void {
    if (this.#ended) return;
    if (this.#hasWork()) this.#turns.add(this);
    this.#limit();
  }

  /** As many calls are under way as may be. */
  #isFull(): boolean {
    return this.#outstanding >= OUTSTANDING_MAX || this.#held >= HELD_MAX || this.#entries >= ENTRIES_MAX;
  }

  /**
   * Stops reading while requests wait; but one that waits for its own calls is read on, because a dead client is known by its end, up
   * to one more line's length.
   */
  #limit(): void {
    const { hasLine, length } = this.#lines;
    const calling = this.#isFull();
    this.#account();
    if (this.#isGreedy()) {
      this.#counters.nobufs++;
      this.#refuse('the clients of the control socket hold too much memory, and this one more than its share', 'ENOBUFS');
    } else if (!hasLine && length > LINE_MAX) {
      this.#counters.oversized++;
      this.#refuse(`a line is longer than ${LINE_MAX} bytes`);
    } else if (calling && length > LINE_MAX) {
      this.#counters.flooding++;
      this.#refuse(
        `too many calls are under way (at most ${OUTSTANDING_MAX}, of ${HELD_MAX} bytes and ${ENTRIES_MAX} polled descriptors in all) and more than ${LINE_MAX} bytes of requests wait`,
      );
    } else if (this.#unread() >= UNREAD_MAX || (hasLine && !calling && length > AHEAD_MAX)) this.#socket.pause();
    else this.#socket.resume();
  }

  #request(line: Buffer): void {
    if (line.length > LINE_MAX) {
      this.#counters.oversized++;
      return this.#refuse(`a line is longer than ${LINE_MAX} bytes`);
    }
    if (isBlank(line)) return;
    const request = parseRequest(line);
    if ('mistake' in request) {
      this.#counters.malformed++;
      return this.#refuse(request.mistake);
    }
    this.#counters.requests++;
    this.#run(request, costOf(request, line.length));
  }

  #run({ id, call, args }: Request, cost: Cost): void {
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
    this.#held += cost.bytes;
    this.#entries += cost.entries;
    let outcome: ReturnType<typeof found>;
    try {
      outcome = found(this.#proc, args);
    } catch (error) {
      outcome = Promise.reject(error as Error);
    }
    if (!(outcome instanceof Promise)) return this.#finished(id, call, outcome, cost);
    outcome.then(
      (result) => this.#finished(id, call, result, cost),
      (error: unknown) => this.#failed(id, error, cost),
    );
  }

  #start(id: Request['id'], streaming: StreamCall, call: string, args: readonly unknown[]): void {
    if (this.#streams.has(id)) return this.#answer(id, 'EBUSY', `${call}: this id has a stream already`);
    if (this.#counters.streams >= ALL_STREAMS_MAX)
      return this.#answer(id, 'EMFILE', `${call}: ${ALL_STREAMS_MAX} streams are open in all`);
    if (this.#streams.size >= STREAMS_MAX) return this.#answer(id, 'EMFILE', `${call}: ${STREAMS_MAX} streams are open`);
    const sink: StreamSink = {
      hasRoom: () => this.#socket.writable && this.#unread() < UNREAD_MAX && !this.#isGreedy(),
      item: (item) => {
        if (!sink.hasRoom()) {
          this.#counters.lostitems++;
          return false;
        }
        sink.put(item);
        return true;
      },
      put: (item) => this.#write({ id, item }),
      turns: this.#turns,
      end: (value) => this.#endStream(id, value),
    };
    // Items come behind the answer: a stream may have some as soon as it starts.
    const held: object[] = [];
    let open = false;
    const put = (item: object): void => (open ? sink.put(item) : void held.push(item));
    const early: StreamSink = { ...sink, put, item: (item) => (open ? sink.item(item) : (put(item), true)) };
    const stream = streaming(this.#proc, args, early);
    if (isErrno(stream)) this.#answer(id, stream, `${call}: ${stream}`);
    else {
      this.#streams.set(id, stream);
      this.#counters.streams++;
      this.#write({ id, ret: { stream: true } });
      open = true;
      for (const item of held) sink.put(item);
    }
  }

  #endStream(id: Request['id'], value: object): void {
    if (!this.#streams.delete(id)) return;
    this.#counters.streams--;
    this.#write({ id, end: value });
  }

  #cancel(id: Request['id'], [which]: readonly unknown[]): void {
    const stream = typeof which === 'number' || typeof which === 'string' ? this.#streams.get(which) : undefined;
    if (stream === undefined) return this.#answer(id, 'ENOENT', `${CANCEL}: no stream has this id`);
    this.#endStream(which as Request['id'], stream.stop('cancelled'));
    this.#write({ id, ret: null });
  }

  #finished(id: Request['id'], call: string, outcome: Outcome, cost: Cost): void {
    if (this.#ended) return;
    if (outcome instanceof LateAnswer) {
      if (cost.bytes > SMALL) {
        this.#late.push({ id, answer: outcome, cost });
        return this.#more();
      }
      this.#write({ id, ret: outcome.make() });
    } else if (outcome instanceof Answer) this.#write({ id, ret: outcome.ret ?? null });
    else if (outcome instanceof Refusal) this.#answer(id, outcome.err, outcome.message);
    else this.#answer(id, outcome, `${call}: ${outcome}`);
    this.#freed(cost);
  }

  #failed(id: Request['id'], error: unknown, cost: Cost): void {
    this.#threw(id, error);
    this.#freed(cost);
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

  /** A call has finished: the one that had no room may follow. */
  #freed({ bytes, entries }: Cost): void {
    const full = this.#isFull();
    this.#outstanding--;
    this.#held -= bytes;
    this.#entries -= entries;
    this.#account();
    if (full && !this.#isFull()) this.#more();
  }
}

/** Nothing but blanks: passed over, as telnet's carriage return is. */
function isBlank(line: Buffer): boolean {
  return line.length < 8 && line.toString('latin1').trim() === '';
}
