/** The control socket's lines: requests out, answers in, matched by id. */
import net from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { ControlError } from './errors.ts';
import type { StreamEntry } from './stream.ts';
import type { Greeting } from './types.ts';

interface Pending {
  readonly call: string;
  resolve(value: unknown): void;
  reject(error: ControlError): void;
}

type Line = Readonly<Record<string, unknown>>;

export class Connection {
  readonly greeting: Greeting;
  /** Settles when the connection is over. */
  readonly closed: Promise<void>;
  readonly #socket: net.Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #streams = new Map<number, StreamEntry>();
  /** Streams whose readers are behind. */
  readonly #holding = new Set<number>();
  #serial = 1;
  #over = false;

  constructor(socket: net.Socket, greeting: Greeting, lines: LineReader) {
    this.#socket = socket;
    this.greeting = greeting;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.once('close', () => this.#gone());
    socket.on('error', () => undefined);
    lines.onLine = (line) => this.#line(line);
  }

  #line(line: Line): void {
    const id = line.id as number;
    const stream = this.#streams.get(id);
    if (stream !== undefined && 'item' in line) stream.item(line.item as Record<string, unknown>);
    else if (stream !== undefined && 'end' in line) {
      this.#forget(id);
      stream.end(line.end as Record<string, unknown>);
    } else if (line.id === null) this.#refused(line);
    else this.#answer(id, line);
  }

  #answer(id: number, line: Line): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    if (typeof line.errno === 'string')
      pending.reject(new ControlError(line.errno, pending.call, textOf(line.message, line.errno)));
    else pending.resolve(line.ret);
  }

  /** The other side found a request that it cannot read, and goes. */
  #refused(line: Line): void {
    this.#fail((call) => new ControlError(textOf(line.errno, 'EINVAL'), call, textOf(line.message, 'the request was refused')));
  }

  #gone(): void {
    this.#over = true;
    this.#fail((call) => new ControlError('ECONNRESET', call, `${call}: the control socket was closed`));
  }

  #fail(make: (call: string) => ControlError): void {
    const pending = [...this.#pending.values()];
    const streams = [...this.#streams.values()];
    this.#pending.clear();
    this.#streams.clear();
    for (const { call, reject } of pending) reject(make(call));
    for (const stream of streams) stream.fail(make('stream'));
  }

  #forget(id: number): void {
    this.#streams.delete(id);
    this.hold(id, false);
  }

  #send(call: string, args: readonly unknown[], pending: Omit<Pending, 'call'>): number {
    const id = this.#serial++;
    if (this.#over) {
      pending.reject(new ControlError('ECONNRESET', call, `${call}: the control socket was closed`));
      return id;
    }
    this.#pending.set(id, { call, ...pending });
    this.#socket.write(`${JSON.stringify({ id, call, args })}\n`);
    return id;
  }

  /** Makes a call; rejects with a `ControlError`. */
  call(call: string, ...args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => void this.#send(call, args, { resolve, reject }));
  }

  /** Starts a call that goes on answering; its id. */
  stream(entry: StreamEntry, call: string, ...args: readonly unknown[]): number {
    const id = this.#send(call, args, {
      resolve: () => undefined,
      reject: (error) => {
        this.#forget(id);
        entry.fail(error);
      },
    });
    if (!this.#over) this.#streams.set(id, entry);
    return id;
  }

  /** Ends a stream; one that is over already is none of ours. */
  cancel(id: number): void {
    if (!this.#streams.has(id) || this.#over) return;
    this.call('cancel', id).catch(() => undefined);
  }

  /** While any stream is held the socket is not read, so that the boot notices. */
  hold(id: number, held: boolean): void {
    if (held) this.#holding.add(id);
    else this.#holding.delete(id);
    if (this.#holding.size > 0) this.#socket.pause();
    else this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

/** A line that is an object; null for anything else. */
function parseLine(text: string): Line | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Line) : null;
  } catch {
    return null;
  }
}

/** How long a boot may take for its first line, in milliseconds. */
const GREETING_MS = 10_000;

/** Cuts what comes into lines of JSON. */
class LineReader {
  onLine: (line: Line) => void = () => undefined;
  readonly #decoder = new StringDecoder('utf8');
  readonly #socket: net.Socket;
  #rest: string[] = [];

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#input(this.#decoder.write(chunk)));
  }

  #input(text: string): void {
    let from = 0;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
      const line = this.#rest.join('') + text.slice(from, at);
      this.#rest = [];
      from = at + 1;
      const parsed = parseLine(line);
      if (parsed === null) {
        this.#socket.destroy(
          Object.assign(new Error('what answers there does not speak the control protocol'), { code: 'EPROTO' }),
        );
        return;
      }
      this.onLine(parsed);
    }
    if (from < text.length) this.#rest.push(text.slice(from));
  }
}

/** Connects and reads the greeting. Rejects with a `ControlError` that says what is in the way. */
export function openConnection(path: string): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    const fail = (code: string, reason: string): void => {
      socket.destroy();
      reject(new ControlError(code, 'connect', `${path}: ${reason}`));
    };
    const lost = (): void => fail('ECONNRESET', 'no boot answers there');
    const broken = (error: Error & { code?: string }): void => fail(error.code ?? 'EIO', describe(error.code, error.message));
    socket.once('error', broken);
    socket.once('close', lost);
    socket.setTimeout(GREETING_MS, () => fail('ETIMEDOUT', 'nothing is said at this control socket'));
    const lines = new LineReader(socket);
    lines.onLine = (line) => {
      socket.off('error', broken);
      socket.off('close', lost);
      socket.setTimeout(0);
      if (typeof line.netmod === 'number') resolve(new Connection(socket, line as unknown as Greeting, lines));
      else fail(textOf(line.errno, 'EPROTO'), textOf(line.message, 'this is no control socket'));
    };
  });
}

function describe(code: string | undefined, message: string): string {
  if (code === 'ENOENT') return 'there is no control socket of that name';
  if (code === 'ECONNREFUSED') return 'nobody answers at this control socket';
  return code === 'EACCES' ? 'the control socket belongs to somebody else' : message;
}
