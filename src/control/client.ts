/**
 * One client of the control socket: newline-delimited JSON in and out, a process of its own in the kernel, and limits on everything it
 * may keep here. A request is `{"id":1,"call":"socket","args":["inet","stream",0]}`, its answer `{"id":1,"ret":3}` or
 * `{"id":1,"errno":"EAFNOSUPPORT","message":"..."}`; answers come as calls finish.
 */
import type { Socket } from 'node:net';
import { type Errno, isErrno } from '../kern/errno.ts';
import type { Kernel } from '../kern/kernel.ts';
import { Proc } from '../kern/proc/proc.ts';
import { BadArgument } from './args.ts';
import { type Answer, findCall, presentCalls } from './calls.ts';

/** Version of the protocol, on the greeting line. */
export const CONTROL_VERSION = 1;
/** Longest line in bytes. */
export const LINE_MAX = 1024 * 1024;
/** Calls of one client that may be under way; further requests wait in the line buffer. */
export const OUTSTANDING_MAX = 1024;
/** Bytes of answers that a client may leave unread before its requests are no longer read. */
export const UNREAD_MAX = 1024 * 1024;
/** Levels of lists and objects in a request's arguments: what is answered is walked by recursion. */
const DEPTH_MAX = 32;
/** Requests served in one turn of the event loop. */
const TURN = 128;

const LF = 10;

interface Request {
  readonly id: number | string;
  readonly call: string;
  readonly args: readonly unknown[];
}

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
}

export class ControlClient {
  readonly #kernel: Kernel;
  readonly #socket: Socket;
  readonly #proc: Proc;
  readonly #counters: ControlCounters;
  /** What came and is not yet served: pieces, and the length of all of them. */
  #pieces: Buffer[] = [];
  #buffered = 0;
  /** Whether there is a complete line in the pieces. */
  #hasLine = false;
  #outstanding = 0;
  #scheduled = false;
  #ended = false;

  constructor(kernel: Kernel, socket: Socket, name: string, counters: ControlCounters) {
    this.#kernel = kernel;
    this.#socket = socket;
    this.#counters = counters;
    this.#proc = new Proc(kernel, name);
    socket.on('data', (chunk: Buffer) => this.#input(chunk));
    socket.on('drain', () => this.#serve());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#exit());
    this.#write({ netmod: CONTROL_VERSION, stack: kernel.netstack.name, calls: presentCalls(this.#proc) });
  }

  /** The client is gone, and its descriptors with it. */
  #exit(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pieces = [];
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

  #refuse(message: string, id: number | string | null = null): void {
    this.#write({ id, errno: 'EINVAL' satisfies Errno, message });
    this.end();
  }

  #input(chunk: Buffer): void {
    if (this.#ended) return;
    this.#pieces.push(chunk);
    this.#buffered += chunk.length;
    this.#hasLine ||= chunk.includes(LF);
    this.#serve();
  }

  #write(line: object): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(line)}\n`);
  }

  /** Serves complete lines as far as the limits allow, some in each turn. */
  #serve(): void {
    if (this.#ended || this.#scheduled) return;
    this.#socket.cork();
    for (let turn = 0; turn < TURN && this.#mayServe(); turn++) {
      const line = this.#nextLine();
      if (line === null) break;
      this.#request(line);
    }
    this.#socket.uncork();
    if (this.#ended) return;
    if (this.#mayServe() && this.#hasLine) {
      this.#scheduled = true;
      this.#kernel.effects.yield(() => {
        this.#scheduled = false;
        this.#serve();
      });
    }
    this.#limit();
  }

  #mayServe(): boolean {
    return !this.#ended && this.#outstanding < OUTSTANDING_MAX && this.#socket.writableLength < UNREAD_MAX;
  }

  /**
   * Stops reading while requests wait; but one that waits for its own calls is read on, because a dead client is known by its end, up
   * to one more line's length.
   */
  #limit(): void {
    if (!this.#hasLine && this.#buffered > LINE_MAX) {
      this.#counters.oversized++;
      this.#refuse(`a line is longer than ${LINE_MAX} bytes`);
    } else if (this.#outstanding >= OUTSTANDING_MAX && this.#buffered > LINE_MAX) {
      this.#counters.flooding++;
      this.#refuse(`more than ${OUTSTANDING_MAX} calls are under way and more than ${LINE_MAX} bytes of requests wait`);
    } else if (this.#scheduled || this.#socket.writableLength >= UNREAD_MAX) this.#socket.pause();
    else this.#socket.resume();
  }

  /** The next complete line without its end, or null. */
  #nextLine(): Buffer | null {
    if (!this.#hasLine) return null;
    const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    const at = bytes.indexOf(LF);
    const rest = bytes.subarray(at + 1);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#buffered = rest.length;
    this.#hasLine = rest.includes(LF);
    return bytes.subarray(0, at);
  }

  #request(line: Buffer): void {
    if (line.length > LINE_MAX) {
      this.#counters.oversized++;
      return this.#refuse(`a line is longer than ${LINE_MAX} bytes`);
    }
    const text = line.toString('utf8').trim();
    if (text === '') return;
    const request = parseRequest(text);
    if (typeof request === 'string') {
      this.#counters.malformed++;
      return this.#refuse(request);
    }
    this.#counters.requests++;
    this.#run(request);
  }

  #run({ id, call, args }: Request): void {
    const found = findCall(this.#proc, call);
    if (found === null) return this.#answer(id, 'ENOSYS', `there is no call ${JSON.stringify(call.slice(0, 64))}`);
    this.#outstanding++;
    let outcome: ReturnType<typeof found>;
    try {
      outcome = found(this.#proc, args);
    } catch (error) {
      outcome = Promise.reject(error as Error);
    }
    if (!(outcome instanceof Promise)) return this.#finished(id, call, outcome);
    outcome.then(
      (result) => this.#finished(id, call, result),
      (error: unknown) => this.#failed(id, error),
    );
  }

  #finished(id: Request['id'], call: string, outcome: Answer | Errno): void {
    this.#outstanding--;
    if (isErrno(outcome)) this.#answer(id, outcome, `${call}: ${outcome}`);
    else this.#write({ id, ret: outcome.ret });
    this.#more();
  }

  #failed(id: Request['id'], error: unknown): void {
    this.#outstanding--;
    if (error instanceof BadArgument) this.#answer(id, error.errno, error.message);
    else {
      this.#kernel.log.error({ subsys: 'control', error: String(error) }, 'a call threw');
      this.#answer(id, 'EINVAL', 'the arguments of this call make no sense to it');
    }
    this.#more();
  }

  #answer(id: Request['id'], errno: Errno, message: string): void {
    this.#counters.errors++;
    this.#write({ id, errno, message });
  }

  #more(): void {
    if (this.#hasLine && !this.#scheduled && this.#outstanding === OUTSTANDING_MAX - 1) this.#serve();
  }
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

/** A request, or what is wrong with it. */
function parseRequest(text: string): Request | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'a line is not JSON';
  }
  if (typeof value !== 'object' || value === null) return 'a request is an object';
  const { id, call, args = [] } = value as { id?: unknown; call?: unknown; args?: unknown };
  if (typeof id !== 'number' && typeof id !== 'string') return 'a request has an id, a number or a string';
  if (typeof call !== 'string') return 'a request has a call, a string';
  if (!Array.isArray(args)) return 'args is a list';
  if (isDeeper(args, DEPTH_MAX)) return `args has at most ${DEPTH_MAX} levels`;
  return { id, call, args };
}
